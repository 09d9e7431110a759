"""Class names, palettes and the void value of each data set; masks to colours and back.

The colours of a palette stay apart for the common kinds of colour blindness as well: a test
simulates them.
"""

from dataclasses import dataclass

import numpy as np

VOID = 255  # in memory, for every data set: "nobody says what this pixel is"
VOID_COLOUR = (0, 0, 0)


class DataError(ValueError):
    """Something is wrong with the data; the message says what, where, and what to do next."""

    def __init__(self, message):
        super().__init__(printable(message))


def printable(text):
    """Write what no screen can show as escapes: a file's name may be any bytes, a path any text.

    Returns str. Line ends stay.
    """
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


@dataclass(frozen=True)
class Labels:
    """The classes of one data set: names and colours (0 to 255), by class id."""

    name: str
    classes: tuple
    colours: tuple

    @property
    def n_classes(self):
        """Number of classes, void not counted."""
        return len(self.classes)

    def index(self, class_name):
        """Give the id of a class name; raises ValueError with the known names."""
        if class_name not in self.classes:
            raise ValueError(f"{self.name} has no class {class_name!r}; it has {self.classes}.")
        return self.classes.index(class_name)


CARLA = Labels(
    "CARLA",
    (
        "None",
        "Buildings",
        "Fences",
        "Other",
        "Pedestrians",
        "Poles",
        "RoadLines",
        "Roads",
        "Sidewalks",
        "Vegetation",
        "Vehicles",
        "Walls",
        "TrafficSigns",
    ),
    (
        (35, 18, 58),
        (108, 60, 61),
        (255, 211, 175),
        (164, 193, 255),
        (221, 0, 20),
        (255, 232, 69),
        (238, 242, 255),
        (69, 25, 146),
        (180, 98, 255),
        (25, 170, 86),
        (59, 39, 255),
        (55, 118, 167),
        (13, 164, 152),
    ),
)
PETS = Labels(
    "Oxford-IIIT Pet",
    ("pet", "background", "outline"),
    ((90, 190, 170), (40, 70, 120), (250, 235, 150)),
)
CAMVID = Labels(
    "CamVid",
    (
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Sidewalk",
        "Tree",
        "Sign",
        "Fence",
        "Car",
        "Pedestrian",
        "Cyclist",
    ),
    (
        (94, 134, 253),
        (97, 48, 50),
        (255, 255, 44),
        (81, 38, 137),
        (186, 187, 254),
        (53, 172, 95),
        (0, 168, 155),
        (252, 234, 127),
        (29, 44, 207),
        (214, 0, 16),
        (255, 253, 246),
    ),
)


def mask_to_colour(mask, labels):
    """Paint a mask in its data set's colours.

    Args:
        mask: integer array (..., H, W), classes or void.
        labels: Labels of the data set.

    Returns:
        uint8 array (..., H, W, 3); void is black.

    Raises:
        DataError: a value that is neither a class nor void.
    """
    mask = np.asarray(mask)
    check_values(mask, labels.n_classes, "this mask")
    lookup = np.zeros((256, 3), np.uint8)
    lookup[: labels.n_classes] = labels.colours
    lookup[VOID] = VOID_COLOUR
    return lookup[mask]


def colour_to_mask(colour, labels):
    """Read a mask back from its colours, as `mask_to_colour` paints them.

    Args:
        colour: uint8 array (..., H, W, 3).
        labels: Labels of the data set.

    Returns:
        uint8 array (..., H, W), classes and void.

    Raises:
        DataError: a colour that is in no palette (a JPEG or a resized mask has such colours).
    """
    colour = np.asarray(colour)
    red, green, blue = np.moveaxis(colour.astype(np.int64), -1, 0)
    code = red << 16 | green << 8 | blue
    mask = np.full(code.shape, -1, np.int64)
    for value, (r, g, b) in [*enumerate(labels.colours), (VOID, VOID_COLOUR)]:
        mask[code == (r << 16 | g << 8 | b)] = value
    if (mask < 0).any():
        r, g, b = colour[mask < 0][0].tolist()
        raise DataError(
            f"{int((mask < 0).sum())} pixels have colours outside the {labels.name} palette, "
            f"the first ({r}, {g}, {b}). Was the mask saved as JPEG or resized with interpolation?"
        )
    return mask.astype(np.uint8)


def overlay(image, mask, labels, opacity=0.5):
    """Lay a mask's colours over its image.

    Shapes: uint8 (H, W, 3), uint8 (H, W) -> uint8 (H, W, 3). opacity is the share of the mask.
    """
    colour = mask_to_colour(mask, labels).astype(np.float32)
    return (image * (1 - opacity) + colour * opacity).astype(np.uint8)


def check_values(mask, n_classes, where):
    """Raise DataError when a mask holds values that are neither classes nor void.

    where names the mask in the sentence, for instance its file.
    """
    present = np.unique(mask)
    wrong = present[(present >= n_classes) & (present != VOID) | (present < 0)]
    if wrong.size:
        count = int(np.isin(mask, wrong).sum())
        raise DataError(
            f"{where} holds labels outside the classes: {wrong[:8].tolist()} in {count} pixels; "
            f"expected 0 .. {n_classes - 1}, or {VOID} for void. Is it the mask of another data "
            "set, a coloured image, or a mask resized with interpolation?"
        )


def class_shares(masks, n_classes):
    """Count how much of the labelled pixels belongs to each class.

    Args:
        masks: iterable of integer arrays, classes or void.

    Returns:
        float array (n_classes,), sums to 1 (void is not counted); all nan without a label.
    """
    counts = np.zeros(n_classes, np.int64)
    for mask in masks:
        values = np.asarray(mask).ravel()
        counts += np.bincount(values[values != VOID], minlength=n_classes)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum()


def distinct_colours(number):
    """Choose colours that are far apart, for classes that have none of their own.

    Returns a tuple of (r, g, b), 0 to 255; the same number gives the same colours, and black,
    the colour of void, is not among them. Up to about twenty can be told apart at a glance.
    """
    steps = np.array((0, 64, 128, 191, 255))
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    # Distances in these three are near to what eyes see: lightness counts most, then green to
    # red, then blue to yellow. Lightness is also what every kind of colour blindness keeps.
    places = candidates @ np.array([[0.6, 1.2, 0.0], [1.2, -0.6, 0.7], [0.2, -0.6, -0.7]])
    nearest = np.linalg.norm(places - places[0], axis=1)  # the distance to black
    chosen = []
    for _ in range(number):
        best = int(nearest.argmax())
        chosen.append(tuple(candidates[best].tolist()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))
    return tuple(chosen)
