"""Draw a network from its live layers: boxes for feature maps, arrows for what is done to them."""

import math
from dataclasses import dataclass, field

import keras
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, Rectangle

from unet_helpers.models import profiling
from unet_helpers.plots import BLUE, DPI, GREEN, GREY, ORANGE, PURPLE

JOINS = (keras.layers.Concatenate, keras.layers.Add)
ENLARGES = (keras.layers.Conv2DTranspose, keras.layers.UpSampling2D)
SHRINKS = (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)


@dataclass
class Box:
    """One feature map of the drawing, and the arrows (from box, text, colour) that lead to it."""

    height: int
    width: int
    channels: int
    level: int
    arrows: list = field(default_factory=list)
    copied: int = 0
    dropout: bool = False
    x: float = 0.0


def draw_model(model, title=None):
    """Draw a model as the U-Net paper draws it, read from the layers of the live model.

    A box is a feature map: its height in the drawing grows with the image's height, its width
    with the number of channels; the text over it says channels and size. A row is a level: each
    halving leads one row down. Normalisation, ReLU, dropout, rescaling and cropping are part of
    the arrow or box they belong to.

    Args:
        model: functional Keras model of a fixed input size: U-Net, the paper's, FCN, a stack.
        title: over the drawing; None is the model's name and number of parameters.

    Returns:
        matplotlib Figure.

    Raises:
        ValueError: the model takes images of any size, so there are no sizes to draw.

    Source: Ronneberger et al. 2015, figure 1 (the way of drawing).
    """
    boxes = boxes_of(model)
    place(boxes)
    span = max(box.x for box in boxes) + 1
    depth = max(box.level for box in boxes) + 1
    figure, axis = plt.subplots(
        figsize=(max(0.62 * span + 0.4, 5), 1.25 * depth + 0.75), layout="constrained", dpi=DPI
    )
    axis.set(xlim=(-0.6, span - 0.3), ylim=(-depth + 0.6, 0.68))
    axis.axis("off")
    tallest = max(box.height for box in boxes)
    kinds = {}
    for box in boxes:
        draw_box(axis, box, tallest)
        for start, text, colour in box.arrows:
            kinds[text] = draw_arrow(axis, start, box, colour, boxes, tallest)
    if any(box.dropout for box in boxes):
        kinds["dashed: dropout"] = Rectangle((0, 0), 1, 1, fill=False, linestyle=":", linewidth=1.5)
    figure.legend(
        kinds.values(),
        kinds.keys(),
        loc="outside lower center",
        ncols=max(1, min(3, int(0.62 * span / 3.2))),
        fontsize=8,
        frameon=False,
    )
    axis.set_title(title or f"{model.name}: {model.count_params():,} parameters", fontsize=10)
    return figure


def boxes_of(model):
    """Turn the layers of a model into boxes, in order; small layers join the box before them."""
    deep = profiling.levels(model)
    holder = {}  # layer name -> where its output is drawn
    boxes = []
    for layer, fact in zip(model.layers, profiling.layer_facts(model), strict=True):
        sources = [holder[name] for name in fact.inputs]
        action = describe(layer, following(model, fact.name))
        if isinstance(layer, JOINS) and any(source.up for source in sources):
            holder[fact.name] = joined(layer, sources, fact.output_shape[-1])
        elif len(sources) == 1 and action is None:
            holder[fact.name] = passed_on(layer, sources[0])
        else:
            box = new_box(fact.output_shape, deep[fact.name], sources, action)
            boxes.append(box)
            holder[fact.name] = Held(box, isinstance(layer, ENLARGES))
    return boxes


@dataclass
class Held:
    """Where a layer's output is drawn, and whether it was just enlarged or cropped."""

    box: Box
    up: bool = False
    cropped: bool = False


def joined(layer, sources, channels):
    """Make one box of the enlarged features and the skip connection, as in the paper."""
    box = next(source for source in sources if source.up).box
    added = isinstance(layer, keras.layers.Add)
    for source in sources:
        if source.box is not box:
            box.copied = 0 if added else box.copied + source.box.channels
            text = "add the skip connection" if added else "skip connection, copied"
            text += " and cropped" if source.cropped else ""
            box.arrows.append((source.box, text, GREY))
    box.channels = channels
    return Held(box)


def passed_on(layer, source):
    """Let a small layer, such as ReLU, dropout or cropping, join the box before it."""
    source.box.dropout |= isinstance(layer, keras.layers.Dropout)
    cropped = source.cropped or isinstance(layer, keras.layers.Cropping2D)
    return Held(source.box, source.up, cropped)


def new_box(shape, level, sources, action):
    """Make the box of a layer that is drawn by itself, with arrows from where its input is."""
    # a layer that no longer has rows and columns is drawn as one pixel with many channels
    height, width, channels = shape if len(shape) == 3 else (1, 1, shape[-1])
    arrows = [(source.box, *(action or ("join", GREY))) for source in sources]
    return Box(height, width, channels, level, arrows)


def following(model, name):
    """Say in words what normalises and activates a layer's output: ", BN, ReLU"."""
    text, current = "", model.get_layer(name).output
    words = {"BatchNormalization": ", BN", "ReLU": ", ReLU"}
    for _ in range(2):
        after = [la for la in model.layers if [current] == profiling.input_tensors(la)]
        if len(after) != 1 or type(after[0]).__name__ not in words:
            break
        text += words[type(after[0]).__name__]
        current = after[0].output
    return text


def describe(layer, after):
    """Give the text and colour of the arrow that a layer draws; None for small layers."""
    if isinstance(layer, keras.layers.Conv2DTranspose):
        side, stride = layer.kernel_size[0], layer.strides[0]
        return f"{side}x{side} transposed convolution, stride {stride}{after}", GREEN
    if isinstance(layer, keras.layers.UpSampling2D):
        return f"upsampling by {layer.size[0]}, {layer.interpolation}", GREEN
    if isinstance(layer, keras.layers.Conv2D):
        side = layer.kernel_size[0]
        stride = f", stride {layer.strides[0]}" if layer.strides[0] > 1 else ""
        valid = ", valid" if layer.padding == "valid" and side > 1 else ""
        return f"{side}x{side} convolution{valid}{stride}{after}", BLUE if side > 1 else PURPLE
    if isinstance(layer, SHRINKS):
        kind = "max" if isinstance(layer, keras.layers.MaxPooling2D) else "average"
        return f"{layer.pool_size[0]}x{layer.pool_size[1]} {kind} pooling", ORANGE
    if isinstance(layer, (keras.layers.Dense, keras.layers.GlobalAveragePooling2D)):
        return f"{type(layer).__name__}{after}", PURPLE
    return None


def place(boxes):
    """Give every box its x: right of what it is made from, straight below or above a resize."""
    taken = {}  # level -> the last x in use
    for box in in_order(boxes):
        x = 0
        for start, _, _ in box.arrows:
            x = max(x, start.x + (start.level == box.level))
        box.x = max(x, taken.get(box.level, -1) + 1)
        taken[box.level] = box.x


def in_order(boxes):
    """Sort boxes so that each comes after all that lead to it."""
    done = []

    def visit(box):
        if not any(box is other for other in done):
            for start, _, _ in box.arrows:
                visit(start)
            done.append(box)

    for box in boxes:
        visit(box)
    return done


def size_of(box, tallest):
    """Give the width and height of a box in the drawing, in units of the grid."""
    return 0.07 + 0.055 * math.log2(box.channels), 0.1 + 0.5 * (box.height / tallest) ** 0.5


def draw_box(axis, box, tallest):
    """Draw one box, its copied part white, with channels and size over it."""
    width, height = size_of(box, tallest)
    left, bottom = box.x - width / 2, -box.level - height / 2
    style = dict(linewidth=1.3 if box.dropout else 0.8, linestyle=":" if box.dropout else "-")
    axis.add_patch(Rectangle((left, bottom), width, height, fc="#c9d8ee", ec="0.2", **style))
    if box.copied:
        part = width * box.copied / box.channels
        axis.add_patch(Rectangle((left, bottom), part, height, fc="white", ec="0.2", **style))
    axis.text(
        box.x,
        -box.level + height / 2 + 0.02,
        f"{box.channels}\n{box.height}x{box.width}",
        ha="center",
        va="bottom",
        fontsize=7.5,
        linespacing=0.95,
    )


def draw_arrow(axis, start, end, colour, boxes, tallest):
    """Draw an arrow between two boxes; bend it below other boxes of the row that are in the way."""
    (w0, h0), (w1, h1) = size_of(start, tallest), size_of(end, tallest)
    text = 0.3  # height of the two lines over a box
    bend = 0
    if start.level == end.level:
        between = [b for b in boxes if b.level == end.level and start.x < b.x < end.x]
        a = (start.x + w0 / 2, -start.level)
        b = (end.x - w1 / 2, -end.level)
        if between:
            bend = 0.3
            a, b = (start.x, -start.level - h0 / 2), (end.x, -end.level - h1 / 2)
    elif start.level < end.level:
        a, b = (start.x, -start.level - h0 / 2), (end.x, -end.level + h1 / 2 + text)
    else:
        a, b = (start.x, -start.level + h0 / 2 + text), (end.x, -end.level - h1 / 2)
    arrow = FancyArrowPatch(
        a,
        b,
        connectionstyle=f"arc3,rad={bend}",
        arrowstyle="-|>",
        mutation_scale=8,
        shrinkA=1,
        shrinkB=1,
        linewidth=1.5,
        color=colour,
    )
    axis.add_patch(arrow)
    return arrow
