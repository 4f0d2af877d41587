"""Velocity fields and sampling."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from babyseg_py.registration.velocity import Box, exponential, nodes, sample, smooth


def test_sampling_a_linear_ramp_is_exact():
    ramp = nodes((7, 8, 9)).movedim(-1, 0)
    index = torch.tensor([[0.0, 0.0, 0.0], [2.25, 3.5, 7.75]])
    torch.testing.assert_close(sample(ramp, index).T, index)


def test_sampling_outside():
    ones = torch.ones(1, 3, 4, 5)
    far = torch.tensor([[-9.0, 0.0, 0.0]])
    assert sample(ones, far).item() == 1
    assert sample(ones, far, outside="zeros").item() == 0


def test_a_constant_velocity_moves_by_itself():
    velocity = torch.tensor([1.0, -2.0, 0.5]).reshape(3, 1, 1, 1).expand(3, 7, 8, 9)
    torch.testing.assert_close(exponential(velocity, 4.0), velocity.contiguous())


def test_the_flow_of_the_negative_velocity_is_the_inverse():
    velocity = smooth(torch.randn(3, 20, 22, 24, generator=torch.Generator().manual_seed(0)), 3.0) * 40
    there, back = exponential(velocity, 4.0), exponential(-velocity, 4.0)
    here = nodes((20, 22, 24))
    both = back + sample(there, here + back.movedim(0, -1) / 4.0)
    inner = both[:, 6:-6, 6:-6, 6:-6].norm(dim=0)
    assert there.norm(dim=0).mean() > 1
    assert inner.max() < 0.15


def test_smooth_agrees_with_scipy():
    values = np.random.default_rng(0).standard_normal((1, 9, 10, 11)).astype(np.float32)
    ours = smooth(torch.from_numpy(values), 1.5).numpy()[0]
    theirs = gaussian_filter(values[0], 1.5, mode="nearest", radius=4)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_box_positions_agree_with_its_affine():
    box = Box.around((10, 12, 14), 4.0)
    assert box.shape == (4, 4, 5)
    index = torch.tensor([1.0, 2.0, 3.0])
    world = box.affine @ [1, 2, 3, 1]
    np.testing.assert_allclose(box.position(index), world[:3])
    torch.testing.assert_close(box.index(box.position(index)), index)
    np.testing.assert_allclose(box.points()[1, 2, 3], world[:3])
