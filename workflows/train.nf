// From label maps to network weights: the same code as `babyseg train`.

include { TRAIN_NETWORK } from '../modules/train'

workflow TRAIN {
    take:
    inputs // map of files: [maps: folder, table: [table.tsv] or [], start: [weights.safetensors] or [], recipe: recipe.yaml, run_dir: '/abs/results/training/run']
    options // map of parameters: [device: 'auto', …]
    code // map of step → fingerprint of its source

    main:
    trained = TRAIN_NETWORK([inputs.maps, inputs.table, inputs.start, inputs.recipe], inputs.run_dir, options.device, code.train)

    emit:
    trained
}
