// The whole cohort: ledger, tables, statistics, report. Lists are sorted, so that order of arrival changes nothing.

include { json ; kept ; sorted } from './files'
include { LEDGER } from '../modules/ledger'
include { PROVENANCE } from '../modules/provenance'
include { REPORT } from '../modules/report'
include { STATISTICS } from '../modules/statistics'
include { TABLES } from '../modules/tables'

workflow ANALYSIS {
    take:
    inputs // map of files: [records: records.json, phenotype: [scores.tsv] or [], truth: [folder] or []]
    made // map of channels, each of files:
    // failures: one failure.json per scan, or visit, and step that failed
    // labels: dseg.nii.gz, of sessions and of scans
    // qc: segmentation_qc.tsv, one per visit; sides_qc.tsv, one per visit of a child with several
    // distances: surfacedistance_qc.tsv, one per visit
    // volumes: volumes_morph.tsv, one per visit
    // scan_volumes: scanvolumes_morph.tsv, one per visit
    // snapshots: snapshot.png, two per visit
    // parts: fuller_morph.tsv, one per visit, or none
    // shapes: shape.json of spherical harmonics, one per visit, or none
    // template_failures: one failure.json per child without a template; no row of the sheet fails with it
    // template_visits: template_qc.tsv, one per child with a template
    // longitudinal: longitudinal_morph.tsv, one per visit in a template
    // templates: snapshot.png, one per child with a template
    // rater_performance: raters_qc.tsv, one per visit with several raters, or none
    // rater_volumes: raters_morph.tsv, one per visit with several raters, or none
    options // map of parameters
    code // map of step → fingerprint

    main:
    ledger = LEDGER(inputs.records, sorted(made.failures), sorted(made.qc), sorted(made.labels), code.ledger)

    gathered = TABLES(
        inputs.records,
        sorted(made.volumes),
        sorted(made.scan_volumes),
        sorted(made.qc),
        sorted(made.distances),
        sorted(made.longitudinal),
        sorted(made.template_visits),
        sorted(made.template_failures),
        sorted(made.parts),
        sorted(made.rater_performance),
        sorted(made.rater_volumes),
        options.template,
        code.tables,
    )
    tested = STATISTICS(inputs.records, gathered.tables, inputs.phenotype, sorted(made.shapes), options.harmonise, code.statistics)

    parameters = kept(json(options), 'parameters.json')
    provenance = PROVENANCE(parameters, workflow.nextflow.version.toString(), code.provenance)

    REPORT(
        inputs.records,
        ledger.table,
        gathered.tables.mix(tested.tables).collect(sort: { file -> file.name }),
        sorted(made.snapshots),
        sorted(made.templates),
        provenance.versions,
        inputs.truth,
        code.report,
    )
}
