// The visits of one child together: its template, and longitudinal labels and volumes.

include { json ; kept ; unfinished } from './files'
include { TEMPLATE } from '../modules/template'

workflow CHILDREN {
    take:
    whole // [visit, image, posteriors, table of quality], one per visit that was segmented
    visits // map of child → number of visits in the sheet, e.g. ['sub-01': 2]
    verdicts // list of maps: [participant_id: '01', session_id: 'A', verdict: 'fail', note: …]
    options // map of parameters
    code // map of step → fingerprint

    main:
    // [child, [images], [posteriors], [tables], verdicts], e.g. [[id: 'sub-01'], …]; only children with two visits or more
    children = whole
        .filter { _visit, _image, _posteriors, _qc -> options.template }
        .map { visit, image, posteriors, qc -> [visit.id.tokenize('_').first(), image, posteriors, qc] }
        .map { id, image, posteriors, qc -> [groupKey(id, visits[id]), image, posteriors, qc] }
        .groupTuple(remainder: true)
        .filter { _key, images, _posteriors, _qc -> images.size() > 1 }
        .map { key, images, posteriors, qc ->
            def id = key.getGroupTarget()
            [[id: id], named(images), named(posteriors), named(qc), kept(json(said(id, verdicts)), 'verdicts.json')]
        }
    made = TEMPLATE(children, options.template_strength, code.template)

    lost = unfinished('template', children.map { items -> items[0] }, made.used.mix(made.failure))
    failures = made.failure.mix(lost).map { _child, file -> file }
    used = made.used.map { _child, file -> file }
    sides = made.sides.flatten()
    volumes = made.volumes.flatten()
    pictures = made.picture

    emit:
    failures
    used
    sides
    volumes
    pictures
}

/** Files in the order of their names. */
def named(items) {
    return items.sort { item -> item.name }
}

/** The verdicts on the visits of one child. */
def said(id, verdicts) {
    return verdicts.findAll { verdict -> "sub-${verdict.participant_id}".toString() == id }
}
