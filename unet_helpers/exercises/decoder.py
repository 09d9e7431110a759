"""Exercises on the decoder block and the crop of a skip connection."""

import functools
import itertools

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises import running
from unet_helpers.exercises.exercise import Incorrect, as_array, describe
from unet_helpers.exercises.running import close, numbers, raise_first, stages_of
from unet_helpers.models import blocks

# As in U-Net, the skip connection has as many channels as the block has filters.
HEIGHT, WIDTH, CHANNELS, N_FILTERS = 6, 8, 8, 4


def decoder_model(attempt, below, skip, n_filters, **options):
    """Make a model of a learner's decoder block: [below, skip] -> features."""
    inputs = keras.Input(below, name="expansive_input"), keras.Input(skip, name="contractive_input")

    def explain(shapes):
        if below in shapes[:2] and (2 * skip[0], 2 * skip[1]) in [shape[:2] for shape in shapes]:
            return "The two inputs are swapped: expansive_input, from below, is upsampled."
        if len(shapes) < 2 or skip not in shapes[:2]:
            return ""
        up = next((shape for shape in shapes[:2] if shape != skip), skip)
        return running.explain_join(up, skip, below, skip)

    value = running.run(attempt, *inputs, n_filters, explain=explain, **options)
    output = running.one_tensor(value, "What it returns")
    # The inputs go out as well: some versions of Keras refuse a model that leaves one unused.
    passed_on = [layers.Identity()(tensor) for tensor in inputs]
    return keras.Model(inputs, [output, *passed_on])


def explain_decoder_shape(model, height, width, n_filters):
    """Raise Incorrect when a decoder block's output has the wrong shape."""
    shape, expected = model.outputs[0].shape[1:], (2 * height, 2 * width, n_filters)
    half = "either strides=2 is missing in the transposed convolution, or the result is pooled."
    twice = "the features are doubled once, and joined along the channels (the last axis)."
    running.explain_shape("The result", shape, expected, half, twice)


def decoded(pair, stages, training, steps, interpolation, relu_after_up, skip_first):
    """Compute a decoder block of [features from below, skip connection] with `CHOICES` made."""
    below, skip = pair
    transposed, first, second = stages  # raises ValueError for any other number of kernels
    if interpolation:
        doubled = layers.UpSampling2D(2, interpolation=interpolation)(below)
        up = running.chain(doubled, [transposed], steps=())
    else:
        up = ops.conv_transpose(below, transposed["kernel"], strides=2, padding="same")
        up = up + transposed.get("bias", 0)
    up = ops.relu(up) if relu_after_up else up
    joined = ops.concatenate([skip, up] if skip_first else [up, skip], -1)
    return [running.chain(joined, [first, second], training, steps)]


CHOICES = {  # what a right block may have, by what it is called; "" is the course's
    "interpolation": {  # of an upsampling before a convolution; None: a transposed convolution
        "": None,
        "nearest upsampling and a convolution": "nearest",
        "bilinear upsampling and a convolution": "bilinear",
    },
    "relu_after_up": {"": False, "a ReLU right after upsampling": True},
    "skip_first": {"": False, "the skip connection first": True},
    "steps": running.NORMALISATIONS,  # after each convolution after the join
}
PARTS = {  # of all right blocks, by the names of their choices
    " and ".join(filter(None, names)): {
        option: CHOICES[option][name] for option, name in zip(CHOICES, names, strict=True)
    }
    for names in itertools.product(*CHOICES.values())
}
RIGHT = {name: functools.partial(decoded, **parts) for name, parts in PARTS.items()}
KERNELS = (
    ("The transposed convolution", None, CHANNELS, N_FILTERS),
    ("The first convolution after the join", (3,), 2 * N_FILTERS, N_FILTERS),
    ("The second convolution after the join", (3,), N_FILTERS, N_FILTERS),
)


def upsampling_block(expansive_input, contractive_input, n_filters=32, batch_norm=False):
    """Apply the course's decoder block with the parameters of the exercise."""
    return blocks.upsampling_block(
        expansive_input, contractive_input, n_filters, batch_norm=batch_norm
    )


@running.in_both_ways
def judge_upsampling_block(attempt, batch_norm):
    skip = (2 * HEIGHT, 2 * WIDTH, N_FILTERS)
    make = functools.partial(decoder_model, attempt, batch_norm=batch_norm)
    model = make((HEIGHT, WIDTH, CHANNELS), skip, N_FILTERS)
    running.explain_settings(model)
    explain_decoder_shape(model, HEIGHT, WIDTH, N_FILTERS)
    running.fill(model)
    random = np.random.default_rng(2)
    shapes = ((2, HEIGHT, WIDTH, CHANNELS), (2, *skip))
    pairs = [[random.normal(size=s).astype("float32") for s in shapes] for _ in range(2)]
    below, side = pairs[0]
    given, without_skip, without_below = (
        numbers(model(pair)[0]) for pair in (pairs[0], [below, side + 1], [below + 1, side])
    )
    channels = [stage["kernel"].shape[2] for stage in stages_of(model)[1:]]
    faults = {
        "The skip connection has no influence on the result. Is it concatenated, and do the "
        "convolutions take the joined tensor?": close(given, without_skip),
        "The features from below have no influence on the result.": close(given, without_below),
        "The upsampled features and the skip connection are added. U-Net concatenates them, so "
        "that the next convolution can weigh each by itself.": channels == [N_FILTERS] * 2,
    }
    raise_first(faults)
    choice = running.explain_model(model, pairs, RIGHT, KERNELS, batch_norm)
    running.explain_momentum(model)
    biases = running.note_on_biases(stages_of(model))
    for sizes in (((3, 5, 2), (6, 10, 7), 3), ((1, 1, 8), (2, 2, 1), 6)):
        explain_decoder_shape(make(*sizes), *sizes[0][:2], sizes[2])
    side = stages_of(model)[0]["kernel"].shape[0]
    of_two = f"a kernel of {side} to upsample" if side != 3 else ""
    return running.note_on_choices(of_two, choice) or biases


def centre_crop(features, target):
    """Crop with the course's function, which the network uses for tensors."""
    return blocks.crop_to(ops.convert_to_tensor(features), target)


def window_of(part, features):
    """Find a part in features: returns the first row and the first column, or None."""
    height, width = part.shape[1:3] if part.ndim == 4 else (0, 0)
    for first in itertools.product(*map(range, features.shape[1:3])):
        top, left = first
        if np.array_equal(features[:, top : top + height, left : left + width], part):
            return first
    return None


def judge_centre_crop(attempt):
    """Judge a crop. Where an odd number of pixels goes, the extra one may go before or after."""
    random = np.random.default_rng(3)
    crops = [((10, 12), (8, 8)), ((9, 7), (4, 4)), ((7, 8), (4, 3)), ((6, 6), (6, 2))]
    for sides, target in (*crops, ((5, 5), (5, 5))):
        features = random.normal(size=(1, *sides, 2)).astype("float32")
        told = f"For features of {sides[0]}x{sides[1]} and a target of {target[0]}x{target[1]} it"
        part = as_array(attempt(features, np.zeros((1, *target, 3), "float32")))
        first, found = window_of(part, features), part.shape[1:3]
        faults = {
            f"{told} comes out empty. Is more cut off than should go, or, where nothing goes, is "
            "the end -0? x[a:-0] is x[a:0]. Count from the front, x[a : a + n].": 0 in part.shape,
            f"{told} returns {describe(part)} that is not a part of the features. Axis 1 is the "
            "height, axis 2 the width; the pixels and all channels stay as they are.": not first,
        }
        raise_first(faults)
        spare = np.subtract(sides, target)
        centre = spare // 2
        if found != target or (first - centre > spare % 2).any() or (first < centre).any():
            told += f" keeps {rows_and_columns(first, found)}, counted from 0; the centre is "
            told += f"{rows_and_columns(centre, target)}: (height - target height) // 2 rows go"
            raise Incorrect(f"{told} before, and as many or one more after; columns likewise.")


def rows_and_columns(first, sides):
    """Say which rows and columns a window has."""
    (top, left), (height, width) = first, sides
    return f"rows {top} to {top + height - 1} and columns {left} to {left + width - 1}"
