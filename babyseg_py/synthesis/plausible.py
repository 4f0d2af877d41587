"""Parameters that were read from a file: whether they can describe a sample at all."""

import math
from collections.abc import Iterator
from typing import Any

LENGTH, LEVEL, SHARE, AXIS = (0, 1000), (-10, 10), (0, 1), (0, 2)
COARSE = (0.5, 1e5)  # voxels between control points: nearer ones would be more than the voxels
# From what to what a number may go that has this name, wherever it stands.
LIMITS: dict[str, tuple[float, float]] = {
    "brain_voxels": (1, 4000),
    "stretch": (0.1, 10),
    "rotation_deg": (-360, 360),
    "shear": LEVEL,
    "shift_voxels": (-4000, 4000),
    **dict.fromkeys(("rim_mm", "csf_mm", "skull_mm", "scalp_mm", "fat_mm", "gap_mm", "mm"), LENGTH),
    **dict.fromkeys(("coarse_warp_mm", "fine_warp_mm", "radius", "depth"), LENGTH),
    **dict.fromkeys(("voxels", "texture_voxels", "bias_voxels"), COARSE),
    "blur_voxels": (0, 100),
    "thickness": (0.5, 100),
    "resolution_voxels": (1, 100),
    "slice_edge": LENGTH,
    "thinner": (0.01, 100),
    **dict.fromkeys(("spreads", "textures", "bias", "noise", "ghost", "size", "rim_unevenness"), (0, 10)),
    **dict.fromkeys(("means", "seconds", "slopes", "lesion_mean", "factors", "direction", "weights"), LEVEL),
    **dict.fromkeys(("share", "ghost_shift", "crop", "kept", "places", "centre"), SHARE),
    **dict.fromkeys(("axis", "ghost_axis", "crop_axis"), AXIS),
    "thick_axis": (-1, 2),
    "gamma": (1e-3, 1e3),
}
MAY_LACK = ("seconds",)
BYTES_PER_VOXEL = 60  # of a sample while it is made; of each further scan a quarter; measured


def implausible(params: dict[str, Any], maps: int) -> str | None:
    """Say what cannot be in parameters of a sample, None if all can.

    Parameters
    ----------
    params : dict
        What should be a result of `randomise.draw_params`.
    maps : int
        How many maps there are.
    """
    grid, number, scans = params.get("grid"), params.get("map"), params.get("scans")
    if not (isinstance(grid, list) and len(grid) == 3 and all(_whole(side) and side > 0 for side in grid)):
        return f"grid is {grid!r}, not three whole numbers of voxels"
    if not (isinstance(number, int) and _whole(number) and 0 <= number < maps):
        return f"map is {number!r}, not the place of a map, counted from 0"
    if not isinstance(scans, list) or not scans:
        return "it has no scans"
    return next(_problems(params, ""), None)


def needed_bytes(grid: list[int], scans: int = 1) -> float:
    """Memory that a sample takes while it is made."""
    return math.prod(grid) * BYTES_PER_VOXEL * (1 + (scans - 1) / 4)


def _problems(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place} is {value}"
    if isinstance(value, list):
        for number, member in enumerate(value):
            yield from _problems(member, f"{place}[{number}]")
    if isinstance(value, dict):
        for name, member in value.items():
            inner = f"{place}.{name}" if place else name
            yield from _problems(member, inner)
            if name in LIMITS and not (name in MAY_LACK and member is None):
                yield from _beyond(member, inner, *LIMITS[name])


def _beyond(value: Any, place: str, low: float, high: float) -> Iterator[str]:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, bool) or not isinstance(number, int | float) or not low <= number <= high:
            yield f"{place} is {number!r}, not a number from {low:g} to {high:g}"


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
