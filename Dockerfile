# The image that the docker, podman, singularity, apptainer, k8s and awsbatch profiles run tasks in.
#   docker build -t localhost/babyseg-nf:0.1.0 .
FROM docker.io/library/python:3.11-slim-bookworm

# Nextflow's task wrapper needs ps; bash comes with the base.
RUN apt-get update \
    && apt-get install -y --no-install-recommends procps \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/babyseg
COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock
COPY pyproject.toml README.md ./
COPY babyseg_py babyseg_py
RUN pip install --no-cache-dir --no-deps .

# The network weights and the code of the pipeline come from the checkout: Nextflow stages them into each task.
ENV PYTHONNOUSERSITE=1
CMD ["babyseg", "--help"]
