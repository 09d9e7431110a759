"""Figures: images with masks and legend, curves, confusion matrices, scores per class.

Functions that draw return a matplotlib Figure, for `show`. Images are uint8 (H, W, 3), masks uint8
(H, W), and labels the Labels of the data set.
"""

import base64
import html
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.legend import Legend
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, PercentFormatter

from unet_helpers.labels import VOID, VOID_COLOUR, mask_to_colour

IMAGE_WIDTH = 2.6  # inches of one image in a grid
DPI = 80  # keeps stored notebooks small
BLUE, ORANGE, GREY = "#2f5fa8", "#d9722e", "#9aa3ab"
GREEN, PURPLE, YELLOW = "#3d8b57", "#7a5ea8", "#dcb03f"
SERIES = (GREY, ORANGE, YELLOW, GREEN, PURPLE, BLUE)  # the last one is the one that matters


def show_pairs(images, masks, labels, columns=4):
    """Show images with their masks below them, so many columns in a row, and the legend."""
    rows = []
    for start in range(0, len(images), columns):
        part = slice(start, start + columns)
        none = [""] * len(images[part])
        rows += [(none, images[part]), (none, [mask_to_colour(m, labels) for m in masks[part]])]
    return image_grid(rows, labels, present_classes(masks))


def show_predictions(images, truths, predictions, labels, titles=None):
    """Show images, their true and predicted masks and the wrong pixels, a column for each image.

    A single image takes one row. titles has a text for each image.
    """
    none = [""] * len(images)
    rows = [
        (none if titles is None else titles, images),
        (none, [mask_to_colour(mask, labels) for mask in truths]),
        (none, [mask_to_colour(mask, labels) for mask in predictions]),
        (none, [error_map(*three) for three in zip(images, truths, predictions, strict=True)]),
    ]
    sides = ["image", "truth", "prediction", "wrong pixels"]
    if len(images) == 1:
        rows, sides = [(sides, [column[0] for _, column in rows])], None
    shown = present_classes([*truths, *predictions])
    return image_grid(rows, labels, shown, sides, [Patch(color=ORANGE, label="wrong pixel")])


def error_map(image, truth, prediction):
    """Paint the wrong pixels orange on a pale grey image, void black; uint8 (H, W, 3)."""
    grey = 155 + image.mean(axis=-1, keepdims=True) * 0.35
    painted = np.repeat(grey, 3, axis=-1).astype(np.uint8)
    painted[truth != prediction] = list(bytes.fromhex(ORANGE[1:]))
    painted[truth == VOID] = VOID_COLOUR
    return painted


def heat_map(values, low=0.0, high=None):
    """Paint numbers (H, W) from dark (low) to bright (high, None: the largest); uint8 (H, W, 3)."""
    high = float(np.max(values)) if high is None else high
    share = np.clip((np.asarray(values, float) - low) / max(high - low, 1e-12), 0, 1)
    return plt.get_cmap("magma")(share, bytes=True)[..., :3]


def image_grid(rows, labels=None, shown=(), side_titles=None, more_patches=()):
    """Lay images out in rows, each (titles, images), with a legend below of the classes `shown`.

    side_titles are the names of the rows, more_patches further legend entries.
    """
    columns = max(len(images) for _, images in rows)
    heights = [max(p.shape[0] / p.shape[1] for p in images) for _, images in rows]
    patches = [
        Patch(
            facecolor=np.array(VOID_COLOUR if c == VOID else labels.colours[c]) / 255,
            edgecolor="0.5",
            linewidth=0.5,
            label="void" if c == VOID else plain(labels.classes[c]),
        )
        for c in shown
    ]
    patches += more_patches
    width = columns * IMAGE_WIDTH + 0.3
    size = legend_size(width)
    per_line = max(1, min(len(patches), int(width / (0.14 * size))))
    lines = -(-len(patches) // per_line) if patches else 0
    titled = sum(any(titles) for titles, _ in rows)
    height = sum(heights) * IMAGE_WIDTH + 0.25 * titled + 0.025 * size * lines + 0.15
    figure, axes = new_figure((width, height), (len(rows), columns), height_ratios=heights)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02, wspace=0, hspace=0)
    for r, (titles, images) in enumerate(rows):
        for c, axis in enumerate(axes[r]):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if c < len(images):
                axis.imshow(images[c], interpolation="nearest")
                if titles[c]:
                    axis.set_title(titles[c], fontsize=max(9, size))
        if side_titles:
            axes[r, 0].set_ylabel(side_titles[r], fontsize=max(9, size))
    if patches:
        style = dict(loc="outside lower center", ncols=per_line, fontsize=size, frameon=False)
        figure.legend(handles=patches, **style)
    return figure


def new_figure(size, grid=(1, 1), **options):
    """Make a figure of a size in inches; returns it and its axes as an array (rows, columns)."""
    options |= dict(figsize=size, squeeze=False, layout="constrained", dpi=DPI)
    return plt.subplots(*grid, **options)


def legend_size(width):
    """Return the points of a legend that is readable where a figure is shown 700 pixels wide."""
    return 8.4 * max(1, width * DPI / 700)


def present_classes(masks):
    """List the classes (and void) that occur in masks, sorted."""
    return sorted(set().union(*(np.unique(mask).tolist() for mask in masks)))


def plain(name):
    """Escape the dollars of a name, between which matplotlib would read a formula."""
    return name.replace("$", r"\$")


def show_history(history):
    """Plot loss and scores per epoch, from the dict that `training.fit` returns."""
    epochs = range(1, len(history["loss"]) + 1)
    scored = "val_mean_iou" in history
    figure, axes = new_figure((8 if scored else 4, 3), (1, 2 if scored else 1))
    axis = axes[0, 0]
    axis.plot(epochs, history["loss"], "o-", color=BLUE, label="training")
    if "val_loss" in history:
        axis.plot(epochs, history["val_loss"], "s--", color=ORANGE, label="validation")
    axis.set(ylabel="loss", title="loss")
    if scored:
        axis = axes[0, 1]
        axis.plot(epochs, history["val_accuracy"], "o-", color=BLUE, label="pixel accuracy")
        axis.plot(epochs, history["val_mean_iou"], "s--", color=ORANGE, label="mean IoU")
        axis.set(ylabel="score", ylim=(0, 1), title="scores on validation")
    for axis in axes[0]:
        axis.set_xlabel("epoch")
        axis.legend(frameon=False)
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def show_confusion(confusion, labels):
    """Plot a confusion matrix, int (C, C), each row as shares of the true class's pixels."""
    totals = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, totals, where=totals > 0, out=np.zeros(confusion.shape))
    side = 2.2 + 0.42 * labels.n_classes
    figure, ((axis,),) = new_figure((side, side))
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(share >= 0.01):
        colour = "white" if share[row, column] > 0.6 else "black"
        style = dict(ha="center", va="center", fontsize=9, color=colour)
        axis.text(column, row, f"{share[row, column]:.0%}", **style)
    ticks = range(labels.n_classes)
    axis.set_xticks(ticks, [*map(plain, labels.classes)], rotation=90, fontsize=9)
    axis.set_yticks(ticks, [*map(plain, labels.classes)], fontsize=9)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.set_title("where the pixels of each class went", fontsize=10)
    return figure


def show_class_bars(values, labels, title, series=None, log=False, percent=False):
    """Plot one number per class as a horizontal bar, for one or several series.

    values is an array (C,) or a list of them, and series their names for the legend. A class
    without a value (nan) says "absent". log is for class shares, percent writes percentages.
    """
    groups = np.atleast_2d(np.asarray(values, float))
    colours = series_colours(len(groups))
    height = 0.8 / len(groups)
    where = np.arange(labels.n_classes)
    figure, ((axis,),) = new_figure((6.5, 0.8 + len(where) * (0.14 + 0.11 * len(groups))))
    for i, group in enumerate(groups):
        place = where + (i - (len(groups) - 1) / 2) * height
        name = series[i] if series else None
        bars = axis.barh(place, np.nan_to_num(group), height * 0.9, color=colours[i], label=name)
        texts = ["absent" if np.isnan(x) else f"{x:.1%}" if percent else f"{x:.2f}" for x in group]
        axis.bar_label(bars, texts, padding=3, fontsize=9)
    axis.set_yticks(where, [*map(plain, labels.classes)], fontsize=9)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=10)
    axis.margins(x=0.12)
    if log:
        axis.set_xscale("log")
    if percent:
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.spines[["top", "right"]].set_visible(False)
    if series:
        axis.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def series_colours(count):
    """List the colours of so many series; the last one is blue, the first of several is grey."""
    return [*SERIES[: count - 1], BLUE]


def show(figure, alt):
    """Show a figure once in a notebook, with a text for readers who cannot see it."""
    for legend in figure.findobj(Legend):
        for text in legend.get_texts():
            text.set_fontsize(max(text.get_fontsize(), legend_size(figure.get_figwidth())))
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


def show_gif(path, alt):
    """Show an animation in a notebook, with a text for readers who cannot see it."""
    content = base64.b64encode(Path(path).read_bytes()).decode()
    # as HTML, because GitHub and nbconvert do not show outputs of type image/gif
    image = f'<img src="data:image/gif;base64,{content}" alt="{html.escape(alt)}">'
    display({"text/html": image, "text/plain": alt}, raw=True)


def show_widget(widget, text):
    """Show an ipywidget in a notebook that runs; where only outputs are stored, the text is."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    display({"application/vnd.jupyter.widget-view+json": view, "text/plain": text}, raw=True)
