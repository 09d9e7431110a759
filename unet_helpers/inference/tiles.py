"""Logits of an image of any size, by overlapping tiles."""

import math

import keras
import numpy as np

from unet_helpers.inference.predict import predict_logits
from unet_helpers.labels import DataError, check_number, check_size
from unet_helpers.models import profiling
from unet_helpers.models.unet import next_multiple

TILE = 512  # side of a tile where the model takes any size
# the views of a batch (N, H, W, C) that are averaged, each by the axes that it flips
FLIPS = {"none": ((),), "left-right": ((), 2), "all": ((), 2, 1, (1, 2))}


def tile_logits(model, image, tile=None, overlap=None, blend=True, margin=0, flips="none"):
    """Predict an image by overlapping tiles and yield its logits a band of rows at a time.

    Args:
        model: maps tiles (B, h, w, 3) to logits (B, h, w, C).
        image: uint8 (H, W, 3), or (N, H, W, 3) for several of one size; mirrored up to one tile.
        tile: (height, width) of the tiles; None is the model's own size, or TILE x TILE for a model
            of any size (the whole image, if that is smaller).
        overlap: pixels that neighbouring tiles share at least; None is a quarter of a tile, or what
            the model's total stride leaves of it. A side that fits into one tile has none.
        blend: True lets a tile's weight fall towards its border, where it lacks context; False
            takes each pixel from the tile in which it lies deepest. With an overlap of twice
            `receptive_field_radius`, False equals predicting the whole image at once, to rounding.
        margin: mirrored pixels around the image, as in the paper. 0 leaves the padding to the
            model, which a model trained with padded convolutions has learned.
        flips: "none", "left-right", or "all" (upside down as well, for images without a natural
            top). The logits of all views are averaged; each view costs another prediction.

    Yields (first row, float32 (rows, W, C)): bands from top to bottom, which make up the image. The
    next step may overwrite a band: copy what you keep. (N, rows, W, C) for several images. Raises
    DataError for an invalid tile, overlap or flip, or logits of another size than the tile.

    Source: the overlap-tile strategy of Ronneberger et al. 2015, figure 2.
    """
    check_number("margin", margin, 0, whole=True)
    stack = image if image.ndim == 4 else image[None]
    height, width = stack.shape[1:3]
    grid = total_stride(model)
    tile = choose_tile(model, (height + 2 * margin, width + 2 * margin), tile, grid)
    if flips not in FLIPS:
        raise DataError(f"flips is {flips!r}; expected one of {', '.join(FLIPS)}.")
    # Tiles start on multiples of the total stride. Others would pool other pixels together than
    # the whole image does, and differ from it everywhere.
    sides = []  # for height and width: where tiles start, their shares, the pixels under them
    for side, length in zip((height, width), tile, strict=True):
        most = length - grid if side + 2 * margin > length else np.inf
        shared = min(length // 4, length - grid) if overlap is None else overlap
        check_number(f"For tiles of {length} pixels, overlap", shared, 0, most, whole=True)
        begins = tile_starts(side + 2 * margin, length, shared, grid)
        after = begins[-1] + length - margin - side
        mirrored = np.pad(np.arange(side), (margin, after), "symmetric")
        sides.append((begins, blend_weights(begins, length, shared, blend), mirrored))
    (rows, row_shares, down), (columns, column_shares, along) = sides
    shape = (len(stack), tile[0], columns[-1] + tile[1], model.output_shape[-1])
    band = np.zeros(shape, np.float32)
    ends = [*rows[1:], rows[-1] + tile[0]]  # no later tile reaches above the next row of tiles
    for row, end, row_share in zip(rows, ends, row_shares, strict=True):
        lines = stack[:, down[row : row + tile[0]]]
        for column, share in zip(columns, column_shares, strict=True):
            across = slice(column, column + tile[1])
            logits = mean_logits(model, lines[:, :, along[across]], flips)
            band[:, :, across] += logits * np.outer(row_share, share)[..., None]
        top, bottom = max(row, margin), min(end, margin + height)
        if top < bottom:
            part = band[:, top - row : bottom - row, margin : margin + width]
            yield top - margin, part if image.ndim == 4 else part[0]
        kept = tile[0] - (end - row)
        band[:, :kept] = band[:, end - row :].copy()
        band[:, kept:] = 0


def choose_tile(model, size, tile, grid):
    """Return the tile's (height, width) for a model and an image, as `tile_logits` describes."""
    own = model.input_shape[1:]
    if tile is None:
        largest = [min(TILE, next_multiple(side, grid)) for side in size]
        tile = [fixed or side for fixed, side in zip(own[:2], largest, strict=True)]
    check_size("tile", tile, (64, 96))
    for given, fixed in zip((*tile, 3), own, strict=True):
        if fixed not in (None, given) or any(side % grid for side in tile):
            raise DataError(
                f"RGB tiles of {tile[0]} x {tile[1]} x 3 do not fit {model.name}: it takes "
                f"{' x '.join(str(n or 'any') for n in own)}, in multiples of {grid}."
            )
    return tuple(tile)


def mean_logits(model, tiles, flips):
    """Average the logits (N, H, W, C) of all views of some tiles, flipped back.

    A step takes no more pixels than one tile of TILE x TILE has.
    """
    total, together = 0, max(1, TILE**2 // math.prod(tiles.shape[1:3]))
    for axes in FLIPS[flips]:
        logits = predict_logits(model, np.flip(tiles, axes), together)
        if logits.shape[:3] != tiles.shape[:3]:
            raise DataError(
                f"{model.name} returns {logits.shape[1]}x{logits.shape[2]} for a tile of "
                f"{tiles.shape[1]}x{tiles.shape[2]}. Tiles need padded convolutions."
            )
        total = total + np.flip(logits, axes)
    return total / len(FLIPS[flips])


def total_stride(model):
    """Return by what factor a model shrinks its input at its deepest level: 16 for U-Net.

    Shifting the image by this many pixels shifts the logits alike; a smaller shift changes them.
    The output of a model used as a layer, or of a layer used twice, counts as lying at the deepest
    level so far; the result may then be a multiple of the factor, which serves as well.
    """
    deepest, shrunk = 1, {id(tensor): 1 for tensor in model.inputs}
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            deepest *= total_stride(layer)
            continue
        above = max((shrunk.get(id(x), deepest) for x in profiling.input_tensors(layer)), default=1)
        shrunk[id(layer.output)] = above * profiling.stride_of(layer)
        deepest = max(deepest, shrunk[id(layer.output)])
    return int(deepest)


def receptive_field_radius(model):
    """Return how far away the farthest input pixel lies that can change a logit, in pixels.

    Raises ValueError for a model without a fixed size or with a model used as a layer.
    """
    last, radius = model.layers[-1].name, 0
    for step in range(total_stride(model)):
        row, column = (side // 2 + step for side in model.output_shape[1:3])
        top, bottom, left, right = profiling.receptive_field(model, last, row, column)
        radius = max(radius, row - top, bottom - row, column - left, right - column)
    return radius


def tile_starts(length, tile, overlap, grid=1):
    """List where tiles begin along one side, on a grid; at most grid - 1 pixels lie beyond it."""
    last = next_multiple(length - tile, grid) if length > tile else 0
    step = max((tile - overlap) // grid * grid, grid)
    return [*range(0, last, step), last]


def blend_weights(starts, tile, overlap, blend):
    """Return each tile's weights for the pixels along one side; those of a pixel sum to 1.

    Returns a list of float32 (tile,). blend=True: weights fall linearly to the tile's border,
    within the overlap. False: each pixel is taken from the tile in which it lies deepest.
    """
    length = starts[-1] + tile
    depth = np.zeros((len(starts), length), np.float32)  # 0 outside a tile, 1 at its border
    for i, start in enumerate(starts):
        before = np.arange(1, tile + 1) if start > 0 else np.full(tile, length)
        behind = np.arange(tile, 0, -1) if start + tile < length else np.full(tile, length)
        depth[i, start : start + tile] = np.minimum(before, behind)
    if blend:
        weights = np.minimum(depth / (overlap + 1), 1)
        weights /= weights.sum(axis=0)
    else:
        weights = (np.arange(len(starts))[:, None] == depth.argmax(axis=0)).astype(np.float32)
    return [line[start : start + tile] for start, line in zip(starts, weights, strict=True)]


def pad_to_multiple(image, multiple=16):
    """Mirror an image at its lower and right border until the sides are divisible.

    Shapes: uint8 (H, W, 3) -> uint8 (H', W', 3). mask[:H, :W] cuts the mask back.
    """
    after = [(0, next_multiple(side, multiple) - side) for side in image.shape[:2]]
    return np.pad(image, (*after, (0, 0)), "symmetric")
