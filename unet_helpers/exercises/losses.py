"""Exercises on losses and on the weights of classes and pixels, computed in NumPy."""

import numpy as np
from scipy.special import softmax

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_array, as_number
from unet_helpers.exercises.slips import edited
from unet_helpers.labels import VOID
from unet_helpers.training.borders import border_weights
from unet_helpers.training.losses import median_frequency_weights

OVERFLOW = (
    "With ordinary logits it is right, but with logits of 1000 the exponential overflows. Subtract "
    "the largest logit of the pixel first: the probabilities stay the same."
)
LOG_P = "Take log p = logit - largest - log(sum(exp(logits - largest)))."
UNDERFLOW = f"It is right until a probability becomes 0, and its logarithm infinite. {LOG_P}"
CLIPPED = f"A surely wrong pixel costs too little: its probability is kept away from 0. {LOG_P}"


def check_large_logits(attempt, mild, surely_wrong, reference):
    """Raise Incorrect unless large logits give what they should.

    The right class has a tiny probability in the surely_wrong cases, and not in the mild ones.
    """
    for cases, cause in ((mild, OVERFLOW), (surely_wrong, UNDERFLOW)):
        for case in cases:
            try:
                with np.errstate(all="ignore"):
                    given = as_number(attempt(*case))
            except Incorrect as error:
                more = f" {OVERFLOW}" if "OverflowError" in str(error) else ""
                raise Incorrect(f"{error}{more}") from None
            if not np.isfinite(given):
                raise Incorrect(cause)
            if cases is surely_wrong and given < 0.9 * reference(*case):
                raise Incorrect(CLIPPED)
    compare(attempt, mild + surely_wrong, reference, {}, tolerance=1e-4)


def cross_entropy_with_void(labels, logits):
    """Return the mean cross-entropy over the pixels that have a label."""
    labelled = labels != VOID
    labels, logits = labels[labelled], logits[labelled]  # (pixels,) and (pixels, classes)
    logits = logits - logits.max(axis=-1, keepdims=True)  # or exp would overflow
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    of_right_class = log_probabilities[np.arange(len(labels)), labels]
    return -of_right_class.mean()


def judge_cross_entropy_with_void(attempt):
    rng = np.random.default_rng(2)
    cases = []
    for shape in ((2, 3, 5, 3), (3, 5, 4, 4), (2, 4, 3, 2), (4, 2, 6, 5)):
        labels = rng.integers(0, shape[-1], shape[:-1]).astype(np.uint8)
        labels[0, :2] = VOID
        labels[1, 0, 0] = VOID
        cases.append((labels, rng.normal(0, 2, shape).astype(np.float32)))
    minus_logit = edited(
        cross_entropy_with_void,
        "logits - logits.max(axis=-1, keepdims=True) -> logits",
        " - np.log(np.exp(logits).sum(axis=-1, keepdims=True)) -> ",
    )
    mean, each = "-of_right_class.mean()", "of_right_class"
    mistakes = {
        "It is divided by all pixels, void ones too.": f"{mean} -> -{each}.sum() / labelled.size",
        "It is divided by the length of labels.": f"{mean} -> -{each}.sum() / len(labelled)",
        "Only void pixels are counted. Keep those with labels != 255.": (
            lambda y, z: cross_entropy_with_void(np.where(y == VOID, 0, VOID), z)
        ),
        "Softmax is applied twice.": lambda y, z: cross_entropy_with_void(y, softmax(z, axis=-1)),
        "Expected minus the logarithm of the probability of the right class; the logarithm is "
        "missing.": [f"{mean} -> 1 - np.exp({each}).mean()", f"{mean} -> np.exp({each}).mean()"],
        "The mean is taken before the logarithm.": f"{mean} -> -np.log(np.exp({each}).mean())",
        "It is the likeliest class's loss.": f"{mean} -> -log_probabilities.max(axis=-1).mean()",
        "That is minus the logit of the right class. It becomes a probability by softmax: "
        "subtract log(sum(exp(logits))) first.": minus_logit,
        "Softmax runs over another axis than the classes of each pixel, axis=-1.": [
            lambda y, z: minus_logit(y, np.log(softmax(z, axis=0))),
            "axis=-1 -> axis=0",
        ],
        "The largest logit is subtracted in the exponential only.": (
            lambda y, z: cross_entropy_with_void(y, z) - z[y != VOID].max(axis=-1).mean()
        ),
        "[:, labels] picks all labels' classes at every pixel. It is one class at each: "
        "[np.arange(len(labels)), labels].": "[np.arange(len(labels)), labels] -> [:, labels]",
        "That is the mean of the images' means. Average over all labelled pixels at once.": (
            lambda y, z: np.mean([*map(cross_entropy_with_void, y, z)])
        ),
    }
    compare(attempt, cases, cross_entropy_with_void, mistakes, tolerance=1e-4)
    # labels of another rank: one image, and a row of pixels
    cases = [(labels[1], logits[1]) for labels, logits in cases]
    cases += [(labels[:, 2], logits[:, 2]) for labels, logits in cases]
    compare(attempt, cases, cross_entropy_with_void, {}, tolerance=1e-4)
    labels = np.array([[[0, 1], [255, 1]]], np.uint8)
    high = [[[[1000, 999, 0], [1000, 1001, 1000]], [[0, 1000, 0], [998, 1000, 999]]]]
    low = [[[[-1000, -999, -999], [-1001, -1000, -1000]], [[0, 0, 0], [-990, -991, -999]]]]
    wrong = [[[[-1000, 1000, 0], [0, 0, 0]], [[0, 0, 0], [500, -500, 0]]]]
    high, low, wrong = (np.array(logits, np.float32) for logits in (high, low, wrong))
    mild, surely_wrong = [(labels, high), (labels, low)], [(labels, wrong)]
    check_large_logits(attempt, mild, surely_wrong, cross_entropy_with_void)


def pixel_loss(logits, label):
    """Return the cross-entropy of one pixel from its logits, without overflow."""
    largest = logits.max()
    log_of_sum = largest + np.log(np.exp(logits - largest).sum())
    return log_of_sum - logits[label]


def judge_pixel_loss(attempt):
    def pixels(*cases):
        return [(np.array(logits, np.float32), label) for logits, label in cases]

    rows = [2.0, -1.0, 0.5], [0.3, 0.1, 1.7, -2.0], [-3.0, -1.0]
    cases = pixels(*((logits, label) for logits in rows for label in range(len(logits))))
    right, result = "logits[label]", "log_of_sum - logits[label]"
    mistakes = {
        "A logarithm is missing.": f"{result} -> 1 - np.exp({right} - log_of_sum)",
        "All classes go into it; only the right class counts, the one that label names.": [
            f"{right} -> logits.mean()",
            f"{result} -> (log_of_sum - logits).sum()",
        ],
        "It is the likeliest class's loss.": f"{right} -> largest",
        "The right class is missing in the sum. Softmax divides by the sum over all classes.": (
            f"{result} -> np.log(np.exp(np.delete(logits, label)).sum()) - {right}"
        ),
        "The logarithm of the sum is missing.": f"{result} -> np.exp(log_of_sum) - {right}",
        "Softmax is applied twice.": lambda logits, label: pixel_loss(softmax(logits), label),
        "It is the loss of a sigmoid, not of a softmax.": f"{result} -> np.log1p(np.exp(-{right}))",
    }
    compare(attempt, cases, pixel_loss, mistakes)
    mild = pixels(([1000, 999, 1000], 1), ([-1000, -999, -1001, -1000], 3), ([1000, -1000], 0))
    surely_wrong = pixels(([1000, -1000, 0], 1), ([0, -1000], 1), ([1000, 0, -1000], 1))
    check_large_logits(attempt, mild, surely_wrong, pixel_loss)


def judge_median_frequency_weights(attempt):
    def masks(seed, shapes, chances):
        rng = np.random.default_rng(seed)
        labels = [*range(len(chances) - 1), VOID]
        return [rng.choice(labels, shape, p=chances).astype(np.uint8) for shape in shapes]

    first = masks(0, [(4, 5), (3, 3), (6, 4)], [0.4, 0.3, 0.05, 0.15, 0.1])
    first[0][first[0] == 2] = 0  # class 2 is in some of the images only
    first[0][0, :4] = VOID
    first[1][0] = (2, 2, 0)
    second = masks(1, [(5, 5), (2, 7)], [0.5, 0.2, 0.2, 0.1])
    second[0][second[0] == 1] = 2
    second[1][0, :2] = 1
    third = masks(2, [(3, 5)] * 4, [0.6, 0.05, 0.25, 0.1])
    # classes 3 and 4 of the second never occur, nor does class 3 of the third
    cases = [(first, 4), (second, 5), (third, 3), (third[1:], 4), (third + first, 4)]
    weights, made = "np.median(frequency) / frequency", "zeros(n_classes, np.float32)"
    mistakes = {
        "A class's pixels are divided by those of all images. Count only those that have it.": (
            edited(
                median_frequency_weights,
                "labels.size * (counts > 0) -> labels.size",
                "seen = of_images > 0 -> seen = pixels > 0",
            )
        ),
        "Void pixels are counted in the totals of the images.": "labels.size -> mask.size",
        "A class that never occurs gets the weight 0. From 0 / 0 it would be infinite or nan.": [
            f"{made} -> full(n_classes, {value})" for value in ("np.inf", "np.nan", "1.0")
        ],
        "Classes that never occur take part in the median, with the frequency 0. Only those that "
        "occur belong in it.": f"{weights} -> np.median(pixels / of_images.clip(1)) / frequency",
        "The frequency is averaged over images. Add up all pixels first, then divide.": edited(
            median_frequency_weights,
            "pixels += counts -> pixels += counts / max(labels.size, 1)",
            "labels.size * (counts > 0) -> counts > 0",
        ),
        "Only the last image that has the class counts. Add up the pixels of all images.": (
            "pixels += counts -> pixels[counts > 0] = counts[counts > 0]"
        ),
        "The weights are divided by their sum.": "return weights -> return weights / weights.sum()",
    }
    compare(attempt, cases, median_frequency_weights, mistakes, tolerance=1e-4, convert=as_array)


def soft_dice(probabilities, truth):
    """Return the soft Dice coefficient of class 1, smoothed by one pixel, without void."""
    labelled = truth != VOID
    probabilities, truth = probabilities[labelled], truth[labelled].astype(float)
    overlap = (probabilities * truth).sum()
    return (2 * overlap + 1) / (probabilities.sum() + truth.sum() + 1)


def judge_soft_dice(attempt):
    cases = []
    for seed, shape in enumerate(((4, 6), (3, 5, 4), (7, 3))):
        rng = np.random.default_rng(seed)
        truth = rng.choice([0, 1, VOID], shape, p=[0.4, 0.4, 0.2]).astype(np.uint8)
        cases.append((rng.uniform(0.05, 0.95, shape), truth))
    cases.append((np.full((3, 4), 0.01), np.zeros((3, 4), np.uint8)))  # no object
    every, target = "truth != VOID -> truth >= 0", "truth[labelled].astype(float)"
    mistakes = {
        "Void pixels take part, with 255 as their truth. Leave them out of all three sums.": every,
        "Void pixels are counted as object: 255 is above 0, too.": (
            edited(soft_dice, every, f"{target} -> truth[labelled] > 0")
        ),
        "The smoothing is missing: 1 above and 1 below the line.": " + 1 -> ",
        "That is soft IoU: the overlap is subtracted below the line. In Dice it is not.": (
            "(2 * overlap + 1) / ( -> (overlap + 1) / (-overlap + "
        ),
        "The probabilities are rounded to 0 and 1 first. Such a score has no gradient: use them "
        "as they are.": lambda p, truth: soft_dice((p > 0.5).astype(float), truth),
        "That is the mean of the images' scores. Add up over all pixels at once.": (
            lambda p, truth: np.mean([soft_dice(*image) for image in zip(p, truth, strict=True)])
        ),
    }
    compare(attempt, cases, soft_dice, mistakes)


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
            f"{added} -> np.where(inside, {own}, border)" for own in ("weights", "0")
        ],
        "Only the nearest cell counts, so that every border is heavy, not only a narrow gap. d2 "
        "is the distance to the second nearest, and the background, 0, is not a cell.": [
            f"{term} -> {nearest_only}" for nearest_only in ("((2 * d1) ** 2)", "(d1**2)")
        ],
        "d2 is the distance to the farthest cell. Sort the distances of each pixel; the second is "
        "d2.": f"{nearest} -> d1, d2 = np.min(distances, axis=0), np.max(distances, axis=0)",
        "The distances to the first two cells are taken. Sort them for each pixel: d1 and d2 "
        "belong to other cells in other places.": f"{nearest} -> d1, d2 = distances[:2]",
        "Each distance is squared; the formula squares the sum.": f"{term} -> (d1**2 + d2**2)",
        "The sum of the distances is not squared.": f"{term} -> (d1 + d2)",
        "It is divided by sigma squared, not 2 sigma squared.": "(2 * sigma**2) -> sigma**2",
        "The minus in the exponent is missing: the farther, the heavier.": f"-{term} -> {term}",
        "distance_transform_edt measures from each pixel that is true to the nearest that is not. "
        "labels == cell measures inside the cell: give it labels != cell.": "!= cell -> == cell",
        "No gap gets more than w_c. Take the distances cell by cell.": f"{added} -> weights",
        "w_c is swapped: class_weights[0] is the background's, class_weights[1] the cells'.": (
            lambda labels, class_weights, *rest: border_weights(labels, class_weights[::-1], *rest)
        ),
        "Distances are counted in steps along rows and columns. Use Euclidean ones.": (
            '_edt(labels != cell) -> _cdt(labels != cell, "taxicab")'
        ),
        "A square, chessboard distance is used. Use the Euclidean one.": "_edt -> _cdt",
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
            compare(attempt, [case], border_weights, {}, convert=as_array)
        except Incorrect as error:
            told = f"Two cells are right, but of an image with {told}, so without a gap"
            raise Incorrect(f"{told}: {error}") from None
