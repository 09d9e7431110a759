"""The pixel weights by which U-Net's paper pulls touching cells apart."""

import numpy as np
from scipy import ndimage


def border_weights(labels, class_weights=(1.0, 1.0), w0=10.0, sigma=5.0):
    """Weigh the pixels of an image so that narrow gaps between cells count most.

    w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2)), the second term only outside the
    cells, and only where there are two or more. d1 and d2 are the distances to the nearest cell and
    to the second nearest, in pixels, and class_weights the w_c of background and cells.

    Shapes: integer (H, W), 0 the background, every cell a number of its own -> float32 (H, W).

    Source: Ronneberger et al. 2015, equation 2.
    """
    inside = labels > 0
    weights = np.where(inside, class_weights[1], class_weights[0]).astype(np.float32)
    cells = np.unique(labels[inside])
    if len(cells) < 2:
        return weights
    # distance_transform_edt measures from each pixel that is true to the nearest that is not
    distances = [ndimage.distance_transform_edt(labels != cell) for cell in cells]
    d1, d2 = np.partition(distances, 1, axis=0)[:2]
    border = w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    return np.where(inside, weights, weights + border).astype(np.float32)
