"""The table of scores against the children who were scanned."""

import pytest

from babyseg_py.cohort.ages import make_age
from babyseg_py.cohort.phenotype import check_phenotype
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.score_columns import is_age
from babyseg_py.statistics.scores import Declared

SCANS = [Record(2, "01", "A", "T1w", None, "a"), Record(3, "01", "B", "T1w", None, "b"),
         Record(4, "02", "A", "T1w", None, "c")]  # fmt: skip


def check(sheet, text, **names):
    found, problems = check_phenotype(sheet.write(text, "scores.tsv"), SCANS, **names)
    return found, [p for p in problems if not p.doubt], [p for p in problems if p.doubt]


def test_with_prefix_and_without_session(sheet):
    found, errors, doubts = check(sheet, "participant_id\tiq\tses_income\nsub-01\t100\tlow\n03\tn/a\thigh\n")
    assert errors == []
    assert [FEW in doubt.message for doubt in doubts] == [True]
    assert found == {
        "file": str(sheet.folder / "scores.tsv"), "scores": ["iq"], "covariates": [],
        "categories": [], "one_scale": [],
        "without_scores": ["02"], "without_scans": ["03"], "visits_without_scores": [],
        "visits_without_scans": [],
    }  # fmt: skip


def test_by_session(sheet):
    text = "participant_id,session_id,iq\n01,ses-A,1\n01,C,2\n02,n/a,3\n"
    found, errors, _ = check(sheet, text)
    assert errors == []
    assert found["without_scores"] == found["without_scans"] == []
    assert found["visits_without_scores"] == ["sub-01_ses-B"]
    assert found["visits_without_scans"] == ["sub-01_ses-C"]


def test_named_columns(sheet):
    text = "participant_id,iq,motor,education\n01,1,2,high\n02,2,3,low\n"
    found, errors, _ = check(sheet, text, scores=["motor", "motor"], covariates=["education", "sex"])
    assert errors == []
    assert (found["scores"], found["covariates"]) == (["motor"], ["education", "sex"])
    assert check(sheet, text, covariates=["iq"])[0]["scores"] == ["motor"]


def test_names_that_are_not_there(sheet):
    _, errors, _ = check(sheet, "participant_id,cbcl_total\n01,1\n", scores=["cbcl_totl"], covariates=["sx"])
    assert "did you mean 'cbcl_total'?" in errors[0].message
    assert "--covariates names 'sx'" in errors[1].message
    assert "did you mean 'sex'?" in errors[1].message


FEW = "scans and scores; associations need 10"


@pytest.mark.parametrize(
    ("text", "row", "column", "words"),
    [
        ("subject,iq\n01,1\n", 1, "participant_id", "missing"),
        ("participant_id,iq,iq\n01,1,1\n", 1, "'iq'", "twice"),
    ],
)
def test_faults_that_leave_open_what_is_meant(sheet, text, row, column, words):
    errors = check(sheet, text, scores=["iq"])[1]
    assert [(error.row, error.column) for error in errors] == [(row, column)]
    assert words in errors[0].message


@pytest.mark.parametrize(
    ("text", "row", "column", "words"),
    [
        ("participant_id,iq\n01,1\n02,low\n", 3, "iq", "'low' is not a number and is taken as missing"),
        ('participant_id,iq\n01,1\n02,"2,5"\n', 3, "iq", "decimal point"),
        ("participant_id,iq\n01,1\n02,inf\n", 3, "iq", "'inf'"),
        ("participant_id,iq\n01,1\nsub-01,1\n", 3, "participant_id", "already in row 2 with the same values"),
        ("participant_id,iq\n01,1\nsub-01,2\n", 3, "participant_id", "with other values of iq; the child is"),
        ("participant_id,session_id,iq\n01,A,1\n01,ses-A,2\n", 3, "participant_id", "ses-A is already"),
        ("participant_id,iq\n01,1\n,2\n", 3, "participant_id", "empty; the row is left out"),
        ("participant_id,iq\n01,1\n$(rm),2\n", 3, "participant_id", "'$(rm)'"),
        ("participant_id,iq\n01,1\nSUB-02,2\n", 3, "participant_id", "left out; is '02' meant?"),
        ("participant_id,iq\n01,1\n2.0,2\n", 3, "participant_id", "left out; is '02' meant?"),
        ("sep=;\nparticipant_id;iq\n01;1\n02;low\n", 4, "iq", "'low' is not a number"),
        ("participant_id,iq\n7,1\n8,2\n", None, "participant_id", "7, 8, the scans are of 01, 02"),
        ("participant_id,iq\n01,a\n02,b\n", 1, "iq", "no number, only values such as 'a'"),
        ("participant_id,iq\n01,\n02,n/a\n", 1, "iq", "no value at all"),
        ("participant_id,iq,wppsi\n01,1,88%\n02,2,90%\n", 1, "wppsi", "'88%' and the like are no numbers"),
        ("participant_id,session_id,iq\n01,A,1\n02,36mo,2\n", 3, "session_id", "ses-36mo is no session"),
        ("participant_id,iq,m\n01,1,\n01,1.0,2\n", 3, "participant_id", "the rows are put together"),
    ],
)
def test_faults_of_rows_and_columns_stop_nothing(sheet, text, row, column, words):
    _, errors, doubts = check(sheet, text, scores=["iq"])
    assert errors == []
    told = [doubt for doubt in doubts if FEW not in doubt.message]
    assert [(doubt.row, doubt.column) for doubt in told] == [(row, column)]
    assert words in told[0].message


def test_a_table_without_any_score_stops_nothing(sheet):
    _, errors, doubts = check(sheet, "participant_id,iq,empty\n01,a,\n02,b,\n")
    assert errors == []
    words = [doubt.message for doubt in doubts]
    assert "no column holds numbers" in words[0]
    assert [doubt.column for doubt in doubts][1] == "empty"


def test_many_values_that_are_no_numbers_are_told_in_six_sentences(sheet):
    rows = "".join(f"{i},{'low' if i % 2 else i}\n" for i in range(40))
    doubts = check(sheet, f"participant_id,iq\n{rows}", scores=["iq"])[2]
    told = [doubt.message for doubt in doubts if doubt.column == "iq"]
    assert len(told) == 6
    assert "14 more below" in told[-1]


def test_few_children_and_single_visits_are_told(sheet):
    scans = [Record(row, f"{row:02d}", "A", "T1w", None, str(row)) for row in range(2, 7)]
    text = "participant_id,iq\n" + "".join(f"{row:02d},{row}\n" for row in range(2, 7))
    words = [problem.message for problem in check_phenotype(sheet.write(text, "scores.tsv"), scans)[1]]
    assert words[0].startswith("5 children have scans and scores; associations need 10")
    assert words[1].startswith("every child with scores has one visit")


def test_ages_in_mixed_units_are_told(sheet):
    scans = [Record(row, f"{row}", "A", "T1w", None, "", make_age(f"{3 * row}", "months", "birth"))
             for row in range(2, 8)]  # fmt: skip
    months = {row: 3 * row + 0.3 for row in range(2, 8)}
    ages = months | {5: 457}
    for column, given, told in (
        ("age_test", ages, [5]),
        ("age_test", months, []),
        ("maternal_age", ages, []),
    ):
        text = f"participant_id,{column},iq\n" + "".join(f"{row},{age},{row}\n" for row, age in given.items())
        problems = check_phenotype(sheet.write(text, "scores.tsv"), scans, scores=["iq"])[1]
        found = [problem for problem in problems if "mixed units" in problem.message]
        assert [problem.row for problem in found] == told
        assert all(
            "6 values" not in problem.message and "would be days" in problem.message for problem in found
        )


def test_table_that_cannot_be_read(tmp_path):
    found, problems = check_phenotype(tmp_path / "none.tsv", SCANS)
    assert found["file"] is None
    assert "no such file" in problems[0].message


def test_doubts(sheet):
    text = "participant_id,visit,iq\n1,A,100\n02,A,-999\n03,B,2\n"
    _, errors, doubts = check(sheet, text, scores=["iq"])
    assert errors == []
    words = " ".join(str(doubt) for doubt in doubts)
    assert "call it session_id" in words
    assert "-999 is taken as a value" in words
    assert "is '01' meant?" in words


def test_decimal_commas_are_numbers_where_commas_do_not_separate(sheet):
    found, errors, doubts = check(sheet, "participant_id;iq;bayley\n01;1;88,5\n02;2;90,0\n")
    assert found["scores"] == ["iq", "bayley"]
    assert [doubt for doubt in [*errors, *doubts] if FEW not in doubt.message] == []


def test_without_a_readable_child_nobody_has_scores(sheet):
    found, _, doubts = check(sheet, "participant_id,iq\n1.0,1\n2.0,2\n")
    assert found["without_scores"] == ["01", "02"]
    assert sum("the row is left out" in doubt.message for doubt in doubts) == 2


def test_scores_that_mean_nothing_are_doubted(sheet):
    rows = "".join(f"{i:02d},{i},99,{i},7\n" if i == 5 else f"{i:02d},{i},{i},{i},7\n" for i in range(1, 9))
    text = "participant_id,iq,epds,copy,same\n" + rows
    _, errors, doubts = check(sheet, text, scores=["iq", "epds", "same"], covariates=["copy"])
    assert errors == []
    words = {doubt.column: doubt.message for doubt in doubts}
    assert "99 is taken as a value" in words["epds"]
    assert "all 8 values are 7" in words["same"]
    assert "same values as the score iq" in words["copy"]


def test_the_nearest_child_without_a_score_is_named(sheet):
    scans = [Record(2, name, "A", "T1w", None, name) for name in ("kid01", "kid02")]
    path = sheet.write("participant_id,iq\nkid01,1\nkd02,2\n", "scores.tsv")
    _, problems = check_phenotype(path, scans)
    assert ["is 'kid02' meant?" in problem.message for problem in problems if problem.column] == [True]


COHORT = [
    Record(i, f"{i:02d}", "A", "T1w", None, str(i), make_age(str(i), "months", "birth")) for i in range(2, 26)
]
RAW = [7, 0, 21, 13, 2, 28, 9, 17, 4, 25, 11, 19] * 2


def told(sheet, columns, **names):
    rows = ["\t".join(["participant_id", *columns])]
    for place, record in enumerate(COHORT):
        rows.append("\t".join([record.participant_id, *(str(of[place]) for of in columns.values())]))
    path = sheet.write("\n".join(rows) + "\n", "scores.tsv")
    _, problems = check_phenotype(path, COHORT, **names)
    assert all(problem.doubt for problem in problems)
    return "\n".join(map(str, problems))


def test_what_is_wrong_with_scores_and_covariates_together_is_told(sheet):
    columns = {
        "cbcl_raw": RAW,
        "cbcl_T": [50 + x for x in RAW],
        "twin": [f"{2 * x:.1f}" for x in RAW],
        "mixed": [x // 3 if i % 2 else 50 + x for i, x in enumerate(RAW)],
        "yes": ["yes"] * 24,
        "none": ["n/a"] * 24,
    }
    covariates = ["twin", "yes", "none", "cbcl_raw", "age_weeks_pma"]
    words = told(sheet, columns, scores=["cbcl_raw", "cbcl_T", "mixed"], covariates=covariates)
    for sentence in (
        "cbcl_raw and cbcl_T look like two forms of one scale (rank correlation 1.00)",
        "column twin: the covariate tells the same as the score cbcl_raw (correlation 1.000 over 24",
        "column mixed: 12 values of",
        "column yes: nothing is adjusted for this covariate, as all 24 values are yes",
        "column none: nothing is adjusted for this covariate, as it has no value",
        "column cbcl_raw: is named in --scores and in --covariates",
        "age_weeks_pma: 0 of 24 visits with an age tell it",
    ):
        assert words.count(sentence) == 1, sentence


def test_raw_and_t_scores_at_two_sessions_are_told_unless_declared(sheet):
    rows = [
        f"{i:02d}\t{session}\t{x + add}" for session, add in (("A", 0), ("B", 48)) for i, x in enumerate(RAW)
    ]
    path = sheet.write("participant_id\tsession_id\tcbcl\n" + "\n".join(rows) + "\n", "scores.tsv")
    _, problems = check_phenotype(path, COHORT)
    assert sum("not analysed across sessions" in problem.message for problem in problems) == 1
    found, problems = check_phenotype(path, COHORT, declared=Declared(one_scale=("cbcl",)))
    assert not any("not analysed" in problem.message for problem in problems)
    assert found["one_scale"] == ["cbcl"]


def test_declared_columns_have_to_be_covariates_or_scores(sheet):
    declared = Declared(categories=("edu",), one_scale=("education",))
    text = "participant_id\tiq\teducation\n01\t1\t2\n"
    _, errors, _ = check(sheet, text, covariates=["education"], declared=declared)
    assert [error.message for error in errors] == [
        "--categories names 'edu', which is no covariate; did you mean 'education'?",
        "--one_scale names 'education', which is no score; known are iq",
    ]


def test_declared_columns_that_no_option_names_yet(sheet):
    text = "participant_id\tiq\tedu\n01\t1\t2\n"
    _, errors, _ = check(sheet, text, declared=Declared(categories=("edu", "none")))
    assert [error.message for error in errors] == [
        "--categories names 'edu', which is no covariate; name it in --covariates too",
        "--categories names 'none', which is no covariate; none is known",
    ]


@pytest.mark.parametrize("name", ["age_bayley", "AgeAtTest", "testage"])
def test_ages_far_from_the_others_of_their_column_are_told(sheet, name):
    ages = [26 + place % 5 for place in range(24)]
    ages[3], ages[7] = ages[3] * 30.4375, ages[7] * 30.4375
    words = told(sheet, {"iq": RAW, name: ages}, scores=["iq"], covariates=[name])
    assert f"row 5, column {name}: ages in mixed units: row 5 and 1 more would be days" in words
    assert "mixed units" not in told(sheet, {"iq": RAW, "language": ages}, scores=["iq"])


@pytest.mark.parametrize(
    "name", ["age", "age_bayley", "AgeMonths", "testing_age", "ageattest", "bayleyAge", "AGE"]
)
def test_columns_of_ages_are_known_by_their_names(name):
    assert is_age(name)


@pytest.mark.parametrize(
    "name", ["language", "percentage", "average", "imageQuality", "agency", "dosage", "stage"]
)
def test_words_that_only_hold_age_are_none(name):
    assert not is_age(name)
