// Describe the dataset, and the software and the parameters that made it.
process PROVENANCE {
    label 'cohort'

    input:
    path parameters
    val nextflow_version
    val code

    output:
    path 'dataset_description.json', emit: description
    path '.bidsignore', emit: bidsignore
    path 'pipeline_info/software_versions.json', emit: versions
    path 'pipeline_info/parameters.json', emit: parameters

    script:
    """
    # source ${code}
    provenance --parameters ${parameters} --nextflow ${nextflow_version} --out-dir .
    """

    stub:
    """
    mkdir pipeline_info
    touch dataset_description.json .bidsignore pipeline_info/software_versions.json pipeline_info/parameters.json
    """
}
