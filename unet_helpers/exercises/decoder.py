"""Exercises on the decoder block and the crop of a skip connection."""

import functools
import itertools

import keras
import numpy as np
from keras import layers, ops

from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Incorrect, as_array
from unet_helpers.exercises.running import (
    NORMALISED,
    PLAIN,
    chain,
    close,
    explain_join,
    explain_kernels,
    explain_model,
    explain_normalisation,
    explain_settings,
    explain_shape,
    fill,
    in_both_ways,
    note_on_biases,
    note_on_choices,
    numbers,
    one_tensor,
    raise_first,
    run,
    stages_of,
    upsample,
)
from unet_helpers.models import blocks

# ---------------------------------------------------------------- upsampling_block

# As in U-Net, the skip connection has as many channels as the block has filters.
HEIGHT, WIDTH, CHANNELS, N_FILTERS = 6, 8, 8, 4


def decoder_model(attempt, below, skip, n_filters, **options):
    """Make a model of a learner's decoder block: [below, skip] -> features."""
    inputs = [
        keras.Input(below, name="expansive_input"),
        keras.Input(skip, name="contractive_input"),
    ]

    def explain(shapes):
        if len(shapes) < 2 or skip not in shapes[:2]:
            return ""
        up = next((shape for shape in shapes[:2] if shape != skip), skip)
        return explain_join(up, skip, below, skip)

    value = run(attempt, *inputs, n_filters, explain=explain, **options)
    output = one_tensor(value, "What it returns")
    # The inputs go out as well: some versions of Keras refuse a model that leaves one unused,
    # which is for the check to explain.
    passed_on = [layers.Identity()(tensor) for tensor in inputs]
    return keras.Model(inputs, [output, *passed_on])


def explain_decoder_shape(model, height, width, n_filters):
    """Raise Incorrect when a decoder block's output has the wrong shape."""
    explain_shape(
        "The result",
        model.outputs[0].shape[1:],
        (2 * height, 2 * width, n_filters),
        "is strides=2 missing in the transposed convolution?",
        "the features are doubled once, and joined along the channels (the last axis).",
    )


def concatenate(up, skip):
    return ops.concatenate([up, skip], -1)


def decoded(
    pair,
    stages,
    interpolation=None,
    after_up=lambda x: x,
    join=concatenate,
    late=0,
    steps=PLAIN[""],
    training=False,
):
    """Compute a decoder block with parts of it exchanged.

    Args:
        pair: arrays from below and of the skip connection.
        stages: weights of its convolutions.
        interpolation: of an upsampling that is followed by a convolution, in place of the
            transposed one.
        after_up: what follows the upsampling.
        join: function (up, skip).
        late: number of convolutions that come before the join.
        steps: what follows each of the two convolutions.
        training: whether a normalisation takes the batch's own mean and variance.
    """
    below, skip = pair
    transposed, *two = stages
    if len(two) != 2:
        raise ValueError("The block has three kernels.")
    x = after_up(upsample(below, transposed, interpolation))
    x = chain(x, two[:late], steps[:late], training)
    return [chain(join(x, skip), two[late:], steps[late:], training)]


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


def right_blocks(ways, training=False):
    """Make the blocks that are as good as the course's: a dict from how they differ to a function.

    ways: `PLAIN` or `NORMALISED`.
    """
    some = {name: {"steps": steps, "training": training} for name, steps in ways.items()}
    return {
        " and ".join(filter(None, names)): functools.partial(
            decoded,
            **UPSAMPLINGS[names[0]],
            **RELUS[names[1]],
            **ORDERS[names[2]],
            **some[names[3]],
        )
        for names in itertools.product(UPSAMPLINGS, RELUS, ORDERS, some)
    }


def wrong_blocks(steps, training):
    """Make wrong blocks: a dict from a mistake's sentence to a function."""
    wrong = functools.partial(decoded, steps=steps, training=training)
    return {
        "The upsampled features and the skip connection are added. U-Net concatenates them, so "
        "that the next convolution can weigh each by itself.": functools.partial(
            wrong, join=ops.add
        ),
        "The skip connection joins after the first of the two convolutions; it belongs before "
        "both.": functools.partial(wrong, late=1),
    }


def upsampling_block(expansive_input, contractive_input, n_filters=32, batch_norm=False):
    """Apply the course's decoder block with the parameters of the exercise."""
    return blocks.upsampling_block(
        expansive_input, contractive_input, n_filters, batch_norm=batch_norm
    )


def judge_upsampling_block(attempt):
    return in_both_ways(judge_block, attempt)


def judge_block(attempt, batch_norm):
    """Judge the block without or with batch normalisation; returns a note or None."""
    skip = (2 * HEIGHT, 2 * WIDTH, N_FILTERS)
    make = functools.partial(decoder_model, attempt, batch_norm=batch_norm)
    model = make((HEIGHT, WIDTH, CHANNELS), skip, N_FILTERS)
    explain_settings(model)
    explain_decoder_shape(model, HEIGHT, WIDTH, N_FILTERS)
    fill(model)
    random = np.random.default_rng(2)
    shapes = ((2, HEIGHT, WIDTH, CHANNELS), (2, *skip))
    pairs = [[random.normal(size=s).astype("float32") for s in shapes] for _ in range(2)]
    below, side = pairs[0]
    given, without_skip, without_below = (
        numbers(model(pair)[0]) for pair in (pairs[0], [below, side + 1], [below + 1, side])
    )
    raise_first(
        {
            "The skip connection has no influence on the result. Is it concatenated with the "
            "upsampled features, and do the convolutions take the joined tensor?": (
                close(given, without_skip)
            ),
            "The features from below have no influence on the result.": close(given, without_below),
        }
    )
    ways = NORMALISED if batch_norm else PLAIN
    for training in (False, True):
        right, wrong = right_blocks(ways, training), wrong_blocks(ways[""], training)
        choice = explain_model(model, pairs, right, wrong, training)
        expected = [
            ("The transposed convolution", None, CHANNELS, N_FILTERS),
            ("The first convolution after the join", (3,), 2 * N_FILTERS, N_FILTERS),
            ("The second convolution after the join", (3,), N_FILTERS, N_FILTERS),
        ]
        explain_kernels(stages_of(model), expected)
        if choice is None and batch_norm:
            other = right_blocks(ways, not training)
            explain_normalisation(model, pairs, N_FILTERS, other, training)
        if choice is None:
            raise Incorrect(
                "With the same weights as the course's block it gives other numbers. Expected: "
                "transposed convolution, concatenate, then twice convolution, "
                f"{'batch normalisation, ' * batch_norm}ReLU."
            )
    biases = note_on_biases(stages_of(model))
    for sizes in (((3, 5, 2), (6, 10, 7), 3), ((1, 1, 8), (2, 2, 1), 6)):
        explain_decoder_shape(make(*sizes), *sizes[0][:2], sizes[2])
    side = stages_of(model)[0]["kernel"].shape[0]
    of_two = f"a kernel of {side} to upsample" if side != 3 else ""
    return note_on_choices(of_two, choice) or biases


# ---------------------------------------------------------------- crop


def centre_crop(features, target):
    """Crop with the course's function, which the network uses for tensors."""
    return blocks.crop_to(ops.convert_to_tensor(features), target)


def half(have, want):
    return (have - want) // 2


def half_rounded_up(have, want):
    return (have - want + 1) // 2


def crop(features, target, rows=half, columns=half):
    """Crop from the rows and columns that functions (have, want) say."""
    height, width = target.shape[1:3]
    top, left = rows(features.shape[1], height), columns(features.shape[2], width)
    return features[:, top : top + height, left : left + width]


def crop_between(first, end):
    """Make a wrong crop from functions (have, want) -> where rows and columns begin and end."""

    def function(features, target):
        rows, columns = (
            slice(first(have, want), end(have, want))
            for have, want in zip(features.shape[1:3], target.shape[1:3], strict=True)
        )
        return features[:, rows, columns]

    return function


CROP_MISTAKES = {
    "The upper left corner is kept, not the centre: half of what goes belongs before, half "
    "after.": crop_between(lambda n, m: 0, lambda n, m: m),
    "The lower right corner is kept, not the centre.": crop_between(
        lambda n, m: n - m, lambda n, m: n
    ),
    "As many pixels are cut off on each side as should go altogether: halve them.": crop_between(
        lambda n, m: n - m, lambda n, m: m
    ),
    "As many pixels go before as after, so a difference that is odd leaves one too many. Count "
    "from the front, x[a : a + size].": crop_between(half, lambda n, m: n - half(n, m)),
    "The crop begins where the centre lies, at half of the height and width. Half of what is "
    "too much goes before.": crop_between(lambda n, m: n // 2, lambda n, m: n // 2 + m),
    "The centre begins one pixel too late: (n - m) // 2 pixels go before.": crop_between(
        lambda n, m: half(n, m) + 1, lambda n, m: half(n, m) + 1 + m
    ),
    "One row and one column too many are kept: a slice ends before its end.": crop_between(
        half, lambda n, m: half(n, m) + m + 1
    ),
    "The end of a slice is a position, not a length: x[a : a + size], not x[a : size].": (
        crop_between(half, lambda n, m: m)
    ),
    "It comes out empty where nothing is to be cut off: x[a:-0] is x[a:0]. Count from the front, "
    "x[a : a + size].": (
        crop_between(half, lambda n, m: -half(n + 1, m)),
        crop_between(half, lambda n, m: -half(n, m)),
    ),
    "The image is resized. A crop keeps the pixels of the centre as they are.": (
        lambda x, t: numbers(ops.image.resize(x, t.shape[1:3]))
    ),
    "Only the rows, or only the columns, are cropped; both are. Axis 1 is the height, axis 2 the "
    "width; axis 0 is the batch.": (
        lambda x, t: crop(x, x[:, : t.shape[1]]),
        lambda x, t: crop(x, x[:, :, : t.shape[2]]),
    ),
    "The columns begin where the rows do; what goes before is counted for each by itself.": (
        lambda x, t: crop(x, t, columns=lambda *_: half(x.shape[1], t.shape[1]))
    ),
    "Height and width are swapped. Axis 1 is the height, axis 2 the width; axis 0 is the batch.": (
        lambda x, t: crop(x, t.swapaxes(1, 2))
    ),
    "The channels are cropped as well; all of those of features stay.": (
        lambda x, t: crop(x, t)[..., : t.shape[3]]
    ),
}


def judge_centre_crop(attempt):
    random = np.random.default_rng(3)
    sides = [
        ((8, 10), (4, 6, 1)),
        ((9, 7), (4, 4, 1)),
        ((7, 8), (4, 3, 3)),
        ((6, 6), (6, 2, 3)),
        ((5, 5), (5, 5, 3)),
    ]
    cases = [
        (random.normal(size=(1, *larger, 2)).astype("float32"), np.zeros((1, *smaller), "float32"))
        for larger, smaller in sides
    ]

    def is_centre(answer, case):
        ways = itertools.product((half, half_rounded_up), repeat=2)
        return any(np.array_equal(answer, crop(*case, *way)) for way in ways)

    answers = [as_array(attempt(*case)) for case in cases]
    if all(map(is_centre, answers, cases)):
        if all(np.array_equal(a, crop(*case)) for a, case in zip(answers, cases, strict=True)):
            return None
        return (
            "Where an odd number of pixels goes, yours takes the extra one before, the course's "
            "after: nobody can say which is the centre."
        )
    compare(
        attempt,
        cases,
        lambda features, target: crop(features, target),
        CROP_MISTAKES,
        lambda x, t: f"features {x.shape} and a target {t.shape}",
        convert=as_array,
    )
    return None
