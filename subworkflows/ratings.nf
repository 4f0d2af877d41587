// The visits that several raters labelled: independent of their scans, so that neither fails with the other.

include { RATERS } from '../modules/raters'
include { json ; kept ; unfinished } from './files'

workflow RATINGS {
    take:
    rated // [visit, [names], [label map or null]], e.g. [[id: 'sub-01_ses-A', folder: …], ['Ann', 'Ben'], [/data/ann.nii.gz, /data/ben.nii.gz]]
    code // map of step → fingerprint

    main:
    place = rated.branch { _visit, _names, maps ->
        found: maps.every()
        missing: true
    }
    made = RATERS(place.found, code.raters)

    lost = unfinished('raters', place.found.map { visit, _names, _maps -> visit }, made.tables.mix(made.failure))
    failures = made.failure.mix(lost, place.missing.map { visit, names, maps -> [visit, unreachable(visit, names, maps)] })
    performance = made.tables.map { _visit, performance, _volumes -> performance }
    volumes = made.tables.map { _visit, _performance, volumes -> volumes }

    emit:
    failures
    performance
    volumes
}

def unreachable(visit, names, maps) {
    def lacking = [names, maps].transpose().findAll { _name, map -> !map }.collect { name, _map -> name }
    def words = [
        step: 'raters',
        file: visit.id,
        what: "the label map of ${lacking.join(', ')} cannot be reached, though the table of raters named it rightly".toString(),
        advice: 'see that it was not moved, and that its address and your access are right; then run again with -resume',
    ]
    return kept(json(words), "${visit.id}.raters.failure.json")
}
