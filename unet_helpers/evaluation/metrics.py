"""Scores of predicted masks, all computed from one confusion matrix over a whole data set.

Works on NumPy arrays, so it does not matter which backend or device made the predictions.
"""

from dataclasses import dataclass

import numpy as np

from unet_helpers.inference.predict import predict_masks
from unet_helpers.labels import VOID


def confusion_matrix(y_true, y_pred, n_classes, void=VOID):
    """Count pixels by true class (rows) and predicted class (columns).

    Args:
        y_true: integer array of any shape, classes 0 .. n_classes - 1, or void.
        y_pred: integer array of the same shape, classes 0 .. n_classes - 1.
        n_classes: number of classes.
        void: value in y_true that marks pixels without a label; they are not counted.

    Returns:
        int64 array (n_classes, n_classes). Matrices of several images may be added.

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


def evaluate(model, dataset, n_classes):
    """Count one confusion matrix over a whole data set of batches.

    Args:
        model: gives logits (B, H, W, n_classes).
        dataset: iterable of (uint8 (B, H, W, 3), uint8 (B, H, W)) batches.
        n_classes: number of classes.

    Returns:
        int64 array (n_classes, n_classes), rows true; void is left out.
    """
    confusion = np.zeros((n_classes, n_classes), np.int64)
    for images, masks in dataset:
        predicted = predict_masks(model, images, len(images))
        confusion += confusion_matrix(np.asarray(masks), predicted, n_classes)
    return confusion


def image_ious(y_true, y_pred, n_classes, void=VOID):
    """Compute the IoU of every class in every image by itself, to find the worst images.

    Args:
        y_true, y_pred: integer arrays (N, H, W), classes (or void in y_true).
        n_classes: number of classes.
        void: value in y_true of pixels that are not counted.

    Returns:
        float array (N, n_classes), nan where a class is neither in the truth nor predicted; a
        image without a label is all nan.

    Raises:
        ValueError: as `evaluation.confusion_matrix`.
    """
    result = np.full((len(y_true), n_classes), np.nan)
    for row, true, pred in zip(result, y_true, y_pred, strict=True):
        confusion = confusion_matrix(true, pred, n_classes, void)
        if confusion.any():
            row[:] = scores(confusion).iou
    return result


def check_shapes(*arrays):
    """Return the arrays as NumPy's; raises ValueError unless their shapes are equal."""
    arrays = [np.asarray(array) for array in arrays]
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"The arrays have the shapes {shapes}; they must be equal.")
    return arrays
