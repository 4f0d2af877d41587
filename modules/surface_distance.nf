// Compare the segmentations of one visit: scan against scan, scan against session, session against a reference.
process SURFACE_DISTANCE {
    tag "${visit.id}"
    label 'volume'

    input:
    tuple val(visit), path(session_labels), path(scan_labels, arity: '1..*'), path(registration), path(reference, stageAs: 'reference/*', arity: '0..*')
    val tolerance
    val code

    output:
    tuple val(visit), path("${visit.folder}/${visit.id}_desc-surfacedistance_qc.tsv"), emit: table, optional: true
    path "${visit.folder}/${visit.id}_desc-surfacedistance_qc.json", emit: dictionary, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.surface-distance.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    surface-distance \\
        --visit ${visit.id} \\
        --dseg ${session_labels} \\
        --scan-dseg ${scan_labels.join(' ')} \\
        --registration ${registration} \\
        ${reference ? '--reference reference/*' : ''} \\
        --tolerance ${tolerance} \\
        -o ${visit.folder}/${visit.id}_desc-surfacedistance_qc.tsv \\
        --failure pipeline_info/failures/${visit.id}.surface-distance.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    touch ${visit.folder}/${visit.id}_desc-surfacedistance_qc.tsv
    """
}
