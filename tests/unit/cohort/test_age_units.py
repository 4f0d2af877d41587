import numpy as np
import pytest

from babyseg_py.cohort.age_units import other_units, unit_doubts
from babyseg_py.cohort.ages import make_age
from babyseg_py.cohort.agreement import disagreements
from babyseg_py.cohort.records import Record


def sheet(rng, n=20, *, waves=(1, 6, 12), spread=0.1, wrong=(), factor=1.0):
    """Return scans of n children at each wave (months), some of them in another unit."""
    records = []
    for child in range(n):
        for session, wave in zip("ABC", waves, strict=False):
            months = wave * np.exp(rng.normal(0, spread)) * (factor if child in wrong else 1)
            age = make_age(f"{months:.2f}", "months", "birth")
            row = len(records) + 2
            records.append(Record(row, f"{child:02d}", session, "T1w", None, f"/{row}", age))
    return records


@pytest.mark.parametrize(("factor", "unit"), [(4.348, "weeks"), (1 / 12, "years"), (30.4375, "days")])
def test_children_in_another_unit_than_the_others_are_doubted_once(rng, factor, unit):
    found = list(unit_doubts(sheet(rng, wrong=(3, 8), factor=factor)))
    assert [record.participant_id for record, _, _ in found] == ["03", "08"]
    assert all(f"are {unit} meant?" in words for _, _, words in found)
    assert all(column == "age_unit" for _, column, _ in found)
    told = [problem for problem in disagreements(sheet(rng, wrong=(3,), factor=factor), "sheet.csv")]
    assert told
    assert all(problem.doubt for problem in told)


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5, 0.9])
def test_children_of_unlike_ages_are_not_doubted(rng, spread):
    assert not any(list(unit_doubts(sheet(rng, spread=spread))) for _ in range(100))


def test_few_or_scattered_ages_say_nothing():
    assert other_units({str(i): age for i, age in enumerate([12, 12, 13, 11, 52])}, "months") == {}
    assert other_units({str(i): age for i, age in enumerate([1, 3, 9, 12, 24, 36, 48])}, "months") == {}
    ages = [12, 12, 13, 11, 12, 14, 52, 12, 13, 20]
    assert other_units({str(i): age for i, age in enumerate(ages)}, "months") == {"6": ["weeks"]}
