"""Exercises on the decoder block and the crop of a skip connection."""

import contextlib
import itertools

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array
from unet_helpers.exercises.running import (
    ACTIVATIONS,
    PLAIN,
    close,
    explain_settings,
    explain_steps,
    fill,
    find_steps,
    is_right_without,
    numbers,
    one_tensor,
    raise_first,
    run,
    size,
    stages_of,
    upsample,
)
from unet_helpers.models import blocks

# ---------------------------------------------------------------- upsampling_block

CHANNELS, SKIP_CHANNELS, N_FILTERS = 10, 5, 4


def decoder_model(attempt, below, skip, n_filters):
    """Make a model of a learner's decoder block: [below, skip] -> features."""
    inputs = [keras.Input(below), keras.Input(skip)]

    def explain(shapes, text):
        return explain_join(shapes, text, below, skip)

    output = one_tensor(run(attempt, *inputs, n_filters, explain=explain), "What it returns")
    # The inputs go out as well: some versions of Keras refuse a model that leaves one unused,
    # which is for the check to explain.
    passed_on = [layers.Identity()(tensor) for tensor in inputs]
    return keras.Model(inputs, [output, *passed_on])


def explain_join(shapes, text, below, skip):
    """Return why two shapes cannot be joined, or ""."""
    if len(shapes) < 2 or skip not in shapes[:2]:
        return ""
    other = next((shape for shape in shapes[:2] if shape != skip), skip)
    if other == below:
        return (
            "What comes from below meets the skip connection as it is. It is upsampled first, by "
            "the transposed convolution."
        )
    if other[:2] == below[:2]:
        return (
            "What comes from below has not been doubled. Is strides=2 missing in the transposed "
            "convolution?"
        )
    if other[:2] != skip[:2]:
        return (
            f"What comes from below is {other[0]}x{other[1]} and not doubled once, from "
            f'{below[0]}x{below[1]}: is padding="same" missing in the transposed convolution?'
        )
    if "axis" in text:
        return "Only the channels may differ: concatenate along the last axis, axis=-1."
    return "U-Net does not add the two, it concatenates them: layers.Concatenate()([up, skip])."


def judge_upsampling_block(attempt):
    height, width = 6, 8
    model = decoder_model(
        attempt, (height, width, CHANNELS), (2 * height, 2 * width, SKIP_CHANNELS), N_FILTERS
    )
    explain_settings(model)
    explain_decoder_size(model.outputs[0], height, width, N_FILTERS)
    fill(model)
    random = np.random.default_rng(2)
    pairs = [
        [
            random.normal(size=(2, height, width, CHANNELS)).astype("float32"),
            random.normal(size=(2, 2 * height, 2 * width, SKIP_CHANNELS)).astype("float32"),
        ]
        for _ in range(2)
    ]
    given = outputs_of(model, pairs)
    below, skip = pairs[0]
    if close(given[0], outputs_of(model, [[below, skip + 1]])[0]):
        raise Incorrect(
            "The skip connection has no influence on the result. It is concatenated with the "
            "upsampled features, and the convolutions take the joined tensor."
        )
    if close(given[0], outputs_of(model, [[below + 1, skip]])[0]):
        raise Incorrect("The features from below have no influence on the result.")
    explain_kernel_count(model)
    if not close(given[0], numbers(model(pairs[0], training=True)[0])):
        raise Incorrect("In training it gives other numbers; nothing here depends on training.")
    note = compare_decoder(model, pairs, given)
    for sizes in (((3, 5, 2), (6, 10, 7), 3), ((1, 1, 8), (2, 2, 1), 6)):
        other = decoder_model(attempt, *sizes)
        explain_decoder_size(other.outputs[0], *sizes[0][:2], sizes[2])
    return note


def outputs_of(model, pairs):
    """Run a decoder block on batches from below and from the side."""
    return [numbers(model(pair)[0]) for pair in pairs]


def explain_decoder_size(output, height, width, n_filters):
    """Raise Incorrect when a decoder block's output has the wrong shape."""
    found, expected = tuple(output.shape[1:3]), (2 * height, 2 * width)
    result = f"The result is {size(output)} instead of {expected[0]}x{expected[1]}"
    raise_first(
        {
            f"{result}, as large as the features from below: is strides=2 missing in the "
            "transposed convolution?": found == (height, width),
            f'{result}: is padding="same" missing?': any(
                found == (expected[0] - lost, expected[1] - lost) for lost in (2, 4)
            ),
            f"{result}. The features from below are doubled once, and joined along the channels "
            "(the last axis).": found != expected,
            f"The result has {output.shape[-1]} channels instead of {n_filters=}: do the "
            "convolutions come after the join, with n_filters filters each?": (
                output.shape[-1] != n_filters
            ),
        }
    )


def explain_kernel_count(model):
    """Raise Incorrect unless a decoder block has an upsampling and two more kernels."""
    n_kernels = len(stages_of(model))
    if n_kernels != 3:
        fixed = any(isinstance(layer, layers.UpSampling2D) for layer in model.layers)
        raise Incorrect(
            f"Layers with kernels in use: {n_kernels}. The block has three: a transposed "
            "convolution, and two convolutions after the join; each takes what the one before it "
            f"returns.{' Yours upsamples without one that can learn.' if fixed else ''}"
        )


def explain_kernel_shapes(stages):
    """Raise Incorrect when one of a decoder block's three kernels has the wrong shape."""
    n_filters = N_FILTERS
    first, second, third = (tuple(stage["kernel"].shape) for stage in stages)
    raise_first(
        {
            f"The transposed convolution turns {CHANNELS} channels into another number than "
            f"{n_filters=}; all three layers have n_filters filters.": n_filters not in first[2:],
            "The skip connection joins after the first of the two convolutions; it belongs before "
            "both.": third[2] == n_filters + SKIP_CHANNELS,
            f"The first convolution takes {second[2]} channels; expected {n_filters} from below "
            f"and {SKIP_CHANNELS} from the skip connection, concatenated.": (
                second[2] != n_filters + SKIP_CHANNELS
            ),
            f"The two convolutions have kernels of {second[:2]} and {third[:2]}; U-Net's are "
            "3x3.": second[:2] + third[:2] != (3, 3, 3, 3),
            "The block's parameters are three kernels and three biases; yours has others.": (
                any(set(stage) != {"kernel", "bias"} for stage in stages)
            ),
        }
    )


def concatenate(up, skip):
    return ops.concatenate([up, skip], -1)


def join_with(
    pair, stages, interpolation=None, after_up=lambda x: x, join=concatenate, after=lambda x: x
):
    """Upsample the first of two tensors, and join the second to it."""
    below, skip = pair
    return after(join(after_up(upsample(below, stages[0], interpolation)), skip))


UPSAMPLINGS = {
    "": {},
    "nearest upsampling and a convolution": {"interpolation": "nearest"},
    "bilinear upsampling and a convolution": {"interpolation": "bilinear"},
}
RELUS = {"": {}, "a ReLU right after upsampling": {"after_up": ops.relu}}
ORDERS = {
    "": {},
    "the skip connection first": {"join": lambda up, skip: concatenate(skip, up)},
}
RIGHT = {  # as good as the course's
    " and ".join(filter(None, names)): UPSAMPLINGS[names[0]] | RELUS[names[1]] | ORDERS[names[2]]
    for names in itertools.product(UPSAMPLINGS, RELUS, ORDERS)
}
MISTAKES = {
    "There is a ReLU after the concatenation, which cuts the features off.": {"after": ops.relu},
    "The upsampled features and the skip connection are added. U-Net concatenates them, so that "
    "the next convolution can weigh each by itself.": {
        "join": lambda up, skip: up + ops.mean(skip, -1, keepdims=True)
    },
    **{
        f"The transposed convolution is followed by {name}; it has no activation.": {
            "after_up": activation
        }
        for name, activation in ACTIVATIONS.items()
        if name != "ReLU"
    },
}


def find_join(candidates, pairs, stages, given, choices=PLAIN[:1]):
    """Find the first join and steps that give an answer's numbers: (name, steps), or two None."""
    for name, options in candidates.items():
        with contextlib.suppress(Exception):  # a kernel of another shape cannot be so used
            joined = [join_with(pair, stages, **options) for pair in pairs]
            if steps := find_steps(joined, stages[1:], given, choices):
                return name, steps
    return None, None


def compare_decoder(model, pairs, given):
    """Compare with all decoder blocks that are right; returns a note, or raises Incorrect."""
    stages = stages_of(model)
    mistake, _ = find_join(MISTAKES, pairs, stages, given)
    if mistake:
        raise Incorrect(mistake)
    explain_kernel_shapes(stages)
    choice, steps = find_join(RIGHT, pairs, stages, given)
    if steps:
        side = stages[0]["kernel"].shape[0]
        if side != 3:
            choice = " and ".join(filter(None, (f"a kernel of {side} to upsample", choice)))
        told = "; the course's own block does not, but that is a matter of taste."
        return f"Yours has {choice}{told}" if choice else None
    _, steps = find_join(RIGHT, pairs, stages, given, PLAIN)
    if steps:
        explain_steps(steps, PLAIN)

    def is_right(other):
        return find_join(RIGHT, pairs, stages, outputs_of(other, pairs))[1]

    if too_many := is_right_without(model, is_right):
        raise Incorrect(f"There is a layer too many: without its {too_many} it is right.")
    raise Incorrect(
        "With the same weights as the course's block it gives other numbers. Expected: transposed "
        "convolution, concatenate, convolution, ReLU, convolution, ReLU."
    )


upsampling_block_exercise = Exercise(
    "upsampling_block",
    judge_upsampling_block,
    blocks.upsampling_block,
    shown=(blocks.upsampling_block, blocks.concat_skip, blocks.convolution),
)


# ---------------------------------------------------------------- crop


def crop_with(before, after, features, target):
    """Crop by functions (have, want) -> index that tell where rows and columns begin and end."""
    rows, columns = (
        slice(before(have, want), after(have, want))
        for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True)
    )
    return features[:, rows, columns]


def centre_crop(features, target):
    """Crop with the course's function, which the network uses for tensors."""
    return blocks.crop_to(ops.convert_to_tensor(features), target)


def rounded_up(features, target):
    return crop_with(
        lambda n, m: (n - m + 1) // 2, lambda n, m: (n - m + 1) // 2 + m, features, target
    )


def half(have, want):
    return (have - want) // 2


CROP_MISTAKES = {
    "The upper left corner is kept, not the centre: half of what goes belongs before, half "
    "after.": lambda x, t: x[:, : t.shape[1], : t.shape[2]],
    "The lower right corner is kept, not the centre.": (
        lambda x, t: crop_with(lambda n, m: n - m, lambda n, m: n, x, t)
    ),
    "As many pixels are cut off on each side as should go altogether: halve them.": (
        lambda x, t: crop_with(lambda n, m: n - m, lambda n, m: m, x, t)
    ),
    "As many pixels go before as after, so a difference that is odd leaves one too many. Count "
    "from the front, x[a : a + size].": (
        lambda x, t: crop_with(half, lambda n, m: n - half(n, m), x, t)
    ),
    "The centre begins one pixel too late: (n - m) // 2 pixels go before.": (
        lambda x, t: crop_with(lambda n, m: half(n, m) + 1, lambda n, m: half(n, m) + 1 + m, x, t)
    ),
    "The end of a slice is a position, not a length: x[a : a + size], not x[a : size].": (
        lambda x, t: crop_with(half, lambda n, m: m, x, t)
    ),
    "The image is resized. A crop keeps the pixels of the centre as they are.": (
        lambda x, t: numbers(ops.image.resize(x, t.shape[1:3]))
    ),
    "It comes out empty where nothing is to be cut off: x[a:-0] is x[a:0]. Count from the front, "
    "x[a : a + size].": (
        lambda x, t: crop_with(half, lambda n, m: -half(n + 1, m), x, t),
        lambda x, t: crop_with(half, lambda n, m: -half(n, m), x, t),
    ),
    "Only the rows, or only the columns, are cropped; both are.": (
        lambda x, t: numbers(centre_crop(x, x[:, : t.shape[1]])),
        lambda x, t: numbers(centre_crop(x, x[:, :, : t.shape[2]])),
    ),
    "The target comes back. It only says how large the result is; the pixels are those of "
    "features.": lambda x, t: t,
    "Height and width are swapped. Axis 1 is the height, axis 2 the width; axis 0 is the batch.": (
        lambda x, t: numbers(centre_crop(x, t.swapaxes(1, 2)))
    ),
    "Features and target are swapped: features is the larger one.": (
        lambda x, t: crop_with(half, lambda n, m: half(n, m) + m, t, x)
    ),
    "Nothing is cropped.": lambda x, t: x,
}


def judge_centre_crop(attempt):
    random = np.random.default_rng(3)
    sides = [
        ((8, 10), (4, 6)),
        ((9, 7), (4, 4)),
        ((7, 8), (4, 3)),
        ((6, 6), (6, 2)),
        ((5, 5), (5, 5)),
    ]
    cases = [
        (
            random.normal(size=(1, *larger, 2)).astype("float32"),
            np.zeros((1, *smaller, 1 if larger == (8, 10) else 3), "float32"),
        )
        for larger, smaller in sides
    ]
    answers = [as_array(attempt(*case)) for case in cases]
    if all(np.array_equal(a, rounded_up(*c)) for a, c in zip(answers, cases, strict=True)):
        return (
            "Where an odd number of pixels goes, yours takes the extra one before, the course's "
            "after: nobody can say which is the centre."
        )
    compare(
        attempt,
        cases,
        lambda x, t: numbers(centre_crop(x, t)),
        CROP_MISTAKES,
        lambda x, t: f"features {x.shape} and a target {t.shape}",
        convert=as_array,
    )
    return None


centre_crop_exercise = Exercise(
    "centre_crop", judge_centre_crop, centre_crop, shown=(blocks.crop_to,)
)
