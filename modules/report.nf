// Write the report of the cohort: one page that needs nothing from outside.
process REPORT {
    label 'cohort'

    input:
    path records
    path ledger
    path tables, stageAs: 'tables/*', arity: '1..*'
    path snapshots, stageAs: 'snapshots/*', arity: '0..*'
    path templates, stageAs: 'templates/*', arity: '0..*'
    path versions
    path truth, stageAs: 'truth', arity: '0..*'
    val code

    output:
    path 'report.html', emit: page
    path 'cohort/figures/*', emit: figures, optional: true
    path 'references.bib', emit: references, optional: true
    path 'children/*', emit: children, optional: true

    script:
    """
    # source ${code}
    mkdir -p cohort/figures
    report \\
        --records ${records} \\
        --ledger ${ledger} \\
        --cohort tables \\
        ${snapshots ? '--snapshots snapshots/*' : ''} \\
        ${templates ? '--templates templates/*' : ''} \\
        --versions ${versions} \\
        ${truth ? "--truth ${truth.first()}" : ''} \\
        --figures-dir cohort/figures \\
        --children-dir children \\
        --references references.bib \\
        -o report.html
    """

    stub:
    """
    touch report.html
    """
}
