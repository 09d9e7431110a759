"""The exercise on a backbone's skip connections, with answers as a learner would write them."""

import itertools

import keras
import pytest

from unet_helpers import exercises
from unet_helpers.models import blocks

STRIDES = (2, 4, 8, 16)


def verdict(answer):
    return exercises.backbone_skips.verdict(answer)


def sizes(backbone):
    """List each layer's name, tensor and stride, 0 where its size is no part of the image's."""
    height, width = backbone.input.shape[1:3]
    found = []
    for layer in backbone.layers:
        h, w = layer.output.shape[1:3]
        same = height % h == 0 and height // h == width / w
        found.append((layer.name, layer.output, height // h if same else 0))
    return found


def by_dictionary(backbone):
    last = {stride: tensor for _, tensor, stride in sizes(backbone)}  # later ones replace
    return tuple(last[stride] for stride in STRIDES)


def by_walking_back(backbone):
    found = {}
    for layer in reversed(backbone.layers):
        found.setdefault(tuple(layer.output.shape[1:3]), layer.output)
    height, width = backbone.inputs[0].shape[1:3]
    return [found[height // stride, width // stride] for stride in STRIDES]


def first_of_each(backbone):
    found = {}
    for _, tensor, stride in sizes(backbone):
        found.setdefault(stride, tensor)
    return [found[stride] for stride in STRIDES]


def with_strides(*strides):
    return lambda backbone: [
        [tensor for _, tensor, found in sizes(backbone) if found == stride][-1]
        for stride in strides
    ]


def before_each_change(backbone):
    """Take a tensor whenever the next one has another size: a trap with paddings and branches."""
    outputs = [layer.output for layer in backbone.layers]
    pairs = itertools.pairwise(outputs)
    return [x for x, following in pairs if x.shape[1:3] != following.shape[1:3]][1:5]


def into_halving(backbone):
    halving = [layer for layer in backbone.layers if getattr(layer, "strides", 1) in (2, (2, 2))]
    return [layer.input for layer in halving[1:]]


def names_of_vgg(backbone):
    return [backbone.get_layer(f"stage{i}_conv2").output for i in (2, 3, 4, 5)]


@pytest.mark.parametrize("answer", [by_dictionary, by_walking_back])
def test_equivalent_answers_pass(answer):
    assert verdict(answer) == (True, "right.")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (first_of_each, "takes the first tensor of each size"),
        (with_strides(16, 8, 4, 2), "order is reversed"),
        (with_strides(1, 2, 4, 8), "Stride 1 is the image's own size"),
        (with_strides(4, 8, 16, 32), "At stride 32 the decoder begins"),
        (with_strides(2, 4, 8, 16, 32), "5 tensors; expected four"),
        (with_strides(1, 2, 4, 8, 16), "5 tensors; expected four"),
        (into_halving, "a padding, a row and a column too large"),
        (with_strides(2, 4, 8), "returns 3 tensors; expected four"),
        (with_strides(2, 4, 8, 8), "stride 16 it takes the output of stage4_conv2, 8x12"),
        (
            before_each_change,
            "block1_pad, 65x97; expected that of block1_expand, the",
        ),
        (names_of_vgg, "No such layer: stage2_conv2"),
        (lambda backbone: backbone.output, "expected a list of four tensors"),
        (lambda backbone: [layer.name for layer in backbone.layers], "expected tensors"),
        (lambda backbone: backbone.layers[:4], "expected tensors"),
        (lambda backbone: [x[:, ::2] for x in by_dictionary(backbone)], "not the output of a"),
        (lambda backbone: [x.shape for x in by_dictionary(backbone)], "not the output of a"),
    ],
)
def test_wrong_answers_are_told_apart(answer, told):
    passed, sentence = verdict(answer)
    assert not passed and told in sentence, sentence


def test_the_reference_serves_a_decoder_on_a_backbone_of_keras():
    """MobileNet's paddings are 49x65 and 25x33 and so on; its skips are half of the image."""
    backbone = keras.applications.MobileNet((64, 96, 3), 0.25, include_top=False, weights=None)
    x = backbone.output
    skips = exercises.backbone_skips.reference(backbone)
    assert [tuple(skip.shape[1:3]) for skip in skips] == [(32, 48), (16, 24), (8, 12), (4, 6)]
    for skip in skips[::-1]:
        x = blocks.upsampling_block(x, skip, 4)
    assert tuple(x.shape[1:]) == (32, 48, 4)
