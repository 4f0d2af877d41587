"""Every name of the output, built and read back."""

import pytest

from babyseg_py.names import bids_name, parse_name, scan_id, scan_label, scan_of, visit_id, visit_of

SESSION_LABELS = {"suffix": "dseg", "space": "session", "desc": "babyseg"}
CONTRACT = [
    ("sub-01_ses-A_T1w.nii.gz", {"suffix": "T1w"}),
    ("sub-01_ses-A_desc-n4_T1w.nii.gz", {"suffix": "T1w", "desc": "n4"}),
    ("sub-01_ses-A_run-2_desc-n4_FLAIR.nii.gz", {"suffix": "FLAIR", "run": 2, "desc": "n4"}),
    (
        "sub-01_ses-A_from-T1w_to-session_mode-image_xfm.mat",
        {"suffix": "xfm", "mode": "image", "to": "session", "from": "T1w"},
    ),
    (
        "sub-01_ses-A_run-1_from-T2w_to-session_mode-image_xfm.mat",
        {"suffix": "xfm", "mode": "image", "to": "session", "from": "T2w", "run": 1},
    ),
    ("sub-01_ses-A_desc-session_registration.json", {"suffix": "registration", "desc": "session"}),
    ("sub-01_ses-A_space-session_desc-babyseg_dseg.nii.gz", SESSION_LABELS),
    ("sub-01_ses-A_space-session_desc-babyseg_dseg.json", SESSION_LABELS),
    ("sub-01_ses-A_space-session_desc-babyseg_dseg.tsv", SESSION_LABELS),
    (
        "sub-01_ses-A_run-2_space-T1w_desc-babyseg_dseg.nii.gz",
        {"suffix": "dseg", "desc": "babyseg", "space": "T1w", "run": 2},
    ),
    (
        "sub-01_ses-A_space-session_desc-uncertainty_map.nii.gz",
        {"suffix": "map", "desc": "uncertainty", "space": "session"},
    ),
    ("sub-01_ses-A_desc-posterior_volumes.json", {"suffix": "volumes", "desc": "posterior"}),
    ("sub-01_ses-A_desc-volumes_morph.tsv", {"suffix": "morph", "desc": "volumes"}),
    ("sub-01_ses-A_desc-scanvolumes_morph.tsv", {"suffix": "morph", "desc": "scanvolumes"}),
    ("sub-01_ses-A_desc-surfacedistance_qc.tsv", {"suffix": "qc", "desc": "surfacedistance"}),
    ("sub-01_ses-A_desc-segmentation_qc.tsv", {"suffix": "qc", "desc": "segmentation"}),
    ("sub-01_ses-A_desc-contours_snapshot.png", {"suffix": "snapshot", "desc": "contours"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "entities"), CONTRACT)
def test_names_of_the_contract(name, entities):
    extension = name[name.index(".") :]
    assert bids_name(participant="01", session="A", extension=extension, **entities) == name
    expected = {"participant": "01", "session": "A", "extension": extension} | entities
    assert parse_name(name) == expected
    assert parse_name(f"some.folder/sub-99/{name}") == expected


@pytest.mark.parametrize(("name", "_entities"), CONTRACT)
def test_read_and_built_again_is_the_same(name, _entities):
    assert bids_name(**parse_name(name)) == name


def test_entities_without_a_value_are_left_out():
    name = bids_name(participant="1", session=None, suffix="T1w", extension=".nii", run=None, desc=None)
    assert name == "sub-1_T1w.nii"


def test_reserved_word_has_a_spelling():
    built = bids_name(participant="1", session="2", suffix="xfm", from_="T1w", to="session", mode="image")
    assert built == "sub-1_ses-2_from-T1w_to-session_mode-image_xfm"


def test_run_is_a_number_not_a_text():
    assert parse_name("sub-1_run-02_T1w.nii.gz")["run"] == 2


def test_ids():
    assert visit_id("01", "A") == "sub-01_ses-A"
    assert scan_id("01", "A", "T1w") == "sub-01_ses-A_T1w"
    assert scan_id("01", "A", "T2w", 3) == "sub-01_ses-A_run-3_T2w"
    assert scan_label("T1w") == "T1w"
    assert scan_label("T1w", 1) == "run-1_T1w"
    assert parse_name(scan_label("T1w", 1)) == {"run": 1, "suffix": "T1w", "extension": ""}


def test_visit_and_scan_of_a_file():
    name = "out/sub-01_ses-A_run-2_space-T1w_desc-babyseg_dseg.nii.gz"
    assert visit_of(name) == ("01", "A")
    assert scan_of(name, contrast="space") == ("sub-01_ses-A", "run-2_T1w")
    assert scan_of("sub-01_ses-A_desc-n4_T2w.nii.gz") == ("sub-01_ses-A", "T2w")
    with pytest.raises(ValueError, match="has no ses-"):
        visit_of("sub-01_T1w.nii.gz")
    with pytest.raises(ValueError, match="has no space"):
        scan_of("sub-01_ses-A_dseg.nii.gz", contrast="space")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"participant": "0/1"}, "participant '0/1'"),
        ({"participant": ""}, "letters and digits"),
        ({"participant": "É"}, "letters and digits"),
        ({"participant": "1\n"}, "letters and digits"),
        ({"session": "$(touch x)"}, "session"),
        ({"suffix": "T1_w"}, "suffix 'T1_w'"),
        ({"extension": "nii"}, "extension"),
        ({"extension": "./../x"}, "extension"),
        ({"run": -1}, "negative"),
        ({"colour": "red"}, "'colour'"),
    ],
)
def test_illegal_values(keywords, words):
    good = {"participant": "1", "session": "2", "suffix": "T1w", "extension": ".nii"}
    with pytest.raises(ValueError, match=words):
        bids_name(**(good | keywords))


@pytest.mark.parametrize(
    "name", ["", "sub-01_.nii", "sub-01_sub-02_T1w.nii", "x-1_T1w.nii", "sub_T1w.nii", "run-a_T1w.nii"]
)
def test_illegal_names(name):
    with pytest.raises(ValueError, match="not a BIDS name"):
        parse_name(name)
