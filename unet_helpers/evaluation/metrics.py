"""Scores of predicted masks, all from one confusion matrix over a whole data set; NumPy only.

Here and beside it, y_true is an integer array of classes 0 .. n_classes - 1 and void, which is not
counted, and y_pred one of the same shape, without void.
"""

from dataclasses import dataclass

import numpy as np

from unet_helpers.inference.predict import predict_masks
from unet_helpers.labels import VOID, check_values, printable


def confusion_matrix(y_true, y_pred, n_classes):
    """Count the labelled pixels by true class (rows) and predicted class (columns).

    Shapes: two integer arrays of one shape, any -> int64 (n_classes, n_classes). Matrices of
    several images may be added. Raises ValueError if the shapes differ, for logits instead of
    classes, and for a value outside the classes.
    """
    y_true, y_pred = check_shapes(y_true, y_pred)
    for name, array in (("y_true", y_true), ("y_pred", y_pred)):
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(
                f"{name} has dtype {array.dtype}; classes are integers. "
                "For logits or probabilities, take the largest first: array.argmax(axis=-1)."
            )
    valid = y_true != VOID
    true, pred = y_true[valid].astype(np.int64), y_pred[valid].astype(np.int64)
    check_values(true, n_classes, "y_true")
    check_values(pred, n_classes, "y_pred", void=None)
    counts = np.bincount(n_classes * true + pred, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)


@dataclass(frozen=True)
class Scores:
    """Scores of one confusion matrix, from 0 to 1; arrays have one entry per class.

    A class neither in the truth nor predicted has nan entries (0 / 0), which the means leave out.
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
    """Compute Scores (accuracy, IoU, Dice) from a confusion matrix.

    Shapes: integer (C, C), rows true, columns predicted -> Scores with arrays (C,). Raises
    ValueError if the matrix is not square or counts nothing.

    Source: IoU is tp / (tp + fp + fn), Everingham et al. 2010, section 4.1; Dice is
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
    """Format Scores as text: accuracy and mean IoU, then a line per class (nan: absent).

    classes are the names, such as `labels.CARLA.classes`. Returns str, indented by two spaces.
    """
    lines = [f"  accuracy {scores.pixel_accuracy:.3f}, mean IoU {scores.mean_iou:.3f}"]
    for name, iou, dice in zip(classes, scores.iou, scores.dice, strict=True):
        lines.append(f"  {name:13} IoU {iou:.3f}  Dice {dice:.3f}")
    return printable("\n".join(lines))


def evaluate(model, dataset, n_classes):
    """Count one `confusion_matrix` of a model, which returns logits, over a whole data set.

    dataset is an iterable of batches (uint8 (B, H, W, 3), uint8 (B, H, W)).
    """
    confusion = np.zeros((n_classes, n_classes), np.int64)
    for images, masks in dataset:
        predicted = predict_masks(model, images, len(images))
        confusion += confusion_matrix(np.asarray(masks), predicted, n_classes)
    return confusion


def image_ious(y_true, y_pred, n_classes):
    """Compute the IoU of every class in each image, to find the worst images.

    Shapes: integer (N, H, W) twice -> float (N, n_classes), nan for absent classes or all void.
    """
    result = np.full((len(y_true), n_classes), np.nan)
    for row, true, pred in zip(result, y_true, y_pred, strict=True):
        confusion = confusion_matrix(true, pred, n_classes)
        if confusion.any():
            row[:] = scores(confusion).iou
    return result


def check_shapes(*arrays):
    """Return masks or other arrays as NumPy's; raises ValueError unless their shapes are equal."""
    arrays = [np.asarray(array) for array in arrays]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(
            f"The arrays have the shapes {', '.join(str(array.shape) for array in arrays)}; they "
            "must be equal. Is there a channel axis to drop, mask[..., 0], or logits to argmax?"
        )
    return arrays
