"""Masks from a model: for a data set, a picture of any size by tiles, a folder, a video."""

import contextlib
import json
import logging
import os
import zipfile
from pathlib import Path

import imageio.v2 as imageio
import keras
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from unet_helpers import anatomy, pipeline
from unet_helpers.labels import VOID, VOID_COLOUR, DataError, overlay
from unet_helpers.metrics import confusion_matrix
from unet_helpers.models import next_multiple

# Where the parts of a model without custom code come from.
KERAS_MODULES = {
    *("keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"),
    *("keras.layers", "keras.initializers", "keras.activations", "keras.dtype_policies"),
    *("keras.regularizers", "keras.constraints"),
}

TILE = 512  # side of a tile where the model takes any size
TOGETHER = 16  # small pictures in a step; more of them are no faster
# the axes of (N, H, W, C) that are mirrored for each further look at a tile
FLIPS = {"none": (), "left-right": (2,), "all": (2, 1, (1, 2))}


def is_of_use(record):
    """Tell whether TensorFlow's message is one for the reader; for logging.Logger.addFilter."""
    message = record.getMessage()
    return "retracing" not in message or "one_step_on_data_distributed" not in message


# Keras's prediction is compiled anew for another model and for another size of picture, as it
# should be. TensorFlow takes several of them for a mistake in a loop and prints half a page.
logging.getLogger("tensorflow").addFilter(is_of_use)


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
    parts = []
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(batch))
        # of several devices (devices.py) each has predicted the whole batch
        parts.append(logits[: len(batch)])
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


# ---------------------------------------------------------------- one picture of any size


def predict_picture(model, picture, scale=1.0, threshold=0.5, **options):
    """Predict the mask of a picture of any size and format, by tiles where it is large.

    Args:
        model: takes tiles (B, h, w, 3) of one size or of any, and gives logits of that size.
        picture: a file, or uint8 (H, W, 3), (H, W, 4) or (H, W).
        scale: the model works on a picture of this size and its mask is enlarged again (nearest).
            Choose it so that things are as large as they were in training.
        threshold: of the sigmoid, for a model with a single logit.
        options: tile, overlap, blend, rim, flips, batch_size and progress, as of `tile_logits`.

    Returns:
        uint8 (H, W) mask, upright as `pipeline.read_image` reads the picture.

    Raises:
        DataError: a picture that cannot be read, a model that does not fit, or options that
            cannot be.

    Memory: the picture, the mask, and the logits of one row of tiles.
    """
    return predict_stack(model, [as_image(picture)], scale, threshold, options)[0]


def predict_pictures(model, pictures, scale=1.0, threshold=0.5, batch_size=None, **options):
    """Predict the masks of many pictures; small ones that follow each other go together.

    A processor's cores share the work on several small pictures better than that on one
    (benchmarks/prediction.py). `folding` makes a model that is faster still.

    Args:
        model: as for `predict_picture`.
        pictures: files or arrays, of any sizes, taken one after the other.
        scale, threshold, options: as for `predict_picture`.
        batch_size: pictures or tiles per step; None is as many as have the pixels of one tile
            of TILE x TILE together, but no more than TOGETHER.

    Yields:
        (uint8 (H, W, 3), uint8 (H, W)): each picture and its mask, in the given order.

    Raises:
        DataError: as `predict_picture`.
    """
    waiting, most = [], 1
    for image in map(as_image, pictures):
        if waiting and (image.shape != waiting[0].shape or len(waiting) >= most):
            yield from predict_waiting(model, waiting, scale, threshold, batch_size, options)
            waiting = []
        if not waiting:
            most = how_many_together(model, image.shape, scale, batch_size, options)
        waiting.append(image)
    if waiting:
        yield from predict_waiting(model, waiting, scale, threshold, batch_size, options)


def how_many_together(model, shape, scale, batch_size, options):
    """Give how many pictures of a shape (H, W, 3) are predicted in one step; at least 1."""
    size = [side + 2 * options.get("rim", 0) for side in scaled(shape[:2], scale)]
    tile = choose_tile(model, size, options.get("tile"), grid_of(model))
    if size[0] > tile[0] or size[1] > tile[1]:
        return 1  # a whole row of tiles is in memory for each
    return batch_size or min(max(1, TILE**2 // (tile[0] * tile[1])), TOGETHER)


def predict_waiting(model, images, scale, threshold, batch_size, options):
    """Give (picture, mask) for pictures of one size that are predicted together."""
    options = {**options, "batch_size": batch_size or len(images)}
    return zip(images, predict_stack(model, images, scale, threshold, options), strict=True)


def predict_stack(model, images, scale, threshold, options):
    """Predict pictures of one size; list of uint8 (H, W, 3) -> list of uint8 (H, W)."""
    whole = images[0].shape[:2]
    size = scaled(whole, scale)
    small = np.stack([pipeline.resize_image(image, size) for image in images])
    masks = np.empty(small.shape[:3], np.uint8)
    for row, logits in tile_logits(model, small, **options):
        masks[:, row : row + logits.shape[1]] = to_mask(logits, threshold)
    return [pipeline.resize_mask(mask, whole) for mask in masks]


def scaled(size, scale):
    """Multiply (height, width) by scale, at least 1 pixel each; raises DataError unless it can."""
    if not 0 < scale < np.inf:
        raise DataError(f"scale is {scale}; it must be above 0, and 1 keeps the picture's size.")
    return [max(1, round(side * scale)) for side in size]


def as_image(picture):
    """Give uint8 (H, W, 3) for a file or an array of bytes, grey and transparency included.

    Raises DataError for other arrays.
    """
    if isinstance(picture, str | os.PathLike | pipeline.EncodedPicture):
        return pipeline.read_image(picture)
    image = np.asarray(picture)
    if image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 1):
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=-1)
    if image.ndim != 3 or image.shape[-1] not in (3, 4) or not image.size:
        raise DataError(
            f"The image has the shape {image.shape}; expected (H, W, 3). Of a batch pass one "
            "picture at a time: images[0]."
        )
    if image.dtype != np.uint8:
        raise DataError(
            f"The image is {image.dtype}; expected uint8, 0 to 255, as it comes from the file. "
            "The model divides by 255 itself."
        )
    return image[..., :3]


def tile_logits(
    model,
    image,
    tile=None,
    overlap=None,
    blend=True,
    rim=0,
    flips="none",
    batch_size=1,
    progress=False,
):
    """Predict a picture by overlapping tiles and give its logits a band of rows at a time.

    Args:
        model: takes tiles (B, h, w, 3) and gives logits (B, h, w, C).
        image: uint8 (H, W, 3), or (N, H, W, 3) for several of one size. A picture smaller than a
            tile is continued by mirroring.
        tile: (height, width) of the tiles; None is the model's own size, or TILE x TILE for a
            model of any size (the whole picture, if that is smaller).
        overlap: pixels that neighbouring tiles share at least; None is a quarter of a tile.
        blend: True lets a tile's weight fall to its rim, where it lacks context; False takes each
            pixel from the tile in which it lies deepest. With an overlap of twice `reach`, False
            gives the same as the whole picture at once, to rounding.
        rim: mirrored pixels around the picture, as in the paper. 0 leaves the padding to the
            model, which a model trained with padded convolutions has learned.
        flips: "none", "left-right", or "all" (upside down as well, for pictures without an
            upper side). The logits of all views are averaged; each costs a prediction more.
        batch_size: tiles per step.
        progress: show a bar over the tiles.

    Yields:
        (first row, float32 (rows, W, C)): bands from the top, together the picture. A band may
        be changed by the next step: copy what you keep. For several pictures (N, rows, W, C).

    Raises:
        DataError: a tile, overlap or flip that cannot be, or a model that gives another size.

    Source: the overlap-tile strategy of Ronneberger et al. 2015, figure 2.
    """
    stack = image if image.ndim == 4 else image[None]
    height, width = stack.shape[1:3]
    grid = grid_of(model)
    tile = choose_tile(model, (height + 2 * rim, width + 2 * rim), tile, grid)
    overlap = min(tile) // 4 if overlap is None else overlap
    if not 0 <= overlap <= min(tile) - grid:
        raise DataError(
            f"overlap is {overlap}; for tiles of {tile[0]}x{tile[1]} and this model it lies "
            f"between 0 and {min(tile) - grid}."
        )
    if flips not in FLIPS:
        raise DataError(f"flips is {flips!r}; there are {', '.join(FLIPS)}.")
    # Tiles start on the grid of the poolings, as the whole picture does: else they would pool
    # other pixels together, and differ everywhere.
    rows, columns = (
        tile_starts(side + 2 * rim, length, overlap, grid)
        for side, length in zip((height, width), tile, strict=True)
    )
    row_shares, column_shares = (
        tile_shares(starts, length, overlap, blend)
        for starts, length in zip((rows, columns), tile, strict=True)
    )
    band = None
    # of one picture a row of tiles, left to right; of several the first tiles of all, and so on
    places = [(n, j) for j in range(len(columns)) for n in range(len(stack))]
    with tqdm(total=len(rows) * len(places), desc="tiles", disable=not progress) as bar:
        for i, row in enumerate(rows):
            for first in range(0, len(places), batch_size):
                group = places[first : first + batch_size]
                tiles = [cut_tile(stack[n], row - rim, columns[j] - rim, tile) for n, j in group]
                parts = mean_logits(model, np.stack(tiles), flips)
                if band is None:
                    check_size(parts, tile)
                    shape = (len(stack), tile[0], columns[-1] + tile[1], parts.shape[-1])
                    band = np.zeros(shape, np.float32)
                for (n, j), part in zip(group, parts, strict=True):
                    share = np.outer(row_shares[i], column_shares[j])[..., None]
                    band[n, :, columns[j] : columns[j] + tile[1]] += part * share
                bar.update(len(group))
            # no later tile reaches above the next row of tiles
            done = (rows[i + 1] if i + 1 < len(rows) else row + tile[0]) - row
            top, bottom = max(row, rim), min(row + done, rim + height)
            if top < bottom:
                part = band[:, top - row : bottom - row, rim : rim + width]
                yield top - rim, part if image.ndim == 4 else part[0]
            band[:, : tile[0] - done] = band[:, done:].copy()
            band[:, tile[0] - done :] = 0


def choose_tile(model, size, tile, grid):
    """Give the tile's (height, width) for a model and a picture; `tile_logits` says how."""
    own = model.input_shape[1:3]
    if model.input_shape[-1] != 3:
        raise DataError(
            f"{model.name} takes pictures of {model.input_shape[-1]} channels; pictures are read "
            "as RGB, so it must take 3."
        )
    if tile is None:
        tile = [
            fixed or min(TILE, next_multiple(side, grid))
            for fixed, side in zip(own, size, strict=True)
        ]
    for given, fixed in zip(tile, own, strict=True):
        if given < 1 or given % grid or fixed not in (None, given):
            takes = "any size" if None in own else f"{own[0]}x{own[1]}"
            raise DataError(
                f"Tiles of {tile[0]}x{tile[1]} do not fit {model.name}: it takes {takes}, with "
                f"sides that are multiples of {grid}."
            )
    return tuple(tile)


def check_size(logits, tile):
    """Raise DataError unless the logits of a tile have the tile's size."""
    if logits.shape[1:3] != tuple(tile):
        raise DataError(
            f"The model gives {logits.shape[1]}x{logits.shape[2]} for a tile of "
            f"{tile[0]}x{tile[1]}. Tiles need padded convolutions, which keep the size."
        )


def grid_of(model):
    """Give by how much a model shrinks its input at its deepest level: 16 for U-Net, 32 for FCN.

    A shift of the picture by this many pixels shifts the logits alike, a smaller one does not.
    """
    shrunk = {}
    for layer in model.layers:
        above = max((shrunk.get(id(x), 1) for x in anatomy.input_tensors(layer)), default=1)
        shrunk[id(layer.output)] = above * anatomy.stride_of(layer)
    return int(max(shrunk.values()))


def reach(model):
    """Give how far away the farthest input pixel lies that can change a logit, in pixels.

    The model has a fixed size. Half of the receptive field, but not quite: it depends on where
    the pixel lies on the grid of the poolings, and the largest is what counts.
    """
    last, far = model.layers[-1].name, 0
    for step in range(grid_of(model)):
        row, column = (side // 2 + step for side in model.output_shape[1:3])
        top, bottom, left, right = anatomy.receptive_field(model, last, row, column)
        far = max(far, row - top, bottom - row, column - left, right - column)
    return far


def tile_starts(length, tile, overlap, grid=1):
    """List where tiles begin along one side, on a grid, so that they cover it.

    The last one ends with the side, or up to grid - 1 pixels after it.
    """
    last = next_multiple(length - tile, grid) if length > tile else 0
    step = max((tile - overlap) // grid * grid, grid)
    return [*range(0, last, step), last]


def tile_shares(starts, tile, overlap, blend):
    """Give each tile its share of the pixels along one side; the shares of a pixel sum to 1.

    Returns a list of float32 (tile,). blend=True: shares fall linearly to the rim, within the
    overlap. False: a pixel belongs wholly to the tile in which it lies deepest.
    """
    length = starts[-1] + tile
    depth = np.zeros((len(starts), length), np.float32)  # 0 outside a tile, 1 at its rim
    for i, start in enumerate(starts):
        before = np.arange(1, tile + 1) if start > 0 else np.full(tile, length)
        behind = np.arange(tile, 0, -1) if start + tile < length else np.full(tile, length)
        depth[i, start : start + tile] = np.minimum(before, behind)
    if blend:
        shares = np.minimum(depth / (overlap + 1), 1)
        shares /= shares.sum(axis=0)
    else:
        shares = (np.arange(len(starts))[:, None] == depth.argmax(axis=0)).astype(np.float32)
    return [line[start : start + tile] for start, line in zip(starts, shares, strict=True)]


def cut_tile(image, row, column, tile):
    """Cut (height, width) out of a picture that goes on by mirroring on all sides.

    Shapes: uint8 (H, W, C) -> uint8 (height, width, C); row and column may lie outside.
    """
    lines = []
    for start, length, side in zip((row, column), tile, image.shape[:2], strict=True):
        place = np.arange(start, start + length) % (2 * side)
        lines.append(np.where(place < side, place, 2 * side - 1 - place))
    return image[np.ix_(*lines)]


def mean_logits(model, tiles, flips="none"):
    """Average the logits of tiles and of their mirrored views, mirrored back.

    Shapes: uint8 (N, H, W, 3) -> float32 (N, H, W, C).
    """
    total = predict_logits(model, tiles, len(tiles))
    for axes in FLIPS[flips]:
        total = total + np.flip(predict_logits(model, np.flip(tiles, axes), len(tiles)), axes)
    return total / (1 + len(FLIPS[flips]))


def pad_to_multiple(image, multiple=16):
    """Mirror a picture at its lower and right rim until the sides are divisible.

    Shapes: uint8 (H, W, 3) -> uint8 (H', W', 3). Cut the mask back with mask[:H, :W].
    """
    return cut_tile(image, 0, 0, [next_multiple(side, multiple) for side in image.shape[:2]])


# ---------------------------------------------------------------- files


@contextlib.contextmanager
def whole_file(path):
    """Give a path to write to; what is written there becomes `path` when all went well.

    After an error nothing half-written remains, and what stood at path before is still there.
    """
    path = Path(path)
    part = path.with_name(f"part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def save_mask(path, mask, labels=None):
    """Write a mask as PNG of class ids; with labels, viewers show it in their colours.

    mask: uint8 (H, W). `pipeline.read_mask` reads the ids back. Raises DataError when the file
    cannot be written.
    """
    picture = Image.fromarray(mask)
    if labels is not None:
        palette = np.zeros((256, 3), np.uint8)
        palette[: labels.n_classes], palette[VOID] = labels.colours, VOID_COLOUR
        picture.putpalette(palette.ravel().tolist())
    try:
        with whole_file(path) as part:
            picture.save(part, format="PNG")
    except OSError as error:
        raise DataError(f"{path} could not be written ({error.strerror or error}).") from error


def predict_folder(model, source, target, labels=None, **options):
    """Predict all pictures of a folder and write a mask for each, with a progress bar.

    Args:
        model: as for `predict_picture`.
        source: folder of pictures, of any sizes and formats.
        target: folder for the masks, NAME.png for NAME.jpg; made if need be.
        labels: Labels of the model's classes, to see the masks in colour.
        options: as for `predict_picture`.

    Returns:
        list of the masks' paths, in the order of the pictures' names.

    Raises:
        DataError: no pictures, two that would get the same mask, or, after all others were
            written, some that cannot be read.
    """
    files, target = pipeline.image_files(source), Path(target)
    if not files:
        raise DataError(
            f"{source} holds no pictures. Endings that are read: "
            f"{', '.join(pipeline.IMAGE_ENDINGS)}."
        )
    masks = {}
    for file in files:
        mask = target / f"{file.stem}.png"
        if mask in masks:
            raise DataError(
                f"{masks[mask].name} and {file.name} would both become {mask}; rename one of them."
            )
        if mask.resolve() == file.resolve():
            raise DataError(f"{mask} is a picture of {source}: choose another folder for masks.")
        masks[mask] = file
    whole, broken = [], {}

    def readable():
        for mask, file in tqdm(masks.items(), "pictures"):
            try:
                image = pipeline.read_image(file)
            except DataError as error:  # one bad file must not stop a thousand good ones
                broken[mask] = str(error)
                continue
            whole.append(mask)
            yield image

    for i, (_, mask) in enumerate(predict_pictures(model, readable(), **options)):
        save_mask(whole[i], mask, labels)
    if broken:
        raise DataError(
            f"{len(broken)} of {len(files)} pictures could not be read, the masks of the others "
            f"are in {target}. The first: {next(iter(broken.values()))}"
        )
    return list(masks)


def predict_video(model, source, target, labels, opacity=0.5, fps=10, **options):
    """Write a film of a video's or a folder's pictures with the predicted masks laid over them.

    Args:
        model: as for `predict_picture`.
        source: video or GIF that imageio can read, or a folder of frames, taken by their names.
        target: file to write; appears only when complete. Its ending chooses the format: .gif,
            or .mp4 with the package imageio-ffmpeg. Sound is not copied.
        labels: Labels of the model's classes.
        opacity: share of the mask's colours.
        fps: pictures per second of the target.
        options: as for `predict_picture`.

    Returns:
        number of pictures written.

    Raises:
        DataError: the source cannot be read, its frames differ in size, or the target cannot be
            written.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise DataError(f"There is no video {source}.")
    gif = target.suffix.lower() == ".gif"
    # H.264 stores colours at half the size, so sides must be even; no other change to them
    timing = {"duration": 1000 / fps, "loop": 0} if gif else {"fps": fps, "macro_block_size": 1}
    count = 0
    try:
        with whole_file(target) as part, contextlib.ExitStack() as closing:
            frames, total = read_frames(source, closing)
            writer = closing.enter_context(imageio.get_writer(part, mode="I", **timing))
            frames = of_one_size(tqdm(frames, source.name, total), source)
            for picture, mask in predict_pictures(model, frames, **options):
                frame = overlay(picture, mask, labels, opacity)
                writer.append_data(frame if gif else pad_to_multiple(frame, 2))
                count += 1
            if not count:
                raise DataError(f"{source} holds no pictures.")
    except DataError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, SyntaxError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(
            f"{source} could not be turned into {target} ({reason}). imageio reads and writes GIF "
            "by itself; for MP4 it needs the package imageio-ffmpeg: pip install imageio-ffmpeg"
        ) from error
    return count


def of_one_size(frames, source):
    """Give the pictures on, and raise DataError at one that has not the size of the first."""
    size = None
    for number, picture in enumerate(frames, 1):
        size = size or picture.shape
        if picture.shape != size:
            raise DataError(
                f"Picture {number} of {source} is {picture.shape[0]}x{picture.shape[1]}, the first "
                f"is {size[0]}x{size[1]}. A film needs one size."
            )
        yield picture


def read_frames(source, closing):
    """Give the pictures of a video or of a folder's files one after the other, uint8 (H, W, 3).

    closing: ExitStack that closes the video. Returns (iterator, number of pictures; None where a
    video does not say it).
    """
    if source.is_dir():
        files = pipeline.image_files(source)
        return map(pipeline.read_image, files), len(files)
    return map(as_image, closing.enter_context(imageio.get_reader(source))), None
