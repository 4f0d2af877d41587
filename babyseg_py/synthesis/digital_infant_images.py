"""Scans of the digital infant: tissues that mature, a head around the brain, a scanner with its faults."""

from dataclasses import dataclass

import edt
import numpy as np
import torch
from scipy.ndimage import affine_transform, gaussian_filter, zoom
from scipy.spatial.transform import Rotation

from babyseg_py.images import Volume
from babyseg_py.registration.velocity import sample
from babyseg_py.synthesis.digital_infant_fields import smooth_noise
from babyseg_py.synthesis.digital_infant_heads import head
from babyseg_py.synthesis.tissues import CONTRASTS, tissue_table

_BARE_MARGIN_MM = ((6, 6), (6, 6), (6, 6))
_HEAD_MARGIN_MM = ((13, 13), (13, 19), (18, 13))
_CLOSING_MM = 5.0
_WHITE, _CORTEX, _FIRST_TO_MATURE = (2, 41), (3, 42), (10, 49, 16, 28, 60, 13, 52)
# White matter matures from the thalamus outward and from the back to the front (Barkovich et al. 1988):
# months at which half is reached next to the thalamus, per mm away from it, and per mm to the front.
_HALF_MONTHS, _PER_MM, _PER_MM_FRONT = 1.2, 0.24, 0.03
_LATEST_MONTHS, _WIDTH_MONTHS = 11.0, 1.5
_GREY_HALF_MONTHS, _GREY_WIDTH_MONTHS = 5.0, 2.0


@dataclass(frozen=True)
class Scene:
    """What lies in the scanner, on an isotropic grid that is finer than a scan's.

    Parameters
    ----------
    tissue : (I, J, K) np.ndarray of np.uint8
        Tissue numbers of `tissues.tissue_table`.
    maturity : (I, J, K) np.ndarray of np.float32
        0 as in a newborn, 1 as from about two years.
    fluid : (I, J, K) np.ndarray of np.float32
        Fraction of fluid in the cortex: sulci too narrow for a label.
    texture : (I, J, K) np.ndarray of np.float32
        Relative signal, mean 1: the same in all scans of a visit.
    affine : (4, 4) np.ndarray
        Voxel indices to mm from the centre of the brain, axes right, anterior, superior.
    stripped : bool
        Whether the scans have no skull and a background of zero.
    """

    tissue: np.ndarray
    maturity: np.ndarray
    fluid: np.ndarray
    texture: np.ndarray
    affine: np.ndarray
    stripped: bool


@dataclass(frozen=True)
class Scan:
    """How one scan is taken.

    Parameters
    ----------
    suffix : str
        ``T1w`` or ``T2w``.
    spacing_mm : tuple of float
        Voxel size along right, anterior and superior.
    rotation_deg, shift_mm : tuple of float
        Pose of the head in the scanner: angles about the three axes, and the shift.
    blur_mm : float
        Standard deviation of the blur by motion.
    bias : float
        Standard deviation of the log of the bias field.
    noise : float
        Standard deviation of the noise relative to white matter of an adult.
    axes : str
        Order and direction in which the voxels are stored, such as ``RAS`` or ``PSR``.
    seed : int
        Of the bias field, the noise and the signal's scale.
    """

    suffix: str
    spacing_mm: tuple[float, float, float]
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    blur_mm: float = 0.0
    bias: float = 0.15
    noise: float = 0.02
    axes: str = "RAS"
    seed: int = 0


def make_scene(
    anatomy: Volume, age_months: float, generator: np.random.Generator, /, *, with_head: bool
) -> Scene:
    """Set a brain into its surroundings.

    Parameters
    ----------
    anatomy : Volume
        From `digital_infant.grow`.
    age_months : float
        Age, for the maturity of the tissues.
    generator : np.random.Generator
        Of the surroundings and the texture.
    with_head : bool
        Skull, scalp, eyes, face and neck around the brain; otherwise a skull-stripped brain with a thin rim.

    Returns
    -------
    Scene
        On the grid of the anatomy, widened.
    """
    spacing = float(anatomy.spacing_mm[0])
    margins = _HEAD_MARGIN_MM if with_head else _BARE_MARGIN_MM
    pad = [tuple(int(np.ceil(mm / spacing)) for mm in pair) for pair in margins]
    labels = np.pad(anatomy.data, pad)
    affine = anatomy.affine.copy()
    affine[:3, 3] -= spacing * np.array([before for before, _ in pad])

    table = tissue_table()
    lookup = np.zeros(256, np.uint8)
    for label, number in table.labels.items():
        if label < 256:
            lookup[label] = number
    tissue = lookup[labels]
    outside = _distance(labels == 0, spacing)
    hull = _distance(outside <= _CLOSING_MM, spacing) > _CLOSING_MM
    rim = generator.uniform(0.6, 2.0) * np.exp(0.4 * smooth_noise(generator, labels.shape, 9 / spacing))
    fluid_space = (labels == 0) & (hull | (outside <= rim))
    tissue[fluid_space] = table.number("csf")
    if with_head:
        tissue = head(tissue, labels, affine, generator)
    texture = (
        1
        + 0.02 * smooth_noise(generator, labels.shape, 1.2)
        + 0.025 * smooth_noise(generator, labels.shape, 5)
    )
    return Scene(
        tissue=tissue,
        maturity=_maturity(labels, affine, age_months),
        fluid=_narrow_sulci(labels, spacing),
        texture=texture.astype(np.float32),
        affine=affine,
        stripped=not with_head,
    )


def take_scan(scene: Scene, scan: Scan, /) -> Volume:
    """Scan a scene.

    Parameters
    ----------
    scene : Scene
        From `make_scene`.
    scan : Scan
        Contrast, grid, pose and faults.

    Returns
    -------
    Volume
        Whole numbers as float32, in scanner coordinates; zero background where the scene is stripped.
    """
    generator = np.random.default_rng(scan.seed)
    spacing = float(np.linalg.norm(scene.affine[:3, 0]))
    signal = _signal(scene, scan.suffix)
    # A voxel sees a profile whose full width at half maximum is its size; motion widens it.
    sigma = np.hypot(np.array(scan.spacing_mm) / 2.355, scan.blur_mm) / spacing
    signal = gaussian_filter(signal, sigma, truncate=3)

    grid, affine = _grid(scene, scan)
    index = torch.from_numpy(_indices(scene, scan, grid, affine))
    image = sample(torch.from_numpy(signal)[None], index, outside="zeros")[0].numpy()
    field = np.exp(scan.bias * _coarse(generator, grid))
    noise = scan.noise * generator.standard_normal((2, *grid), dtype=np.float32)
    image = np.hypot(image * field + noise[0], noise[1])
    if scene.stripped:
        brain = torch.from_numpy((scene.tissue > 0).astype(np.float32))
        image[sample(brain[None], index, outside="zeros")[0].numpy() < 0.5] = 0
    image = np.rint(image * generator.uniform(600, 1400)).astype(np.float32)
    return _stored(Volume(image, affine), scan.axes)


def label_scan(labels: Volume, scan: Scan, image: Volume, /) -> Volume:
    """Labels of the brain as a scan saw it, on that scan's grid.

    Parameters
    ----------
    labels : Volume
        Labels on the grid of the anatomy.
    scan : Scan
        How the image was taken.
    image : Volume
        The image that `take_scan` made of it.

    Returns
    -------
    Volume
        Label of the nearest voxel of the anatomy; 0 outside it.
    """
    matrix = np.linalg.inv(labels.affine) @ np.linalg.inv(pose(scan)) @ image.affine
    data = affine_transform(labels.data, matrix[:3, :3], matrix[:3, 3], image.shape, order=0)
    return image.with_data(data)


def pose(scan: Scan, /) -> np.ndarray:
    """World of the scene to world of the scan, (4, 4), in mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", scan.rotation_deg, degrees=True).as_matrix()
    matrix[:3, 3] = scan.shift_mm
    return matrix


def _signal(scene: Scene, suffix: str) -> np.ndarray:
    """Noise-free intensity, about 0 to 1."""
    table = tissue_table()
    birth, later = table.means[CONTRASTS.index(suffix)].astype(np.float32)
    signal = birth[scene.tissue] + scene.maturity * (later - birth)[scene.tissue]
    number = table.number("csf")
    csf = birth[number] + scene.maturity * (later[number] - birth[number])
    signal += scene.fluid * (csf - signal)
    return signal * scene.texture


def _maturity(labels: np.ndarray, affine: np.ndarray, age_months: float) -> np.ndarray:
    """Maturity of every voxel: spreading through the white matter, even elsewhere."""
    spacing = float(np.linalg.norm(affine[:3, 0]))
    away = _distance(~np.isin(labels, _FIRST_TO_MATURE), spacing)
    ages_brain = np.cbrt(np.count_nonzero(labels) * spacing**3 / 1.1e6)  # so that growth does not delay it
    front = (affine[1, 3] + spacing * np.arange(labels.shape[1], dtype=np.float32))[None, :, None]
    half = _HALF_MONTHS + (_PER_MM * away + _PER_MM_FRONT * front) / ages_brain
    half = np.minimum(half, _LATEST_MONTHS)
    white = 1 / (1 + np.exp((half - age_months) / _WIDTH_MONTHS))
    grey = 1 / (1 + np.exp((_GREY_HALF_MONTHS - age_months) / _GREY_WIDTH_MONTHS))
    return np.where(np.isin(labels, _WHITE), white, grey).astype(np.float32)


def _narrow_sulci(labels: np.ndarray, spacing: float) -> np.ndarray:
    """Fraction of fluid where two banks of cortex meet: the ridges of the distance to the white matter."""
    cortex = np.isin(labels, _CORTEX)
    depth = gaussian_filter(_distance(~((labels > 0) & ~cortex), spacing), 0.5 / spacing)
    slope = np.sqrt(sum(g**2 for g in np.gradient(depth, spacing)))
    ridge = np.clip((0.85 - slope) / 0.5, 0, 1) * np.clip((depth - 1.2) / 1.2, 0, 1)
    return np.where(cortex, 0.75 * ridge, 0).astype(np.float32)


def _grid(scene: Scene, scan: Scan) -> tuple[tuple[int, ...], np.ndarray]:
    """Shape and affine of the scan, axes right, anterior, superior: the scene's box, moved."""
    extent = np.linalg.norm(scene.affine[:3, 0]) * np.array(scene.tissue.shape)
    grid = tuple(int(n) for n in np.ceil((extent + 4) / np.array(scan.spacing_mm)))
    middle = scene.affine[:3, :3] @ ((np.array(scene.tissue.shape) - 1) / 2) + scene.affine[:3, 3]
    affine = np.diag([*scan.spacing_mm, 1.0])
    # The operator centres the field of view on the head, but not exactly: to 2 mm.
    centre = 2 * np.round((pose(scan) @ np.append(middle, 1))[:3] / 2)
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(grid) - 1) / 2)
    return grid, affine


def _indices(scene: Scene, scan: Scan, grid: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Scene indices of every voxel of the scan, (I, J, K, 3)."""
    matrix = np.linalg.inv(scene.affine) @ np.linalg.inv(pose(scan)) @ affine
    axes = [np.arange(n) for n in grid]
    index = np.empty((*grid, 3), np.float32)
    for row in range(3):
        i, j, k = (matrix[row, column] * axes[column] for column in range(3))
        index[..., row] = i[:, None, None] + j[:, None] + k + matrix[row, 3]
    return index


def _stored(volume: Volume, axes: str) -> Volume:
    """Reorder voxels so that their axes point as asked; the world stays."""
    order = [next(n for n, pair in enumerate(("RL", "AP", "SI")) if letter in pair) for letter in axes]
    signs = [1 if letter in "RAS" else -1 for letter in axes]
    data = volume.data.transpose(order)
    change = np.zeros((4, 4))
    change[3, 3] = 1
    for row, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        change[axis, row] = sign
        if sign < 0:
            change[axis, 3] = data.shape[row] - 1
            data = np.flip(data, row)
    return Volume(np.ascontiguousarray(data), volume.affine @ change)


def _distance(mask: np.ndarray, spacing: float) -> np.ndarray:
    """Distance in mm of every voxel of a mask to the nearest one outside it; 0 there."""
    return edt.edt(np.ascontiguousarray(mask), anisotropy=(spacing,) * 3, parallel=1)


def _coarse(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Very smooth noise, as a bias field is: cubic between four control points along each axis."""
    points = gaussian_filter(generator.standard_normal((4, 4, 4)), 0.7)
    field = zoom(points, [n / 4 for n in shape], order=3)
    return ((field - field.mean()) / field.std()).astype(np.float32)
