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
    failures // one failure.json per scan, or visit, and step that failed
    labels // dseg.nii.gz, of sessions and of scans
    qc // segmentation_qc.tsv, one per visit
    distances // surfacedistance_qc.tsv, one per visit
    volumes // volumes_morph.tsv, one per visit
    scan_volumes // scanvolumes_morph.tsv, one per visit
    snapshots // snapshot.png, one per visit
    shapes // shape.json of spherical harmonics, one per visit, or none
    options // map of parameters
    code // map of step → fingerprint

    main:
    ledger = LEDGER(inputs.records, sorted(failures), sorted(qc), sorted(labels), code.ledger)

    gathered = TABLES(
        inputs.records,
        sorted(volumes),
        sorted(scan_volumes),
        sorted(qc),
        sorted(distances),
        code.tables,
    )
    tested = STATISTICS(inputs.records, gathered.tables, inputs.phenotype, sorted(shapes), options.harmonise, code.statistics)

    parameters = kept(json(options), 'parameters.json')
    provenance = PROVENANCE(parameters, workflow.nextflow.version.toString(), code.provenance)

    REPORT(
        inputs.records,
        ledger.table,
        gathered.tables.mix(tested.tables).collect(sort: { file -> file.name }),
        sorted(snapshots),
        provenance.versions,
        inputs.truth,
        code.report,
    )
}
