"""Children with known surfaces: a lopsided body that varies smoothly, and a bump where it was planted."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from babyseg_py.images import Volume
from babyseg_py.morphometry.alignment import icosphere
from babyseg_py.morphometry.spharm import basis, mirrored, turned

AXES_MM = {"Hippocampus": (7.0, 16.0, 6.0), "Thalamus": (9.0, 14.0, 10.0)}
BUMP_DIRECTION = np.array([-0.9, 0.3, 0.3]) / np.linalg.norm([-0.9, 0.3, 0.3])
BUMP_WIDTH = 0.5
_DEGREE = 10
_LOPSIDED = (0.06, -0.05, 0.08, 0.04)


@dataclass(frozen=True)
class Body:
    """A star-shaped body in its own frame, and how it lies in the world.

    Parameters
    ----------
    axes_mm : tuple of float
        Half-axes of its ellipsoid.
    varied : ((L + 1)²,) np.ndarray
        What is added to the radius in mm, as spherical harmonics.
    bump_mm : float
        Height of the bump at `BUMP_DIRECTION`.
    rotation : (3, 3) np.ndarray
    shift_mm : (3,) np.ndarray
    right : bool
        Mirrored, before it is turned.
    """

    axes_mm: tuple[float, float, float]
    varied: np.ndarray
    bump_mm: float
    rotation: np.ndarray
    shift_mm: np.ndarray
    right: bool

    def radius_mm(self, directions: np.ndarray) -> np.ndarray:
        """Distance of the surface from the middle of the body along unit vectors, (N,)."""
        smooth = 1 / np.sqrt(((directions / self.axes_mm) ** 2).sum(axis=1))
        x, y, z = directions.T
        smooth = smooth * (1 + np.stack([x * y, y * z, y**3, x * z]).T @ _LOPSIDED)
        degree = int(np.sqrt(len(self.varied))) - 1
        angle = np.arccos(np.clip(directions @ BUMP_DIRECTION, -1, 1))
        bump = self.bump_mm * np.exp(-((angle / BUMP_WIDTH) ** 2))
        return smooth + basis(directions, degree) @ self.varied + bump

    def world(self, points: np.ndarray) -> np.ndarray:
        """Place points of the body's frame in the world, mm."""
        mirror = np.array([-1.0, 1, 1]) if self.right else np.ones(3)
        return (points * mirror) @ self.rotation.T + self.shift_mm

    def field(self, spacing_mm: float = 1.3) -> Volume:
        """Sample a field that is positive inside and rises over 2 mm, as posteriors do."""
        reach = int(np.ceil((max(self.axes_mm) * 1.4 + 4) / spacing_mm))
        grid = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1.0)] * 3, indexing="ij"), -1) * spacing_mm
        own = grid.reshape(-1, 3) @ self.rotation * (np.array([-1, 1, 1]) if self.right else np.ones(3))
        length = np.linalg.norm(own, axis=1)
        values = np.clip(
            (self.radius_mm(own / np.maximum(length, 1e-9)[:, None] + 1e-12) - length) / 2, -1, 1
        )
        affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        affine[:3, 3] = self.shift_mm - reach * spacing_mm
        return Volume(values.reshape(grid.shape[:3]), affine)

    def terms(self) -> np.ndarray:
        """Coefficients of the body, with the map that its own directions are, turned by its pose."""
        directions, inverse = _sampling()
        terms = inverse @ (directions * self.radius_mm(directions)[:, None])
        placed = turned(mirrored(terms) if self.right else terms, self.rotation.T) @ self.rotation.T
        placed[0] += self.shift_mm * np.sqrt(4 * np.pi)
        return placed


@cache
def _sampling() -> tuple[np.ndarray, np.ndarray]:
    """Directions of a body's frame, and the matrix that turns points along them into coefficients."""
    directions, _ = icosphere(3)
    return directions, np.linalg.pinv(basis(directions, _DEGREE))


def body(
    rng: np.random.Generator,
    structure: str,
    *,
    right: bool = False,
    bump_mm: float = 0.0,
    grown_mm: float = 0.0,
    sd_mm: float = 0.3,
) -> Body:
    """Draw a child's body: smooth variation of the radius up to degree 4, any pose within 15 degrees.

    ``grown_mm`` makes one end of it longer by that much, as age may.
    """
    degree = 4
    varied = rng.normal(size=(degree + 1) ** 2)
    varied *= sd_mm * np.sqrt(4 * np.pi / len(varied))
    varied[2] += grown_mm
    return Body(
        AXES_MM[structure],
        varied,
        bump_mm,
        Rotation.from_rotvec(np.deg2rad(15) * rng.uniform(-1, 1, 3) / np.sqrt(3)).as_matrix(),
        rng.uniform(-4, 4, 3),
        right,
    )
