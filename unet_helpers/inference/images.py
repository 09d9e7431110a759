"""Masks for images of any size, and for folders of them."""

import itertools
import json
import math
import numbers
import os
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from unet_helpers import datasets
from unet_helpers.files import atomic_write, checksum, explained
from unet_helpers.inference.predict import to_mask
from unet_helpers.inference.tiles import TILE, tile_logits
from unet_helpers.labels import VOID, DataError, check_values

MOST = 16  # small images in one step; more are no faster
LIST = "predicted_masks.json"  # in a folder of masks: their names and checksums


def predict_image(model, image, scale=1.0, threshold=0.5, **options):
    """Predict the mask of an image of any size and format, by tiles if it is large.

    Args:
        model: maps tiles (B, h, w, 3), of one size or of any, to logits of the same size.
        image: a file, or uint8 (H, W, 3), (H, W, 4) or (H, W).
        scale: factor by which the image is resized for the model; the mask is resized back
            (nearest). Choose it so that objects are as large as they were in training.
        threshold: for the sigmoid of a model with a single logit.
        options: tile, overlap, blend, margin and flips of `tile_logits`.

    Returns uint8 (H, W), the mask of the image as viewers show it, turned by its EXIF tag. Raises
    DataError for an image that cannot be read, a model that does not fit, or invalid options. The
    memory holds the image, the mask, and the logits of one row of tiles.
    """
    ((_, mask),) = predict_images(model, [image], scale, threshold, **options)
    return mask


def predict_images(model, images, scale=1.0, threshold=0.5, **options):
    """Predict the masks of many images, small ones of one size several at a time.

    A processor's cores share the work on several small images better than that on one
    (benchmarks/prediction.py). images are files or arrays, of any sizes, read one after the other.
    The other arguments are as for `predict_image`.

    Yields (uint8 (H, W, 3), uint8 (H, W)): each image and its mask, in the given order. Raises
    DataError as `predict_image`.
    """
    if not isinstance(scale, numbers.Real) or not 0 < scale < np.inf:
        raise DataError(f"scale is {scale!r}; it must be positive, and 1 keeps the image's size.")
    for shape, group in itertools.groupby(map(as_image, images), lambda image: image.shape):
        size = shape[:2]
        small = [max(1, round(side * scale)) for side in size]
        if scale > 1 and math.prod(small) > datasets.images.MAX_PIXELS:
            raise DataError(
                f"scale is {scale}, which makes {small[0]}x{small[1]} pixels of {size[0]}x{size[1]}"
                f"; {datasets.images.MAX_PIXELS:,} are the most. Choose a smaller one."
            )
        # as many as have the pixels of one tile together
        most = min(max(1, TILE**2 // math.prod(small)), MOST)
        while step := list(itertools.islice(group, most)):
            stack = np.stack([datasets.resize_image(image, small) for image in step])
            masks = np.empty(stack.shape[:3], np.uint8)
            for row, logits in tile_logits(model, stack, **options):
                masks[:, row : row + logits.shape[1]] = to_mask(logits, threshold)
            yield from zip(step, [datasets.resize_mask(mask, size) for mask in masks], strict=True)


def as_image(image):
    """Return uint8 (H, W, 3) for a file or a uint8 array, which may be grey or transparent."""
    if isinstance(image, str | os.PathLike | datasets.images.EncodedImage):
        return datasets.read_image(image)
    image = np.asarray(image)
    if image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 1):
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    if image.ndim != 3 or image.shape[-1] not in (3, 4) or not image.size:
        raise DataError(
            f"The image has the shape {image.shape}; expected (H, W, 3). Pass the "
            "images of a batch one at a time: images[0]."
        )
    if image.dtype != np.uint8:
        raise DataError(
            f"The image is {image.dtype}; expected uint8, 0 to 255, as it comes from the file. "
            "The model divides by 255 itself."
        )
    return image[..., :3]


def save_mask(path, mask, labels=None):
    """Write a mask as a PNG of ids; with labels, in their ids and, for viewers, their colours.

    mask: uint8 (H, W), classes or void. `datasets.read_mask` reads the ids back. Raises DataError
    when the mask does not fit the labels or the file cannot be written.
    """
    image = Image.fromarray(mask)
    if labels is not None:
        check_values(mask, labels.n_classes, path)
        classes = [*range(labels.n_classes), VOID]
        ids = dict(zip(classes, labels.ids or classes, strict=False))
        if VOID not in ids and (mask == VOID).any():
            raise DataError(f"{path} cannot hold void, which {labels.name} gives no id.")
        lookup, palette = np.zeros(256, np.uint8), np.zeros((256, 3), np.uint8)
        lookup[list(ids)] = list(ids.values())
        palette[lookup[classes[:-1]]] = labels.colours
        image = Image.fromarray(lookup[mask])
        image.putpalette(palette.ravel().tolist())
    with atomic_write(path) as part:
        image.save(part, format="PNG")


def save_masks(folder, masks, labels=None):
    """Write the masks of one run into a folder, in place of those of an earlier run.

    masks: iterable of (name, uint8 (H, W)), which become NAME.png. Returns the list of their paths.
    Raises DataError as `earlier_masks` and `save_mask`, or for a name that comes twice.
    """
    folder, written, masks = Path(folder), {}, iter(masks)
    earlier = earlier_masks(folder)
    first = list(itertools.islice(masks, 1))  # it may fail; then the earlier masks stay
    with explained(f"{folder} cannot be emptied", "Choose another folder.", OSError):
        for file in earlier:
            file.unlink()
    try:
        for name, mask in itertools.chain(first, masks):
            path = folder / f"{name}.png"
            if path.name in written:
                raise DataError(f"Two masks would both become {path}.")
            save_mask(path, mask, labels)
            written[path.name] = checksum(path)
    finally:
        if written:
            with atomic_write(folder / LIST) as part:
                part.write_text(json.dumps(written, indent=1))
    return [folder / name for name in written]


def earlier_masks(folder):
    """List the masks that an earlier run wrote into a folder, as its list of them tells.

    Raises DataError when the folder holds any other image, or a mask that was changed since.
    """
    folder, known = Path(folder), {}
    if not folder.is_dir():
        return []
    with explained(f"{folder} cannot be used for masks", "Choose another folder."):
        if (folder / LIST).is_file():
            known = json.loads((folder / LIST).read_text())
        files = datasets.image_files(folder)
        other = [f for f in files if not f.is_file() or known.get(f.name) != checksum(f)]
    if other:
        raise DataError(
            f"{folder} holds {other[0].name}{f' and {len(other) - 1} more' * (len(other) > 1)}, "
            "which an earlier prediction did not write or someone has changed since. Nothing was "
            "overwritten: choose another folder for the masks, or empty this one."
        )
    return files


def predict_folder(model, source, target, labels=None, **options):
    """Predict all images of a folder and write a mask for each, with a progress bar.

    Masks become target/NAME.png for NAME.jpg, of the image's size as viewers show it, in the ids
    and colours of labels. They replace those of an earlier prediction; target may hold no other
    images. model and options are as for `predict_image`.

    Returns the masks' paths, in the order of the images' names. Raises DataError for no images, two
    of one name, a target that holds other images; or, after the others, unreadable ones.
    """
    files = datasets.image_files(source)
    if not files:
        endings = ", ".join(datasets.images.IMAGE_ENDINGS)
        raise DataError(f"{source} contains no images. Accepted endings: {endings}.")
    if Path(target).exists() and Path(target).samefile(source):
        raise DataError(f"{target} is the folder of the images; choose another one for the masks.")
    named, waiting, broken = datasets.pairs.by_name(files), [], []

    def read():
        for name, file in tqdm(named.items(), "images"):
            try:
                image = datasets.read_image(file)
            except DataError as error:  # one bad file must not stop a thousand good ones
                broken.append(error)
                continue
            waiting.append(name)
            yield image

    def predict():
        try:
            for _, mask in predict_images(model, read(), **options):
                yield waiting.pop(0), mask
        except DataError as error:
            if not waiting:  # no image is to blame
                raise
            raise DataError(f"{named[waiting[0]]} cannot be predicted. {error}") from error

    paths = save_masks(target, predict(), labels)
    if broken:
        raise DataError(
            f"{len(broken)} of {len(files)} images could not be read; the masks of the others "
            f"are in {target}. The first: {broken[0]}"
        )
    return paths
