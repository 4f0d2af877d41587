// Correct the bias field of one scan, on its own grid.
process N4 {
    tag "${scan.id}"
    label 'volume'

    input:
    tuple val(scan), path("scan/${scan.id}${scan.extension}")
    val code

    output:
    tuple val(scan), path("${scan.folder}/*_desc-n4_${scan.suffix}.nii.gz"), emit: image, optional: true
    path "${scan.folder}/*_desc-n4_${scan.suffix}.json", emit: report, optional: true
    tuple val(scan), path("pipeline_info/failures/${scan.id}.n4.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${scan.folder} pipeline_info/failures
    n4 scan/${scan.id}${scan.extension} \\
        -o ${scan.folder}/${scan.stem}_desc-n4_${scan.suffix}.nii.gz \\
        --report ${scan.folder}/${scan.stem}_desc-n4_${scan.suffix}.json \\
        --threads ${task.cpus} \\
        --failure pipeline_info/failures/${scan.id}.n4.failure.json
    """

    stub:
    """
    mkdir -p ${scan.folder}
    touch ${scan.folder}/${scan.stem}_desc-n4_${scan.suffix}.nii.gz
    touch ${scan.folder}/${scan.stem}_desc-n4_${scan.suffix}.json
    """
}
