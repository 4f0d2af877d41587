// Each scan by itself.

include { N4 } from '../modules/n4'
include { json ; kept ; unfinished } from './files'

workflow SCANS {
    take:
    scans // [scan, image or null], e.g. [[id: 'sub-01_ses-A_T1w', visit: 'sub-01_ses-A', …], /data/a.nii.gz]
    code // map of step → fingerprint

    main:
    place = scans.branch { _scan, image ->
        found: image
        missing: true
    }
    n4 = N4(place.found, code.n4)

    // [scan, failure.json] of scans that are unusable, and of scans whose task never came to an end
    lost = unfinished('n4', place.found.map { scan, _image -> scan }, n4.image.mix(n4.failure))
    failures = n4.failure.mix(lost, place.missing.map { scan, _image -> [scan, unreachable(scan)] })

    // [visit id, corrected image or []], one for every scan: e.g. ['sub-01_ses-A', sub-01_ses-A_desc-n4_T1w.nii.gz]
    outcomes = n4.image.mix(failures.map { scan, _file -> [scan, []] }).map { scan, image -> [scan.visit, image] }

    emit:
    outcomes
    failures
}

def unreachable(scan) {
    def words = [
        step: 'n4',
        file: scan.address,
        what: 'the image cannot be reached, though the samplesheet named it rightly',
        advice: scan.address ==~ /(?i)(s3|gs|az):.*/
            ? 'see that this Nextflow has the plugin of that cloud (docs/hpc.md), and that address and access are right; then run again with -resume'
            : 'see that it was not moved, and that its address and your access are right; then run again with -resume',
    ]
    return kept(json(words), "${scan.id}.n4.failure.json")
}
