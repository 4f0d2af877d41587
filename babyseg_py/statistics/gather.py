"""The tables of single visits, joined with the samplesheet into tables of the cohort."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from babyseg_py.errors import UnusableData
from babyseg_py.statistics.files import missing_columns, read_lines, typed
from babyseg_py.statistics.structures import asymmetry, wide
from babyseg_py.statistics.verdicts import with_verdicts
from babyseg_py.statistics.visits import FACTS, VISIT

INTERVAL = ["volume_ci_low", "volume_ci_high"]
COLUMNS = {
    "volumes": ["label", "structure", "side", "volume_mm3", "volume_posterior_mm3", *INTERVAL],
    "scanvolumes": ["scan", "label", "structure", "side", "volume_mm3", "volume_posterior_mm3", *INTERVAL],
    "qc": ["scan", "structure", "metric", "value", "low", "high", "flag", "message"],
    "surfacedistance": [
        "reference", "candidate", "label", "structure", "dice", "assd_mm", "hd95_mm", "nsd", "tolerance_mm",
    ],
    "longitudinal": [
        "label", "structure", "side", "volume_mm3", "volume_posterior_mm3", "volume_jacobian_mm3",
        "jacobian", "strength",
    ],
}  # fmt: skip


def cohort_tables(
    parts: dict[str, dict[Path, tuple[str, str]]], facts: pd.DataFrame, *, verdicts: Iterable[dict] = ()
) -> dict[str, pd.DataFrame]:
    """Gather the tables of all visits.

    Parameters
    ----------
    parts : dict
        For each kind of table (the keys of `COLUMNS`) the files with the participant and session of each.
    facts : pandas.DataFrame
        All visits of the samplesheet, from `babyseg_py.statistics.visits.visit_facts`.
    verdicts : iterable of dict
        What was said of the visits by eye, which the table qc then has (see `with_verdicts`).

    Returns
    -------
    dict of str to pandas.DataFrame
        volumes, volumes_wide, scanvolumes, asymmetry, qc, surfacedistance and longitudinal; sorted by
        participant and session, within a visit as the visit's table is; ages and covariates of the
        samplesheet in front. Without any file a table has its columns and no row.

    Raises
    ------
    UnusableData
        A table lacks a column, is cut off, is of a visit that the samplesheet does not have, or two of
        one description are of the same visit.
    """
    tables = {kind: gather(parts.get(kind, {}), columns, facts) for kind, columns in COLUMNS.items()}
    tables["qc"] = with_verdicts(tables["qc"], verdicts, facts)
    tables["scanvolumes"] = _with_contrast(tables["scanvolumes"])
    volumes = tables["volumes"].drop(columns=INTERVAL)
    tables["volumes_wide"], tables["asymmetry"] = wide(volumes), asymmetry(volumes)
    return tables


def gather(files: dict[Path, tuple[str, str]], columns: list[str], facts: pd.DataFrame) -> pd.DataFrame:
    """Stack the tables of one kind and join the facts of the visits; further columns are left out."""
    known = set(map(tuple, facts[VISIT].to_numpy().tolist()))
    seen: dict[tuple[tuple[str, str], str], Path] = {}
    cells: list[list[str]] = []
    for path, visit in sorted(files.items(), key=lambda item: (item[1], item[0].name)):
        described = visit, path.name.rpartition("_desc-")[2]  # e.g. both segmentation_qc and sides_qc
        if described in seen:
            advice = "give one table for each visit"
            raise UnusableData(str(path), f"is of the same visit as {seen[described]}", advice)
        if visit not in known:
            what = f"sub-{visit[0]} ses-{visit[1]} is not in the samplesheet"
            raise UnusableData(str(path), what, "give the records that the table was made from")
        seen[described] = path
        header, *rows = read_lines(path)
        missing_columns(path, header, columns)
        order = [header.index(column) for column in columns]
        cells += [[*visit, *(row[i] for i in order)] for row in rows]
    stacked = typed(pd.DataFrame(cells, columns=VISIT + columns, dtype=object), "a table of the visits")
    return stacked.merge(facts, on=VISIT, how="left")[VISIT + FACTS + columns]


def _with_contrast(scans: pd.DataFrame) -> pd.DataFrame:
    parts = scans["scan"].astype("string").str.extract(r"^(?:run-(?P<run>\d+)_)?(?P<suffix>[A-Za-z0-9]+)$")
    position = scans.columns.to_list().index("scan") + 1
    table = scans.copy()
    table.insert(position, "run", pd.to_numeric(parts["run"]).astype(float))
    table.insert(position + 1, "suffix", parts["suffix"].astype(object))
    return table


def participants(records: Iterable[dict], volumes: pd.DataFrame) -> pd.DataFrame:
    """One row per child of the samplesheet, as BIDS has it in participants.tsv.

    Returns
    -------
    pandas.DataFrame
        participant_id (with ``sub-``), sex, site, group (the first that the sheet states), n_visits, n_scans,
        n_visits_with_volumes.
    """
    rows = pd.DataFrame(list(records)).reindex(columns=[*VISIT, "sex", "site", "group"])
    by_child = rows.groupby("participant_id", sort=True)
    table = by_child[["sex", "site", "group"]].first()
    table["n_visits"] = by_child["session_id"].nunique()
    table["n_scans"] = by_child.size()
    measured = volumes.drop_duplicates(VISIT)["participant_id"].value_counts()
    table["n_visits_with_volumes"] = measured.reindex(table.index, fill_value=0)
    table = table.reset_index()
    return table.assign(participant_id="sub-" + table["participant_id"].astype(object))
