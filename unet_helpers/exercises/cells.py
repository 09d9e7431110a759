"""The exercise on touching cells: the weight map of U-Net's paper."""

import numpy as np

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_array
from unet_helpers.training.borders import border_weights

# A gap of two pixels, by hand: d1 + d2 = 1 + 2 in both, and 10 exp(-9 / 18) = 6.065
GAP = np.array([[1, 0, 0, 2]])
THREE = np.array(
    [
        [7, 7, 0, 0, 3, 3, 3, 0],
        [7, 7, 7, 0, 3, 3, 0, 0],
        [7, 7, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 5, 5, 0, 0, 0],
        [0, 0, 5, 5, 5, 5, 0, 0],
        [0, 0, 0, 5, 5, 0, 0, 0],
    ]
)


def judge_border_weights(attempt):
    nearest, term = "d1, d2 = np.partition(distances, 1, axis=0)[:2]", "((d1 + d2) ** 2)"
    added = "np.where(inside, weights, weights + border)"
    mistakes = {
        "The term is added inside the cells, too. It belongs on the background: where "
        "labels > 0, the weight is w_c alone.": f"{added} -> weights + border",
        "w_c is left out: the weight is w_c plus the term of the border.": [
            f"{added} -> np.where(inside, weights, border)",
            f"{added} -> np.where(inside, 0, border)",
        ],
        "w_c and the term of the border are multiplied. Add them.": (
            f"{added} -> np.where(inside, weights, weights * border)"
        ),
        "Only the nearest cell counts, so that every border is heavy, not only a narrow gap. d2 "
        "is the distance to the second nearest, and the background, 0, is not a cell.": [
            f"{term} -> ((2 * d1) ** 2)",
            f"{term} -> (d1**2)",
        ],
        "d2 is the distance to the farthest cell. Sort the distances of each pixel; the second is "
        "d2.": f"{nearest} -> d1, d2 = np.min(distances, axis=0), np.max(distances, axis=0)",
        "The distances to the first two cells are taken. Sort them for each pixel: d1 and d2 "
        "belong to other cells in other places.": f"{nearest} -> d1, d2 = distances[:2]",
        "Each distance is squared, and then they are added. The formula squares the sum.": (
            f"{term} -> (d1**2 + d2**2)"
        ),
        "The sum of the distances is not squared.": f"{term} -> (d1 + d2)",
        "It is divided by sigma squared; the formula has 2 sigma squared.": (
            "(2 * sigma**2) -> sigma**2"
        ),
        "The minus in the exponent is missing: the farther, the heavier.": f"-{term} -> {term}",
        "distance_transform_edt measures from each pixel that is true to the nearest that is not. "
        "Given labels == cell, it measures inside the cell: give it labels != cell.": (
            "labels != cell -> labels == cell"
        ),
        "No gap gets more than w_c. Take the distances to each cell by itself, not to all cells as "
        "one.": f"{added} -> weights",
        "w_c is swapped: class_weights[0] is the background's, class_weights[1] the cells'.": (
            lambda labels, class_weights, *rest: border_weights(labels, class_weights[::-1], *rest)
        ),
        "Distances are counted in steps along rows and columns. Use Euclidean ones.": (
            'distance_transform_edt(labels != cell) -> distance_transform_cdt(labels != cell, "'
            'taxicab")'
        ),
        "A square, chessboard distance is used. Use the Euclidean one.": (
            "distance_transform_edt -> distance_transform_cdt"
        ),
    }
    cases = [
        (GAP, (1.0, 2.0), 10.0, 3.0),
        (THREE, (1.0, 1.5), 10.0, 2.0),
        (THREE[:, ::-1], (0.5, 3.0), 4.0, 5.0),
        (np.kron(THREE, np.ones((2, 2), int)), (2.0, 1.0), 6.0, 2.5),
    ]
    compare(attempt, cases, border_weights, mistakes, convert=as_array)
    for labels, told in ((THREE * (THREE == 5), "one cell"), (THREE * 0, "no cell")):
        case = labels, (1.0, 1.5), 10.0, 2.0
        try:
            result = as_array(attempt(*case))
        except Incorrect as error:
            raise Incorrect(f"Two cells are right, but of an image with {told}: {error}") from None
        if not np.allclose(result, border_weights(*case)):
            raise Incorrect(
                f"Two cells are right. In an image with {told} there is no gap, so the weight is "
                "w_c alone."
            )
