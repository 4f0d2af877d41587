"""Numbers, names and counts as a reader wants to see them."""

import math

import pandas as pd

DAYS_PER_MONTH = 30.4375
MISSING = "n/a"


def number(value: object, digits: int = 2) -> str:
    """Write a number with a true minus sign, ``n/a`` for a missing one."""
    try:
        x = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return MISSING
    if not math.isfinite(x):
        return MISSING
    text = f"{x:,.{digits}f}".replace(",", "\u202f")
    if float(f"{x:.{digits}f}") == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def p_value(value: object) -> str:
    """Write a probability: three decimals, or that it is below 0.001."""
    x = pd.to_numeric(value, errors="coerce")  # type: ignore[call-overload]
    return "< 0.001" if pd.notna(x) and x < 0.001 else number(x, 3)


def count(n: int, noun: str, plural: str = "") -> str:
    """Write ``1 child`` or ``3 children``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}".replace(",", "\u202f")


def listing(items: list[str], limit: int = 12) -> str:
    """Write items with commas and ``and``; beyond the limit only how many more there are."""
    if len(items) > limit:
        return ", ".join(items[:limit]) + f" and {len(items) - limit} more"
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def plain_name(structure: str) -> str:
    """Write a FreeSurfer structure name as words, such as ``Left hippocampus``."""
    special = {"VentralDC": "ventral diencephalon", "Left-VentralDC": "Left ventral diencephalon"}
    special["Right-VentralDC"] = "Right ventral diencephalon"
    if structure in special:
        text = special[structure]
    else:
        text = structure.replace("-", " ").lower()
    return text[:1].upper() + text[1:]


def base_name(structure: str) -> str:
    """Return the structure without its side, such as ``Hippocampus``."""
    return structure.removeprefix("Left-").removeprefix("Right-")


def age(days: object, reference: object) -> str:
    """Write an age with its reference: months from birth, or weeks from conception (postmenstrual)."""
    value = pd.to_numeric(days, errors="coerce")  # type: ignore[call-overload]
    if pd.isna(value):
        return "age not given"
    if reference == "conception":
        return f"{value / 7:.1f} weeks postmenstrual"
    if reference == "birth":
        return f"{value / DAYS_PER_MONTH:.1f} months from birth"
    return f"{value:.0f} days, reference not given"
