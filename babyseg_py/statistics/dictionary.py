"""Data dictionaries of the cohort's tables, in the form of BIDS sidecars."""

import json
from functools import cache
from importlib.resources import files

LIKE = {
    "parts_growth": "growth",
    "rater_performance": "performance",
    "rater_agreement": "method_agreement",
    "rater_agreement_volumes": "method_volumes",
}


def describe(table: str, column: str) -> dict:
    """Describe a column, as the BIDS data dictionary beside its table says it.

    Parameters
    ----------
    table : str
        Name of the table without extension, such as ``growth``.
    column : str
        Name of the column. In ``volumes_wide`` every structure is known.

    Returns
    -------
    dict
        Description and, where it has one, Units, Levels or Derivative.

    Raises
    ------
    KeyError
        The column has no description.
    """
    texts = _texts()
    if column in texts.get(table, {}):
        return texts[table][column]
    if column in texts.get(LIKE.get(table, ""), {}):
        return texts[LIKE[table]][column]
    if column in texts["any table"]:
        return texts["any table"][column]
    for ending in ("_posterior_mm3", "_mm3"):
        if table == "volumes_wide" and column.endswith(ending):
            pattern = texts["volumes_wide"]["*" + ending]
            structure = column.removesuffix(ending)
            return pattern | {"Description": pattern["Description"].replace("*", structure)}
    msg = f"the column {column} of {table} has no description in dictionary.json"
    raise KeyError(msg)


@cache
def _texts() -> dict:
    return json.loads(files("babyseg_py.statistics").joinpath("dictionary.json").read_text(encoding="utf-8"))
