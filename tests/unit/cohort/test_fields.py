"""Single cells of a samplesheet."""

import unicodedata
from pathlib import Path

import pytest

from babyseg_py.cohort import fields

STRANGE = [
    "$(touch x).nii.gz",
    "`touch x`.nii.gz",
    "a; rm -rf b.nii.gz",
    'it\'s "quoted".nii.gz',
    "back\\slash.nii.gz",
    "a b  c.nii.gz",
    "Ünïcödé-映像.nii.gz",
    "[a]{b,c}*?.nii.gz",
    "-rf.nii",
    "#x.nii",
    "~x.mgz",
    "A.NII.GZ",
]


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_data(tmp_path, name):
    (tmp_path / name).touch()
    assert fields.location(name, tmp_path) == str(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_of_no_file_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no such file"):
        fields.location(name, tmp_path)


def test_name_in_another_unicode_form_is_found(tmp_path):
    name = "Zoë.nii.gz"
    (tmp_path / unicodedata.normalize("NFD", name)).touch()
    found = fields.location(unicodedata.normalize("NFC", name), tmp_path)
    assert Path(found).exists()


def test_relative_absolute_and_file_addresses(tmp_path):
    (tmp_path / "a b.nii").touch()
    (tmp_path / "sub").mkdir()
    here = str(tmp_path / "a b.nii")
    assert fields.location("../a b.nii", tmp_path / "sub") == here
    assert fields.location(here, tmp_path / "elsewhere") == here
    assert fields.location((tmp_path / "a b.nii").as_uri(), tmp_path) == here


def test_parent_of_a_link_is_that_of_its_target(tmp_path):
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "a.nii").touch()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    assert fields.location("link/../a.nii", tmp_path) == str(tmp_path / "far" / "a.nii")


@pytest.mark.parametrize(
    "text",
    [
        *("s3://bucket/a b.nii.gz", "ssh://host/a.nii", "https://x/a.nii?token=1"),
        *("https:///a.nii.gz", "s3:///a.nii.gz", "http://:80/a.nii.gz", "http://me@/a.nii.gz"),
    ],
)
def test_addresses_that_cannot_be_staged(tmp_path, text):
    with pytest.raises(ValueError, match="address"):
        fields.location(text, tmp_path)


@pytest.mark.parametrize("text", ["s3://bucket/a.nii.gz", "https://host:80/x/a.nii", "gs://b/%20.mgz"])
def test_addresses_pass_as_they_are(tmp_path, text):
    assert fields.location(text, tmp_path) == text


@pytest.mark.parametrize("text", ["file://a.nii", "file:///a%00.nii", "file:///a%0A.nii"])
def test_file_addresses_of_no_file(tmp_path, text):
    with pytest.raises(ValueError, match=r"not the address of a file|no such file"):
        fields.location(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("../..", "a folder"),
        (".", "a folder"),
        ("x" * 4000, "File name too long"),
        ("none/a.nii", "looked for '/.*none/a.nii'"),
        ("$HOME/a.nii", "as it stands"),
        ("notes.txt", "does not end in .nii"),
    ],
)
def test_no_image(tmp_path, text, words):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=words):
        fields.location(text, tmp_path)


@pytest.mark.parametrize("text", ["7", "07", "7.0", "run-7", "run-07"])
def test_run(text):
    assert fields.run(text) == 7


@pytest.mark.parametrize("text", ["-1", "1.5", "one", "1e2", "٣", "99999", "9" * 5000])
def test_no_run(text):
    with pytest.raises(ValueError, match="whole number"):
        fields.run(text)


def test_labels_with_and_without_prefix():
    assert fields.label("sub-01", "sub-") == fields.label("01", "sub-") == "01"


@pytest.mark.parametrize(
    "text", ["sub-", "a_b", "a-b", "a b", "é", "../..", "$(touch x)", "; rm", "１", "x" * 65]
)
def test_no_label(text):
    with pytest.raises(ValueError, match=r"letters|characters"):
        fields.label(text, "sub-")


@pytest.mark.parametrize("text", ["T1-w", "T1w.nii", "dseg", "session", "manual"])
def test_no_suffix(text):
    with pytest.raises(ValueError, match=r"letters|word of the outputs"):
        fields.suffix(text)


def test_sex():
    assert [fields.sex(text) for text in ("M", "male", "f", "Female", "Other", "unknown")] == [
        "M", "M", "F", "F", "O", None,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="'1' is not one of"):
        fields.sex("1")
