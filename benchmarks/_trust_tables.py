"""Tables and the figure of how far the certainty of a segmentation can be trusted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _trust_cases import CLEAN, HELD_OUT, INFANT, KINDS
from _trust_fit import CENTRES, confidences, covered, crossfitted, fit, judge, log_ratios, map_group, stacked
from _trust_records import Record
from matplotlib.figure import Figure

from babyseg_py.labels import STRUCTURES
from babyseg_py.segmentation.calibration import Trust
from babyseg_py.segmentation.calibration_fit import expected_calibration_error, reliability
from babyseg_py.segmentation.quality import SCORE

PAGE = Path(__file__).with_name("_trust_page.md")
CHECK_SETS = ("maps held out", "other maps", "degraded", INFANT)


def split(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Part the records of label maps from those of digital infants."""
    infants = [record for record in records if record.kind == INFANT]
    return [record for record in records if record.kind != INFANT], infants


def check_set(record: Record) -> str:
    """Name the set that a record belongs to in the tables."""
    if record.kind == INFANT:
        return INFANT
    if record.kind != CLEAN:
        return "degraded"
    return CHECK_SETS[0] if record.source in HELD_OUT else CHECK_SETS[1]


def write_page(records: Sequence[Record], made_by: str, folder: Path) -> None:
    """Write docs/calibration.md and its figure.

    For the Dice of degraded visits, all of their kind were left out; for all else, all of their label map.
    """
    synthetic, infants = split(records)
    clean = [record for record in synthetic if record.kind == CLEAN]
    degraded = [record for record in synthetic if record.kind != CLEAN]
    ordered = [*clean, *degraded, *infants]
    of_infants = judge(fit(synthetic), infants)
    by_map = crossfitted([*clean, *degraded], map_group) + of_infants
    by_kind = by_map[: len(clean)] + crossfitted(degraded, lambda record: record.kind, clean) + of_infants
    draw(ordered, by_map, folder / "images" / "reliability.png")
    page = PAGE.read_text(encoding="utf-8").format(
        made_by=made_by,
        dice="\n".join(dice_table(ordered, by_kind)),
        errors="\n".join(error_table(ordered, by_map)),
        coverage="\n".join(coverage_table(ordered, by_map)),
        alarms="\n".join(alarm_table(ordered, by_map)),
    )
    (folder / "calibration.md").write_text(page, encoding="utf-8")
    print(page)


def dice_table(records: Sequence[Record], trusts: Sequence[Trust]) -> list[str]:
    """Correlation and mean absolute error of predicted with true Dice, by kind, all structures pooled."""
    true, said = stacked(records, "dice"), np.array([list(t.dice.values()) for t in trusts])
    kinds = np.array([record.kind for record in records])
    lines = [
        "| kind | visits | mean Dice | r | mean absolute error | r of the visit's mean |",
        "|" + " --- |" * 6,
    ]

    def row(name: str, some: np.ndarray) -> str:
        t, p = true[some], said[some]
        known = np.isfinite(t)
        r = np.corrcoef(t[known], p[known])[0, 1]
        error = np.abs(t - p)[known].mean()
        whole = np.corrcoef(np.nanmean(t, axis=1), p.mean(axis=1))[0, 1] if some.sum() > 2 else np.nan
        return f"| {name} | {some.sum()} | {t[known].mean():.3f} | {r:.3f} | {error:.3f} | {whole:.3f} |"

    for kind in (CLEAN, *KINDS, INFANT):
        if (kinds == kind).sum() > 1:
            lines.append(row(kind, kinds == kind))
    degraded = np.isin(kinds, KINDS)
    return [*lines, row("all degradations", degraded), row("all but digital infants", kinds != INFANT)]


def error_table(records: Sequence[Record], trusts: Sequence[Trust]) -> list[str]:
    """Tabulate the calibration error of the voxels before and after calibration, by set."""
    sets = np.array([check_set(record) for record in records])
    voxels, right = stacked(records, "voxels"), stacked(records, "right")
    raw = np.broadcast_to(1 / (1 + np.exp(-CENTRES)), voxels.shape)
    said = confidences(trusts)
    lines = ["| set | visits | voxels right | error, raw | error, calibrated | in structures alone |"]
    lines.append("|" + " --- |" * 6)
    kinds = np.array([record.kind for record in records])
    for name, some in (
        [(s, sets == s) for s in CHECK_SETS] + [(k, kinds == k) for k in KINDS] + [("all", sets != "")]
    ):
        if not some.any():
            continue
        groups = [x[some].reshape(-1) for x in (raw, said, voxels, right)]
        errors = [expected_calibration_error(c, groups[2], groups[3]) for c in groups[:2]]
        inside = [x[some][:, 1:].reshape(-1) for x in (said, voxels, right)]
        errors.append(expected_calibration_error(*inside))
        share = groups[3].sum() / groups[2].sum()
        lines.append(
            f"| {name} | {some.sum()} | {share:.3f} | " + " | ".join(f"{e:.3f}" for e in errors) + " |"
        )
    return lines


def coverage_table(records: Sequence[Record], trusts: Sequence[Trust]) -> list[str]:
    """Share of the visits whose true volume lies in the interval, by structure and set."""
    inside = covered(records, trusts)
    sets = np.array([check_set(record) for record in records])
    low, high = (np.array([list(getattr(t, end).values()) for t in trusts]) for end in ("low", "high"))
    columns = {"all synthetic": sets != INFANT} | {s: sets == s for s in CHECK_SETS}
    columns = {name: some for name, some in columns.items() if some.any()}
    ratios = np.exp(log_ratios(records))
    more = ["width", "true / posterior", f"true / posterior, {INFANT}"]
    lines = [f"| structure | {' | '.join([*columns, *more])} |", "|" + " --- |" * (4 + len(columns))]
    for n, s in enumerate(STRUCTURES[1:]):
        cells = [f"{inside[some, n].mean():.2f}" for some in columns.values()]
        width = np.median((high - low)[columns["all synthetic"], n])
        cells += [f"{100 * width:.0f} %"]
        cells += [f"{np.nanmedian(ratios[some, n]):.2f}" for some in (sets != INFANT, sets == INFANT)]
        lines.append(f"| {s.name} | {' | '.join(cells)} |")
    good = [
        f"{sum(0.85 <= inside[some, n].mean() <= 0.95 for n in range(inside.shape[1]))} of 21"
        for some in columns.values()
    ]
    mean = [f"{inside[some].mean():.3f}" for some in columns.values()]
    number = [str(some.sum()) for some in columns.values()]
    rows = {"mean": mean, "between .85 and .95": good, "visits": number}
    return [*lines, *(f"| {name} | {' | '.join(cells)} | | | |" for name, cells in rows.items())]


def alarm_table(records: Sequence[Record], trusts: Sequence[Trust]) -> list[str]:
    """Share of the visits that are flagged, by kind, and the mean Dice of those that are and are not."""
    head = ["kind", "visits", "brain flagged", "any structure flagged", "any score below .6"]
    lines = [f"| {' | '.join([*head, 'Dice, flagged', 'Dice, not flagged'])} |", "|" + " --- |" * 7]
    kinds = np.array([record.kind for record in records])
    brain = np.array([t.mean_dice < t.least_mean_dice for t in trusts])
    parts = np.array([any(t.dice[n] < t.least_dice[n] for n in t.dice) for t in trusts])
    low = _scores(records, trusts).min(axis=1) < SCORE[0]
    dice = np.nanmean(stacked(records, "dice"), axis=1)
    for kind in (CLEAN, *KINDS, INFANT):
        some = kinds == kind
        if some.any():
            own = [some & (brain | parts), some & ~(brain | parts)]
            means = [f"{dice[of].mean():.3f}" if of.any() else "" for of in own]
            shares = [f"{flags[some].mean():.2f}" for flags in (brain, parts, low)]
            lines.append(f"| {' | '.join([kind, str(some.sum()), *shares, *means])} |")
    return lines


def _scores(records: Sequence[Record], trusts: Sequence[Trust]) -> np.ndarray:
    """Mean confidence in the voxels of each structure, (N, 21); 1 where there is none."""
    voxels = stacked(records, "voxels")[:, 1:]
    sums = (voxels * confidences(trusts)[:, 1:]).sum(axis=-1)
    counts = voxels.sum(axis=-1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), 1)


def draw(records: Sequence[Record], trusts: Sequence[Trust], path: Path) -> None:
    """Draw accuracy against confidence of the voxels, raw and calibrated, a panel for each set."""
    sets = np.array([check_set(record) for record in records])
    said, raw = (
        confidences(trusts),
        np.broadcast_to(1 / (1 + np.exp(-CENTRES)), (len(records), 22, len(CENTRES))),
    )
    voxels, right = stacked(records, "voxels"), stacked(records, "right")
    names = [name for name in CHECK_SETS if (sets == name).any()]
    figure = Figure(figsize=(2.6 * len(names), 2.9), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        some = sets == name
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
        for confidence, words, style in ((raw, "posterior", "o:"), (said, "calibrated", "o-")):
            groups = [x[some].reshape(-1) for x in (confidence, voxels, right)]
            _, mean, share, weight = reliability(*groups)
            keep = weight > 1e-4 * weight.sum()
            error = expected_calibration_error(*groups)
            axes.plot(
                mean[keep], share[keep], style, markersize=3, linewidth=1, label=f"{words}, error {error:.3f}"
            )
        axes.set(title=f"{name} ({some.sum()} visits)", xlabel="confidence", xlim=(0, 1), ylim=(0, 1))
        axes.legend(fontsize=7, loc="upper left")
    panels[0].set_ylabel("share of voxels that are right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
