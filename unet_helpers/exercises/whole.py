"""Exercise on the whole U-Net, judged with the weights copied into the course's own."""

import re

import keras
import numpy as np
from keras import ops

from unet_helpers.exercises.exercise import Exercise, Incorrect, describe
from unet_helpers.exercises.running import (
    NORM,
    chain,
    fill,
    first_fit,
    is_right_without,
    numbers,
    raise_first,
    run,
    stages_of,
    upsample,
)
from unet_helpers.models import unet

IMAGE, N_FILTERS, N_CLASSES = (32, 48, 3), 4, 7


def logits_of(model, images):
    """Run a learner's model, whether functional or subclassed; returns an array."""
    try:
        return numbers(model(images, training=False))
    except Exception as error:
        raise Incorrect(
            f"The model cannot be run on images {images.shape} ({type(error).__name__})."
        ) from None


def judge_unet_model(attempt):
    model = built(attempt, IMAGE, N_FILTERS, N_CLASSES)
    images = list(np.random.default_rng(4).uniform(0, 255, (2, 1, *IMAGE)).astype("float32"))
    explain_logits(logits_of(model, images[0]), IMAGE, N_FILTERS, N_CLASSES)
    fill(model)
    logits = [logits_of(model, image) for image in images]
    explain_last_activation(logits[0])
    note = explain_network(model, images, logits)
    small = (16, 16, 1)
    other = built(attempt, small, 2, 3)
    explain_logits(logits_of(other, np.zeros((2, *small), "float32")), small, 2, 3)
    return note or note_on_precision(attempt)


def built(attempt, image, n_filters, n_classes):
    """Let a learner build a model; adds the likely cause where a skip connection does not fit."""
    model = run(
        attempt, image, n_filters, n_classes, explain=lambda _, text: explain_skip(text, image[0])
    )
    if isinstance(model, keras.KerasTensor):
        raise Incorrect(
            "It returns the last tensor. Make a model of it: keras.Model(inputs, outputs)."
        )
    if not isinstance(model, keras.Model):
        raise Incorrect(f"It returns {describe(model)}; expected a keras.Model.")
    shape = getattr(model, "input_shape", None) or (None, *image)  # subclassed: unknown
    if tuple(shape[1:]) not in (image, (None, None, image[2])):
        raise Incorrect(f"With input_size {image} its input is {shape[1:]}: use the argument.")
    return model


def explain_skip(text, height):
    """Return why the course's decoder block refuses a skip connection, or ""."""
    sizes = [int(found) for found in re.findall(r"(\d+)x\d+", text)]
    if "skip connection" not in text or len(sizes) != 2:
        return ""
    skip, up = sizes
    if up == (height >> 5) * 2:
        return "Does the bottleneck still pool? It is the one block with max_pooling=False."
    if skip < up:
        return (
            "That skip comes from too deep, or is pooled. Every level has one of its own, the "
            "second tensor that conv_block returns."
        )
    return (
        "Are the skips in the right order of depth? The last encoder block's goes to the first "
        "decoder block, and every decoder block takes the result of the one before."
    )


def explain_logits(logits, image, n_filters, n_classes):
    """Raise Incorrect when a network's output has the wrong shape."""
    height, width = image[:2]
    if logits.ndim != 4:
        raise Incorrect(
            f"The output has the shape {logits.shape}; expected (batch, {height}, {width}, "
            f"{n_classes}): no Flatten and no Dense, they forget where things are."
        )
    found = f"{logits.shape[1]}x{logits.shape[2]}"
    raise_first(
        {
            f"The output is {found} for an image of {height}x{width}. Four encoder blocks halve it "
            "four times, so four decoder blocks must double it.": found != f"{height}x{width}",
            f"The output has {n_filters} channels, the features of the last decoder block. A 1x1 "
            "convolution with n_classes filters turns them into logits.": (
                logits.shape[-1] == n_filters != n_classes
            ),
            f"The output has {logits.shape[-1]} channels instead of {n_classes=}.": (
                logits.shape[-1] != n_classes
            ),
        }
    )


def explain_last_activation(logits):
    """Raise Incorrect when the outputs are not logits."""
    positive = (logits >= 0).all()
    raise_first(
        {
            "The outputs of a pixel sum to one: there is a softmax at the end. The loss applies it "
            "itself (from_logits=True), so the network ends in logits.": (
                positive and np.allclose(logits.sum(-1), 1, atol=1e-3)
            ),
            "All outputs lie between 0 and 1: there is a sigmoid at the end. The network ends in "
            "logits; the loss does the rest.": ((logits > 0) & (logits < 1)).all(),
            "No output is negative: there is a ReLU at the end. Logits have both signs, or no "
            "class could ever be unlikely.": positive,
        }
    )


# ---------------------------------------------------------------- right and wrong networks


def wired(
    x,
    stages,
    levels=4,
    depth=2,
    bottleneck=True,
    skips=(1, 2, 3, 4),
    join=lambda up, skip: ops.concatenate([up, skip], -1),
    pooling=ops.max_pool,
    after_up=lambda x: x,
    interpolation=None,
):
    """Compute the logits of a U-Net with parts of it exchanged.

    Args:
        x: batch of images.
        stages: weights of all its convolutions (see `stages_of`), which decide on the widths.
        levels: number of encoder blocks.
        depth: convolutions in a block.
        bottleneck: whether a block lies below the encoder.
        skips: levels with a skip connection, 1 the finest.
        join: joins upsampled features and the skip connection.
        pooling: function (features, 2) that halves the size.
        after_up: what follows the upsampling.
        interpolation: of an upsampling that is followed by a convolution, in place of the
            transposed one.
    """
    stages = iter(stages)

    def block(x, n_convolutions=depth):
        for _ in range(n_convolutions):
            stage = next(stages)
            x = chain(x, [stage], [(NORM, "ReLU") if "gamma" in stage else ("ReLU",)])
        return x

    x, kept = x / 255, []
    for _ in range(levels):
        kept.append(block(x))
        x = pooling(kept[-1], 2)
    x = block(x) if bottleneck else x
    for level in range(levels, 0, -1):
        x = after_up(upsample(x, next(stages), interpolation))
        x = block(join(x, kept[level - 1]) if level in skips else x)
    rest = list(stages)
    stages = iter(rest)
    x = block(x, len(rest) - 1)
    return chain(x, rest[-1:], [()])


VARIANTS = {  # as good as the course's
    "": {},
    "the skip connection first in every concatenation": {
        "join": lambda up, skip: ops.concatenate([skip, up], -1)
    },
    "a ReLU after every transposed convolution": {"after_up": ops.relu},
    "nearest upsampling and a convolution": {"interpolation": "nearest"},
    "bilinear upsampling and a convolution": {"interpolation": "bilinear"},
}
MISTAKES = {
    "The bottleneck is missing: below the four encoder blocks lies one block of 16 n_filters "
    "without pooling.": dict(bottleneck=False),
    "It has three levels; U-Net has four, and the bottleneck below them.": dict(levels=3),
    "Every block has one convolution; U-Net's have two.": dict(depth=1),
    "There is no skip connection: no decoder block joins one.": dict(skips=()),
    "The skip connections are added; U-Net concatenates them.": dict(join=ops.add),
    **{
        f"The skip connection of encoder block {n} is not used.": dict(skips={1, 2, 3, 4} - {n})
        for n in (1, 2, 3, 4)
    },
    "The pooling takes the mean of each 2x2 block; U-Net takes the largest.": dict(
        pooling=ops.average_pool
    ),
}
SCALES = {
    "The image goes in as it is, 0 to 255. The course's networks divide by 255 in their first "
    "layer: layers.Rescaling(1 / 255).": lambda x: 255 * x,
    "The image is divided by 255 twice; once is right.": lambda x: x / 255,
    "The image is scaled to -1 to 1. The course's networks divide by 255, to 0 to 1.": (
        lambda x: 2 * x - 255
    ),
}
WIDTHS = (1, 2, 4, 8, 16, 8, 4, 2, 1)  # of the blocks, in multiples of n_filters
WRONG_WIDTHS = {
    "All blocks have n_filters filters. They double with every level down: f, 2f, 4f, 8f, and 16f "
    "in the bottleneck; and halve on the way up.": (1,) * 9,
    "The decoder's filters run the wrong way: 8, 4, 2 and 1 times n_filters, as the image grows.": (
        1,
        2,
        4,
        8,
        16,
        1,
        2,
        4,
        8,
    ),
    "All blocks have twice the filters they should: the first one has n_filters. Is the "
    "argument used?": tuple(2 * width for width in WIDTHS),
}


def explain_network(model, images, logits):
    """Compare with U-Nets that are right and then with wrong ones, all with the same weights.

    Returns a note on how a right one differs from the course's, or None; raises Incorrect.
    """
    stages = stages_of(model)
    kernels = [tuple(stage["kernel"].shape) for stage in stages]

    def find(candidates, images=images, logits=logits):
        return first_fit(wired, stages, candidates, images, logits)

    if any("gamma" not in stage and "bias" not in stage for stage in stages):
        raise Incorrect("A convolution has no bias, and no normalisation after it to replace it.")
    name = find(VARIANTS)
    if name is not None:
        explain_kernels(kernels)
        return note_on_choices(name, stages)
    for sentence, scale in SCALES.items():
        if find(VARIANTS, [scale(image) for image in images]) is not None:
            raise Incorrect(sentence)
    bounded = all(np.abs(values).max() < 1 for values in logits)
    if bounded and find(VARIANTS, logits=list(map(np.arctanh, logits))) is not None:
        raise Incorrect("There is a tanh at the end. The network ends in logits.")
    if sentence := find(MISTAKES):
        raise Incorrect(sentence)
    explain_kernels(kernels)

    def is_right(other):
        return find(VARIANTS, logits=[logits_of(other, x) for x in images]) is not None

    if too_many := is_right_without(model, is_right):
        raise Incorrect(f"There is a layer too many: without its {too_many} it is right.")
    raise Incorrect(
        "With the same weights as the course's U-Net it gives other logits. Does each decoder "
        "block get the result of the one before, and the skip connection of its own level?"
    )


def explain_kernels(kernels):
    """Raise Incorrect, with the first difference, when a network has not the right kernels."""
    parts = ("transposed convolution", "first convolution", "second convolution")
    blocks = [f"encoder block {n}" for n in (1, 2, 3, 4)] + ["the bottleneck"]
    places = [(part, block) for block in blocks for part in parts[1:]]
    places += [(part, f"decoder block {n}") for n in (1, 2, 3, 4) for part in parts]
    if len(kernels) not in (23, 24):
        raise Incorrect(
            f"It has {len(kernels)} layers with kernels; expected 23, or 24 with one more "
            "convolution before the last: two in each of four encoder blocks and in the "
            "bottleneck, three in each of four decoder blocks, and the last."
        )
    found = [kernels[i][-1] / N_FILTERS for i in (1, 3, 5, 7, 9, 12, 15, 18, 21)]
    raise_first({told: found == list(wrong) for told, wrong in WRONG_WIDTHS.items()})
    expected = [w for w in WIDTHS[:5] for _ in range(2)] + [w for w in WIDTHS[5:] for _ in range(3)]
    for (part, block), kernel, width in zip(places, kernels, expected, strict=False):
        n_filters, up = width * N_FILTERS, part == parts[0]
        if n_filters not in kernel[2 if up else 3 :] or kernel[0] not in ((2, 3) if up else (3,)):
            raise Incorrect(
                f"The {part} of {block} has a kernel of the shape {kernel}; expected "
                f"{n_filters} filters of 3x3."
            )


def note_on_choices(name, stages):
    """Return a note that lists how a right network differs from the course's, or None."""
    sides = [stage["kernel"].shape[0] for stage in stages]
    choices = [
        name,
        "" if len(stages) == 24 else "no extra convolution before the last layer, as the paper",
        "batch normalisation" if any("gamma" in stage for stage in stages) else "",
        "2x2 transposed convolutions, as the paper" if 2 in sides and not name else "",
        "a 3x3 convolution as last layer" if sides[-1] == 3 else "",
    ]
    told = " and ".join(filter(None, choices))
    return f"Yours has {told}, a choice that is as good." if told else None


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


unet_model_exercise = Exercise(
    "unet_model",
    judge_unet_model,
    unet.unet_model,
    shown=(unet.unet_model, unet.logits_layer),
)
