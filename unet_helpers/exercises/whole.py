"""Exercises on the whole U-Net: building it, and cutting one of its skip connections."""

import contextlib
import functools

import keras
import numpy as np
from keras import layers

from unet_helpers.exercises import running
from unet_helpers.exercises.decoder import PARTS, decoded
from unet_helpers.exercises.encoder import encoded
from unet_helpers.exercises.exercise import Incorrect, computing, describe
from unet_helpers.exercises.running import chain, close, fill, numbers, stages_of
from unet_helpers.exercises.slips import edited
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
    explain_logits(numbers(model(images[0])), IMAGE, N_CLASSES)
    fill(model)
    logits = numbers(model(images[0]))
    if (logits >= 0).all():
        raise Incorrect(
            "No output is negative: there is a softmax, a sigmoid or a ReLU at the end. The "
            "network ends in logits; the loss does the rest (from_logits=True)."
        )
    name = explain_network(model, images, batch_norm=False)
    if close(numbers(model(images[0], training=True)), logits):
        told = "dropout_prob=0.5 changes nothing: in training no value is dropped."
        raise Incorrect(f"{told} Pass it on to the fourth encoder block and the bottleneck.")
    note = note_on_size_and_precision(attempt)
    model = make(dropout_prob=0.0, batch_norm=True)
    fill(model)
    explain_network(model, images, batch_norm=True)
    return running.note_on_choices(name) or note


def note_on_size_and_precision(attempt, image=(16, 16, 1), n_filters=2, n_classes=3):
    """Judge a network of other sizes, without dropout, in half precision; returns a note or None.

    Raises Incorrect when its logits have another shape, or in training other values.
    """
    with computing("mixed_bfloat16"):
        model = built(attempt, image, n_filters, n_classes, dropout_prob=0.0, batch_norm=False)
    fill(model)  # or all ReLUs of a few filters may be dead by chance, and dropout unseen
    images = np.full((2, *image), 255.0, "float32")
    logits = numbers(model(images))
    explain_logits(logits, image, n_classes)
    if not np.array_equal(numbers(model(images, training=True)), logits):
        raise Incorrect("With dropout_prob=0.0 values are still dropped in training.")
    if logits.dtype == "float32":
        return None
    told = f"In half precision your logits would be {logits.dtype}: give the last layer"
    return f'{told} dtype="float32", or the loss becomes coarse.'


def explain_network(model, images, batch_norm):
    """Compare a network with the course's; returns how it differs, and raises Incorrect."""
    stages = stages_of(model)
    # Without normalisation, those that differ in its place alone are the same.
    right = {n: f for n, f in RIGHT.items() if batch_norm or "normalisation" not in n}
    explain_scale(model, images[0])
    name = running.explain_model(model, images, right, kernels(stages), batch_norm, modes=(False,))
    running.note_on_biases(stages)
    return name


def built(attempt, image, n_filters, n_classes, **options):
    """Let a learner build a model; adds the likely cause where a skip connection does not fit."""
    explain = functools.partial(explain_skip, image=image, n_filters=n_filters)
    model = running.run(attempt, image, n_filters, n_classes, explain=explain, **options)
    if not isinstance(model, keras.Model):
        told = f"It returns {describe(model)}"
        raise Incorrect(f"{told}; expected a model, keras.Model(inputs, outputs).")
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
    side, half = ([side >> level for side in image[:2]] for level in (3 - number, 4 - number))
    told = f"Decoder block {number + 1}"
    # The deepest block alone takes what may not have been upsampled.
    if list(up[:2]) != side and (number or list(up[:2]) != half):
        told += f" gets {up[0] // 2}x{up[1] // 2} from below and should get {half[0]}x{half[1]}. "
        if number:
            return f"{told}Does it take what decoder block {number} returns?"
        told += "Does every encoder block take the next_layer of the one before, and the"
        return f"{told} bottleneck not pool (max_pooling=False)?"
    told += f" belongs to encoder block {4 - number}. "
    return told + running.explain_join(up, skip, (*half, 2 * up[2]), (*side, up[2]))


def explain_logits(logits, image, n_classes):
    """Raise Incorrect when a network's output has the wrong shape."""
    expected = (*image[:2], n_classes)
    if logits.ndim != 4:
        raise Incorrect(
            f"The output has the shape {logits.shape}; expected (batch, height, width, channels), "
            f"{expected} an image: no Flatten and no Dense, they forget where things are."
        )
    half = "four encoder blocks halve it; four decoder blocks double what the one before returns."
    twice = "it is doubled more often than halved."
    running.explain_shape("The output", logits.shape[1:], expected, half, twice)


def wired(x, stages, training, steps, **parts):
    """Compute the logits of a U-Net with parts of it exchanged.

    x is a batch of images, and the stages, of all convolutions, decide on the widths; the other
    arguments are those of `decoded`.
    """
    if len(stages) not in (23, 24):
        raise ValueError("One more convolution before the last is all that may differ.")
    x, skips = x / 255, []
    for first in (0, 2, 4, 6):  # of the two stages of an encoder block
        x, skip = encoded(x, stages[first : first + 2], training, steps)
        skips.append(skip)
    x = chain(x, stages[8:10], training, steps)
    for first in (10, 13, 16, 19):  # of the three of a decoder block
        (x,) = decoded([x, skips.pop()], stages[first : first + 3], training, steps, **parts)
    *extra, last = stages[22:]
    return [chain(chain(x, extra, training, steps), [last], steps=())]


RIGHT = {name: functools.partial(wired, **parts) for name, parts in PARTS.items()}


def explain_scale(model, image):
    """Raise Incorrect unless the first convolution takes the image divided by 255."""
    values = image / 255
    with contextlib.suppress(Exception):  # not found, as in a subclassed model
        first = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
        if first.input.shape[1:] == image.shape[1:]:  # an image, not features
            values = numbers(keras.Model(model.inputs[0], first.input)(image))
    if not close(values, image / 255, 5e-3):
        raise Incorrect(
            f"The first convolution takes values from {values.min():.3g} to {values.max():.3g}; in "
            "the course's networks they are 0 to 1. Divide the image by 255, once: "
            "layers.Rescaling(1 / 255)."
        )


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


def cut_skip(model, level):
    """Copy a U-Net and set the weights that read the skip connection of a level to zero."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    joins = [layer for layer in copy.layers if isinstance(layer, layers.Concatenate)]
    join = joins[4 - level]  # the deepest comes first
    convolution = next(layer for layer in copy.layers if layer.input is join.output)
    kernel, *rest = convolution.get_weights()
    kernel[:, :, join.input[0].shape[-1] :] = 0
    convolution.set_weights([kernel, *rest])
    return copy


CUT = "kernel[:, :, join.input[0].shape[-1] :] = 0"
CUT_MISTAKES = {
    "Levels are counted from the wrong end: the joins of the decoder come deepest first, so that "
    "of level 4 is number 0.": "joins[4 - level] -> joins[level - 1]",
    "The weights that read the upsampled features are zero. The skip's channels stand behind "
    "them.": f"{CUT} -> kernel[:, :, : join.input[0].shape[-1]] = 0",
    "All weights are zero; those for the upsampled features stay.": f"{CUT} -> kernel[:] = 0",
    "Nothing is cut: it gives the logits of the model. set_weights puts a changed kernel back.": (
        lambda model, level: model
    ),
    "All four skip connections are cut, not this one alone.": (
        lambda model, level: functools.reduce(cut_skip, (1, 2, 3, 4), model)
    ),
}


@functools.cache
def model_to_cut():
    """Make a small U-Net, and an image for it."""
    model = unet.unet_model((16, 32, 3), 2, 3)
    return model, np.random.default_rng(5).uniform(0, 255, (1, 16, 32, 3)).astype("float32")


@functools.cache
def logits_of_cut(mistake, level):
    """Compute the logits that a mistake gives, or the reference for an empty one."""
    model, image = model_to_cut()
    change = CUT_MISTAKES.get(mistake, cut_skip)
    change = edited(cut_skip, change) if isinstance(change, str) else change
    return numbers(change(model, level)(image))


def judge_cut_skip(attempt):
    (model, image), given = model_to_cut(), {}
    fill(model)  # an answer before may have changed it
    before = model.get_weights()
    for level in (2, 1):
        answer = attempt(model, level)
        if not isinstance(answer, keras.Model):
            raise Incorrect(f"It returns {describe(answer)}; expected a model.")
        given[level] = numbers(answer(image))
        if not all(map(np.array_equal, before, model.get_weights())):
            raise Incorrect(
                "The model itself is changed. Cut a copy: keras.models.clone_model(model), which "
                "gets the weights of the model by set_weights."
            )
    for mistake in ("", *CUT_MISTAKES):
        if all(close(logits, logits_of_cut(mistake, level)) for level, logits in given.items()):
            if mistake:
                raise Incorrect(mistake)
            return
    raise Incorrect(
        "It gives other logits than the model with this skip connection set to zero. Has the copy "
        "the weights of the model? clone_model draws new ones; set_weights copies them."
    )
