"""Your own images: a folder of images, a folder of masks, and one small file of class names.

    my_data/
        images/      one.jpg  two.jpg ...
        masks/       one.png  two.png ...      the same names
        labels.csv   name,id,colour            a line for every class
        train.txt  val.txt  test.txt           if you want to choose: a name a line

A mask's pixels are ids (one channel) or colours; `labels.csv` says what they mean:

    name,id,colour
    road,0,#804080
    car,1,0 0 142
    void,255,#000000

Ids and colours are those in the files; a data set needs only one of the two. The line `void` (there
may be several) is what nobody labelled. In memory the classes are 0, 1, 2 ... in the file's
order and void is 255, as everywhere in the course.
"""

import csv
import re
import unicodedata
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.images import open_image, read_image, read_mask
from unet_helpers.datasets.pairs import choose, pair_up, plain_name, split_at_random
from unet_helpers.labels import VOID, DataError, Labels, distinct_colours

SPLITS = ("train", "val", "test")
COLUMNS = ("name", "id", "colour")
MOST_BYTES = 1_000_000  # a text file beyond that is no list of names


@dataclass(frozen=True)
class LabelMap:
    """What `labels.csv` says.

    labels are the classes; ids a dict from the values in one-channel masks to classes (or VOID),
    colours a dict from (r, g, b) to classes (or VOID). One of the two may be empty.
    """

    file: Path
    labels: Labels
    ids: dict
    colours: dict


def load(split, root, image_size=(96, 128), split_by="random", seed=0, cache="auto"):
    """Load one split of a folder of your own as a data set of pairs in one fixed order.

    Args:
        split: "train", "val", "test", or "all".
        root: the folder; what lies in it is described above.
        image_size: (height, width) to resize to; None keeps the files' size.
        split_by: used where there are no train.txt, val.txt and test.txt. "random" draws 70, 15
            and 15 % of the names; "recording" keeps names together that are the same up to their
            last underscore or hyphen (street-7_0012 and street-7_0013), as frames of one film
            must be.
        seed: of the draw.
        cache: where the decoded pairs are kept: "memory", "disk", the path of a folder, or "auto",
            as for `datasets.load_pairs`.

    Returns:
        tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), void 255), unbatched.

    Raises:
        DataError: no such folder, no pairs, a file that cannot be used (the message names it).
    """
    label_map = read_label_map(root)
    return pipeline.load_pairs(
        find_pairs(split, root, split_by, seed),
        partial(read_pair, label_map=label_map),
        label_map.labels.n_classes,
        image_size,
        f"{split} images",
        cache,
    )


def find_pairs(split, root, split_by="random", seed=0):
    """List the (image path, mask path) pairs of a split, sorted by name.

    Arguments and errors as in `load`.
    """
    if split not in (*SPLITS, "all"):
        raise DataError(f"There is no split {split!r}; there are train, val, test and all.")
    folder = find(root)
    found = pair_up(folder / "images", folder / "masks")
    pairs = {plain_name(image): (image, mask) for image, mask in found}
    if split == "all":
        names = pairs
    elif any((folder / f"{name}.txt").exists() for name in SPLITS):
        names = read_lists(folder, pairs)[split]
    elif split_by == "random":
        names = split_at_random(pairs, seed=seed)[split]
    elif split_by == "recording":
        names = split_recordings(pairs, seed)[split]
    else:
        raise DataError(f"split_by is {split_by!r}; it may be 'random' or 'recording'.")
    return [pairs[name] for name in names]


def find(root=None):
    """Give the folder as a Path; raises DataError unless images, masks and labels.csv are there."""
    if root in (None, "sample", "full"):
        raise DataError("Your own images have no sample: give the path of your folder as data.")
    folder = choose(root, "folder", None)
    for name in ("images", "masks", "labels.csv"):
        if not (folder / name).exists():
            raise DataError(
                f"{folder} has no {name}. Expected are the folders images and masks, with equal "
                "names in both, and the file labels.csv, whose first line is name,id,colour and "
                "which has a line for every class."
            )
    return folder


def read_labels(root):
    """Give the Labels of a folder: names and colours by class, from its `labels.csv`."""
    return read_label_map(root).labels


def files(root):
    """Say how a folder's masks are read, for `check_pairs(splits, **folder.files(root))`."""
    label_map = read_label_map(root)
    return {
        "codes": range(label_map.labels.n_classes),
        "class_names": label_map.labels.classes,
        "void": (VOID,),
        "read_code": partial(read_classes, label_map=label_map),
    }


def read_pair(image_path, mask_path, label_map=None):
    """Read one image and its mask as classes; without a label_map, by the folder's labels.csv.

    Returns (uint8 (H, W, 3), uint8 (H, W)). Raises DataError for a file that cannot be read or a
    mask with ids or colours that `labels.csv` does not have.
    """
    if label_map is None:
        label_map = read_label_map(Path(mask_path).parent.parent)
    return read_image(image_path), read_classes(mask_path, label_map)


def read_classes(path, label_map):
    """Read a mask, its ids or its colours turned into classes.

    Args:
        path: of the mask. One channel holds ids; several channels hold colours, and so do one or
            a palette where `labels.csv` has colours only.
        label_map: what `read_label_map` gave.

    Returns:
        uint8 (H, W), classes and void.

    Raises:
        DataError: no image, or an id or a colour that `labels.csv` does not have.
    """
    with open_image(path) as image:
        painted = len(image.getbands()) > 1 or not label_map.ids
        with_palette = image.mode == "P"
    if not painted:
        mask = ids_to_classes(read_mask(path), label_map, path)
        if with_palette:
            compare_palette(mask, read_image(path), label_map, path)
        return mask
    if not label_map.colours:
        raise DataError(
            f"{path} is painted in colours, but {label_map.file} has no column colour. Add one, "
            "such as #804080 in the line of road, or save the masks with one channel of ids."
        )
    return colours_to_classes(read_image(path), label_map, path)


def compare_palette(mask, image, label_map, path):
    """Raise DataError where a palette shows the colour of another class than the id means.

    Shapes: uint8 (H, W), uint8 (H, W, 3). Some programs number a palette anew when they save.
    """
    codes = pack(image)
    for colour, value in label_map.colours.items():
        wrong = (codes == pack(np.array(colour))) & (mask != value)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise DataError(
                f"{path} contradicts itself in row {row}, column {column}: its id there means "
                f"{class_name(mask[row, column], label_map)}, the colour of its palette "
                f"{class_name(value, label_map)}. If a program numbered the palette anew, take the "
                f"column id out of {label_map.file.name}; else mend the colours there."
            )


def ids_to_classes(values, label_map, path):
    """Turn the ids of a file into classes: uint8 (H, W) -> uint8 (H, W); errors name the file."""
    lookup = np.full(256, -1)
    lookup[list(label_map.ids)] = list(label_map.ids.values())
    mask = lookup[values]
    unknown = np.unique(values[mask < 0])
    if unknown.size:
        row, column = np.argwhere(mask < 0)[0]
        known = ", ".join(map(str, sorted(label_map.ids)))
        raise DataError(
            f"{path} holds ids that {label_map.file.name} does not have: "
            f"{', '.join(map(str, unknown[:8]))}{', ...' * (len(unknown) > 8)} in "
            f"{int((mask < 0).sum()):,} pixels, the first in row {row}, column {column}. It has "
            f"{known}. Add a line for each (void,{unknown[0]} if it means no label), or was the "
            "mask resized with interpolation?"
        )
    return mask.astype(np.uint8)


def colours_to_classes(image, label_map, path):
    """Turn colours into classes: uint8 (H, W, 3) -> uint8 (H, W); errors name the file."""
    codes = pack(image)
    colours = sorted(label_map.colours)
    known = pack(np.array(colours))
    place = np.searchsorted(known, codes).clip(max=len(known) - 1)
    unknown = known[place] != codes
    if unknown.any():
        raise DataError(about_colours(image, unknown, label_map, path))
    return np.array([label_map.colours[colour] for colour in colours], np.uint8)[place]


def pack(colours):
    """Make one number of each colour: integer (..., 3) -> int32 (...)."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def about_colours(image, unknown, label_map, path):
    """Say which colours of a mask are unknown, where, which known one is next, and why so."""
    row, column = np.argwhere(unknown)[0]
    first = tuple(image[row, column].tolist())
    nearest, name = min(
        ((colour, class_name(value, label_map)) for colour, value in label_map.colours.items()),
        key=lambda known: np.abs(np.subtract(known[0], first)).max(),
    )
    different = len(np.unique(pack(image[unknown])))
    kinds = "a colour" if different == 1 else f"{different:,} colours"
    if Path(path).suffix.lower() in (".jpg", ".jpeg"):
        cure = "JPEG changes colours, so no mask survives it. Export the masks again as PNG."
    elif different > len(label_map.colours):
        cure = (
            "So many are blends at the borders: the mask was resized with interpolation or drawn "
            "with smooth edges. Export it again without antialiasing, resize by nearest neighbour."
        )
    else:
        cure = "Add a line for each to the file (name it void if it means no label)."
    return (
        f"{path} holds {kinds} that {label_map.file.name} does not have, in "
        f"{int(unknown.sum()):,} pixels. The first is {first} in row {row}, column {column}; the "
        f"nearest known one is {nearest}, {name}. {cure}"
    )


def class_name(value, label_map):
    """Give the name of a class or "void"."""
    return "void" if value == VOID else label_map.labels.classes[value]


def read_label_map(root):
    """Read and check `labels.csv`.

    Args:
        root: the folder in which it lies.

    Returns:
        LabelMap. Without ids and colours the classes are numbered from 0 in the file's order;
        without colours `labels.distinct_colours` chooses those of the figures.

    Raises:
        DataError: a line that cannot be understood, something twice, no class; it names the line.
    """
    file = find(root) / "labels.csv"
    lines = read_lines(file, "name,id,colour and a line for every class")
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise DataError(
            f"{file} is no table of cells with commas between them ({error})."
        ) from None
    rows = [(number, [cell.strip() for cell in row]) for number, row in enumerate(rows, 1)]
    rows = [(number, row) for number, row in rows if any(row)]
    columns = [cell.lower() for cell in rows[0][1]] if rows else []
    if "name" not in columns or len(set(columns)) < len(columns) or set(columns) - set(COLUMNS):
        raise DataError(
            f"The first line of {file} is {','.join(columns)!r}; expected name,id,colour, or name "
            "and one of the two. The lines after it are such as road,0,#804080."
        )
    names, ids, colours = [], {}, {}
    for number, row in rows[1:]:
        where = f"Line {number} of {file}"
        if len(row) > len(columns):
            raise DataError(
                f"{where} has {len(row)} cells, the first line {len(columns)}. Write a colour as "
                "#804080 or as 128 64 128, without commas."
            )
        cells = dict(zip(columns, row, strict=False))
        name = cells["name"]
        is_void = name.lower() == "void"
        value = VOID if is_void else len(names)
        if not name:
            raise DataError(f"{where} has no name. Write one, or void for what is no class.")
        if name in names:
            raise DataError(f"{where} has the name {name!r} again. Every class has one line.")
        if not is_void:
            names.append(name)
        for column, kept, parse in (("id", ids, parse_id), ("colour", colours, parse_colour)):
            if cells.get(column):
                key = parse(cells[column], where)
                if key in kept:
                    raise DataError(
                        f"{where} has the {column} {cells[column]} again; an earlier line has it. "
                        "Each may stand for one class only."
                    )
                kept[key] = value
    return checked(file, names, ids, colours)


def checked(file, names, ids, colours):
    """Make the LabelMap of what was read; raises DataError where something is missing."""
    if not 1 <= len(names) <= VOID:
        raise DataError(
            f"{file} has {len(names)} classes; expected 1 to {VOID}, a line for each, after the "
            "first line name,id,colour."
        )
    for column, kept in (("id", ids), ("colour", colours)):
        lacking = [name for i, name in enumerate(names) if i not in kept.values()]
        if kept and lacking:
            raise DataError(
                f"{file} has no {column} for {', '.join(lacking[:5])}, but for others. Fill the "
                "column in every line, or leave it out."
            )
    if not ids and not colours:
        ids = {i: i for i in range(len(names))}
    by_class = {value: colour for colour, value in reversed(colours.items())}
    own_colours = tuple(by_class[i] for i in range(len(names))) if colours else None
    shown = Labels(file.parent.name, tuple(names), own_colours or distinct_colours(len(names)))
    return LabelMap(file, shown, ids, colours)


def parse_id(text, where):
    """Read an id, 0 to 255; where names the line in the sentence."""
    if not re.fullmatch("[0-9]{1,3}", text) or int(text) > 255:
        raise DataError(f"{where} has the id {text!r}; expected a whole number from 0 to 255.")
    return int(text)


def parse_colour(text, where):
    """Read a colour, #804080 or 128 64 128; where names the line in the sentence."""
    if re.fullmatch("#[0-9a-fA-F]{6}", text):
        return tuple(bytes.fromhex(text[1:]))
    parts = text.split()
    if len(parts) == 3 and all(re.fullmatch("[0-9]{1,3}", p) and int(p) <= 255 for p in parts):
        return tuple(map(int, parts))
    raise DataError(
        f"{where} has the colour {text!r}; expected six hexadecimal digits such as #804080, or "
        "red, green and blue from 0 to 255 such as 128 64 128."
    )


def read_lines(file, expected):
    """Read the lines of a small text file; raises DataError when it is none."""
    try:
        if not file.is_file():
            raise DataError(f"{file} is no file; expected a text file with {expected}.")
        if file.stat().st_size > MOST_BYTES:
            raise DataError(
                f"{file} has {file.stat().st_size:,} bytes; expected a small text file with "
                f"{expected}."
            )
        # utf-8-sig: spreadsheets put a mark before the first letter
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is no text in UTF-8 (byte {error.start:,} is none of a letter). Save it as "
            f"UTF-8; expected are {expected}."
        ) from None
    return text.replace("\0", "\\0").splitlines()


def read_lists(folder, pairs):
    """Read train.txt, val.txt and test.txt: dict from split to names, sorted.

    A line is a name, with or without ending. Raises DataError for a list that is missing or empty,
    a name without an image, and a name that stands in two lists.
    """
    splits, seen = {}, {}
    for split in SPLITS:
        file = folder / f"{split}.txt"
        if not file.exists():
            raise DataError(
                f"{folder} has no {file.name}, but another list. Write all of train.txt, val.txt "
                "and test.txt, or none: then the images are split at random."
            )
        splits[split] = []
        for number, line in enumerate(read_lines(file, "the name of an image in every line"), 1):
            if not line.strip():
                continue
            name = unicodedata.normalize("NFC", line.strip())
            name = name if name in pairs else plain_name(name)
            if name not in pairs:
                raise DataError(
                    f"Line {number} of {file} names {line.strip()!r}, but {folder / 'images'} has "
                    "no such image. Mend the line or add the image and its mask."
                )
            if name in seen:
                raise DataError(
                    f"Line {number} of {file} names {name!r}, which stands in {seen[name]} "
                    "already. An image belongs to one split, once."
                )
            seen[name] = file.name
            splits[split].append(name)
        if not splits[split]:
            raise DataError(f"{file} names no image: the {split} split would be empty.")
    return {split: sorted(names) for split, names in splits.items()}


def split_recordings(names, seed=0):
    """Split names so that those of one recording stay together: dict from split to sorted names.

    A recording is what stands before the last underscore or hyphen of a name. About 15 % of the
    recordings, at least one, are val, as many test; the longest is in train. Raises DataError for
    fewer than three.
    """
    recordings = {}
    for name in sorted(names):
        recordings.setdefault(re.split("[_-][^_-]*$", name)[0], []).append(name)
    if len(recordings) < 3:
        raise DataError(
            f"The names begin with {', '.join(recordings)}: {len(recordings)} recordings, and "
            "train, val and test need one each. Write the lists train.txt, val.txt and test.txt."
        )
    longest = max(recordings, key=lambda recording: len(recordings[recording]))
    others = [recording for recording in recordings if recording != longest]
    order = [*np.random.default_rng(seed).permutation(others).tolist(), longest]
    held_back = max(1, round(0.15 * len(order)))
    groups = {
        "test": order[:held_back],
        "val": order[held_back : 2 * held_back],
        "train": order[2 * held_back :],
    }
    return {
        split: sorted(name for recording in group for name in recordings[recording])
        for split, group in groups.items()
    }
