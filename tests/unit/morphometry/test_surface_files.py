"""Meshes as files, read back by nibabel and by the words of the VTK format."""

import nibabel as nib
import numpy as np
import pytest

from babyseg_py.morphometry.alignment import icosphere
from babyseg_py.morphometry.meshes import Mesh, volume_mm3
from babyseg_py.morphometry.surface_files import ALIGNED, write_gifti, write_metric, write_vtk


@pytest.fixture
def mesh():
    directions, faces = icosphere(1)
    return Mesh(directions * [3, 4, 5] + [10, -20, 30], faces)


def test_gifti_is_in_scanner_space_and_names_its_structure(tmp_path, mesh):
    path = tmp_path / "a_mesh.surf.gii"
    write_gifti(mesh, path, structure="Hippocampus", side="left")
    image = nib.load(path)
    points, faces = image.agg_data()
    np.testing.assert_allclose(points, mesh.vertices, atol=1e-5)
    np.testing.assert_array_equal(faces, mesh.faces)
    array = image.get_arrays_from_intent("NIFTI_INTENT_POINTSET")[0]
    assert array.meta["AnatomicalStructurePrimary"] == "HippocampusLeft"
    assert (array.coordsys.dataspace, array.coordsys.xformspace) == (1, 1)
    np.testing.assert_array_equal(array.coordsys.xform, np.eye(4))


def read_vtk(path):
    """Read binary legacy polydata: header lines, points, polygons, scalars."""
    content = path.read_bytes()
    lines, place = [], 0
    for _ in range(4):
        end = content.index(b"\n", place)
        lines.append(content[place:end].decode())
        place = end + 1

    def block(dtype, width):
        nonlocal place
        end = content.index(b"\n", place)
        count = int(content[place:end].split()[1])
        place = end + 1
        data = np.frombuffer(content, dtype, count * width, place).reshape(count, width)
        place += data.nbytes + 1
        return data

    points, cells = block(">f4", 3), block(">i4", 4)
    return lines, points, cells, content[place:]


def test_vtk_is_lps_and_says_so(tmp_path, mesh):
    path = tmp_path / "a_mesh.vtk"
    write_vtk(mesh, path, title="Left-Hippocampus", values={"t": np.arange(len(mesh.vertices))})
    lines, points, cells, rest = read_vtk(path)
    assert lines[0] == "# vtk DataFile Version 3.0"
    assert lines[1].endswith("SPACE=LPS")
    assert lines[2:] == ["BINARY", "DATASET POLYDATA"]
    np.testing.assert_allclose(points, mesh.vertices * [-1, -1, 1], atol=1e-5)
    assert (cells[:, 0] == 3).all()
    assert volume_mm3(Mesh(points.astype(float), cells[:, 1:])) > 0
    assert rest.startswith(b"POINT_DATA 42\nSCALARS t float 1\nLOOKUP_TABLE default\n")


def test_vtk_keeps_the_other_numbers_as_fields(tmp_path, mesh):
    path, count = tmp_path / "a_mesh.vtk", len(mesh.vertices)
    values = {"t": np.arange(count), "effect_mm": np.arange(count) / 8, "p_max": np.ones(count)}
    write_vtk(mesh, path, title="Left-Hippocampus", values=values)
    rest = read_vtk(path)[3].split(b"LOOKUP_TABLE default\n")[1]
    assert np.frombuffer(rest, ">f4", count).tolist() == [*range(count)]
    rest = rest[4 * count :]
    assert rest.startswith(b"\nFIELD FieldData 2\neffect_mm 1 42 float\n")
    numbers = rest.split(b"42 float\n", 1)[1]
    assert np.frombuffer(numbers, ">f4", count)[-1] == (count - 1) / 8
    assert numbers[4 * count :].startswith(b"\np_max 1 42 float\n")


def test_a_metric_lies_on_the_surface_of_its_structure(tmp_path, mesh):
    numbers = np.linspace(-3, 3, len(mesh.vertices))
    names = {"structure": "Hippocampus", "side": "right"}
    write_gifti(mesh, tmp_path / "a_mesh.surf.gii", space=ALIGNED, **names)
    values = {"t": numbers, "p_max": numbers**2 / 9}
    write_metric(values, tmp_path / "a_statmap.func.gii", title="B - A", **names)
    metric, surface = nib.load(tmp_path / "a_statmap.func.gii"), nib.load(tmp_path / "a_mesh.surf.gii")
    assert metric.meta["AnatomicalStructurePrimary"] == "HippocampusRight"
    assert surface.darrays[0].meta["AnatomicalStructurePrimary"] == "HippocampusRight"
    assert surface.darrays[0].coordsys.dataspace == 2
    assert [one.meta["Name"] for one in metric.darrays] == ["t: B - A", "p_max: B - A"]
    np.testing.assert_allclose(metric.darrays[0].data, numbers, rtol=1e-6)
    np.testing.assert_allclose(metric.darrays[1].data, numbers**2 / 9, rtol=1e-6)
