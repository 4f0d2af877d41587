// Surfaces of one visit's structures, and their spherical harmonics.
process SHAPE {
    tag "${visit.id}"
    label 'volume'

    input:
    tuple val(visit), path(posteriors)
    val code

    output:
    tuple val(visit), path("${visit.folder}/${visit.id}_space-session_desc-spharm_shape.json"), emit: coefficients, optional: true
    path "${visit.folder}/${visit.id}_desc-shape_morph.{tsv,json}", emit: tables, optional: true
    path "${visit.folder}/*_mesh.{surf.gii,vtk}", emit: meshes, optional: true
    tuple val(visit), path("pipeline_info/failures/${visit.id}.shape.failure.json"), emit: failure, optional: true

    script:
    """
    # source ${code}
    mkdir -p ${visit.folder} pipeline_info/failures
    shape \\
        --visit ${visit.id} \\
        --posteriors ${posteriors} \\
        --out-dir ${visit.folder} \\
        --failure pipeline_info/failures/${visit.id}.shape.failure.json
    """

    stub:
    """
    mkdir -p ${visit.folder}
    touch ${visit.folder}/${visit.id}_space-session_desc-spharm_shape.json
    touch ${visit.folder}/${visit.id}_desc-shape_morph.tsv
    """
}
