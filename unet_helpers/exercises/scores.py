"""Exercises on losses and metrics in NumPy: void, absent classes, weights, thresholds, doubt."""

import itertools

import numpy as np

from unet_helpers import losses, metrics
from unet_helpers.exercises.exercise import (
    Exercise,
    NotYet,
    as_array,
    as_number,
    as_pair,
    compare,
)
from unet_helpers.labels import VOID


def short(*arrays):
    """Write arrays down for the learner, when they are small."""
    return " and ".join(
        np.array2string(array, separator=", ").replace("\n", "")
        if np.size(array) <= 12
        else f"an array of shape {np.shape(array)}"
        for array in arrays
    )


# ---------------------------------------------------------------- the loss of one pixel


def pixel_loss(logits, label):
    """Compute the cross-entropy of one pixel from its logits, without overflow."""
    largest = np.max(logits)  # taken out of the sum, so that no exponential exceeds 1
    return largest + np.log(np.sum(np.exp(logits - largest))) - logits[label]


def judge_pixel_loss(attempt):
    cases = [
        (np.array(logits), label)
        for logits, label in [
            ([2.0, -1.0, 0.5], 0),
            ([2.0, -1.0, 0.5], 2),
            ([0.0, 0.0], 1),
            ([1000.0, 0.0, 999.0], 2),
            ([-1000.0, -1001.0], 0),
        ]
    ]

    def probabilities(logits):
        powers = np.exp(logits - logits.max())
        return powers / powers.sum()

    small = cases[:3]
    answers = [as_number(attempt(*case)) for case in small]
    right = [pixel_loss(*case) for case in small]
    if np.allclose(answers, right, atol=1e-5):
        for case in cases[3:]:
            with np.errstate(all="ignore"):
                answer = as_number(attempt(*case))
            if not np.isfinite(answer):
                raise NotYet(
                    f"It is right for small logits, but for {case[0].tolist()} it gives {answer}: "
                    "exp of 1000 overflows, exp of -1000 is 0 and has no logarithm. Subtract the "
                    "largest logit first; it cancels."
                )
    mistakes = [
        (
            lambda x, k: -pixel_loss(x, k),
            "The sign is wrong: a loss is minus the logarithm of the probability.",
        ),
        (
            lambda x, k: probabilities(x)[k],
            "This is the probability of the true class; the loss is minus its logarithm.",
        ),
        (
            lambda x, k: 1 - probabilities(x)[k],
            "This is one minus the probability; the loss is minus its logarithm.",
        ),
        (
            lambda x, k: np.log(np.sum(np.exp(x - x.max()))) - x[k],
            "The largest logit was subtracted inside the exponentials, but not added back outside "
            "the logarithm.",
        ),
        (
            lambda x, k: pixel_loss(x, k) / np.log(10),
            "This is the logarithm to base 10. Losses use the natural one, np.log.",
        ),
        (
            lambda x, k: pixel_loss(x, k) / np.log(2),
            "This is the logarithm to base 2. Losses use the natural one, np.log.",
        ),
        (
            lambda x, k: np.mean([pixel_loss(x, c) for c in range(len(x))]),
            "All classes are averaged. Only the true class's probability counts.",
        ),
        (
            lambda x, k: -np.log(np.max(probabilities(x))),
            "The most probable class is taken instead of the true one.",
        ),
        (
            lambda x, k: pixel_loss(probabilities(x), k),
            "The softmax is applied twice: log-sum-exp contains it already.",
        ),
        (
            lambda x, k: -x[k],
            "This is minus the logit. It becomes a loss by adding the logarithm of the sum of all "
            "exponentials.",
        ),
        (
            lambda x, k: pixel_loss(x, k - 1),
            "The label is counted from 1; classes are counted from 0.",
        ),
    ]
    compare(
        attempt,
        cases,
        pixel_loss,
        mistakes,
        lambda x, k: f"logits {x.tolist()} and label {k}",
    )


pixel_loss_exercise = Exercise(
    judge_pixel_loss,
    pixel_loss,
    task="Give the cross-entropy of one pixel, a number, from its logits (an array, one per class) "
    "and its label, also for logits of 1000.",
    call="my_pixel_loss(logits, label)",
    minutes=10,
    hints=(
        "Write the probability of the true class as a fraction, and take minus its logarithm. "
        "Which part of it can overflow?",
        "The loss is log(sum(exp(logits))) - logits[label]. Subtracting the same number from all "
        "logits changes no probability.",
        "m = logits.max(); loss = m + np.log(np.exp(logits - m).sum()) - logits[label].",
    ),
)


# ---------------------------------------------------------------- void


def cross_entropy_with_void(labels, logits):
    """Average the cross-entropy over the pixels that have a label; void is 255."""
    largest = logits.max(axis=-1, keepdims=True)
    log_of_sum = largest[..., 0] + np.log(np.exp(logits - largest).sum(axis=-1))
    valid = labels != VOID
    # Void needs some class for the lookup; the mean leaves it out again.
    classes = np.where(valid, labels, 0).astype(int)
    logit_of_truth = np.take_along_axis(logits, classes[..., None], axis=-1)[..., 0]
    return (log_of_sum - logit_of_truth)[valid].mean()


def judge_cross_entropy_with_void(attempt):
    random = np.random.default_rng(1)
    cases = [
        (np.array([0, 1, VOID], "uint8"), np.array([[2.0, 0.0], [1.0, 1.0], [5.0, -5.0]])),
        (
            np.array([[[0, 2], [VOID, VOID]], [[1, 1], [2, VOID]]], "uint8"),
            random.normal(0, 2, (2, 2, 2, 3)),
        ),
        (np.array([[2, 0, 1]], "uint8"), random.normal(0, 2, (1, 3, 3))),
    ]
    large = (np.array([0, 1, VOID], "uint8"), np.array([[1000.0, 0], [1000.0, 999.0], [0, 0]]))

    def per_pixel(labels, logits, of_void=0):
        filled = np.where(labels == VOID, of_void, labels)
        return np.array(
            [
                pixel_loss(row, label)
                for row, label in zip(
                    logits.reshape(-1, logits.shape[-1]), filled.ravel(), strict=True
                )
            ]
        ), (labels != VOID).ravel()

    def softmax(x):
        powers = np.exp(x - x.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    answers = [as_number(attempt(*case)) for case in cases]
    right = [cross_entropy_with_void(*case) for case in cases]
    if np.allclose(answers, right, atol=1e-5):
        with np.errstate(all="ignore"):
            answer = as_number(attempt(*large))
        if not np.isfinite(answer):
            raise NotYet(
                f"It is right for small logits, but with a logit of 1000 it gives {answer}. "
                "Subtract each pixel's largest logit first; it cancels."
            )
    mistakes = [
        (
            lambda y, x: (per_pixel(y, x)[0] * per_pixel(y, x)[1]).sum() / y.size,
            "The sum leaves void out, but the division does not: the mean is over the pixels that "
            "have a label.",
        ),
        (
            lambda y, x: per_pixel(y, x)[0].mean(),
            "Void pixels are counted as class 0.",
        ),
        (
            lambda y, x: per_pixel(y, x, x.shape[-1] - 1)[0].mean(),
            "Void pixels are counted as the last class.",
        ),
        (
            lambda y, x: per_pixel(y, x)[0][per_pixel(y, x)[1]].sum(),
            "This is the sum. The loss is the mean over the pixels that have a label.",
        ),
        (
            lambda y, x: -cross_entropy_with_void(y, x),
            "The sign is wrong: a loss is minus the logarithm of the probability.",
        ),
        (
            lambda y, x: cross_entropy_with_void(y, softmax(x)),
            "The softmax is applied twice.",
        ),
        (
            lambda y, x: cross_entropy_with_void(y, x) / np.log(10),
            "This is the logarithm to base 10. Losses use the natural one, np.log.",
        ),
        (
            lambda y, x: cross_entropy_with_void(y, x) / np.log(2),
            "This is the logarithm to base 2. Losses use the natural one, np.log.",
        ),
        (
            lambda y, x: np.mean(
                [cross_entropy_with_void(a, b) for a, b in zip(y, x, strict=True)]
            ),
            "Each picture is averaged by itself first, so a picture with much void counts as much "
            "as one without. Average over all pixels at once.",
        ),
        (
            lambda y, x: -np.log(cross_probability(y, x, softmax)),
            "The probabilities are averaged, and then the logarithm is taken. Take the logarithm "
            "of each pixel first.",
        ),
    ]
    compare(
        attempt,
        [*cases, large],
        cross_entropy_with_void,
        mistakes,
        lambda y, x: f"labels {short(y)} and {short(x)}",
    )


def cross_probability(labels, logits, softmax):
    """Average the probability of the true class over the pixels with a label."""
    valid = labels != VOID
    chosen = np.take_along_axis(
        softmax(logits), np.where(valid, labels, 0).astype(int)[..., None], axis=-1
    )
    return chosen[..., 0][valid].mean()


cross_entropy_with_void_exercise = Exercise(
    judge_cross_entropy_with_void,
    cross_entropy_with_void,
    task="Give the mean cross-entropy, a number, over the pixels whose label is not 255; labels "
    "(...) and logits (..., classes) are NumPy arrays.",
    call="my_cross_entropy_with_void(labels, logits)",
    minutes=15,
    hints=(
        "First without void: for each pixel log(sum(exp(logits))) minus the logit of its label "
        "(notebook 04). Then: over which pixels is the mean?",
        "valid = labels != 255. Select labels[valid] and logits[valid]: what is left has one row "
        "for each pixel, and no void.",
        "x = logits[valid]; x = x - x.max(axis=1, keepdims=True); loss = np.log(np.exp(x).sum(1)) "
        "- x[np.arange(len(x)), labels[valid]]; return loss.mean().",
    ),
)


def accuracy_without_void(truth, prediction):
    """Give the share of right pixels among those that have a label; void is 255."""
    valid = truth != VOID
    return (truth == prediction)[valid].mean()


def judge_accuracy_without_void(attempt):
    cases = [
        (
            np.array([[0, 1, 2], [VOID, 1, 0], [2, 2, VOID]]),
            np.array([[0, 1, 1], [0, 0, 0], [2, 1, 1]]),
        ),
        (
            np.array([[[0, VOID], [VOID, VOID]], [[1, 1], [2, 0]]]),
            np.array([[[0, 1], [2, 0]], [[1, 2], [1, 0]]]),
        ),
        (np.array([[0, 3, 3, 0, VOID]]), np.array([[0, 3, 0, 0, 2]])),
    ]
    accuracy = accuracy_without_void
    mistakes = [
        (
            lambda y, p: (y == p).mean(),
            "Void pixels are counted, as wrong ones: no prediction is ever 255. Leave them out.",
        ),
        (
            lambda y, p: ((y == p) | (y == VOID)).mean(),
            "Void pixels are counted as right. They count neither way.",
        ),
        (
            lambda y, p: np.mean([accuracy(a, b) for a, b in zip(y, p, strict=True)]),
            "The rows or pictures are averaged one by one, so a pixel counts more where there is "
            "much void. Count over all pixels at once.",
        ),
        (
            lambda y, p: (y == p)[(y != VOID) & (y != 0)].mean(),
            "Class 0 is left out as well. It is a class; only 255 is void.",
        ),
        (
            lambda y, p: 100 * accuracy(y, p),
            "This is in per cent; give a share from 0 to 1.",
        ),
        (
            lambda y, p: (y == p)[y != VOID].sum(),
            "This is the number of right pixels; divide by the number of labelled ones.",
        ),
        (
            lambda y, p: (y != p)[y != VOID].mean(),
            "This is the share of wrong pixels.",
        ),
        (
            lambda y, p: np.mean([(p[y == c] == c).mean() for c in np.unique(y[y != VOID])]),
            "This is the mean over the classes (mean recall). Pixel accuracy counts every pixel "
            "alike.",
        ),
    ]
    compare(attempt, cases, accuracy, mistakes, lambda y, p: f"truth and prediction {short(y, p)}")


accuracy_without_void_exercise = Exercise(
    judge_accuracy_without_void,
    accuracy_without_void,
    task="Give the share of right pixels, from 0 to 1, among those whose true label is not 255.",
    call="my_accuracy_without_void(truth, prediction)",
    minutes=5,
    hints=(
        "Which pixels may be counted at all? The truth decides, not the prediction.",
        "valid = truth != 255 is an array of True and False, which can select from another one.",
        "(truth[valid] == prediction[valid]).mean()",
    ),
)


# ---------------------------------------------------------------- weights and thresholds


def judge_median_frequency_weights(attempt):
    a = np.array([[0, 0, 0, 1], [0, 0, 1, VOID]], "uint8")
    b = np.array([[0, 0, 2, 2], [0, VOID, VOID, VOID]], "uint8")
    c = np.array([[0, 0, 0], [0, 4, 1]], "uint8")
    cases = [([a, b], 3), ([a, b, c], 5), ([c, b], 6)]
    weights = losses.median_frequency_weights

    def frequencies(masks, n, total=None):
        """Count the pixels of each class, and those of the pictures that have it."""
        pixels, area = np.zeros(n), np.zeros(n)
        for mask in masks:
            labels = mask[mask != VOID]
            counts = np.bincount(labels, minlength=n)
            pixels += counts
            whole = mask.size if total == "void" else labels.size
            area += whole * ((counts > 0) | (total == "all"))
        return pixels, area

    def with_rule(masks, n, middle=np.median, total=None, absent=0.0):
        pixels, area = frequencies(masks, n, total)
        seen = pixels > 0
        frequency = pixels[seen] / area[seen]
        result = np.full(n, absent, float)
        result[seen] = middle(frequency) / frequency
        return result

    def median_with_zeros(masks, n):
        pixels, area = frequencies(masks, n)
        frequency = np.divide(pixels, area, out=np.zeros(n), where=area > 0)
        seen = pixels > 0
        result = np.zeros(n)
        result[seen] = np.median(frequency) / frequency[seen]
        return result

    def divided(masks, n):
        with np.errstate(all="ignore"):
            pixels, area = frequencies(masks, n)
            frequency = pixels / area
            return np.nanmedian(frequency) / frequency

    def infinite(masks, n):
        result = with_rule(masks, n)
        result[result == 0] = np.inf
        return result

    mistakes = [
        (
            lambda m, n: with_rule(m, n, np.mean),
            "The mean of the frequencies is taken; one large class pulls it up. Take the median.",
        ),
        (
            lambda m, n: with_rule(m, n, total="all"),
            "A class's frequency is counted over all pictures (or its pixels alone, which comes to "
            "the same). Count only the pictures in which the class occurs, or a class of few "
            "pictures gets too large a weight.",
        ),
        (
            lambda m, n: np.divide(1, weights(m, n), out=np.zeros(n), where=weights(m, n) > 0),
            "It is upside down: rare classes get the larger weight, median / frequency.",
        ),
        (
            lambda m, n: with_rule(m, n, lambda f: 1.0),
            "This is one over the frequency. Multiply by the median of the frequencies, so that a "
            "class in the middle has the weight 1.",
        ),
        (
            lambda m, n: with_rule(m, n, total="void"),
            "Void pixels are counted in the size of the pictures. Only labelled pixels count.",
        ),
        (
            lambda m, n: with_rule(m, n, absent=1.0),
            "A class that never occurs gets the weight 1; it should be 0.",
        ),
        (
            divided,
            "A class that never occurs gets nan (0 / 0); it should be 0.",
        ),
        (
            infinite,
            "A class that never occurs gets an infinite weight; it should be 0.",
        ),
        (
            median_with_zeros,
            "The median includes the classes that never occur, as zeros. Only classes that occur "
            "have a frequency.",
        ),
        (
            lambda m, n: weights(m, n) / weights(m, n).sum(),
            "The weights are divided by their sum. The class in the middle should have 1.",
        ),
    ]
    compare(
        attempt,
        cases,
        weights,
        mistakes,
        lambda m, n: f"{len(m)} masks and {n} classes",
        convert=as_array,
    )


median_frequency_weights_exercise = Exercise(
    judge_median_frequency_weights,
    losses.median_frequency_weights,
    task="Give an array with a weight for each class: the median of the classes' frequencies over "
    "this class's frequency, and 0 for a class that never occurs. masks is a list of arrays, void "
    "is 255.",
    call="my_median_frequency_weights(masks, n_classes)",
    minutes=15,
    hints=(
        "Carry two arrays through the masks: the pixels of each class, and the labelled pixels of "
        "the pictures in which it occurs.",
        "labels = mask[mask != 255]; counts = np.bincount(labels, minlength=n_classes). A class "
        "occurs where counts > 0.",
        "frequency = pixels / area for the classes seen; weight = np.median(frequency) / "
        "frequency; everything else stays 0.",
    ),
)


def threshold_for_recall(probabilities, truth, recall):
    """Give the highest threshold at which at least this share of the object is still found."""
    # The object's probabilities, largest first: the k-th one finds k pixels.
    of_object = np.sort(probabilities[truth == 1])[::-1]
    needed = int(np.ceil(recall * len(of_object) - 1e-9))
    return of_object[max(needed, 1) - 1]


def judge_threshold_for_recall(attempt):
    random = np.random.default_rng(5)
    truth = random.choice([0, 0, 1, 1, VOID], 400).astype("uint8")
    probabilities = np.round(np.clip(random.normal(0.35 + 0.3 * (truth == 1), 0.2), 0, 1), 6)
    probabilities[truth == VOID] = random.uniform(0.9, 1.0, (truth == VOID).sum()).round(6)
    tiny = np.array([0.9, 0.8, 0.7, 0.2, 0.95, 0.1]), np.array([1, 1, 0, 1, 255, 1], "uint8")
    cases = [(*tiny, 0.5), (*tiny, 0.75), (probabilities, truth, 0.95), (probabilities, truth, 0.5)]

    def is_right(case, answer):
        """Accept every threshold between two neighbouring probabilities that finds the same."""
        p, y, recall = case
        of_object = np.sort(p[y == 1])
        best = threshold_for_recall(*case)
        lower = of_object[of_object < best]
        return (lower[-1] if lower.size else -np.inf) < answer <= best + 1e-9 and (
            (of_object >= answer).mean() >= recall - 1e-9
        )

    answers = [float(as_number(attempt(*case))) for case in cases]
    if all(is_right(case, answer) for case, answer in zip(cases, answers, strict=True)):
        exact = [
            abs(a - threshold_for_recall(*c)) < 1e-6 for a, c in zip(answers, cases, strict=True)
        ]
        if all(exact):
            return None
        return (
            "Yours lies a little below the highest one that finds as much. With thresholds on a "
            "grid that is how it is."
        )

    def quantile(p, y, recall):
        return np.quantile(p[y != VOID], 1 - recall)

    def by_precision(p, y, recall):
        valid = y != VOID
        p, y = p[valid], y[valid]
        fine = [t for t in np.unique(p) if (y[p >= t] == 1).mean() >= recall]
        return max(fine)

    mistakes = [
        (
            lambda p, y, r: p[y != VOID].min(),
            "This is the lowest threshold: it finds everything, and calls everything the object. "
            "The highest that still finds enough is wanted.",
        ),
        (
            lambda p, y, r: 0.0,
            "A threshold of 0 finds everything, and calls everything the object. The highest that "
            "still finds enough is wanted.",
        ),
        (
            by_precision,
            "This looks at precision, the share of right ones among the pixels called object. "
            "Recall is the share of the object's pixels that are found.",
        ),
        (
            lambda p, y, r: threshold_for_recall(p, np.where(y == VOID, 1, y), r),
            "Void pixels are counted as part of the object.",
        ),
        (
            lambda p, y, r: threshold_for_recall(p, np.ones_like(y), r),
            "All pixels are looked at. Recall asks about the object's pixels only, truth == 1.",
        ),
        (
            quantile,
            "This is a quantile over all pixels. Recall asks about the pixels of the object only, "
            "truth == 1.",
        ),
        (
            lambda p, y, r: np.quantile(p[y == 1], r, method="lower"),
            "This is the quantile from the other end: above it lies the share 1 - recall.",
        ),
        (
            lambda p, y, r: threshold_for_recall(p, y, 1 - r),
            "This finds the share 1 - recall: the order is turned round.",
        ),
        (
            lambda p, y, r: np.argsort(p[y == 1])[::-1][int(np.ceil(r * (y == 1).sum())) - 1],
            "This is a position in the sorted list; the threshold is the probability there.",
        ),
        (
            lambda p, y, r: r,
            "The recall itself comes back. The threshold is a probability from the data.",
        ),
        (
            lambda p, y, r: 0.5,
            "This is 0.5 whatever the data. Look for it in the probabilities of the object's "
            "pixels.",
        ),
    ]
    compare(
        attempt,
        cases,
        threshold_for_recall,
        mistakes,
        lambda p, y, r: (
            f"probabilities {short(p)}, truth {short(y)} and recall {r}"
            if p.size < 10
            else f"{p.size} pixels and recall {r}"
        ),
    )
    return None


threshold_for_recall_exercise = Exercise(
    judge_threshold_for_recall,
    threshold_for_recall,
    task="Give the highest threshold, a number, at which at least the share recall of the object's "
    "pixels has a probability not below it; truth is 0, 1 or 255 (void).",
    call="my_threshold_for_recall(probabilities, truth, recall)",
    minutes=10,
    hints=(
        "Which pixels matter for recall? Sort their probabilities. How many of them must lie at or "
        "above the threshold?",
        "Of n pixels of the object, ceil(recall * n) must be found; the threshold is the smallest "
        "of these probabilities.",
        "p = np.sort(probabilities[truth == 1])[::-1]; return p[ceil(recall * len(p)) - 1].",
    ),
)


# ---------------------------------------------------------------- scores


def iou_and_dice(confusion):
    """Give IoU and Dice of every class, nan for an absent one, by the package's scores."""
    scores = metrics.scores(confusion)
    return scores.iou, scores.dice


def judge_iou_and_dice(attempt):
    cases = [
        (np.array([[50, 3, 2], [5, 20, 5], [0, 10, 5]]),),
        (np.array([[8, 0, 2, 0], [0, 0, 0, 0], [1, 0, 4, 0], [0, 0, 5, 0]]),),
        (np.array([[7, 1], [2, 0]]),),
        (np.array([[3, 2, 0], [0, 0, 0], [1, 1, 4]]),),
    ]

    def counts(matrix):
        hits = np.diag(matrix).astype(float)
        return hits, matrix.sum(axis=1).astype(float), matrix.sum(axis=0).astype(float)

    def divide(a, b, absent=np.nan):
        return np.divide(a, b, out=np.full(len(a), absent, float), where=b > 0)

    def rule(matrix, iou=None, dice=None, absent=np.nan):
        hits, true, called = counts(matrix)
        return (
            divide(*(iou or (lambda h, t, c: (h, t + c - h)))(hits, true, called), absent),
            divide(*(dice or (lambda h, t, c: (2 * h, t + c)))(hits, true, called), absent),
        )

    def smoothed(matrix):
        hits, true, called = counts(matrix)
        return (hits + 1) / (true + called - hits + 1), (2 * hits + 1) / (true + called + 1)

    def epsilon(matrix):
        hits, true, called = counts(matrix)
        return hits / (true + called - hits + 1e-7), 2 * hits / (true + called + 1e-7)

    mistakes = [
        (
            lambda m: rule(m, dice=lambda h, t, c: (h, t + c)),
            "IoU is right; Dice lacks the factor 2: twice the common pixels over both sizes.",
        ),
        (
            lambda m: rule(m, iou=lambda h, t, c: (h, t + c)),
            "Dice is right; in IoU the common pixels are counted twice below: the union is true + "
            "called - both.",
        ),
        (
            lambda m: rule(
                m, iou=lambda h, t, c: (h, t + c), dice=lambda h, t, c: (2 * h, t + c - h)
            ),
            "The two denominators have changed places: IoU has the union, true + called - both, "
            "Dice has true + called.",
        ),
        (
            lambda m: rule(m)[::-1],
            "The two are swapped: first IoU, then Dice.",
        ),
        (
            lambda m: rule(m, iou=lambda h, t, c: (h, t)),
            "Instead of IoU it gives recall, which knows no false alarms. The union also has the "
            "pixels that were called so by mistake (the column).",
        ),
        (
            lambda m: rule(m, iou=lambda h, t, c: (h, c)),
            "Instead of IoU it gives precision, which knows no missed pixels. The union also has "
            "the pixels that were missed (the row).",
        ),
        (
            lambda m: rule(m, absent=0),
            "A class that is neither in the truth nor in the prediction gets 0, which says that "
            "the network failed. It has no score: nan.",
        ),
        (
            lambda m: rule(m, absent=1),
            "A class that is neither in the truth nor in the prediction gets 1, a reward for "
            "nothing. It has no score: nan.",
        ),
        (
            smoothed,
            "A number is added above and below, so small classes are flattered and an absent class "
            "gets 1. Divide plainly, and give nan for 0 / 0.",
        ),
        (
            epsilon,
            "The small number in the denominator gives an absent class 0, which says that the "
            "network failed. It has no score: nan.",
        ),
        (
            lambda m: tuple(np.nanmean(part) for part in rule(m)),
            "These are means over the classes; an entry per class is wanted.",
        ),
        (
            lambda m: tuple(np.nan_to_num(part[counts(m)[1] > 0]) for part in rule(m)),
            "Classes that are not in the truth are dropped. Keep an entry for every class: one "
            "that is only predicted has IoU 0, an absent one nan.",
        ),
        (
            lambda m: tuple(np.where(counts(m)[1] > 0, part, np.nan) for part in rule(m)),
            "A class that is predicted but never true gets nan. It has a score: all of it is false "
            "alarm, so 0.",
        ),
        (
            lambda m: (2 * rule(m)[0] / (1 + rule(m)[0]), rule(m)[0]),
            "The two are swapped: first IoU, then Dice.",
        ),
    ]
    compare(
        attempt,
        cases,
        iou_and_dice,
        mistakes,
        lambda m: f"the matrix {m.tolist()}",
        convert=lambda value: as_pair(value, "IoU", "Dice"),
    )


iou_and_dice_exercise = Exercise(
    judge_iou_and_dice,
    iou_and_dice,
    task="Give (iou, dice), two arrays with an entry per class, from a confusion matrix with true "
    "classes in rows; nan for a class that is neither true nor predicted anywhere.",
    call="my_iou_and_dice(confusion)",
    minutes=10,
    hints=(
        "For class 1: which entry counts the pixels that are 1 and were called 1? What do its row "
        "and its column add up to?",
        "hits = np.diag(confusion), true = confusion.sum(axis=1), called = confusion.sum(axis=0). "
        "The union counts the hits once.",
        "iou = hits / (true + called - hits), dice = 2 * hits / (true + called). NumPy gives nan "
        "for 0 / 0 by itself.",
    ),
    shown=(iou_and_dice, metrics.scores),
)


def mean_per_picture(ious, absent):
    """Average IoU over each picture's classes, then over pictures; absent classes by a rule."""
    filled = np.where(np.isnan(ious), absent, ious)
    return np.nanmean(np.nanmean(filled, axis=1))  # nan stays nan and is left out


def judge_mean_per_picture(attempt):
    nan = np.nan
    ious = np.array([[0.9, nan, nan, 0.3], [0.5, 0.2, nan, nan], [0.8, 0.4, 0.1, nan]])
    other = np.array([[0.0, nan], [0.6, 0.4]])
    cases = [(table, absent) for table in (ious, other) for absent in (nan, 0.0, 1.0)]
    right = mean_per_picture
    mistakes = [
        (
            lambda x, a: right(x, nan),
            "The rule is ignored: absent classes are always left out.",
        ),
        (
            lambda x, a: right(x, 0.0),
            "The rule is ignored: absent classes always count as 0.",
        ),
        (
            lambda x, a: right(x, 1.0),
            "The rule is ignored: absent classes always count as 1.",
        ),
        (
            lambda x, a: np.nanmean(np.nanmean(np.where(np.isnan(x), a, x), axis=0)),
            "The mean is taken over the pictures of each class first. Here it goes over the "
            "classes of each picture first.",
        ),
        (
            lambda x, a: np.nanmean(np.where(np.isnan(x), a, x)),
            "All entries go into one mean, so a picture with many classes counts more. Take the "
            "mean of each picture first.",
        ),
        (
            lambda x, a: np.mean(np.mean(np.where(np.isnan(x), a, x), axis=1)),
            "With absent=nan the result is nan. np.nanmean leaves nan out.",
        ),
        (
            lambda x, a: np.nanmean(x, axis=1).mean() if np.isnan(a) else np.nan,
            "With absent 0 or 1 the result is nan: the entries that are nan have to be replaced.",
        ),
        (
            lambda x, a: np.nansum(np.where(np.isnan(x), a, x), axis=1).mean(),
            "The classes of a picture are added up; take their mean.",
        ),
        (
            lambda x, a: np.nanmean(np.where(np.isnan(x), a, x), axis=1),
            "These are the means of the single pictures; one number is wanted, their mean.",
        ),
    ]
    compare(
        attempt,
        cases,
        right,
        mistakes,
        lambda x, a: f"ious {x.tolist()} and absent={a}",
        convert=one_or_per_picture,
    )


def one_or_per_picture(value):
    """Take a number, or an array of them, which is a mistake with a name of its own."""
    array = as_array(value)
    if array.shape == (1,):
        return array.reshape(())
    return array.astype(np.float64)


mean_per_picture_exercise = Exercise(
    judge_mean_per_picture,
    mean_per_picture,
    task="Give the mean over pictures, one number, of each picture's mean IoU; ious is (pictures, "
    "classes) with nan where a class is absent, and absent says what that counts as: 0, 1, or nan "
    "for left out.",
    call="my_mean_per_picture(ious, absent)",
    minutes=5,
    hints=(
        "Replace the nan by what `absent` says, and take two means, one after the other.",
        "np.where(np.isnan(ious), absent, ious) replaces; np.nanmean leaves out what is still nan.",
        "np.nanmean(filled, axis=1) gives a mean for each picture; then their mean.",
    ),
)


def calibration_error(confidence, right):
    """Give the expected calibration error with ten equal bins (Guo et al. 2017, equation 3)."""
    error = 0.0
    for i in range(10):
        inside = (confidence > i / 10) & (confidence <= (i + 1) / 10)
        if inside.any():
            distance = abs(confidence[inside].mean() - right[inside].mean())
            error += distance * inside.sum() / len(confidence)
    return error


def judge_calibration_error(attempt):
    random = np.random.default_rng(6)
    confidence = random.uniform(0.01, 0.995, 500)
    right = random.random(500) < confidence**2
    sure = random.uniform(0.81, 0.99, 60)
    cases = [
        (np.array([0.95, 0.93, 0.55, 0.57]), np.array([True, True, True, False])),
        (confidence, right),
        (sure, random.random(60) < 0.5),
    ]

    def bins(c, r, weigh, measure=abs, edges=None):
        edges = np.linspace(0, 1, 11) if edges is None else edges
        parts = []
        for low, high in itertools.pairwise(edges):
            inside = (c > low) & (c <= high)
            if inside.any():
                distance = measure(c[inside].mean() - r[inside].mean())
                parts.append((distance, inside.sum()))
        distances, sizes = map(np.array, zip(*parts, strict=True))
        return weigh(distances, sizes / len(c))

    def weighted(distances, shares):
        return (distances * shares).sum()

    def quantiles(c):
        edges = np.quantile(c, np.linspace(0, 1, 11))
        edges[0] = -1
        return edges

    mistakes = [
        (
            lambda c, r: bins(c, r, lambda d, s: d.mean()),
            "All bins count alike, also those with two pixels. Weigh each by its share of the "
            "pixels.",
        ),
        (
            lambda c, r: bins(c, r, lambda d, s: d.sum() / 10),
            "All bins count alike, also the empty ones. Weigh each by its share of the pixels.",
        ),
        (
            lambda c, r: bins(c, r, lambda d, s: d.max()),
            "This is the largest distance of a bin. The expected one is the mean, weighted by "
            "the pixels.",
        ),
        (
            lambda c, r: bins(c, r, lambda d, s: d.sum()),
            "The distances are added up without weights. Weigh each by its share of the pixels.",
        ),
        (
            lambda c, r: bins(c, r, weighted, measure=lambda x: x),
            "Without the absolute value, bins that are too sure and bins that are too modest "
            "cancel, as if all pixels were in one bin.",
        ),
        (
            lambda c, r: bins(c, r, weighted, measure=lambda x: -x),
            "Without the absolute value, bins that are too sure and bins that are too modest "
            "cancel; and the sign is turned.",
        ),
        (
            lambda c, r: bins(c, r, weighted, measure=np.square),
            "The distances are squared; take their absolute value.",
        ),
        (
            lambda c, r: np.abs(c - r).mean(),
            "Each pixel is compared by itself, and a single pixel is right or wrong, never 0.7. "
            "Compare the means of a bin.",
        ),
        (
            lambda c, r: np.square(c - r).mean(),
            "This is the Brier score, the mean square of single pixels. Compare the means of "
            "a bin.",
        ),
        (
            lambda c, r: bins(c, r, weighted, edges=quantiles(c)),
            "The bins have equally many pixels. Make them equally wide: 0 to 0.1, 0.1 to 0.2, ...",
        ),
        (
            lambda c, r: bins(c, r, weighted, edges=np.linspace(c.min() - 1e-9, c.max(), 11)),
            "The bins run from the smallest to the largest confidence. Make them run from 0 to 1.",
        ),
        (
            lambda c, r: 100 * calibration_error(c, r),
            "This is in per cent; give a share from 0 to 1.",
        ),
    ]
    compare(
        attempt,
        cases,
        calibration_error,
        mistakes,
        lambda c, r: (
            f"confidence {short(c)} and right {short(r)}" if c.size < 10 else f"{c.size} pixels"
        ),
    )


calibration_error_exercise = Exercise(
    judge_calibration_error,
    calibration_error,
    task="Give the expected calibration error, a number, of arrays confidence (0 to 1) and right "
    "(True or False), with ten bins of equal width.",
    call="my_calibration_error(confidence, right)",
    minutes=15,
    hints=(
        "In one bin: how sure is the network on average, and how often is it right? The error is "
        "the distance of the two.",
        "inside = (confidence > i / 10) & (confidence <= (i + 1) / 10) selects a bin; skip empty "
        "ones.",
        "Add up abs(confidence[inside].mean() - right[inside].mean()) * inside.sum() / "
        "len(confidence) over the ten bins.",
    ),
)
