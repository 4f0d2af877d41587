// Volumes of one visit, from labels and from posteriors.
process MORPHOMETRY {
    tag "${visit.id}"
    label 'volume'

    input:
    tuple val(visit), path(session_labels), path(scan_labels, arity: '1..*'), path(posterior_volumes), path(reference, stageAs: 'reference/*', arity: '0..*')
    val code

    output:
    tuple val(visit), path("${visit.folder}/${visit.id}_desc-volumes_morph.tsv"), path("${visit.folder}/${visit.id}_desc-scanvolumes_morph.tsv"), emit: tables, optional: true
    path "${visit.folder}/*_morph.json", emit: dictionaries, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.morphometry.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    morphometry \\
        --visit ${visit.id} \\
        --dseg ${session_labels} \\
        --scan-dseg ${scan_labels.join(' ')} \\
        --posterior-volumes ${posterior_volumes} \\
        ${reference ? '--reference reference/*' : ''} \\
        --out-dir ${visit.folder} \\
        --failure pipeline_info/failures/${visit.id}.morphometry.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    touch ${visit.folder}/${visit.id}_desc-volumes_morph.tsv
    touch ${visit.folder}/${visit.id}_desc-scanvolumes_morph.tsv
    """
}
