// From a samplesheet of infant brain scans to segmentations, quality control, statistics and a report.
// The entry: read the parameters, check the sheet, run one workflow, say how it ended. Nothing is computed here.
// With --workflow train: from label maps to network weights.

include { COHORT } from './workflows/cohort'
include { TRAIN } from './workflows/train'
include { helpText ; checkedOptions ; checkedSheet ; fingerprints ; trainingInputs } from './subworkflows/door'
include { closingLines ; trainingLines } from './subworkflows/ending'
include { existing } from './subworkflows/files'

workflow {
    if (params.help) {
        println helpText()
        return null
    }

    options = checkedOptions(params)
    if (options.workflow == 'train') {
        TRAIN(trainingInputs(options), options, fingerprints())
        workflow.onComplete = {
            println trainingLines(workflow.success, options.outdir)
        }
        return null
    }
    sheet = checkedSheet(options)

    COHORT(
        sheet.records,
        [records: sheet.file, phenotype: sheet.phenotype, verdicts: sheet.verdicts, raters: sheet.raters, weights: existing(options.weights), truth: options.truth ? [existing(options.truth)] : []],
        options,
        fingerprints(),
    )

    workflow.onComplete = {
        println closingLines(workflow.success, options.outdir)
    }
}
