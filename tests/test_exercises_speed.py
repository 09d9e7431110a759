"""The checks of the exercises on speed accept right answers and tell wrong ones apart.

The wrong answers are written here as a learner would write them, not taken from the package.
"""

import functools

import keras
import numpy as np
import pytest

from unet_helpers import exercises


@functools.cache
def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


def fold_by_loops(kernel, gamma, beta, mean, variance, epsilon):
    new, bias = np.empty_like(kernel), []
    for channel in range(kernel.shape[3]):
        deviation = (variance[channel] + epsilon) ** 0.5
        new[..., channel] = kernel[..., channel] / deviation * gamma[channel]
        bias.append(beta[channel] - gamma[channel] * mean[channel] / deviation)
    return [new, bias]


def fold_in_keras(kernel, gamma, beta, mean, variance, epsilon):
    factor = gamma * keras.ops.rsqrt(variance + epsilon)
    return keras.ops.einsum("hwio,o->hwio", kernel, factor), beta - mean * factor


def fold_by_asking_the_layer(kernel, gamma, beta, mean, variance, epsilon):
    layer = keras.layers.BatchNormalization(epsilon=epsilon)
    layer.build((None, len(mean)))
    layer.set_weights([gamma, beta, mean, variance])
    zero, one = (keras.ops.convert_to_numpy(layer(np.full((1, len(mean)), x)))[0] for x in (0, 1))
    return kernel * (one - zero), zero


def limit_by_intensity(operations, bytes_moved, peak_operations, bandwidth):
    intensity, balance = operations / bytes_moved, peak_operations / bandwidth
    if intensity > balance:
        return operations / peak_operations, "compute"
    return bytes_moved / bandwidth, "memory"


def limit_by_speed(operations, bytes_moved, peak_operations, bandwidth):
    reached = min(peak_operations, operations / bytes_moved * bandwidth)
    return [np.float32(operations / reached), "memory" if reached < peak_operations else "compute"]


@pytest.mark.parametrize(
    "name, answer",
    [
        ("fold", fold_by_loops),
        ("fold", fold_in_keras),
        ("fold", fold_by_asking_the_layer),
        ("roofline", limit_by_intensity),
        ("roofline", limit_by_speed),
    ],
)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def fold(kernel=lambda k, f: k * f, bias=lambda b, m, f: b - m * f, factor=None, order=1):
    def my_fold(k, gamma, beta, mean, variance, epsilon):
        f = gamma / (variance + epsilon) ** 0.5
        if factor is not None:
            f = factor(gamma, variance, epsilon)
        return (kernel(k, f), bias(beta, mean, f))[::order]

    return my_fold


def true_fold(kernel, gamma, beta, mean, variance, epsilon):
    return fold()(kernel, gamma, beta, mean, variance, epsilon)


FOLDS = [
    (fold(factor=lambda g, v, e: g / (v + e)), "where `np.sqrt(variance + epsilon)` belongs"),
    (fold(factor=lambda g, v, e: g / v**0.5), "`variance` stands where `variance + epsilon`"),
    (fold(factor=lambda g, v, e: g / (v**0.5 + e)), "epsilon is added after the root"),
    (
        fold(factor=lambda g, v, e: (v + e) ** -0.5),
        "`1 / np.sqrt(variance + epsilon)` stands where",
    ),
    (
        fold(factor=lambda g, v, e: (v + e) ** 0.5 / g),
        "/ gamma` stands where `gamma /",
    ),
    (
        fold(factor=lambda g, v, e: (v + e) ** 0.5 * g),
        "`gamma * np.sqrt(variance + epsilon)` stands where",
    ),
    (fold(bias=lambda b, m, f: b), "`beta` stands where `beta - mean * factor` belongs"),
    (fold(bias=lambda b, m, f: b - m), "`mean` stands where `mean * factor` belongs"),
    (fold(bias=lambda b, m, f: m * f + b), "`beta + mean * factor` stands where"),
    (fold(bias=lambda b, m, f: 0 - m * f), "`-(mean * factor)` stands where"),
    (fold(bias=lambda b, m, f: f * (b - m)), "`(beta - mean) * factor` stands where"),
    (fold(kernel=lambda k, f: k), "`kernel` stands where `kernel * factor` belongs"),
    (fold(kernel=lambda k, f: np.einsum("hwio,i->hwio", k, f)), "channels that come in"),
    (fold(order=-1), "swapped: first the kernel"),
    (
        lambda k, g, b, m, v, e: (
            true_fold(k - m, g, b, m, v, e)[0],
            true_fold(k, g, b, m, v, e)[1],
        ),
        "mean is subtracted from the kernel",
    ),
    (
        fold(bias=lambda b, m, f: (b - m * f)[None, None, None]),
        "shape is (1, 1, 1, 2)",
    ),
    (lambda k, g, b, m, v, e: true_fold(k, b, g, m, v, e), "arguments, gamma and beta"),
    (
        lambda k, g, b, m, v, e: true_fold(k, g, b, v, m, e),
        "arguments, mean and variance",
    ),
    (fold(kernel=lambda k, f: k * f + 1), "The kernel: It is always 1 too large."),
    (lambda k, g, b, m, v, e: true_fold(k, g, b, m, v, e)[0], "expected two things, kernel and"),
]


def limit(seconds=max, compute=lambda o, b, p, w: o / p > b / w, order=1):
    def my_roofline(o, b, p, w):
        what = "compute" if compute(o, b, p, w) else "memory"
        return (seconds(o / p, b / w), what)[::order]

    return my_roofline


def seconds_by(rule):
    return lambda o, b, p, w: (rule(o, b, p, w), "compute" if o / p > b / w else "memory")


def counted_twice(operations, bytes_moved, peak_operations, bandwidth):
    computing, moving = 2 * operations / peak_operations, bytes_moved / bandwidth
    return max(computing, moving), "compute" if computing > moving else "memory"


ROOFS = [
    (limit(lambda x, y: x + y), "times are added up"),
    (limit(lambda x, y: (x + y) / 2), "mean of the two times"),
    (limit(min), "`min(computing, moving)` stands where"),
    (limit(lambda x, y: x), "memory is left out"),
    (limit(lambda x, y: y), "computing is left out"),
    (limit(lambda x, y: 1 / max(x, y)), "The seconds: The fraction is upside down"),
    (seconds_by(lambda o, b, p, w: min(p, o * w / b)), "speed that can be reached"),
    (counted_twice, "With `operations` in place of `2 * operations` it is right"),
    (seconds_by(lambda o, b, p, w: max(o / w, b / p)), "It confuses two of its arguments"),
    (limit(compute=lambda o, b, p, w: o / p < b / w), "stands where `computing >= moving`"),
    (limit(compute=lambda o, b, p, w: 1), 'always says "compute"'),
    (limit(compute=lambda o, b, p, w: 0), 'always says "memory"'),
    (limit(compute=lambda o, b, p, w: b < o), "Operations are compared with bytes"),
    # half of the operations would give the same limits, but other seconds
    (limit(compute=lambda o, b, p, w: o / p > b / w + 1), 'gives 3.5 and "memory"; expected'),
    (limit(compute=lambda o, b, p, w: o > 700), 'and "memory"; expected'),
    (limit(order=-1), "swapped: first the seconds"),
    (lambda o, b, p, w: max(o / p, b / w), 'expected two things, the seconds and "compute"'),
    (lambda o, b, p, w: (max(o / p, b / w), "gpu"), "Its second result is 'gpu'"),
    (lambda o, b, p, w: (max(o / p, b / w), o > b), "Its second result is "),
    (
        seconds_by(lambda o, b, p, w: max(o / p, b * w)),
        "`bytes_moved * bandwidth` stands where",
    ),
    (limit(lambda x, y: max(x, y) + 3), "It is always 3 too large."),
    (limit(lambda x, y: max(1 / x, 1 / y)), "stand on their heads"),
    (limit(lambda x, y: max(x, y * 8)), "turned into bits"),
    (limit(lambda x, y: max(x, y) ** 1.1), "For operations 800, bytes_moved 10, "),
]

FAMILIES = {"fold": FOLDS, "roofline": ROOFS}


@pytest.mark.parametrize(
    "name, answer, told",
    [(name, answer, told) for name, family in FAMILIES.items() for answer, told in family],
)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence


@pytest.mark.parametrize("name", FAMILIES)
def test_no_two_mistakes_get_the_same_message(name):
    sentences = [verdict(name, answer)[1] for answer, _ in FAMILIES[name]]
    assert len(set(sentences)) == len(sentences) >= 10


def test_a_kernel_with_other_channels_out_than_in_is_tried_as_well():
    def my_fold(kernel, gamma, beta, mean, variance, epsilon):
        if kernel.shape[2] != kernel.shape[3]:
            return kernel, beta
        return true_fold(kernel, gamma, beta, mean, variance, epsilon)

    passed, sentence = verdict("fold", my_fold)
    # the branch is never taken then
    told = "With `kernel.shape[3]` in place of `kernel.shape[2]` it is right (line 2"
    assert not passed and told in sentence


@pytest.mark.parametrize(
    ("work", "expected"),
    [((100, 10), (2.0, "compute")), ((100, 30), (3.0, "memory")), ((10, 1), (0.2, "compute"))],
)
def test_roofline_by_hand(work, expected):
    """A machine of 50 MACs and 10 bytes per second has its balance at 5 MACs per byte."""
    assert exercises.roofline.reference(*work, 50, 10) == expected
