"""Class lists, colours, void, and masks to colours and back."""

import io
import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from unet_helpers.datasets.checks import Report
from unet_helpers.evaluation.metrics import score_lines
from unet_helpers.labels import (
    CAMVID,
    CARLA,
    PETS,
    VOID,
    VOID_COLOUR,
    DataError,
    Labels,
    check_values,
    class_shares,
    colour_to_mask,
    mask_to_colour,
    note,
    overlay,
    printable,
)

ALL = pytest.mark.parametrize("labels", [CARLA, CAMVID, PETS], ids=lambda labels: labels.name)
TWO = Labels("two", ("a", "b"), ((10, 20, 30), (200, 100, 50)))


def test_class_names_stand_in_the_order_of_their_ids():
    assert CARLA.classes == (
        *("None", "Buildings", "Fences", "Other", "Pedestrians", "Poles", "RoadLines", "Roads"),
        *("Sidewalks", "Vegetation", "Vehicles", "Walls", "TrafficSigns"),
    )
    assert CAMVID.classes == (
        *("Sky", "Building", "Pole", "Road", "Sidewalk", "Tree", "Sign", "Fence", "Car"),
        *("Pedestrian", "Cyclist"),
    )
    assert PETS.classes == ("pet", "background", "outline")
    assert (CARLA.n_classes, CAMVID.n_classes, PETS.n_classes, VOID) == (13, 11, 3, 255)


def test_index_gives_the_id_of_a_name():
    assert CARLA.index("Roads") == 7
    with pytest.raises(ValueError, match=r"CARLA has no class 'Sky'; it has .*'Buildings'"):
        CARLA.index("Sky")


# ---------------------------------------------------------------- the screen


def test_what_a_screen_cannot_show_is_written_as_escapes(monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen)
        report = Report({"train": 1}, ("straße",), {"train": np.ones(1)}, [])
        scores = score_lines(
            SimpleNamespace(iou=[1.0], dice=[1.0], pixel_accuracy=1.0, mean_iou=1.0, mean_dice=1.0),
            ["straße"],
        )
        print(report, scores)
        note("\x1b[31mstraße")
        note("\x1b[31mstraße")
        screen.flush()
    said = screen.buffer.getvalue()
    assert said.count(b"stra\\xdfe") == 3
    assert b"\\x1b[31m" in said and b"\x1b" not in said
    assert printable("straße\n\u202e") == "straße\n\\u202e"


# ---------------------------------------------------------------- masks and colours


def test_mask_to_colour_paints_classes_and_black_void():
    painted = mask_to_colour(np.array([[0, 1, 255]], np.uint8), TWO)
    assert painted.dtype == np.uint8
    assert painted.tolist() == [[[10, 20, 30], [200, 100, 50], [0, 0, 0]]]


@ALL
def test_masks_survive_the_way_to_colours_and_back(labels):
    values = [*range(labels.n_classes), VOID]
    mask = np.array(values * 4, np.uint8).reshape(2, 2, -1)
    back = colour_to_mask(mask_to_colour(mask, labels), labels)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_mask_to_colour_refuses_labels_outside_the_classes(dtype):
    mask = np.array([[0, 2], [2, 7]], dtype)
    with pytest.raises(DataError, match=r"\[2, 7\] in 3 pixels; expected 0 \.\. 1, or 255"):
        mask_to_colour(mask, TWO)


def test_colour_to_mask_reads_a_dict_of_colours():
    colour = mask_to_colour(np.array([[0, 1], [1, 255]], np.uint8), TWO)
    palette = {(200, 100, 50): 4, (10, 20, 30): VOID, (0, 0, 0): 2}
    assert colour_to_mask(colour, palette).tolist() == [[255, 4], [4, 2]]


@pytest.mark.parametrize(
    ("palette", "where", "message"),
    [
        (
            TWO,
            "m.png",
            r"m\.png holds 2 colours .* \(10, 20, 31\) in row 0, column 1; .*, a\.",
        ),
        (TWO, "m.JPG", "JPEG changes colours"),
        ({(10, 20, 30): 0}, "m.png", r"class 0\. So many are blends at the borders"),
    ],
)
def test_colour_to_mask_refuses_colours_outside_the_palette(palette, where, message):
    colour = np.array([[[10, 20, 30], [10, 20, 31], [9, 9, 9]]], np.uint8)
    with pytest.raises(DataError, match=message):
        colour_to_mask(colour, palette, where)


def test_check_values_names_the_file_and_lets_void_pass():
    check_values(np.array([0, 1, 255]), 2, "good.png")
    with pytest.raises(DataError, match=r"^bad\.png holds .*\[-1, 2\] in 2 pixels"):
        check_values(np.array([0, -1, 2, 255]), 2, "bad.png")


@pytest.mark.parametrize(
    ("opacity", "expected"),
    [(0.0, [[100, 0, 50], [100, 0, 50]]), (0.5, [[55, 10, 40], [50, 0, 25]])],
)
def test_overlay_mixes_image_and_mask(opacity, expected):
    image = np.full((1, 2, 3), (100, 0, 50), np.uint8)
    mixed = overlay(image, np.array([[0, 255]], np.uint8), TWO, opacity)
    assert mixed.dtype == np.uint8
    assert mixed[0].tolist() == expected


def test_overlay_of_full_opacity_is_the_mask():
    mask = np.array([[0, 1]], np.uint8)
    mixed = overlay(np.full((1, 2, 3), 77, np.uint8), mask, TWO, opacity=1)
    np.testing.assert_array_equal(mixed, mask_to_colour(mask, TWO))


@pytest.mark.parametrize("opacity", [5, float("nan")])
def test_overlay_refuses_other_opacities(opacity):
    with pytest.raises(DataError, match=rf"opacity is {opacity}; expected a number from 0 to 1"):
        overlay(np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1), np.uint8), TWO, opacity)


def test_class_shares_count_labelled_pixels_only():
    masks = [np.array([[0, 0], [0, 1]], np.uint8), np.array([[255, 1, 1, 255]], np.uint8)]
    np.testing.assert_allclose(class_shares(masks, 3), [3 / 6, 3 / 6, 0])


def test_class_shares_without_any_label_are_nan():
    assert np.isnan(class_shares([np.full((2, 2), 255, np.uint8)], 2)).all()


# ---------------------------------------------------------------- colour blindness

# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; they act on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def to_lab(colours, vision):
    """Convert sRGB bytes, as seen with a kind of vision, to CIE Lab under D65."""
    srgb = np.asarray(colours, float) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    light = np.clip(light @ np.transpose(vision), 0, 1)
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    x, y, z = (light @ np.transpose(to_xyz) / (0.95047, 1.0, 1.08883)).T
    fx, fy, fz = (
        np.where(t > (6 / 29) ** 3, np.cbrt(t), t * (29 / 6) ** 2 / 3 + 4 / 29) for t in (x, y, z)
    )
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def test_the_colour_conversion_itself():
    lab = to_lab([(255, 255, 255), (0, 0, 0), (255, 0, 0)], np.eye(3))
    np.testing.assert_allclose(lab, [(100, 0, 0), (0, 0, 0), (53.24, 80.09, 67.20)], atol=0.05)


@ALL
def test_palettes_stay_apart_for_every_kind_of_vision(labels):
    """Void is one of the colours: a class beside it, such as CARLA's None, must not look black."""
    for kind, vision in VISION.items():
        lab = to_lab([*labels.colours, VOID_COLOUR], vision)
        named = zip([*labels.classes, "void"], lab, strict=True)
        for (one, a), (other, b) in itertools.combinations(named, 2):
            assert np.linalg.norm(a - b) > (35 if kind == "normal" else 20), (kind, one, other)
