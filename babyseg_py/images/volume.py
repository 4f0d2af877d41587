"""A 3-D array and the affine that places it in the world."""

from dataclasses import dataclass, replace

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import aff2axcodes


@dataclass(frozen=True)
class Volume:
    """A 3-D image in world space.

    Parameters
    ----------
    data : (I, J, K) np.ndarray
        Voxel values.
    affine : (4, 4) np.ndarray
        Voxel indices to RAS+ world coordinates in mm.
    space_code : int
        What the world is, as NIfTI counts: 1 scanner, 2 aligned to another scan, 3 Talairach, 4 MNI.
    """

    data: np.ndarray
    affine: np.ndarray
    space_code: int = 1

    def __post_init__(self) -> None:
        if self.data.ndim != 3:
            raise ValueError(f"array of shape {self.data.shape} is not 3-D")
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise ValueError(f"affine of shape {affine.shape} is not 4 x 4")
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return self.data.shape  # type: ignore[return-value]

    @property
    def spacing_mm(self) -> np.ndarray:
        """Voxel size along each axis, in mm, shape (3,)."""
        return voxel_sizes(self.affine)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in mm³, right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def axcodes(self) -> tuple[str, str, str]:
        """Direction that each axis points to, such as ``('R', 'A', 'S')``."""
        return aff2axcodes(self.affine)

    def with_data(self, data: np.ndarray) -> "Volume":
        """Return a volume on the same grid with other values."""
        return replace(self, data=data)

    def on_grid(self, data: np.ndarray, affine: np.ndarray) -> "Volume":
        """Return a volume of the same world on another grid."""
        return replace(self, data=data, affine=affine)
