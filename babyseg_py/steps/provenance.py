"""Say what ran: the description of the derivatives dataset, software versions and parameters."""

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from babyseg_py import __version__

# The software that has a part in the results, by the names of its distributions.
SOFTWARE = (
    "antspyx", "connected-components-3d", "edt", "matplotlib", "nibabel", "numpy", "pandas", "pingouin",
    "pybids", "pyshtools", "scikit-image", "scipy", "statsmodels", "torch",
)  # fmt: skip
BIDS_VERSION = "1.10.0"
# What BIDS derivatives have no name for.
NOT_BIDS = (
    "cohort", "children", "pipeline_info", "ledger.tsv", "ledger.json", "qc_verdicts.tsv",
    "qc_verdicts.json",
    "report.html", "references.bib",
    "*_desc-uncertainty_map.nii.gz",
    "*_dseg_lut.txt", "*_snapshot.png", "*_morph.tsv", "*_qc.tsv",
    "*_morph.json", "*_qc.json",
    "*_mesh.surf.gii", "*_mesh.vtk", "*_shape.json",
    "*_volumes.json", "*_registration.json", "*_xfm.mat", "*_xfm.nii.gz",
    "*_desc-logjacobian_map.nii.gz", "*_desc-logjacobian_map.json",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``babyseg provenance``."""
    parser.add_argument("--parameters", required=True, metavar="F.json", help="parameters of the run")
    parser.add_argument("--nextflow", metavar="VERSION", help="version of Nextflow that runs the pipeline")
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="top folder of the dataset")


def run(args: argparse.Namespace) -> None:
    """Write dataset_description.json, .bidsignore and pipeline_info/{software_versions,parameters}.json."""
    top = Path(args.out_dir)
    info = top / "pipeline_info"
    info.mkdir(parents=True, exist_ok=True)
    versions = software_versions(nextflow=args.nextflow)
    _write_json(info / "software_versions.json", versions)
    _write_json(info / "parameters.json", json.loads(Path(args.parameters).read_text(encoding="utf-8")))
    _write_json(top / "dataset_description.json", dataset_description(versions["babyseg"]))
    _write(top / ".bidsignore", "".join(f"{pattern}\n" for pattern in NOT_BIDS))


def software_versions(*, nextflow: str | None = None) -> dict[str, str]:
    """Return the versions of the software that is installed here, by name."""
    versions = {"babyseg": __version__, "python": platform.python_version()}
    if nextflow:
        versions["nextflow"] = nextflow
    for name in SOFTWARE:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def dataset_description(babyseg_version: str, /) -> dict[str, object]:
    """Return the content of ``dataset_description.json`` for a derivatives dataset."""
    return {
        "Name": "BabySeg-NF derivatives",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "BabySeg-NF", "Version": babyseg_version}],
    }


def _write_json(path: Path, content: object) -> None:
    _write(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
