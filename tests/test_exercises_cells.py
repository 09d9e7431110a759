"""The check of the weight map accepts right answers and tells wrong ones apart."""

import numpy as np
import pytest
from scipy import ndimage

from unet_helpers import exercises, training

EXERCISE = exercises.border_weights


def test_a_gap_of_two_pixels_by_hand():
    # d1 + d2 = 1 + 2 in both pixels of the gap, and exp(-9 / (2 * 9)) = 0.6065
    weights = training.border_weights(np.array([[4, 0, 0, 9]]), (1, 2), 10, 3)
    np.testing.assert_allclose(weights, [[2, 7.065, 7.065, 2]], atol=1e-3)
    assert weights.dtype == np.float32


def test_without_a_second_cell_there_is_no_gap():
    one = np.array([[0, 3, 3, 0]])
    np.testing.assert_array_equal(training.border_weights(one, (1, 2)), [[1, 2, 2, 1]])
    np.testing.assert_array_equal(training.border_weights(0 * one), [[1, 1, 1, 1]])


def by_steps(labels, class_weights, w0, sigma, cells=None, measure=None, term=None, inside=False):
    """The weight map as a learner may write it; each option is a way to get it wrong."""
    numbers = cells(labels) if cells else set(labels.ravel().tolist()) - {0}
    weights = np.choose(np.minimum(labels, 1), class_weights).astype(float)
    if len(numbers) > 1:
        measure = measure or (lambda labels, n: ndimage.distance_transform_edt(labels != n))
        d = np.sort(np.array([measure(labels, n) for n in numbers]), axis=0)
        term = term or (lambda d, sigma: np.exp(-0.5 * ((d[0] + d[1]) / sigma) ** 2))
        weights += w0 * term(d, sigma) * (inside | (labels == 0))
    return weights


def by_distances_of_pixels(labels, class_weights, w0, sigma):
    """Take every pixel's distance to every pixel of every cell, without SciPy."""
    weights = np.where(labels == 0, class_weights[0], class_weights[1]) * 1.0
    numbers = [n for n in np.unique(labels) if n]
    for place in np.argwhere(labels == 0) if len(numbers) >= 2 else ():
        near = sorted(np.hypot(*(np.argwhere(labels == n) - place).T).min() for n in numbers)
        weights[tuple(place)] += w0 * np.exp(-((near[0] + near[1]) ** 2) / (2 * sigma**2))
    return weights


@pytest.mark.parametrize("answer", [by_steps, by_distances_of_pixels])
def test_equivalent_answers_pass(answer):
    assert EXERCISE.verdict(answer) == (True, "right.")


def no_guard(labels, class_weights, w0, sigma):
    d = [ndimage.distance_transform_edt(labels != n) for n in np.unique(labels) if n]
    d1, d2 = np.sort(d, axis=0)[:2]
    border = w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    return np.where(labels > 0, class_weights[1], class_weights[0] + border)


WRONG = [
    (dict(inside=True), "inside the cells, too"),
    (dict(term=lambda d, s: np.exp(-((2 * d[0]) ** 2) / (2 * s**2))), "Only the nearest cell"),
    (dict(term=lambda d, s: np.exp(-(d[0] ** 2) / (2 * s**2))), "Only the nearest cell"),
    (dict(term=lambda d, s: np.exp(-((d[0] + d[-1]) ** 2) / (2 * s**2))), "farthest"),
    (dict(term=lambda d, s: np.exp(-(d[0] ** 2 + d[1] ** 2) / (2 * s**2))), "squares the sum"),
    (dict(term=lambda d, s: np.exp(-(d[0] + d[1]) / (2 * s**2))), "not squared"),
    (dict(term=lambda d, s: np.exp(-((d[0] + d[1]) ** 2) / s**2)), "2 sigma squared"),
    (dict(term=lambda d, s: np.exp((d[0] + d[1]) ** 2 / (2 * s**2))), "minus in the exponent"),
    (dict(cells=lambda labels: np.unique(labels)), "background, 0, is not a cell"),
    (dict(cells=lambda labels: [1]), "No gap gets more than w_c"),
    (dict(measure=lambda a, n: ndimage.distance_transform_edt(a == n)), "measures inside the cell"),
    (dict(measure=lambda a, n: ndimage.distance_transform_cdt(a != n, "taxicab")), "rows and"),
    (dict(measure=lambda a, n: ndimage.distance_transform_cdt(a != n)), "chessboard"),
]


@pytest.mark.parametrize("options, told", WRONG)
def test_a_wrong_answer_is_told_its_cause(options, told):
    def my_border_weights(labels, class_weights, w0, sigma):
        return by_steps(labels, class_weights, w0, sigma, **options)

    passed, sentence = EXERCISE.verdict(my_border_weights)
    assert not passed and told in sentence, sentence


OTHERS = [
    (lambda a, w, w0, s: by_steps(a, w, w0, s) - np.where(a > 0, w[1], w[0]), "w_c is left out"),
    (lambda a, w, w0, s: by_steps(a, w[::-1], w0, s), "w_c is swapped"),
    (lambda a, w, w0, s: by_steps(a, w, s, w0), "confuses two of its arguments, w0 and sigma"),
    (no_guard, "of an image with one cell"),
]


@pytest.mark.parametrize("answer, told", OTHERS)
def test_other_mistakes_are_told(answer, told):
    passed, sentence = EXERCISE.verdict(answer)
    assert not passed and told in sentence, sentence
