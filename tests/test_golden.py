"""The stored U-Net and its exports reach the golden scores: IoU per class on four stored frames.

A wrong export moves some class by more than TOLERANCE, another processor does not. Whoever trains
the network anew, and means it, writes the new scores with `python tests/test_golden.py`.
"""

import functools
import json

import numpy as np
import pytest

from unet_helpers import datasets, evaluation, inference
from unet_helpers.datasets import carla
from unet_helpers.files import sample_folder
from unet_helpers.inference import export
from unet_helpers.models import pretrained

TOLERANCE = 0.01  # of an IoU
STEP = 12  # every twelfth frame of dataE
OTHER = "unet_without_skip_1"


@functools.cache
def frames():
    """Return (images, truths) of the golden frames."""
    images, truths = datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))
    return images[::STEP], truths[::STEP]


@functools.cache
def load(name):
    return pretrained.load(name)


def ious(run):
    """Return the IoU of each class on the golden frames; run(images) gives their logits."""
    images, truths = frames()
    masks = inference.to_mask(run(images))
    counts = evaluation.confusion_matrix(truths, masks, carla.LABELS.n_classes)
    return evaluation.scores(counts).iou


def hold(run, tolerance=TOLERANCE):
    """Fail if a class is further from its golden IoU than the tolerance, and say which."""
    (golden,) = evaluation.stored_runs("golden")["unet"]
    for (name, expected), found in zip(golden["iou"].items(), ious(run), strict=True):
        assert abs(found - expected) < tolerance, f"{name}: IoU {found:.3f}, golden {expected:.3f}"


def unet(images):
    return inference.predict_logits(load("unet"), images)


def test_the_stored_network_reaches_its_golden_scores():
    hold(unet)


def test_rounding_as_on_another_processor_is_within_the_tolerance():
    random = np.random.default_rng(0)
    logits = unet(frames()[0])
    noise = random.normal(0, 1e-3 * np.abs(logits).max(), logits.shape)
    hold(lambda images: logits + noise)


def test_its_litert_export_reaches_them(tmp_path):
    path = export.to_tflite(load("unet"), tmp_path / "unet.tflite")
    hold(export.open_exported(path))


def test_its_onnx_export_reaches_them(tmp_path):
    for package in ("tf2onnx", "onnx", "onnxruntime"):
        pytest.importorskip(package)
    path = export.to_onnx(load("unet"), tmp_path / "unet.onnx")
    hold(export.open_exported(path))


WRONG = {
    "blue and red swapped": lambda images: unet(images[..., ::-1]),
    "divided by 255 twice": lambda images: unet((images / 255).astype(np.uint8)),
    "mask one pixel to the right": lambda images: np.roll(unet(images), 1, axis=2),
    "mask one pixel down": lambda images: np.roll(unet(images), 1, axis=1),
    "labels off by one": lambda images: np.roll(unet(images), 1, axis=3),
    "another network": lambda images: inference.predict_logits(load(OTHER), images),
    "normalised by the batch": lambda images: np.asarray(load("unet")(images, training=True)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_export_is_found(name):
    with pytest.raises(AssertionError, match="golden"):
        hold(WRONG[name], tolerance=2 * TOLERANCE)


if __name__ == "__main__":
    names = carla.LABELS.classes
    run = {"variant": "unet", "iou": dict(zip(names, ious(unet).round(4).tolist(), strict=True))}
    settings = {"recording": "dataE", "every": STEP, "size": pretrained.SIZE}
    path = sample_folder("results") / "golden.json"
    path.write_text(json.dumps({"settings": settings, "runs": [run]}, indent=1) + "\n")
