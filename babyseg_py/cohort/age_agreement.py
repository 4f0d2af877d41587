"""Can the ages of one child all be true: at one visit, by two references, from visit to visit."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from babyseg_py.cohort.ages import GESTATION_DAYS, Age, backwards, birth_range, same_age
from babyseg_py.cohort.records import Record
from babyseg_py.cohort.session_order import chains

GESTATION_SLACK_DAYS = 7.0

Fault = tuple[Record, str, str]


@dataclass(frozen=True)
class Dated:
    """A record that has an age."""

    record: Record
    age: Age


@dataclass(frozen=True)
class Gestation:
    """Gestation at birth as the two ages of one visit tell it.

    Parameters
    ----------
    days : float
        The age since conception less the age since birth.
    slack_days : float
        What the written digits of both leave open, if they were cut off; half of it if they were rounded.
    birth, conception : Dated
        Where it is from.
    """

    days: float
    slack_days: float
    birth: Dated
    conception: Dated

    @property
    def words(self) -> str:
        """Both ages and their rows."""
        rows = sorted({self.birth.record.row, self.conception.record.row})
        return f"{self.birth.age} and {self.conception.age} (rows {' and '.join(map(str, rows))})"


def age_faults(child: Sequence[Record]) -> list[Fault]:
    """Find ages of one child that contradict each other.

    Parameters
    ----------
    child : sequence of Record
        All scans of the child.

    Returns
    -------
    list of (Record, column, message)
        Within a visit: two ages of one reference. Gestation at birth, which is an age since conception less
        the age since birth: outside 22 to 44 weeks, or unlike between visits by more than a week and the
        digits written. From visit to visit, in the order that `chains` knows: an age that goes backwards,
        also where one is since birth and the other since conception and no gestation of 22 to 44 weeks
        explains it.
    """
    visits = _visits(child)
    faults = [fault for visit in visits.values() for fault in _unlike(visit)]
    faults += _unlike_gestations(_gestations(visits.values()))
    return faults or _steps_back(visits, gestation_days(child))


def listing_doubts(child: Sequence[Record]) -> list[Fault]:
    """Find ages that go backwards in the order of the rows, between sessions of no known order."""
    visits = _visits(child)
    linked: dict[str, set[int]] = {session: set() for session in visits}
    for number, chain in enumerate(chains(visits)):
        for step in chain:
            for session in step:
                linked[session].add(number)
    faults = []
    greatest: dict[str, Dated] = {}
    for visit in visits.values():
        for reference, dated in _by_reference(visit).items():
            before = greatest.setdefault(reference, dated)
            if dated.age.days > before.age.days:
                greatest[reference] = dated
            if backwards(before.age, dated.age):
                sessions = before.record.session_id, dated.record.session_id
                if not linked[sessions[0]] & linked[sessions[1]]:
                    faults.append(_step_back(before, dated, "at {}, which is listed before it"))
    return faults


def gestation_days(child: Sequence[Record]) -> float | None:
    """Return the gestation at birth in days from the visit whose two ages tell it best, if one does."""
    known = _gestations(_visits(child).values())
    return round(min(known, key=lambda one: one.slack_days).days, 4) if known else None


def _visits(child: Iterable[Record]) -> dict[str, list[Dated]]:
    visits: dict[str, list[Dated]] = {}
    for record in child:
        if record.age:
            visits.setdefault(record.session_id, []).append(Dated(record, record.age))
    return visits


def _by_reference(visit: Iterable[Dated]) -> dict[str, Dated]:
    """Return the first age since birth and the first since conception."""
    found: dict[str, Dated] = {}
    for dated in visit:
        found.setdefault(dated.age.reference, dated)
    return found


def _unlike(visit: Sequence[Dated]) -> Iterable[Fault]:
    first = _by_reference(visit)
    for dated in visit:
        before = first[dated.age.reference]
        if not same_age(before.age, dated.age):
            words = f"{dated.age} and, in row {before.record.row}, {before.age} cannot both be the age"
            yield dated.record, "age_value", f"{words} at one visit ({dated.record.visit_id}); correct one"


def _gestations(visits: Iterable[Sequence[Dated]]) -> list[Gestation]:
    found = []
    for visit in visits:
        first = _by_reference(visit)
        if len(first) == 2:
            birth, conception = first["birth"], first["conception"]
            slack = birth.age.step_days + conception.age.step_days
            found.append(Gestation(conception.age.days - birth.age.days, slack, birth, conception))
    return found


def _unlike_gestations(known: Sequence[Gestation]) -> Iterable[Fault]:
    least, greatest = GESTATION_DAYS
    for one in known:
        later = max(one.birth.record, one.conception.record, key=lambda record: record.row)
        weeks = f"birth after {one.days / 7:.1f} weeks of gestation"
        if not least - one.slack_days / 2 <= one.days <= greatest + one.slack_days / 2:
            limits = f"outside {least / 7:.0f} to {greatest / 7:.0f}"
            yield later, "age_value", f"{one.words} contradict each other: {weeks}, {limits}; correct one"
            continue
        first = known[0]
        if abs(one.days - first.days) > max(GESTATION_SLACK_DAYS, one.slack_days + first.slack_days):
            other = f"those of {first.birth.record.visit_id} after {first.days / 7:.1f}"
            yield later, "age_value", f"{one.words} contradict other visits: {weeks}, {other}; correct one"


def _steps_back(visits: dict[str, list[Dated]], gestation: float | None) -> list[Fault]:
    """Find ages that go backwards along the sessions whose order is known; each row once."""
    faults: dict[int, Fault] = {}
    for chain in chains(visits):
        past: list[Dated] = []
        for step in chain:
            now = [dated for session in step for dated in _by_reference(visits[session]).values()]
            for dated in now:
                before = next((one for one in past if _contradicts(one, dated, gestation)), None)
                if before:
                    faults.setdefault(dated.record.row, _step_back(before, dated, "at the earlier {}"))
            past = _greatest([*past, *now])
    return list(faults.values())


def _greatest(past: Iterable[Dated]) -> list[Dated]:
    """Keep the greatest age of each reference, all that later visits need to be compared with."""
    found: dict[str, Dated] = {}
    for dated in past:
        known = found.get(dated.age.reference)
        if known is None or known.age.days < dated.age.days:
            found[dated.age.reference] = dated
    return list(found.values())


def _contradicts(earlier: Dated, later: Dated, gestation: float | None) -> bool:
    if earlier.age.reference == later.age.reference:
        return backwards(earlier.age, later.age)
    slack = math.fsum((earlier.age.step_days, later.age.step_days))
    if gestation is not None:
        slack += GESTATION_SLACK_DAYS
    return birth_range(later.age, gestation)[1] < birth_range(earlier.age, gestation)[0] - slack


def _step_back(before: Dated, dated: Dated, where: str) -> Fault:
    words = (
        f"{dated.age} at {dated.record.visit_id} goes back behind {before.age}"
        f" {where.format(before.record.visit_id)} (row {before.record.row}); correct the age or the session"
    )
    return dated.record, "age_value", words
