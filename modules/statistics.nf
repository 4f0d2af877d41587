// Reliability, growth and associations with behaviour.
process STATISTICS {
    label 'cohort'

    input:
    path records
    path tables, stageAs: 'tables/*', arity: '1..*'
    path phenotype, stageAs: 'phenotype/scores.tsv', arity: '0..*'
    path shapes, stageAs: 'shapes/*', arity: '0..*'
    val harmonise
    val code

    output:
    path 'cohort/*.tsv', emit: tables, arity: '1..*'
    path 'cohort/*.json', emit: dictionaries
    path 'cohort/surfaces/*.{surf.gii,func.gii,vtk}', emit: surfaces, optional: true

    script:
    """
    # source ${code}
    mkdir -p cohort
    statistics \\
        --records ${records} \\
        --tables tables \\
        ${phenotype ? "--phenotype ${phenotype.first()}" : ''} \\
        ${shapes ? '--shapes shapes' : ''} \\
        ${harmonise ? '--harmonise' : ''} \\
        --out-dir cohort
    """

    stub:
    """
    mkdir -p cohort/surfaces
    touch cohort/surfaces/hemi-L_space-cohort_label-Hippocampus_desc-mean_mesh.surf.gii
    touch cohort/reliability.tsv cohort/growth.tsv cohort/associations.tsv
    touch cohort/association_visits.tsv cohort/behaviour_models.tsv cohort/specifications.tsv cohort/analyses.tsv
    touch cohort/growth_plausibility.tsv cohort/measurement_error.tsv cohort/matched_pairs.tsv cohort/match_balance.tsv cohort/matched_differences.tsv
    touch cohort/method_agreement.tsv cohort/method_volumes.tsv
    touch cohort/shape.tsv cohort/shape_vertices.tsv
    touch cohort/groups.tsv cohort/site_effects.tsv cohort/harmonised_volumes.tsv
    touch cohort/growth_models.tsv cohort/centiles.tsv cohort/child_centiles.tsv cohort/associations.json
    """
}
