"""Figures: that they show what they were given, say absent for what is not there, and close."""

import base64

import ipywidgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from unet_helpers import plots
from unet_helpers.labels import CARLA, Labels, mask_to_colour

THREE = Labels("three", ("road", "tree", "sky"), ((10, 20, 30), (200, 100, 50), (90, 160, 250)))
MASKS = np.array([[[0, 0], [1, 255]], [[0, 1], [1, 1]], [[255, 0], [0, 0]]], np.uint8)
IMAGES = np.arange(3 * 2 * 2 * 3, dtype=np.uint8).reshape(3, 2, 2, 3)


@pytest.fixture(autouse=True)
def silent_figures():
    """Draw without a screen, and close what a test has opened."""
    before = matplotlib.get_backend()
    plt.switch_backend("Agg")
    yield
    plt.close("all")
    plt.switch_backend(before)


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook would have been given to display."""
    calls = []
    monkeypatch.setattr(plots, "display", lambda *args, **options: calls.append((args, options)))
    return calls


def legend(figure):
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def images(figure):
    """Give what the axes show, row by row; None where an axis is empty."""
    return [axis.images[0].get_array() if axis.images else None for axis in figure.axes]


def drawn(figure):
    """Draw a figure, which finds what only fails while drawing."""
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    return figure


def labels_of(axis):
    """Give the text beside each bar or in each cell, by its place (column, row)."""
    return {(t.xy if hasattr(t, "xy") else t.get_position()): t.get_text() for t in axis.texts}


# ---------------------------------------------------------------- images


def test_show_pairs_puts_masks_below_their_images():
    figure = drawn(plots.show_pairs(IMAGES, MASKS, THREE, columns=2))
    shown = images(figure)
    assert len(shown) == 8  # 2 columns, and images and masks in turn
    np.testing.assert_array_equal(shown[0], IMAGES[0])
    np.testing.assert_array_equal(shown[2], mask_to_colour(MASKS[0], THREE))
    np.testing.assert_array_equal(shown[4], IMAGES[2])
    np.testing.assert_array_equal(shown[6], mask_to_colour(MASKS[2], THREE))
    assert shown[5] is None
    assert legend(figure) == ["road", "tree", "void"]  # there is no sky


def test_legend_has_the_colours_of_the_masks():
    figure = plots.show_pairs(IMAGES, MASKS, THREE)
    faces = [patch.get_facecolor()[:3] for box in figure.legends for patch in box.get_patches()]
    np.testing.assert_allclose(np.array(faces) * 255, [(10, 20, 30), (200, 100, 50), (0, 0, 0)])


def test_dollars_in_a_name_are_not_a_formula():
    odd = Labels("odd", ("$_$", "$", "sky"), THREE.colours)
    drawn(plots.show_pairs(IMAGES, MASKS, odd))
    drawn(plots.show_class_bars([0.1, 0.2, 0.3], odd, "scores"))


def test_present_classes_of_several_masks():
    assert plots.present_classes(MASKS) == [0, 1, 255]
    assert plots.present_classes([]) == []


@pytest.mark.parametrize("count", [1, 3])
def test_show_predictions_lists_classes_of_truth_and_prediction(count):
    guesses = np.array([[[0, 0], [2, 2]]] * count, np.uint8)
    figure = drawn(plots.show_predictions(IMAGES[:count], MASKS[:count], guesses, THREE))
    shown = images(figure)
    assert len(shown) == 4 * count
    np.testing.assert_array_equal(shown[0], IMAGES[0])
    np.testing.assert_array_equal(shown[count], mask_to_colour(MASKS[0], THREE))
    np.testing.assert_array_equal(shown[2 * count], mask_to_colour(guesses[0], THREE))
    np.testing.assert_array_equal(
        shown[3 * count], plots.error_map(IMAGES[0], MASKS[0], guesses[0])
    )
    assert legend(figure) == ["road", "tree", "sky", "void", "wrong pixel"]
    names = {axis.get_ylabel() or axis.get_title() for axis in figure.axes}
    assert {"image", "truth", "prediction", "wrong pixels"} <= names


def test_error_map_by_hand():
    image = np.array([[[0, 0, 0], [255, 255, 255]], [[90, 60, 0], [9, 9, 9]]], np.uint8)
    truth = np.array([[0, 1], [2, 255]], np.uint8)
    painted = plots.error_map(image, truth, np.array([[0, 1], [1, 0]], np.uint8))
    orange = [round(255 * value) for value in to_rgb(plots.ORANGE)]
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[[155] * 3, [244] * 3], [orange, [0, 0, 0]]]


@pytest.mark.parametrize("columns", [1, 3, 5])
def test_a_page_of_700_pixels_shows_legends_of_9_pixels(columns, displayed):
    figure = plots.image_grid([([""] * columns, [IMAGES[0]] * columns)], CARLA, range(13))
    figure.axes[0].plot([0, 1], label="small")
    figure.axes[0].legend(fontsize=5)
    plots.show(figure, "a legend below and one in the first image")
    width = figure.get_figwidth() * figure.dpi
    for box in (*figure.legends, figure.axes[0].get_legend()):
        points = min(text.get_fontsize() for text in box.get_texts())
        assert points * figure.dpi / 72 * min(1, 700 / width) >= 9
    figure.canvas.draw()
    [box] = figure.legends
    assert box.get_window_extent().width <= width


def test_image_grid_without_labels_has_no_legend():
    figure = drawn(plots.image_grid([(["one", "two"], list(IMAGES[:2]))], side_titles=["row"]))
    assert not figure.legends
    assert figure.axes[0].get_ylabel() == "row"
    assert [axis.get_title() for axis in figure.axes] == ["one", "two"]


# ---------------------------------------------------------------- numbers


def test_show_history_with_and_without_validation():
    history = {"loss": [2.0, 1.0], "seconds": [1.0, 1.0]}
    (axis,) = drawn(plots.show_history(history)).axes
    assert [line.get_label() for line in axis.lines] == ["training"]
    history |= {"val_loss": [3, 2], "val_accuracy": [0.5, 0.7], "val_mean_iou": [0.1, 0.3]}
    left, right = drawn(plots.show_history(history)).axes
    assert [line.get_label() for line in left.lines] == ["training", "validation"]
    assert {line.get_label(): line.get_ydata().tolist() for line in right.lines} == {
        "pixel accuracy": [0.5, 0.7],
        "mean IoU": [0.1, 0.3],
    }
    assert right.lines[0].get_xdata()[0] == 1


def test_show_confusion_writes_the_share_of_each_row():
    confusion = np.array([[60, 40, 0], [1, 998, 1], [0, 0, 0]])
    (axis,) = drawn(plots.show_confusion(confusion, THREE)).axes
    # cells below 1 % stay empty, and so does the row of the absent class
    assert labels_of(axis) == {(0, 0): "60%", (1, 0): "40%", (1, 1): "100%"}
    assert [tick.get_text() for tick in axis.get_xticklabels()] == list(THREE.classes)
    assert [tick.get_text() for tick in axis.get_yticklabels()] == list(THREE.classes)
    assert "true" in axis.get_ylabel()
    np.testing.assert_allclose(axis.images[0].get_array()[1], [0.001, 0.998, 0.001])


def test_show_class_bars_says_absent_for_nan():
    (axis,) = drawn(plots.show_class_bars([0.5, np.nan, 0.25], THREE, "IoU")).axes
    assert [text.get_text() for text in axis.texts] == ["0.50", "absent", "0.25"]
    assert [bar.get_width() for bar in axis.patches] == [0.5, 0, 0.25]
    assert axis.get_title() == "IoU"
    assert [tick.get_text() for tick in axis.get_yticklabels()] == list(THREE.classes)


def test_show_class_bars_of_two_series_has_their_names():
    values = [[0.5, np.nan, 0.25], [0.6, 0.1, np.nan]]
    (axis,) = drawn(plots.show_class_bars(values, THREE, "IoU", ["FCN", "U-Net"])).axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["FCN", "U-Net"]
    assert len(axis.patches) == 6
    assert len({bar.get_y() for bar in axis.patches}) == 6  # none hides another


def test_show_class_bars_on_a_logarithmic_axis():
    (axis,) = drawn(plots.show_class_bars([0.9, 0.001, 0], THREE, "share", log=True)).axes
    assert axis.get_xscale() == "log"


# ---------------------------------------------------------------- in a notebook


def test_show_displays_once_with_a_text_and_closes(displayed):
    figure = plots.show_history({"loss": [1.0]})
    plots.show(figure, "a falling curve")
    assert len(displayed) == 1
    assert displayed[0][0] == (figure,)
    assert displayed[0][1]["metadata"]["image/png"]["alt"] == "a falling curve"
    assert not plt.get_fignums()


def test_show_widget_displays_a_view_with_a_text(displayed):
    slider = ipywidgets.FloatSlider()
    plots.show_widget(slider, "A slider.")
    (((bundle,), options),) = displayed
    view = bundle["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == slider.model_id
    assert bundle["text/plain"] == "A slider." and options == {"raw": True}


def test_show_gif_displays_the_bytes_with_a_text(displayed, tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a...")
    plots.show_gif(tmp_path / "a.gif", "a street, epoch by epoch")
    ((bundle,), options) = displayed[0]
    content = base64.b64encode(b"GIF89a...").decode()
    assert f'src="data:image/gif;base64,{content}"' in bundle["text/html"]
    assert 'alt="a street, epoch by epoch"' in bundle["text/html"]
    assert bundle["text/plain"] == "a street, epoch by epoch"
    assert options["raw"]
