"""Ages with their unit and reference, in days.

A week has 7 days, a year 365.25 days, a month a twelfth of a year (30.4375 days).
"""

import re
from dataclasses import dataclass
from decimal import Decimal

UNIT_DAYS = {"days": 1.0, "weeks": 7.0, "months": 365.25 / 12, "years": 365.25}
REFERENCES = ("birth", "conception")
OLDEST_DAYS = 120 * UNIT_DAYS["years"]
GESTATION_DAYS = (22 * 7.0, 44 * 7.0)

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True)
class Age:
    """An age as it was written.

    Parameters
    ----------
    value : float
        The number, in `unit`.
    unit : str
        ``days``, ``weeks``, ``months`` or ``years``.
    reference : str
        What it is counted from: ``birth``, or ``conception`` for a postmenstrual age.
    step_days : float
        One unit in the last place written, in days: an age of 6.2 months is known to 0.1 month.
    """

    value: float
    unit: str
    reference: str
    step_days: float

    @property
    def days(self) -> float:
        """The age in days."""
        return round(self.value * UNIT_DAYS[self.unit], 4)

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit} from {self.reference}"


def number(text: str, *, decimal_comma: bool = False) -> float:
    """Read a finite number.

    Parameters
    ----------
    text : str
        The number, with a decimal point.
    decimal_comma : bool
        Whether ``6,2`` is 6.2, as in tables whose separator is not the comma.

    Raises
    ------
    ValueError
        The text is something else.
    """
    plain = text.replace(",", ".") if decimal_comma and text.count(",") == 1 and "." not in text else text
    if _NUMBER.fullmatch(plain) is None:
        raise ValueError
    return float(plain)


def last_place(text: str) -> float:
    """Return one unit in the last place of a number as it was written: 0.1 for 6.2, 1 for 12."""
    exponent = Decimal(text.replace(",", ".")).as_tuple().exponent
    return 10.0 ** min(int(exponent), 0)


def make_age(text: str, unit: str, reference: str, *, decimal_comma: bool = False) -> Age:
    """Build an age from the text of its value and a known unit and reference.

    Raises
    ------
    ValueError
        Not a number, negative, or older than 120 years; the message says so in words.
    """
    try:
        value = number(text, decimal_comma=decimal_comma)
    except ValueError:
        hint = ", such as 6.2 with a decimal point" if "," in text else " such as 6.2"
        msg = f"{text[:60]!r} is not a number{hint}; write n/a if the age is not known"
        raise ValueError(msg) from None
    if value < 0:
        msg = f"the age {text} is negative; count from birth, or from conception for a fetus"
        raise ValueError(msg)
    if value * UNIT_DAYS[unit] > OLDEST_DAYS:
        msg = f"{value:g} {unit} is more than 120 years; check value and unit"
        raise ValueError(msg)
    return Age(value, unit, reference, last_place(text) * UNIT_DAYS[unit])


def backwards(earlier: Age, later: Age) -> bool:
    """Say whether an age is less than that of an earlier visit, both counted from the same event.

    In one unit any step back counts; across units only one beyond what the written digits leave open.
    """
    slack = 0.0 if earlier.unit == later.unit else (earlier.step_days + later.step_days) / 2
    return later.days < earlier.days - slack


def same_age(first: Age, second: Age) -> bool:
    """Say whether two ages, counted from the same event, can be of one day as far as their digits tell."""
    if first.unit == second.unit:
        return first.value == second.value
    return abs(first.days - second.days) <= max(first.step_days, second.step_days)


def birth_range(age: Age, gestation_days: float | None) -> tuple[float, float]:
    """Return the least and greatest age since birth, in days, that an age can mean.

    An age since conception is that much less the gestation at birth, which is 22 to 44 weeks if unknown.
    """
    if age.reference == "birth":
        return age.days, age.days
    least, greatest = GESTATION_DAYS if gestation_days is None else (gestation_days, gestation_days)
    return age.days - greatest, age.days - least
