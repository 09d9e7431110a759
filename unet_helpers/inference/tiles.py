"""Logits of an image of any size, by overlapping tiles."""

import numpy as np
from tqdm.auto import tqdm

from unet_helpers.inference.predict import predict_logits
from unet_helpers.labels import DataError
from unet_helpers.models import profiling
from unet_helpers.models.unet import next_multiple

TILE = 512  # side of a tile where the model takes any size
# the axes of (N, H, W, C) that are mirrored for each further look at a tile
FLIPS = {"none": (), "left-right": (2,), "all": (2, 1, (1, 2))}


def tile_logits(
    model,
    image,
    tile=None,
    overlap=None,
    blend=True,
    margin=0,
    flips="none",
    batch_size=1,
    progress=False,
):
    """Predict an image by overlapping tiles and give its logits a band of rows at a time.

    Args:
        model: takes tiles (B, h, w, 3) and gives logits (B, h, w, C).
        image: uint8 (H, W, 3), or (N, H, W, 3) for several of one size. An image smaller than a
            tile is continued by mirroring.
        tile: (height, width) of the tiles; None is the model's own size, or TILE x TILE for a
            model of any size (the whole image, if that is smaller).
        overlap: pixels that neighbouring tiles share at least; None is a quarter of a tile.
        blend: True lets a tile's weight fall towards its border, where it lacks context; False
            takes each pixel from the tile in which it lies deepest. With an overlap of twice
            `receptive_field_radius`, False gives the same as the whole image at once, to rounding.
        margin: mirrored pixels around the image, as in the paper. 0 leaves the padding to the
            model, which a model trained with padded convolutions has learned.
        flips: "none", "left-right", or "all" (upside down as well, for images without an
            upper side). The logits of all views are averaged; each costs a prediction more.
        batch_size: tiles per step.
        progress: show a bar over the tiles.

    Yields:
        (first row, float32 (rows, W, C)): bands from the top, together the image. A band may
        be changed by the next step: copy what you keep. For several images (N, rows, W, C).

    Raises:
        DataError: a tile, overlap or flip that cannot be, or a model that gives another size.

    Source: the overlap-tile strategy of Ronneberger et al. 2015, figure 2.
    """
    stack = image if image.ndim == 4 else image[None]
    height, width = stack.shape[1:3]
    grid = total_stride(model)
    tile = choose_tile(model, (height + 2 * margin, width + 2 * margin), tile, grid)
    overlap = min(tile) // 4 if overlap is None else overlap
    if not 0 <= overlap <= min(tile) - grid:
        raise DataError(
            f"overlap is {overlap}; for tiles of {tile[0]}x{tile[1]} and this model it lies "
            f"between 0 and {min(tile) - grid}."
        )
    if flips not in FLIPS:
        raise DataError(f"flips is {flips!r}; there are {', '.join(FLIPS)}.")
    # Tiles start on the grid of the poolings, as the whole image does: else they would pool
    # other pixels together, and differ everywhere.
    rows, columns = (
        tile_starts(side + 2 * margin, length, overlap, grid)
        for side, length in zip((height, width), tile, strict=True)
    )
    row_shares, column_shares = (
        blend_weights(starts, length, overlap, blend)
        for starts, length in zip((rows, columns), tile, strict=True)
    )
    band = None
    # of one image a row of tiles, left to right; of several the first tiles of all, and so on
    places = [(n, j) for j in range(len(columns)) for n in range(len(stack))]
    with tqdm(total=len(rows) * len(places), desc="tiles", disable=not progress) as bar:
        for i, row in enumerate(rows):
            for first in range(0, len(places), batch_size):
                group = places[first : first + batch_size]
                tiles = [
                    cut_tile(stack[n], row - margin, columns[j] - margin, tile) for n, j in group
                ]
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
            top, bottom = max(row, margin), min(row + done, margin + height)
            if top < bottom:
                part = band[:, top - row : bottom - row, margin : margin + width]
                yield top - margin, part if image.ndim == 4 else part[0]
            band[:, : tile[0] - done] = band[:, done:].copy()
            band[:, tile[0] - done :] = 0


def choose_tile(model, size, tile, grid):
    """Give the tile's (height, width) for a model and an image; `tile_logits` says how."""
    own = model.input_shape[1:3]
    if model.input_shape[-1] != 3:
        raise DataError(
            f"{model.name} takes images of {model.input_shape[-1]} channels; images are read "
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


def total_stride(model):
    """Give by how much a model shrinks its input at its deepest level: 16 for U-Net, 32 for FCN.

    A shift of the image by this many pixels shifts the logits alike, a smaller one does not.
    """
    shrunk = {}
    for layer in model.layers:
        above = max((shrunk.get(id(x), 1) for x in profiling.input_tensors(layer)), default=1)
        shrunk[id(layer.output)] = above * profiling.stride_of(layer)
    return int(max(shrunk.values()))


def receptive_field_radius(model):
    """Give how far away the farthest input pixel lies that can change a logit, in pixels.

    The model has a fixed size. Half of the receptive field, but not quite: it depends on where
    the pixel lies on the grid of the poolings, and the largest is what counts.
    """
    last, far = model.layers[-1].name, 0
    for step in range(total_stride(model)):
        row, column = (side // 2 + step for side in model.output_shape[1:3])
        top, bottom, left, right = profiling.receptive_field(model, last, row, column)
        far = max(far, row - top, bottom - row, column - left, right - column)
    return far


def tile_starts(length, tile, overlap, grid=1):
    """List where tiles begin along one side, on a grid, so that they cover it.

    The last one ends with the side, or up to grid - 1 pixels after it.
    """
    last = next_multiple(length - tile, grid) if length > tile else 0
    step = max((tile - overlap) // grid * grid, grid)
    return [*range(0, last, step), last]


def blend_weights(starts, tile, overlap, blend):
    """Give each tile its share of the pixels along one side; the shares of a pixel sum to 1.

    Returns a list of float32 (tile,). blend=True: shares fall linearly to the margin, within the
    overlap. False: a pixel belongs wholly to the tile in which it lies deepest.
    """
    length = starts[-1] + tile
    depth = np.zeros((len(starts), length), np.float32)  # 0 outside a tile, 1 at its margin
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
    """Cut (height, width) out of an image that goes on by mirroring on all sides.

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
    """Mirror an image at its lower and right margin until the sides are divisible.

    Shapes: uint8 (H, W, 3) -> uint8 (H', W', 3). Cut the mask back with mask[:H, :W].
    """
    return cut_tile(image, 0, 0, [next_multiple(side, multiple) for side in image.shape[:2]])
