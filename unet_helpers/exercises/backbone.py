"""The exercise on the skip connections of a pretrained backbone: which tensors are they?"""

import functools

import keras
from keras import layers

from unet_helpers.exercises.exercise import Incorrect, Unexplained, describe
from unet_helpers.exercises.slips import edited
from unet_helpers.models.pretrained import last_features

STRIDES = (2, 4, 8, 16)
IMAGE = (64, 96, 3)


def backbone_skips(backbone):
    """Return a backbone's last features at strides 2, 4, 8 and 16, as a list of tensors."""
    height, width = backbone.input.shape[1:3]
    sizes = [[height // stride, width // stride] for stride in STRIDES]
    return [last_features(backbone, size) for size in sizes]


@functools.cache
def backbones():
    """Make two small backbones, untrained.

    One pools after its convolutions, as VGG does. One halves in a convolution after a padding, and
    weighs channels by a branch of size 1x1, as MobileNetV3 does.
    """
    x = image = keras.Input(IMAGE, name="image")
    for stage in range(1, 6):
        for number in (1, 2):
            x = layers.Conv2D(4, 3, padding="same", name=f"stage{stage}_conv{number}")(x)
        x = layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
    pooling = keras.Model(image, x, name="pooling")
    x = image = keras.Input(IMAGE, name="photo")
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
        if isinstance(tensor, str | layers.Layer):
            raise Incorrect(
                f"It returns a list with {describe(tensor)}; expected tensors. "
                "backbone.get_layer(name) is a layer, and layer.output its tensor."
            )
        if id(tensor) not in known:
            raise Unexplained(
                f"It returns a list with {describe(tensor)}, which is not the output of a layer "
                "of the backbone; expected layer.output of four layers in backbone.layers."
            )
    return [known[id(tensor)] for tensor in value]


def before_halving(backbone):
    """List what goes into the layers that make an image smaller, the first of them left out."""
    steps = [layer for layer in backbone.layers if layer.name.endswith(("_half", "_pool"))]
    return [layer.input for layer in steps][-4:]


MISTAKES = {
    "It takes the first tensor of each size. The last one has been through more layers, and all "
    "that the backbone knows at this size is in it.": edited(
        backbone_skips,
        "last_features(backbone, size) -> "
        "next(x.output for x in backbone.layers if [*x.output.shape[1:3]] == size)",
    ),
    "The order is reversed. Expected stride 2 first, and stride 16 last.": edited(
        backbone_skips, "in STRIDES -> in STRIDES[::-1]"
    ),
    "The strides are 1, 2, 4 and 8. Stride 1 is the image's own size; begin at half of it.": edited(
        backbone_skips, "in STRIDES -> in (1, 2, 4, 8)"
    ),
    "The strides are 4, 8, 16 and 32. At stride 32 the decoder begins; it needs the other three, "
    "and stride 2.": edited(backbone_skips, "in STRIDES -> in (4, 8, 16, 32)"),
    "It takes what goes into the layers that halve. In some backbones that is the output of a "
    "padding, a row and a column too large: compare sizes.": before_halving,
}


def judge_backbone_skips(attempt):
    given = [names_of(attempt(backbone), backbone) for backbone in backbones()]
    right = [names_of(backbone_skips(backbone), backbone) for backbone in backbones()]
    for sentence, mistake in MISTAKES.items():
        if given == [names_of(mistake(backbone), backbone) for backbone in backbones()] != right:
            raise Incorrect(sentence)
    for backbone, names, wanted in zip(backbones(), given, right, strict=True):
        if len(names) != 4:
            raise Unexplained(
                f"It returns {len(names)} tensors; expected four, of strides 2, 4, 8 and 16. "
                "Stride 1 is the image's own size, and at stride 32 the decoder begins."
            )
        for stride, name, last in zip(STRIDES, names, wanted, strict=True):
            if name != last:
                (height, width), (h, w) = (
                    backbone.get_layer(layer).output.shape[1:3] for layer in (name, last)
                )
                raise Unexplained(
                    f"For {IMAGE[0]}x{IMAGE[1]} images and stride {stride} it takes the output of "
                    f"{name}, {height}x{width}; expected that of {last}, the last of {h}x{w}."
                )
