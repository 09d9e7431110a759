"""Scores and errors by the distance to the boundaries between classes."""

import numpy as np
from scipy import ndimage

from unet_helpers.evaluation.metrics import check_shapes
from unet_helpers.labels import VOID


def boundary_f1(y_true, y_pred, n_classes, tolerance=2):
    """Compute how well the predicted borders of each class match the true ones.

    Shapes: integer (N, H, W) or (H, W) twice -> float (n_classes,): harmonic mean of border
    precision and recall over all images together, nan for a class without a border in both masks. A
    border pixel is matched if the other mask has one of the same class at most `tolerance` rows and
    columns away; none is counted in or along void. Raises ValueError if shapes differ.

    Source: Csurka et al. 2013, section 3 (there per image; here over the whole set).
    """
    y_true, y_pred = check_shapes(y_true, y_pred)
    if y_true.ndim == 2:
        y_true, y_pred = y_true[None], y_pred[None]
    f1 = np.full(n_classes, np.nan)
    valid = y_true != VOID
    for c in range(n_classes):
        true = border(y_true == c, valid)
        pred = border((y_pred == c) & valid, valid)
        if true.any() or pred.any():
            precision = (pred & dilate(true, tolerance)).sum() / max(pred.sum(), 1)
            recall = (true & dilate(pred, tolerance)).sum() / max(true.sum(), 1)
            f1[c] = 2 * precision * recall / max(precision + recall, 1e-12)
    return f1


def border(region, valid=True):
    """Mark the pixels of a region that touch a labelled pixel outside it (4 neighbours).

    Shapes: bool (N, H, W), valid False where void -> the same. The image's edge makes no border.
    """
    outside = np.pad(~region & valid, ((0, 0), (1, 1), (1, 1)))
    above, below = outside[:, :-2, 1:-1], outside[:, 2:, 1:-1]
    left, right = outside[:, 1:-1, :-2], outside[:, 1:-1, 2:]
    return region & (above | below | left | right)


def dilate(region, radius):
    """Grow a region by radius pixels in all directions; bool (N, H, W) -> bool (N, H, W)."""
    side = 2 * radius + 1
    return ndimage.maximum_filter(region, (1, side, side), mode="constant")


def boundary_distance(masks, maximum=20):
    """Compute for each pixel the distance to the nearest boundary between two classes.

    Shapes: integer (N, H, W), classes or void -> int64 (N, H, W). A pixel with another class above,
    below, left or right has distance 0; others count the steps to such a pixel, diagonal ones too,
    cut to maximum. Void makes no boundary. Raises ValueError for another shape.
    """
    masks = np.asarray(masks)
    if masks.ndim != 3:
        raise ValueError(f"The masks have shape {masks.shape}; expected (N, H, W): mask[None].")
    valid, near = masks != VOID, np.zeros(masks.shape, bool)
    for c in np.unique(masks[valid]):
        near |= border(masks == c, valid)
    distance = np.full(masks.shape, maximum, np.int64)
    for image, steps in zip(near, distance, strict=True):
        if image.any():
            steps[:] = ndimage.distance_transform_cdt(~image, "chessboard").clip(max=maximum)
    return distance


def error_rates(y_true, y_pred, groups, n_groups):
    """Compute the share of wrong pixels in each group of pixels, for instance by distance.

    Shapes: y_true, y_pred and groups (integer, 0 .. n_groups - 1) of one shape -> (error rates,
    float (n_groups,), nan for a group without labels; number of labelled pixels, int64
    (n_groups,)). Raises ValueError if the shapes differ.
    """
    y_true, y_pred, groups = check_shapes(y_true, y_pred, groups)
    valid = y_true != VOID
    wrong = (y_true != y_pred)[valid]
    pixels = np.bincount(groups[valid], minlength=n_groups)
    with np.errstate(invalid="ignore"):
        return np.bincount(groups[valid], wrong, n_groups) / pixels, pixels
