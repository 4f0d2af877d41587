// Join every row of the samplesheet with what came out of it.
process LEDGER {
    label 'cohort'

    input:
    path records
    path failures, stageAs: 'failures/*', arity: '0..*'
    path qc, stageAs: 'qc/*', arity: '0..*'
    path labels, stageAs: 'labels/*', arity: '0..*'
    val code

    output:
    path 'ledger.tsv', emit: table
    path 'ledger.json', emit: dictionary, optional: true

    script:
    """
    # source ${code}
    ledger \\
        --records ${records} \\
        ${failures ? '--failures failures/*' : ''} \\
        ${qc ? '--qc qc/*' : ''} \\
        ${labels ? '--dseg labels/*' : ''} \\
        -o ledger.tsv
    """

    stub:
    """
    printf 'row\\tstatus\\n' > ledger.tsv
    """
}
