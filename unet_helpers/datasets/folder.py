"""A folder of your own images, in `images`, `masks` and `labels.csv`, as docs/data.md describes."""

import csv
import functools
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from unet_helpers.datasets import pipeline
from unet_helpers.datasets.images import is_lossy, open_image, read_image, read_mask
from unet_helpers.datasets.pairs import SPLITS, choose, pair_up, plain_name, split_at_random
from unet_helpers.files import explained
from unet_helpers.labels import VOID, DataError, Labels, colour_to_mask, distinct_colours, note

COLUMNS = ("name", "id", "colour")
MOST_BYTES = 1_000_000  # a larger text file is not a list of names


@dataclass(frozen=True)
class LabelMap:
    """The content of `labels.csv`: classes, and dicts to them from ids and from (r, g, b)."""

    file: Path
    labels: Labels
    ids: dict
    colours: dict


def load(split, root, image_size=(96, 128), split_by="random", seed=0, cache="auto"):
    """Load one split of a folder of your own images, in one fixed order.

    Args:
        split: "train", "val", "test", or "all".
        root: the folder, laid out as docs/data.md describes.
        image_size, cache: as for `datasets.load_pairs`.
        split_by: used where there are no train.txt, val.txt and test.txt. "random" draws 70, 15 and
            15 % of the names by `seed`; "recording" keeps names together that are equal up to their
            last underscore or hyphen (street-7_0012, street-7_0013), for frames of a video.

    Returns a tf.data.Dataset of (image uint8 (H, W, 3), mask uint8 (H, W), classes from 0 in the
    order of labels.csv, void 255), unbatched. Raises DataError that names what cannot be used.
    """
    label_map = read_label_map(root)
    pairs, name = find_pairs(split, root, split_by, seed), f"{split} images"
    read, n_classes = partial(read_pair, label_map=label_map), label_map.labels.n_classes
    return pipeline.load_pairs(pairs, read, n_classes, image_size, name, cache)


def find_pairs(split, root, split_by="random", seed=0):
    """List the (image path, mask path) pairs of a split, sorted by name; see `load`."""
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
    """Return the folder as a Path; raises DataError if images, masks or labels.csv are missing."""
    if root in (None, "sample", "full"):
        raise DataError("Your own images have no sample: pass the path of your folder as data.")
    folder = choose(root, "folder", None)
    for name in ("images", "masks", "labels.csv"):
        if not (folder / name).exists():
            raise DataError(
                f"{folder} has no {name}. Expected the folders images and masks, with equal names "
                "in both, and the file labels.csv: name,id,colour and a line for every class."
            )
    return folder


def read_labels(root):
    """Return the Labels of a folder: names and colours by class, from its `labels.csv`."""
    return read_label_map(root).labels


def files(root):
    """Describe a folder's masks for the checks: `check_pairs(splits, **folder.files(root))`."""
    label_map = read_label_map(root)
    names = label_map.labels.classes
    read_code = partial(read_classes, label_map=label_map)
    return dict(codes=range(len(names)), class_names=names, read_code=read_code)


def read_pair(image_path, mask_path, label_map=None):
    """Read one image and its mask as classes; without a label_map, by the folder's labels.csv.

    Returns (uint8 (H, W, 3), uint8 (H, W)). Raises DataError as `read_image` and `read_classes`.
    """
    if label_map is None:
        label_map = read_label_map(Path(mask_path).parent.parent)
    return read_image(image_path), read_classes(mask_path, label_map)


def read_classes(path, label_map):
    """Read a mask and turn its ids or its colours into classes, uint8 (H, W).

    One channel holds ids, or, where `labels.csv` has colours only, grey levels or a palette of
    these colours; several channels hold colours. Raises DataError for a file that is not an image,
    or an id or colour that `labels.csv` lacks.
    """
    with open_image(path) as image:
        painted = len(image.getbands()) > 1 or not label_map.ids
        with_palette = image.mode == "P"
    two_tone = sorted(label_map.ids) == [0, 255]
    if painted and (label_map.colours or not two_tone):
        if not label_map.colours:
            raise DataError(
                f"{path} is painted in colours, but {label_map.file} has no column colour. Add "
                "one, such as #804080 in the line of road, or save the masks as one channel of ids."
            )
        return colour_to_mask(read_image(path), label_map.colours, path, label_map.labels.classes)
    values = read_levels(path) if two_tone else read_mask(path)
    mask = ids_to_classes(values, label_map, path)
    if with_palette:
        compare_palette(mask, read_image(path), label_map, path)
    return mask


def read_levels(path, jpeg=True):
    """Read a mask of ids, uint8 (H, W); black and white ones of all formats become 0 and 255.

    With `jpeg`, the greys of a JPEG become the nearer of the two, if most are near one.
    """
    with open_image(path) as image:
        lossy, grey = is_lossy(image), image.mode in ("1", "LA", "RGB", "RGBA")
        values = np.asarray(image.convert("L") if grey else image)
    if lossy and jpeg and np.mean(np.abs(values - 127.5) > 64) > 0.9:
        return np.where(values > 127, 255, 0).astype(np.uint8)
    return values if grey and not lossy else read_mask(path)


@functools.cache
def values_of(mask, jpeg, time):
    """List the values in a file, none if it cannot be read; a file of another time is another."""
    with suppress(DataError):
        return np.unique(read_levels(mask, jpeg)).tolist()
    return []


def compare_palette(mask, image, label_map, path):
    """Raise DataError where a palette shows another class; void, often black, does not count."""
    for colour, value in label_map.colours.items():
        wrong = (image == colour).all(axis=-1) & (mask != value)
        if value != VOID and wrong.any():
            row, column = np.argwhere(wrong)[0]
            names = {**dict(enumerate(label_map.labels.classes)), VOID: "void"}
            raise DataError(
                f"{path} contradicts itself in row {row}, column {column}: its id there means "
                f"{names[mask[row, column]]}, the colour of its palette {names[value]}. Remove the "
                f"column id from {label_map.file.name} to go by the colours, or correct them there."
            )


def ids_to_classes(values, label_map, path):
    """Turn the ids of a file into classes: uint8 (H, W) -> uint8 (H, W); errors name the file."""
    lookup = np.full(256, -1)
    lookup[list(label_map.ids)] = list(label_map.ids.values())
    mask = lookup[values]
    unknown = np.unique(values[mask < 0])
    if unknown.size:
        row, column = np.argwhere(mask < 0)[0]
        raise DataError(
            f"{path} holds ids that {label_map.file.name} does not have: "
            f"{', '.join(map(str, unknown[:8]))}{', ...' * (len(unknown) > 8)} in "
            f"{int((mask < 0).sum()):,} pixels, the first in row {row}, column {column}. It has "
            f"{', '.join(map(str, sorted(label_map.ids)))}. Add a line for each "
            f"(void,{unknown[0]} if it means no label), or was the mask resized with interpolation?"
        )
    return mask.astype(np.uint8)


def read_label_map(root):
    """Read the `labels.csv` of a folder: LabelMap; raises DataError that names the line."""
    file = find(root) / "labels.csv"
    rows = csv.reader(read_lines(file, "name,id,colour and a line for every class"))
    with explained(f"{file} is not a table of cells between commas", "Export it again.", csv.Error):
        rows = [[cell.strip() for cell in row] for row in rows]
    rows = [(number, row) for number, row in enumerate(rows, 1) if any(row)]
    columns = [cell.lower() for cell in rows[0][1]] if rows else []
    if "name" not in columns or len(set(columns)) < len(columns) or set(columns) - set(COLUMNS):
        raise DataError(
            f"The first line of {file} is {','.join(columns)!r}; expected name,id,colour, or name "
            "and one of the two. The lines after it are like road,0,#804080."
        )
    names, values, keys = [], [], {"id": {}, "colour": {}}
    for number, row in rows[1:]:
        where = f"Line {number} of {file}"
        if len(row) > len(columns):
            counts = f"{len(row)} cells, the first line {len(columns)}"
            raise DataError(f"{where} has {counts}. Write colours without commas: 128 64 128.")
        cells = dict(zip(columns, row, strict=False))
        name = cells.pop("name")
        if ";" in name or "\t" in name:
            raise DataError(f"{where} has {name!r} as a name. Write a comma between two cells.")
        if not name:
            raise DataError(f"{where} has no name. Write one, or void for pixels without a label.")
        if name in names:
            raise DataError(f"{where} has the name {name!r} again. Every class has one line.")
        is_void = name.lower() == "void"
        value = VOID if is_void else len(names)
        names += [name] * (not is_void)
        values.append(value)
        for column, cell in cells.items():
            key = cell and (parse_id if column == "id" else parse_colour)(cell, where)
            if key in keys[column]:
                raise DataError(f"{where} has the {column} {cell} again. Each means one class.")
            if cell:
                keys[column][key] = value
    if not 1 <= len(names) <= VOID:
        raise DataError(f"{file} has {len(names)} classes; expected 1 to {VOID}, each on a line.")
    for column, known in keys.items():
        lacking = [name for i, name in enumerate(names) if i not in known.values()]
        if known and lacking:
            raise DataError(
                f"{file} has no {column} for {', '.join(lacking[:5])}, but for others. Fill "
                "in the whole column, or leave it out."
            )
    ids, colours = keys.values()
    if not ids and not colours:
        ids = dict(enumerate(values[:256]))
        if VOID in values:
            ids.setdefault(255, VOID)
    classes = {i: value for i, value in ids.items() if value != VOID}
    if sorted(classes) == [0, 1]:
        found, jpeg = set(), ids.get(255) != VOID  # a JPEG hides a class 1 beside void
        for mask in file.with_name("masks").glob("*"):
            found.update(values_of(mask, jpeg, mask.lstat().st_mtime_ns))
            if found - {0, 255}:
                break
        if found in ({255}, {0, 255}):
            note(
                f"{file.with_name('masks')} holds only 0 and 255, black and white: 255 is "
                f"{names[classes[1]]}, and no pixel is void."
            )
            ids = {0: classes[0], 255: classes[1]}
    shown = sorted(colours, key=colours.get)[: len(names)] or distinct_colours(len(names))
    kept = sorted(ids, key=ids.get)[: len(names) + 1]  # by class, and the first of void
    labels = Labels(file.parent.name, tuple(names), tuple(shown), tuple(kept) or None)
    return LabelMap(file, labels, ids, colours)


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
    expected = "six hexadecimal digits (#804080) or three numbers from 0 to 255 (128 64 128)"
    raise DataError(f"{where} has the colour {text!r}; expected {expected}.")


def read_lines(file, expected):
    """Read the lines of a small text file; raises DataError that says what was expected."""
    expected = f"expected a small text file with {expected}."
    with explained(f"{file} cannot be read", f"Change its permissions; {expected}", OSError):
        if not file.is_file():
            raise DataError(f"{file} is not a file; {expected}")
        if file.stat().st_size > MOST_BYTES:
            raise DataError(f"{file} has {file.stat().st_size:,} bytes; {expected}")
        content = file.read_bytes()
    try:  # utf-8-sig: spreadsheets put a mark before the first letter
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"{file} is not text in UTF-8 (byte {error.start:,} is invalid)"
        raise DataError(f"{problem}. Save it as UTF-8; {expected}") from None
    return text.replace("\0", "\\0").splitlines()


def read_lists(folder, pairs):
    """Read train.txt, val.txt and test.txt: dict from split to sorted names.

    Lines are names, with or without ending and folder. Says which images are in none of the three.
    """
    splits, seen = {}, {}
    for split in SPLITS:
        file = folder / f"{split}.txt"
        if not file.exists():
            raise DataError(
                f"{folder} has no {file.name}, but another list. Write all of train.txt, val.txt "
                "and test.txt, or none: then the images are split at random."
            )
        lines = read_lines(file, "the name of an image in every line")
        for number, line in enumerate(map(str.strip, lines), 1):
            name = unicodedata.normalize("NFC", line)
            if name not in pairs:
                name = plain_name(PureWindowsPath(name).name)  # after the last / or \
            if line and name not in pairs:
                raise DataError(
                    f"Line {number} of {file} names {line!r}, but {folder / 'images'} has no such "
                    "image. Correct the line, or add the image and its mask."
                )
            if name in seen:
                raise DataError(
                    f"Line {number} of {file} names {name!r}, already in {seen[name]}. Delete one."
                )
            if line:
                seen[name] = file.name
        splits[split] = sorted(name for name in seen if seen[name] == file.name)
        if not splits[split]:
            raise DataError(f"{file} names no image: the {split} split would be empty.")
    if spare := sorted(set(pairs) - set(seen)):
        note(
            f"{len(spare)} of {len(pairs)} images in {folder / 'images'} are in none of train.txt, "
            f"val.txt and test.txt: {', '.join(spare[:5])}{', ...' * (len(spare) > 5)}."
        )
    return splits


def split_recordings(names, seed=0):
    """Split names so that those of one recording stay together: dict from split to sorted names.

    About 15 % of the recordings, at least one, are val, as many test; the longest is in train.
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
    test, val, train = np.split(order, [held_back, 2 * held_back])
    return {
        split: sorted(name for recording in group for name in recordings[recording])
        for split, group in zip(SPLITS, (train, val, test), strict=True)
    }
