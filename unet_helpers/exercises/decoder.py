"""Exercises on the decoder block and the crop of a skip connection."""

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array
from unet_helpers.exercises.running import (
    chain,
    close,
    explain_activations,
    fill,
    numbers,
    one_tensor,
    size,
    weights_of,
)
from unet_helpers.models import blocks

# ---------------------------------------------------------------- upsampling_block


def upsampling_model(attempt, below, skip, n_filters):
    """Make a model of a learner's decoder block: [below, skip] -> features."""
    inputs = [keras.Input(below), keras.Input(skip)]
    output = one_tensor(attempt(inputs[0], inputs[1], n_filters), "What it returns")
    # The inputs go out as well: some versions of Keras refuse a model that leaves one unused,
    # which is for the check to explain.
    passed_on = [layers.Identity()(tensor) for tensor in inputs]
    return keras.Model(inputs, [output, *passed_on])


def judge_upsampling_block(attempt):
    height, width, channels, skip_channels, n_filters = 6, 8, 10, 5, 4
    model = upsampling_model(
        attempt, (height, width, channels), (2 * height, 2 * width, skip_channels), n_filters
    )
    explain_decoder_size(model.outputs[0], height, width, n_filters)
    fill(model)
    random = np.random.default_rng(2)
    below = random.normal(size=(2, height, width, channels)).astype("float32")
    skip = random.normal(size=(2, 2 * height, 2 * width, skip_channels)).astype("float32")
    given = numbers(model([below, skip])[0])
    if close(given, numbers(model([below, skip + 1])[0])):
        raise Incorrect(
            "The skip connection has no influence on the result. It is concatenated with the "
            "enlarged features before the convolutions."
        )
    if close(given, numbers(model([below + 1, skip])[0])):
        raise Incorrect("The features from below have no influence on the result.")

    kernels, biases = weights_of(model)
    explain_decoder_kernels(kernels, channels, skip_channels, n_filters)
    if len(biases) != 3:
        raise Incorrect(
            f"There are {len(biases)} vectors of parameters; expected three biases, of the "
            "transposed convolution and the two convolutions."
        )
    if not close(given, numbers(model([below, skip], training=True)[0])):
        raise Incorrect("In training it gives other numbers; nothing here depends on training.")
    note = compare_decoder(given, below, skip, kernels, biases)
    for sizes in (((3, 5, 2), (6, 10, 7), 3), ((1, 1, 8), (2, 2, 1), 6)):
        other = upsampling_model(attempt, *sizes)
        explain_decoder_size(other.outputs[0], *sizes[0][:2], sizes[2])
    return note


def explain_decoder_size(output, height, width, n_filters):
    """Raise Incorrect when a decoder block's output has the wrong shape."""
    expected = f"{2 * height}x{2 * width}"
    if tuple(output.shape[1:3]) == (height, width):
        raise Incorrect(
            f"The result is {size(output)}, as large as the features from below, instead of "
            f"{expected}: is strides=2 missing in the transposed convolution?"
        )
    if tuple(output.shape[1:3]) in (
        (2 * height - 4, 2 * width - 4),
        (2 * height - 3, 2 * width - 3),
        (2 * height - 2, 2 * width - 2),
    ):
        raise Incorrect(
            f'The result is {size(output)} instead of {expected}: is padding="same" missing?'
        )
    if tuple(output.shape[1:3]) != (2 * height, 2 * width):
        raise Incorrect(
            f"The result is {size(output)} instead of {expected}. The features from below are "
            "doubled once, and joined along the channels (the last axis)."
        )
    if output.shape[-1] != n_filters:
        raise Incorrect(
            f"The result has {output.shape[-1]} channels instead of n_filters={n_filters}: do the "
            "convolutions come after the join, with n_filters filters each?"
        )


def explain_decoder_kernels(kernels, channels, skip_channels, n_filters):
    """Raise Incorrect unless a decoder block has one enlarging and two more kernels that fit."""
    if len(kernels) < 3:
        raise Incorrect(
            f"There are {len(kernels)} layers with kernels; the block has three: a transposed "
            "convolution, and two convolutions after the join."
        )
    if len(kernels) > 3:
        raise Incorrect(
            f"There are {len(kernels)} layers with kernels; the block has three: a transposed "
            "convolution, and two convolutions after the join."
        )
    joined = kernels[1].shape[2]
    if joined == n_filters and channels != n_filters:
        raise Incorrect(
            "The enlarged features and the skip connection are added. U-Net concatenates them, so "
            "that the next convolution can weigh each by itself."
        )
    if channels in kernels[0].shape[2:] and n_filters not in kernels[0].shape[2:]:
        raise Incorrect(
            f"The transposed convolution turns {channels} channels into another number than "
            f"n_filters={n_filters}; all three layers have n_filters filters."
        )
    if joined != n_filters + skip_channels:
        raise Incorrect(
            f"The first convolution takes {joined} channels; expected {n_filters} from below and "
            f"{skip_channels} from the skip connection."
        )
    for kernel in kernels[1:]:
        if tuple(kernel.shape[:2]) != (3, 3):
            raise Incorrect(
                f"A kernel is {kernel.shape[0]}x{kernel.shape[1]}; U-Net's convolutions are 3x3."
            )


def compare_decoder(given, below, skip, kernels, biases):
    """Compare with all decoder blocks that are right; gives a note, or raises Incorrect."""
    weights = list(zip(kernels[1:], biases[1:], strict=True))
    enlarged = ways_to_enlarge(below, kernels[0], biases[0])
    for name, up in enlarged:
        for order, join in (
            ("", ops.concatenate([up, skip], -1)),
            ("the skip connection first", ops.concatenate([skip, up], -1)),
        ):
            if close(given, numbers(chain(join, weights, ("ReLU", "ReLU")))):
                found = [part for part in (name, order) if part]
                if not found:
                    return None
                return (
                    f"Yours has {' and '.join(found)}; the course's own block does not, but that "
                    "is a matter of taste."
                )
    for _, up in enlarged:
        for join in (ops.concatenate([up, skip], -1), ops.concatenate([skip, up], -1)):
            explain_activations(join, weights, given)
    raise Incorrect(
        "With the same weights as the course's block it gives other numbers. Expected: transposed "
        "convolution, concatenate, convolution, ReLU, convolution, ReLU."
    )


def ways_to_enlarge(below, kernel, bias):
    """List (what a learner chose, enlarged features) for all ways to enlarge that are right."""
    if kernel.shape[3] == below.shape[-1]:  # (side, side, out, in): a transposed convolution
        up = ops.conv_transpose(below, kernel, strides=2, padding="same") + bias
        side = "" if kernel.shape[0] == 3 else f"a kernel of {kernel.shape[0]} to enlarge"
        relu = "a ReLU right after enlarging"
        return [(side, up), (f"{side} and {relu}" if side else relu, ops.relu(up))]
    ways = []
    for interpolation in ("nearest", "bilinear"):
        larger = layers.UpSampling2D(2, interpolation=interpolation)(below)
        up = ops.conv(larger, kernel, padding="same") + bias
        name = f"{interpolation} upsampling and a convolution"
        ways += [(name, up), (f"{name} with ReLU", ops.relu(up))]
    return ways


upsampling_block_exercise = Exercise(
    "upsampling_block",
    judge_upsampling_block,
    blocks.upsampling_block,
    shown=(blocks.upsampling_block, blocks.concat_skip, blocks.convolution),
)


# ---------------------------------------------------------------- crop


def crop_with(before, features, target):
    """Crop as `blocks.crop_to` does, with another rule for the pixels that go before."""
    rows, columns = (
        slice(before(have, want), before(have, want) + want)
        for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True)
    )
    return features[:, rows, columns]


def centre_crop(features, target):
    """Crop with the course's function, which the network uses for tensors."""
    return blocks.crop_to(ops.convert_to_tensor(features), target)


def judge_centre_crop(attempt):
    random = np.random.default_rng(3)
    cases = [
        (
            random.normal(size=(1, *larger, 2)).astype("float32"),
            np.zeros((1, *smaller, 3), "float32"),
        )
        for larger, smaller in [
            ((8, 10), (4, 6)),
            ((9, 7), (4, 4)),
            ((6, 6), (6, 2)),
            ((5, 5), (5, 5)),
        ]
    ]
    rounded_up = [crop_with(lambda n, m: (n - m + 1) // 2, *case) for case in cases]
    answers = [as_array(attempt(*case)) for case in cases]
    if all(np.array_equal(a, b) for a, b in zip(answers, rounded_up, strict=True)):
        return (
            "Where an odd number of pixels goes, yours takes the extra one before, the course's "
            "after: nobody can say which is the centre."
        )
    mistakes = [
        (
            lambda x, t: crop_with(lambda n, m: 0, x, t),
            "The upper left corner is kept, not the centre: half of what goes belongs before, "
            "half after.",
        ),
        (
            lambda x, t: crop_with(lambda n, m: n - m, x, t),
            "The lower right corner is kept, not the centre.",
        ),
        (
            cut_twice,
            "As many pixels are cut off on each side as should go altogether: halve them.",
        ),
        (
            lambda x, t: numbers(ops.image.resize(x, t.shape[1:3])),
            "The image is resized. A crop keeps the pixels of the centre as they are.",
        ),
        (
            lambda x, t: numbers(ops.image.resize(x, t.shape[1:3], interpolation="nearest")),
            "The image is resized. A crop keeps the pixels of the centre as they are.",
        ),
        (
            cut_with_minus_zero,
            "It comes out empty where nothing is to be cut off: x[a:-0] is x[a:0]. Count from the "
            "front, x[a : a + size].",
        ),
        (
            crop_rows,
            "Only the rows are cropped; columns as well.",
        ),
        (
            lambda x, t: t,
            "The target comes back. It only says how large the result is; the pixels are those of "
            "features.",
        ),
        (
            lambda x, t: crop_with(lambda n, m: (n - m) // 2, x, t.swapaxes(1, 2)),
            "Height and width are swapped. Axis 1 is the height, axis 2 the width; axis 0 is the "
            "batch.",
        ),
        (
            lambda x, t: x,
            "Nothing is cropped.",
        ),
    ]
    compare(
        attempt,
        cases,
        lambda x, t: numbers(centre_crop(x, t)),
        mistakes,
        lambda x, t: f"features {x.shape} and a target {t.shape}",
        convert=as_array,
    )
    return None


def cut_with_minus_zero(features, target):
    """Crop with negative ends, which fails where nothing is to be cut off."""
    a, b = ((n - m) // 2 for n, m in zip(features.shape[1:3], target.shape[1:3], strict=True))
    c, d = ((n - m + 1) // 2 for n, m in zip(features.shape[1:3], target.shape[1:3], strict=True))
    return features[:, a:-c, b:-d]


def cut_twice(features, target):
    """Cut off on each side as much as should go altogether."""
    rows, columns = (
        slice(have - want, want)
        for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True)
    )
    return features[:, rows, columns]


def crop_rows(features, target):
    """Crop the rows only."""
    first = (features.shape[1] - target.shape[1]) // 2
    return features[:, first : first + target.shape[1]]


centre_crop_exercise = Exercise(
    "centre_crop", judge_centre_crop, centre_crop, shown=(blocks.crop_to,)
)
