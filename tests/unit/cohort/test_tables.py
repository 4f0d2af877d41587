"""Tables as people save them."""

import pytest

from babyseg_py.cohort.tables import is_missing, read_table
from babyseg_py.errors import UnusableData

PLAIN = "name,place\nZoë,Łódź\nAda,here\n"


def cells(path, known=("name", "place")):
    return [row.cells for row in read_table(path, known).rows]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("\n", ",,,\n").encode(),
        PLAIN.replace("\n", "\n\n,,\n").encode(),
        f"\n,,\n{PLAIN}".encode(),
        f"\r\n\r\n{PLAIN}".replace(",", ";").encode("utf-8-sig"),
        PLAIN.replace("Ada", '"Ada"').encode(),
        PLAIN.rstrip().encode(),
    ],
)
def test_every_form_reads_the_same(sheet, content):
    expected = [{"name": "Zoë", "place": "Łódź"}, {"name": "Ada", "place": "here"}]
    assert cells(sheet.write(content)) == expected


def test_latin_1_is_read_with_a_doubt(sheet):
    table = read_table(sheet.write("name;place\nZoë;Köln\n".encode("latin-1")))
    assert table.rows[0].cells == {"name": "Zoë", "place": "Köln"}
    assert [problem.doubt for problem in table.problems] == [True]


def test_quoted_separators_and_quotes_are_values(sheet):
    path = sheet.write('name,place\n"a,b;c","say ""hi"""\n')
    assert cells(path) == [{"name": "a,b;c", "place": 'say "hi"'}]


def test_numbers_of_rows_are_lines_of_the_file(sheet):
    path = sheet.write("name,place\n\na,b\n,\nc,d\n")
    assert [row.number for row in read_table(path).rows] == [3, 5]
    assert [row.number for row in read_table(sheet.write("\nname,place\na,b\n")).rows] == [3]


def test_separator_is_that_of_the_known_names(sheet):
    table = read_table(sheet.write("name;a,b,c,d;place\n1;2;3\n"), ("name", "place"))
    assert table.columns == ("name", "a,b,c,d", "place")


@pytest.mark.parametrize(
    ("text", "row", "words"),
    [
        ("a,a\n1,2\n", 1, "twice"),
        ("a,,b\n1,2,3\n", 2, "without a name"),
        ("a,b\n1,2,3\n", 2, "3 cells"),
        ('a,b\n"1\n2",3\n', 2, "line break"),
        ('a,b\n1,2\n"3,4\n5,6\n', 3, "not closed"),
        ("a,b\n1,2\x00\n", 2, "control"),
        ("a,b\n1,\x1b[31m\n", 2, "control"),
        (f"a,b\n1,{'x' * 5000}\n", 2, "5000 characters"),
        (f"a,b\n1,2\n3,{'x' * 200_000}\n", 3, "cannot be read"),
        ("a\u200b,b\n1,2\n", 1, "invisible"),
    ],
)
def test_faults_of_form(sheet, text, row, words):
    problems = read_table(sheet.write(text)).problems
    assert [problem.row for problem in problems] == [row]
    assert words in problems[0].message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (b"\xff\xfe", "empty"),
        (b"a,b\n", "no row"),
        (b"a,b\n,,\n\n", "no row"),
        (b"\n,,\n", "no line has more than separators"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"\x1f\x8b\x08rest", "compressed"),
        (b"\xff\xfea", "UTF-16"),
        (b"a,b\n\x81\x8d,2\n", "neither"),
    ],
)
def test_what_is_no_table_is_refused(sheet, content, words):
    with pytest.raises(UnusableData, match=words):
        read_table(sheet.write(content))


def test_absent_file_and_folder_are_refused(tmp_path):
    with pytest.raises(UnusableData, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(UnusableData, match="cannot be read"):
        read_table(tmp_path)


def test_what_counts_as_missing():
    assert all(map(is_missing, ("", "n/a", "N/A", "NA", "NaN", "null")))
    assert not any(map(is_missing, ("0", "none", "n", "-")))
