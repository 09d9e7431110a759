"""Exercises on whole networks: building U-Net, cutting one of its skips, finding a backbone's."""

import contextlib
import functools

import keras
import numpy as np
from keras import layers

from unet_helpers.exercises import running
from unet_helpers.exercises.comparison import known_mistakes
from unet_helpers.exercises.decoder import PARTS, decoded
from unet_helpers.exercises.encoder import encoded
from unet_helpers.exercises.exercise import Incorrect, Unexplained, computing, describe
from unet_helpers.exercises.running import chain, close, fill, numbers, stages_of
from unet_helpers.models import unet
from unet_helpers.models.pretrained import last_features

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
        told = "No output is negative: there is a softmax, a sigmoid or a ReLU at the end."
        raise Incorrect(f"{told} Return logits; the loss does the rest (from_logits=True).")
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
    """Judge a network of other sizes, without dropout, in half precision; returns a note."""
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
        told = f"The output has the shape {logits.shape}; expected {(None, *expected)}"
        raise Incorrect(f"{told}: no Flatten and no Dense, they forget where things are.")
    half = "four encoder blocks halve it; four decoder blocks double what the one before returns."
    twice = "it is doubled more often than halved."
    running.explain_shape("The output", logits.shape[1:], expected, half, twice)


def wired(x, stages, training, steps, **parts):
    """Compute the logits of a U-Net from the weights of all its convolutions; parts: `CHOICES`."""
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
        told = f"The first convolution takes values from {values.min():.3g} to {values.max():.3g};"
        raise Incorrect(f"{told} in the course's networks they are 0 to 1. Divide by 255, once.")


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
    "Nothing is cut. set_weights puts a changed kernel back.": lambda model, level: model,
}
CUTS = [("", cut_skip), *known_mistakes(cut_skip, CUT_MISTAKES)]


@functools.cache
def model_to_cut():
    """Make a small U-Net, and an image for it."""
    model = unet.unet_model((16, 32, 3), 2, 3)
    return model, np.random.default_rng(5).uniform(0, 255, (1, 16, 32, 3)).astype("float32")


@functools.cache
def logits_of(cut, level):
    """Compute the logits that a function like `cut_skip` leaves."""
    model, image = model_to_cut()
    return numbers(cut(model, level)(image))


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
            raise Incorrect("The model itself is changed. Cut a copy, by keras.models.clone_model.")
    for mistake, cut in CUTS:
        if all(close(logits, logits_of(cut, level)) for level, logits in given.items()):
            if mistake:
                raise Incorrect(mistake)
            return
    told = "It gives other logits than the model with this skip at zero. Has the copy its weights?"
    raise Incorrect(f"{told} clone_model draws new ones; set_weights copies them.")


STRIDES = (2, 4, 8, 16)
PHOTO = (64, 96, 3)


def backbone_skips(backbone):
    """Return a backbone's last features at strides 2, 4, 8 and 16, as a list of tensors."""
    height, width = backbone.input.shape[1:3]
    sizes = [[height // stride, width // stride] for stride in STRIDES]
    return [last_features(backbone, size) for size in sizes]


@functools.cache
def backbones():
    """Make two small backbones: one pools, as VGG; one pads, then halves, as MobileNetV3."""
    x = image = keras.Input(PHOTO, name="image")
    for stage in range(1, 6):
        for number in (1, 2):
            x = layers.Conv2D(4, 3, padding="same", name=f"stage{stage}_conv{number}")(x)
        x = layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
    pooling = keras.Model(image, x, name="pooling")
    x = image = keras.Input(PHOTO, name="photo")
    for block in range(1, 6):
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"block{block}_pad")(x)
        x = layers.Conv2D(4, 3, strides=2, name=f"block{block}_half")(x)
        weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"block{block}_mean")(x)
        x = layers.Multiply(name=f"block{block}_weighed")([x, weights])
        x = layers.Conv2D(8, 1, activation="relu", name=f"block{block}_expand")(x)
    return pooling, keras.Model(image, x, name="padding")


def names_of(value, backbone):
    """Return the names of the layers whose outputs are in a list; raises Incorrect for others."""
    if not isinstance(value, tuple | list):
        raise Incorrect(f"It returns {describe(value)}; expected a list of four tensors.")
    known = {id(layer.output): layer.name for layer in backbone.layers}
    for tensor in value:
        told = f"It returns a list with {describe(tensor)}"
        if isinstance(tensor, str | layers.Layer):
            raise Incorrect(f"{told}; expected tensors, such as the output of a layer.")
        if id(tensor) not in known:
            raise Unexplained(f"{told}, which is not the output of a layer in backbone.layers.")
    return [known[id(tensor)] for tensor in value]


def before_halving(backbone):
    """List what goes into the layers that make an image smaller, the first of them left out."""
    return [x.input for x in backbone.layers if x.name.endswith(("_half", "_pool"))][-4:]


SKIP_MISTAKES = {
    "It takes the first tensor of each size. The last one has been through more layers, and all "
    "that the backbone knows at this size is in it.": (
        "last_features(backbone, size) -> "
        "next(x.output for x in backbone.layers if [*x.output.shape[1:3]] == size)"
    ),
    "The order is reversed. Expected stride 2 first.": "in STRIDES -> in STRIDES[::-1]",
    "The strides are 1 to 8. Stride 1 is the image's own size.": "in STRIDES -> in (1, 2, 4, 8)",
    "The strides are 4 to 32. At stride 32 the decoder begins.": "in STRIDES -> in (4, 8, 16, 32)",
    "It takes what goes into the layers that halve. In some backbones that is the output of a "
    "padding, a row and a column too large: compare sizes.": before_halving,
}


def judge_backbone_skips(attempt):
    given = [names_of(attempt(backbone), backbone) for backbone in backbones()]
    right = [names_of(backbone_skips(backbone), backbone) for backbone in backbones()]
    for sentence, mistake in known_mistakes(backbone_skips, SKIP_MISTAKES):
        if given == [names_of(mistake(backbone), backbone) for backbone in backbones()] != right:
            raise Incorrect(sentence)
    for backbone, names, wanted in zip(backbones(), given, right, strict=True):
        if len(names) != 4:
            raise Unexplained(f"It returns {len(names)} tensors; expected four, strides 2 to 16.")
        sizes = {layer.name: "{1}x{2}".format(*layer.output.shape) for layer in backbone.layers}
        for stride, name, last in zip(STRIDES, names, wanted, strict=True):
            if name != last:
                raise Unexplained(
                    f"For {PHOTO[0]}x{PHOTO[1]} images and stride {stride} it takes the output of "
                    f"{name}, {sizes[name]}; expected that of {last}, the last of {sizes[last]}."
                )
