"""The methods text and the limits: sentences from ``methods.yaml``, versions from the run."""

from collections.abc import Callable
from importlib.resources import files

import yaml

from babyseg_py.report.figures import Shelf
from babyseg_py.report.parts import Absent, Part, Prose, Table, Titled
from babyseg_py.report.results import Results

FEW_CHILDREN = 100


def _repeats(results: Results) -> bool:
    return bool(results.records.duplicated(["visit_id", "suffix"]).any())


def _visits_per_child(results: Results) -> int:
    measured = results.volumes
    if measured.empty:
        return 0
    return int(measured.groupby("participant_id")["session_id"].nunique().max())


def _estimated(results: Results, name: str, column: str) -> bool:
    table = results.more.get(name)
    return table is not None and column in table and bool(table[column].notna().any())


CONDITIONS: dict[str, Callable[[Results], bool]] = {
    "segmented": lambda r: not r.volumes.empty,
    "several_scans": lambda r: bool(r.records.duplicated("visit_id").any()),
    "distances": lambda r: not r.surface_distance.empty,
    "reliability": lambda r: not r.reliability.empty,
    "growth": lambda r: not r.growth.empty and bool(r.growth["change_mm3_per_month"].notna().any()),
    "template": lambda r: _estimated(r, "change", "change_mm3_per_month"),
    "growth_models": lambda r: _estimated(r, "growth_models", "volume_mm3"),
    "published": lambda r: _estimated(r, "growth_plausibility", "ratio"),
    "centiles": lambda r: _estimated(r, "centiles", "volume_mm3"),
    "repeated_scores": lambda r: _estimated(r, "behaviour_models", "p"),
    "methods_compared": lambda r: _estimated(r, "method_agreement", "icc_2_1"),
    "raters": lambda r: _estimated(r, "rater_performance", "dice"),
    "raters_compared": lambda r: _estimated(r, "rater_agreement", "icc_2_1"),
    "matched": lambda r: _estimated(r, "matched_differences", "p"),
    "shape": lambda r: _estimated(r, "shape", "p_max"),
    "sites": lambda r: _estimated(r, "site_effects", "f"),
    "measurement_error": lambda r: _estimated(r, "measurement_error", "rho_corrected"),
    "associations": lambda r: not r.associations.empty,
    "power": lambda r: (
        "rho_detectable" in r.associations and bool(r.associations["rho_detectable"].notna().any())
    ),
    "specifications": lambda r: _estimated(r, "specifications", "rho"),
    "groups": lambda r: _estimated(r, "groups", "p"),
    "single_visits": lambda r: _visits_per_child(r) == 1,
    "few_children": lambda r: (
        not r.associations.empty and r.records["participant_id"].nunique() < FEW_CHILDREN
    ),
    "no_repeats": lambda r: not _repeats(r),
    "digital": lambda r: r.truth is not None,
}


class _Named(dict):
    """Versions by tool; one that is not recorded says so."""

    def __missing__(self, tool: str) -> str:
        return f"{tool} (version not recorded)"


def read_sentences() -> dict:
    """Read ``methods.yaml``."""
    return yaml.safe_load(files("babyseg_py.report").joinpath("methods.yaml").read_text(encoding="utf-8"))


def _holds(entry: dict, results: Results) -> bool:
    return all(CONDITIONS[name](results) for name in entry.get("when", []))


def cited(results: Results) -> list[str]:
    """Return the keys of the references that the methods text of this run cites, in its order."""
    paragraphs = [paragraph for paragraph in read_sentences()["methods"] if _holds(paragraph, results)]
    entries = [entry for paragraph in paragraphs for entry in paragraph["sentences"]]
    keys = [key for entry in entries if _holds(entry, results) for key in entry.get("cite", [])]
    return list(dict.fromkeys(keys))


def bibtex(results: Results) -> str:
    """Return the references that the methods text cites, as a BibTeX file."""
    text = files("babyseg_py.report").joinpath("references.bib").read_text(encoding="utf-8")
    entries = {entry.partition("{")[2].partition(",")[0]: entry for entry in text.strip().split("\n\n")}
    return "".join(f"{entries[key]}\n\n" for key in sorted(cited(results)))


def methods(results: Results, shelf: Shelf) -> Part:
    """Write a paragraph for each step that ran."""
    content = read_sentences()
    named = _Named({tool: f"{tool} {version}" for tool, version in results.versions.items()})
    paragraphs = []
    for paragraph in content["methods"]:
        if not _holds(paragraph, results):
            continue
        sentences = [entry for entry in paragraph["sentences"] if _holds(entry, results)]
        text = " ".join(entry["text"].format_map(named) for entry in sentences)
        paragraphs.append((paragraph["title"], text))
    return Titled(tuple(paragraphs), tuple(content["references"][key] for key in cited(results)))


def versions(results: Results, shelf: Shelf) -> Part:
    """Tabulate the versions that the run recorded."""
    if not results.versions:
        return Absent("The run recorded no versions.")
    return Table(("Software", "Version"), list(results.versions.items()))


def limits(results: Results, shelf: Shelf) -> Part:
    """List what the numbers cannot say."""
    entries = [entry for group in read_sentences()["limits"] for entry in group["sentences"]]
    return Prose(points=tuple(entry["text"] for entry in entries if _holds(entry, results)))
