// From checked records to a report: the pipeline's table of contents.

include { ANALYSIS } from '../subworkflows/analysis'
include { CHILDREN } from '../subworkflows/children'
include { RATINGS } from '../subworkflows/ratings'
include { SCANS } from '../subworkflows/scans'
include { VISITS } from '../subworkflows/visits'
include { extension ; fromJson ; stageable } from '../subworkflows/files'

workflow COHORT {
    take:
    records // list of maps, one per row of the sheet: [[row: 2, scan_id: 'sub-01_ses-A_T1w', image: '/data/a.nii.gz', …], …]
    inputs // map of files and verdicts: [records: records.json, phenotype: [scores.tsv] or [], verdicts: [[participant_id: '01', …]], raters: [[visit_id: 'sub-01_ses-A', rater: 'Ann', …]], weights: w.safetensors, truth: [folder] or []]
    options // map of parameters: [device: 'auto', tolerance: 1.0, …]
    code // map of step → fingerprint of its source: [n4: '3f…', …]

    main:
    // [scan, image or null], e.g. [[id: 'sub-01_ses-A_T1w', visit: 'sub-01_ses-A', suffix: 'T1w', …], /data/a.nii.gz]
    scans = channel.fromList(records.collect { record -> [scanOf(record), stageable(record.image)] })

    // [visit, facts], e.g. [[id: 'sub-01_ses-A', …], [scans: 2, age_months: 6.2, reference: [], corrected: []]]
    visits = channel.fromList(records.groupBy { record -> record.visit_id }.collect { _id, rows -> visitOf(rows) })

    // [visit, [names], [label map or null]], e.g. [[id: 'sub-01_ses-A', …], ['Ann', 'Ben'], [/data/ann.nii.gz, /data/ben.nii.gz]]
    rated = channel.fromList(inputs.raters.groupBy { row -> row.visit_id }.collect { _id, rows -> ratingsOf(rows) })

    scanned = SCANS(scans, code)
    visited = VISITS(visits, scanned.outcomes, inputs.weights, options, code)
    ratings = RATINGS(rated, code)
    failures = scanned.failures.mix(visited.failures, ratings.failures).map { unit, file -> goOn(unit, file, options.fail_fast) }

    grown = CHILDREN(visited.whole, visitCounts(records), inputs.verdicts, options, code)

    made = [
        failures: failures,
        labels: visited.all_labels,
        qc: visited.qc.mix(grown.sides),
        distances: visited.distances,
        volumes: visited.volumes,
        scan_volumes: visited.scan_volumes,
        snapshots: visited.snapshots,
        parts: visited.parts,
        shapes: visited.shapes,
        template_failures: grown.failures,
        template_visits: grown.used,
        longitudinal: grown.volumes,
        templates: grown.pictures,
        rater_performance: ratings.performance,
        rater_volumes: ratings.volumes,
    ]
    ANALYSIS(inputs, made, options, code)
}

/** Child → number of visits in the sheet, e.g. ['sub-01': 2]. */
def visitCounts(records) {
    def visits = records.collect { record -> ["sub-${record.participant_id}".toString(), record.visit_id] }.unique()
    return visits.countBy { id, _visit -> id }
}

/** What a task knows of its scan: nothing that changes when other rows of the sheet do. */
def scanOf(record) {
    def visit = visitNames(record)
    return [
        id: record.scan_id,
        stem: record.scan_id - ~/_[^_]+$/,
        suffix: record.suffix,
        visit: visit.id,
        folder: visit.folder,
        extension: extension(record.image),
        address: record.image,
    ]
}

def visitNames(record) {
    return [id: record.visit_id, folder: "sub-${record.participant_id}/ses-${record.session_id}/anat".toString()]
}

def visitOf(rows) {
    def first = rows.first()
    def references = rows.collect { row -> row.dseg }.findAll().unique().take(1)
    def corrected = references.findAll { path -> path.tokenize('/').last().contains('_desc-corrected_') } // by its name: these are the session's labels
    def facts = [
        scans: rows.size(),
        age_months: first.age_reference == 'birth' ? first.age_days / 30.4375 : null, // since birth; a month is a twelfth of a year
        reference: (references - corrected).collect { path -> stageable(path) }.findAll(),
        corrected: corrected.collect { path -> stageable(path) }.findAll(),
    ]
    return [visitNames(first), facts]
}

/** The raters of one visit, in the order of the checked table. */
def ratingsOf(rows) {
    return [visitNames(rows.first()), rows.collect { row -> row.rater }, rows.collect { row -> stageable(row.dseg) }]
}

/** Hand a failure on to the ledger, or stop the run with it. */
def goOn(unit, file, fail_fast) {
    if (fail_fast) {
        def failure = fromJson(file.text)
        error("${unit.id} failed in step ${failure.step}: ${failure.what}; ${failure.advice} (stopped, as --fail_fast asks)")
    }
    return file
}
