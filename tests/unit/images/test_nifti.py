"""Reading and writing of image files: odd ones are served, unusable ones are named."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from written_image import write

from babyseg_py.errors import UnusableData, UsageError
from babyseg_py.images import Volume, inspect_header, load_image, save_image
from babyseg_py.images.geometry import reorient

# Odd, and served.


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mgz", "a.mgh"])
def test_formats(tmp_path, data, oblique_affine, name):
    cls = nib.MGHImage if ".mg" in name else nib.Nifti1Image
    nib.save(cls(data, oblique_affine), tmp_path / name)
    volume = load_image(tmp_path / name)
    assert np.array_equal(volume.data, data)
    assert volume.data.dtype == np.float32
    assert np.allclose(volume.affine, oblique_affine, atol=1e-5)


def test_nifti2(tmp_path, data, oblique_affine):
    path = write(tmp_path / "a.nii.gz", data, oblique_affine, cls=nib.Nifti2Image)
    assert inspect_header(path).kind == "NIfTI-2"
    assert np.array_equal(load_image(path).data, data)


def test_format_is_known_by_content_not_by_name(tmp_path, data, oblique_affine):
    plain = write(tmp_path / "a.nii", data, oblique_affine)
    plain.rename(tmp_path / "staged.nii.gz")
    assert np.array_equal(load_image(tmp_path / "staged.nii.gz").data, data)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_types_and_byte_orders(tmp_path, data, oblique_affine, dtype, order):
    values = data.astype(dtype)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(order))
    nib.save(nib.Nifti1Image(values, oblique_affine, header), tmp_path / "a.nii")
    assert inspect_header(tmp_path / "a.nii").dtype.newbyteorder("=") == np.dtype(dtype)
    assert np.array_equal(load_image(tmp_path / "a.nii").data, values.astype(np.float32))


def test_scaled_integers(tmp_path, data, oblique_affine):
    image = nib.Nifti1Image(data.astype(np.int16), oblique_affine)
    image.header.set_slope_inter(0.5, -20)
    nib.save(image, tmp_path / "a.nii.gz")
    stored = nib.load(tmp_path / "a.nii.gz").get_fdata()
    assert np.allclose(load_image(tmp_path / "a.nii.gz").data, stored, atol=1e-4)


def test_fourth_dimension_of_one_is_dropped(tmp_path, data, oblique_affine):
    path = write(tmp_path / "a.nii.gz", data[..., None], oblique_affine)
    assert np.array_equal(load_image(path).data, data)
    assert inspect_header(path).shape == (7, 8, 9)


def test_negative_values_are_kept(tmp_path, data, oblique_affine):
    path = write(tmp_path / "a.nii.gz", data - 150, oblique_affine)
    assert np.array_equal(load_image(path).data, data - 150)


def test_nan_and_infinity_become_zero(tmp_path, data, oblique_affine):
    data[0], data[1, 0, 0] = np.nan, np.inf
    volume = load_image(write(tmp_path / "a.nii.gz", data, oblique_affine))
    assert (volume.data[0] == 0).all()
    assert volume.data[1, 0, 0] == 0
    assert np.array_equal(volume.data[2:], data[2:])


@pytest.mark.parametrize(("sform", "qform"), [(1, 0), (0, 1), (2, 1), (4, 4)])
def test_either_form_alone_or_both(tmp_path, data, oblique_affine, sform, qform):
    path = write(tmp_path / "a.nii.gz", data, oblique_affine, sform=sform, qform=qform)
    volume = load_image(path)
    assert np.allclose(volume.affine, oblique_affine, atol=1e-5)
    assert volume.space_code == (sform or qform)


def test_form_without_code_is_not_read(tmp_path, data, oblique_affine):
    """A qform left over from elsewhere means nothing when its code is 0."""
    path = write(tmp_path / "a.nii", data, oblique_affine)
    content = bytearray(path.read_bytes())
    content[252:254] = b"\0\0"  # qform_code
    content[268:272] = np.float32(500).tobytes()  # qoffset_x
    path.write_bytes(content)
    assert np.allclose(load_image(path).affine, oblique_affine, atol=1e-5)


def test_rounding_between_the_forms_is_no_contradiction(tmp_path, data, oblique_affine):
    path = tmp_path / "a.nii.gz"
    image = nib.Nifti1Image(data, oblique_affine)
    image.set_qform(oblique_affine, 1)
    near = oblique_affine.copy()
    near[:3, 3] += 0.1
    image.set_sform(near, 1)
    nib.save(image, path)
    assert np.allclose(load_image(path).affine, near, atol=1e-5)


def test_sform_that_disagrees_with_pixdim_is_used_and_noted(tmp_path, data):
    image = nib.Nifti1Image(data, np.eye(4))
    image.set_sform(np.diag([0.8, 0.8, 0.8, 1]), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    header = inspect_header(tmp_path / "a.nii.gz")
    assert np.allclose(header.spacing_mm, 0.8)
    assert "pixdim" in header.notes[0]


@pytest.mark.parametrize("spacing", [(0.3, 0.3, 0.3), (0.5, 0.5, 6.0)])
def test_fine_and_thick_voxels(tmp_path, data, spacing):
    path = write(tmp_path / "a.nii.gz", data, np.diag([*spacing, 1]))
    assert np.allclose(load_image(path).spacing_mm, spacing)


@pytest.mark.parametrize("axcodes", ["RAS", "LIA", "PSR", "SLA"])
def test_written_grid_is_the_read_grid(tmp_path, data, oblique_affine, axcodes):
    turned = reorient(Volume(data, oblique_affine), axcodes)
    source = write(tmp_path / "a.nii.gz", turned.data, turned.affine)
    volume = load_image(source)
    save_image(volume, tmp_path / "b.nii.gz")
    assert np.array_equal(nib.load(tmp_path / "b.nii.gz").affine, nib.load(source).affine)
    assert np.array_equal(load_image(tmp_path / "b.nii.gz").data, turned.data)


# Unusable, and named.


def spoil(path, kind, data, affine):
    """Write a file with a fault."""
    if kind == "missing":
        return path
    if kind == "folder":
        path.mkdir()
        return path
    if kind == "dangling link":
        path.symlink_to(path.parent / "nowhere")
        return path
    if kind in CONTENT:
        path.write_bytes(CONTENT[kind])
        return path
    if kind in VALUES:
        data = VALUES[kind](data)
    write(path, data, affine)
    if kind in BYTES:
        content = bytearray(gzip.decompress(path.read_bytes()))
        for place, value in BYTES[kind]:
            content[place : place + len(value)] = value
        path.write_bytes(gzip.compress(content))
    if kind in CUTS:
        path.write_bytes(CUTS[kind](path.read_bytes()))
    return path


def float32(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


CONTENT = {
    "zero bytes": b"",
    "text": b"participant_id\tage\n01\t3\n" * 40,
    "binary": bytes(range(256)) * 8,
    "short": b"\0\1\2",
    "dicom": b"\0" * 128 + b"DICM" + b"\0" * 999,
    "lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
    "text in gzip": gzip.compress(b"no image here " * 99),
}
VALUES = {
    "constant": lambda data: data * 0 + 3,
    "all zero": lambda data: data * 0,
    "all nan": lambda data: data * np.nan,
    "2-D": lambda data: data[..., 0],
    "one slice": lambda data: data[..., :1],
    "two volumes": lambda data: np.stack([data, data], axis=-1),
    "complex": lambda data: data.astype(np.complex64),
    "colour": lambda data: np.zeros(data.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]),
}
BYTES = {
    "no orientation": [(252, b"\0\0\0\0")],
    "contradictory shift": [(268, float32(40))],
    "contradictory flip": [(76, float32(-1))],
    "singular": [(252, b"\0\0"), (280, float32(1, 0, 0, 0) * 3)],
    "zero sform": [(252, b"\0\0"), (280, float32(*[0] * 12))],
    "nan affine": [(252, b"\0\0"), (280, float32(np.nan))],
    "metres": [(252, b"\0\0"), (280, float32(0.001, 0, 0, 0, 0, 0.001, 0, 0, 0, 0, 0.001, 0))],
    "zero pixdim": [(254, b"\0\0"), (80, float32(0))],
    "bad quaternion": [(256, float32(3, 3, 3))],
    "unknown type": [(70, b"\x77\x77")],
    "negative dimension": [(42, b"\xff\xff")],
    "no dimensions": [(40, b"\0\0")],
    "huge": [(42, b"\xff\x7f\xff\x7f\xff\x7f")],
    "promises more": [(42, b"\x00\x03\x00\x03\x00\x03")],
    "pair": [(344, b"ni1\0")],
    "no offset": [(108, float32(np.nan))],
    "far away": [(252, b"\0\0"), (292, float32(1e30))],
    "unknown space": [(252, b"\0\0\x63\0")],
}
CUTS = {
    "cut in the data": lambda content: content[: len(content) // 2],
    "cut in the header": lambda content: content[:60],
    "cut in the checksum": lambda content: content[:-5],
    "flipped bits": lambda content: (
        content[:-300] + bytes(255 - b for b in content[-300:-290]) + content[-290:]
    ),
    "wrong checksum": lambda content: content[:-8] + b"\1\2\3\4" + content[-4:],
    "cut, not compressed": lambda content: gzip.decompress(content)[:-100],
}
MESSAGES = {
    "missing": "no such file",
    "folder": "is a folder",
    "dangling link": "is a link to .* datalad",
    "zero bytes": "empty .0 bytes",
    "text": "is text, not an image",
    "binary": "neither a NIfTI nor an MGH",
    "short": "too short",
    "dicom": "DICOM .* dcm2niix",
    "lfs pointer": "pointer .* git lfs pull",
    "text in gzip": "is text",
    "constant": "every voxel has the value 3",
    "all zero": "every voxel has the value 0",
    "all nan": "no voxel has a finite value",
    "2-D": "not three-dimensional .7 x 8 voxels",
    "one slice": "not three-dimensional .7 x 8 x 1 voxels",
    "two volumes": "holds 2 volumes",
    "complex": "complex values",
    "colour": "colour",
    "no orientation": "neither sform nor qform",
    "contradictory shift": r"contradict .*51\.\d mm apart",
    "contradictory flip": r"contradict .* mm apart; left in the one is right in the other",
    "singular": "singular",
    "zero sform": "singular",
    "nan affine": "not finite",
    "metres": "voxels of 0.001 x 0.001 x 0.001 mm .* units",
    "zero pixdim": "singular",
    "bad quaternion": "header is damaged",
    "unknown type": "header is damaged",
    "negative dimension": "header is damaged",
    "no dimensions": "header is damaged|not three-dimensional",
    "huge": "more than 1,073,741,824 voxels",
    "promises more": "truncated: .* bytes on disk",
    "pair": "pair of files",
    "no offset": "header is damaged",
    "far away": r"puts the image 1e\+30 mm away",
    "cut in the data": "gzip stream is truncated",
    "cut in the header": "gzip stream is truncated",
    "cut in the checksum": "gzip stream is truncated",
    "flipped bits": "gzip stream is damaged",
    "wrong checksum": "gzip stream is damaged",
    "cut, not compressed": "truncated: .* bytes on disk",
}
DATA_FAULTS = {"constant", "all zero", "all nan", *CUTS} - {"cut in the header", "cut, not compressed"}


@pytest.mark.parametrize("kind", MESSAGES)
def test_fault(tmp_path, data, oblique_affine, kind):
    path = spoil(tmp_path / "scan.nii.gz", kind, data, oblique_affine)
    with pytest.raises(UnusableData, match=MESSAGES[kind]) as caught:
        load_image(path)
    assert caught.value.path == str(path)
    assert caught.value.advice
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", sorted(set(MESSAGES) - DATA_FAULTS))
def test_fault_of_the_header_is_found_without_the_data(tmp_path, data, oblique_affine, kind):
    path = spoil(tmp_path / "scan.nii.gz", kind, data, oblique_affine)
    with pytest.raises(UnusableData, match=MESSAGES[kind]):
        inspect_header(path)


@pytest.mark.parametrize("place", [4, 8, 12, 16])
def test_mgh_without_voxels(tmp_path, data, oblique_affine, place):
    """One of its four dimensions is 0."""
    path = tmp_path / "a.mgh"
    nib.save(nib.MGHImage(data, oblique_affine), path)
    content = bytearray(path.read_bytes())
    content[place : place + 4] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(UnusableData, match="the header is damaged"):
        load_image(path)


def test_mgh_without_orientation(tmp_path, data, oblique_affine):
    path = tmp_path / "a.mgh"
    nib.save(nib.MGHImage(data, oblique_affine), path)
    content = bytearray(path.read_bytes())
    content[28:30] = b"\0\0"
    path.write_bytes(content)
    with pytest.raises(UnusableData, match="left and right"):
        load_image(path)


def test_header_is_read_from_the_first_bytes_only(tmp_path, data, oblique_affine):
    path = write(tmp_path / "a.nii.gz", np.tile(data, (9, 9, 9)), oblique_affine)
    path.write_bytes(path.read_bytes()[:-5000])
    assert inspect_header(path).shape == (63, 72, 81)


# Writing.


def test_both_forms_are_written_alike(tmp_path, data, oblique_affine):
    save_image(Volume(data, oblique_affine, space_code=4), tmp_path / "a.nii.gz")
    header = nib.load(tmp_path / "a.nii.gz").header
    assert np.allclose(header.get_sform(), oblique_affine, atol=1e-5)
    assert np.allclose(header.get_qform(), oblique_affine, atol=1e-5)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (4, 4)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_data_dtype() == np.float32


def test_sheared_grid_has_an_sform_only(tmp_path, data, oblique_affine):
    sheared = oblique_affine @ np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    save_image(Volume(data, sheared), tmp_path / "a.nii.gz")
    header = nib.load(tmp_path / "a.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    assert np.allclose(load_image(tmp_path / "a.nii.gz").affine, sheared, atol=1e-5)


def test_same_volume_same_bytes(tmp_path, data, oblique_affine):
    volume = Volume(data, oblique_affine)
    save_image(volume, tmp_path / "a.nii.gz")
    save_image(volume, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_nothing_else_is_left_in_the_folder(tmp_path, data, oblique_affine):
    save_image(Volume(data, oblique_affine), tmp_path / "sub" / "a.nii")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.nii"]


def test_a_failed_write_leaves_the_old_file(tmp_path, data, oblique_affine):
    (tmp_path / "a.nii.gz").mkdir()
    with pytest.raises(UnusableData, match="could not be written"):
        save_image(Volume(data, oblique_affine), tmp_path / "a.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]


def test_unknown_output_format_is_a_usage_error(tmp_path, data, oblique_affine):
    with pytest.raises(UsageError, match=r"\.nii\.gz"):
        save_image(Volume(data, oblique_affine), tmp_path / "a.png")


def test_a_space_that_nifti_does_not_know_is_the_scanner(tmp_path, data, oblique_affine):
    volume = load_image(spoil(tmp_path / "a.nii.gz", "unknown space", data, oblique_affine))
    save_image(volume, tmp_path / "b.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").header["sform_code"] == 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e300), (1e200, 1e300), (0.0, 1e-300), (1.0, 1 + 1e-12)])
def test_values_that_float32_cannot_hold(tmp_path, oblique_affine, low, high):
    """Where nothing is left of them it is said, and not that the file has one value everywhere."""
    data = np.full((7, 8, 9), low)
    data[2:5, 2:6, 2:6] = high
    path = write(tmp_path / "a.nii.gz", data, oblique_affine)
    with pytest.raises(UnusableData, match="32-bit numbers cannot hold"):
        load_image(path)
