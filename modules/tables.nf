// Gather the tables of all visits into those of the cohort.
process TABLES {
    label 'cohort'

    input:
    path records
    path volumes, stageAs: 'volumes/*', arity: '0..*'
    path scan_volumes, stageAs: 'scan_volumes/*', arity: '0..*'
    path qc, stageAs: 'qc/*', arity: '0..*'
    path distances, stageAs: 'distances/*', arity: '0..*'
    path longitudinal, stageAs: 'longitudinal/*', arity: '0..*'
    path template_visits, stageAs: 'templates/*', arity: '0..*'
    path template_failures, stageAs: 'failures/*', arity: '0..*'
    path parts, stageAs: 'parts/*', arity: '0..*'
    path rater_performance, stageAs: 'rater_performance/*', arity: '0..*'
    path rater_volumes, stageAs: 'rater_volumes/*', arity: '0..*'
    val templates
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
        ${longitudinal ? '--longitudinal longitudinal/*' : ''} \\
        ${template_visits ? '--template-visits templates/*' : ''} \\
        ${template_failures ? '--template-failures failures/*' : ''} \\
        ${parts ? '--parts parts/*' : ''} \\
        ${rater_performance ? '--rater-performance rater_performance/*' : ''} \\
        ${rater_volumes ? '--rater-volumes rater_volumes/*' : ''} \\
        ${templates ? '' : '--no-templates'} \\
        --out-dir cohort
    """

    stub:
    """
    mkdir cohort
    touch cohort/volumes.tsv cohort/volumes_wide.tsv cohort/scanvolumes.tsv cohort/asymmetry.tsv cohort/qc.tsv
    touch cohort/surfacedistance.tsv cohort/longitudinal.tsv cohort/templates.tsv participants.tsv cohort/volumes.json participants.json
    """
}
