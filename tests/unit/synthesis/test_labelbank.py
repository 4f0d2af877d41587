"""Label maps made ready: every number that is merged into a structure is painted as that structure."""

from dataclasses import replace

import numpy as np
import pytest

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.labels.merge import NEAREST, RENAMED, RENAMED_RANGES, merge_labels
from babyseg_py.synthesis.labelbank import digest
from babyseg_py.synthesis.labelbank_build import describe_map, make_bank
from babyseg_py.synthesis.tissues import tissue_table

SHAPE = (34, 34, 34)
VENTRICLES = {5, 44, 75, 76}


def halves(left: int, right: int) -> Volume:
    """Two half balls, each of white matter within cortex; some of each side has another number."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in SHAPE], indexing="ij"))
    radius, low = np.linalg.norm(grid, axis=0), grid[0] < 0
    data = np.zeros(SHAPE, dtype=np.int32)
    data[radius < 14] = np.where(low, 3, 42)[radius < 14]
    data[radius < 9] = np.where(low, 2, 41)[radius < 9]
    data[(radius < 14) & (grid[2] > 4)] = np.where(low, left, right)[(radius < 14) & (grid[2] > 4)]
    affine = np.eye(4)
    affine[:3, 3] = -(np.array(SHAPE) - 1) / 2
    return Volume(data, affine)


def test_parcels_of_the_cortex_are_cortex() -> None:
    plain = describe_map(halves(3, 42), name="a", age_months=8.0)
    parcels = describe_map(halves(1028, 2028), name="a", age_months=8.0)
    assert np.array_equal(plain[0].classes >> 8 & 255, parcels[0].classes >> 8 & 255)
    assert np.array_equal(plain[0].classes & 255, parcels[0].classes & 255)


@pytest.mark.parametrize("number", [*RENAMED, *(first for first, _ in RENAMED_RANGES), *NEAREST])
def test_no_number_of_the_brain_is_without_a_tissue(number) -> None:
    """What is a structure in the target never looks like air or fluid, but where fluid is what it is."""
    volume = halves(number, number)
    merged = merge_labels(volume.data, volume.affine)[volume.data == number]
    described, _ = describe_map(volume, name="a", age_months=8.0)
    bank = make_bank([(described, np.unique(described.classes))])
    tissue, target = bank.tissue[bank.maps[0].classes], bank.target[bank.maps[0].classes]
    brain = np.isin(target, [LABELS.index(label) for label in set(merged.tolist()) - {0}])
    assert np.all(tissue[brain] > 0)
    if number not in VENTRICLES:
        assert not np.any(tissue[brain] == tissue_table().number("csf"))


def test_the_checksum_tells_ages_and_what_labels_mean() -> None:
    a, b = (
        describe_map(halves(*pair), name=n, age_months=8.0) for pair, n in (((3, 42), "a"), ((17, 53), "b"))
    )
    bank = make_bank([a, b])
    known = {digest(bank)}
    older = replace(bank, maps=(replace(bank.maps[0], age_months=9.0), *bank.maps[1:]))
    renamed = replace(bank, target=bank.target[::-1].copy())
    for other in (older, renamed):
        known.add(digest(other))
    first, second = (replace(bank, maps=(one,)) for one in bank.maps)
    nobody = replace(bank, maps=())
    known |= {digest(first, second), digest(bank, nobody)}
    assert len(known) == 5
    assert digest(bank) == digest(make_bank([a, b]))
