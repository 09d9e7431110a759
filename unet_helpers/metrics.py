"""Scores of predicted masks, all computed from one confusion matrix over a whole data set.

Works on NumPy arrays, so it does not matter which backend or device made the predictions.
"""

from dataclasses import dataclass

import numpy as np

from unet_helpers.labels import VOID


def confusion_matrix(y_true, y_pred, n_classes, void=VOID):
    """Count pixels by true class (rows) and predicted class (columns).

    Args:
        y_true: integer array of any shape, classes 0 .. n_classes - 1, or void.
        y_pred: integer array of the same shape, classes 0 .. n_classes - 1.
        n_classes: number of classes.
        void: value in y_true that marks pixels without a label; they are not counted.

    Returns:
        int64 array (n_classes, n_classes). Matrices of several pictures may be added.

    Raises:
        ValueError: shapes differ, logits instead of classes, or a value outside the classes.
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    for name, array in (("y_true", y_true), ("y_pred", y_pred)):
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(
                f"{name} has dtype {array.dtype}; classes are integers. "
                "For logits or probabilities take the largest first: array.argmax(axis=-1)."
            )
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true has shape {y_true.shape}, y_pred {y_pred.shape}; they must be equal. "
            "Is there a channel axis of size 1 to drop, mask[..., 0], or logits to argmax?"
        )
    valid = y_true != void
    true, pred = y_true[valid].astype(np.int64), y_pred[valid].astype(np.int64)
    for name, array in (("y_true", true), ("y_pred", pred)):
        wrong = np.unique(array[(array < 0) | (array >= n_classes)])
        if wrong.size:
            raise ValueError(
                f"{name} holds {wrong[:8].tolist()}, outside the classes 0 .. {n_classes - 1}"
                + (f" (void is {void})." if name == "y_true" else ".")
            )
    counts = np.bincount(n_classes * true + pred, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix; arrays have one entry per class, nan where it is absent.

    A class is absent when it is neither in the truth nor in the prediction: its IoU would be
    0 / 0. It is left out of the mean rather than counted as 0 or as 1.
    """

    pixel_accuracy: float
    mean_iou: float
    mean_dice: float
    frequency_weighted_iou: float
    iou: np.ndarray
    dice: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


def scores(confusion):
    """Compute accuracy, IoU and Dice from a confusion matrix.

    Args:
        confusion: integer array (C, C), rows true, columns predicted.

    Returns:
        Scores: pixel_accuracy, mean_iou, mean_dice and frequency_weighted_iou as floats from 0
        to 1; iou, dice, recall and precision as float arrays (C,).

    Raises:
        ValueError: the matrix is not square or counts nothing.

    Source: IoU is Everingham et al. 2010, section 4.1, tp / (tp + fp + fn); Dice is
    2 tp / (2 tp + fp + fn).
    """
    confusion = np.asarray(confusion, dtype=np.float64)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError(f"A confusion matrix is square; this one has shape {confusion.shape}.")
    total = confusion.sum()
    if total == 0:
        raise ValueError("The confusion matrix is empty: no pixel had a label (all void?).")
    hits = np.diag(confusion)
    true, pred = confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = hits / (true + pred - hits)
        dice = 2 * hits / (true + pred)
        recall, precision = hits / true, hits / pred
    return Scores(
        pixel_accuracy=float(hits.sum() / total),
        mean_iou=float(np.nanmean(iou)),
        mean_dice=float(np.nanmean(dice)),
        frequency_weighted_iou=float(np.nansum(true * iou) / total),
        iou=iou,
        dice=dice,
        recall=recall,
        precision=precision,
    )


def score_lines(scores, classes):
    """Write scores as text: accuracy and mean IoU, then a line a class; nan is an absent class.

    Args:
        scores: Scores of the function `scores`.
        classes: names of the classes, as `labels.CARLA.classes`.

    Returns:
        str, lines of three digits, indented by two spaces, without a newline at the end.
    """
    lines = [f"  accuracy {scores.pixel_accuracy:.3f}, mean IoU {scores.mean_iou:.3f}"]
    for name, iou, dice in zip(classes, scores.iou, scores.dice, strict=True):
        lines.append(f"  {name:13} IoU {iou:.3f}  Dice {dice:.3f}")
    return "\n".join(lines)


def boundary_f1(y_true, y_pred, n_classes, tolerance=2, void=VOID):
    """Score how well the borders of the classes are met, within a tolerance in pixels.

    Args:
        y_true: integer array (N, H, W) or (H, W), classes or void.
        y_pred: integer array of the same shape, classes.
        n_classes: number of classes.
        tolerance: a border pixel counts as met when the other mask has a border pixel of the
            same class at most this many pixels away, rows and columns counted separately.
        void: value in y_true of pixels without a label; no border is counted in or along them.

    Returns:
        float array (n_classes,): harmonic mean of border precision and recall, counted over all
        pictures together; nan for a class with no border in either.

    Raises:
        ValueError: the shapes differ.

    Source: Csurka et al. 2013, section 3 (there per picture; here over the whole set, so that a
    small picture counts less than a large one).
    """
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(f"y_true has shape {y_true.shape}, y_pred {y_pred.shape}.")
    if y_true.ndim == 2:
        y_true, y_pred = y_true[None], y_pred[None]
    f1 = np.full(n_classes, np.nan)
    valid = y_true != void
    for c in range(n_classes):
        true = border(y_true == c, valid)
        pred = border((y_pred == c) & valid, valid)
        if not true.any() and not pred.any():
            continue
        met_pred = (pred & dilate(true, tolerance)).sum()
        met_true = (true & dilate(pred, tolerance)).sum()
        precision, recall = met_pred / max(pred.sum(), 1), met_true / max(true.sum(), 1)
        f1[c] = 2 * precision * recall / max(precision + recall, 1e-12)
    return f1


def border(region, valid=True):
    """Mark the pixels of a region that touch a labelled pixel outside it (4 neighbours).

    Shapes: bool (N, H, W), and valid likewise, False where void -> bool (N, H, W). Neither the
    rim of the picture nor void makes a border: nobody knows what lies behind them.
    """
    outside = np.pad(~region & valid, ((0, 0), (1, 1), (1, 1)))
    above, below = outside[:, :-2, 1:-1], outside[:, 2:, 1:-1]
    left, right = outside[:, 1:-1, :-2], outside[:, 1:-1, 2:]
    return region & (above | below | left | right)


def dilate(region, radius):
    """Grow a region by radius pixels to all sides, corners included.

    Shapes: bool (N, H, W) -> bool (N, H, W).
    """
    for axis in (1, 2):
        grown = region.copy()
        for step in range(1, radius + 1):
            ahead = [slice(None)] * 3
            behind = [slice(None)] * 3
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            grown[tuple(ahead)] |= region[tuple(behind)]
            grown[tuple(behind)] |= region[tuple(ahead)]
        region = grown
    return region
