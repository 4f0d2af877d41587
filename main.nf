// From a samplesheet of infant brain scans to segmentations, quality control, statistics and a report.
// The entry: read the parameters, check the sheet, run one workflow, say how it ended. Nothing is computed here.

include { COHORT } from './workflows/cohort'
include { helpText ; checkedOptions ; checkedSheet ; fingerprints } from './subworkflows/door'
include { closingLines } from './subworkflows/ending'

workflow {
    if (params.help) {
        println helpText()
        return null
    }

    options = checkedOptions(params)
    sheet = checkedSheet(options)

    COHORT(
        sheet.records,
        [records: sheet.file, phenotype: sheet.phenotype, weights: file(options.weights, checkIfExists: true), truth: options.truth ? [file(options.truth, checkIfExists: true)] : []],
        options,
        fingerprints(),
    )

    workflow.onComplete = {
        println closingLines(workflow.success, options.outdir)
    }
}
