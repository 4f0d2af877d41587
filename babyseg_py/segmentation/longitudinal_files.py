"""Files of a child's template and of its visits in it, under their BIDS names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from babyseg_py import __version__
from babyseg_py.images import Volume, save_image, save_labels
from babyseg_py.images.background import exact_background
from babyseg_py.labels.lut import DSEG_COLUMNS, label_files, write_dseg_table, write_lut
from babyseg_py.names import bids_name
from babyseg_py.registration.child_template import Template, transformed
from babyseg_py.registration.itk import write_displacements
from babyseg_py.registration.velocity import sample
from babyseg_py.writing import write_json

WORLD = (
    "the template of this child: RAS mm, origin in the middle of the brain, mean orientation and geometric "
    "mean size of the visits"
)
_BRIGHT = 99  # percentile of an image within the brain that becomes 1


@dataclass(frozen=True)
class ChildFiles:
    """A child and where its files go.

    Parameters
    ----------
    child : str
        Label without prefix.
    top : Path
        Folder of the dataset.
    strength : float
        Of the sharpening.
    sources : tuple of str
        Files of posteriors that all was made from.
    """

    child: str
    top: Path
    strength: float
    sources: tuple[str, ...]

    def path(self, suffix: str, extension: str, *, session: str | None = None, **entities: str) -> Path:
        """Path of one file of the child, or of one of its visits."""
        name = bids_name(
            participant=self.child, session=session, suffix=suffix, extension=extension, run=None, **entities
        )
        folder = self.top / f"sub-{self.child}"
        return (folder / f"ses-{session}" if session else folder) / "anat" / name


def write_labels(files: ChildFiles, labels: Volume, *, session: str | None = None) -> None:
    """Write a label map, of the template or of a visit, with its JSON and tables."""
    space = "session" if session else "template"
    path = files.path("dseg", ".nii.gz", session=session, space=space, desc="longitudinal")
    _, sidecar, table, lut = label_files(path)
    save_labels(labels, path)
    content = {
        "Manual": False,
        "Sources": list(files.sources),
        "GeneratedBy": {"Name": "babyseg", "Version": __version__},
        "Strength": files.strength,
        "Description": "most probable label of the mean posteriors of all visits"
        if session is None
        else "most probable label of the posteriors of this visit, sharpened by those of the other visits",
        "SpatialReference": WORLD if session is None else "the grid of this file",
    }
    write_json(sidecar, content | DSEG_COLUMNS)
    write_dseg_table(table)
    write_lut(lut)


def write_template_images(
    files: ChildFiles, template: Template, images: Mapping[str, tuple[str, Volume]]
) -> dict[str, Volume]:
    """Write a mean image of each contrast that lends a session its grid.

    Parameters
    ----------
    files : ChildFiles
    template : Template
        Its visits in the order of `images`.
    images : mapping of str to (str, Volume)
        By session: contrast and image.

    Returns
    -------
    dict of str to Volume
        The mean images by contrast, that of most visits first.
    """
    points = template.box.points()
    sums: dict[str, list[np.ndarray]] = {}
    for place in sorted(range(len(images)), key=lambda i: template.rank[i]):
        suffix, image = list(images.values())[place]
        index = transformed(template.to_visit(points, place), np.linalg.inv(image.affine))
        values = torch.from_numpy(np.ascontiguousarray(image.data, np.float32))[None]
        found = sample(values, index, outside="zeros")[0].numpy()
        bright = np.percentile(found[found > 0], _BRIGHT) if (found > 0).any() else 1.0
        sums.setdefault(suffix, []).append(found / bright)
    means = {}
    for suffix, found_of in sorted(sums.items(), key=lambda item: (-len(item[1]), item[0])):
        mean = Volume(np.mean(found_of, axis=0).round(3), template.box.affine)
        path = files.path(suffix, ".nii.gz", space="template", desc="mean")
        save_image(mean, path)
        words = f"mean of {len(found_of)} visits, each over its {_BRIGHT}th percentile"
        content = {
            "Sources": list(files.sources),
            "SpatialReference": WORLD,
            "SkullStripped": exact_background(mean.data) is not None,
            "Description": words,
        }
        write_json(path.with_name(path.name.removesuffix(".nii.gz") + ".json"), content)
        means[suffix] = mean
    return means


def write_ways(files: ChildFiles, template: Template, place: int, session: str) -> np.ndarray:
    """Write the transforms of a visit, both ways, and the logarithm of the Jacobian; return the Jacobian.

    Both fields have the nodes of the velocities, between which they are linear, as in the computation.
    """
    box, way = template.velocity_box, template.ways[place]
    points = box.points()
    there = template.to_visit(points, place) - points
    write_displacements(there.numpy(), box.affine, _way(files, session, "session", "template"))
    placed = way.affine @ box.affine
    world = transformed(points, way.affine)
    back = template.from_visit(world, place) - world
    write_displacements(back.numpy(), placed, _way(files, session, "template", "session"))

    jacobian = template.jacobian(place)
    half = template.box.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    logs = np.log(np.maximum(jacobian[::2, ::2, ::2], 1e-3)).round(4)
    path = files.path("map", ".nii.gz", session=session, space="template", desc="logjacobian")
    save_image(Volume(logs, half), path)
    words = "natural logarithm of how many times larger each point of the template is in this visit"
    write_json(path.with_name(path.name[:-7] + ".json"), {"Description": words, "SpatialReference": WORLD})
    return jacobian


def _way(files: ChildFiles, session: str, start: str, end: str) -> Path:
    return files.path("xfm", ".nii.gz", session=session, from_=start, to=end, mode="image")
