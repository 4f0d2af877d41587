"""The ledger: a row for every row, and the right word for each."""

import json
from dataclasses import replace

import pytest

from babyseg_py.cohort.ledger import Failure, Outcomes, closing_lines, make_ledger, read_outcomes, to_tsv
from babyseg_py.cohort.records import Record

RECORDS = [
    Record(2, "01", "A", "T1w", 1, "/d/a b.nii.gz").as_json(),
    Record(3, "01", "A", "T1w", 2, "/d/b.nii.gz").as_json(),
    Record(4, "01", "A", "T2w", None, "/d/c.nii.gz").as_json(),
    Record(6, "02", "A", "T1w", None, "s3://d/d.nii.gz").as_json(),
]
LABELLED = {
    ("sub-01_ses-A", "n/a"), ("sub-01_ses-A", "run-1_T1w"), ("sub-01_ses-A", "run-2_T1w"),
    ("sub-01_ses-A", "T2w"), ("sub-02_ses-A", "n/a"), ("sub-02_ses-A", "T1w"),
}  # fmt: skip


def ledger(failures=None, flags=None, labelled=LABELLED):
    entries = make_ledger(RECORDS, Outcomes(failures or {}, flags or {}, set(labelled)))
    assert [entry.record["row"] for entry in entries] == [2, 3, 4, 6]
    return [(entry.status, entry.step) for entry in entries]


def failure(unit, step, file="x"):
    return {unit: [Failure(unit, step, file, f"{step} is unhappy; be kind")]}


def test_all_well():
    assert ledger() == [("ok", "n/a")] * 4


def test_nothing_came_out_at_all():
    assert ledger(labelled=()) == [("failed", "segment")] * 4


def test_a_scan_fails_and_the_rest_of_its_visit_goes_on():
    found = ledger(
        failure("sub-01_ses-A_run-2_T1w", "n4"), labelled=LABELLED - {("sub-01_ses-A", "run-2_T1w")}
    )
    assert found == [("ok", "n/a"), ("failed", "n4"), ("ok", "n/a"), ("ok", "n/a")]


def test_a_visit_fails():
    for step in ("register", "segment", "morphometry"):
        assert ledger(failure("sub-01_ses-A", step)) == [("failed", step)] * 3 + [("ok", "n/a")]


def test_a_visit_lacks_only_its_picture_or_the_like():
    for step in ("surface-distance", "snapshot", "shape", "raters"):
        assert ledger(failure("sub-01_ses-A", step)) == [("flagged", step)] * 3 + [("ok", "n/a")]


def test_first_step_is_named_where_two_failed():
    both = failure("sub-02_ses-A", "register") | failure("sub-02_ses-A_T1w", "n4")
    assert ledger(both)[3] == ("failed", "n4")


def test_failure_of_a_visit_that_names_one_scan():
    named = failure("sub-01_ses-A", "register", "/w/sub-01_ses-A_run-2_desc-n4_T1w.nii.gz")
    assert [status for status, _ in ledger(named)] == ["ok", "failed", "ok", "ok"]
    without = LABELLED - {("sub-01_ses-A", "n/a")}
    assert [status for status, _ in ledger(named, labelled=without)] == ["failed"] * 3 + ["ok"]


def test_flags_of_scan_and_visit():
    flags = {("sub-01_ses-A", "run-2_T1w"): [("segment", "half a brain")]}
    assert ledger(flags=flags)[:3] == [("ok", "n/a"), ("flagged", "segment"), ("ok", "n/a")]
    flags = {("sub-01_ses-A", "n/a"): [("segment", "half a brain")]}
    assert ledger(flags=flags) == [("flagged", "segment")] * 3 + [("ok", "n/a")]


def test_scan_that_registration_left_out():
    flags = {("sub-01_ses-A", "run-2_T1w"): [("register", "another head")]}
    assert ledger(flags=flags, labelled=LABELLED - {("sub-01_ses-A", "run-2_T1w")})[1] == (
        "flagged",
        "register",
    )


def test_scan_that_segmentation_left_out(tmp_path):
    name, scan = "sub-01_ses-A_desc-segmentation_qc.tsv", ("sub-01_ses-A", "run-2_T1w")
    (tmp_path / name).write_text(
        "scan\tstructure\tmetric\tvalue\tlow\thigh\tflag\tmessage\n"
        "run-2_T1w\tn/a\tleft_out\tn/a\t0\t0\t1\twas left out: it lies elsewhere\n"
    )
    read = read_outcomes([], [tmp_path / name], [])
    entries = make_ledger(RECORDS, replace(read, labelled=LABELLED - {scan}))
    assert (entries[0].status, entries[1].status, entries[1].step) == ("ok", "flagged", "segment")
    assert entries[1].reason == "run-2_T1w: was left out: it lies elsewhere"


def test_scan_that_vanished_without_a_word():
    assert ledger(labelled=LABELLED - {("sub-01_ses-A", "T2w")})[2] == ("failed", "segment")


@pytest.fixture
def outputs(tmp_path):
    """Write what a run leaves behind."""
    words = {"step": "n4", "file": "/d/b.nii.gz", "what": "it is\nempty", "advice": "export it again"}
    files = {
        "sub-01_ses-A_run-2_T1w.n4.failure.json": json.dumps(words),
        "sub-02_ses-A.morphometry.failure.json": "{",
        "sub-01_ses-A_desc-segmentation_qc.tsv": (
            "scan\tstructure\tmetric\tvalue\tlow\thigh\tflag\tmessage\n"
            "n/a\tn/a\tbrain_ml\t500\t200\t900\t0\tn/a\n"
            'T2w\tLeft-Amygdala\tvolume\t1\t2\t3\t1\t"small\n'
            "T2w\tn/a\tregistration_motion\tn/a\t0\t0\t1\tmoved far\n"
        ),
        "sub-02_ses-A_desc-segmentation_qc.tsv": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    labels = ["sub-01_ses-A_space-session", "sub-01_ses-A_run-1_space-T1w", "sub-01_ses-A_space-T2w"]
    return read_outcomes(
        tmp_path.glob("*.failure.json"),
        tmp_path.glob("*_qc.tsv"),
        [tmp_path / f"{name}_desc-babyseg_dseg.nii.gz" for name in labels],
    )


def test_outputs_are_read(outputs):
    assert outputs.labelled == {
        ("sub-01_ses-A", "n/a"), ("sub-01_ses-A", "run-1_T1w"), ("sub-01_ses-A", "T2w"),
    }  # fmt: skip
    assert outputs.flags == {
        ("sub-01_ses-A", "T2w"): [
            ("segment", 'T2w: Left-Amygdala: "small'), ("register", "T2w: moved far"),
        ]
    }  # fmt: skip


def test_table_of_the_ledger(outputs):
    entries = make_ledger(RECORDS, outputs)
    header, *rows = [line.split("\t") for line in to_tsv(entries).splitlines()]
    assert header == [
        "row", "participant_id", "session_id", "run", "suffix", "image", "status", "step", "reason",
    ]  # fmt: skip
    assert rows[0] == ["2", "01", "A", "1", "T1w", "/d/a b.nii.gz", "ok", "n/a", "n/a"]
    assert rows[1][6:] == ["failed", "n4", "it is empty; export it again"]
    assert rows[2][6:] == ["flagged", "register", 'T2w: moved far; T2w: Left-Amygdala: "small']
    assert rows[3][6:8] == ["failed", "morphometry"]
    assert closing_lines(entries) == [
        "4 rows: 1 ok, 1 flagged, 2 failed", "flagged at step: register 1",
        "failed at step: n4 1, morphometry 1",
    ]  # fmt: skip


def test_ledger_of_no_rows():
    assert closing_lines([]) == ["0 rows: 0 ok, 0 flagged, 0 failed"]
