"""Everything that a report can be made from, read once; what is not there is an empty table."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from babyseg_py.errors import UnusableData
from babyseg_py.names import parse_name, scan_label, visit_id, visit_of
from babyseg_py.statistics.files import read_cells

TABLES = {
    "volumes": "volumes.tsv",
    "scan_volumes": "scanvolumes.tsv",
    "qc": "qc.tsv",
    "surface_distance": "surfacedistance.tsv",
    "reliability": "reliability.tsv",
    "growth": "growth.tsv",
    "associations": "associations.tsv",
}
MORE = (
    "analyses", "growth_models", "centiles", "behaviour_models", "specifications", "groups", "site_effects",
    "method_agreement", "method_volumes", "matched_pairs", "match_balance", "matched_differences",
    "growth_plausibility", "measurement_error", "child_centiles", "association_visits",
    "templates", "change",
    "shape", "shape_vertices", "parts", "parts_growth", "harmonised_volumes",
    "rater_performance", "rater_agreement", "rater_agreement_volumes",
)  # fmt: skip
NUMBERS = {
    "row", "run", "label", "age_days", "age_months", "volume_mm3", "volume_posterior_mm3", "value", "low",
    "volume_ci_low", "volume_ci_high",
    "high", "flag", "dice", "assd_mm", "hd95_mm", "nsd", "tolerance_mm", "n", "icc_2_1", "icc_2_1_ci_low",
    "icc_2_1_ci_high",
    "icc_3_1", "icc_3_1_ci_low", "icc_3_1_ci_high", "cv_within_percent", "difference_percent", "n_visits",
    "change_mm3_per_month", "percent_per_month", "rho", "ci_low", "ci_high", "p", "p_fdr",
    "p_maxt", "estimate", "n_observations", "n_children", "ran", "main", "rank", "centile", "chosen",
    "change_ci_low", "change_ci_high", "f", "p_tukey", "partial_eta2", "difference_mm3", "hedges_g",
    "largest_difference_percent", "age_percent", "bias_mm3", "bias_ci_low", "bias_ci_high", "bias_percent",
    "limit_low", "limit_low_ci_low", "limit_low_ci_high", "limit_high", "limit_high_ci_low",
    "limit_high_ci_high", "p_corrected", "pair", "smd", "variance_ratio", "n_cases", "n_controls",
    "mean_cases", "mean_controls", "reliability", "rho_corrected", "corrected_ci_low", "corrected_ci_high",
    "centile_ci_low", "centile_ci_high", "z", "z_change", "crossing",
    "used", "published_mm3", "low_mm3", "high_mm3", "ratio", "outside",
    "jacobian_mm3_per_month", "single_mm3_per_month", "agrees",
    "t_max", "effect_mm", "p_max", "x_mm", "y_mm", "z_mm", "area_mm2", "area_percent", "degree",
    "t", "vertex", "rho_detectable", "rho_detectable_family", "n_outliers", "harmonised_mm3",
    "sensitivity", "specificity", "predictive_value", "consensus_volume_mm3",
}  # fmt: skip
STATUSES = ("flagged", "failed", "ok")


@dataclass(frozen=True)
class Truth:
    """What a digital cohort was made with: volumes in mm³ per session and label, and the planted effects."""

    volumes: pd.DataFrame
    planted: dict


@dataclass(frozen=True)
class Results:
    """The tables of a cohort; ids are text, missing values NaN, and each has a ``visit_id`` where it can.

    Parameters
    ----------
    records : pd.DataFrame
        One row per scan of the samplesheet.
    phenotype : dict
        ``file``, ``scores``, ``covariates``, ``without_scores``, ``without_scans``.
    ledger : pd.DataFrame
        One row per scan: status, step, reason.
    visits : pd.DataFrame
        One row per visit, from `visit_table`.
    volumes, scan_volumes, qc, surface_distance, reliability, growth, associations : pd.DataFrame
        The tables of ``cohort/``.
    more : dict of str to pd.DataFrame
        The tables of `MORE`, each by its name.
    snapshots, to_scale : dict of str to Path
        Picture of each visit, and its picture to the scale of all others.
    templates : dict of str to Path
        Picture of the template of each child that has one.
    versions : dict of str to str
        Version of each tool that ran.
    truth : Truth or None
        Known answers, for a digital cohort.
    verdicts : list of dict
        participant_id, session_id, verdict and note, as given by eye.
    raters : list of dict
        visit_id and rater of every label map of the sessions that several raters labelled.
    notes : list of str
        What the check found odd about the samplesheet.
    child_pages : str
        Folder of the pages of single children, relative to the report; empty if there are none.
    """

    records: pd.DataFrame
    phenotype: dict
    ledger: pd.DataFrame
    visits: pd.DataFrame
    volumes: pd.DataFrame
    scan_volumes: pd.DataFrame
    qc: pd.DataFrame
    surface_distance: pd.DataFrame
    reliability: pd.DataFrame
    growth: pd.DataFrame
    associations: pd.DataFrame
    more: dict[str, pd.DataFrame] = field(default_factory=dict)
    snapshots: dict[str, Path] = field(default_factory=dict)
    to_scale: dict[str, Path] = field(default_factory=dict)
    templates: dict[str, Path] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    truth: Truth | None = None
    verdicts: list[dict] = field(default_factory=list)
    raters: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    child_pages: str = ""


def visit_table(records: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """One row per visit, in the order of the sheet.

    Parameters
    ----------
    records, ledger : pd.DataFrame
        As in `Results`.

    Returns
    -------
    pd.DataFrame
        visit_id, participant_id, session_id, age_days, age_reference, scans (words), status (the worst of its
        scans; ``failed`` only when all of them failed), reasons (tuple of str).
    """
    visits = records.drop_duplicates("visit_id")[
        ["visit_id", "participant_id", "session_id", "age_days", "age_reference"]
    ].reset_index(drop=True)
    scans = records.groupby("visit_id")["scan"].agg(", ".join)
    statuses = ledger.groupby("visit_id")["status"].agg(list)
    bad = ledger[ledger["status"].isin(["flagged", "failed"])]
    reasons = {visit: tuple(_reasons(entries)) for visit, entries in bad.groupby("visit_id")}
    return visits.assign(
        scans=visits["visit_id"].map(scans),
        status=[_worst(statuses.get(visit, [])) for visit in visits["visit_id"]],
        reasons=pd.Series([reasons.get(visit, ()) for visit in visits["visit_id"]], dtype=object),
    )


def _worst(statuses: list[str]) -> str:
    if statuses and all(status == "failed" for status in statuses):
        return "failed"
    return "flagged" if set(statuses) & {"flagged", "failed"} else "ok"


def _reasons(entries: pd.DataFrame) -> list[str]:
    named = entries.fillna({"reason": "no reason given"})
    return [
        f"{', '.join(scans['scan'])} {status}: {reason}"
        for (status, reason), scans in named.groupby(["status", "reason"], sort=False)
    ]


def read_results(
    *,
    records: Path | str,
    ledger: Path | str,
    cohort: Path | str,
    snapshots: Sequence[Path | str] = (),
    templates: Sequence[Path | str] = (),
    versions: Path | str | None = None,
    truth: Path | str | None = None,
) -> Results:
    """Read the outputs of a cohort.

    Parameters
    ----------
    records, ledger : path
        ``records.json`` and ``ledger.tsv``; these two must exist.
    cohort : path
        Folder of the cohort tables; each of them may be absent.
    snapshots : sequence of path
        ``sub-X_ses-Y_desc-contours_snapshot.png`` and ``…_desc-toscale_snapshot.png``, in any order.
    templates : sequence of path
        ``sub-X_desc-template_snapshot.png``, in any order.
    versions : path, optional
        YAML or JSON: versions by tool, or by process and tool.
    truth : path, optional
        Folder with ``reference_volumes.tsv`` and ``planted.json``.

    Raises
    ------
    UnusableData
        A file is not what its name says.
    """
    scans, content = _read_records(Path(records))
    rows = _read_ledger(Path(ledger))
    pictures, to_scale = _by_visit(snapshots)
    tables: dict[str, Any] = {name: _read_table(Path(cohort) / filename) for name, filename in TABLES.items()}
    return Results(
        records=scans,
        phenotype=content.get("phenotype") or {},
        ledger=rows,
        visits=visit_table(scans, rows),
        **tables,
        verdicts=list(content.get("verdicts") or []),
        raters=list(content.get("raters") or []),
        notes=[str(note) for note in content.get("notes") or []],
        more={name: _read_table(Path(cohort) / f"{name}.tsv") for name in MORE},
        snapshots=pictures,
        to_scale=to_scale,
        templates=_by_child(templates),
        versions=_read_versions(Path(versions)) if versions else {},
        truth=_read_truth(Path(truth)) if truth else None,
    )


def _read_records(path: Path) -> tuple[pd.DataFrame, dict]:
    content = _read_json(path)
    columns = ["row", "participant_id", "session_id", "run", "suffix", "image", "age_days", "age_reference"]
    columns += ["sex", "site", "group"]
    scans = pd.DataFrame(content.get("records", []), columns=columns)
    scans["age_days"] = pd.to_numeric(scans["age_days"], errors="coerce")
    scans["scan"] = [_scan(run, suffix) for run, suffix in zip(scans["run"], scans["suffix"], strict=True)]
    return _with_visit(scans, path), content


def _read_ledger(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UnusableData(str(path), "there is no ledger", "run babyseg ledger first")
    columns = ["row", "participant_id", "session_id", "run", "suffix", "image", "status", "step", "reason"]
    ledger = _read_table(path).reindex(columns=[*columns, "visit_id"])
    ledger["scan"] = [_scan(run, suffix) for run, suffix in zip(ledger["run"], ledger["suffix"], strict=True)]
    return ledger


def _scan(run: object, suffix: object) -> str:
    missing = pd.isna(run)  # type: ignore[call-overload]
    return scan_label(str(suffix), None if missing else int(float(run)))  # type: ignore[arg-type]


def _with_visit(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    if {"participant_id", "session_id"} <= set(table.columns):
        pairs = list(zip(table["participant_id"], table["session_id"], strict=True))
        ids = {pair: _visit(*pair, path) for pair in set(pairs)}
        table["visit_id"] = pd.Series([ids[pair] for pair in pairs], dtype=object)
    return table


def _visit(participant: object, session: object, path: Path) -> str | None:
    if not isinstance(participant, str) or not isinstance(session, str):
        return None
    try:
        return visit_id(participant, session)
    except ValueError as problem:
        raise UnusableData(str(path), str(problem), "run the step that makes it again") from problem


def _read_table(path: Path) -> pd.DataFrame:
    """Read a table of the cohort; one that is absent or without a header is an empty frame."""
    if not path.is_file() or not path.stat().st_size:
        return pd.DataFrame()
    table = read_cells(path)
    for name in table.columns:
        known = table[name].where(~table[name].isin(["n/a", ""]))
        table[name] = pd.to_numeric(known, errors="coerce") if name in NUMBERS else known
    return _with_visit(table, path)


def _by_visit(paths: Sequence[Path | str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures of the visits, and those of them that are to scale."""
    pictures: dict[str, Path] = {}
    to_scale: dict[str, Path] = {}
    for path in sorted(map(Path, paths)):
        try:
            found = to_scale if parse_name(path).get("desc") == "toscale" else pictures
            found[visit_id(*visit_of(path))] = path
        except ValueError as problem:
            advice = "name it sub-X_ses-Y_desc-contours_snapshot.png"
            raise UnusableData(str(path), "its name does not say which visit it shows", advice) from problem
    return pictures, to_scale


def _by_child(paths: Sequence[Path | str]) -> dict[str, Path]:
    found = {}
    for path in sorted(map(Path, paths)):
        try:
            found[str(parse_name(path)["participant"])] = path
        except (ValueError, KeyError) as problem:
            advice = "name it sub-X_desc-template_snapshot.png"
            raise UnusableData(str(path), "its name does not say which child it shows", advice) from problem
    return found


def _read_versions(path: Path) -> dict[str, str]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise UnusableData(
            str(path), f"the versions cannot be read ({problem})", "make the file again"
        ) from problem
    if not isinstance(content, dict):
        raise UnusableData(str(path), "it has no versions by name", "write one 'tool: version' a line")
    versions: dict[str, str] = {}
    for name, value in content.items():
        versions |= (
            {str(t): str(v) for t, v in value.items()} if isinstance(value, dict) else {str(name): str(value)}
        )
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))


def _read_truth(folder: Path) -> Truth:
    planted = folder / "planted.json"
    return Truth(
        volumes=_read_table(folder / "reference_volumes.tsv"),
        planted=_read_json(planted) if planted.is_file() else {},
    )


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise UnusableData(str(path), f"it cannot be read as JSON ({problem})", "make it again") from problem
    if not isinstance(content, dict):
        raise UnusableData(str(path), "it is not a JSON object", "make it again")
    return content
