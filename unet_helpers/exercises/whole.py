"""Exercise on the whole U-Net, judged with the weights copied into the course's own."""

import re

import keras
import numpy as np
from keras import layers

from unet_helpers.exercises.exercise import Exercise, Incorrect, describe
from unet_helpers.exercises.running import (
    fill,
    is_right_without,
    numbers,
    raise_first,
    run,
    weights_of,
)
from unet_helpers.models import blocks, unet

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

    def explain(shapes, text):
        return explain_skip(text, *image[:2])

    model = run(attempt, image, n_filters, n_classes, explain=explain)
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


def explain_skip(text, height, width):
    """Return why the course's decoder block refuses a skip connection, or ""."""
    sizes = [tuple(map(int, found)) for found in re.findall(r"(\d+)x(\d+)", text)]
    level = {(height >> n, width >> n): n for n in range(5)}  # how often it is halved
    if "skip connection" not in text or len(sizes) != 2 or sizes[0] not in level:
        return ""
    skip, up = level[sizes[0]], level.get(sizes[1])
    if up is None and sizes[1] == ((height >> 5) * 2, (width >> 5) * 2):
        return "Does the bottleneck still pool? It is the one block with max_pooling=False."
    if up is None:
        return ""
    if (skip, up) == (4, 3):
        return "That skip is pooled. It is the second tensor that conv_block returns."
    if skip > up:
        return (
            "That skip comes from too deep. Every level has one of its own, and it is the second "
            "tensor that conv_block returns."
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
    widths=(1, 2, 4, 8),
    deep=16,
    up_widths=(8, 4, 2, 1),
    skips=(1, 2, 3, 4),
    depth=2,
    join=lambda up, skip: layers.Concatenate()([up, skip]),
    pooling=layers.MaxPooling2D,
    after_up=lambda x: x,
    interpolation=None,
    side=3,
    extra=1,
    last=1,
    batch_norm=False,
):
    """Build a U-Net with parts of it exchanged.

    Args:
        widths, deep, up_widths: filters of the encoder's blocks, of the bottleneck (0 for none)
            and of the decoder's blocks, in multiples of N_FILTERS.
        skips: levels with a skip connection, 1 the finest.
        depth: convolutions in a block.
        join: joins upsampled features and the skip connection.
        pooling: layer that halves the size.
        after_up: what follows the transposed convolutions.
        interpolation: for UpSampling2D and a convolution in place of the transposed one.
        side: of the kernels that upsample.
        extra: number of convolutions before the last layer.
        last: side of the last layer's kernel.
        batch_norm: normalise before every ReLU.
    """

    def block(x, width, n_convolutions=depth):
        for _ in range(n_convolutions):
            x = blocks.convolution(x, width * N_FILTERS, batch_norm=batch_norm)
        return x

    def upsample(x, n_filters):
        if interpolation is None:
            return layers.Conv2DTranspose(n_filters, side, strides=2, padding="same")(x)
        x = layers.UpSampling2D(interpolation=interpolation)(x)
        return layers.Conv2D(n_filters, side, padding="same")(x)

    inputs = keras.Input(IMAGE)
    x, kept = layers.Rescaling(1 / 255)(inputs), []
    for width in widths:
        kept.append(block(x, width))
        x = pooling(2)(kept[-1])
    if deep:
        x = block(x, deep)
    for level, width in zip(range(len(widths), 0, -1), up_widths, strict=True):
        x = after_up(upsample(x, width * N_FILTERS))
        x = block(join(x, kept[level - 1]) if level in skips else x, width)
    x = block(x, widths[0], extra)
    return keras.Model(inputs, unet.logits_layer(x, N_CLASSES, last))


VARIANTS = {  # as good as the course's
    "": {},
    "the skip connection first in every concatenation": {
        "join": lambda up, skip: layers.Concatenate()([skip, up])
    },
    "a ReLU after every transposed convolution": {"after_up": layers.ReLU()},
    "nearest upsampling and a convolution": {"interpolation": "nearest"},
    "bilinear upsampling and a convolution": {"interpolation": "bilinear"},
}
MISTAKES = {
    f"All blocks have {N_FILTERS} filters. They double with every level down: f, 2f, 4f, 8f, and "
    "16f in the bottleneck; and halve on the way up.": dict(
        widths=(1, 1, 1, 1), deep=1, up_widths=(1, 1, 1, 1)
    ),
    "The bottleneck is missing: below the four encoder blocks lies one block of 16 n_filters "
    "without pooling.": dict(deep=0),
    "The bottleneck has too few filters: 8 n_filters instead of 16.": dict(deep=8),
    "The decoder's filters run the wrong way: 8, 4, 2 and 1 times n_filters, as the image "
    "grows.": dict(up_widths=(1, 2, 4, 8)),
    f"All decoder blocks have {N_FILTERS} filters; expected 8, 4, 2 and 1 times n_filters.": dict(
        up_widths=(1,) * 4
    ),
    "The decoder's blocks have twice the filters they should: 8, 4, 2 and 1 times n_filters, those "
    "of the skip connections.": dict(up_widths=(16, 8, 4, 2)),
    "All blocks have twice the filters they should: the first one has n_filters. Is the "
    "argument used?": dict(widths=(2, 4, 8, 16), deep=32, up_widths=(16, 8, 4, 2)),
    "It has three levels; U-Net has four, and the bottleneck below them.": dict(
        widths=(1, 2, 4), deep=8, up_widths=(4, 2, 1)
    ),
    "Every block has one convolution; U-Net's have two.": dict(depth=1),
    "There is no skip connection: no decoder block joins one.": dict(skips=()),
    "The skip connections are added; U-Net concatenates them.": dict(
        join=lambda up, skip: layers.Add()([up, skip])
    ),
    "The skip connection of encoder block 1 is not used.": dict(skips=(2, 3, 4)),
    "The skip connection of encoder block 2 is not used.": dict(skips=(1, 3, 4)),
    "The skip connection of encoder block 3 is not used.": dict(skips=(1, 2, 4)),
    "The skip connection of encoder block 4 is not used.": dict(skips=(1, 2, 3)),
    "The pooling takes the mean of each 2x2 block; U-Net takes the largest.": dict(
        pooling=layers.AveragePooling2D
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


def explain_network(model, images, logits):
    """Compare with U-Nets that are right and then with wrong ones, all with the same weights.

    Returns a note on how a right one differs from the course's, or None; raises Incorrect.
    """
    kernels = [tuple(kernel.shape) for kernel in weights_of(model)[0]]
    options = dict(
        side=2 if any(shape[0] == 2 for shape in kernels) else 3,
        last=kernels[-1][0] if kernels else 1,
        batch_norm=any(weight.name == "gamma" for weight in model.weights),
    )
    matching = {}
    for name, changes in VARIANTS.items():
        extra = extra_convolutions(kernels, **changes)
        matching[name] = wired(**changes, **options, extra=extra if extra in (0, 1) else 1)
        if copy_weights(model, matching[name]) and agree(matching[name], images, logits):
            return note_on_choices(name, options, extra)
    fitting = [other for other in matching.values() if copy_weights(model, other)]
    for sentence, scale in SCALES.items():
        if any(agree(other, [scale(image) for image in images], logits) for other in fitting):
            raise Incorrect(sentence)
    bounded = all(np.abs(values).max() < 1 for values in logits)
    if bounded and any(agree(other, images, list(map(np.arctanh, logits))) for other in fitting):
        raise Incorrect("There is a tanh at the end. The network ends in logits.")
    for sentence, changes in MISTAKES.items():
        extra = extra_convolutions(kernels, **changes)
        if extra in (0, 1):
            wrong = wired(**changes, **options, extra=extra)
            if copy_weights(model, wrong) and agree(wrong, images, logits):
                raise Incorrect(sentence)
    explain_kernels(kernels, matching[""])

    def is_right(other):
        given = [logits_of(other, image) for image in images]
        return any(agree(reference, images, given) for reference in fitting)

    if too_many := is_right_without(model, is_right):
        raise Incorrect(f"There is a layer too many: without its {too_many} it is right.")
    raise Incorrect(
        "With the same weights as the course's U-Net it gives other logits. Does each decoder "
        "block get the result of the one before, and the skip connection of its own level?"
    )


def extra_convolutions(kernels, widths=(1, 2, 4, 8), deep=16, depth=2, **_):
    """Return how many more kernels there are than `wired` has without extra ones."""
    return len(kernels) - depth * (2 * len(widths) + bool(deep)) - len(widths) - 1


def copy_weights(model, reference):
    """Copy all kernels and vectors, in their order of depth; returns whether they fit."""
    pairs = list(zip(weights_of(model), weights_of(reference), strict=True))
    if any([w.shape for w in here] != [w.shape for w in there] for here, there in pairs):
        return False
    for here, there in pairs:
        for source, target in zip(here, there, strict=True):
            target.assign(source)
    return True


def agree(reference, images, logits):
    """Tell whether a network gives these logits to rounding, measured against their size."""
    return all(
        np.abs(given - logits_of(reference, image)).max() <= 1e-3 * max(1e-6, np.abs(given).max())
        for image, given in zip(images, logits, strict=True)
    )


def explain_kernels(kernels, reference):
    """Raise Incorrect, with the first difference, when a network has not the right kernels."""
    expected = [tuple(kernel.shape) for kernel in weights_of(reference)[0]]
    if kernels == expected:
        return
    parts = ("transposed convolution", "first convolution", "second convolution")
    places = [f"{part} of encoder block {n}" for n in (1, 2, 3, 4) for part in parts[1:]]
    places += [f"{part} of the bottleneck" for part in parts[1:]]
    places += [f"{part} of decoder block {n}" for n in (1, 2, 3, 4) for part in parts]
    differs = (
        f" The first kernel that differs has the shape {given}; the {place} has {right}."
        for place, given, right in zip(places, kernels, expected, strict=False)
        if given != right
    )
    raise Incorrect(
        f"It has {len(kernels)} layers with kernels; expected 23, or 24 with one more convolution "
        "before the last: two in each of four encoder blocks and in the bottleneck, three in each "
        f"of four decoder blocks, and the last.{next(differs, '')}"
    )


def note_on_choices(name, options, extra):
    """Return a note that lists how a right network differs from the course's, or None."""
    choices = [
        name,
        "" if extra else "no extra convolution before the last layer, as the paper",
        "batch normalisation" if options["batch_norm"] else "",
        "2x2 transposed convolutions, as the paper" if options["side"] == 2 and not name else "",
        "a 3x3 convolution as last layer" if options["last"] == 3 else "",
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
