"""Draw a network from its live layers: boxes for feature maps, arrows for the layers."""

import math
from dataclasses import dataclass

from keras import layers
from matplotlib.patches import FancyArrowPatch, Rectangle

from unet_helpers.models import profiling
from unet_helpers.plots import BLUE, GREEN, GREY, ORANGE, PURPLE, YELLOW, legend_size, new_figure

WORDS = {"BatchNormalization": ", BN", "ReLU": ", ReLU"}  # for what follows a layer


@dataclass(eq=False)
class Box:
    """One feature map of the drawing, and the arrows (from box, text, colour) that lead to it."""

    height: int
    width: int
    channels: int
    level: int
    arrows: list
    copied: int = 0
    dropout: bool = False
    upsampled: bool = False  # and nothing joined to it yet
    x: float = 0.0
    drawn: tuple = (0.0, 0.0)  # width and height in the drawing, in units of the grid


def draw_model(model):
    """Draw a model as the U-Net paper draws it, read from the layers of the live model.

    A box is a feature map: its height grows with the image's, its width with the number of
    channels; the text over it gives channels and size. A row is a level: each halving leads one row
    down. Normalisation, ReLU, dropout, rescaling and cropping are part of their arrow or box.

    Returns a matplotlib Figure. Raises ValueError as `profiling.layer_facts`.

    Source: Ronneberger et al. 2015, figure 1 (the way of drawing).
    """
    boxes = boxes_of(model)
    place(boxes)
    span = max(box.x for box in boxes) + 1
    depth = max(box.level for box in boxes) + 1
    width = max(0.62 * span + 0.4, 5)
    figure, ((axis,),) = new_figure((width, 1.25 * depth + 0.75))
    axis.set(xlim=(-0.6, span - 0.3), ylim=(-depth + 0.6, 0.68))
    axis.axis("off")
    longest = max(len(f"{box.height}x{box.width}") for box in boxes)
    points = min(11, 64 / longest)  # so that the texts of neighbouring boxes do not touch
    kinds = {}
    for box in boxes:
        draw_box(axis, box, points)
        for start, text, colour in box.arrows:
            kinds[text] = draw_arrow(axis, start, box, colour, boxes)
    if any(box.dropout for box in boxes):
        kinds["dotted: dropout"] = Rectangle((0, 0), 1, 1, fill=False, linestyle=":", linewidth=1.5)
    size = legend_size(width)
    columns = max(1, min(3, int(width / (0.4 * size))))
    style = dict(loc="outside lower center", ncols=columns, fontsize=size, frameon=False)
    figure.legend(kinds.values(), kinds.keys(), **style)
    axis.set_title(f"{model.name}: {model.count_params():,} parameters", fontsize=size)
    return figure


def boxes_of(model):
    """Turn the layers of a model into boxes, each after those that lead to it."""
    levels = profiling.levels(model)
    box_of = {}  # layer name -> the Box that shows its output
    boxes = []
    for layer, fact in zip(model.layers, profiling.layer_facts(model), strict=True):
        sources = [box_of[name] for name in fact.inputs]
        arrow = describe(layer)
        box = next((source for source in sources if source.upsampled), None)
        if isinstance(layer, (layers.Concatenate, layers.Add)) and box:
            # one box of the upsampled features and the skip connection, as in the paper
            for name, source in zip(fact.inputs, sources, strict=True):
                if source is not box:
                    added = isinstance(layer, layers.Add)
                    box.copied = 0 if added else box.copied + source.channels
                    text = "add the skip connection" if added else "skip connection, copied"
                    cropped = isinstance(model.get_layer(name), layers.Cropping2D)
                    box.arrows.append((source, text + " and cropped" * cropped, GREY))
            box.channels, box.upsampled = fact.output_shape[-1], False
            boxes.append(boxes.pop(boxes.index(box)))  # after those that it now follows
        elif len(sources) == 1 and not arrow:
            # a small layer, such as ReLU, dropout or cropping, belongs to the box before it
            (box,) = sources
            box.dropout |= isinstance(layer, layers.Dropout)
            if len(box.arrows) == 1:
                [(source, text, colour)] = box.arrows
                box.arrows = [(source, text + WORDS.get(type(layer).__name__, ""), colour)]
        else:
            arrows = [(source, *(arrow or ("join", GREY))) for source in sources]
            box = Box(*fact.output_shape, levels[layer.name], arrows)
            box.upsampled = isinstance(layer, (layers.Conv2DTranspose, layers.UpSampling2D))
            boxes.append(box)
        box_of[layer.name] = box
    return boxes


def describe(layer):
    """Return the text and colour of the arrow that a layer draws; None for small layers."""
    if isinstance(layer, layers.Conv2DTranspose):
        side, stride = layer.kernel_size[0], layer.strides[0]
        return f"{side}x{side} transposed convolution, stride {stride}", GREEN
    if isinstance(layer, layers.UpSampling2D):
        return f"upsampling by {layer.size[0]}, {layer.interpolation}", YELLOW
    if isinstance(layer, layers.Conv2D):
        side = layer.kernel_size[0]
        stride = f", stride {layer.strides[0]}" if layer.strides[0] > 1 else ""
        valid = ", valid" if layer.padding == "valid" and side > 1 else ""
        return f"{side}x{side} convolution{valid}{stride}", BLUE if side > 1 else PURPLE
    if isinstance(layer, (layers.MaxPooling2D, layers.AveragePooling2D)):
        kind = "max" if isinstance(layer, layers.MaxPooling2D) else "average"
        return f"{layer.pool_size[0]}x{layer.pool_size[1]} {kind} pooling", ORANGE
    return None


def place(boxes):
    """Set the size of every box and its x: right of what leads to it, below or above a resize."""
    tallest = max(box.height for box in boxes)
    taken = {}  # level -> the last x in use
    for box in boxes:
        x = max((start.x + (start.level == box.level) for start, _, _ in box.arrows), default=0)
        box.x = max(x, taken.get(box.level, -1) + 1)
        taken[box.level] = box.x
        height = 0.1 + 0.5 * (box.height / tallest) ** 0.5
        box.drawn = 0.07 + 0.055 * math.log2(box.channels), height


def draw_box(axis, box, points):
    """Draw one box, its copied part white, with channels and size over it, so many points high."""
    width, height = box.drawn
    left, bottom = box.x - width / 2, -box.level - height / 2
    style = dict(linewidth=1.3 if box.dropout else 0.8, linestyle=":" if box.dropout else "-")
    axis.add_patch(Rectangle((left, bottom), width, height, fc="#c9d8ee", ec="0.2", **style))
    if box.copied:
        part = width * box.copied / box.channels
        axis.add_patch(Rectangle((left, bottom), part, height, fc="white", ec="0.2", **style))
    text = f"{box.channels}\n{box.height}x{box.width}"
    place = dict(ha="center", va="bottom", fontsize=points, linespacing=0.95)
    axis.text(box.x, -box.level + height / 2 + 0.02, text, **place)


def draw_arrow(axis, start, end, colour, boxes):
    """Draw an arrow between two boxes, bent below those in the row that are in its way."""
    (w0, h0), (w1, h1) = start.drawn, end.drawn
    text, bend = 0.3, 0  # the height of the two lines over a box, and no bend
    if start.level == end.level:
        a, b = (start.x + w0 / 2, -start.level), (end.x - w1 / 2, -end.level)
        if any(box.level == end.level and start.x < box.x < end.x for box in boxes):
            bend = 0.3
            a, b = (start.x, -start.level - h0 / 2), (end.x, -end.level - h1 / 2)
    elif start.level < end.level:
        a, b = (start.x, -start.level - h0 / 2), (end.x, -end.level + h1 / 2 + text)
    else:
        a, b = (start.x, -start.level + h0 / 2 + text), (end.x, -end.level - h1 / 2)
    style = dict(arrowstyle="-|>", mutation_scale=8, shrinkA=1, shrinkB=1, linewidth=1.5)
    arrow = FancyArrowPatch(a, b, connectionstyle=f"arc3,rad={bend}", color=colour, **style)
    return axis.add_patch(arrow)
