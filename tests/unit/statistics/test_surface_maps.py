"""What was found is on the mean surfaces as it is in the table, for every program that reads them."""

import nibabel as nib
import numpy as np
import pytest
from cohort_of_shapes import scores_of, shapes_of, write_study

from babyseg_py.cli import main
from babyseg_py.morphometry.meshes import Mesh, volume_mm3
from babyseg_py.statistics.contrasts import Contrast, with_keys
from babyseg_py.statistics.files import read_table
from babyseg_py.statistics.surface_maps import write_surface_maps


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the files of a study with two contrasts; return its table and the folder."""
    folder = tmp_path_factory.mktemp("study")
    study = write_study(folder, bump_mm=(0.0, 1.0))
    shapes = shapes_of(study, phenotype=scores_of(iq_total=[n % 7 for n in range(24)]), scores=["iq_total"])
    write_surface_maps(shapes.maps, folder)
    table = shapes.tables["shape"]
    return table[table["surface"].notna()], folder


def mesh_of(row, folder):
    """Read the mesh that belongs to a row: same hemi and label."""
    start = row["surface"].partition("_desc-")[0]
    return Mesh(*nib.load(folder / f"{start}_desc-mean_mesh.surf.gii").agg_data())


def as_left(points, row):
    return points * ([-1, 1, 1] if row["side"] == "right" else [1, 1, 1])


def test_every_comparison_has_its_files_and_no_other_is_there(written):
    table, folder = written
    assert table["side"].tolist() == [*["left", "right", "asymmetry"] * 2, "asymmetry"]
    assert table["surface"].tolist()[0] == (
        "surfaces/hemi-L_space-cohort_label-Hippocampus_desc-BMinusA_statmap.func.gii"
    )
    metrics = {path.name for path in (folder / "surfaces").glob("*_statmap.func.gii")}
    assert metrics == {name.removeprefix("surfaces/") for name in table["surface"]}
    assert {path.name for path in (folder / "surfaces").glob("*_mesh.vtk")} == {
        name.replace("_statmap.func.gii", "_mesh.vtk") for name in metrics
    }
    assert len([*(folder / "surfaces").glob("*_desc-mean_mesh.surf.gii")]) == 3
    assert table["surface"].tolist()[-1] == (
        "surfaces/space-cohort_label-Hippocampus_desc-leftMinusRight_statmap.func.gii"
    )
    assert not [*(folder / "surfaces").glob(".*")]


def test_the_largest_t_in_the_file_is_that_of_the_table(written):
    table, folder = written
    for row in table.to_dict("records"):
        t, effect, p = nib.load(folder / row["surface"]).agg_data()
        best = int(np.abs(t).argmax())
        assert t[best] == pytest.approx(row["t_max"], rel=1e-5)
        assert effect[best] == pytest.approx(row["effect_mm"], rel=1e-5)
        assert p.min() == pytest.approx(row["p_max"], rel=1e-5)
        place = as_left(mesh_of(row, folder).vertices[best], row)
        np.testing.assert_allclose(place, [row["x_mm"], row["y_mm"], row["z_mm"]], atol=1e-4)


def test_meshes_face_outwards_and_the_right_one_mirrors_the_left(written):
    table, folder = written
    left, right = (mesh_of(row, folder) for row in table.to_dict("records")[:2])
    assert volume_mm3(left) == pytest.approx(volume_mm3(right), rel=1e-5)
    assert volume_mm3(left) > 1000
    np.testing.assert_allclose(right.vertices, left.vertices * [-1, 1, 1])


def test_vtk_holds_the_same_in_lps(written):
    table, folder = written
    row = table.iloc[1]
    content = (folder / row["surface"].replace("_statmap.func.gii", "_mesh.vtk")).read_bytes()
    assert content.split(b"\n")[1] == b"right Hippocampus, BMinusA SPACE=LPS"
    points = np.frombuffer(content.split(b"POINTS 642 float\n", 1)[1], ">f4", 3 * 642).reshape(-1, 3)
    np.testing.assert_allclose(points, mesh_of(row, folder).vertices * [-1, -1, 1], atol=1e-5)
    t = np.frombuffer(content.split(b"LOOKUP_TABLE default\n", 1)[1], ">f4", 642)
    np.testing.assert_array_equal(t, nib.load(folder / row["surface"]).agg_data()[0])


def test_the_step_writes_them_beside_its_tables(simulated, tmp_path):
    files = simulated(tmp_path, children=12)
    (tmp_path / "shapes").mkdir()
    write_study(tmp_path / "shapes", bump_mm=(1.0, 1.0), children=12, digits=3)
    words = files.statistics("--shapes", str(tmp_path / "shapes"))
    assert main(files.tables()) == main(words) == 0
    table = read_table(files.folder / "cohort" / "shape.tsv").dropna(subset=["surface"])
    assert table["contrast"].tolist() == ["left - right"]
    assert (files.folder / "cohort" / table["surface"].iloc[0]).is_file()
    ran = read_table(files.folder / "cohort" / "analyses.tsv").set_index("analysis").loc["shape", "reason"]
    assert ran == "ran on 12 of 12 children, as there are surfaces of 10 children or more"


def test_keys_of_contrasts_are_letters_and_digits_and_differ():
    names = ["B - A", "iq_total", "iq-total", "IQTotal", "認知"]
    contrasts = [Contrast(name, "score", None, None, None, "", "", ()) for name in names]
    keys = [one.key for one in with_keys(contrasts)]
    assert keys == ["BMinusA", "iqTotal", "iqTotal2", "IQTotal3", "contrast"]
