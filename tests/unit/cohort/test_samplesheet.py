"""The samplesheet: every fault with its row and column, in one list."""

import pytest

from babyseg_py.cohort.samplesheet import read_samplesheet
from babyseg_py.errors import UnusableData

IDS = "participant_id,session_id,suffix"
AGED = f"{IDS},age_value,age_unit,age_reference"


def errors(path):
    return [(p.row, p.column, p.message) for p in read_samplesheet(path)[1] if not p.doubt]


def doubts(path):
    return [(p.row, p.column, p.message) for p in read_samplesheet(path)[1] if p.doubt]


def one_error(path, row, column, *words):
    found = errors(path)
    assert [error[:2] for error in found] == [(row, column)], found
    for word in words:
        assert word in found[0][2]


def test_a_good_sheet(sheet):
    path = sheet.rows(
        f"{IDS},run,age_value,age_unit,age_reference,sex,site,group,dseg",
        f"sub-01,ses-A,T1w,1,6.2,months,birth,F,Köln,x,{sheet.image('labels.nii.gz')}",
        "01,A,T1w,2.0,,,,,,,",
        "01,B,T2w,,12.1,months,birth,female,,,",
    )
    records, problems = read_samplesheet(path)
    assert problems == []
    assert [record.scan_id for record in records] == [
        "sub-01_ses-A_run-1_T1w", "sub-01_ses-A_run-2_T1w", "sub-01_ses-B_T2w",
    ]  # fmt: skip
    assert records[0].as_json() == {
        "row": 2, "participant_id": "01", "session_id": "A", "run": 1, "suffix": "T1w",
        "image": str(sheet.folder / "2.nii.gz"), "age_value": 6.2, "age_unit": "months",
        "age_reference": "birth", "age_days": 188.7125, "gestation_days": None, "sex": "F", "site": "Köln",
        "group": "x", "dseg": str(sheet.folder / "labels.nii.gz"), "scan_id": "sub-01_ses-A_run-1_T1w",
        "visit_id": "sub-01_ses-A",
    }  # fmt: skip


def test_visit_and_child_are_completed_from_any_of_their_rows(sheet):
    columns = f"{IDS},run,age_value,age_unit,age_reference,sex,site"
    first, second, other = read_samplesheet(
        sheet.rows(columns, "1,A,T1w,1,,,,M,", "1,A,T1w,2,3,weeks,birth,,Oslo", "1,B,T1w,,,,,,")
    )[0]
    assert first.age == second.age
    assert (first.site, second.site, other.site) == ("Oslo", "Oslo", None)
    assert {first.sex, second.sex, other.sex} == {"M"}


@pytest.mark.parametrize(
    ("columns", "row", "column", "words"),
    [
        (IDS, ",A,T1w", "participant_id", "empty"),
        (IDS, "a_1,A,T1w", "participant_id", "'a_1'"),
        (IDS, "$(touch x),A,T1w", "participant_id", "'$(touch x)'"),
        (IDS, "../..,A,T1w", "participant_id", "letters"),
        (IDS, "1,; rm,T1w", "session_id", "'; rm'"),
        (IDS, "1,A,T1_w", "suffix", "'T1_w'"),
        (IDS, "1,A,Session", "suffix", "a word of the outputs"),
        (IDS, "1,A,Dseg", "suffix", "column dseg"),
        (f"{IDS},run", "1,A,T1w,first", "run", "'first'"),
        (f"{IDS},sex", "1,A,T1w,girl?", "sex", "'girl?'"),
        (f"{IDS},dseg", "1,A,T1w,none.nii", "dseg", "no such file"),
        (AGED, "1,A,T1w,six,months,birth", "age_value", "'six' is not a number"),
        (AGED, "1,A,T1w,-3,months,birth", "age_value", "negative"),
        (AGED, "1,A,T1w,6,,birth", "age_unit", "one of days"),
        (AGED, "1,A,T1w,6,months,", "age_reference", "birth, or conception"),
        (AGED, "1,A,T1w,,months,birth", "age_value", "n/a if it is not known"),
        (AGED, "1,A,T1w,6,month,birth", "age_unit", "did you mean 'months'?"),
        (AGED, "1,A,T1w,6,months,brith", "age_reference", "did you mean 'birth'?"),
    ],
)
def test_faults_of_one_cell(sheet, columns, row, column, words):
    one_error(sheet.rows(columns, row), 2, column, words)


def test_unknown_age_is_no_fault(sheet):
    records, problems = read_samplesheet(sheet.rows(AGED, "1,A,T1w,n/a,months,birth", "1,B,T1w,,,"))
    assert problems == []
    assert [record.age for record in records] == [None, None]


def test_decimal_comma_where_it_cannot_separate(sheet):
    text = f"{AGED},image\n1,A,T1w,X,months,birth,{sheet.image('a.nii')}\n"
    assert read_samplesheet(sheet.write(text.replace(",", ";").replace("X", "6,2")))[0][0].age.value == 6.2
    one_error(sheet.write(text.replace("X", '"6,2"')), 2, "age_value", "'6,2' is not a number")


def test_columns_missing_and_unknown(sheet):
    image = sheet.image("a.nii")
    path = sheet.write(f"participant_id,sesion_id,suffix,image,agevalue\n1,A,T1w,{image},3\n")
    assert [error[:2] for error in errors(path)] == [(1, "sesion_id"), (1, "agevalue"), (1, "session_id")]
    assert "did you mean 'session_id'?" in errors(path)[0][2]
    assert "did you mean 'age_value'?" in errors(path)[1][2]
    assert "missing" in errors(path)[2][2]


def test_duplicate_rows_and_repeat_scans_without_run(sheet):
    images = sheet.image("a.nii"), sheet.image("b.nii")
    same = sheet.write(f"{IDS},image\n1,A,T1w,{images[0]}\n\nsub-1,ses-A,T1w,{images[0]}\n")
    one_error(same, 4, "image", "repeats row 2")
    other = sheet.write(f"{IDS},image\n1,A,T1w,{images[0]}\n1,A,T1w,{images[1]}\n")
    one_error(other, 3, "run", "sub-1_ses-A_T1w is already in row 2", "column run")


def test_one_file_in_two_rows_by_any_name(sheet):
    sheet.image("d/a.nii")
    (sheet.folder / "b.nii").symlink_to("d/a.nii")
    (sheet.folder / "e").symlink_to("d")
    (sheet.folder / "f.nii").hardlink_to(sheet.folder / "d" / "a.nii")
    for name in ("d/../d/a.nii", "b.nii", "e/a.nii", "f.nii", str(sheet.folder / "d" / "a.nii")):
        path = sheet.write(f"{IDS},image\n1,A,T1w,d/a.nii\n2,A,T1w,{name}\n")
        one_error(path, 3, "image", "row 2", "sub-1_ses-A_T1w")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("s3://b/a.nii", "s3://b/a.nii"),
        ("s3://b/a.nii", "S3://b/a.nii"),
        ("https://a.org/a.nii", "HTTPS://A.org/a.nii"),
    ],
)
def test_one_address_in_two_rows(sheet, one, other):
    path = sheet.write(f"{IDS},image\n1,A,T1w,{one}\n1,A,T2w,{other}\n")
    one_error(path, 3, "image", "row 2")


def test_addresses_that_differ_beyond_kind_and_host_are_two(sheet):
    path = sheet.write(f"{IDS},image\n1,A,T1w,https://a.org/a.nii\n1,A,T2w,https://a.org/A.nii\n")
    assert errors(path) == []


@pytest.mark.parametrize("cell", ['"1\n2"', "1\x00", "x" * 5000])
@pytest.mark.parametrize("column", ["participant_id", "image", "age_value"])
def test_a_cell_that_cannot_be_read_is_not_called_empty_too(sheet, cell, column):
    cells = {"participant_id": "1", "session_id": "A", "suffix": "T1w", "image": sheet.image("a.nii")}
    cells |= {"age_value": "6", "age_unit": "months", "age_reference": "birth", column: cell}
    one_error(sheet.write(f"{','.join(cells)}\n{','.join(cells.values())}\n"), 2, column)


def test_missing_file_names_the_whole_path(sheet):
    one_error(sheet.write(f"{IDS},image\n1,A,T1w,no/a.nii\n"), 2, "image", str(sheet.folder / "no" / "a.nii"))


def test_unlike_only_in_capital_letters(sheet):
    one_error(sheet.rows(IDS, "a1,A,T1w", "A1,A,T1w", "A1,B,T1w"), 3, "participant_id", "'a1'")
    one_error(sheet.rows(IDS, "1,v1,T1w", "1,V1,T1w", "2,V1,T1w"), 3, "session_id", "'v1'")
    one_error(sheet.rows(IDS, "1,A,T1w", "2,A,T1W"), 3, "suffix", "'T1w'")


def test_sex_that_changes(sheet):
    one_error(sheet.rows(f"{IDS},sex", "1,A,T1w,F", "1,B,T1w,M", "2,A,T1w,M"), 3, "sex", "'F'", "row 2")


def test_segmentation_of_another_visit(sheet):
    image = sheet.image("labels.nii")
    path = sheet.rows(f"{IDS},dseg", f"1,A,T1w,{image}", f"1,A,T2w,{image}", f"1,B,T1w,{image}")
    one_error(path, 4, "dseg", "sub-1_ses-A")
    one_error(sheet.rows(f"{IDS},dseg", "1,A,T1w,2.nii.gz"), 2, "dseg", "the image of row 2")


@pytest.mark.parametrize(
    ("rows", "row", "words"),
    [
        (("1,A,T1w,6,months,birth", "1,A,T2w,7,months,birth"), 3, "at one visit"),
        (("1,A,T1w,6,months,birth", "1,B,T1w,5.9,months,birth"), 3, "goes back"),
        (("1,2,T1w,5,months,birth", "1,10,T1w,4,months,birth"), 3, "goes back"),
        (("1,B,T1w,5,months,birth", "1,A,T1w,6,months,birth"), 2, "(row 3)"),
        (("1,A,T1w,2,years,birth", "1,B,T1w,13,months,birth"), 3, "goes back"),
        (("1,A,T1w,45,weeks,conception", "1,B,T1w,44,weeks,conception"), 3, "goes back"),
        (("1,A,T1w,3,months,birth", "1,A,T2w,30,weeks,conception"), 3, "17.0 weeks of gestation"),
        (("1,A,T1w,1,weeks,birth", "1,A,T2w,60,weeks,conception"), 3, "59.0 weeks of gestation"),
        (("1,A,T1w,12,months,birth", "1,B,T1w,40,weeks,conception"), 3, "goes back"),
        (("1,A,T1w,60,weeks,conception", "1,B,T1w,1,months,birth"), 3, "goes back"),
    ],
)
def test_ages_that_contradict_each_other(sheet, rows, row, words):
    one_error(sheet.rows(AGED, *rows), row, "age_value", words)


def test_gestation_unlike_between_visits(sheet):
    path = sheet.rows(
        AGED,
        "1,A,T1w,14,days,birth", "1,A,T2w,38,weeks,conception",
        "1,B,T1w,84,days,birth", "1,B,T2w,44,weeks,conception",
    )  # fmt: skip
    one_error(path, 5, "age_value", "32.0 weeks", "36.0")


@pytest.mark.parametrize(
    "rows",
    [
        ("1,A,T1w,6,months,birth", "1,A,T2w,182.6,days,birth"),
        ("1,A,T1w,6,months,birth", "1,B,T1w,6,months,birth"),
        ("1,A,T1w,1,years,birth", "1,B,T1w,11,months,birth"),
        ("1,A,T1w,40,weeks,conception", "1,B,T1w,1,months,birth"),
        ("1,A,T1w,2,weeks,birth", "1,A,T2w,40,weeks,conception"),
        ("2,A,T1w,6,months,birth", "1,B,T1w,5,months,birth"),
        ("1,6mo,T1w,6,months,birth", "1,neo,T1w,1,weeks,birth"),
    ],
)
def test_ages_that_can_be_true(sheet, rows):
    assert read_samplesheet(sheet.rows(AGED, *rows))[1] == []


def test_visit_with_two_references_keeps_the_age_since_birth(sheet):
    records, _ = read_samplesheet(sheet.rows(AGED, "1,A,T1w,40,weeks,conception", "1,A,T2w,2,weeks,birth"))
    assert {record.age.days for record in records} == {14.0}
    assert {record.gestation_days for record in records} == {266.0}


def test_doubts_do_not_stop(sheet):
    path = sheet.rows(
        AGED, "01,home,T1w,6,months,birth", "01,clinic,T1w,5,months,birth", "1,A,T1w,3,months,conception"
    )
    assert errors(path) == []
    assert [doubt[:2] for doubt in doubts(path)] == [
        (3, "age_value"), (4, "participant_id"), (4, "age_reference"),
    ]  # fmt: skip


def test_all_faults_are_in_one_list_by_row(sheet):
    path = sheet.write(
        f"{AGED},image,nonsense\n"
        "a b,A,T1w,6,months,birth,none.nii,\n"
        "1,A,T1w,x,fortnights,,none.nii\n"
        f"1,B,T1w,,,,{sheet.image('a.nii')}\n"
    )
    found = [error[:2] for error in errors(path)]
    assert found == [
        (1, "nonsense"), (2, "participant_id"), (2, "image"),
        (3, "image"), (3, "age_reference"), (3, "age_unit"), (3, "age_value"),
    ]  # fmt: skip


def test_nothing_is_executed_or_written(sheet):
    before = sorted(sheet.folder.iterdir())
    path = sheet.write(
        f"{IDS},image\n$(touch {sheet.folder}/x),`touch x`,T1w,$(touch {sheet.folder}/y).nii\n"
    )
    assert len(errors(path)) == 3
    assert sorted(sheet.folder.iterdir()) == [*before, path]


def test_ten_thousand_rows_are_looked_at_each(sheet):
    rows = [f"{child},{session},T1w" for child in range(5000) for session in "AB"]
    lines = [f"{IDS},image", *(f"{row},s3://bucket/{number}.nii" for number, row in enumerate(rows))]
    lines[-1] = lines[-1].replace("T1w", "T1 w")
    records, problems = read_samplesheet(sheet.write("\n".join(lines)))
    assert len(records) == 9999
    assert [(problem.row, problem.column) for problem in problems] == [(10001, "suffix")]


def test_sheet_that_cannot_be_read(sheet):
    with pytest.raises(UnusableData, match="no row"):
        read_samplesheet(sheet.write(f"{IDS},image\n"))


def test_groups_and_sites_that_differ_in_capitals_are_told(sheet):
    columns = f"{IDS},site,group"
    path = sheet.rows(columns, "1,A,T1w,Oslo,case", "2,A,T1w,OSLO,control", "3,A,T1w,Oslo,Case", "4,A,T1w,,")
    records, problems = read_samplesheet(path)
    assert [record.group for record in records] == ["case", "control", "Case", None]
    assert all(problem.doubt for problem in problems)
    assert [(problem.row, problem.column) for problem in problems] == [(3, "site"), (4, "group")]
    words = "'Case' and, in row 2, 'case' differ in capital letters alone and are taken for two groups"
    assert words in problems[1].message


def test_an_age_that_goes_back_in_the_order_of_the_rows_is_told_in_a_sentence(sheet):
    path = sheet.rows(AGED, "1,blue,T1w,9,months,birth", "1,red,T1w,3,months,birth")
    assert doubts(path)[0][2] == (
        "3 months from birth at sub-1_ses-red goes back behind 9 months from birth at sub-1_ses-blue, which"
        " is listed before it (row 2); correct the age or the session"
    )
