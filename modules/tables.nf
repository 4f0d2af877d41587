// Gather the tables of all visits into those of the cohort.
process TABLES {
    label 'cohort'

    input:
    path records
    path volumes, stageAs: 'volumes/*', arity: '0..*'
    path scan_volumes, stageAs: 'scan_volumes/*', arity: '0..*'
    path qc, stageAs: 'qc/*', arity: '0..*'
    path distances, stageAs: 'distances/*', arity: '0..*'
    val code

    output:
    path 'cohort/*.tsv', emit: tables, arity: '1..*'
    path 'participants.tsv', emit: participants
    path '{cohort/*,participants}.json', emit: dictionaries

    script:
    """
    # source ${code}
    tables \\
        --records ${records} \\
        ${volumes ? '--volumes volumes/*' : ''} \\
        ${scan_volumes ? '--scan-volumes scan_volumes/*' : ''} \\
        ${qc ? '--qc qc/*' : ''} \\
        ${distances ? '--surface-distance distances/*' : ''} \\
        --out-dir cohort
    """

    stub:
    """
    mkdir cohort
    touch cohort/volumes.tsv cohort/volumes_wide.tsv cohort/scanvolumes.tsv cohort/asymmetry.tsv cohort/qc.tsv
    touch cohort/surfacedistance.tsv participants.tsv cohort/volumes.json participants.json
    """
}
