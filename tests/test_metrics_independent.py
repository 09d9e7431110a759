"""Metrics against programs that others wrote, and against slow ones written another way.

What test_metrics.py compares with scikit-learn (the counts, IoU, Dice, precision and recall per
class of a few masks) is not repeated here.
"""

import math

import keras
import numpy as np
import pytest

from unet_helpers import evaluation, inference
from unet_helpers.evaluation import boundary_f1, confusion_matrix, scores

SKLEARN = "scikit-learn is not among the course's requirements; install it to compare with it"

# seed, classes, classes that occur, share of void
CASES = [(0, 2, 2, 0.0), (1, 5, 5, 0.2), (2, 13, 13, 0.5), (3, 13, 9, 0.1), (4, 30, 4, 0.9)]


def random_case(seed, n_classes, n_present, void_share, shape=(2, 24, 31)):
    """Make a true mask with void and a prediction that is right in about half of the pixels."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_present, shape).astype(np.uint8)
    guess = rng.integers(0, n_present, shape).astype(np.uint8)
    guess = np.where(rng.random(shape) < 0.5, truth, guess)
    truth[rng.random(shape) < void_share] = 255
    return truth, guess


def blobs(rng, n_classes=3, shape=(2, 11, 13)):
    """Make masks of small squares with some void: borders of many shapes."""
    masks = rng.integers(0, n_classes, (shape[0], 4, 5)).repeat(3, axis=1).repeat(3, axis=2)
    masks = masks[:, : shape[1], : shape[2]].astype(np.uint8)
    masks[rng.random(masks.shape) < 0.1] = 255
    return masks


# ---------------------------------------------------------------- Keras, always at hand


@pytest.mark.parametrize("case", CASES)
def test_mean_iou_agrees_with_keras(case):
    truth, guess = random_case(*case)
    metric = keras.metrics.MeanIoU(case[1], ignore_class=255)
    metric.update_state(truth.astype("int32"), guess)
    ours = scores(confusion_matrix(truth, guess, case[1]))
    assert float(metric.result()) == pytest.approx(ours.mean_iou, abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_iou_of_every_class_agrees_with_keras(case):
    truth, guess = random_case(*case)
    iou = scores(confusion_matrix(truth, guess, case[1])).iou
    for c in range(case[2]):
        metric = keras.metrics.IoU(case[1], [c], ignore_class=255)
        metric.update_state(truth.astype("int32"), guess)
        assert float(metric.result()) == pytest.approx(iou[c], abs=1e-6)
    assert np.isnan(iou[case[2] :]).all()


def test_keras_fed_batch_by_batch_agrees_with_one_matrix_over_the_set():
    truth, guess = random_case(5, 6, 6, 0.2, (7, 12, 12))
    metric = keras.metrics.MeanIoU(6, ignore_class=255)
    for start in range(0, 7, 3):
        part = slice(start, start + 3)
        metric.update_state(truth[part].astype("int32"), guess[part])
    ours = scores(confusion_matrix(truth, guess, 6)).mean_iou
    assert float(metric.result()) == pytest.approx(ours, abs=1e-6)


def test_pixel_accuracy_agrees_with_keras():
    truth, guess = random_case(6, 4, 4, 0.3)
    metric = keras.metrics.Accuracy()
    metric.update_state(np.where(truth == 255, 0, truth), guess, sample_weight=truth != 255)
    ours = scores(confusion_matrix(truth, guess, 4)).pixel_accuracy
    assert float(metric.result()) == pytest.approx(ours, abs=1e-6)


def test_probabilities_and_entropy_agree_with_keras(rng):
    logits = rng.normal(0, 4, (2, 5, 6, 7)).astype("float32")
    probabilities = inference.to_probabilities(logits)
    softmax = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    np.testing.assert_allclose(probabilities, softmax, atol=1e-6)
    # cross-entropy of a distribution with itself is its entropy
    itself = keras.losses.categorical_crossentropy(probabilities, probabilities)
    itself = keras.ops.convert_to_numpy(itself)
    np.testing.assert_allclose(evaluation.entropy(probabilities), itself, atol=1e-4)
    sigmoid = keras.ops.convert_to_numpy(keras.ops.sigmoid(logits[..., :1]))
    np.testing.assert_allclose(inference.to_probabilities(logits[..., :1])[..., 1:], sigmoid, 1e-5)


# ---------------------------------------------------------------- scikit-learn, where installed


@pytest.mark.parametrize("case", CASES)
def test_confusion_matrix_agrees_with_scikit_learn_that_gives_void_no_weight(case):
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    truth, guess = random_case(*case)
    # another way to leave void out: any class, but with the weight 0
    expected = sklearn_metrics.confusion_matrix(
        np.where(truth == 255, 0, truth).ravel(),
        guess.ravel(),
        labels=range(case[1]),
        sample_weight=(truth != 255).ravel(),
    )
    np.testing.assert_array_equal(confusion_matrix(truth, guess, case[1]), expected)


@pytest.mark.parametrize("case", CASES)
def test_means_over_the_classes_agree_with_scikit_learn(case):
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    truth, guess = random_case(*case)
    valid = truth != 255
    flat = truth[valid], guess[valid]
    ours = scores(confusion_matrix(truth, guess, case[1]))
    # by itself scikit-learn, too, averages over the classes that occur in either mask
    jaccard, f1 = sklearn_metrics.jaccard_score, sklearn_metrics.f1_score
    assert ours.mean_iou == pytest.approx(jaccard(*flat, average="macro"))
    assert ours.mean_dice == pytest.approx(f1(*flat, average="macro"))
    assert ours.frequency_weighted_iou == pytest.approx(jaccard(*flat, average="weighted"))


def test_image_ious_agree_with_scikit_learn():
    sklearn_metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    truth, guess = random_case(7, 4, 4, 0.3, (5, 3, 4))
    for ious, true, pred in zip(evaluation.image_ious(truth, guess, 4), truth, guess, strict=True):
        valid = true != 255
        expected = sklearn_metrics.jaccard_score(
            true[valid], pred[valid], labels=range(4), average=None, zero_division=0
        )
        np.testing.assert_allclose(np.nan_to_num(ious), expected)


def test_reliability_agrees_with_scikit_learn(rng):
    calibration = pytest.importorskip("sklearn.calibration", reason=SKLEARN)
    truth, probabilities = random_probabilities(rng)
    ours = evaluation.reliability(truth, probabilities, n_bins=7)
    valid = truth != 255
    right = (probabilities.argmax(axis=-1) == truth)[valid]
    accuracy, confidence = calibration.calibration_curve(
        right, probabilities.max(axis=-1)[valid], n_bins=7
    )
    filled = ours.pixels > 0
    np.testing.assert_allclose(ours.accuracy[filled], accuracy)
    np.testing.assert_allclose(ours.confidence[filled], confidence, atol=1e-6)


# ---------------------------------------------------------------- slow ways


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


def test_error_rate_by_distance_agrees_with_a_loop(rng):
    truth = blobs(rng)
    guess = np.where(rng.random(truth.shape) < 0.7, truth % 3, 0).astype(np.uint8)
    distance = evaluation.boundary_distance(truth, 4)
    rates, pixels = evaluation.error_rates(truth, guess, distance, 5)
    for d in range(5):
        here = [
            truth[pixel] != guess[pixel]
            for pixel in np.ndindex(truth.shape)
            if distance[pixel] == d and truth[pixel] != 255
        ]
        assert pixels[d] == len(here)
        assert np.isnan(rates[d]) if not here else rates[d] == pytest.approx(np.mean(here))
