// The scans of one visit together: session space, labels, agreement, volumes, a picture.

include { fromJson ; unfinished } from './files'
include { MORPHOMETRY } from '../modules/morphometry'
include { REGISTER } from '../modules/register'
include { SEGMENT } from '../modules/segment'
include { SHAPE } from '../modules/shape'
include { SNAPSHOT } from '../modules/snapshot'
include { SURFACE_DISTANCE } from '../modules/surface_distance'

workflow VISITS {
    take:
    visits // [visit, facts], e.g. [[id: 'sub-01_ses-A', folder: …], [scans: 2, age_months: 6.2 or null, reference: [dseg.nii.gz] or [], corrected: [dseg.nii.gz] or []]]
    outcomes // [visit id, corrected image or []], one per scan
    weights // file
    options // map of parameters
    code // map of step → fingerprint

    main:
    // [visit, images], e.g. [[id: 'sub-01_ses-A', …], [sub-01_ses-A_desc-n4_T1w.nii.gz, sub-01_ses-A_desc-n4_T2w.nii.gz]]
    images = outcomes
        .combine(visits.map { visit, facts -> [visit.id, visit, facts.scans] }, by: 0)
        .map { _id, image, visit, scans -> [groupKey(visit, scans), image] }
        .groupTuple()
        .map { key, found -> [key.getGroupTarget(), found.flatten().sort { image -> image.name }] }
        .filter { _visit, found -> found }

    registered = REGISTER(images, code.register)
    segmented = SEGMENT(
        images
            .join(registered.registration)
            .join(visits.map { visit, facts -> [visit, facts.age_months, facts.corrected] }),
        weights,
        [options.device, options.precision, options.labels, options.template || options.shape],
        code.segment,
    )

    // [visit, session labels, [labels of each scan]]
    labels = segmented.labels.map { visit, files, _volumes ->
        def (session, scans) = files.split { file -> file.name.contains('_space-session_') }
        [visit, session.first(), scans]
    }

    compared = SURFACE_DISTANCE(
        labels
            .join(registered.registration)
            .join(visits.map { visit, facts -> [visit, facts.reference] }),
        options.tolerance,
        code['surface-distance'],
    )
    measured = MORPHOMETRY(
        labels
            .join(segmented.labels.map { visit, _files, volumes -> [visit, volumes] })
            .join(visits.map { visit, facts -> [visit, facts.reference] }),
        code.morphometry,
    )

    // [visit, the scan whose grid is the session space, session labels]
    drawn = images
        .join(registered.registration)
        .map { visit, found, registration -> [visit, referenceOf(found, registration)] }
        .join(labels)
        .map { visit, image, session, _scans -> [visit, image, session] }
    pictured = SNAPSHOT(drawn, code.snapshot)

    shaped = SHAPE(segmented.posteriors.filter { _visit, _file -> options.shape }, code.shape)

    failures = registered.failure.mix(
        segmented.failure,
        compared.failure,
        measured.failure,
        pictured.failure,
        shaped.failure,
        unfinished('register', images.map { visit, _images -> visit }, registered.registration.mix(registered.failure)),
        unfinished('segment', registered.registration.map { visit, _file -> visit }, labels.mix(segmented.failure)),
        unfinished('surface-distance', labels.map { visit, _session, _scans -> visit }, compared.table.mix(compared.failure)),
        unfinished('morphometry', labels.map { visit, _session, _scans -> visit }, measured.tables.mix(measured.failure)),
        unfinished('snapshot', drawn.map { visit, _image, _labels -> visit }, pictured.picture.mix(pictured.failure)),
        unfinished('shape', segmented.posteriors.filter { _visit, _file -> options.shape }.map { visit, _file -> visit }, shaped.coefficients.mix(shaped.failure)),
    )
    // [visit, the image whose grid is the session space, posteriors, table of quality]
    whole = drawn
        .map { visit, image, _labels -> [visit, image] }
        .join(segmented.posteriors)
        .join(segmented.qc)
    all_labels = segmented.labels.flatMap { _visit, files, _volumes -> files }
    qc = segmented.qc.map { _visit, file -> file }
    distances = compared.table.map { _visit, file -> file }
    volumes = measured.tables.map { _visit, session, _scans -> session }
    scan_volumes = measured.tables.map { _visit, _session, scans -> scans }
    parts = segmented.fuller_volumes
    snapshots = pictured.picture.map { _visit, file -> file }.mix(pictured.to_scale)
    shapes = shaped.coefficients.map { _visit, file -> file }

    emit:
    failures
    whole
    all_labels
    qc
    distances
    volumes
    scan_volumes
    parts
    snapshots
    shapes
}

/** The image that the registration chose as session space. */
def referenceOf(images, registration) {
    def name = fromJson(registration.text).reference
    return images.find { image -> image.name == name } ?: error("${registration}: names no scan of its visit as reference: ${name}")
}
