"""Metrics against Keras, and against slow programs written another way."""

import math

import keras
import numpy as np
import pytest

from unet_helpers import evaluation, inference
from unet_helpers.evaluation import boundary_f1, confusion_matrix, scores


def blobs(rng, n_classes=3, shape=(2, 11, 13)):
    """Make masks of small squares with some void: borders of many shapes."""
    masks = rng.integers(0, n_classes, (shape[0], 4, 5)).repeat(3, axis=1).repeat(3, axis=2)
    masks = masks[:, : shape[1], : shape[2]].astype(np.uint8)
    masks[rng.random(masks.shape) < 0.1] = 255
    return masks


@pytest.mark.parametrize(
    ("n_classes", "n_present", "void"), [(2, 2, 0), (13, 9, 0.1), (30, 4, 0.9)]
)
def test_ious_agree_with_keras(rng, n_classes, n_present, void):
    truth, guess = rng.integers(0, n_present, (2, 2, 24, 31))
    guess = np.where(rng.random(truth.shape) < 0.5, truth, guess)
    truth[rng.random(truth.shape) < void] = 255
    ours = scores(confusion_matrix(truth, guess, n_classes))
    assert np.isnan(ours.iou[n_present:]).all()
    expected = [*ours.iou[:n_present], ours.mean_iou]
    theirs = [keras.metrics.IoU(n_classes, [c], ignore_class=255) for c in range(n_present)]
    theirs.append(keras.metrics.MeanIoU(n_classes, ignore_class=255))
    for metric, value in zip(theirs, expected, strict=True):
        metric.update_state(truth, guess)
        assert float(metric.result()) == pytest.approx(value, abs=1e-6)


def random_probabilities(rng, shape=(3, 9, 8), n_classes=4):
    logits = rng.normal(0, 2, (*shape, n_classes))
    truth = np.where(rng.random(shape) < 0.6, logits.argmax(axis=-1), 0).astype(np.uint8)
    truth[rng.random(shape) < 0.2] = 255
    return truth, inference.to_probabilities(logits)


def test_reliability_agrees_with_a_loop_over_the_pixels(rng):
    truth, probabilities = random_probabilities(rng)
    bins = [[] for _ in range(10)]
    for pixel in np.ndindex(truth.shape):
        if truth[pixel] != 255:
            said = max(probabilities[pixel].tolist())
            right = probabilities[pixel].tolist().index(said) == truth[pixel]
            bins[math.ceil(said * 10) - 1].append((said, right))
    result = evaluation.reliability(truth, probabilities)
    count = sum(len(entries) for entries in bins)
    error = 0
    for number, entries in enumerate(bins):
        assert result.pixels[number] == len(entries)
        if entries:
            said, right = (sum(column) / len(entries) for column in zip(*entries, strict=True))
            assert result.confidence[number] == pytest.approx(said)
            assert result.accuracy[number] == pytest.approx(right)
            error += len(entries) / count * abs(said - right)
    assert result.expected_calibration_error == pytest.approx(error)


def slow_border(mask, c=None):
    """List the pixels of class c (None: of any) that touch another class; neither may be void."""
    found = []
    height, width = mask.shape
    for row, column in np.ndindex(height, width):
        here = mask[row, column]
        if here == 255 or c not in (None, here):
            continue
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        around = [mask[r, k] for r, k in around if 0 <= r < height and 0 <= k < width]
        if any(other not in (here, 255) for other in around):
            found.append((row, column))
    return found


def steps(one, other):
    """Count the steps between two places when a diagonal step is one."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]))


@pytest.mark.parametrize("maximum", [1, 3, 20])
def test_boundary_distance_agrees_with_a_search_over_all_boundary_pixels(rng, maximum):
    masks = blobs(rng)
    masks[1, :, 4:] = masks[1, 0, 0]  # leave some pixels far from everything
    distance = evaluation.boundary_distance(masks, maximum)
    for mask, found in zip(masks, distance, strict=True):
        boundary = slow_border(mask)
        for place in np.ndindex(mask.shape):
            nearest = min([steps(place, other) for other in boundary], default=maximum)
            assert found[place] == min(nearest, maximum)


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_boundary_f1_agrees_with_a_search_over_all_boundary_pixels(rng, tolerance):
    truth, guess = blobs(rng), blobs(rng)
    guess = np.where(rng.random(truth.shape) < 0.7, truth, guess)
    guess[guess == 255] = 0
    hidden = np.where(truth == 255, 255, guess)  # nothing counts where the truth is void
    expected = []
    for c in range(3):
        counts = np.zeros(4)
        for true, pred in zip(truth, hidden, strict=True):
            true, pred = slow_border(true, c), slow_border(pred, c)
            met = [any(steps(a, b) <= tolerance for b in true) for a in pred]
            found = [any(steps(a, b) <= tolerance for b in pred) for a in true]
            counts += [sum(met), len(met), sum(found), len(found)]
        precision, recall = counts[0] / counts[1], counts[2] / counts[3]
        expected.append(2 * precision * recall / (precision + recall))
    np.testing.assert_allclose(boundary_f1(truth, guess, 3, tolerance), expected)
