// Bring the scans of one visit into one session space.
process REGISTER {
    tag "${visit.id}"
    label 'volume'

    input:
    tuple val(visit), path(images, arity: '1..*')
    val code

    output:
    tuple val(visit), path("${visit.folder}/${visit.id}_desc-session_registration.json"), emit: registration, optional: true
    path "${visit.folder}/*_xfm.mat", emit: transforms, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.register.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    register ${images.join(' ')} \\
        --out-dir ${visit.folder} \\
        --visit ${visit.id} \\
        --threads ${task.cpus} \\
        --failure pipeline_info/failures/${visit.id}.register.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    echo '{"reference": "${images.first().name}"}' > ${visit.folder}/${visit.id}_desc-session_registration.json
    touch ${visit.folder}/${visit.id}_from-T1w_to-session_mode-image_xfm.mat
    """
}
