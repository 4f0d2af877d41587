// Bring the visits of one child to their mean, and sharpen their segmentations by one another.
process TEMPLATE {
    tag "${child.id}"
    label 'template'

    input:
    tuple val(child), path(images, arity: '2..*'), path(posteriors, arity: '2..*'), path(qc, arity: '2..*'), path(verdicts)
    val strength
    val code

    output:
    tuple val(child), path("${child.id}/anat/${child.id}_desc-template_qc.tsv"), emit: used, optional: true
    path "${child.id}/ses-*/anat/*_desc-sides_qc.tsv", emit: sides, optional: true
    path "${child.id}/ses-*/anat/*_desc-longitudinal_morph.tsv", emit: volumes, optional: true
    path "${child.id}/ses-*/anat/*_{space-session_desc-longitudinal_dseg,mode-image_xfm,desc-logjacobian_map}.nii.gz", emit: visits, optional: true
    path "${child.id}/anat/*.nii.gz", emit: template, optional: true
    path "${child.id}/anat/${child.id}_desc-template_snapshot.png", emit: picture, optional: true
    path "${child.id}/{anat,ses-*/anat}/*_{dseg.json,dseg.tsv,dseg_lut.txt,map.json,morph.json,qc.json,T1w.json,T2w.json}", emit: sidecars, optional: true
    tuple val(child), path("pipeline_info/failures/${child.id}.template.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p pipeline_info/failures
    template \\
        --child ${child.id} \\
        --images ${images.join(' ')} \\
        --posteriors ${posteriors.join(' ')} \\
        --qc ${qc.join(' ')} \\
        --verdicts ${verdicts} \\
        --strength ${strength} \\
        --threads ${task.cpus} \\
        --out-dir . \\
        --failure pipeline_info/failures/${child.id}.template.failure.json
    """

    stub:
    """
    mkdir -p ${child.id}/anat
    touch ${child.id}/anat/${child.id}_desc-template_qc.tsv
    touch ${child.id}/anat/${child.id}_desc-template_snapshot.png
    for file in ${posteriors.join(' ')}; do
        visit=\${file%_space-session_desc-babyseg_probseg.nii.gz}
        folder=${child.id}/\${visit#${child.id}_}/anat
        mkdir -p \$folder
        touch \$folder/\${visit}_desc-longitudinal_morph.tsv
    done
    """
}
