"""The stored networks load, do what notebooks 01 to 04 claim of them, and are small."""

import numpy as np
import pytest

from unet_helpers import datasets, evaluation, files
from unet_helpers.datasets import carla
from unet_helpers.labels import CARLA, DataError
from unet_helpers.models import pretrained

THIN = [CARLA.classes.index(name) for name in ("Poles", "RoadLines", "TrafficSigns")]


@pytest.fixture(scope="module")
def scores():
    test = datasets.batches(carla.load("test", image_size=pretrained.SIZE))
    names = ("fcn_32s", "unet", "unet_without_skips")
    return {
        name: evaluation.scores(evaluation.evaluate(pretrained.load(name), test, 13))
        for name in names
    }


def test_every_network_is_stored_and_small():
    stored = {path.stem: path for path in files.sample_folder("trained").glob("*.npz")}
    assert set(stored) == set(pretrained.NETWORKS)
    assert all(path.stat().st_size < 700_000 for path in stored.values())


def test_compared_networks_have_about_the_same_number_of_parameters():
    counts = [pretrained.build(name).count_params() for name in ("fcn_32s", "fcn_8s", "unet")]
    assert max(counts) < 1.1 * min(counts)


def test_unet_is_clearly_ahead_on_thin_classes(scores):
    unet, fcn = scores["unet"].iou[THIN], scores["fcn_32s"].iou[THIN]
    assert (unet > 1.5 * fcn + 0.03).all()
    assert scores["unet"].mean_iou > scores["fcn_32s"].mean_iou + 0.1


def test_skip_connections_are_worth_something(scores):
    assert scores["unet"].mean_iou > scores["unet_without_skips"].mean_iou


def test_storing_rounds_kernels_to_8_bits_and_nothing_else(tmp_path):
    model = pretrained.build("unet")
    pretrained.store(model, "unet", tmp_path)
    again = pretrained.load("unet", folder=tmp_path)
    for before, after in zip(model.get_weights(), again.get_weights(), strict=True):
        if before.ndim == 4:
            step = np.abs(before).max(axis=(0, 1, 2)) / 127
            assert (np.abs(before - after) <= step / 2 + 1e-6).all()
        else:
            np.testing.assert_array_equal(before, after)


def test_a_missing_a_broken_and_another_file_are_named(tmp_path):
    with pytest.raises(DataError, match=r"unet\.npz cannot be loaded \(FileNotFoundError"):
        pretrained.load("unet", folder=tmp_path)
    (tmp_path / "unet.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"train_nets\.py unet"):
        pretrained.load("unet", folder=tmp_path)
    pretrained.store(pretrained.build("fcn_8s"), "fcn_8s", tmp_path)
    (tmp_path / "fcn_8s.npz").rename(tmp_path / "unet.npz")
    with pytest.raises(DataError, match="cannot be loaded"):
        pretrained.load("unet", folder=tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="no network 'resnet'; there are fcn_32s"):
        pretrained.build("resnet")
