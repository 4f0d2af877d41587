"""Do the rows of a cohort agree with each other: scans, files, labels, covariates, ages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from babyseg_py.cohort.age_agreement import Fault, age_faults, gestation_days, listing_doubts
from babyseg_py.cohort.age_units import unit_doubts
from babyseg_py.cohort.ages import UNIT_DAYS
from babyseg_py.cohort.problems import Problem, shown
from babyseg_py.cohort.records import Record

EARLIEST_SCAN_WEEKS = 16
_HOSTS_IGNORE_CASE = frozenset({"https", "http", "ftp"})
OLDEST_USUAL_DAYS = 6 * UNIT_DAYS["years"]


def disagreements(records: Sequence[Record], file: str) -> list[Problem]:
    """Find what cannot be true, or is rarely meant, of all rows together.

    Parameters
    ----------
    records : sequence of Record
        All scans, in the order of the rows.
    file : str
        How to call the table.

    Returns
    -------
    list of Problem
        Each at the later row of the two that disagree.
    """
    faults = [*_same_scan(records), *_spellings(records), *_same_image(records), *_same_dseg(records)]
    for column in ("site", "group", "dseg"):
        faults += _unlike(records, column, lambda record: record.visit_id, "of one visit")
    faults += _unlike(records, "sex", lambda record: record.participant_id, "of one child")
    doubts = [*_padded(records), *_too_early(records), *_other_unit(records)]
    told = {record.participant_id for record, _, _ in doubts}
    doubts += [fault for fault in unit_doubts(records) if fault[0].participant_id not in told]
    doubts += _alike(records)
    for child in _groups(records, lambda record: record.participant_id).values():
        wrong = age_faults(child)
        faults += wrong
        doubts += [] if wrong else listing_doubts(child)
    return [
        Problem(file, record.row, column, message, doubt=found is doubts)
        for found in (faults, doubts)
        for record, column, message in found
    ]


def completed(records: Sequence[Record]) -> list[Record]:
    """Fill in what other rows say: age, site, group and dseg of the visit, sex and gestation of the child.

    A visit with an age since birth and one since conception keeps the one since birth.
    """
    visits = {}
    for visit, rows in _groups(records, lambda record: record.visit_id).items():
        ages = sorted((record.age for record in rows if record.age), key=lambda age: age.reference)
        visits[visit] = {"age": _first(ages)}
        visits[visit] |= {key: _first(getattr(row, key) for row in rows) for key in ("site", "group", "dseg")}
    children = {}
    for child, rows in _groups(records, lambda record: record.participant_id).items():
        children[child] = {"sex": _first(row.sex for row in rows), "gestation_days": gestation_days(rows)}
    return [replace(one, **visits[one.visit_id], **children[one.participant_id]) for one in records]


def _groups(records: Iterable[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def _first(values: Iterable):
    return next((value for value in values if value is not None), None)


def _same_scan(records: Sequence[Record]) -> Iterable[Fault]:
    for scan, (first, *others) in _groups(records, lambda record: record.scan_id).items():
        for record in others:
            if record.image and record.image == first.image:
                words = f"the row repeats row {first.row}, {scan} with the same image; remove one of them"
                yield record, "image", words
            else:
                words = f"{scan} is already in row {first.row}; number repeat scans in column run"
                yield record, "run", words


def _spellings(records: Sequence[Record]) -> Iterable[Fault]:
    """Labels that differ in case alone name one file on some computers and two on others."""
    columns: dict[str, Callable[[Record], tuple[str, str]]] = {
        "participant_id": lambda record: ("", record.participant_id),
        "session_id": lambda record: (record.participant_id, record.session_id),
        "suffix": lambda record: ("", record.suffix),
    }
    for column, key in columns.items():
        for record, words in _capitals(records, key):
            yield record, column, f"{words}; write both alike or choose another label"


def _alike(records: Sequence[Record]) -> Iterable[Fault]:
    """Sites, or groups, that differ in case alone are mostly one."""
    columns: dict[str, Callable[[Record], tuple[str, str]]] = {
        "site": lambda record: ("", record.site or ""),
        "group": lambda record: ("", record.group or ""),
    }
    for column, key in columns.items():
        for record, words in _capitals([record for record in records if key(record)[1]], key):
            yield record, column, f"{words} and are taken for two {column}s; write both alike if they are one"


def _capitals(
    records: Sequence[Record], key: Callable[[Record], tuple[str, str]]
) -> Iterable[tuple[Record, str]]:
    """Yield the first record of each spelling that another one differs from in case alone, and the words.

    The key of a record is where its text has to be unlike others, and the text.
    """
    seen: dict[tuple[str, str], Record] = {}
    told = set()
    for record in records:
        within, own = key(record)
        first = seen.setdefault((within, own.casefold()), record)
        before = key(first)[1]
        if before != own and (within, own) not in told:
            told.add((within, own))
            words = f"{shown(own)} and, in row {first.row}, {shown(before)} differ in capital letters alone"
            yield record, words


def _same_image(records: Sequence[Record]) -> Iterable[Fault]:
    links: dict[str, str] = {}
    images: dict[str, Record] = {}
    for record in records:
        if record.image:
            first = images.setdefault(real_place(record.image, links), record)
            if first.scan_id != record.scan_id:
                words = f"{shown(record.image)} is also the image of row {first.row}, {first.scan_id}"
                yield record, "image", f"{words}; each scan needs its own file"
    for record in records:
        if record.dseg and real_place(record.dseg, links) in images:
            row = images[real_place(record.dseg, links)].row
            words = f"{shown(record.dseg)} is the image of row {row}; give a segmentation or nothing"
            yield record, "dseg", words


def _same_dseg(records: Sequence[Record]) -> Iterable[Fault]:
    links: dict[str, str] = {}
    owners: dict[str, Record] = {}
    for record in records:
        if record.dseg:
            owner = owners.setdefault(real_place(record.dseg, links), record)
            if owner.visit_id != record.visit_id:
                words = f"{shown(record.dseg)} is also the segmentation of row {owner.row}, {owner.visit_id}"
                yield record, "dseg", f"{words}; each visit needs its own"


def real_place(place: str, links: dict[str, str]) -> str:
    """Return what is the same for all names of one file, whichever link leads to it.

    It is the path with its links followed, the place on the disk of a file with several hard links, or the
    address with the kind and, on the web, the host in small letters. Each folder is looked up once and kept
    in `links`.
    """
    scheme, of_uri, rest = place.partition("://")
    if of_uri:
        host, slash, path = rest.partition("/")
        kind = scheme.lower()
        return f"{kind}://{host.lower() if kind in _HOSTS_IGNORE_CASE else host}{slash}{path}"
    folder, slash, name = place.rpartition("/")
    if not slash:
        return place
    try:
        status = Path(place).stat()
    except OSError:
        return place
    if status.st_nlink > 1 and status.st_ino:
        return f"file {status.st_ino} of device {status.st_dev}"
    if folder not in links:
        links[folder] = str(Path(folder or "/").resolve())
    return str(Path(place).resolve()) if Path(place).is_symlink() else f"{links[folder]}/{name}"


def _unlike(
    records: Sequence[Record], column: str, key: Callable[[Record], str], whole: str
) -> Iterable[Fault]:
    stated = [record for record in records if getattr(record, column) is not None]
    for name, (first, *others) in _groups(stated, key).items():
        for record in others:
            own, before = getattr(record, column), getattr(first, column)
            if own != before:
                words = (
                    f"{shown(own)} and, in row {first.row}, {shown(before)} cannot both be {whole} ({name})"
                )
                yield record, column, f"{words}; correct one, or write n/a"


def _padded(records: Sequence[Record]) -> Iterable[Fault]:
    seen: dict[str, Record] = {}
    told = set()
    for record in records:
        own = record.participant_id
        first = seen.setdefault(own.lstrip("0"), record)
        if first.participant_id != own and own.isdigit() and own not in told:
            told.add(own)
            before = f"{shown(first.participant_id)} (row {first.row})"
            yield record, "participant_id", f"{shown(own)} and {before} are taken for two children"


def _too_early(records: Sequence[Record]) -> Iterable[Fault]:
    for record in records:
        age = record.age
        if age and age.reference == "conception" and age.days < 7 * EARLIEST_SCAN_WEEKS:
            words = f"{age} is a fetus of less than {EARLIEST_SCAN_WEEKS} weeks; was birth meant?"
            yield record, "age_reference", words


def _other_unit(records: Sequence[Record]) -> Iterable[Fault]:
    """Ages beyond early childhood that a smaller unit would put among those of the other children."""
    dated = [(record, age) for record in records if (age := record.age)]
    usual = [age.days for _, age in dated if age.days <= OLDEST_USUAL_DAYS]
    for record, age in dated:
        if usual and age.days > OLDEST_USUAL_DAYS:
            meant = [unit for unit, days in UNIT_DAYS.items() if min(usual) <= age.value * days <= max(usual)]
            if meant:
                words = f"{age} is {age.days / UNIT_DAYS['years']:.0f} years, far above the other children"
                yield record, "age_unit", f"{words}; are {' or '.join(meant)} meant?"
