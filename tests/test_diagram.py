"""The drawing of a network says what its layers are."""

import matplotlib.pyplot as plt
import pytest

from unet_helpers import models
from unet_helpers.models import diagram


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_boxes_of_the_papers_net_are_those_of_its_figure():
    boxes = diagram.boxes_of(models.paper_unet(n_filters=64))
    sides = [[box.height for box in boxes if box.level == level] for level in range(5)]
    assert sides == [
        [572, 570, 568, 392, 390, 388, 388],
        [284, 282, 280, 200, 198, 196],
        [140, 138, 136, 104, 102, 100],
        [68, 66, 64, 56, 54, 52],
        [32, 30, 28],
    ]
    channels = [[box.channels for box in boxes if box.level == level] for level in range(5)]
    assert channels == [
        [1, 64, 64, 128, 64, 64, 2],
        [64, 128, 128, 256, 128, 128],
        [128, 256, 256, 512, 256, 256],
        [256, 512, 512, 1024, 512, 512],
        [512, 1024, 1024],
    ]
    # half of each joined box is copied from the encoder
    assert [box.copied for box in boxes if box.copied] == [512, 256, 128, 64]


def test_the_drawing_of_the_papers_net_counts_its_arrows():
    boxes = diagram.boxes_of(models.paper_unet(n_filters=2))
    kinds = [text for box in boxes for _, text, _ in box.arrows]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "3x3 convolution, valid, ReLU": 18,
        "2x2 max pooling": 4,
        "2x2 transposed convolution, stride 2": 4,
        "skip connection, copied and cropped": 4,
        "1x1 convolution": 1,
    }


def test_sizes_and_kinds_can_be_read_in_the_figure():
    figure = diagram.draw_model(models.unet_model((96, 128, 3), 4, 13, batch_norm=True))
    assert {"3\n96x128", "4\n96x128", "64\n6x8", "13\n96x128"} <= set(texts(figure))
    assert legend(figure) == [
        "3x3 convolution, BN, ReLU",
        "2x2 max pooling",
        "3x3 transposed convolution, stride 2",
        "skip connection, copied",
        "1x1 convolution",
        "dotted: dropout",
    ]
    title = diagram.draw_model(models.unet_model((96, 128, 3), 32, 13)).axes[0].get_title()
    assert title == "unet: 8,640,141 parameters"


def test_fcn_adds_scores_and_the_naive_stack_is_one_row():
    boxes = diagram.boxes_of(models.fcn_model((64, 64, 3), 2, 5, stride=8))
    added = [text for box in boxes for _, text, _ in box.arrows if "add" in text]
    assert added == ["add the skip connection"] * 2
    assert boxes[-1].arrows[0][1] == "upsampling by 8, bilinear"
    assert {box.level for box in diagram.boxes_of(models.naive_cnn((16, 16, 3), 2, 3))} == {0}


@pytest.mark.parametrize(
    "model",
    [
        models.unet_model((96, 128, 3), 2, 13),
        models.unet_model((32, 32, 3), 2, 3, skips=()),
        models.paper_unet(n_filters=2),
        models.fcn_model((96, 128, 3), 2, 13, stride=8),
        models.fcn_model((96, 128, 3), 2, 13, stride=32),
        models.naive_cnn((96, 128, 3), 2, 13),
    ],
    ids=lambda model: f"{model.name} {len(model.layers)}",
)
def test_no_two_texts_overlap_and_none_is_cut_off(model):
    figure = diagram.draw_model(model)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    for i, one in enumerate(boxes):
        assert figure.bbox.contains(one.x0, one.y0)
        assert figure.bbox.contains(one.x1, one.y1)
        assert not any(one.overlaps(other) for other in boxes[i + 1 :])
    ids = [(box.level, box.x) for box in placed(model)]
    assert len(set(ids)) == len(ids)


def placed(model):
    boxes = diagram.boxes_of(model)
    diagram.place(boxes)
    return boxes


def test_a_free_size_cannot_be_drawn():
    with pytest.raises(ValueError, match="any size"):
        diagram.draw_model(models.unet_model((None, None, 3), 2, 3))
