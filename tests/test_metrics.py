"""The confusion matrix and what is computed from it, against hand counts and slow loops."""

import numpy as np
import pytest

from unet_helpers.evaluation import (
    border,
    boundary_f1,
    confusion_matrix,
    dilate,
    score_lines,
    scores,
)

TRUTH = np.array([[0, 0, 1], [1, 2, 255], [0, 255, 1]], np.uint8)
PREDICTION = np.array([[0, 1, 1], [1, 2, 2], [0, 1, 1]], np.uint8)


def random_masks(rng, n_classes=4, shape=(3, 20, 30)):
    truth = rng.integers(0, n_classes, shape).astype(np.uint8)
    guess = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, n_classes, shape))
    truth[rng.random(shape) < 0.15] = 255
    return truth, guess.astype(np.uint8)


def slow_confusion(truth, prediction, n_classes):
    counts = [[0] * n_classes for _ in range(n_classes)]
    for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if t != 255:
            counts[t][p] += 1
    return counts


# ---------------------------------------------------------------- confusion matrix


def test_confusion_matrix_by_hand_has_the_truth_in_its_rows():
    confusion = confusion_matrix(TRUTH, PREDICTION, 3)
    assert confusion.dtype == np.int64
    assert confusion.tolist() == [[2, 1, 0], [0, 3, 0], [0, 0, 1]]


def test_confusion_matrix_agrees_with_a_slow_loop(rng):
    truth, guess = random_masks(rng)
    assert confusion_matrix(truth, guess, 4).tolist() == slow_confusion(truth, guess, 4)


def test_confusion_matrices_of_images_add_up_to_that_of_the_set(rng):
    truth, guess = random_masks(rng)
    parts = [confusion_matrix(t, g, 4) for t, g in zip(truth, guess, strict=True)]
    np.testing.assert_array_equal(sum(parts), confusion_matrix(truth, guess, 4))


def test_an_all_void_image_counts_nothing():
    assert confusion_matrix(np.full((2, 2), 255), np.zeros((2, 2), int), 2).sum() == 0


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (TRUTH, PREDICTION / 3, r"y_pred has dtype float64.*argmax"),
        (TRUTH / 1, PREDICTION, r"y_true has dtype float64"),
        (TRUTH[..., None], PREDICTION, r"shapes \(3, 3, 1\), \(3, 3\).*mask\[\.\.\., 0\]"),
        (TRUTH, np.zeros((3, 3, 3), int), r"shapes \(3, 3\), \(3, 3, 3\).*argmax"),
        (TRUTH, np.full((3, 3), 3), r"y_pred holds .*: \[3\] in 7 pixels; expected 0 \.\. 2\."),
        (TRUTH, np.full((3, 3), 255), r"y_pred holds .*: \[255\]"),
        (TRUTH - 1, PREDICTION, r"y_true holds .*: \[254\].*, or 255 for void"),
        (TRUTH.astype(int) - 1, PREDICTION, r"y_true holds .*: \[-1, 254\]"),
    ],
)
def test_confusion_matrix_refuses_what_would_count_wrongly(truth, prediction, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(truth, prediction, 3)


# ---------------------------------------------------------------- scores


def test_scores_by_hand():
    result = scores([[2, 1, 0], [0, 3, 0], [0, 0, 1]])
    assert result.pixel_accuracy == pytest.approx(6 / 7)
    np.testing.assert_allclose(result.iou, [2 / 3, 3 / 4, 1])
    np.testing.assert_allclose(result.dice, [4 / 5, 6 / 7, 1])
    np.testing.assert_allclose(result.recall, [2 / 3, 1, 1])
    np.testing.assert_allclose(result.precision, [1, 3 / 4, 1])
    assert result.mean_iou == pytest.approx((2 / 3 + 3 / 4 + 1) / 3)
    assert result.mean_dice == pytest.approx((4 / 5 + 6 / 7 + 1) / 3)
    # weighed by the pixels of the truth: 3, 3 and 1
    assert result.frequency_weighted_iou == pytest.approx((3 * 2 / 3 + 3 * 3 / 4 + 1) / 7)


def test_an_absent_class_is_nan_and_left_out_of_the_means():
    result = scores([[3, 1, 0], [1, 3, 0], [0, 0, 0]])
    assert np.isnan([result.iou[2], result.dice[2], result.recall[2], result.precision[2]]).all()
    assert result.mean_iou == pytest.approx(3 / 5)
    assert result.mean_dice == pytest.approx(6 / 8)
    assert result.frequency_weighted_iou == pytest.approx(3 / 5)


def test_score_lines_name_every_class():
    text = score_lines(scores([[3, 1, 0], [1, 3, 0], [0, 0, 0]]), ("Road", "TrafficSigns", "Sky"))
    assert text.splitlines() == [
        "  accuracy 0.750, mean IoU 0.600",
        "  Road          IoU 0.600  Dice 0.750",
        "  TrafficSigns  IoU 0.600  Dice 0.750",
        "  Sky           IoU nan  Dice nan",
    ]


def test_score_lines_refuse_names_that_do_not_fit():
    with pytest.raises(ValueError):
        score_lines(scores([[3, 1], [1, 3]]), ("Road",))


def test_a_class_that_is_only_predicted_counts_as_zero():
    result = scores([[3, 1], [0, 0]])
    np.testing.assert_allclose(result.iou, [3 / 4, 0])
    assert result.mean_iou == pytest.approx(3 / 8)
    assert np.isnan(result.recall[1])
    assert result.precision[1] == 0


@pytest.mark.parametrize(
    ("confusion", "message"),
    [(np.zeros((2, 3)), r"square; this one has shape \(2, 3\)"), (np.zeros((3, 3)), "all void")],
)
def test_scores_refuse_a_matrix_without_meaning(confusion, message):
    with pytest.raises(ValueError, match=message):
        scores(confusion)


# ---------------------------------------------------------------- borders


def test_border_by_hand():
    region = np.array(
        [
            [1, 1, 0, 0, 0],
            [1, 1, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 0, 1, 1, 1],
            [0, 0, 1, 1, 1],
        ],
        bool,
    )
    expected = [
        [0, 1, 0, 0, 0],  # the edge of the image is not a border
        [1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 0, 0],
    ]
    np.testing.assert_array_equal(border(region[None])[0], np.array(expected, bool))


@pytest.mark.parametrize("radius", [0, 1, 3, 9])
def test_dilate_agrees_with_a_slow_loop(rng, radius):
    region = rng.random((2, 7, 6)) < 0.08
    before = region.copy()
    expected = np.zeros_like(region)
    for n, r, c in np.argwhere(region):
        top, left = max(r - radius, 0), max(c - radius, 0)
        expected[n, top : r + radius + 1, left : c + radius + 1] = True
    np.testing.assert_array_equal(dilate(region, radius), expected)
    np.testing.assert_array_equal(region, before)


def half(columns, size=8):
    """Make a mask whose first columns are class 1."""
    mask = np.zeros((size, size), np.uint8)
    mask[:, :columns] = 1
    return mask


@pytest.mark.parametrize(("tolerance", "expected"), [(0, [4 / 7, 1 / 2]), (1, [6 / 7, 6 / 7])])
def test_boundary_f1_by_hand(tolerance, expected):
    truth = half(2, 4)
    guess = truth.copy()
    guess[2:] = 1
    # class 1: border of the truth is column 1; of the guess (0,1) (1,1) (2,2) (2,3)
    # class 0: border of the truth is column 2; of the guess (0,2) (1,2) (1,3)
    # tolerance 0: class 0 precision 2/3, recall 2/4; class 1 both 2/4
    # tolerance 1: class 0 precision 1, recall 3/4 (row 3 is missed);
    # class 1 precision 3/4, recall 1
    np.testing.assert_allclose(boundary_f1(truth, guess, 2, tolerance=tolerance), expected)


def test_boundary_f1_of_a_class_without_border_is_nan():
    assert np.isnan(boundary_f1(half(8), half(8), 3)).all()
    f1 = boundary_f1(half(4), half(4), 3)
    assert np.isnan(f1[2])
    assert (f1[:2] == 1).all()


def test_boundary_f1_counts_nothing_in_void():
    truth = half(2, 4)
    truth[:, 2:] = 255
    guess = half(3, 4)  # class 1 goes on where nobody says what is there
    guess[:, 3] = 2
    # the only edge in the truth is that of void, behind which anything may be
    assert np.isnan(boundary_f1(truth, guess, 3, tolerance=0)).all()


def test_boundary_f1_refuses_different_shapes():
    with pytest.raises(ValueError, match=r"shapes \(8, 8\), \(4, 4\)"):
        boundary_f1(half(4), half(2, 4), 2)
