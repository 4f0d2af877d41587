"""Numbers, names and counts as a reader wants to see them."""

import math

from babyseg_py.statistics.visits import DAYS_PER_MONTH

MISSING = "n/a"
ADJUSTMENTS = {
    "none": "brain volume not adjusted for",
    "covariate": "brain volume as a covariate",
    "proportion": "volume as a share of brain volume",
    "residual": "volume that brain volume does not explain",
}


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


def interval(low: float, high: float, digits: int = 2) -> str:
    """Write ``0.1 to 0.5``, ``n/a`` when there is none."""
    return MISSING if math.isnan(low) else f"{number(low, digits)} to {number(high, digits)}"


def p_value(value: float) -> str:
    """Write a probability: three decimals, or that it is below 0.001."""
    return "< 0.001" if value < 0.001 else number(value, 3)


def p_equals(value: float) -> str:
    """Write ``p = 0.012`` or ``p < 0.001``."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def text(value: object, missing: str = MISSING) -> str:
    """Return a text as it is, and other words for a missing one."""
    return value if isinstance(value, str) else missing


def brain_words(way: object) -> str:
    """Say how brain volume was taken into account."""
    return ADJUSTMENTS.get(str(way), text(way))


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
    return sentence_case(structure.replace("VentralDC", "ventral diencephalon").replace("-", " ").lower())


def sentence_case(text: str) -> str:
    """Write the first letter large and leave the others as they are."""
    return text[:1].upper() + text[1:]


def base_name(structure: str) -> str:
    """Return the structure without its side, such as ``Hippocampus``."""
    return structure.removeprefix("Left-").removeprefix("Right-")


def age(value: float, reference: object) -> str:
    """Write an age in days with its reference: months from birth, or postmenstrual weeks."""
    if math.isnan(value):
        return "age not given"
    if reference == "conception":
        return f"{value / 7:.1f} weeks postmenstrual"
    if reference == "birth":
        return f"{value / DAYS_PER_MONTH:.1f} months from birth"
    return f"{value:.0f} days, reference not given"
