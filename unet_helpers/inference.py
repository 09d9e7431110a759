"""Masks from a model: for a data set, a single picture, a large picture by tiles, a video."""

import json
import zipfile
from pathlib import Path

import imageio.v2 as imageio
import keras
import numpy as np
from tqdm.auto import tqdm

from unet_helpers.labels import DataError, overlay
from unet_helpers.metrics import confusion_matrix
from unet_helpers.models import next_multiple

# Where the parts of a model without custom code come from.
KERAS_MODULES = {
    *("keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"),
    *("keras.layers", "keras.initializers", "keras.activations", "keras.dtype_policies"),
    *("keras.regularizers", "keras.constraints"),
}


def load_model(path):
    """Load a saved model for prediction; no custom objects are needed, and no code is run.

    Returns a keras.Model, not compiled. Raises DataError when the file is missing or damaged, or
    when it wants more than Keras's own layers.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no model file {path}. Train first, or mend the path.")
    try:
        check_parts(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except DataError:
        raise
    except Exception as error:  # zip, h5 and json errors alike mean that the file is no model
        raise DataError(
            f"{path} is no model that can be loaded ({type(error).__name__}). Was it cut off while "
            "copying? A model is saved by model.save('name.keras')."
        ) from error


def check_parts(path):
    """Raise DataError when a .keras file names code outside Keras's layers, or is a bomb.

    A model file is a list of class names that loading looks up and calls; a hostile one names
    other things. The list is looked at before Keras sees it.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 20 * path.stat().st_size + 2**20:
            raise DataError(f"{path} would become 20 times as large: it is no model. Delete it.")
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # loss and optimizer, which are not loaded
    remaining = [config]
    while remaining:
        part = remaining.pop()
        remaining += part.values() if isinstance(part, dict) else part
        remaining = [part for part in remaining if isinstance(part, dict | list)]
        if isinstance(part, dict) and "class_name" in part:
            module, name = part.get("module"), part["class_name"]
            if name == "Lambda" or (module is not None and module not in KERAS_MODULES):
                raise DataError(
                    f"{path} wants {module}.{name}, which is code of its own and not one of "
                    "Keras's layers. It was not run. If you trust the file and know its source, "
                    "load it with keras.saving.load_model."
                )


def predict_logits(model, images, batch_size=8):
    """Run a model over images, a batch at a time.

    Shapes: uint8 (N, H, W, 3) -> float32 (N, H, W, C). Raises DataError when the images are not
    a batch or have been divided by 255 already.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise DataError(
            f"Images have the shape {images.shape}; expected (N, H, W, 3). For a single picture "
            "add the first axis: image[None]."
        )
    # only fractions give it away: a black picture is 0 everywhere, too
    if images.dtype != np.uint8 and images.max() <= 1 and (images % 1).any():
        raise DataError(
            "These images lie between 0 and 1. The model divides by 255 itself; pass them as "
            "they come from the file, 0 to 255."
        )
    parts = [
        keras.ops.convert_to_numpy(model.predict_on_batch(images[i : i + batch_size]))
        for i in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)


def to_mask(logits, threshold=0.5):
    """Take the class with the largest logit; of a single logit, whether its sigmoid is above
    the threshold.

    Shapes: float (..., C) -> uint8 (...); with C = 1 the mask is 0 or 1.
    """
    if logits.shape[-1] == 1:
        # sigmoid(x) > t is x > log(t / (1 - t)), which is infinite at the ends
        with np.errstate(divide="ignore"):
            limit = np.log(threshold) - np.log1p(-threshold)
        return (logits[..., 0] > limit).astype(np.uint8)
    return logits.argmax(axis=-1).astype(np.uint8)


def predict_masks(model, images, batch_size=8):
    """Predict masks for a batch of images of the model's size.

    Shapes: uint8 (N, H, W, 3) -> uint8 (N, H, W). Raises DataError as `predict_logits`.
    """
    return to_mask(predict_logits(model, images, batch_size))


def evaluate(model, dataset, n_classes):
    """Count one confusion matrix over a whole data set of batches.

    Args:
        model: gives logits (B, H, W, n_classes).
        dataset: iterable of (uint8 (B, H, W, 3), uint8 (B, H, W)) batches.
        n_classes: number of classes.

    Returns:
        int64 array (n_classes, n_classes), rows true; void is left out.
    """
    confusion = np.zeros((n_classes, n_classes), np.int64)
    for images, masks in dataset:
        predicted = predict_masks(model, images, len(images))
        confusion += confusion_matrix(np.asarray(masks), predicted, n_classes)
    return confusion


def predict_tiled(model, image, tile=(256, 256), overlap=64, batch_size=4):
    """Predict a picture of any size by overlapping tiles that are blended.

    Args:
        model: takes tiles (B, tile height, tile width, 3) and gives logits of that size.
        image: uint8 (H, W, 3).
        tile: (height, width) that the model accepts.
        overlap: pixels that neighbouring tiles share; less than half a tile.
        batch_size: tiles per step.

    Returns:
        uint8 (H, W) mask. The logits of overlapping tiles are averaged with weights that fall
        to the rim, so that no seam shows where a tile lacks context.

    Raises:
        DataError: an image that is not (H, W, 3), or an overlap that does not fit the tile.

    Source: the overlap-tile strategy of Ronneberger et al. 2015, figure 2 (there by mirroring
    and valid convolutions).
    """
    image = np.asarray(image)
    if image.ndim != 3:
        raise DataError(f"The image has the shape {image.shape}; expected (H, W, 3).")
    if not 0 <= overlap < min(tile) / 2:
        raise DataError(f"overlap is {overlap}; it must be less than half of the tile {tile}.")
    height, width = image.shape[:2]
    rows, columns = (
        tile_starts(length, size, overlap)
        for length, size in zip((height, width), tile, strict=True)
    )
    bottom = max(0, tile[0] - height)
    right = max(0, tile[1] - width)
    padded = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="symmetric")
    weight = tile_weight(tile, overlap)[..., None]
    places = [(r, c) for r in rows for c in columns]
    total = None
    for i in range(0, len(places), batch_size):
        group = places[i : i + batch_size]
        tiles = np.stack([padded[r : r + tile[0], c : c + tile[1]] for r, c in group])
        logits = predict_logits(model, tiles, batch_size)
        if total is None:
            total = np.zeros(padded.shape[:2] + logits.shape[-1:], np.float32)
            weights = np.zeros(padded.shape[:2] + (1,), np.float32)
        for (r, c), part in zip(group, logits, strict=True):
            total[r : r + tile[0], c : c + tile[1]] += part * weight
            weights[r : r + tile[0], c : c + tile[1]] += weight
    return to_mask(total / weights)[:height, :width]


def tile_starts(length, tile, overlap):
    """List where tiles begin along one side so that they cover it and the last one ends with it."""
    if length <= tile:
        return [0]
    starts = list(range(0, length - tile, tile - overlap))
    return [*starts, length - tile]


def tile_weight(tile, overlap):
    """Make the weight of a tile's pixels: 1 inside, falling linearly within the overlap.

    Returns float32 (height, width), positive everywhere.
    """
    lines = []
    for size in tile:
        distance = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))
        lines.append(np.minimum(distance / (overlap + 1), 1))
    return np.outer(*lines).astype(np.float32)


def pad_to_multiple(image, multiple=16):
    """Mirror a picture at its lower and right rim until the sides are divisible.

    Shapes: uint8 (H, W, 3) -> uint8 (H', W', 3). Cut the mask back with mask[:H, :W].
    """
    rim = [(0, next_multiple(side, multiple) - side) for side in image.shape[:2]]
    return np.pad(image, (*rim, (0, 0)), mode="symmetric")


def predict_video(model, source, target, labels, opacity=0.5, fps=10):
    """Write a copy of a video with the predicted masks laid over it.

    Args:
        model: accepts any size divisible by 16 (build it with input_size=(None, None, 3)).
        source: video file or GIF that imageio can read.
        target: file to write; appears only when complete. Its ending chooses the format.
        labels: Labels of the model's classes.
        opacity: share of the mask's colours.
        fps: pictures per second of the target.

    Returns:
        number of pictures written.

    Raises:
        DataError: the source cannot be read, or the target not be written.
    """
    source, target = Path(source), Path(target)
    if not source.is_file():
        raise DataError(f"There is no video {source}.")
    part = target.with_name(f"part-{target.name}")
    timing = {"duration": 1000 / fps, "loop": 0} if target.suffix == ".gif" else {"fps": fps}
    count = 0
    try:
        with imageio.get_writer(part, mode="I", **timing) as writer:
            for frame in tqdm(imageio.get_reader(source), source.name):
                picture = np.asarray(frame)[..., :3]
                height, width = picture.shape[:2]
                mask = predict_masks(model, pad_to_multiple(picture)[None])[0, :height, :width]
                writer.append_data(overlay(picture, mask, labels, opacity))
                count += 1
    except (OSError, ValueError) as error:
        part.unlink(missing_ok=True)
        raise DataError(
            f"{source} could not be turned into {target} ({error}). imageio reads and writes GIF "
            "by itself; for MP4 it needs the package imageio-ffmpeg."
        ) from error
    part.replace(target)
    return count
