"""A small random network of two looks, a random image, and what the one makes of the other."""

import numpy as np
import torch

from babyseg_py.images import Volume
from babyseg_py.labels import LABELS
from babyseg_py.models.groupnet import GroupNet, GroupNetConfig
from babyseg_py.models.weights import ModelInfo, Networks, Preprocessing
from babyseg_py.segmentation.inference import Segmenter, predict_images, sample_scans, scans_stored_alike
from babyseg_py.segmentation.posteriors import Posteriors
from babyseg_py.segmentation.window import Scan, Window

WINDOW = Window((24, 24, 24), np.eye(3), 2.0, np.zeros(3))


def random_segmenter() -> Segmenter:
    torch.manual_seed(0)
    config = GroupNetConfig(len(LABELS), (4, 8), (8, 8), (4,), norm=True, shared=True)
    info = ModelInfo(LABELS, config, Preprocessing(), {})
    networks = Networks(GroupNet(config).eval(), GroupNet(config).eval())
    return Segmenter(networks, info, torch.device("cpu"), "fp32")


def predict(segmenter: Segmenter, scans: list[Scan], window: Window, *, flip: bool = False) -> Posteriors:
    alike = scans_stored_alike(scans)
    images = sample_scans(segmenter, alike, window)
    between = sample_scans(segmenter, alike, window.between) if flip else None
    return predict_images(segmenter, images, between)[0]


def random_blob(rng) -> Volume:
    data = rng.random((22, 26, 19)).astype(np.float32) + 0.1
    affine = np.diag([2.0, 1.5, 2.5, 1.0])
    affine[:3, 3] = (-21, -19, -23)
    return Volume(data, affine)
