"""Figures of quality: scores, distances between the scans of a visit, T1w against T2w."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from babyseg_py.names import parse_name
from babyseg_py.report.figures import ACCENT, FLAG, GREY, INK, WIDTH_IN, Shelf, agreement, file_name, strip
from babyseg_py.report.parts import Absent, Part, Picture, Plot, Table
from babyseg_py.report.results import Results
from babyseg_py.report.structures import PARTS, by_structure, in_order
from babyseg_py.report.words import MISSING, base_name, count, number, plain_name, sentence_case
from babyseg_py.statistics.methods import MANUAL

KINDS = (
    ("repeat scans of one contrast", ACCENT),
    ("scans of two contrasts", FLAG),
    ("scan against session", GREY),
)
WHOLE = "Whole brain"
HALF_IN = 4.9
# What the metrics of the quality table are called, in the order in which they are drawn.
METRICS = {
    "predicted_dice": "Dice that is to be expected",
    "score": "Certainty of the network",
    "brain_ml": "Labelled brain (mL)",
    "left_right_ratio": "Left volume over right",
    "cerebellum_share": "Cerebellum, share of the brain",
    "brain_stem_ml": "Brain stem (mL)",
    "largest_part": "Largest connected part, share of the brain",
    "edge_share": "Brain at the edge of the image, share",
    "layout_misfit": "Structures off their usual places, share of the brain's size",
    "share_misfit": "Structures off their usual sizes (standard deviations)",
    "length_to_width": "Length of the cerebrum over its width",
    "height_to_width": "Height of the cerebrum over its width",
    "far_cortex_share": "Cortex far from white matter, share",
    "flat_face": "Largest plane face at the end of the image, relative",
    "volume_mm3": "Volume of a structure (mm³)",
    "verdict": "Verdict by eye",
    "dice_with_correction": "Dice of the network's labels with those corrected by hand",
}
NOT_DRAWN = {"volume_mm3"}  # the growth curves show volumes


def flag_counts(results: Results, shelf: Shelf) -> Part:
    """Count the flags by metric."""
    if results.qc.empty:
        return Absent("No quality table came out of this run.")
    flags = results.qc[results.qc["flag"] == 1]
    if flags.empty:
        return Absent(f"None of {count(len(results.qc), 'measurement')} of quality was outside its bounds.")
    rows = []
    for metric, of in flags.groupby("metric"):
        example = of["message"].dropna()
        rows.append((_words(str(metric)), f"{of['visit_id'].nunique():,}", f"{len(of):,}",
                     str(example.iloc[0]) if len(example) else MISSING))  # fmt: skip
    rows.sort(key=lambda row: -int(row[1].replace(",", "")))
    return Table(("What was measured", "Sessions", "Flags", "For example"), rows, frozenset({1, 2}))


def _words(metric: str) -> str:
    return METRICS.get(metric, sentence_case(metric.replace("_", " ").replace("-", " ")))


def scores(results: Results, shelf: Shelf) -> Part:
    """Draw every measured score, a figure a metric: the whole brain, then the structures."""
    qc = results.qc
    drawn = qc[qc["value"].notna() & ~qc["metric"].isin(NOT_DRAWN)] if len(qc) else qc
    if drawn.empty:
        return Absent("No quality scores came out of this run.")
    pictures = []
    for metric in sorted(drawn["metric"].unique(), key=lambda name: [*METRICS, name].index(name)):
        of = drawn[drawn["metric"] == metric]
        whole = [(WHOLE, of[of["structure"].isna()])] if of["structure"].isna().any() else []
        base = of["structure"].fillna("").map(base_name)
        parts = [(plain_name(name), of[base == name]) for name in in_order(of["structure"])]
        pictures.append(_score_figure(str(metric), whole + parts, shelf))
    return Plot(tuple(pictures))


def _score_figure(metric: str, groups: list[tuple[str, pd.DataFrame]], shelf: Shelf) -> Picture:
    figure = Figure(figsize=(HALF_IN, 0.75 + 0.2 * len(groups)))
    axes = figure.subplots()
    strip(axes, [(name, of["value"]) for name, of in groups])
    for row, (_, of) in enumerate(groups):
        flagged = of.loc[of["flag"] == 1, "value"]
        axes.plot(flagged, [row] * len(flagged), "^", color=FLAG, markersize=4)
        for bound in (of["low"].median(), of["high"].median()):
            if np.isfinite(bound):
                axes.plot([bound] * 2, [row - 0.45, row + 0.45], color=INK, linewidth=0.8, linestyle=":")
    axes.set_title(_words(metric))
    data = pd.concat([of for _, of in groups])
    alt = f"{_words(metric)}: {count(len(data), 'value')}, median {number(data['value'].median())}."
    columns = ["participant_id", "session_id", "scan", "structure", "metric", "value", "low", "high", "flag"]
    return shelf.add(file_name("qc", metric), figure, data[columns], table="qc", alt=alt)


def _kind(reference: str, candidate: str) -> str:
    names = {str(reference), str(candidate)}
    if MANUAL in names:
        return MANUAL
    if "session" in names:
        return KINDS[2][0]
    return KINDS[0 if len({_contrast(name) for name in names}) == 1 else 1][0]


def _contrast(scan: str) -> str:
    try:
        return str(parse_name(scan)["suffix"])
    except ValueError:
        return scan


def _compared(results: Results) -> pd.DataFrame:
    table = results.surface_distance
    if table.empty:
        return table
    kinds = [_kind(r, c) for r, c in zip(table["reference"], table["candidate"], strict=True)]
    return table.assign(
        kind=pd.Series(kinds, index=table.index), base=table["structure"].fillna("").map(base_name)
    )


def distances(results: Results, shelf: Shelf) -> Part:
    """Draw mean surface distance and Dice between the labels of scans of one visit."""
    table = _compared(results)
    shown = table[table["base"].isin(PARTS) & (table["kind"] != MANUAL)] if len(table) else table
    if shown.empty:
        return Absent(
            "No distances between scans of a visit, because no visit has two scans that were segmented, "
            "or the step failed."
        )
    kinds = [(kind, colour) for kind, colour in KINDS if (shown["kind"] == kind).any()]
    structures = in_order(shown["base"])
    figure = Figure(figsize=(WIDTH_IN, 1.1 + 0.36 * len(structures)))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, metric, label in zip(
        panels, ("assd_mm", "dice"), ("average symmetric surface distance (mm)", "Dice"), strict=True
    ):
        for n, (kind, colour) in enumerate(kinds):
            of = shown[shown["kind"] == kind]
            groups = [(plain_name(name), of.loc[of["base"] == name, metric]) for name in structures]
            strip(axes, groups, colour=colour, shift=0.26 * (n - (len(kinds) - 1) / 2))
        axes.set_xlabel(label)
    panels[0].set_xlim(left=0)
    panels[1].set_xlim(right=1)
    handles = [panels[0].plot([], [], "o", color=colour, markersize=4)[0] for _, colour in kinds]
    figure.legend(handles, [kind for kind, _ in kinds], loc="outside upper center", ncols=3)
    columns = [
        "participant_id",
        "session_id",
        "reference",
        "candidate",
        "structure",
        "kind",
        "assd_mm",
        "dice",
    ]
    alt = "Surface distance and Dice by structure. " + _medians(shown)
    return Plot(
        (shelf.add("surface_distance", figure, shown[columns], table="surfacedistance", alt=alt),),
        note=_medians(shown),
    )


def _medians(shown: pd.DataFrame) -> str:
    words = [
        f"{kind}: median distance {number(of['assd_mm'].median())} mm, "
        f"median Dice {number(of['dice'].median())}"
        for kind, of in ((kind, shown[shown["kind"] == kind]) for kind, _ in KINDS)
        if len(of)
    ]
    return sentence_case("; ".join(words)) + "."


def against_manual(results: Results, shelf: Shelf) -> Part:
    """Tabulate agreement with the reference segmentations of the samplesheet."""
    table = _compared(results)
    manual = table[table["kind"] == MANUAL] if len(table) else table
    if manual.empty:
        return Absent(
            "No agreement with manual labels, because the samplesheet gives no reference segmentation (dseg)."
        )
    rows = []
    for name in in_order(manual["base"]):
        of = manual[manual["base"] == name]
        medians = [number(of[metric].median()) for metric in ("dice", "assd_mm", "hd95_mm", "nsd")]
        rows.append((plain_name(name), f"{of['visit_id'].nunique()}", *medians))
    columns = ("Structure", "Sessions", "Dice", "ASSD (mm)", "HD95 (mm)", "NSD")
    return Table(
        columns, rows, frozenset(range(1, 6)), note="Medians over sessions, left and right together."
    )


def contrasts(results: Results, shelf: Shelf) -> Part:
    """Draw the volume from the T2w scan against that from the T1w scan of the same visit."""
    pairs = contrast_pairs(results)
    if pairs.empty:
        return Absent("No comparison of T1w with T2w, because no visit has volumes from both.")
    structures = [name for name in PARTS if (pairs["structure"] == name).any()]
    names = {name: plain_name(name) for name in structures}
    axes = {
        "x": "volume from T1w (mL)",
        "y": "volume from T2w (mL)",
        "percent": "T2w minus T1w (% of their mean)",
    }
    figure = agreement(pairs, names, **axes)
    worst = pairs.groupby("structure")["difference_percent"].median().abs().idxmax()
    bias = pairs.loc[pairs["structure"] == worst, "difference_percent"].median()
    note = (
        f"{count(pairs['visit_id'].nunique(), 'visit')} with both contrasts. Largest median difference: "
        f"{plain_name(str(worst)).lower()}, {number(bias, 1)} %."
    )
    return Plot(
        (
            shelf.add(
                "t1w_t2w",
                figure,
                pairs,
                table="figure_contrasts",
                alt=f"Volumes from T2w against T1w. {note}",
            ),
        ),
        note=note,
    )


def contrast_pairs(results: Results) -> pd.DataFrame:
    """Volumes of each visit from its first T1w and its first T2w scan.

    Returns
    -------
    pd.DataFrame
        visit_id, structure (both sides), T1w_ml, T2w_ml, difference_percent.
    """
    scans = results.scan_volumes
    empty = pd.DataFrame(columns=["visit_id", "structure", "T1w_ml", "T2w_ml", "difference_percent"])
    if scans.empty:
        return empty
    matrix = by_structure(scans, ["visit_id", "scan"]).reset_index()
    matrix["contrast"] = matrix["scan"].map(_contrast)
    first = matrix.sort_values(["visit_id", "scan"]).drop_duplicates(["visit_id", "contrast"])
    long = first.melt(["visit_id", "contrast", "scan"], var_name="structure", value_name="mm3")
    pairs = long.pivot_table(index=["visit_id", "structure"], columns="contrast", values="mm3")
    if not {"T1w", "T2w"} <= set(pairs.columns):
        return empty
    pairs = (pairs[["T1w", "T2w"]] / 1000).dropna().add_suffix("_ml")
    pairs = pairs[(pairs > 0).all(axis=1)].reset_index()
    mean = (pairs["T1w_ml"] + pairs["T2w_ml"]) / 2
    return pairs.assign(difference_percent=100 * (pairs["T2w_ml"] - pairs["T1w_ml"]) / mean)
