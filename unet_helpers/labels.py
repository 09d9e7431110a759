"""Class names, palettes that colour-blind readers can tell apart, and void; masks as colours."""

import functools
import numbers
import sys
from dataclasses import dataclass

import numpy as np

VOID = 255  # in memory, for every data set: a pixel without a label
VOID_COLOUR = (0, 0, 0)


class DataError(ValueError):
    """Something is wrong with the data; the message says what, where, and what to do next."""

    def __init__(self, message):
        super().__init__(printable(message))


def printable(text):
    """Escape what the screen cannot show, except line ends: names may hold any character."""
    escaped = "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in str(text)
    )
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return escaped.encode(encoding, "backslashreplace").decode(encoding)


@functools.cache
def note(sentence):
    """Print a sentence about the data, only once, however often the data is loaded."""
    print(printable(sentence))


@dataclass(frozen=True)
class Labels:
    """The classes of one data set: names and colours (0 to 255), by class.

    ids: of the classes in mask files, and of void last if it has one; None: the classes themselves.
    """

    name: str
    classes: tuple
    colours: tuple
    ids: tuple = None

    @classmethod
    def of(cls, name, colours, ids=None):
        """Make Labels of a dict from each class name to its colour, in the order of the classes."""
        return cls(name, tuple(colours), tuple(colours.values()), ids)

    @property
    def n_classes(self):
        """Number of classes, void not counted."""
        return len(self.classes)

    def index(self, class_name):
        """Return the id of a class name; raises ValueError with the known names."""
        if class_name not in self.classes:
            raise ValueError(f"{self.name} has no class {class_name!r}; it has {self.classes}.")
        return self.classes.index(class_name)


CARLA = Labels.of(
    "CARLA",
    {
        "None": (180, 191, 250),
        "Buildings": (94, 40, 26),
        "Fences": (255, 75, 175),
        "Other": (89, 96, 111),
        "Pedestrians": (217, 0, 14),
        "Poles": (255, 248, 37),
        "RoadLines": (190, 250, 255),
        "Roads": (70, 26, 138),
        "Sidewalks": (179, 128, 249),
        "Vegetation": (35, 140, 92),
        "Vehicles": (0, 59, 255),
        "Walls": (207, 176, 102),
        "TrafficSigns": (110, 246, 184),
    },
)
PETS = Labels.of(
    "Oxford-IIIT Pet",
    {"pet": (90, 190, 170), "background": (40, 70, 120), "outline": (250, 235, 150)},
    ids=(1, 2, 3),
)
CAMVID = Labels.of(
    "CamVid",
    {
        "Sky": (180, 191, 250),
        "Building": (94, 40, 26),
        "Pole": (255, 248, 37),
        "Road": (70, 26, 138),
        "Sidewalk": (179, 128, 249),
        "Tree": (35, 140, 92),
        "Sign": (110, 246, 184),
        "Fence": (255, 75, 175),
        "Car": (0, 59, 255),
        "Pedestrian": (217, 0, 14),
        "Cyclist": (190, 250, 255),
    },
)


def mask_to_colour(mask, labels):
    """Paint a mask in the colours of its Labels, void in black.

    Shapes: integer (..., H, W), classes or void -> uint8 (..., H, W, 3). Raises DataError for a
    value that is neither a class nor void.
    """
    mask = np.asarray(mask)
    check_values(mask, labels.n_classes, "this mask")
    lookup = np.zeros((256, 3), np.uint8)
    lookup[: labels.n_classes] = labels.colours
    lookup[VOID] = VOID_COLOUR
    return lookup[mask]


def colour_to_mask(colour, palette, where="this mask", names=None):
    """Read a mask back from its colours, as `mask_to_colour` paints them.

    Shapes: uint8 (..., H, W, 3) -> uint8 (..., H, W), classes and void. The palette is Labels, with
    black for void, or a dict from (r, g, b) to class or void; its class names are then `names`.
    Raises DataError for colours outside the palette; `where`, such as a path, names the mask in it.
    """
    colour = np.asarray(colour)
    if isinstance(palette, Labels):
        names = palette.classes
        palette = {known: c for c, known in enumerate(palette.colours)} | {VOID_COLOUR: VOID}
    colours = sorted(palette)
    codes, known = pack(colour), pack(np.array(colours))
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    unknown = known[place] != codes
    if unknown.any():
        raise DataError(f"{where} holds {about_colours(colour, unknown, palette, where, names)}")
    return np.array([palette[known] for known in colours], np.uint8)[place]


def pack(colours):
    """Pack each colour into one number: integer (..., 3) -> int32 (...)."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def about_colours(colour, unknown, palette, where, names):
    """Say how many colours are unknown, where the first is, what is nearest, and the cure."""
    *_, row, column = place = tuple(np.argwhere(unknown)[0])
    first = tuple(colour[place].tolist())
    nearest = min(palette, key=lambda known: np.abs(np.subtract(known, first)).max())
    value = palette[nearest]
    name = "void" if value == VOID else names[value] if names else f"class {value}"
    different = len(np.unique(pack(colour[unknown])))
    if str(where).lower().endswith((".jpg", ".jpeg")):
        cure = "JPEG changes colours, so no mask survives it. Export the masks again as PNG."
    elif different > len(palette):
        cure = (
            "So many are blends at the borders: the mask was resized with interpolation or drawn "
            "with smooth edges. Export it again without antialiasing, resize by nearest neighbour."
        )
    else:
        cure = (
            "Add each to the palette (in a folder of your own, as a line of labels.csv; as void "
            "if it means no label). Or is this the mask of another data set?"
        )
    return (
        f"{'a colour' if different == 1 else f'{different:,} colours'} that the palette does not "
        f"have, in {int(unknown.sum()):,} pixels. The first is {first} in row {row}, column "
        f"{column}; the nearest known one is {nearest}, {name}. {cure}"
    )


def overlay(image, mask, labels, opacity=0.5):
    """Lay a mask's colours over its image; opacity is the share of the mask, 0 to 1.

    Shapes: uint8 (H, W, 3), uint8 (H, W) -> uint8 (H, W, 3). Raises DataError for other opacities.
    """
    check_number("opacity", opacity, 0, 1)
    colour = mask_to_colour(mask, labels).astype(np.float32)
    return (image * (1 - opacity) + colour * opacity).astype(np.uint8)


def check_number(name, value, least, most=np.inf, whole=False):
    """Raise DataError, which names the option, unless it is a number from least to most."""
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
        limits = f"of {least} or more" if most == np.inf else f"from {least} to {most}"
        raise DataError(f"{name} is {value!r}; expected a {'whole ' * whole}number {limits}.")


def check_size(name, size, example, may_be_open=False):
    """Raise DataError unless a size has as many whole numbers as the example, all positive.

    may_be_open allows None, which means any, as height and as width.
    """
    sides = list(size) if hasattr(size, "__iter__") else []
    fixed = [side for i, side in enumerate(sides) if side is not None or i > 1 or not may_be_open]
    whole = all(isinstance(side, numbers.Integral) and side > 0 for side in fixed)
    if len(sides) != len(example) or not whole:
        raise DataError(f"{name} is {size!r}; expected positive whole numbers such as {example}.")


def check_values(mask, n_classes, where, void=VOID):
    """Raise DataError that names the mask (where) for values that are neither classes nor void."""
    wrong = mask[(mask < 0) | (mask >= n_classes) & (mask != void)]
    if wrong.size:
        found, or_void = np.unique(wrong)[:8].tolist(), f", or {void} for void" * (void == VOID)
        raise DataError(
            f"{where} holds labels outside the classes: {found} in {wrong.size} pixels; "
            f"expected 0 .. {n_classes - 1}{or_void}. Is it the mask of another data set, a "
            "coloured image, or a mask resized with interpolation?"
        )


def class_shares(masks, n_classes):
    """Compute each class's share of the labelled pixels in masks: (n_classes,), nan without any."""
    counts = np.zeros(n_classes, np.int64)
    for mask in masks:
        values = np.asarray(mask).ravel()
        counts += np.bincount(values[values != VOID], minlength=n_classes)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum()


def distinct_colours(number):
    """Choose colours that are far apart, for classes that have none of their own.

    Returns a tuple of (r, g, b), 0 to 255: the same whenever it is asked, and never black (void).
    """
    steps = np.array((0, 64, 128, 191, 255))
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    # Distances along these three axes are close to perceived ones: lightness counts most (all
    # colour-blind people see it), then green to red, then blue to yellow.
    places = candidates @ np.array([[0.6, 1.2, 0.0], [1.2, -0.6, 0.7], [0.2, -0.6, -0.7]])
    nearest = np.linalg.norm(places - places[0], axis=1)  # the distance to black
    chosen = []
    for _ in range(number):
        best = int(nearest.argmax())
        chosen.append(tuple(candidates[best].tolist()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[best], axis=1))
    return tuple(chosen)
