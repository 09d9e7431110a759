"""The checks of the exercises on losses and metrics: other right answers pass, mistakes are named.

All answers are written here as a learner would write them.
"""

import itertools

import keras
import numpy as np
import pytest

from unet_helpers import exercises

VOID = 255


def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


# ---------------------------------------------------------------- right answers in other words


def pixel_loss_by_keras(logits, label):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return loss(np.array([label]), logits[None].astype("float64"))


def pixel_loss_by_differences(logits, label):
    # log of the sum of exp(x - x_label), by the function that never overflows
    return float(np.logaddexp.reduce(logits - logits[label]))


def void_loss_by_keras(labels, logits):
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=VOID, reduction=None
    )
    each = np.asarray(loss(labels.astype("int32").ravel(), logits.reshape(-1, logits.shape[-1])))
    return each[labels.ravel() != VOID].sum() / (labels != VOID).sum()


def void_loss_by_loop(labels, logits):
    total, count = 0.0, 0
    for place in np.ndindex(labels.shape):
        if labels[place] != VOID:
            total += np.logaddexp.reduce(logits[place]) - logits[place][labels[place]]
            count += 1
    return total / count


def accuracy_by_counting(truth, prediction):
    pairs = [(t, p) for t, p in zip(truth.ravel(), prediction.ravel(), strict=True) if t != VOID]
    return sum(t == p for t, p in pairs) / len(pairs)


def weights_by_dictionaries(masks, n_classes):
    pixels, areas = {}, {}
    for mask in masks:
        valid = mask[mask < VOID].tolist()
        for c in set(valid):
            pixels[c] = pixels.get(c, 0) + valid.count(c)
            areas[c] = areas.get(c, 0) + len(valid)
    frequency = {c: pixels[c] / areas[c] for c in pixels}
    middle = np.median(list(frequency.values()))
    return np.array([middle / frequency[c] if c in frequency else 0 for c in range(n_classes)])


def threshold_by_trying(probabilities, truth, recall):
    best = None
    for threshold in sorted(set(probabilities.tolist())):
        if np.mean(probabilities[truth == 1] >= threshold) >= recall:
            best = threshold
    return best


def threshold_of_object(probabilities, truth, recall):
    """Only the object's own probabilities are tried."""
    values = probabilities[truth == 1]
    return max(t for t in values if (values >= t).mean() >= recall)


def iou_by_loop(confusion):
    iou, dice = [], []
    for c in range(len(confusion)):
        both = confusion[c, c]
        missed, false = confusion[c].sum() - both, confusion[:, c].sum() - both
        everything = both + missed + false
        iou.append(both / everything if everything else float("nan"))
        dice.append(2 * both / (2 * both + missed + false) if everything else float("nan"))
    return np.array(iou), np.array(dice)


def per_picture_by_loop(ious, absent):
    means = []
    for row in ious:
        values = [absent if np.isnan(value) else value for value in row]
        values = [value for value in values if not np.isnan(value)]
        means.append(sum(values) / len(values))
    return sum(means) / len(means)


def calibration_by_digitize(confidence, right):
    bins = np.clip(np.ceil(confidence * 10) - 1, 0, 9).astype(int)
    error = 0
    for b in set(bins):
        inside = bins == b
        error += abs(confidence[inside].sum() - right[inside].sum())
    return error / confidence.size


@pytest.mark.parametrize(
    "name, answer",
    [
        ("pixel_loss", pixel_loss_by_keras),
        ("pixel_loss", pixel_loss_by_differences),
        ("cross_entropy_with_void", void_loss_by_keras),
        ("cross_entropy_with_void", void_loss_by_loop),
        ("accuracy_without_void", accuracy_by_counting),
        ("median_frequency_weights", weights_by_dictionaries),
        ("median_frequency_weights", lambda m, n: weights_by_dictionaries(m, n).tolist()),
        ("threshold_for_recall", threshold_by_trying),
        ("threshold_for_recall", threshold_of_object),
        ("iou_and_dice", iou_by_loop),
        ("iou_and_dice", lambda matrix: [part.tolist() for part in iou_by_loop(matrix)]),
        ("mean_per_picture", per_picture_by_loop),
        ("calibration_error", calibration_by_digitize),
    ],
)
def test_equivalent_answers_pass(name, answer):
    passed, sentence = verdict(name, answer)
    assert passed, sentence
    assert name == "threshold_for_recall" or sentence == "right."


def test_a_threshold_between_two_probabilities_is_accepted():
    def on_a_grid(probabilities, truth, recall):
        return threshold_by_trying(probabilities, truth, recall) - 1e-7

    passed, sentence = verdict("threshold_for_recall", on_a_grid)
    assert passed, sentence


# ---------------------------------------------------------------- wrong answers


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


PIXEL_LOSSES = [
    (lambda x, k: np.log(np.exp(x).sum()) - x[k], "overflows"),
    (lambda x, k: -np.log(np.exp(x)[k] / np.exp(x).sum()), "overflows"),
    (lambda x, k: x[k] - np.logaddexp.reduce(x), "sign is wrong"),
    (lambda x, k: softmax(x)[k], "the probability of the true class"),
    (lambda x, k: 1 - softmax(x)[k], "one minus the probability"),
    (lambda x, k: np.log(np.exp(x - x.max()).sum()) - x[k], "not added back"),
    (lambda x, k: np.logaddexp.reduce(x - x[k]) / np.log(10), "base 10"),
    (lambda x, k: np.logaddexp.reduce(x - x[k]) / np.log(2), "base 2"),
    (lambda x, k: np.mean(np.logaddexp.reduce(x) - x), "All classes are averaged"),
    (lambda x, k: np.logaddexp.reduce(x) - x.max(), "most probable class"),
    (
        lambda x, k: np.logaddexp.reduce(softmax(x)) - softmax(x)[k],
        "softmax is applied twice",
    ),
    (lambda x, k: -x[k], "minus the logit"),
]


def each_pixel(labels, logits, of_void=0):
    filled = np.where(labels == VOID, of_void, labels).astype(int)
    truth = np.take_along_axis(logits, filled[..., None], -1)[..., 0]
    return np.logaddexp.reduce(logits, axis=-1) - truth


def naive_void_loss(labels, logits):
    valid = labels != VOID
    x = np.exp(logits[valid])
    p = x[np.arange(len(x)), labels[valid]] / x.sum(axis=1)
    return -np.log(p).mean()


VOID_LOSSES = [
    (
        lambda y, x: (each_pixel(y, x) * (y != VOID)).mean(),
        "the division does not",
    ),
    (lambda y, x: each_pixel(y, x).mean(), "counted as class 0"),
    (lambda y, x: each_pixel(y, x, x.shape[-1] - 1).mean(), "counted as the last class"),
    (lambda y, x: each_pixel(y, x)[y != VOID].sum(), "This is the sum"),
    (lambda y, x: -each_pixel(y, x)[y != VOID].mean(), "sign is wrong"),
    (lambda y, x: each_pixel(y, softmax(x))[y != VOID].mean(), "softmax is applied twice"),
    (lambda y, x: each_pixel(y, x)[y != VOID].mean() / np.log(10), "base 10"),
    (lambda y, x: each_pixel(y, x)[y != VOID].mean() / np.log(2), "base 2"),
    (naive_void_loss, "with a logit of 1000"),
    (
        lambda y, x: -np.log(np.exp(-each_pixel(y, x)[y != VOID]).mean()),
        "probabilities are averaged",
    ),
    (lambda y, x: each_pixel(y, x), "expected one number"),
    (lambda y, x: x[y], "raised in line"),
]

ACCURACIES = [
    (lambda y, p: np.mean(y == p), "as wrong ones"),
    (lambda y, p: np.mean(np.where(y == VOID, True, y == p)), "counted as right"),
    (lambda y, p: (y == p).sum() / (p != VOID).sum(), "as wrong ones"),
    (
        lambda y, p: np.mean([accuracy_by_counting(a, b) for a, b in zip(y, p, strict=True)]),
        "averaged one by one",
    ),
    (
        lambda y, p: np.mean((y == p)[(y > 0) & (y < VOID)]),
        "Class 0 is left out",
    ),
    (lambda y, p: 100 * accuracy_by_counting(y, p), "per cent"),
    (lambda y, p: int(((y == p) & (y != VOID)).sum()), "number of right pixels"),
    (lambda y, p: 1 - accuracy_by_counting(y, p), "share of wrong pixels"),
    (
        lambda y, p: np.mean(
            [np.mean(p[y == c] == c) for c in sorted(set(y.ravel().tolist()) - {VOID})]
        ),
        "mean over the classes",
    ),
]


def weights_with(masks, n_classes, everywhere=False, void_too=False, middle=np.median, absent=0):
    pixels, areas = np.zeros(n_classes), np.zeros(n_classes)
    for mask in masks:
        labels = mask[mask != VOID]
        for c in range(n_classes):
            count = np.sum(labels == c)
            pixels[c] += count
            if count or everywhere:
                areas[c] += mask.size if void_too else labels.size
    seen = pixels > 0
    frequency = pixels[seen] / areas[seen]
    result = np.full(n_classes, float(absent))
    result[seen] = middle(frequency) / frequency
    return result


def inverse(weights):
    return np.where(weights > 0, 1 / np.maximum(weights, 1e-9), 0)


def weights_of_counts(masks, n_classes):
    labels = np.concatenate([mask[mask != VOID] for mask in masks])
    counts = np.bincount(labels, minlength=n_classes)
    middle = np.median(counts[counts > 0])
    return np.where(counts > 0, middle / np.maximum(counts, 1), 0)


def weights_plainly_divided(masks, n_classes):
    pixels, areas = np.zeros(n_classes), np.zeros(n_classes)
    for mask in masks:
        counts = np.bincount(mask[mask != VOID], minlength=n_classes)
        pixels, areas = pixels + counts, areas + (counts > 0) * counts.sum()
    with np.errstate(all="ignore"):
        frequency = pixels / areas
        return np.nanmedian(frequency) / frequency


def weights_median_of_all(masks, n_classes):
    weights = weights_with(masks, n_classes)
    seen = weights > 0
    frequency = np.zeros(n_classes)
    frequency[seen] = 1 / weights_with(masks, n_classes, middle=lambda f: 1.0)[seen]
    result = np.zeros(n_classes)
    result[seen] = np.median(frequency) / frequency[seen]
    return result


WEIGHTS = [
    (lambda m, n: weights_with(m, n, middle=np.mean), "Take the median"),
    (lambda m, n: weights_with(m, n, everywhere=True), "counted over all pictures"),
    (weights_of_counts, "or its pixels alone"),
    (lambda m, n: inverse(weights_with(m, n)), "upside down"),
    (lambda m, n: weights_with(m, n, middle=lambda f: 1.0), "one over the frequency"),
    (lambda m, n: weights_with(m, n, void_too=True), "Void pixels are counted"),
    (lambda m, n: weights_with(m, n, absent=1), "gets the weight 1"),
    (lambda m, n: weights_with(m, n, absent=np.inf), "infinite weight"),
    (weights_plainly_divided, "gets nan"),
    (weights_median_of_all, "as zeros"),
    (lambda m, n: weights_with(m, n) / weights_with(m, n).sum(), "divided by their sum"),
    (lambda m, n: 1.0, "it gives 1; expected"),
]


def by_precision(probabilities, truth, goal):
    valid = truth != VOID
    p, y = probabilities[valid], truth[valid]
    return max(t for t in p if np.mean(y[p >= t]) >= goal)


THRESHOLDS = [
    (lambda p, y, r: p[y != VOID].min(), "lowest threshold"),
    (lambda p, y, r: 0.0, "threshold of 0"),
    (by_precision, "looks at precision"),
    (
        lambda p, y, r: threshold_by_trying(p, (y > 0).astype(int), r),
        "Void pixels are counted",
    ),
    (lambda p, y, r: threshold_by_trying(p, np.ones_like(y), r), "All pixels are looked at"),
    (lambda p, y, r: np.quantile(p[y != VOID], 1 - r), "quantile over all pixels"),
    (lambda p, y, r: threshold_by_trying(p, y, 1 - r), "finds the share 1 - recall"),
    (lambda p, y, r: r, "recall itself"),
    (lambda p, y, r: 0.5, "0.5 whatever the data"),
]


def tables(confusion, iou=None, dice=None, absent=np.nan):
    both = np.diag(confusion).astype(float)
    true, called = confusion.sum(1).astype(float), confusion.sum(0).astype(float)
    with np.errstate(all="ignore"):
        a = iou(both, true, called) if iou else both / (true + called - both)
        b = dice(both, true, called) if dice else 2 * both / (true + called)
    gone = true + called == 0
    return np.where(gone, absent, a), np.where(gone, absent, b)


def only_true_classes(confusion):
    iou, dice = tables(confusion)
    iou[confusion.sum(1) == 0] = dice[confusion.sum(1) == 0] = np.nan
    return iou, dice


IOUS = [
    (lambda m: tables(m, dice=lambda b, t, c: b / (t + c)), "lacks the factor 2"),
    (lambda m: tables(m, iou=lambda b, t, c: b / (t + c)), "counted twice below"),
    (
        lambda m: tables(m, lambda b, t, c: b / (t + c), lambda b, t, c: 2 * b / (t + c - b)),
        "changed places",
    ),
    (lambda m: tables(m)[::-1], "first IoU, then Dice"),
    (lambda m: tables(m, iou=lambda b, t, c: b / t), "gives recall"),
    (lambda m: tables(m, iou=lambda b, t, c: b / c), "gives precision"),
    (lambda m: tables(m, absent=0), "gets 0, which says"),
    (lambda m: tables(m, absent=1), "a reward for nothing"),
    (
        lambda m: tables(
            m,
            lambda b, t, c: (b + 1) / (t + c - b + 1),
            lambda b, t, c: (2 * b + 1) / (t + c + 1),
            absent=1,
        ),
        "added above and below",
    ),
    (lambda m: tuple(float(np.nanmean(part)) for part in tables(m)), "means over the classes"),
    (only_true_classes, "predicted but never true"),
    (lambda m: tables(m)[0], "expected two things, IoU and Dice"),
]


def filled(ious, absent):
    return np.where(np.isnan(ious), absent, ious)


MEANS = [
    (lambda x, a: np.nanmean(np.nanmean(x, axis=1)), "always left out"),
    (lambda x, a: np.nan_to_num(x).mean(axis=1).mean(), "always count as 0"),
    (lambda x, a: filled(x, 1).mean(axis=1).mean(), "always count as 1"),
    (lambda x, a: np.nanmean(np.nanmean(filled(x, a), axis=0)), "of each class first"),
    (lambda x, a: np.nanmean(filled(x, a)), "go into one mean"),
    (lambda x, a: filled(x, a).mean(axis=1).mean(), "np.nanmean leaves nan out"),
    (
        lambda x, a: np.nanmean(x, axis=1).mean() if np.isnan(a) else x.mean(axis=1).mean(),
        "have to be replaced",
    ),
    (lambda x, a: np.nansum(filled(x, a), axis=1).mean(), "added up"),
    (lambda x, a: np.nanmean(filled(x, a), axis=1), "means of the single pictures"),
]


def bins_of(confidence, right, edges=None):
    edges = np.linspace(0, 1, 11) if edges is None else edges
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            yield confidence[inside].mean() - right[inside].mean(), inside.mean()


CALIBRATIONS = [
    (lambda c, r: np.mean([abs(d) for d, _ in bins_of(c, r)]), "also those with two pixels"),
    (lambda c, r: sum(abs(d) for d, _ in bins_of(c, r)) / 10, "also the empty ones"),
    (lambda c, r: max(abs(d) for d, _ in bins_of(c, r)), "largest distance"),
    (lambda c, r: sum(abs(d) for d, _ in bins_of(c, r)), "without weights"),
    (lambda c, r: sum(-d * s for d, s in bins_of(c, r)), "the sign is turned"),
    (lambda c, r: sum(d * d * s for d, s in bins_of(c, r)), "are squared"),
    (lambda c, r: np.mean(np.abs(c - r)), "Each pixel is compared by itself"),
    (lambda c, r: np.mean((c - r) ** 2), "Brier"),
    (lambda c, r: c.mean() - r.mean(), "as if all pixels were in one bin"),
    (lambda c, r: 100 * sum(abs(d) * s for d, s in bins_of(c, r)), "per cent"),
    (
        lambda c, r: sum(
            abs(d) * s for d, s in bins_of(c, r, [-1, *np.quantile(c, np.linspace(0.1, 1, 10))])
        ),
        "equally many pixels",
    ),
]

FAMILIES = {
    "pixel_loss": PIXEL_LOSSES,
    "cross_entropy_with_void": VOID_LOSSES,
    "accuracy_without_void": ACCURACIES,
    "median_frequency_weights": WEIGHTS,
    "threshold_for_recall": THRESHOLDS,
    "iou_and_dice": IOUS,
    "mean_per_picture": MEANS,
    "calibration_error": CALIBRATIONS,
}


@pytest.mark.parametrize(
    "name, answer, told",
    [(name, answer, told) for name, family in FAMILIES.items() for answer, told in family],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_mistakes_have_messages_of_their_own(name):
    sentences = {verdict(name, answer)[1] for answer, _ in FAMILIES[name]}
    assert len(sentences) >= 6 and len(sentences) >= len(FAMILIES[name]) - 2
