// Each scan by itself.

include { N4 } from '../modules/n4'
include { unfinished } from './files'

workflow SCANS {
    take:
    scans // [scan, image], e.g. [[id: 'sub-01_ses-A_T1w', visit: 'sub-01_ses-A', …], /data/a.nii.gz]
    code // map of step → fingerprint

    main:
    n4 = N4(scans, code.n4)

    // [scan, failure.json] of scans that are unusable, and of scans whose task never came to an end
    lost = unfinished('n4', scans.map { scan, _image -> scan }, n4.image.mix(n4.failure))
    failures = n4.failure.mix(lost)

    // [visit id, corrected image or []], one for every scan: e.g. ['sub-01_ses-A', sub-01_ses-A_desc-n4_T1w.nii.gz]
    outcomes = n4.image.mix(failures.map { scan, _file -> [scan, []] }).map { scan, image -> [scan.visit, image] }

    emit:
    outcomes
    failures
}
