// Draw the label contours of one visit over the scan whose grid is the session space: many slices, and a few to scale.
process SNAPSHOT {
    tag "${visit.id}"
    label 'volume'

    input:
    tuple val(visit), path(image), path(session_labels)
    val code

    output:
    tuple val(visit), path("${visit.folder}/${visit.id}_desc-contours_snapshot.png"), emit: picture, optional: true
    path "${visit.folder}/${visit.id}_desc-toscale_snapshot.png", emit: to_scale, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.snapshot.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    snapshot \\
        --visit ${visit.id} \\
        --image ${image} \\
        --dseg ${session_labels} \\
        -o ${visit.folder}/${visit.id}_desc-contours_snapshot.png \\
        --to-scale ${visit.folder}/${visit.id}_desc-toscale_snapshot.png \\
        --failure pipeline_info/failures/${visit.id}.snapshot.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    touch ${visit.folder}/${visit.id}_desc-{contours,toscale}_snapshot.png
    """
}
