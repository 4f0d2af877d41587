// Train a network on label maps and write its weights; goes on from the checkpoint in run_dir.
process TRAIN_NETWORK {
    tag "${recipe.baseName}"
    label 'network'
    label 'training'

    input:
    tuple path(maps, stageAs: 'maps/*'), path(label_table, stageAs: 'table/*', arity: '0..*'), path(start, stageAs: 'start/*', arity: '0..*'), path(recipe)
    val run_dir
    val device
    val code

    output:
    path 'training/{weights.safetensors,log.csv}'

    script:
    """
    # source ${code}
    mkdir -p training '${run_dir}'
    train ${recipe} \\
        --pack maps/* \\
        ${label_table ? '--label-table table/*' : ''} \\
        ${start ? '--start start/*' : ''} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        -o '${run_dir}'
    train ${recipe} -o '${run_dir}' --export training/weights.safetensors
    cp '${run_dir}/log.csv' training/log.csv.part
    mv training/log.csv.part training/log.csv
    """

    stub:
    """
    mkdir -p training
    touch training/weights.safetensors training/log.csv
    """
}
