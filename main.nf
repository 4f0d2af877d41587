// From a samplesheet of infant brain scans to segmentations, quality control, statistics and a report.
// The entry: read the parameters, check the sheet, run one workflow, say how it ended. Nothing is computed here.

include { COHORT } from './workflows/cohort'
include { helpText ; checkedOptions ; checkedSheet ; fingerprints } from './subworkflows/door'
include { closingLines } from './subworkflows/ending'
include { existing } from './subworkflows/files'

workflow {
    if (params.help) {
        println helpText()
        return null
    }

    options = checkedOptions(params)
    sheet = checkedSheet(options)

    COHORT(
        sheet.records,
        [records: sheet.file, phenotype: sheet.phenotype, weights: existing(options.weights), truth: options.truth ? [existing(options.truth)] : []],
        options,
        fingerprints(),
    )

    workflow.onComplete = {
        println closingLines(workflow.success, options.outdir)
    }
}
