"""The page: sections from ``spec.yaml``, parts from their builders, HTML from the template."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import jinja2
import matplotlib as mpl
import yaml
from markupsafe import Markup

from babyseg_py import __version__
from babyseg_py.report import (
    associations,
    brief,
    finding,
    growth,
    inputs,
    longitudinal,
    methods,
    methods_compared,
    quality,
    raters,
    sessions,
    shape,
    sites,
    specifications,
    truth,
    within_child,
)
from babyseg_py.report.figures import STYLE, Shelf
from babyseg_py.report.parts import Part
from babyseg_py.report.results import Results

BUILDERS: dict[str, Callable[[Results, Shelf], Part]] = {
    builder.__name__: builder
    for builder in (
        brief.headline, brief.quality_and_growth, finding.finding, brief.worries,
        inputs.contents, inputs.ages, inputs.causes, inputs.verdicts, inputs.unmatched,
        inputs.sheet_faults, inputs.score_faults, inputs.whole_ledger,
        growth.curves, growth.published, growth.change, growth.part_curves, growth.part_change,
        within_child.template_visits, within_child.template_change,
        longitudinal.what_ran, longitudinal.growth_curves, longitudinal.centile_curves,
        longitudinal.repeated_scores, longitudinal.groups, longitudinal.matched,
        specifications.specification_curves, specifications.specification_table,
        sites.sites, sites.harmonised,
        associations.forest, associations.association_table, associations.measurement_error,
        associations.reliability,
        shape.surfaces, shape.shape_table,
        methods_compared.bland_altman, methods_compared.method_table,
        raters.rater_summary, raters.rater_structures, raters.rater_bland_altman, raters.rater_agreement,
        quality.flag_counts, quality.scores, quality.distances, quality.contrasts, quality.against_manual,
        truth.planted_effects, truth.recovered_volumes, truth.recovery_table,
        sessions.legend, sessions.contact_sheet,
        methods.methods, methods.versions, methods.limits,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A part with the words around it."""

    part: Part
    title: str
    caption: str
    source: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A section with its parts."""

    id: str
    title: str
    parts: tuple[Made, ...]


def read_spec() -> list[dict]:
    """Read the sections of ``spec.yaml``."""
    return yaml.safe_load(files("babyseg_py.report").joinpath("spec.yaml").read_text(encoding="utf-8"))[
        "sections"
    ]


def build(results: Results, shelf: Shelf) -> list[Section]:
    """Make every part that the spec names; one that cannot be made says why."""
    with mpl.rc_context(STYLE):
        return [
            Section(
                section["id"],
                section["title"],
                tuple(
                    Made(
                        BUILDERS[part["builder"]](results, shelf),
                        part.get("title", ""),
                        part.get("caption", ""),
                        tuple(part.get("source", ())),
                    )
                    for part in section["parts"]
                ),
            )
            for section in read_spec()
        ]


def render(sections: list[Section], *, title: str) -> str:
    """Return the page as HTML that needs nothing from outside; all text is escaped."""
    folder = files("babyseg_py.report")
    template, style, script = (
        folder.joinpath(name).read_text(encoding="utf-8")
        for name in ("template.html", "style.css", "tables.js")
    )
    # The browser runs this script and no other, whatever text the tables hold.
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(template)
    return page.render(
        sections=sections,
        title=title,
        style=Markup(style),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        version=__version__,
    )
