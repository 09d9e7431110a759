"""The checks of the arithmetic exercises accept right answers and tell wrong ones apart.

The wrong answers are written here as a learner would write them, not taken from the package.
"""

import itertools
import math

import keras
import numpy as np
import pytest

from unet_helpers import exercises


def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


def size_by_counting(size, kernel, stride, padding):
    if padding == "valid":
        return len([start for start in range(0, size, stride) if start + kernel <= size])
    return len(range(0, size, stride))


def size_from_keras(size, kernel, stride, padding):
    layer = keras.layers.Conv2D(1, kernel, strides=stride, padding=padding)
    return layer.compute_output_shape((1, size, size, 1))[1]


def transposed_by_stamps(size, kernel, stride, padding):
    ends = [place * stride + kernel for place in range(size)]
    return float(max(ends)) if padding == "valid" else float(stride * size)


def transposed_from_keras(size, kernel, stride, padding):
    layer = keras.layers.Conv2DTranspose(1, kernel, strides=stride, padding=padding)
    return layer.compute_output_shape((1, size, size, 1))[1]


def field_from_the_end(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return np.int64(field)


def cost_from_keras(height, width, channels, n_filters, n_layers):
    x = inputs = keras.Input((height, width, channels))
    for _ in range(n_layers):
        x = keras.layers.Conv2D(n_filters, 3, padding="same")(x)
    model = keras.Model(inputs, x)
    kernels = sum(int(np.prod(w.shape)) for w in model.weights if len(w.shape) == 4)
    return [model.count_params(), kernels * height * width]


def cost_in_flops(height, width, channels, n_filters, n_layers):
    parameters, operations = cost_from_keras(height, width, channels, n_filters, n_layers)
    return parameters, 2 * operations


def fold_by_loops(weights, height, width):
    channels = len(weights) // (height * width)
    kernel = np.empty((height, width, channels, weights.shape[1]))
    for row, column, channel in np.ndindex(height, width, channels):
        kernel[row, column, channel] = weights[(row * width + column) * channels + channel]
    return kernel


def stamps_by_keras(inputs, kernel, stride):
    layer = keras.layers.Conv2DTranspose(
        kernel.shape[2], kernel.shape[0], strides=stride, use_bias=False
    )
    layer.build((None, *inputs.shape))
    layer.set_weights([kernel])
    return layer(inputs[None])[0]


def stamps_by_channels(inputs, kernel, stride):
    (height, width, n_in), (side, _, n_out, _) = inputs.shape, kernel.shape
    sheet = np.zeros(((height - 1) * stride + side, (width - 1) * stride + side, n_out))
    for i, j, c, k in np.ndindex(height, width, n_in, n_out):
        place = np.s_[i * stride : i * stride + side, j * stride : j * stride + side, k]
        sheet[place] += inputs[i, j, c] * kernel[:, :, k, c]
    return sheet


@pytest.mark.parametrize(
    "name, answer",
    [
        ("output_size", size_by_counting),
        ("output_size", size_from_keras),
        ("transposed_size", transposed_by_stamps),
        ("transposed_size", transposed_from_keras),
        ("receptive_field", field_from_the_end),
        ("stack_cost", cost_from_keras),
        ("dense_as_convolution", fold_by_loops),
        (
            "dense_as_convolution",
            lambda x, h, w: keras.ops.reshape(x, (h, w, len(x) // (h * w), x.shape[1])),
        ),
        ("transposed_convolution", stamps_by_keras),
        ("transposed_convolution", stamps_by_channels),
    ],
)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def test_counting_flops_is_a_convention():
    passed, sentence = verdict("stack_cost", cost_in_flops)
    assert passed and "half of yours" in sentence


OUTPUT_SIZES = [
    (lambda n, k, s, p: math.ceil(n / s), 'right for padding "same" in all cases'),
    (
        lambda n, k, s, p: math.ceil((n - k) / s) + 1 if p == "valid" else math.ceil(n / s),
        "rounded up: a last window",
    ),
    (lambda n, k, s, p: n // s + (k if p == "valid" else 3), "expected 94"),
    # two mistakes at once, and each told apart
    (lambda n, k, s, p: (n - k) // s + 2 if p == "valid" else n // s + 3, 'padding is "valid"'),
]

TRANSPOSED_SIZES = [
    (size_by_counting, "size of an ordinary convolution"),
    # each of the two is wrong in its own way, and what is said of one is not said of the other
    (lambda n, k, s, p: n * s - s + k - (s if p == "valid" else 0), 'padding is "same"'),
]


def chain(rule):
    def my_receptive_field(layers):
        field = step = 1
        for kernel, stride in layers:
            field, step = rule(field, step, kernel, stride)
        return field

    return my_receptive_field


FIELDS = [
    (
        lambda layers: 1 + sum(kernel - 1 for kernel, _ in layers),
        "`step *= stride` is missing",
    ),
    (chain(lambda f, j, k, s: (f + (k - 1) * (j * s), j * s)), "counted too early"),
    (chain(lambda f, j, k, s: (f + k // 2 * j, j * s)), "counted by half"),
    (chain(lambda f, j, k, s: ((f + k - 1) * s, 1)), "whole field is multiplied"),
    (chain(lambda f, j, k, s: (f + (k - 1) * j, j * min(s, 2))), "it gives 12; expected 14"),
    (lambda layers: field_from_the_end(layers[::-1]), "from the last to the first"),
]


def cost(height, width, channels, n_filters, n_layers, side=9, biases=1, first=None, pixels=None):
    parameters = operations = 0
    n_in = first or channels
    for _ in range(n_layers):
        parameters += side * n_in * n_filters + biases * n_filters
        operations += side * n_in * n_filters * (height * width if pixels is None else pixels)
        n_in = n_filters
    return parameters, operations


COSTS = [
    (lambda h, w, c, f, n: cost(h, w, c, f, n, first=f), "uses n_filters where channels"),
    (
        lambda h, w, c, f, n: (n * (9 * c * f + f), n * 9 * c * f * h * w),
        "A step like `channels = n_filters` is missing",
    ),
    (lambda h, w, c, f, n: cost(h, w, c, f, n, pixels=1), "those of one pixel"),
    (lambda h, w, c, f, n: cost(h, w, c, f, n)[::-1], "swapped"),
    (
        lambda h, w, c, f, n: (cost(h, w, c, f, n)[0], cost(h, w, c, f, n)[0] * h * w),
        "contain biases",
    ),
    (
        lambda h, w, c, f, n: cost(h, w, c, f, n, pixels=(h - 2) * (w - 2)),
        'those of padding "valid"',
    ),
    (lambda h, w, c, f, n: 9 * c * f, "expected two things, parameters and multiply-adds"),
]


def classes_of(weights):
    return weights.shape[1]


FOLDS = [
    (
        lambda x, h, w: np.moveaxis(x.reshape(-1, h, w, classes_of(x)), 0, 2),
        "read in another order",
    ),
    (lambda x, h, w: x.reshape(w, h, -1, classes_of(x)), "two of its arguments, height and width"),
    (
        lambda x, h, w: np.flip(x.reshape(h, w, -1, classes_of(x)), (0, 1)),
        "turned by 180 degrees",
    ),
    (
        lambda x, h, w: x.reshape(h, w, classes_of(x), -1),
        "the shape is (2, 3, 5, 4); expected",
    ),
    (lambda x, h, w: x.T.reshape(h, w, -1, classes_of(x)), "transposed before it was folded"),
    (lambda x, h, w: x.reshape((h, w, -1, classes_of(x)), order="F"), "read in another order"),
    (lambda x, h, w: x, "The values are right, but the shape is (24, 5)"),
]


def stamp_sheet(inputs, kernel, stride, lay="add", step=None):
    step = stride if step is None else step
    side = kernel.shape[0]
    height, width, _ = inputs.shape
    sheet = np.zeros(((height - 1) * step + side, (width - 1) * step + side, kernel.shape[2]))
    for i in range(height):
        for j in range(width):
            stamp = np.einsum("klop,p->klo", kernel, inputs[i, j])
            window = sheet[i * step : i * step + side, j * step : j * step + side]
            window[:] = window + stamp if lay == "add" else stamp
    return sheet


def sheet_of(merge, first=0):
    """Make a stamping that merges a window and a stamp in its own way."""

    def stamped(inputs, kernel, stride):
        sheet = np.zeros_like(stamp_sheet(inputs, kernel, stride))
        for i, j in itertools.product(range(first, len(inputs)), range(first, inputs.shape[1])):
            window = sheet[i * stride :, j * stride :][: len(kernel), : len(kernel)]
            window[:] = merge(window, kernel @ inputs[i, j])
        return sheet

    return stamped


def kernel_the_other_way(inputs, kernel, stride):
    side, n_out = kernel.shape[0], kernel.shape[3]
    height, width, _ = inputs.shape
    sheet = np.zeros(((height - 1) * stride + side, (width - 1) * stride + side, n_out))
    for i, j in np.ndindex(height, width):
        stamp = np.einsum("klpo,p->klo", kernel, inputs[i, j])
        sheet[i * stride : i * stride + side, j * stride : j * stride + side] += stamp
    return sheet


SHEETS = [
    (
        lambda x, k, s: stamp_sheet(np.pad(x[:-1, :-1], ((0, 1), (0, 1), (0, 0))), k, s),
        "last row and column are left out",
    ),
    (lambda x, k, s: stamp_sheet(x, k, s, step=len(k)), "side by side"),
    (lambda x, k, s: stamp_sheet(x[..., :1], k[..., :1], s), "first channel of the input"),
    (
        lambda x, k, s: stamp_sheet(x, k, s)[: x.shape[0] * s, : x.shape[1] * s],
        'padding="same" leaves',
    ),
    (kernel_the_other_way, "kernel with its last two axes swapped"),
    (sheet_of(np.add, first=1), "The first or the last row and column"),
    (sheet_of(np.maximum), "the largest value is taken"),
    (
        lambda x, k, s: np.pad(stamp_sheet(x, k, s), ((0, s), (0, s), (0, 0))),
        "The sheet is too large",
    ),
    (
        lambda x, k, s: stamp_sheet(x, k, s) + np.zeros((len(x) * s, 1, 1)),
        "The shapes in this line",
    ),
]

FAMILIES = {
    "output_size": OUTPUT_SIZES,
    "transposed_size": TRANSPOSED_SIZES,
    "receptive_field": FIELDS,
    "stack_cost": COSTS,
    "dense_as_convolution": FOLDS,
    "transposed_convolution": SHEETS,
}


@pytest.mark.parametrize(
    "name, answer, told",
    [(name, answer, told) for name, family in FAMILIES.items() for answer, told in family],
)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence
