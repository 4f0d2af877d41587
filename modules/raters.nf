// What the raters of one visit agree on, how each of them did, and their volumes.
process RATERS {
    tag "${visit.id}"
    label 'volume'

    input:
    tuple val(visit), val(names), path(maps, stageAs: 'maps/??/*', arity: '2..*')
    val code

    output:
    tuple val(visit), path("${visit.folder}/${visit.id}_desc-raters_qc.tsv"), path("${visit.folder}/${visit.id}_desc-raters_morph.tsv"), emit: tables, optional: true
    path "${visit.folder}/${visit.id}_desc-{staple,majority}_dseg.nii.gz", emit: labels, optional: true
    path "${visit.folder}/*_{dseg.json,dseg.tsv,dseg_lut.txt,qc.json,morph.json}", emit: sidecars, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.raters.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    raters \\
        --visit ${visit.id} \\
        --names ${names.join(' ')} \\
        --maps maps/*/* \\
        --out-dir ${visit.folder} \\
        --failure pipeline_info/failures/${visit.id}.raters.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    touch ${visit.folder}/${visit.id}_desc-raters_qc.tsv
    touch ${visit.folder}/${visit.id}_desc-raters_morph.tsv
    """
}
