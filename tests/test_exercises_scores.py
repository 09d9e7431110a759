"""The checks of the score exercises accept right answers and tell wrong ones apart.

The wrong answers are written here as a learner would write them, not taken from the package.
"""

import math

import keras
import numpy as np
import pytest

from unet_helpers import evaluation, exercises


def verdict(name, answer):
    with np.errstate(all="ignore"):
        return exercises.ALL[name].verdict(answer)


# ---------------------------------------------------------------- right answers


def iou_by_loop(confusion):
    n = len(confusion)
    iou, dice = [], []
    for c in range(n):
        hit = int(confusion[c, c])
        missed = sum(int(confusion[c, k]) for k in range(n)) - hit
        wrong = sum(int(confusion[k, c]) for k in range(n)) - hit
        union = hit + missed + wrong
        iou.append(hit / union if union else math.nan)
        dice.append(2 * hit / (union + hit) if union else math.nan)
    return iou, dice


def iou_from_dice(confusion):
    hits = np.diag(confusion)
    dice = 2 * hits / (confusion.sum(0) + confusion.sum(1))
    return [(dice / (2 - dice)).astype(np.float32), dice]


def entropy_by_keras(labels, logits):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    safe = np.where(labels == 255, 0, labels)
    return keras.ops.sum(loss(safe, logits) * (labels != 255)) / (labels != 255).sum()


def entropy_by_logaddexp(labels, logits):
    log_sum = np.logaddexp.reduce(logits.astype(np.float64), axis=-1)
    rows = np.where(labels == 255, 0, labels).astype(np.int64)
    right = np.take_along_axis(logits, rows[..., None], axis=-1)[..., 0]
    return np.average(log_sum - right, weights=labels != 255)


def weights_by_loop(masks, n_classes):
    frequencies = {}
    for c in range(n_classes):
        having = [mask for mask in masks if c in mask]
        if having:
            labelled = sum(int((mask < 255).sum()) for mask in having)
            frequencies[c] = sum(int((mask == c).sum()) for mask in having) / labelled
    middle = np.median(list(frequencies.values()))
    return [middle / frequencies[c] if c in frequencies else 0 for c in range(n_classes)]


def weights_vectorised(masks, n_classes):
    counts = np.array([np.bincount(mask.ravel(), minlength=256)[:255] for mask in masks])
    labelled = counts.sum(axis=1, keepdims=True)
    counts = counts[:, :n_classes]
    frequency = counts.sum(axis=0) / np.maximum((labelled * (counts > 0)).sum(axis=0), 1)
    middle = np.median(frequency[frequency > 0])
    return np.where(frequency > 0, middle / np.where(frequency > 0, frequency, 1), 0)


def threshold_by_trying(probabilities, truth, recall):
    """Try every pixel's probability, from above."""
    size = np.sum(truth == 1)
    for t in sorted(probabilities.ravel().tolist(), reverse=True):
        if np.sum((probabilities >= t) & (truth == 1)) / size >= recall:
            return t


def threshold_by_rank(probabilities, truth, recall):
    of_object = np.sort(probabilities[truth == 1])
    needed = math.ceil(recall * of_object.size - 1e-9)
    return np.float32(of_object[-needed])


def threshold_strictly_above(probabilities, truth, recall):
    size = np.sum(truth == 1)
    for t in [*sorted(probabilities.ravel().tolist(), reverse=True), 0.01]:
        if np.sum((probabilities > t) & (truth == 1)) / size >= recall:
            return t


def mean_by_loop(ious, absent):
    means = []
    for row in ious.tolist():
        scores = [absent if math.isnan(score) else score for score in row]
        scores = [score for score in scores if not math.isnan(score)]
        means.append(sum(scores) / len(scores))
    return sum(means) / len(means)


def mean_by_weights(ious, absent):
    there = ~np.isnan(ious)
    if math.isnan(absent):
        return np.mean(np.where(there, ious, 0).sum(axis=1) / there.sum(axis=1))
    return np.float32(np.where(there, ious, absent).mean())


def calibration_by_loop(confidence, right):
    pairs = list(zip(confidence.ravel().tolist(), right.ravel().tolist(), strict=True))
    total = 0
    for b in range(10):
        inside = [(c, r) for c, r in pairs if b / 10 <= c < (b + 1) / 10 or (b == 9 and c == 1)]
        if inside:
            said = sum(c for c, _ in inside) / len(inside)
            true = sum(r for _, r in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(said - true)
    return total


def calibration_by_sums(confidence, right):
    """Add up confidence minus right in each bin: the numbers of pixels cancel."""
    bins = np.minimum((confidence.ravel() * 10).astype(int), 9)
    sums = np.bincount(bins, confidence.ravel() - right.ravel())
    return np.abs(sums).sum() / confidence.size


def pixel_by_math(logits, label):
    values = [float(logit) for logit in logits]
    largest = max(values)
    return math.log(sum(math.exp(v - largest) for v in values)) + largest - values[label]


def pixel_by_keras(logits, label):
    return -keras.ops.log_softmax(keras.ops.convert_to_tensor(logits))[label]


def losers_by_loop(truths, masks, logits, tolerance):
    """Count hits and unions class by class, without a confusion matrix."""

    def iou_of(c, predicted):
        true, found = (truths == c), (predicted == c) & (truths != 255)
        union = np.sum(true | found)
        return np.sum(true & found) / union if union else math.nan

    exported = np.argmax(logits, axis=3)
    classes = range(logits.shape[3])
    return [c for c in classes if iou_of(c, masks) - iou_of(c, exported) > tolerance]


def losers_by_keras(truths, masks, logits, tolerance):
    n = logits.shape[-1]

    def ious(predicted):
        metric = keras.metrics.IoU(n, range(n), ignore_class=255)
        metric.update_state(truths, predicted)
        return np.array(iou_from_dice(np.array(metric.total_cm))[0])

    lost = np.nan_to_num(ious(masks) - ious(logits.argmax(-1)))
    return tuple(np.argsort(lost)[::-1][: (lost >= tolerance).sum()].tolist())


RIGHT = [
    ("acceptance_test", losers_by_loop),
    ("acceptance_test", losers_by_keras),
    ("iou_and_dice", iou_by_loop),
    ("cross_entropy_with_void", entropy_by_keras),
    ("cross_entropy_with_void", entropy_by_logaddexp),
    ("median_frequency_weights", weights_by_loop),
    ("median_frequency_weights", weights_vectorised),
    ("threshold_for_recall", threshold_by_trying),
    ("threshold_for_recall", threshold_by_rank),
    ("mean_per_image", mean_by_loop),
    ("mean_per_image", mean_by_weights),
    ("calibration_error", calibration_by_loop),
    ("calibration_error", calibration_by_sums),
    ("pixel_loss", pixel_by_math),
    ("pixel_loss", pixel_by_keras),
]


@pytest.mark.parametrize("name, answer", RIGHT)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def test_a_threshold_for_strictly_above_passes_with_a_note():
    passed, sentence = verdict("threshold_for_recall", threshold_strictly_above)
    assert passed and "with > in place of >=" in sentence


# ---------------------------------------------------------------- solutions and hand-made numbers


def reference(name):
    return exercises.ALL[name].reference


def test_solutions_give_hand_computed_numbers():
    iou, dice = reference("iou_and_dice")(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    np.testing.assert_allclose(iou, [3 / 6, 4 / 7, np.nan])
    np.testing.assert_allclose(dice, [6 / 9, 8 / 11, np.nan])
    confusion = np.array([[5, 2], [1, 0]])
    scores = evaluation.scores(confusion)
    np.testing.assert_array_equal(reference("iou_and_dice")(confusion), (scores.iou, scores.dice))

    # e^0 / (e^0 + e^0) is one half; the void pixel is not counted
    labels, logits = np.array([[[0, 255]]]), np.array([[[[0.0, 0.0], [9.0, 0.0]]]])
    loss = reference("cross_entropy_with_void")(labels, logits)
    np.testing.assert_allclose(loss, math.log(2))
    np.testing.assert_allclose(reference("pixel_loss")(np.array([1000.0, 1000.0]), 1), math.log(2))

    probabilities, truth = np.array([0.9, 0.8, 0.7, 0.6, 0.95]), np.array([1, 0, 1, 1, 255])
    threshold = reference("threshold_for_recall")
    assert [threshold(probabilities, truth, share) for share in (0.3, 0.5, 1)] == [0.9, 0.7, 0.6]

    ious = np.array([[0.5, np.nan], [0.2, 0.4]])
    means = [reference("mean_per_image")(ious, absent) for absent in (np.nan, 0, 1)]
    np.testing.assert_allclose(means, [0.4, 0.275, 0.525])

    # two pixels at 0.9, one right, and two at 0.6, both right
    confidence, right = np.array([0.9, 0.6, 0.9, 0.6]), np.array([True, True, False, True])
    np.testing.assert_allclose(reference("calibration_error")(confidence, right), 0.4)


def test_the_acceptance_solution_lists_the_class_that_loses():
    truths, masks = np.array([[[0, 0, 1, 1, 255]]]), np.array([[[0, 1, 1, 1, 0]]])
    exported = np.array([[[0, 0, 1, 0, 1]]])  # class 0: from 1/2 to 2/3, class 1: 2/3 to 1/2
    losers = reference("acceptance_test")
    listed = [losers(truths, masks, np.eye(3)[exported], t).tolist() for t in (0.1, 0.2)]
    assert listed == [[1], []]


def test_calibration_solution_agrees_with_the_package():
    rng = np.random.default_rng(3)
    confidence, truth = rng.uniform(0.5, 1, 500), rng.integers(0, 2, 500)
    probabilities = np.stack([1 - confidence, confidence], axis=-1)
    expected = evaluation.reliability(truth, probabilities).expected_calibration_error
    np.testing.assert_allclose(reference("calibration_error")(confidence, truth == 1), expected)


# ---------------------------------------------------------------- wrong answers


def scores_of(confusion):
    """Give what most learners begin with: hits, misses, false alarms."""
    hits = np.diag(confusion).astype(float)
    return hits, confusion.sum(axis=1) - hits, confusion.sum(axis=0) - hits


def iou_with(formula):
    return lambda confusion: formula(*scores_of(confusion))


def iou(h, m, f):
    return h / (h + m + f)


def dice(h, m, f):
    return 2 * h / (2 * h + m + f)


def nan_as(value):
    def answer(confusion):
        return [np.nan_to_num(s, nan=value) for s in iou_from_dice(confusion)]

    return answer


def iou_where_true(confusion):
    ious, dices = iou_from_dice(confusion)
    absent = confusion.sum(axis=1) == 0
    ious[absent] = np.nan
    dices[absent] = np.nan
    return ious, dices


def iou_of_all(confusion):
    hits, pixels, ones = np.trace(confusion), confusion.sum(), np.ones(len(confusion))
    return hits / (2 * pixels - hits) * ones, hits / pixels * ones


def log_probabilities(logits):
    z = logits - logits.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def losses_of(labels, logits):
    valid = labels != 255
    log_p = log_probabilities(logits[valid])
    return -log_p[np.arange(valid.sum()), labels[valid]]


def entropy_mean_over_all(labels, logits):
    return losses_of(labels, logits).sum() / labels.size


def entropy_over_classes(labels, logits):
    return losses_of(labels, logits).mean() / logits.shape[-1]


def naive_softmax(logits, axis=-1):
    e = np.exp(logits)
    return e / e.sum(axis=axis, keepdims=True)


def stable_softmax(logits):
    return np.exp(log_probabilities(logits))


def right_of(labels, scores):
    valid = labels != 255
    return scores[valid][np.arange(valid.sum()), labels[valid]]


def entropy_naive(labels, logits):
    return -np.log(right_of(labels, naive_softmax(logits))).mean()


def entropy_stable_softmax(labels, logits):
    return -np.log(right_of(labels, stable_softmax(logits))).mean()


def entropy_clipped(labels, logits):
    return -np.log(right_of(labels, stable_softmax(logits)) + 1e-7).mean()


def entropy_of_images(labels, logits):
    return np.mean([losses_of(l, z).mean() for l, z in zip(labels, logits, strict=True)])  # noqa: E741


def entropy_of_all_labels(labels, logits):
    valid = labels != 255
    return -log_probabilities(logits[valid])[:, labels[valid]].mean()


def sums(masks, n_classes, void=255):
    """Count pixels of each class, and labelled pixels of the images that have it."""
    pixels, totals = np.zeros(n_classes), np.zeros(n_classes)
    for mask in masks:
        for c in range(n_classes):
            if (mask == c).any():
                pixels[c] += (mask == c).sum()
                totals[c] += (mask != void).sum()
    return pixels, totals


def weights_with(void=255, absent=0.0):
    def answer(masks, n_classes):
        pixels, totals = sums(masks, n_classes, void)
        seen = totals > 0
        frequency = pixels[seen] / totals[seen]
        weights = np.full(n_classes, absent)
        weights[seen] = np.median(frequency) / frequency
        return weights

    return answer


def weights_all_images(masks, n_classes):
    counts = np.array([sum((mask == c).sum() for mask in masks) for c in range(n_classes)])
    return [np.median(counts[counts > 0]) / n if n else 0 for n in counts]


def weights_of_last_image(masks, n_classes):
    _, totals = sums(masks, n_classes)
    pixels = [([(m == c).sum() for m in masks if c in m] or [0])[-1] for c in range(n_classes)]
    seen = totals > 0
    frequency = np.where(seen, pixels, 0) / np.where(seen, totals, 1)
    return np.where(seen, np.median(frequency[seen]) / np.where(seen, frequency, 1), 0)


def weights_zeros_in_median(masks, n_classes):
    pixels, totals = sums(masks, n_classes)
    frequency = pixels / np.maximum(totals, 1)
    return np.where(frequency > 0, np.median(frequency) / np.maximum(frequency, 1e-9), 0)


def weights_of_shares(masks, n_classes):
    shares = [[] for _ in range(n_classes)]
    for mask in masks:
        for c in range(n_classes):
            if c in mask:
                shares[c].append((mask == c).sum() / (mask != 255).sum())
    frequency = np.array([np.mean(s) if s else 0 for s in shares])
    middle = np.median(frequency[frequency > 0])
    return [middle / f if f else 0 for f in frequency]


def descending(probabilities, truth):
    return np.sort(probabilities[truth == 1])[::-1]


def threshold_by_precision(probabilities, truth, recall):
    best = 1
    for t in np.sort(probabilities[truth < 255])[::-1]:
        inside = (probabilities >= t) & (truth < 255)
        if truth[inside].mean() >= recall:
            best = min(best, t)
    return best


def threshold_rounded_down(probabilities, truth, recall):
    found = descending(probabilities, truth)
    return found[int(recall * len(found)) - 1]


def threshold_index(probabilities, truth, recall):
    return math.ceil(recall * (truth == 1).sum())


def threshold_of(select):
    def answer(probabilities, truth, recall):
        values = np.sort(probabilities[select(truth)])[::-1]
        return values[math.ceil(recall * len(values) - 1e-9) - 1]

    return answer


def fill(ious, absent):
    return np.where(np.isnan(ious), absent, ious)


def mean_compared_with_nan(ious, absent):
    ious = np.where(ious == np.nan, absent, ious)
    return np.nanmean(np.nanmean(ious, axis=1))


def bins_with(n=10):
    """Make a function that lists (confidence, accuracy, pixels) of bins."""

    def bins(confidence, right):
        number = np.digitize(confidence, np.linspace(0, 1, n + 1))
        return np.array(
            [
                (confidence[number == b].mean(), right[number == b].mean(), (number == b).sum())
                for b in range(n + 2)
                if (number == b).any()
            ]
        ).T

    return bins


def calibration_with(formula, n=10):
    return lambda confidence, right: formula(*bins_with(n)(confidence, right))


def weighed(gaps, pixels):
    return (gaps * pixels).sum() / pixels.sum()


def calibration_from_half(confidence, right):
    bins = np.digitize(confidence, np.linspace(0.5, 1, 11))
    gaps = [(confidence - right)[bins == b].sum() for b in range(12)]
    return np.abs(gaps).sum() / confidence.size


def calibration_middles(confidence, right):
    number = (confidence * 10).astype(int)
    total = 0
    for b in range(10):
        inside = number == b
        if inside.any():
            total += inside.sum() * abs((b + 0.5) / 10 - right[inside].mean())
    return total / confidence.size


def calibration_without_one(confidence, right):
    number = (confidence * 10).astype(int)
    total = 0
    for b in range(10):
        inside = number == b
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    return total / confidence.size


def pixel_by_plain_math(logits, label):
    return math.log(sum(math.exp(v) for v in logits.tolist())) - float(logits[label])


def pixel_stable_softmax(logits, label):
    return -np.log(stable_softmax(logits)[label])


def ious_of(truths, masks, logits):
    """Give the IoU of every class of a model's masks and of an export's."""
    n, valid = logits.shape[-1], truths < 255
    return [
        iou(*scores_of(np.histogram2d(truths[valid], p[valid], np.arange(n + 1))[0]))
        for p in (masks, logits.argmax(axis=-1))
    ]


def losers_with(rule):
    return lambda t, m, z, tolerance: np.flatnonzero(rule(*ious_of(t, m, z), tolerance))


def losers_of_recall(truths, masks, logits, tolerance):
    exported, recalls = logits.argmax(-1), []
    for c in range(logits.shape[-1]):
        recalls.append([np.mean(p[truths == c] == c) for p in (masks, exported)])
    return [c for c, (before, after) in enumerate(recalls) if before - after > tolerance]


def losers_of_images(truths, masks, logits, tolerance):
    images = zip(truths, masks, logits, strict=True)
    before, after = np.nanmean([ious_of(*image) for image in images], axis=0)
    return np.flatnonzero(before - after > tolerance)


def losers_with_void(truths, *rest):
    return losers_by_loop(np.where(truths == 255, 0, truths), *rest)


IOU, ENTROPY = "iou_and_dice", "cross_entropy_with_void"
WEIGHTS, THRESHOLD, MEAN = "median_frequency_weights", "threshold_for_recall", "mean_per_image"
CALIBRATION, PIXEL = "calibration_error", "pixel_loss"

EXPORT = "acceptance_test"

WRONG = [
    (
        EXPORT,
        lambda t, m, z, tolerance: (
            np.arange(7) if np.nanmean(np.subtract(*ious_of(t, m, z))) > tolerance else []
        ),
        "The mean over the classes decides",
    ),
    (EXPORT, lambda t, m, z, limit: losers_by_loop(m, m, z, limit), "with the model's masks alone"),
    (EXPORT, losers_with(lambda b, a, t: abs(b - a) > t), "Classes that gain are listed, too"),
    (EXPORT, losers_with(lambda b, a, t: ~(b - a <= t)), "An absent class is listed"),
    (EXPORT, losers_with(lambda b, a, t: (b - a) / b > t), "The loss is divided by the IoU"),
    (EXPORT, losers_with(lambda b, a, t: a - b > t), "`after - before` stands where"),
    (EXPORT, losers_with(lambda b, a, t: b > a), "the tolerance is not used"),
    (EXPORT, losers_of_recall, "That is the recall, not the IoU"),
    (EXPORT, losers_of_images, "image by image and averaged"),
    (EXPORT, losers_with_void, "right for truths with void counted as class 0"),
    (EXPORT, lambda t, m, z, tolerance: not losers_by_loop(t, m, z, tolerance), "expected the ids"),
    (EXPORT, lambda t, m, z, limit: np.subtract(*ious_of(t, m, z)) > limit, "expected the ids"),
    (
        IOU,
        iou_with(lambda h, m, f: (iou(h, m, f), h / (2 * h + m + f))),
        "0.5 times what is expected",
    ),
    (IOU, iou_with(lambda h, m, f: (h / (2 * h + m + f),) * 2), "`true + predicted` stands where"),
    (IOU, iou_of_all, "added up before the division"),
    (IOU, iou_with(lambda h, m, f: (h / (h + m), dice(h, m, f))), "That is recall, not IoU"),
    (IOU, iou_with(lambda h, m, f: (h / (h + f), dice(h, m, f))), "That is precision, not IoU"),
    (
        IOU,
        lambda confusion: np.nanmean(iou_by_loop(confusion), axis=1),
        "one score for every class",
    ),
    (
        IOU,
        iou_with(lambda h, m, f: (h / (h + np.maximum(m, f)), dice(h, m, f))),
        "larger of the two",
    ),
    (IOU, nan_as(0), "gets 0, as if"),
    (IOU, iou_where_true, "predicted but never true"),
    (ENTROPY, entropy_mean_over_all, "divided by all pixels, void"),
    (ENTROPY, lambda y, z: losses_of(y, z).sum() / len(y), "the length of labels"),
    (ENTROPY, lambda y, z: losses_of(np.where(y < 255, 255, 0), z).mean(), "Only void pixels"),
    (
        ENTROPY,
        lambda y, z: losses_of(y, z).mean() - z[y < 255].max(axis=-1).mean(),
        "subtracted in the exponential only",
    ),
    (ENTROPY, lambda y, z: losses_of(y, stable_softmax(z)).mean(), "applied twice"),
    (ENTROPY, lambda y, z: -np.log2(right_of(y, stable_softmax(z))).mean(), "base 2"),
    (ENTROPY, lambda y, z: -np.log10(right_of(y, stable_softmax(z))).mean(), "base 10"),
    (
        ENTROPY,
        lambda y, z: (1 - right_of(y, stable_softmax(z))).mean(),
        "minus the logarithm of the",
    ),
    (ENTROPY, lambda y, z: -np.log(right_of(y, stable_softmax(z)).mean()), "before the logarithm"),
    (ENTROPY, entropy_over_classes, "With `losses_of(labels, logits).mean()` in place of"),
    (ENTROPY, lambda y, z: -right_of(y, z).mean(), "minus the logit"),
    (ENTROPY, lambda y, z: -log_probabilities(z[y < 255]).max(-1).mean(), "likeliest class's"),
    (
        ENTROPY,
        lambda y, z: -np.log(right_of(y, naive_softmax(z, 0))).mean(),
        "another axis than the classes",
    ),
    (ENTROPY, entropy_of_all_labels, "[:, labels] picks"),
    (
        ENTROPY,
        lambda y, z: losses_of(np.where(y == 0, 255, y), z).mean(),
        "with class 0 counted as void",
    ),
    (ENTROPY, entropy_of_images, "mean of the images' means"),
    (ENTROPY, entropy_naive, "exponential overflows"),
    (ENTROPY, entropy_stable_softmax, "its logarithm infinite"),
    (ENTROPY, entropy_clipped, "costs too little"),
    (WEIGHTS, weights_all_images, "those of all images"),
    (WEIGHTS, weights_of_last_image, "Only the last image that has the class"),
    (WEIGHTS, lambda m, n: np.divide(w := weights_by_loop(m, n), sum(w)), "divided by their sum"),
    (WEIGHTS, weights_with(void=None), "Void pixels are counted in the totals"),
    (WEIGHTS, weights_with(absent=np.inf), "never occurs gets the weight 0"),
    (WEIGHTS, weights_zeros_in_median, "take part in the median"),
    (WEIGHTS, weights_of_shares, "averaged over images"),
    (THRESHOLD, lambda p, t, recall: 0, "finds everything"),
    (THRESHOLD, lambda p, t, recall: p[t == 1].max(), "finds one pixel"),
    (THRESHOLD, threshold_by_precision, "for precision"),
    (THRESHOLD, threshold_of(lambda t: t > 0), "counted as object"),
    (THRESHOLD, lambda p, t, recall: np.quantile(p[t == 1], recall), "from the wrong end"),
    (THRESHOLD, lambda p, t, recall: np.quantile(p[t == 1], 1 - recall), "between two pixels"),
    (THRESHOLD, lambda p, t, recall: np.quantile(p, 1 - recall), "quantile of all pixels"),
    (THRESHOLD, threshold_rounded_down, "rounded down"),
    (
        THRESHOLD,
        lambda p, t, recall: np.quantile(p[t == 1], 1 - recall, method="lower"),
        "one pixel too many",  # in some cases only, so it is not a convention
    ),
    (THRESHOLD, threshold_index, "cannot be a probability"),
    (MEAN, mean_compared_with_nan, "absent is not used"),
    (
        MEAN,
        lambda i, absent: np.nanmean(np.nanmean(fill(i, absent), axis=0)),
        "right for ious with its first two axes swapped",
    ),
    (MEAN, lambda ious, absent: fill(ious, absent).mean(axis=1).mean(), "makes the mean nan"),
    (MEAN, lambda ious, absent: mean_by_loop(np.where(ious > 0, ious, np.nan), absent), "IoU of 0"),
    (MEAN, lambda i, absent: np.nanmean(fill(i, absent), axis=1).sum(), "`np.nansum(np.nanmean("),
    (CALIBRATION, calibration_with(lambda c, a, n: np.abs(c - a).mean()), "are not weighed"),
    (CALIBRATION, calibration_with(lambda c, a, n: np.abs(c - a).max()), "largest gap"),
    (
        CALIBRATION,
        calibration_with(lambda c, a, n: weighed(c - a, n)),
        "absolute value of the gap",
    ),
    (CALIBRATION, calibration_with(lambda c, a, n: weighed((c - a) ** 2, n)), "gaps are squared"),
    (CALIBRATION, lambda c, right: np.abs(c - right).mean(), "pixel by pixel, without bins"),
    (CALIBRATION, calibration_from_half, "The bins begin at 0.5"),
    (CALIBRATION, calibration_middles, "middle of the bin"),
    (
        CALIBRATION,
        calibration_with(lambda c, a, n: weighed(np.abs(c + a - 1), n)),
        "share of wrong pixels",
    ),
    (
        CALIBRATION,
        calibration_with(lambda c, a, n: weighed(np.abs(c - a), n), n=15),
        "There are 15 bins",
    ),
    (CALIBRATION, calibration_without_one, "exactly 1"),
    (PIXEL, lambda z, label: stable_softmax(z)[label], "A logarithm is missing: it is exp"),
    (PIXEL, lambda z, label: 1 - stable_softmax(z)[label], "A logarithm is missing"),
    (
        PIXEL,
        lambda z, label: np.log(np.exp(np.delete(z, label)).sum()) - z[label],
        "right class is missing in the sum",
    ),
    (PIXEL, lambda z, label: -log_probabilities(z).mean(), "All classes go into it"),
    (PIXEL, lambda z, label: -log_probabilities(z).max(), "the likeliest class's loss"),
    (PIXEL, lambda z, label: -log_probabilities(stable_softmax(z))[label], "applied twice"),
    (PIXEL, lambda z, label: -np.log(1 / (1 + np.exp(-z[label]))), "loss of a sigmoid"),
    (PIXEL, lambda z, label: -np.log(naive_softmax(z)[label]), "exponential overflows"),
    (PIXEL, pixel_by_plain_math, "math range error. With ordinary logits it is right"),
    (PIXEL, pixel_stable_softmax, "its logarithm infinite"),
    (PIXEL, lambda z, label: -np.log(stable_softmax(z)[label] + 1e-9), "costs too little"),
]


@pytest.mark.filterwarnings("ignore:Mean of empty slice")  # the learner's own
@pytest.mark.parametrize("name, answer, told", WRONG)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence
