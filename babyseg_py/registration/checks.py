"""Verdict on a registration: what is flagged, and whether the scan may be used."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from babyseg_py.registration.evidence import Evidence, neighbour_correlation, wrapped
from babyseg_py.registration.pyramid import Scan


@dataclass(frozen=True)
class Limits:
    """Thresholds of all checks; docs/registration.md shows how pairs and planted failures lie about them."""

    # Excess of the similarity over wrong poses, in their standard deviations; unrelated images stay below 3.
    min_excess: float = 4.0
    # Similarity of the mirrored scan over that of the scan as it is. Above 1 the mirrored one fits better.
    max_mirror_ratio: float = 1.0
    # Local displacement in mm: about 1 between contrasts, also in thick slices; other brains fold elsewhere.
    max_local_mm: float = 2.0
    # Share of the smaller foreground within the larger; a crop or a stripped skull only makes one smaller.
    min_overlap: float = 0.8
    # Part of the extent that is missing at a side: a skull and scalp take up to 0.15, half a brain 0.5.
    max_gap: float = 0.33
    # Height over width: 0.7 for a cerebrum alone and below 0.5 for half of it; a head has a base, too.
    min_height_masked: float = 0.55
    min_height_head: float = 0.7
    # Motion in scanner coordinates beyond which a header is doubted; not a reason to drop a scan.
    max_rotation_deg: float = 45.0
    max_shift_mm: float = 80.0
    # Correlation of neighbours 2 mm apart inside the foreground: 0.71 to 0.78 in real and template scans, 0.7
    # to 0.79 in their 5 mm slices, .71 to .75 with noise of a tenth of the brightest intensity, 0.35 to 0.41
    # with 0.3, below 0.1 with 0.8; 0.03 at most in noise alone, also where it fills a head's mask.
    min_correlation: float = 0.2


@dataclass(frozen=True)
class Flag:
    """One finding.

    Parameters
    ----------
    name : str
        Short name for tables.
    message : str
        What was found, in words, with the figure.
    excludes : bool
        Whether the scan is not to be used.
    """

    name: str
    message: str
    excludes: bool = True


def judge(evidence: Evidence, /, *, limits: Limits | None = None) -> tuple[Flag, ...]:
    """Compare the measures of a registration with the limits.

    Parameters
    ----------
    evidence : Evidence
        From `evidence.gather`.
    limits : Limits, optional
        Thresholds other than the default.

    Returns
    -------
    tuple of Flag
        Findings, the gravest first; none for a registration to be believed.
    """
    limit = limits or Limits()
    findings = (_similarity, _mirror, _anatomy, _field, _motion)
    return tuple(flag for find in findings if (flag := find(evidence, limit)) is not None)


def judge_noise(scans: Sequence[Scan], /, *, limits: Limits | None = None) -> list[tuple[int, Flag]]:
    """Find the scans that are hardly more than noise, among others that are not.

    Parameters
    ----------
    scans : sequence of Scan
        Scans of a visit, from `pyramid.prepare`.
    limits : Limits, optional
        Thresholds other than the default.

    Returns
    -------
    list of (int, Flag)
        Positions and findings; none if all scans are as noisy.
    """
    limit = limits or Limits()
    found = [neighbour_correlation(scan) for scan in scans] if len(scans) > 1 else []
    if not any(value >= limit.min_correlation for value in found):
        return []
    return [
        (
            position,
            Flag(
                "noise", f"it is hardly more than noise (correlation of neighbours {value:.2f}): look at it"
            ),
        )
        for position, value in enumerate(found)
        if value < limit.min_correlation
    ]


def judge_wrapped(scans: Sequence[Scan]) -> list[tuple[int, Flag]]:
    """Find the scans whose head is wrapped around the field of view, among others that are not.

    Parameters
    ----------
    scans : sequence of Scan
        Scans of a visit, from `pyramid.prepare`.

    Returns
    -------
    list of (int, Flag)
        Positions and findings; none if all scans are wrapped.
    """
    found = [wrapped(scan) for scan in scans] if len(scans) > 1 else []
    message = "the head leaves the field of view at one side and comes in again at the other: repeat the scan"
    flagged = [(position, Flag("wrapped", message)) for position, value in enumerate(found) if value]
    return flagged if len(flagged) < len(found) else []


def excess(evidence: Evidence) -> float:
    """Similarity above that of wrong poses, in standard deviations of those."""
    return (evidence.similarity - evidence.null) / max(evidence.null_spread, 1e-9)


def _similarity(evidence: Evidence, limit: Limits) -> Flag | None:
    if excess(evidence) >= limit.min_excess:
        return None
    return Flag(
        "no_match",
        f"the scan matches the session no better than by chance (similarity {evidence.similarity:.3f}, wrong "
        f"poses {evidence.null:.3f} ± {evidence.null_spread:.3f}): look whether it shows this head",
    )


def _mirror(evidence: Evidence, limit: Limits) -> Flag | None:
    ratio = evidence.mirror_similarity / max(evidence.fine_similarity, 1e-9)
    if ratio <= limit.max_mirror_ratio:
        return None
    return Flag(
        "mirrored",
        f"the scan matches better with left and right swapped (similarity {evidence.mirror_similarity:.3f} "
        f"against {evidence.fine_similarity:.3f}): it or the reference may be flipped, or another child",
    )


def _anatomy(evidence: Evidence, limit: Limits) -> Flag | None:
    if np.isnan(evidence.local_mm) or evidence.local_mm <= limit.max_local_mm:
        return None
    return Flag(
        "other_anatomy",
        f"after the best rigid motion its parts still lie {evidence.local_mm:.1f} mm off (typical, limit "
        f"{limit.max_local_mm:g}): it may be of another child, flipped or badly distorted",
    )


def _field(evidence: Evidence, limit: Limits) -> Flag | None:
    low = limit.min_height_masked if evidence.masked else limit.min_height_head
    if evidence.gap > limit.max_gap or evidence.height < low:
        return Flag(
            "partial",
            f"one of the two shows but part of the head ({100 * evidence.gap:.0f} % of its extent missing at "
            f"a side, height over width {evidence.height:.2f}): look at the field of view and the mask",
        )
    if evidence.overlap < limit.min_overlap:
        return Flag(
            "little_overlap",
            f"only {100 * evidence.overlap:.0f} % of its content lies in that of the reference: look at the "
            "field of view and the mask",
        )
    return None


def _motion(evidence: Evidence, limit: Limits) -> Flag | None:
    if evidence.rotation_deg <= limit.max_rotation_deg and evidence.shift_mm <= limit.max_shift_mm:
        return None
    return Flag(
        "large_motion",
        f"turned by {evidence.rotation_deg:.0f} degrees and moved by {evidence.shift_mm:.0f} mm against the "
        "reference: look whether the headers are right",
        excludes=False,
    )
