"""Ages that look as if their unit were another one than that of the ages beside them."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from babyseg_py.cohort.ages import UNIT_DAYS
from babyseg_py.cohort.records import Record

FEWEST = 6
_SPREAD = 1.5
_SHARE = 0.75
_APART = 3.0
_BEYOND = 1.1
_UNEXPLAINED = 0.1


def other_units(values: Mapping[str, float], unit: str | None = None, /) -> dict[str, list[str]]:
    """Find values among ages of one occasion that another unit would put among the others.

    Three quarters of the values or more, and 6 at least, lie within a factor of 1.5 of the median. A value is
    found that is a factor of 3 or more away from all of these, and that comes within them (10 % beyond them
    counts) if it is in one unit and they in another.
    Where more than a tenth of all are neither, none is found.

    Parameters
    ----------
    values : mapping of str to float
        Ages by a name, in one unit; those that are not positive do not count.
    unit : str, optional
        What that unit is said to be; if left out, it may be any.

    Returns
    -------
    dict of str to list of str
        By the name of each value that is found the units that it may be in.
    """
    known = {name: value for name, value in values.items() if value > 0}
    if len(known) < FEWEST:
        return {}
    middle = median(known.values())
    usual = [value for value in known.values() if middle / _SPREAD <= value <= middle * _SPREAD]
    if len(usual) < max(FEWEST, _SHARE * len(known)):
        return {}
    low, high = min(usual) / _BEYOND, max(usual) * _BEYOND
    found = {}
    for name, value in known.items():
        if min(usual) / _APART < value < max(usual) * _APART:
            continue
        meant = [
            other
            for written in ([unit] if unit else UNIT_DAYS)
            for other in UNIT_DAYS
            if low <= value * UNIT_DAYS[other] / UNIT_DAYS[written] <= high
        ]
        if meant:
            found[name] = list(dict.fromkeys(meant))
    rest = len(known) - len(usual) - len(found)
    return found if rest <= _UNEXPLAINED * len(known) else {}


def unit_doubts(records: Sequence[Record]) -> Iterable[tuple[Record, str, str]]:
    """Find visits whose age another unit would put among those of the other children at the same session.

    Ages of one session that count from the same event are compared in days (`other_units`). A child gets one
    sentence, at the first of its rows.
    """
    ages: dict[tuple[str, str], dict[str, float]] = {}
    rows: dict[tuple[str, str, str], Record] = {}
    for record in records:
        if record.age:
            key = record.session_id, record.age.reference
            ages.setdefault(key, {}).setdefault(record.participant_id, record.age.days)
            rows.setdefault((*key, record.participant_id), record)
    found: dict[str, list[tuple[Record, float, list[str]]]] = {}
    for key, values in ages.items():
        for child, meant in _by_written_unit(values, key, rows).items():
            others = median(age for other, age in values.items() if other != child)
            found.setdefault(child, []).append((rows[*key, child], others, meant))
    for visits in found.values():
        record, others, meant = visits[0]
        more = " (and at other visits of the child)" if len(visits) > 1 else ""
        usual = f"{others / UNIT_DAYS[record.age.unit]:.3g} {record.age.unit}" if record.age else ""
        words = (
            f"{record.age} at {record.visit_id}{more} is far from the other children at ses-"
            f"{record.session_id}, who are {usual} old in the middle; are {' or '.join(meant)} meant?"
        )
        yield record, "age_unit", words


def _by_written_unit(
    values: Mapping[str, float], key: tuple[str, str], rows: Mapping[tuple[str, str, str], Record]
) -> dict[str, list[str]]:
    """Find the children whose age, written in the unit that it is, would fit in another one."""
    found = {}
    for unit in UNIT_DAYS:
        for child, meant in other_units(values, unit).items():
            age = rows[*key, child].age
            if age and age.unit == unit:
                found[child] = meant
    return found
