// Segment one visit: from all of its scans together, and from each scan alone.
process SEGMENT {
    tag "${visit.id}"
    label 'network'

    input:
    tuple val(visit), path(images, arity: '1..*'), path(registration), val(age_months), path(corrected, stageAs: 'corrected/*', arity: '0..*')
    path weights
    tuple val(device), val(precision), val(labels), val(keep_posteriors)
    val code

    output:
    tuple val(visit), path("${visit.folder}/*_desc-babyseg_dseg.nii.gz"), path("${visit.folder}/${visit.id}_desc-posterior_volumes.json"), emit: labels, optional: true
    tuple val(visit), path("${visit.folder}/${visit.id}_desc-segmentation_qc.tsv"), emit: qc, optional: true
    tuple val(visit), path("${visit.folder}/${visit.id}_space-session_desc-babyseg_probseg.nii.gz"), emit: posteriors, optional: true
    path "${visit.folder}/*_desc-uncertainty_map.nii.gz", emit: uncertainty, optional: true
    path "${visit.folder}/*_desc-{fuller_dseg,brain_mask}.nii.gz", emit: fuller, optional: true
    path "${visit.folder}/${visit.id}_desc-fuller_morph.tsv", emit: fuller_volumes, optional: true
    path "${visit.folder}/*_{dseg.json,dseg.tsv,dseg_lut.txt,probseg.json,mask.json,qc.json,morph.json}", emit: sidecars, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.segment.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    segment ${images.join(' ')} \\
        --registration ${registration} \\
        --visit ${visit.id} \\
        --out-dir ${visit.folder} \\
        ${age_months == null ? '' : "--age-months ${age_months}"} \\
        ${corrected ? '--corrected corrected/*' : ''} \\
        ${keep_posteriors ? '--keep-posteriors' : ''} \\
        --weights ${weights} \\
        --device ${device} \\
        --precision ${precision} \\
        --labels ${labels} \\
        --threads ${task.cpus} \\
        --failure pipeline_info/failures/${visit.id}.segment.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    cd ${visit.folder}
    touch ${visit.id}_space-session_desc-babyseg_dseg.nii.gz
    touch ${visit.id}_space-session_desc-babyseg_dseg.json
    touch ${visit.id}_space-session_desc-babyseg_dseg.tsv
    touch ${visit.id}_space-session_desc-babyseg_dseg_lut.txt
    touch ${visit.id}_space-session_desc-uncertainty_map.nii.gz
    ${keep_posteriors ? "touch ${visit.id}_space-session_desc-babyseg_probseg.nii.gz" : ''}
    touch ${visit.id}_desc-posterior_volumes.json
    touch ${visit.id}_desc-segmentation_qc.tsv
    ${labels == 'fuller' ? "touch ${visit.id}_space-session_desc-{fuller_dseg,brain_mask}.nii.gz ${visit.id}_desc-fuller_morph.tsv" : ''}
    for image in ${images.collect { image -> image.name.replaceAll(/_desc-n4_(\w+)\.nii\.gz/, '_space-$1') }.join(' ')}; do
        touch "\${image}_desc-babyseg_dseg.nii.gz"
    done
    """
}
