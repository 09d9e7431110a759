"""Masks for images of any size, and for folders of them."""

import itertools
import os
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from unet_helpers.datasets.images import (
    IMAGE_ENDINGS,
    EncodedImage,
    image_files,
    read_image,
    resize_image,
    resize_mask,
)
from unet_helpers.files import atomic_write
from unet_helpers.inference.predict import to_mask
from unet_helpers.inference.tiles import TILE, choose_tile, tile_logits, total_stride
from unet_helpers.labels import VOID, VOID_COLOUR, DataError

MOST = 16  # small images in one step; more are no faster


def predict_image(model, image, scale=1.0, threshold=0.5, **options):
    """Predict the mask of an image of any size and format, by tiles if it is large.

    Args:
        model: maps tiles (B, h, w, 3), of one size or of any, to logits of the same size.
        image: a file, or uint8 (H, W, 3), (H, W, 4) or (H, W).
        scale: factor by which the image is resized for the model; the mask is resized back
            (nearest). Choose it so that objects are as large as they were in training.
        threshold: for the sigmoid of a model with a single logit.
        options: tile, overlap, blend, margin, flips and batch_size of `tile_logits`.

    Returns:
        uint8 (H, W) mask, upright as `datasets.read_image` reads the image.

    Raises:
        DataError: an image that cannot be read, a model that does not fit, or invalid options.

    Memory: the image, the mask, and the logits of one row of tiles.
    """
    ((_, mask),) = predict_images(model, [image], scale, threshold, **options)
    return mask


def predict_images(model, images, scale=1.0, threshold=0.5, batch_size=None, **options):
    """Predict the masks of many images, small ones of one size several at a time.

    A processor's cores share the work on several small images better than that on one
    (benchmarks/prediction.py). `models.folding` makes a model that is faster still.

    Args:
        model, scale, threshold, options: as for `predict_image`.
        images: files or arrays, of any sizes, read one after the other.
        batch_size: images or tiles per step; None is as many as have the pixels of one tile
            of TILE x TILE together, but at most MOST.

    Yields:
        (uint8 (H, W, 3), uint8 (H, W)): each image and its mask, in the given order.

    Raises:
        DataError: as `predict_image`.
    """
    if not 0 < scale < np.inf:
        raise DataError(f"scale is {scale}; it must be positive, and 1 keeps the image's size.")
    for shape, group in itertools.groupby(map(as_image, images), lambda image: image.shape):
        size = shape[:2]
        small = [max(1, round(side * scale)) for side in size]
        whole = [side + 2 * options.get("margin", 0) for side in small]
        tile = choose_tile(model, whole, options.get("tile"), total_stride(model))
        most = batch_size or min(max(1, TILE**2 // (tile[0] * tile[1])), MOST)
        if whole[0] > tile[0] or whole[1] > tile[1]:
            most = 1  # each needs memory for a whole row of tiles
        while step := list(itertools.islice(group, most)):
            stack = np.stack([resize_image(image, small) for image in step])
            masks = np.empty(stack.shape[:3], np.uint8)
            tiles = batch_size or len(step)
            for row, logits in tile_logits(model, stack, batch_size=tiles, **options):
                masks[:, row : row + logits.shape[1]] = to_mask(logits, threshold)
            yield from zip(step, [resize_mask(mask, size) for mask in masks], strict=True)


def as_image(image):
    """Return uint8 (H, W, 3) for a file or a uint8 array, which may be grey or transparent."""
    if isinstance(image, str | os.PathLike | EncodedImage):
        return read_image(image)
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
    """Write a mask as a PNG of class ids; with labels, viewers show it in their colours.

    mask: uint8 (H, W). `datasets.read_mask` reads the ids back. Raises DataError when the file
    cannot be written.
    """
    image = Image.fromarray(mask)
    if labels is not None:
        palette = np.zeros((256, 3), np.uint8)
        palette[: labels.n_classes], palette[VOID] = labels.colours, VOID_COLOUR
        image.putpalette(palette.ravel().tolist())
    with atomic_write(path) as part:
        image.save(part, format="PNG")


def predict_folder(model, source, target, labels=None, **options):
    """Predict all images of a folder and write a mask for each, with a progress bar.

    Args:
        model, options: as for `predict_image`.
        source: folder of images, of any sizes and formats.
        target: folder for the masks, NAME.png for NAME.jpg; created if it does not exist.
        labels: Labels of the model's classes, which give the masks their colours.

    Returns:
        list of the masks' paths, in the order of the images' names.

    Raises:
        DataError: no images, two that would get the same mask, or, after all others were
            written, some that cannot be read.
    """
    files, target = image_files(source), Path(target)
    if not files:
        raise DataError(
            f"{source} contains no images. Accepted endings: {', '.join(IMAGE_ENDINGS)}."
        )
    masks = {}
    for file in files:
        path = target / f"{file.stem}.png"
        if path in masks:
            raise DataError(
                f"{masks[path].name} and {file.name} would both become {path}; rename one of them."
            )
        if path.resolve() == file.resolve():
            raise DataError(f"{path} is an image of {source}: choose another folder for masks.")
        masks[path] = file
    readable, broken = [], []

    def read():
        for path, file in tqdm(masks.items(), "images"):
            try:
                image = read_image(file)
            except DataError as error:  # one bad file must not stop a thousand good ones
                broken.append(error)
                continue
            readable.append(path)
            yield image

    for i, (_, mask) in enumerate(predict_images(model, read(), **options)):
        save_mask(readable[i], mask, labels)
    if broken:
        raise DataError(
            f"{len(broken)} of {len(files)} images could not be read; the masks of the others "
            f"are in {target}. The first: {broken[0]}"
        )
    return list(masks)
