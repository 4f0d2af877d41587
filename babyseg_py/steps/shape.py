"""The step ``shape``: surfaces of the structures of one visit, and their spherical harmonics."""

import argparse

from babyseg_py.steps.arguments import visit_ids


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--visit", required=True, metavar="sub-X_ses-Y", help="id of the visit")
    words = "probabilities of all structures (4-D), or labels (3-D), in the world of the session"
    parser.add_argument("--posteriors", required=True, metavar="F", help=words)
    parser.add_argument("--out-dir", required=True, metavar="DIR", help="where all files of the visit go")


def run(args: argparse.Namespace) -> None:
    """Write the meshes, their table and the coefficients; a structure that fails is a row that says so."""
    from pathlib import Path
    from typing import Any

    import pandas as pd

    from babyseg_py.morphometry.shapes import (
        COLUMNS,
        find_shapes,
        read_posteriors,
        shape_row,
        write_descriptions,
    )
    from babyseg_py.names import bids_name
    from babyseg_py.statistics.files import write_table

    participant, session = visit_ids(args.visit)
    folder = Path(args.out_dir)

    def place(suffix: str, extension: str, **entities: str | None) -> Path:
        names: Any = {"participant": participant, "session": session, **entities}
        return folder / bids_name(suffix=suffix, extension=extension, **names)

    shapes = []
    for shape in find_shapes(read_posteriors(args.posteriors)):
        _write_mesh(shape, place)
        shapes.append(shape)
    table = pd.DataFrame([shape_row(shape) for shape in shapes], columns=list(COLUMNS))
    table.insert(0, "session_id", session)
    table.insert(0, "participant_id", participant)
    write_table(table, place("morph", ".tsv", desc="shape"), kind="shape_morph")
    coefficients = place("shape", ".json", space="session", desc="spharm")
    write_descriptions(shapes, coefficients, participant=participant, session=session)


def _write_mesh(shape, place) -> None:
    from babyseg_py.morphometry.shapes import base_name
    from babyseg_py.morphometry.surface_files import write_gifti, write_vtk

    if shape.surface is None:
        return
    structure, name = shape.structure, base_name(shape.structure)
    entities = {
        "space": "session",
        "label": name.replace("-", ""),
        "desc": "babyseg",
        "hemi": {"left": "L", "right": "R"}.get(structure.side),
    }
    mesh = shape.surface.mesh
    write_gifti(mesh, place("mesh", ".surf.gii", **entities), structure=name, side=structure.side)
    write_vtk(mesh, place("mesh", ".vtk", **entities), title=structure.name)
