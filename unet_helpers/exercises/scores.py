"""Exercises on scores, losses and class weights, computed in NumPy."""

import numpy as np

from unet_helpers import losses, metrics
from unet_helpers.exercises.exercise import (
    Exercise,
    NotYet,
    as_array,
    as_number,
    as_pair,
    compare,
    describe,
    makes,
    same,
)
from unet_helpers.labels import VOID


def softmax(logits, axis=-1):
    """Turn logits into probabilities."""
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


# ---------------------------------------------------------------- IoU and Dice


def iou_and_dice(confusion):
    """Give the IoU and the Dice of every class, nan where a class is absent."""
    result = metrics.scores(confusion)
    return result.iou, result.dice


def hits_true_predicted(confusion):
    """Give hits, true pixels and predicted pixels of every class."""
    confusion = np.asarray(confusion, float)
    return np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)


def pair_of(formula):
    """Make a mistake from a formula (hits, true, predicted) -> (iou, dice)."""
    return lambda confusion: formula(*hits_true_predicted(confusion))


def judge_iou_and_dice(attempt):
    cases = [
        (np.array([[8, 2, 1], [3, 5, 0], [1, 1, 4]]),),
        (np.array([[50, 4, 0, 1], [7, 20, 0, 3], [0, 0, 0, 0], [2, 5, 0, 9]]),),
        # class 2 is never true, but predicted; class 3 is true, but never predicted
        (np.array([[9, 1, 2, 0], [0, 6, 3, 0], [0, 0, 0, 0], [4, 1, 0, 0]]),),
        (np.array([[1000, 20], [30, 400]]),),
    ]

    def right(hits, true, predicted):
        return hits / (true + predicted - hits), 2 * hits / (true + predicted)

    def absent_as(value):
        return lambda confusion: tuple(
            np.where(np.isnan(scores), value, scores) for scores in iou_and_dice(confusion)
        )

    mistakes = [
        (
            pair_of(lambda h, t, p: (h / (t + p - h), h / (t + p))),
            "The factor 2 is missing in Dice: without it a perfect mask would get one half. It is "
            "2 * hits / (true + predicted).",
        ),
        (
            pair_of(lambda h, t, p: (h / (t + p), 2 * h / (t + p))),
            "In the union the hits are counted twice, as true and as predicted pixels: subtract "
            "them once.",
        ),
        (
            pair_of(lambda h, t, p: (h / (t + p), h / (t + p))),
            "A perfect mask would get one half, from both. For IoU the hits are subtracted from "
            "true + predicted, for Dice they count twice above the line.",
        ),
        (
            pair_of(lambda h, t, p: (h / (t + p - 2 * h), 2 * h / (t + p))),
            "The hits are subtracted twice from the union; they belong to it, once.",
        ),
        (
            pair_of(lambda h, t, p: (h / t, 2 * h / (t + p))),
            "That is recall, not IoU: hits over true pixels. Wrongly predicted pixels belong in "
            "the union, too.",
        ),
        (
            pair_of(lambda h, t, p: (h / p, 2 * h / (t + p))),
            "That is precision, not IoU: hits over predicted pixels. Missed pixels belong in the "
            "union, too.",
        ),
        (
            pair_of(lambda h, t, p: (h / t, h / p)),
            "These are recall and precision. IoU and Dice put both kinds of errors below the line.",
        ),
        (
            pair_of(lambda h, t, p: (h / p, h / t)),
            "These are precision and recall. IoU and Dice put both kinds of errors below the line.",
        ),
        (
            pair_of(lambda h, t, p: ((t.sum() - t - p + 2 * h) / t.sum(), 2 * h / (t + p))),
            "Pixels that rightly do not have the class are counted as hits: that is accuracy, and "
            "it praises whoever never finds a rare class.",
        ),
        (pair_of(lambda h, t, p: right(h, t, p)[::-1]), "Dice comes first; expected (iou, dice)."),
        (
            absent_as(0),
            "An absent class gets 0, as if it had been missed everywhere. It is neither there nor "
            "predicted, so it has no score: nan. (A tiny number below the line gives 0, too.)",
        ),
        (
            absent_as(1),
            "An absent class gets 1, a present to every model. It has no score: nan.",
        ),
        (
            pair_of(lambda h, t, p: ((h + 1) / (t + p - h + 1), (2 * h + 1) / (t + p + 1))),
            "One is added above and below the line. That smooths a loss; a score is exact, and nan "
            "where a class is absent.",
        ),
        (
            pair_of(
                lambda h, t, p: tuple(np.where(t == 0, np.nan, score) for score in right(h, t, p))
            ),
            "A class that is predicted but never true gets nan. All of it is wrong: its score is "
            "0. Absent means in neither of the two.",
        ),
        (
            pair_of(lambda h, t, p: tuple(np.nanmean(score) for score in right(h, t, p))),
            "These are the means over the classes; expected one number for every class.",
        ),
        (
            pair_of(lambda h, t, p: tuple(100 * score for score in right(h, t, p))),
            "These are per cent; expected numbers from 0 to 1.",
        ),
    ]
    compare(
        attempt,
        cases,
        iou_and_dice,
        mistakes,
        lambda confusion: f"the confusion matrix {confusion.tolist()}",
        convert=lambda value: as_pair(value, "IoU", "Dice"),
    )


iou_and_dice_exercise = Exercise(
    judge_iou_and_dice,
    iou_and_dice,
    task="From a confusion matrix (rows true, columns predicted) compute two arrays, the IoU and "
    "the Dice of every class. A class that is neither true nor predicted anywhere gets nan.",
    call="my_iou_and_dice(confusion)",
    minutes=15,
    hints=(
        "Three arrays are enough: the diagonal (hits), the sums of the rows, the sums of the "
        "columns. What does each count?",
        "IoU is hits / union. true + predicted counts the hits twice.",
        "iou = hits / (true + predicted - hits), dice = 2 * hits / (true + predicted). NumPy gives "
        "nan for 0 / 0 by itself.",
    ),
    shown=(iou_and_dice, metrics.scores),
)


# ---------------------------------------------------------------- accuracy


def accuracy_without_void(truth, prediction):
    """Give the share of right pixels among those that have a label."""
    labelled = truth != VOID
    return (truth[labelled] == prediction[labelled]).mean()


def judge_accuracy_without_void(attempt):
    rng = np.random.default_rng(1)
    cases = []
    for shape in ((2, 3, 5), (3, 4, 4), (1, 7, 3)):
        truth = rng.integers(0, 3, shape).astype(np.uint8)
        prediction = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, 3, shape))
        truth[:, :1] = VOID
        truth[0, :, :2] = VOID  # the pictures have unequally many labelled pixels
        cases.append((truth, prediction.astype(np.uint8)))
    cases[0][1][0, 0, 0] = VOID  # a void pixel that is predicted as void is no hit, and
    cases[0][1][1, 2, 1] = VOID  # a labelled one is wrong

    def of_pictures(truth, prediction):
        pairs = zip(truth, prediction, strict=True)
        return np.mean([accuracy_without_void(t, p) for t, p in pairs])

    def of_classes(truth, prediction):
        return np.mean([(prediction[truth == c] == c).mean() for c in range(3)])

    def over(truth, prediction, counted):
        return (truth[counted] == prediction[counted]).mean()

    mistakes = [
        (
            lambda t, p: (t == p).mean(),
            "Void pixels are counted. Nobody knows what they are, so leave them out, above and "
            "below the line.",
        ),
        (
            lambda t, p: ((t == p) & (t != VOID)).mean(),
            "Void pixels are left out of the hits, but not of the pixels that you divide by, so "
            "all of them count as errors.",
        ),
        (
            lambda t, p: (t == p).sum() / (t != VOID).sum(),
            "Void pixels are left out below the line, but not above it: where void is predicted as "
            "void, that counts as a hit.",
        ),
        (
            lambda t, p: ((t == p) | (t == VOID)).mean(),
            "Void pixels are counted as right. Leave them out, above and below the line.",
        ),
        (
            of_pictures,
            "That is the mean of the pictures' accuracies, where a picture with few labelled "
            "pixels counts as much as a full one. Count the pixels of all pictures together.",
        ),
        (
            lambda t, p: over(t, p, p != VOID),
            "Void is looked up in the prediction. It stands in the truth.",
        ),
        (
            lambda t, p: over(t, p, (t != VOID) & (p != VOID)),
            "A labelled pixel that is predicted as 255 is left out; it is wrong. Void is what the "
            "truth says.",
        ),
        (
            lambda t, p: over(t, p, (t != VOID) & (t > 0)),
            "Class 0 is left out. It is a class like the others; only 255 is void.",
        ),
        (
            lambda t, p: (np.where(t == VOID, 0, t) == p).mean(),
            "Void is turned into class 0 and counted. Leave it out.",
        ),
        (
            of_classes,
            "That is the mean over the classes (mean recall), where a rare class counts as much as "
            "a common one. Accuracy counts pixels.",
        ),
        (lambda t, p: 1 - accuracy_without_void(t, p), "That is the share of wrong pixels."),
        (lambda t, p: 100 * accuracy_without_void(t, p), "That is per cent; expected 0 to 1."),
        (
            lambda t, p: ((t == p) & (t != VOID)).sum(),
            "That is the number of hits; divide by the number of labelled pixels.",
        ),
    ]
    compare(
        attempt,
        cases,
        accuracy_without_void,
        mistakes,
        lambda t, p: f"a truth and a prediction of shape {t.shape}, {(t == VOID).sum()} void,",
    )


accuracy_without_void_exercise = Exercise(
    judge_accuracy_without_void,
    accuracy_without_void,
    task="Give the share of right pixels among all labelled ones, from 0 to 1, for a whole batch "
    "of masks (N, H, W). Where the truth is 255 (void), nothing is counted. A labelled pixel that "
    "is predicted as 255 is wrong.",
    call="my_accuracy_without_void(truth, prediction)",
    minutes=5,
    hints=(
        "Which pixels belong below the line?",
        "truth != 255 is an array of True and False, and picks out pixels when it stands in "
        "square brackets.",
        "labelled = truth != 255; then the mean of truth[labelled] == prediction[labelled].",
    ),
)


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
    """Raise NotYet unless large logits give what they should.

    Args:
        mild: cases with large logits in which no right class has a tiny probability.
        surely_wrong: cases in which the right class has one.
    """
    for cases, cause in ((mild, OVERFLOW), (surely_wrong, UNDERFLOW)):
        for case in cases:
            try:
                with np.errstate(all="ignore"):
                    given = as_number(attempt(*case))
            except NotYet as error:
                more = f" {OVERFLOW}" if "OverflowError" in str(error) else ""
                raise NotYet(f"{error}{more}") from None
            right = as_number(reference(*case))
            if not np.isfinite(given):
                raise NotYet(cause)
            if cases is surely_wrong and given < 0.9 * right:
                raise NotYet(CLIPPED)
            if not same(given, right, 1e-4):
                raise NotYet(f"For {call(*case)} it gives {given:.4g}; expected {right:.4g}.")


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
            "The sum is divided by all pixels, void ones included, so that a picture with much "
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
            "picture.",
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
            "Softmax runs over the first axis, so it compares pictures. It runs over the classes, "
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
            "That is the mean of the pictures' means, where a picture with few labelled pixels "
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
    judge_cross_entropy_with_void,
    cross_entropy_with_void,
    task="In NumPy, give the mean cross-entropy over all labelled pixels of a batch: labels (N, H, "
    "W) with 255 for void, logits (N, H, W, C). Logits of 1000 must not overflow.",
    call="my_cross_entropy_with_void(labels, logits)",
    minutes=20,
    hints=(
        "First pick out the labelled pixels of both: logits[labels != 255] is (pixels, C).",
        "The loss of a pixel is minus the logarithm of its right class's softmax. Subtracting the "
        "largest logit changes no probability, and exp stays at 1 or below.",
        "log_p = z - np.log(np.exp(z).sum(-1, keepdims=True)) with z = logits - largest; then "
        "-log_p[np.arange(len(labels)), labels].mean().",
    ),
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


pixel_loss_exercise = Exercise(
    judge_pixel_loss,
    pixel_loss,
    task="Give the cross-entropy of one pixel from its logits (C,) and its label: minus the "
    "logarithm of the softmax of the right class. Logits of 1000 and -1000 must work, too.",
    call="my_pixel_loss(logits, label)",
    minutes=10,
    hints=(
        "Write -log(exp(right) / sum) with the rule for the logarithm of a fraction. What is left "
        "of the first exp?",
        "log(sum(exp(logits))) - logits[label]. np.exp(1000) is infinite, but exp of logits minus "
        "their largest is at most 1.",
        "largest + np.log(np.exp(logits - largest).sum()) - logits[label].",
    ),
)


# ---------------------------------------------------------------- class weights


def judge_median_frequency_weights(attempt):
    def masks(seed, shapes, chances):
        rng = np.random.default_rng(seed)
        labels = [*range(len(chances) - 1), VOID]
        return [rng.choice(labels, shape, p=chances).astype(np.uint8) for shape in shapes]

    first = masks(0, [(4, 5), (3, 3), (6, 4)], [0.4, 0.3, 0.05, 0.15, 0.1])
    first[0][first[0] == 2] = 0  # class 2 is in some of the pictures only
    first[0][0, :4] = VOID
    first[1][0] = (2, 2, 0)
    second = masks(1, [(5, 5), (2, 7)], [0.5, 0.2, 0.2, 0.1])
    second[0][second[0] == 1] = 2
    second[1][0, :2] = 1
    # classes 3 and 4 of the second never occur
    cases = [(first, 4), (second, 5), (masks(2, [(3, 5)] * 4, [0.6, 0.05, 0.25, 0.1]), 3)]

    def counts_of(masks, n, totals=lambda mask: (mask != VOID).sum()):
        """Give pixels of each class, of all pictures, and of the pictures in which it occurs."""
        pixels = np.array([[(mask == c).sum() for c in range(n)] for mask in masks], float)
        totals = np.array([totals(mask) for mask in masks], float)
        return pixels.sum(axis=0), totals.sum(), ((pixels > 0) * totals[:, None]).sum(axis=0)

    def frequencies(masks, n):
        pixels, _, of_pictures = counts_of(masks, n)
        return pixels / of_pictures  # nan where a class never occurs

    def weights(frequency, middle=np.nanmedian):
        return np.nan_to_num(middle(frequency) / frequency, nan=0, posinf=0)

    def overall(masks, n):
        pixels, total, _ = counts_of(masks, n)
        return np.where(pixels > 0, pixels, np.nan) / total

    def with_void(masks, n):
        pixels, _, of_pictures = counts_of(masks, n, np.size)
        return pixels / of_pictures

    def mean_of_pictures(masks, n):
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
            "A class's pixels are divided by those of all pictures. Its frequency counts only the "
            "pictures in which the class occurs.",
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
            "Void pixels are counted in the totals of the pictures. Divide by the labelled pixels.",
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
            lambda masks, n: weights(mean_of_pictures(masks, n)),
            "The frequency is averaged over pictures. Add up pixels first, then divide: large "
            "pictures count more than small ones.",
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
    judge_median_frequency_weights,
    losses.median_frequency_weights,
    task="Give a weight per class for a list of masks: the median of all class frequencies over "
    "the frequency of this class, 0 for a class that never occurs. A class's frequency is its "
    "pixels over all labelled (not 255) pixels of the pictures in which it occurs.",
    call="my_median_frequency_weights(masks, n_classes)",
    minutes=20,
    hints=(
        "Two sums per class are needed: its own pixels, and the labelled pixels of the pictures "
        "that have it.",
        "Go through the masks; add to both sums only where the class occurs. What is then 0 / 0, "
        "and how do you leave it out?",
        "seen = totals > 0; frequency = pixels[seen] / totals[seen]; weights = zeros, and "
        "weights[seen] = np.median(frequency) / frequency.",
    ),
)


# ---------------------------------------------------------------- a threshold


def threshold_for_recall(probabilities, truth, recall):
    """Give the highest threshold that still finds this share of the object's pixels."""
    found = np.sort(probabilities[truth == 1])[::-1]  # of the object's pixels, surest first
    # With the first as threshold one pixel is found, with the second two, ...
    recalls = np.arange(1, len(found) + 1) / len(found)
    return found[np.argmax(recalls >= recall)]


def judge_threshold_for_recall(attempt):
    cases = []
    for seed, shape in ((0, (4, 6)), (1, (2, 5, 5)), (2, (9, 3))):
        rng = np.random.default_rng(seed)
        # evenly spread and shuffled, so that no two pixels share a probability
        probabilities = rng.permutation(np.linspace(0.03, 0.97, np.prod(shape))).reshape(shape)
        truth = (rng.random(shape) < 0.2 + 0.5 * probabilities).astype(np.uint8)
        truth[rng.random(shape) < 0.2] = VOID
        truth.flat[probabilities.argmax()] = 1  # so that precision can be 1, too
        cases += [(probabilities, truth, recall) for recall in (0.5, 0.75, 0.9, 1.0)]
    answers = [as_number(attempt(*case)) for case in cases]
    notes = [note_on_threshold(answer, *case) for answer, case in zip(answers, cases, strict=True)]
    if None not in notes:
        return next((note for note in notes if note), None)

    def sure(probabilities, truth):
        return np.sort(probabilities[truth == 1])[::-1]

    def for_precision(probabilities, truth, share):
        fits = [
            t
            for t in probabilities[truth != VOID]
            if (truth[(probabilities >= t) & (truth != VOID)] == 1).mean() >= share
        ]
        return min(fits)

    mistakes = [
        (
            lambda p, truth, recall: sure(p, truth)[-1],
            "That is the lowest probability in the object, which finds all of it, whatever recall "
            "is. A higher threshold would do, with fewer false alarms.",
        ),
        (
            lambda p, truth, recall: 0.0,
            "A threshold of 0 finds everything, and calls all else object, too. Expected the "
            "highest that still finds enough.",
        ),
        (
            lambda p, truth, recall: sure(p, truth)[0],
            "That is the highest probability in the object, which finds one pixel.",
        ),
        (
            for_precision,
            "That is a threshold for precision: the share of object among what is found. Recall "
            "is the share of the object that is found.",
        ),
        (
            lambda p, truth, recall: threshold_for_recall(p, truth > 0, recall),
            "Void pixels are counted as object: 255 is above 0, too. The object is truth == 1.",
        ),
        (
            lambda p, truth, recall: np.quantile(p[truth == 1], recall),
            "That is the quantile from the wrong end: a share `recall` of the object lies below "
            "it, and should lie above.",
        ),
        (
            lambda p, truth, recall: np.quantile(p[truth == 1], 1 - recall),
            "np.quantile puts the threshold between two pixels, and then it may find one too few. "
            "Take the probability of a pixel of the object.",
        ),
        *(
            (
                quantile,
                "That is a quantile of all pixels. Recall is about the object's alone: "
                "probabilities[truth == 1].",
            )
            for quantile in (
                lambda p, truth, recall: np.quantile(p, 1 - recall),
                lambda p, truth, recall: np.quantile(p[truth != VOID], 1 - recall),
                lambda p, truth, recall: threshold_for_recall(p, truth < VOID, recall),
                lambda p, truth, recall: threshold_for_recall(p, truth >= 0, recall),
            )
        ),
        (
            lambda p, truth, recall: threshold_for_recall(p, truth == 0, recall),
            "That is the threshold for the background; the object is truth == 1.",
        ),
        (
            lambda p, truth, recall: sure(p, truth)[
                max(int(recall * (truth == 1).sum() + 1e-9), 1) - 1
            ],
            "The number of pixels to find is rounded down, so it finds too few: 90 % of 7 pixels "
            "are 6.3, which takes 7 pixels.",
        ),
        (
            lambda p, truth, recall: 1 - threshold_for_recall(p, truth, recall),
            "That is 1 minus the threshold.",
        ),
        (
            lambda p, truth, recall: 0.5,
            "0.5 is the usual threshold. Which one finds the share that is asked for?",
        ),
        (
            lambda p, truth, recall: recall,
            "It gives recall itself. A threshold is a probability; which one finds this share of "
            "the object?",
        ),
        (
            lambda p, truth, recall: 1 - recall,
            "It gives 1 - recall, but probabilities are not spread evenly. Look at those of the "
            "object's pixels.",
        ),
    ]
    for mistake, sentence in mistakes:
        if makes(mistake, cases, answers, as_number, 1e-5):
            raise NotYet(sentence)
    first = notes.index(None)
    given, (probabilities, truth, recall) = float(answers[first]), cases[first]
    if max(float(answer) for answer in answers) > 1:
        raise NotYet(
            f"It gives {given:.4g}, which is no probability. Is it a number of pixels, or a "
            "position in the sorted array?"
        )
    object_probabilities = probabilities[truth == 1]
    found, size = (object_probabilities >= given).sum(), object_probabilities.size
    needed = (object_probabilities >= threshold_for_recall(probabilities, truth, recall)).sum()
    raise NotYet(
        f"For recall {recall} it gives {given:.3f}, which finds {found} of the object's {size} "
        f"pixels; {needed} are needed, and "
        + ("that is too few." if found < needed else "a higher threshold finds those, too.")
    )


def note_on_threshold(given, probabilities, truth, recall):
    """Give "" for the course's threshold, a note for one that is as good, None for a wrong one."""
    right = threshold_for_recall(probabilities, truth, recall)
    if abs(given - right) < 1e-5:
        return ""
    lower = probabilities[(truth == 1) & (probabilities < right)]
    if not lower.size:
        lower = np.append(probabilities[probabilities < right], 0)
    lowest = lower.max()
    if lowest - 1e-5 <= given < right:
        return (
            "(The course counts a pixel as found when its probability is the threshold or more. "
            "Yours lies a little lower: with > in place of >= it finds the same pixels.)"
        )
    return None


threshold_for_recall_exercise = Exercise(
    judge_threshold_for_recall,
    threshold_for_recall,
    task="Give the highest threshold that still finds at least a share recall of the object's "
    "pixels (truth 1; 0 is background, 255 void). A pixel is found when its probability is at "
    "least the threshold.",
    call="my_threshold_for_recall(probabilities, truth, recall)",
    minutes=15,
    hints=(
        "Recall looks at the object's pixels only. Which array holds their probabilities?",
        "Sort those, the surest first. If the third is the threshold, how many are found?",
        "found = np.sort(probabilities[truth == 1])[::-1]; of n pixels recall * n are needed, "
        "rounded up; the threshold is the last of them.",
    ),
)


# ---------------------------------------------------------------- means


def mean_per_picture(ious, absent):
    """Give the mean over each picture's classes, then over the pictures."""
    filled = np.where(np.isnan(ious), absent, ious)
    return np.nanmean(np.nanmean(filled, axis=1))  # with absent nan, left out of the means


def judge_mean_per_picture(attempt):
    nan = np.nan
    tables = [
        [[0.9, 0.5, nan], [0.7, nan, nan], [0.8, 0.0, 0.4], [0.6, 0.3, 0.35]],
        [[nan, 0.2, 0.95, 0.4, nan], [0.5, 0.0, nan, 0.3, nan]],
        [[0.75, nan], [0.25, 0.1], [0.5, nan]],
    ]
    cases = [(np.array(table), absent) for table in tables for absent in (nan, 0, 1)]

    def filled(ious, absent):
        return np.where(np.isnan(ious), absent, ious)

    def without_zeros(ious, absent):
        return mean_per_picture(np.where(ious == 0, nan, ious), absent)

    mistakes = [
        (
            lambda ious, absent: mean_per_picture(ious, nan),
            "absent is not used: absent classes are left out even where they should count as 0 "
            "or 1. (nan == nan is False in NumPy; np.isnan finds them.)",
        ),
        (
            lambda ious, absent: mean_per_picture(ious, 0),
            "Absent classes always count as 0, whatever absent says.",
        ),
        (
            lambda ious, absent: mean_per_picture(ious, 1),
            "Absent classes always count as 1, whatever absent says.",
        ),
        (
            lambda ious, absent: np.nanmean(np.nanmean(filled(ious, absent), axis=0)),
            "The mean goes over the pictures first (axis=0). Take that over each picture's classes "
            "first, axis=1: with absent classes left out, the two differ.",
        ),
        (
            lambda ious, absent: np.nanmean(filled(ious, absent)),
            "All entries go into one mean, so a picture with more classes counts more. Take the "
            "mean of each picture first.",
        ),
        (
            lambda ious, absent: filled(ious, absent).mean(),
            "One absent class makes the whole mean nan. With absent nan it is left out: "
            "np.nanmean.",
        ),
        (
            lambda ious, absent: nan,
            "It is always nan. Absent classes are nan in ious: find them with np.isnan, since "
            "nan == nan is False.",
        ),
        (
            lambda ious, absent: np.nanmean(filled(ious, absent).mean(axis=1)),
            "Pictures with an absent class are left out altogether. Leave out the class, not the "
            "picture: np.nanmean over the classes, too.",
        ),
        (
            without_zeros,
            "An IoU of 0 is taken for an absent class. 0 means that the class was there and missed "
            "(or predicted where it is not); absent is nan.",
        ),
        (
            lambda ious, absent: np.nanmean(np.nanmedian(filled(ious, absent), axis=1)),
            "That is the median over the classes; expected the mean.",
        ),
        (
            lambda ious, absent: np.nansum(np.nanmean(filled(ious, absent), axis=1)),
            "The pictures' means are added up; take their mean.",
        ),
        (
            lambda ious, absent: np.nanmean(np.nansum(filled(ious, absent), axis=1)),
            "The classes are added up within a picture; take their mean.",
        ),
        (
            lambda ious, absent: 100 * mean_per_picture(ious, absent),
            "That is per cent; expected 0 to 1.",
        ),
    ]

    def convert(value):
        array = as_array(value) if not isinstance(value, float | int) else np.asarray(value)
        if array.ndim == 1 and array.size > 1:
            raise NotYet(
                f"It returns {describe(value)}, one mean per picture or class; the mean over "
                "those is still missing."
            )
        return as_number(value)

    compare(
        attempt,
        cases,
        mean_per_picture,
        mistakes,
        lambda ious, absent: f"ious {ious.tolist()} and absent {absent}",
        convert=convert,
    )


mean_per_picture_exercise = Exercise(
    judge_mean_per_picture,
    mean_per_picture,
    task="ious (pictures, classes) has nan where a class is absent. Give the mean over each "
    "picture's classes, then over the pictures. absent says what an absent class counts: nan (left "
    "out), 0 or 1.",
    call="my_mean_per_picture(ious, absent)",
    minutes=10,
    hints=(
        "Begin with what absent asks for: which entries change, and to what?",
        "np.isnan finds the absent ones. If they stay nan, which mean leaves nan out?",
        "filled = np.where(np.isnan(ious), absent, ious), then np.nanmean over axis 1, and the "
        "mean of that.",
    ),
)


# ---------------------------------------------------------------- calibration


def calibration_error(confidence, right):
    """Give the expected calibration error: the mean gap of ten bins, weighed by their pixels."""
    bins = np.clip(np.ceil(confidence * 10).astype(int) - 1, 0, 9)
    error = 0
    for number in range(10):
        inside = bins == number
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            error += gap * inside.mean()  # the share of the pixels that are in this bin
    return error


def judge_calibration_error(attempt):
    cases = []
    for seed, shape in ((0, (60,)), (1, (7, 9)), (2, (5, 4, 6))):
        rng = np.random.default_rng(seed)
        # no value near a bin's end, so that it makes no difference to which bin the end belongs
        confidence = rng.choice([0.37, 0.43, 0.52, 0.58, 0.66, 0.71, 0.83, 0.88, 0.94, 0.99], shape)
        modest = 0.9 if seed == 1 else 0.6  # below this, more are right than was said
        chance = np.where(confidence < modest, confidence + 0.3, confidence - 0.2)
        right = rng.random(shape) < chance
        cases.append((confidence, right))

    def bins_of(confidence, right, n=10):
        """List (mean confidence, accuracy, share of the pixels) of every bin with pixels."""
        bins = np.ceil(confidence * n)
        return [
            (confidence[bins == b].mean(), right[bins == b].mean(), (bins == b).mean())
            for b in np.unique(bins)
        ]

    def summed(term, n=10):
        return lambda confidence, right: sum(term(*one) for one in bins_of(confidence, right, n))

    def equal_counts(confidence, right):
        order = np.argsort(confidence.ravel(), kind="stable")
        parts = np.array_split(order, 10)
        gaps = [abs(confidence.ravel()[p].mean() - right.ravel()[p].mean()) for p in parts]
        return np.average(gaps, weights=[len(p) for p in parts])

    def from_middles(confidence, right):
        middles = (np.ceil(confidence * 10) - 0.5) / 10
        return calibration_error(middles, right)

    unweighted = (
        "The bins are not weighed: a bin with three pixels counts as much as one with thousands. "
        "Weigh each gap by the bin's share of the pixels."
    )
    mistakes = [
        (
            lambda c, right: np.mean([abs(said - true) for said, true, _ in bins_of(c, right)]),
            unweighted,
        ),
        (
            lambda c, right: sum(abs(said - true) for said, true, _ in bins_of(c, right)) / 10,
            unweighted,
        ),
        (
            summed(lambda said, true, share: abs(said - true)),
            "The gaps of the bins are added up as they are. Weigh each by the bin's share of the "
            "pixels.",
        ),
        (
            lambda c, right: max(abs(said - true) for said, true, _ in bins_of(c, right)),
            "That is the largest gap (the maximum calibration error); expected the mean gap, "
            "weighed by pixels.",
        ),
        *(
            (
                signed,
                "The gaps have no absolute value, so too sure in one bin and too modest in another "
                "cancel.",
            )
            for signed in (
                summed(lambda said, true, share: (said - true) * share),
                summed(lambda said, true, share: (true - said) * share),
            )
        ),
        (
            lambda c, right: abs(c.mean() - right.mean()),
            "That is one gap over all pixels, without bins: too sure here and too modest there "
            "cancel.",
        ),
        (
            summed(lambda said, true, share: (said - true) ** 2 * share),
            "The gaps are squared; expected their absolute value.",
        ),
        (
            lambda c, right: np.sqrt(
                sum((said - true) ** 2 * share for said, true, share in bins_of(c, right))
            ),
            "That is the root of the mean squared gap; expected the mean of the absolute gaps.",
        ),
        (
            lambda c, right: np.abs(c - right).mean(),
            "The gap is taken pixel by pixel, without bins. A single pixel is right or wrong; only "
            "many together have an accuracy.",
        ),
        (
            lambda c, right: ((c - right) ** 2).mean(),
            "That is the Brier score, pixel by pixel; expected gaps of bins.",
        ),
        (
            equal_counts,
            "The bins hold equally many pixels. Here they are equally wide: 0 to 0.1, 0.1 to 0.2, "
            "and so on.",
        ),
        (
            from_middles,
            "The middle of the bin stands where the mean confidence of its pixels belongs.",
        ),
        (
            summed(lambda said, true, share: abs(said - (1 - true)) * share),
            "Confidence is compared with the share of wrong pixels; expected the share of right "
            "ones.",
        ),
        *(
            (
                summed(lambda said, true, share: abs(said - true) * share, n),
                f"There are {n} bins; expected ten.",
            )
            for n in (5, 9, 15, 20)
        ),
        (
            lambda c, right: (
                sum(abs(said - true) * share for said, true, share in bins_of(c, right)) / 10
            ),
            "It is divided by the number of bins once more. The shares of the pixels are the "
            "weights, and they sum to 1 already.",
        ),
        (lambda c, right: 100 * calibration_error(c, right), "That is per cent; expected 0 to 1."),
        (lambda c, right: 0.0, "It is always 0, but these probabilities are not calibrated."),
    ]
    compare(
        attempt,
        cases,
        calibration_error,
        mistakes,
        lambda c, right: f"{c.size} pixels of shape {c.shape}",
    )
    # two of three sure pixels are right, and the bin of the fourth is 0.25 off
    confidence, right = np.array([1.0, 1.0, 1.0, 0.75]), np.array([True, True, False, True])
    given = as_number(attempt(confidence, right))
    if not abs(given - 0.3125) < 1e-5:
        raise NotYet(
            f"For the confidence {confidence.tolist()} and right {right.tolist()} it gives "
            f"{given:.4g}; expected 0.3125. A confidence of exactly 1 belongs to the last bin."
        )


calibration_error_exercise = Exercise(
    judge_calibration_error,
    calibration_error,
    task="Give the expected calibration error: sort pixels by their confidence into ten equally "
    "wide bins from 0 to 1, take in each the gap between mean confidence and share of right "
    "pixels, and average the gaps, weighed by the pixels of the bins.",
    call="my_calibration_error(confidence, right)",
    minutes=15,
    hints=(
        "Begin with one bin: which pixels have a confidence between 0.7 and 0.8, and what are the "
        "two means?",
        "A bin without pixels has no mean: leave it out. The weight of the others is their share "
        "of all pixels.",
        "For each bin with pixels inside: abs(confidence[inside].mean() - right[inside].mean()) * "
        "inside.mean(), all added up.",
    ),
)
