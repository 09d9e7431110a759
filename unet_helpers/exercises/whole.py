"""Exercise on the whole U-Net, judged with the weights copied into the course's own."""

import functools

import keras
import numpy as np
from keras import ops

from unet_helpers.exercises.exercise import Incorrect, describe
from unet_helpers.exercises.running import (
    chain,
    close,
    explain_join,
    explain_kernels,
    explain_model,
    explain_shape,
    fill,
    normalise,
    note_on_biases,
    note_on_choices,
    numbers,
    run,
    stages_of,
    upsample,
)
from unet_helpers.models import unet

IMAGE, N_FILTERS, N_CLASSES = (32, 48, 3), 4, 7
WIDTHS = (1, 2, 4, 8, 16, 8, 4, 2, 1)  # of the blocks, in multiples of n_filters


def unet_model(input_size, n_filters=32, n_classes=13, dropout_prob=0.3, batch_norm=False):
    """Build the course's U-Net with the parameters of the exercise."""
    return unet.unet_model(input_size, n_filters, n_classes, dropout_prob, batch_norm=batch_norm)


def judge_unet_model(attempt):
    make = functools.partial(built, attempt, IMAGE, N_FILTERS, N_CLASSES)
    model = make(dropout_prob=0.5, batch_norm=False)
    images = list(np.random.default_rng(4).uniform(0, 255, (2, 1, *IMAGE)).astype("float32"))
    explain_logits(numbers(model(images[0])), IMAGE, N_FILTERS, N_CLASSES)
    fill(model)
    logits = numbers(model(images[0]))
    if (logits >= 0).all():
        raise Incorrect(
            "No output is negative: there is a softmax, a sigmoid or a ReLU at the end. The "
            "network ends in logits; the loss does the rest (from_logits=True)."
        )
    name = explain_network(model, images, batch_norm=False)
    if close(numbers(model(images[0], training=True)), logits):
        raise Incorrect(
            "dropout_prob=0.5 changes nothing: in training no value is dropped. Pass it on to the "
            "fourth encoder block and the bottleneck."
        )
    small = (16, 16, 1)
    other = built(attempt, small, 2, 3, dropout_prob=0.0, batch_norm=False)
    white = np.full((2, *small), 255.0, "float32")
    logits = numbers(other(white))
    explain_logits(logits, small, 2, 3)
    if not close(numbers(other(white, training=True)), logits):
        raise Incorrect("With dropout_prob=0.0 values are still dropped in training.")
    stages = stages_of(model)
    model = make(dropout_prob=0.0, batch_norm=True)
    fill(model)
    explain_network(model, images, batch_norm=True)
    return note_on_choices(*choices(name, stages)) or note_on_precision(attempt)


def explain_network(model, images, batch_norm):
    """Compare a network with the course's; returns how it differs, and raises Incorrect."""
    stages = stages_of(model)
    places = [place for place, *_ in kernels(stages)]
    normalised = ["gamma" in stage for stage in stages]
    if batch_norm and not any(normalised):
        raise Incorrect("batch_norm=True changes nothing. Pass it on to every block.")
    if any(normalised) and not batch_norm:
        raise Incorrect("With batch_norm=False there is still a batch normalisation.")
    note_on_biases(stages)
    name = explain_model(model, images, RIGHT, WRONG)
    explain_kernels(stages, kernels(stages))
    for place, has_one in zip(places, normalised, strict=True):
        if batch_norm and not has_one and "convolution of" in place:
            raise Incorrect(
                f"With batch_norm=True there is no normalisation after {place[0].lower()}"
                f"{place[1:]}. Pass batch_norm on to every block."
            )
    if name is None:
        raise Incorrect(
            "With the same weights as the course's U-Net it gives other logits. Does each decoder "
            "block get the result of the one before, and the skip connection of its own level?"
        )
    return name


def built(attempt, image, n_filters, n_classes, **options):
    """Let a learner build a model; adds the likely cause where a skip connection does not fit."""
    model = run(
        attempt,
        image,
        n_filters,
        n_classes,
        explain=lambda shapes: explain_skip(shapes, image, n_filters),
        **options,
    )
    if not isinstance(model, keras.Model):
        raise Incorrect(
            f"It returns {describe(model)}; expected a model, keras.Model(inputs, outputs)."
        )
    shape = getattr(model, "input_shape", None) or (None, *image)  # subclassed: unknown
    if tuple(shape[1:]) not in (image, (None, None, image[2])):
        raise Incorrect(f"With input_size {image} its input is {shape[1:]}: use the argument.")
    return model


def explain_skip(shapes, image, n_filters):
    """Return why the two tensors of these shapes do not meet in a decoder block, or ""."""
    if len(shapes) < 2 or shapes[0][2:] not in [(width * n_filters,) for width in WIDTHS[5:]]:
        return ""
    up, skip = shapes[:2]
    number = WIDTHS[5:].index(up[2] // n_filters)  # of the block, from below
    sides = [tuple(side >> level for side in image[:2]) for level in (3 - number, 4 - number, 5)]
    if up[:2] == (2 * sides[2][0], 2 * sides[2][1]):
        return "Does the bottleneck still pool? It is the one block with max_pooling=False."
    if number and up[:2] == sides[1]:
        return f"Decoder block {number + 1} does not take what decoder block {number} returns."
    below = (*sides[1], 2 * up[2])
    told = explain_join(up, skip, below, (*sides[0], up[2]))
    return f"Decoder block {number + 1} belongs to encoder block {4 - number}. {told}"


def explain_logits(logits, image, n_filters, n_classes):
    """Raise Incorrect when a network's output has the wrong shape."""
    height, width = image[:2]
    if logits.ndim != 4:
        raise Incorrect(
            f"The output has the shape {logits.shape}; expected (batch, {height}, {width}, "
            f"{n_classes}): no Flatten and no Dense, they forget where things are."
        )
    if logits.shape[-1] == n_filters != n_classes:
        raise Incorrect(
            f"The output has {n_filters} channels, the features of the last decoder block. A 1x1 "
            "convolution with n_classes filters turns them into logits."
        )
    half = "four encoder blocks halve it four times, so four decoder blocks must double it."
    twice = "it is doubled more often than halved."
    explain_shape("The output", logits.shape[1:], (height, width, n_classes), half, twice)


# ---------------------------------------------------------------- right and wrong networks


def wired(
    x,
    stages,
    scale=lambda x: x / 255,
    bottleneck=True,
    skips=(1, 2, 3, 4),
    join=lambda up, skip: ops.concatenate([up, skip], -1),
    after_up=lambda x: x,
    interpolation=None,
):
    """Compute the logits of a U-Net with parts of it exchanged.

    Args:
        x: batch of images.
        stages: weights of all its convolutions (see `stages_of`), which decide on the widths.
        scale: what happens to the image first.
        bottleneck: whether a block lies below the encoder.
        skips: levels with a skip connection, 1 the finest.
        join: joins upsampled features and the skip connection.
        after_up: what follows the upsampling.
        interpolation: of an upsampling that is followed by a convolution, in place of the
            transposed one.
    """
    if len(stages) - (23 if bottleneck else 21) not in (0, 1):
        raise ValueError("One more convolution before the last is all that may differ.")
    stages = iter(stages)

    def block(x, n_convolutions=2):
        for _ in range(n_convolutions):
            stage = next(stages)
            x = chain(x, [stage], [(normalise, ops.relu) if "gamma" in stage else (ops.relu,)])
        return x

    x, kept = scale(x), []
    for _ in range(4):
        kept.append(block(x))
        x = ops.max_pool(kept[-1], 2)
    x = block(x) if bottleneck else x
    for level in (4, 3, 2, 1):
        x = after_up(upsample(x, next(stages), interpolation))
        x = block(join(x, kept[level - 1]) if level in skips else x)
    rest = list(stages)
    stages = iter(rest)
    x = block(x, len(rest) - 1)
    return [chain(x, rest[-1:], [()])]


RIGHT = {  # as good as the course's
    "": wired,
    "the skip connection first in every concatenation": functools.partial(
        wired, join=lambda up, skip: ops.concatenate([skip, up], -1)
    ),
    "a ReLU after every transposed convolution": functools.partial(wired, after_up=ops.relu),
    "nearest upsampling and a convolution": functools.partial(wired, interpolation="nearest"),
    "bilinear upsampling and a convolution": functools.partial(wired, interpolation="bilinear"),
}
SCALES = {
    "The image goes in as it is, 0 to 255. The course's networks divide by 255 in their first "
    "layer: layers.Rescaling(1 / 255).": lambda x: x,
    "The image is divided by 255 twice; once is right.": lambda x: x / 255**2,
    "The image is scaled to -1 to 1. The course's networks divide by 255, to 0 to 1.": (
        lambda x: x / 127.5 - 1
    ),
}
WRONG = {
    "The bottleneck is missing, or its result is not passed on: below the four encoder blocks lies "
    "one block of 16 n_filters without pooling.": functools.partial(wired, bottleneck=False),
    "There is no skip connection: no decoder block joins one.": functools.partial(wired, skips=()),
    "The skip connections are added; U-Net concatenates them.": functools.partial(
        wired, join=ops.add
    ),
    **{
        f"The skip connection of encoder block {n} is not used.": functools.partial(
            wired, skips={1, 2, 3, 4} - {n}
        )
        for n in (1, 2, 3, 4)
    },
    **{
        sentence: tuple(functools.partial(function, scale=scale) for function in RIGHT.values())
        for sentence, scale in SCALES.items()
    },
}


def kernels(stages):
    """List what `explain_kernels` expects of a network that has these stages."""
    expected, before = [], IMAGE[2]
    blocks = [f"encoder block {n}" for n in (1, 2, 3, 4)] + ["the bottleneck"]
    blocks += [f"decoder block {n}" for n in (1, 2, 3, 4)]
    for block, width in zip(blocks, WIDTHS, strict=True):
        width *= N_FILTERS
        if block.startswith("decoder"):
            expected.append((f"The upsampling of {block}", None, before, width))
            before = 2 * width  # concatenated
        expected.append((f"The first convolution of {block}", (3,), before, width))
        expected.append((f"The second convolution of {block}", (3,), width, width))
        before = width
    if len(stages) == 24:
        expected.append(("The convolution before the last", (3,), before, before))
    return [*expected, ("The last convolution", (1, 3), before, N_CLASSES)]


def choices(name, stages):
    """List how a right network differs from the course's."""
    sides = [stage["kernel"].shape[0] for stage in stages]
    return (
        name,
        "" if len(stages) == 24 else "no extra convolution before the last layer, as the paper",
        "2x2 transposed convolutions, as the paper" if 2 in sides and not name else "",
        "a 3x3 convolution as last layer" if sides[-1] == 3 else "",
    )


def note_on_precision(attempt):
    """Return a note when the logits would not be float32 in half precision."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        dtype = attempt(IMAGE, N_FILTERS, N_CLASSES).outputs[0].dtype
    except (Incorrect, AttributeError):  # a subclassed model has no outputs to look at
        return None
    finally:
        keras.config.set_dtype_policy(policy)
    if dtype == "float32":
        return None
    return (
        f'In half precision your logits would be {dtype}: give the last layer dtype="float32", or '
        "the loss becomes coarse."
    )
