"""A few lines on who is in a cohort."""

from collections import Counter
from collections.abc import Sequence

from babyseg_py.cohort.ages import UNIT_DAYS
from babyseg_py.cohort.records import Record


def summary(records: Sequence[Record]) -> list[str]:
    """Return lines on children, visits, scans, contrasts and ages."""
    contrasts = Counter(record.suffix for record in records)
    children = Counter(record.participant_id for record in records)
    visits = {record.visit_id: record for record in records}
    lines = [
        f"{_count(len(children), 'child', 'children')}, {_count(len(visits), 'visit', 'visits')},"
        f" {_count(len(records), 'scan', 'scans')}"
        f" ({', '.join(f'{suffix} {count}' for suffix, count in sorted(contrasts.items()))})"
    ]
    for reference in ("birth", "conception"):
        days = [v.age.days for v in visits.values() if v.age and v.age.reference == reference]
        if days:
            least, greatest = (f"{value / UNIT_DAYS['months']:.1f}" for value in (min(days), max(days)))
            count = _count(len(days), "visit", "visits")
            lines.append(f"age {least} to {greatest} months since {reference} at {count}")
    ageless = sum(visit.age is None for visit in visits.values())
    if ageless == len(visits):
        lines.append("no visit has an age: no growth, and associations and groups are not adjusted for age")
    elif ageless:
        lines.append(
            f"no age at {_count(ageless, 'visit', 'visits')}: these take no part in growth and associations"
        )
    return lines


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
