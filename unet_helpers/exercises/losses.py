"""Exercises on losses and class weights, computed in NumPy."""

import numpy as np

from unet_helpers.exercises.comparison import compare, same
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array, as_number
from unet_helpers.labels import VOID
from unet_helpers.training import losses


def softmax(logits, axis=-1):
    """Turn logits into probabilities."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


# ---------------------------------------------------------------- cross-entropy

OVERFLOW = (
    "With ordinary logits it is right, but with logits of 1000 the exponential overflows. Subtract "
    "the largest logit of the pixel first: the probabilities stay the same."
)
UNDERFLOW = (
    "It is right until a probability is so small that it becomes 0, and its logarithm infinite. Do "
    "not take the logarithm of a softmax: log p is logit - largest - log(sum(exp(logits - "
    "largest)))."
)
CLIPPED = (
    "A surely wrong pixel costs too little: the probability is kept away from 0 by a small number. "
    "With log p = logit - largest - log(sum(exp(logits - largest))) there is nothing to clip."
)


def check_large_logits(attempt, mild, surely_wrong, reference, call):
    """Raise Incorrect unless large logits give what they should.

    Args:
        mild: cases with large logits in which no right class has a tiny probability.
        surely_wrong: cases in which the right class has one.
    """
    for cases, cause in ((mild, OVERFLOW), (surely_wrong, UNDERFLOW)):
        for case in cases:
            try:
                with np.errstate(all="ignore"):
                    given = as_number(attempt(*case))
            except Incorrect as error:
                more = f" {OVERFLOW}" if "OverflowError" in str(error) else ""
                raise Incorrect(f"{error}{more}") from None
            right = as_number(reference(*case))
            if not np.isfinite(given):
                raise Incorrect(cause)
            if cases is surely_wrong and given < 0.9 * right:
                raise Incorrect(CLIPPED)
            if not same(given, right, 1e-4):
                raise Incorrect(f"For {call(*case)} it gives {given:.4g}; expected {right:.4g}.")


def cross_entropy_with_void(labels, logits):
    """Give the mean cross-entropy over the pixels that have a label."""
    labelled = labels != VOID
    labels, logits = labels[labelled], logits[labelled]  # (pixels,) and (pixels, classes)
    logits = logits - logits.max(axis=-1, keepdims=True)  # or exp would overflow
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    of_right_class = log_probabilities[np.arange(len(labels)), labels]
    return -of_right_class.mean()


def judge_cross_entropy_with_void(attempt):
    rng = np.random.default_rng(2)
    cases = []
    for shape in ((2, 3, 5, 3), (3, 5, 4, 4), (2, 4, 3, 2)):
        labels = rng.integers(0, shape[-1], shape[:-1]).astype(np.uint8)
        labels[0, :2] = VOID
        labels[1, 0, 0] = VOID
        cases.append((labels, rng.normal(0, 2, shape).astype(np.float32)))

    def each(labels, logits):
        """Give the loss of each labelled pixel."""
        labelled = labels != VOID
        probabilities = softmax(logits[labelled].astype(float))
        return -np.log(probabilities[np.arange(labelled.sum()), labels[labelled]])

    def relabelled(change):
        return lambda labels, logits: each(change(labels, logits.shape[-1]), logits).mean()

    def from_scores(scores):
        """Average over scores (..., C) of the right classes of labelled pixels."""

        def mistake(labels, logits):
            labelled = labels != VOID
            right = labels[labelled]
            return scores(logits.astype(float))[labelled][np.arange(len(right)), right].mean()

        return mistake

    mistakes = [
        (
            lambda labels, logits: each(labels, logits).sum() / labels.size,
            "The sum is divided by all pixels, void ones included, so that an image with much "
            "void seems easy. Divide by the labelled ones.",
        ),
        (
            relabelled(lambda labels, n: np.where(labels == VOID, 0, labels)),
            "Void pixels are counted as class 0. Leave them out of the mean.",
        ),
        (
            relabelled(lambda labels, n: np.minimum(labels, n - 1)),
            "Void pixels are counted as the last class: 255 is clipped, or counts from the end. "
            "Leave them out of the mean.",
        ),
        (
            lambda labels, logits: each(labels, logits).sum(),
            "That is the sum over the pixels; expected the mean, which does not grow with the "
            "image.",
        ),
        (
            lambda labels, logits: each(labels, softmax(logits)).mean(),
            "Softmax is applied twice, so that even a sure pixel costs something.",
        ),
        (
            lambda labels, logits: each(labels, logits).mean() / np.log(2),
            "The logarithm is to base 2; expected the natural one, np.log.",
        ),
        (
            lambda labels, logits: each(labels, logits).mean() / np.log(10),
            "The logarithm is to base 10; expected the natural one, np.log.",
        ),
        (
            lambda labels, logits: -each(labels, logits).mean(),
            "The sign is wrong: logarithms of probabilities are negative, a loss is positive.",
        ),
        (
            from_scores(lambda logits: 1 - softmax(logits)),
            "There is no logarithm: that is 1 minus the probability of the right class.",
        ),
        (
            from_scores(softmax),
            "That is the mean probability of the right class; expected minus its logarithm.",
        ),
        (
            lambda labels, logits: -np.log(from_scores(softmax)(labels, logits)),
            "The mean is taken before the logarithm. Take the logarithm of every pixel first, "
            "then the mean.",
        ),
        (
            lambda labels, logits: each(labels, logits).mean() / logits.shape[-1],
            "It is divided by the number of classes, too: each pixel has one right class, and only "
            "that one counts.",
        ),
        (
            lambda labels, logits: -np.log(softmax(logits[labels != VOID])).mean(),
            "The mean goes over all classes. Only the right class of each pixel counts, which the "
            "label names.",
        ),
        (
            from_scores(lambda logits: -logits),
            "That is minus the logit of the right class. It becomes a probability by softmax: "
            "subtract log(sum(exp(logits))) first.",
        ),
        (
            from_scores(lambda logits: -np.log(softmax(logits, axis=0))),
            "Softmax runs over the first axis, so it compares images. It runs over the classes, "
            "axis=-1.",
        ),
        (
            lambda labels, logits: -np.log(softmax(logits.astype(float))).max(axis=-1).mean(),
            "The labels are not used.",
        ),
        (
            lambda labels, logits: np.mean(
                [each(one, of_one).mean() for one, of_one in zip(labels, logits, strict=True)]
            ),
            "That is the mean of the images' means, where an image with few labelled pixels "
            "counts as much as a full one. Average over all labelled pixels at once.",
        ),
    ]

    def call(labels, logits):
        return f"labels of shape {labels.shape} and logits of shape {logits.shape}"

    compare(attempt, cases, cross_entropy_with_void, mistakes, call, tolerance=1e-4)
    labels = np.array([[[0, 1], [255, 1]]], np.uint8)
    high = [[[[1000, 999, 0], [1000, 1001, 1000]], [[0, 1000, 0], [998, 1000, 999]]]]
    low = [[[[-1000, -999, -999], [-1001, -1000, -1000]], [[0, 0, 0], [-990, -991, -999]]]]
    wrong = [[[[-1000, 1000, 0], [0, 0, 0]], [[0, 0, 0], [500, -500, 0]]]]
    high, low, wrong = (np.array(logits, np.float32) for logits in (high, low, wrong))
    check_large_logits(
        attempt,
        [(labels, high), (labels, low)],
        [(labels, wrong)],
        cross_entropy_with_void,
        call,
    )


cross_entropy_with_void_exercise = Exercise(
    "cross_entropy_with_void", judge_cross_entropy_with_void, cross_entropy_with_void
)


def pixel_loss(logits, label):
    """Give the cross-entropy of one pixel from its logits, without overflow."""
    largest = logits.max()
    log_of_sum = largest + np.log(np.exp(logits - largest).sum())
    return log_of_sum - logits[label]


def judge_pixel_loss(attempt):
    cases = [
        (np.array(logits, np.float32), label)
        for logits in ([2.0, -1.0, 0.5], [0.3, 0.1, 1.7, -2.0], [-3.0, -1.0])
        for label in range(len(logits))
    ]

    def p(logits):
        return softmax(logits.astype(float))

    mistakes = [
        (
            lambda logits, label: -pixel_loss(logits, label),
            "The sign is wrong: a logarithm of a probability is negative, a loss is positive.",
        ),
        (
            lambda logits, label: p(logits)[label],
            "That is the probability of the right class; expected minus its logarithm.",
        ),
        (
            lambda logits, label: 1 - p(logits)[label],
            "There is no logarithm: that is 1 minus the probability of the right class.",
        ),
        (
            lambda logits, label: pixel_loss(logits, label) - logits.max(),
            "The largest logit was subtracted before exp, but not added back after the logarithm.",
        ),
        (
            lambda logits, label: pixel_loss(logits, label) + logits.max(),
            "The largest logit is added once too often. It was subtracted from the right class's "
            "logit, too, so the two cancel.",
        ),
        (
            lambda logits, label: pixel_loss(logits, label) / np.log(10),
            "The logarithm is to base 10; expected the natural one, np.log.",
        ),
        (
            lambda logits, label: pixel_loss(logits, label) / np.log(2),
            "The logarithm is to base 2; expected the natural one, np.log.",
        ),
        (
            lambda logits, label: -np.log(p(logits)).mean(),
            "The mean goes over all classes; only the right class counts, the one that label "
            "names.",
        ),
        (
            lambda logits, label: pixel_loss(logits, label) / len(logits),
            "It is divided by the number of classes. One class is right, and only it counts.",
        ),
        (
            lambda logits, label: -np.log(p(logits).max()),
            "The label is not used: that is the loss if the most likely class were right.",
        ),
        (
            lambda logits, label: -logits[label],
            "That is minus the logit of the right class; log(sum(exp(logits))) is missing.",
        ),
        (
            lambda logits, label: pixel_loss(p(logits), label),
            "Softmax is applied twice: log-sum-exp takes the logits as they are.",
        ),
        (
            lambda logits, label: np.log1p(np.exp(-logits[label])),
            "That is the loss of a sigmoid, where classes do not compete. Softmax divides by the "
            "sum over all classes.",
        ),
        (
            lambda logits, label: pixel_loss(logits, label - 1),
            "The label is one off: classes count from 0, and so do arrays.",
        ),
    ]

    def call(logits, label):
        return f"the logits {logits.tolist()} and label {label}"

    compare(attempt, cases, pixel_loss, mistakes, call)
    mild = [([1000, 999, 1000], 1), ([-1000, -999, -1001, -1000], 3), ([1000, -1000], 0)]
    surely_wrong = [([1000, -1000, 0], 1), ([0, -1000], 1), ([1000, 0, -1000], 1)]
    check_large_logits(
        attempt,
        [(np.array(logits, np.float32), label) for logits, label in mild],
        [(np.array(logits, np.float32), label) for logits, label in surely_wrong],
        pixel_loss,
        call,
    )


pixel_loss_exercise = Exercise("pixel_loss", judge_pixel_loss, pixel_loss)


# ---------------------------------------------------------------- class weights


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
    cases = [(first, 4), (second, 5), (third, 3), (third[1:], 4)]

    def counts_of(masks, n, totals=lambda mask: (mask != VOID).sum()):
        """Give pixels of each class, of all images, and of the images in which it occurs."""
        pixels = np.array([[(mask == c).sum() for c in range(n)] for mask in masks], float)
        totals = np.array([totals(mask) for mask in masks], float)
        return pixels.sum(axis=0), totals.sum(), ((pixels > 0) * totals[:, None]).sum(axis=0)

    def frequencies(masks, n):
        pixels, _, of_images = counts_of(masks, n)
        return pixels / of_images  # nan where a class never occurs

    def weights(frequency, middle=np.nanmedian):
        return np.nan_to_num(middle(frequency) / frequency, nan=0, posinf=0)

    def overall(masks, n):
        pixels, total, _ = counts_of(masks, n)
        return np.where(pixels > 0, pixels, np.nan) / total

    def with_void(masks, n):
        pixels, _, of_images = counts_of(masks, n, np.size)
        return pixels / of_images

    def mean_of_images(masks, n):
        shares = np.array([[(m == c).sum() / (m != VOID).sum() for c in range(n)] for m in masks])
        return np.nanmean(np.where(shares > 0, shares, np.nan), axis=0)

    def absent_as(value):
        return lambda masks, n: np.where(
            np.isnan(frequencies(masks, n)), value, weights(frequencies(masks, n))
        )

    def median_with_zeros(masks, n):
        frequency = frequencies(masks, n)
        return weights(frequency, lambda f: np.median(np.nan_to_num(f)))

    def normalised(masks, n):
        result = weights(frequencies(masks, n))
        return result / result.sum()

    mistakes = [
        (
            lambda masks, n: weights(frequencies(masks, n), np.nanmean),
            "The mean stands where the median belongs: one common class pulls the mean up, and "
            "all weights with it.",
        ),
        (
            lambda masks, n: weights(overall(masks, n)),
            "A class's pixels are divided by those of all images. Its frequency counts only the "
            "images in which the class occurs.",
        ),
        (
            lambda masks, n: np.nan_to_num(
                frequencies(masks, n) / np.nanmedian(frequencies(masks, n))
            ),
            "The fraction is upside down, so that common classes weigh most: it is median / "
            "frequency.",
        ),
        (
            lambda masks, n: weights(frequencies(masks, n), lambda f: 1.0),
            "The median is missing: 1 / frequency. Then all weights are above 1, and the loss "
            "grows.",
        ),
        (
            lambda masks, n: weights(with_void(masks, n)),
            "Void pixels are counted in the totals of the images. Divide by the labelled pixels.",
        ),
        (
            absent_as(np.inf),
            "A class that never occurs gets an infinite weight (a division by 0): it gets 0.",
        ),
        (
            absent_as(np.nan),
            "A class that never occurs gets nan (0 / 0), and the loss would be nan, too: it gets "
            "0.",
        ),
        (
            absent_as(1),
            "A class that never occurs gets the weight 1; expected 0.",
        ),
        (
            median_with_zeros,
            "Classes that never occur take part in the median, with the frequency 0. Only "
            "those that occur belong in it.",
        ),
        (
            lambda masks, n: np.median(frequencies(masks, n)) / frequencies(masks, n),
            "All weights become nan: a class that never occurs has the frequency 0 / 0, and the "
            "median of anything with nan is nan. Leave such classes out.",
        ),
        (
            normalised,
            "The weights are scaled to the sum 1. The median class has the weight 1: leave them "
            "as they are.",
        ),
        (
            lambda masks, n: counts_of(masks, n)[0],
            "These are the numbers of pixels. A weight is the median frequency over that of the "
            "class.",
        ),
        (
            lambda masks, n: np.nan_to_num(frequencies(masks, n)),
            "These are the frequencies. A weight is the median frequency over that of the class.",
        ),
        (
            lambda masks, n: weights(mean_of_images(masks, n)),
            "The frequency is averaged over images. Add up pixels first, then divide: large "
            "images count more than small ones.",
        ),
        (
            lambda masks, n: weights(frequencies(masks[:1], n)),
            "Only the first mask is counted.",
        ),
    ]
    compare(
        attempt,
        cases,
        losses.median_frequency_weights,
        mistakes,
        lambda masks, n: f"{len(masks)} small masks and {n} classes",
        tolerance=1e-4,
        convert=as_array,
    )


median_frequency_weights_exercise = Exercise(
    "median_frequency_weights", judge_median_frequency_weights, losses.median_frequency_weights
)
