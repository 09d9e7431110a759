"""Exercises on masks, splits, augmentation and tiles: what happens to images around training."""

import math

import numpy as np
import tensorflow as tf

from unet_helpers.exercises.comparison import compare, shown
from unet_helpers.exercises.exercise import Incorrect, as_array, as_pair, describe
from unet_helpers.exercises.running import raise_first, run
from unet_helpers.inference.tiles import tile_starts
from unet_helpers.labels import VOID


def count_pixels(mask, c):
    """Return the number of pixels that have class c."""
    return (mask == c).sum()


def judge_count_pixels(attempt):
    mask = np.array([[0, 0, 1, 2], [2, 1, 1, 1], [0, 2, 1, 1]], np.uint8)
    compare(attempt, [(mask, c) for c in range(4)], count_pixels, {})


def class_share(mask, c):
    """Return the share of the labelled pixels that have class c, from 0 to 1."""
    labelled = mask != VOID
    return (mask == c).sum() / labelled.sum()


def judge_class_share(attempt):
    small = np.array([[0, 0, 1, 255], [2, 1, 1, 255], [0, 2, 255, 1]], np.uint8)
    tall = np.array([[1, 3, 1], [1, 0, 255], [1, 1, 1], [255, 255, 255], [3, 3, 0]], np.uint8)
    full = np.array([[2, 0, 2, 2, 1]], np.uint8)
    total = "/ labelled.sum()"
    mistakes = {
        "Void pixels are counted in the denominator.": f"{total} -> / mask.size",
        "Class 0 is missing in the denominator. Only 255 is left out.": [
            f"{total} -> / (mask > 0).sum()",
            f"{total} -> / (labelled & (mask > 0)).sum()",
        ],
        "The largest label is left out, void or not.": f"{total} -> / (mask < mask.max()).sum()",
        "It divides by the number of rows or columns, not of labelled pixels.": [
            f"{total} -> / mask.shape[{axis}]" for axis in (0, 1)
        ],
        "It is the mean of the shares in rows or columns. Count all pixels first.": [
            f"(mask == c).sum() {total} -> "
            f"np.mean((mask == c).sum({axis}) / labelled.sum({axis}).clip(1))"
            for axis in (0, 1)
        ],
    }
    cases = [(mask, c) for mask in (small, tall, full) for c in range(4)]
    cases.append((np.array([[3, 255, 3]], np.uint8), 3))
    compare(attempt, cases, class_share, mistakes)


def resize_mask(mask, size):
    """Resize a mask by taking the label at each new pixel's centre; size is (height, width)."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]


CENTRES = "((np.arange(new) + 0.5) * old / new)"
RESIZING_MISTAKES = {
    "The mask is shifted by half a pixel up and to the left: i * scale is where pixel i begins. "
    "Its centre is (i + 0.5) * scale.": " + 0.5 -> ",
    "The mask is shifted by half a pixel: (i + 1) * scale is where pixel i ends.": (
        f"{CENTRES} -> ((np.arange(new) + 1) * old // new - 1).clip(0)"
    ),
    "First and last pixels are laid onto each other (as linspace does), so the mask is stretched "
    "against its image. Pixel centres lie at (i + 0.5) * scale.": [
        f"{CENTRES} -> np.linspace(0, old - 1, new)",
        f"{CENTRES} -> np.linspace(0, old - 1, new).round()",
        "* old / new -> * (old - 1) / new",
    ],
    "The centre (i + 0.5) * scale is rounded to the next border of a pixel; cut its fraction.": [
        f"{CENTRES} -> np.{rounded}({CENTRES}).clip(0, old - 1)" for rounded in ("round", "ceil")
    ],
    "The scale is upside down: it is old / new.": "old / new) -> new / old).clip(0, old - 1)",
    "It cuts out the upper left corner.": f"{CENTRES} -> np.arange(new).clip(0, old - 1)",
    "It fills the new shape with the labels in their order, as np.resize does.": np.resize,
}


def judge_resize_mask(attempt):
    # Sides are odd here: the centre of a new pixel then never lies between two old ones.
    whole_factors = [((9, 15), (3, 5)), ((15, 9), (3, 3))]
    any_factors = [((7, 11), (4, 6)), ((5, 7), (15, 7)), ((5, 7), (8, 9)), ((9, 5), (6, 13))]
    for sizes in (whole_factors, any_factors):
        cases = []
        for old, new in sizes:
            check_resized(attempt, old, new)
            labels = np.arange(math.prod(old), dtype=np.uint8)  # another one for each pixel
            cases.append((labels.reshape(old), new))
        compare(attempt, cases, resize_mask, RESIZING_MISTAKES, convert=as_array)
    kind = as_array(attempt(*cases[0])).dtype
    if kind.kind not in "iu":
        raise Incorrect(f"The labels are right, but come back as {kind}: keep the mask's dtype.")


def check_resized(attempt, old, new):
    """Raise Incorrect unless a mask of the old size gets the new one and only labels it had."""
    mask = np.random.default_rng(0).choice(np.array([3, 9], np.uint8), old)
    mask[:2] = VOID
    result = as_array(attempt(mask, new))
    shape, strange = result.shape, np.setdiff1d(result, mask)
    faults = {
        f"For size {new} the shape is {shape}: height and width are swapped. NumPy has "
        "(height, width); Pillow and OpenCV take (width, height).": shape == new[::-1] != new,
        f"From {old} to {new} the shape is {shape}.": shape != new,
        f"A mask with the labels 3, 9 and 255 gets new ones, such as {shown(strange[:3])}: labels "
        "are averaged. Take the nearest one.": strange.size,
    }
    raise_first(faults)


def augmentation(image, mask, rng):
    """Mirror a pair left-right at random, and shift it by up to 8 pixels; what is new is void."""
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    # A margin of 8 pixels all round, and a window of the old size that begins anywhere in it
    top, left = rng.integers(0, 17, 2)
    bottom, right = top + mask.shape[0], left + mask.shape[1]
    margin = (8, 8)
    image = np.pad(image, (margin, margin, (0, 0)))[top:bottom, left:right]
    mask = np.pad(mask, margin, constant_values=VOID)[top:bottom, left:right]
    return image, mask


STILL = (False, 0, 0)


def inside(shift, height, width):
    """Tell for each pixel of a shifted image whether something of the old image lies there."""
    rows, columns = np.mgrid[:height, :width] - np.reshape(shift, (2, 1, 1))
    return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)


def move_of(new, old):
    """Find the move (mirrored, pixels down, pixels right) of an image of random values, or None."""
    height, width = new.shape[:2]
    top, left = (height - 3) // 2, (width - 3) // 2
    patch = new[top : top + 3, left : left + 3]
    axes = tuple(range(-patch.ndim, 0))
    for mirrored in (False, True):
        source = old[:, ::-1] if mirrored else old
        windows = np.lib.stride_tricks.sliding_window_view(source, patch.shape)
        found = np.argwhere((windows == patch).all(axis=axes))
        for row, column, *_ in found.tolist():
            shift = top - row, left - column
            known = inside(shift, height, width)
            if (np.roll(source, shift, (0, 1)) == new)[known].all():
                return mirrored, *shift
    return None


def random_pair(seed, height, width):
    """Make an image and a mask in which every place can be told from all others."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    return image, random.integers(1, 60, (height, width), np.uint8) * 4  # averages are new labels


def judge_augmentation(attempt):
    def augmented(pair, seed):
        return as_image_and_mask(attempt(*pair, np.random.default_rng(seed)), *pair)

    images, masks = [], []  # their moves
    for seed in range(100):
        pair = random_pair(seed, *((36, 44), (35, 41))[seed % 2])
        new_image, new_mask = augmented(pair, seed)
        if seed < 10 and not all(map(np.array_equal, augmented(pair, seed), (new_image, new_mask))):
            raise Incorrect("Two generators of one seed differ: not all is drawn from rng.")
        images.append(explained_move(new_image, pair[0], "image"))
        masks.append(explained_move(new_mask, pair[1], "mask"))
        check_margin(new_mask[~inside(masks[-1][1:], *new_mask.shape)])
    explain_difference(images, masks)
    return check_variety(images)


def as_image_and_mask(value, image, mask):
    """Take an image and a mask of the shapes and dtypes that were given."""
    new_image, new_mask = as_pair(value, "image", "mask")
    strange = np.setdiff1d(new_mask, [*np.unique(mask), 0, VOID])
    swapped = (new_image.shape, new_mask.shape) == (mask.shape, image.shape)
    told = f"The mask gets labels that it did not have, such as {strange[:1]}."
    faults = {
        "It returns the mask first; expected (image, mask).": swapped,
        f"{told} Labels are never averaged.": strange.size,
    }
    for name, new, old in (("image", new_image, image), ("mask", new_mask, mask)):
        told = f"The {name} goes in as {old.dtype} and comes out as {new.dtype}. Keep the dtype."
        faults |= {
            f"The {name}'s shape changes from {old.shape} to {new.shape}. A shifted image keeps "
            "its size: fill up what is missing.": new.shape != old.shape,
            told: new.dtype != old.dtype,
        }
    raise_first(faults)
    return new_image, new_mask


def explained_move(new, old, name):
    """Find the move of an image or a mask; raises Incorrect with what happened if there is none."""
    if move := move_of(new, old):
        return move
    faults = {
        f"The {name} is turned upside down. Only left and right are swapped, {name}[:, ::-1]: "
        "streets with the sky below do not occur.": move_of(new[::-1], old),
        f"The {name}'s channels are in the opposite order. Columns are axis 1, {name}[:, ::-1]; "
        f"{name}[..., ::-1] swaps red and blue.": new.ndim == 3 and move_of(new[..., ::-1], old),
        f"The {name} is not a mirrored and shifted copy. Are its values changed?": True,
    }
    raise_first(faults)


def check_margin(margin):
    """Raise Incorrect unless the labels where nothing of the mask comes in are void."""
    faults = {
        f"The margin that comes in is filled with {margin.max(initial=0)}, which is a class: fill "
        "the mask with 255, void.": margin.size and margin.min() == margin.max() < VOID,
        "The mask's margin is repeated, mirrored outwards, or what left on the other side (as "
        "np.roll does): invented labels. It is void (255).": (margin != VOID).any(),
    }
    raise_first(faults)


# What a mask may do that its image does not, or the other way round: moves from moves
DIFFERENCES = {
    "Only the {} moves. The {} must make the same moves.": lambda mirrored, down, right: STILL,
    "The {} is mirrored, but its {} is not.": lambda mirrored, down, right: (False, down, right),
    "The {} is mirrored after the shift, but its {} is not.": (
        lambda mirrored, down, right: (False, down, -right if mirrored else right)
    ),
    "Both are mirrored, but only the {} is shifted.": lambda mirrored, *shift: (mirrored, 0, 0),
    "The {} and its {} are shifted in opposite ways. Is there a sign too many?": (
        lambda mirrored, down, right: (mirrored, -down, -right)
    ),
    "The {} is shifted down by what its {} is shifted to the right, and the other way round: axis "
    "0 is rows, axis 1 columns.": lambda mirrored, down, right: (mirrored, right, down),
}


def explain_difference(images, masks):
    """Raise Incorrect with how the moves of images differ from those of their masks."""
    if images == masks:
        return
    for told, change in DIFFERENCES.items():
        if masks == [change(*move) for move in images]:
            raise Incorrect(told.format("image", "mask"))
        if images == [change(*move) for move in masks]:
            raise Incorrect(told.format("mask", "image"))
    beside = np.abs(np.subtract(images, masks)).max(axis=0)
    near = not beside[0] and beside.max() < 3
    faults = {
        f"The mask lies up to {beside.max()} pixels beside its image: cut both alike.": near,
        "Image and mask make different moves. Does each draw its own random numbers? Draw once, "
        "and do the same with both, in the same order.": True,
    }
    raise_first(faults)


def check_variety(moves):
    """Raise Incorrect unless the moves are as random as they should be; may return a note."""
    share = sum(mirrored for mirrored, _, _ in moves) / len(moves)
    _, downs, rights = zip(*moves, strict=True)
    farthest = max(map(abs, downs + rights))
    faults = {
        "Nothing changes: 100 random generators gave the same image.": set(moves) == {STILL},
        "It makes the same move whatever rng is. Is there a generator or a seed inside the "
        "function? Draw from the rng that is given.": len(set(moves)) == 1,
        f"It shifts by {farthest} pixels; expected at most 8.": farthest > 8,
        f"It mirrors {share:.0%} of the images; expected about half.": not 0.3 < share < 0.7,
        "Rows and columns shift by the same number: draw two.": any(downs) and downs == rights,
    }
    for shifts, axis in ((downs, "rows"), (rights, "columns")):
        told = f"It shifts {axis} by {min(shifts)} to {max(shifts)} pixels; expected -8 to 8."
        faults[told] = min(shifts) > -4 or max(shifts) < 4
    raise_first(faults)
    if max(downs + rights) < 8:
        return "(Down and right it never goes 8 pixels: rng.integers leaves its upper end out.)"


def split_by_recording(names, test_share, seed):
    """Split names such as "dataA/0003.png" so that no recording is on both sides."""
    # Sorted, because a set has no order that one could rely on
    recordings = sorted({name.split("/")[0] for name in names})
    n_test = round(test_share * len(recordings))
    n_test = min(max(n_test, 1), len(recordings) - 1)  # both sides get something
    chosen = np.random.default_rng(seed).permutation(recordings)[:n_test]
    train = sorted(name for name in names if name.split("/")[0] not in chosen)
    test = sorted(name for name in names if name.split("/")[0] in chosen)
    return train, test


def frames_of(n_recordings):
    """Make names of frames, from 3 to 7 a recording."""
    numbers = range(n_recordings)
    return [f"data{i}/{frame:04d}.png" for i in numbers for frame in range(3 + i % 5)]


def recordings_of(names):
    return {name.split("/")[0] for name in names}


def judge_split_by_recording(attempt):
    def split(names, test_share, seed):
        value = attempt(names, test_share, seed)
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Incorrect(f"It returns {describe(value)}; expected two lists, train and test.")
        parts = [[str(name) for name in part] for part in value]
        check_names(*parts, names)
        return tuple(map(frozenset, parts))

    # So many that the order of a set of them is sure to depend on the order of the names
    names = frames_of(60)
    cases = [(share, seed) for share in (0.2, 0.3) for seed in range(10)]
    splits = {case: split(names, *case) for case in cases}
    if splits != {case: split(names, *case) for case in cases}:
        raise Incorrect("Two calls with the same seed differ: use np.random.default_rng(seed).")
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    if splits != {case: split(shuffled, *case) for case in cases}:
        raise Incorrect("The split depends on the order of the names: sort the recordings first.")
    check_sizes(splits)
    if len({test for (share, _), (_, test) in splits.items() if share == 0.3}) == 1:
        raise Incorrect("The seed changes nothing: ten seeds give ten times the same split.")
    for test_share in (0.1, 0.9):
        split(frames_of(2), test_share, 0)


def check_names(train, test, names):
    """Raise Incorrect unless every recording is in one list, whole, and neither is empty."""
    strange = sorted({*train, *test} - set(names))
    twice = sorted(set(train) & set(test))
    lost = sorted(set(names) - {*train, *test})
    frames = "" if "/" in "".join(strange) else " Return names of frames, not of recordings."
    torn = sorted(recordings_of(train) & recordings_of(test))
    n_recordings, empty = len(recordings_of(names)), "test" if train else "train"
    faults = {
        f"A list holds {strange[:1]}, which is not one of the names.{frames}": strange,
        f"{twice[:1]} is in train and in test: every name belongs in one list. Are whole names "
        "compared? data10 only begins like data1.": twice,
        f"{len(lost)} of {len(names)} names are in neither list, such as {lost[:1]}.": lost,
        "Some names stand twice in one list.": len(train) + len(test) > len(names),
        f"With {n_recordings} recordings the {empty} list is empty. Both sides need at least one, "
        "even if the share rounds to none.": not train or not test,
        f"Frames of {torn[:1]} are in train and in test. Neighbouring frames look alike. Draw "
        "recordings, not frames: each is the folder, name.split('/')[0].": torn,
    }
    raise_first(faults)


def check_sizes(splits):
    """Raise Incorrect unless the test has its share of the recordings, or of the frames.

    splits: dict from (share, seed) to (train, test) of 60 recordings.
    """

    def near(share, train, test):
        of_recordings, of_frames = len(recordings_of(test)) / 60, len(test) / len(train | test)
        return min(abs(of_recordings - share), abs(of_frames - share)) < 0.03

    swapped = all(near(share, *parts[::-1]) for (share, _), parts in splits.items())
    for (share, _), (train, test) in splits.items():
        if not near(share, train, test):
            told = f"With test_share {share} the test has {len(recordings_of(test))} of 60 "
            told += f"recordings; expected about {share * 60:.0f}."
            raise Incorrect("Train and test are swapped: train comes first." if swapped else told)


def judge_tile_starts(attempt):
    # Overlap 0 comes last: a step of 0 is easier to explain where it does not raise.
    cases = [(10, 4, 1), (23, 8, 3), (24, 8, 3), (97, 32, 8), (17, 5, 2), (9, 8, 3), (8, 8, 3)]
    cases += [(5, 8, 3), (31, 32, 8), (10, 4, 0), (12, 4, 0), (25, 6, 0)]
    for case in cases:
        told = "That is for length {}, tile {}, overlap {}.".format(*case)
        check_starts(run(attempt, *case, explain=lambda *_, told=told: told), *case)


def check_starts(value, length, tile, overlap):
    """Raise Incorrect when starts do not cover an image, or are more than needed."""
    found = as_array(sorted(value) if isinstance(value, set) else value)
    said = f"For length {length}, tile {tile}, overlap {overlap} it gives {found.tolist()}"
    faults = {
        f"{said}; expected a list of numbers.": found.ndim != 1,
        f"{said}: no tile at all. A short image has one: [0].": not found.size,
        f"{said}: floats. Make them whole numbers, by // and not /.": found.dtype.kind == "f",
    }
    raise_first(faults)
    found = np.sort(found.astype(int))
    if found.tolist() == tile_starts(length, tile, overlap):
        return
    steps, end = np.diff(found), found[-1] + tile
    shared = tile - steps.max(initial=0)  # by the two neighbours farthest apart
    needed = len(tile_starts(length, tile, overlap))
    last, step = "the last tile begins at length - tile.", "the step is tile - overlap."
    faults = {
        ": a negative start, which NumPy counts from the end; expected [0].": found[0] < 0,
        "; expected one tile, [0].": length <= tile,
        ": these are the tiles' ends, not starts.": found[0] == tile and found[-1] == length,
        f": the first {found[0]} pixels are not covered.": found[0] > 0,
        f": the last tile sticks out by {end - length} pixels; {last}": end > length,
        f": the last {length - end} pixels are not covered; {last}": end < length,
        ": the same start twice.": (steps == 0).any(),
        f": {-shared} pixels between two tiles are not covered; {step}": shared < 0,
        f": neighbours share {shared} pixels; they need {overlap}: {step}": shared < overlap,
        f": {len(found)} tiles, where {needed} are enough; {step}": len(found) > needed,
    }
    raise_first({f"{said}{told}": holds for told, holds in faults.items()})


def paired_flip(image, mask, seed):
    """Mirror an image and its mask left-right, both or neither; the seed decides."""
    flip = tf.random.stateless_uniform((), seed) < 0.5
    image = tf.where(flip, image[:, ::-1], image)
    mask = tf.where(flip, mask[:, ::-1], mask)
    return image, mask


def judge_paired_flip(attempt):
    image, mask = random_pair(0, 6, 9)
    pair = tf.constant(image), tf.constant(mask)
    seeds = tf.constant([(epoch, index) for epoch in range(6) for index in range(6)], tf.int64)

    def moves(results):
        """Find the moves of images and of masks."""
        results = [as_image_and_mask(result, image, mask) for result in results]
        return (
            [explained_move(new, image, "image") for new, _ in results],
            [explained_move(new, mask, "mask") for _, new in results],
        )

    of_images, of_masks = moves(attempt(*pair, seed) for seed in seeds)
    if moves(attempt(*pair, seed) for seed in seeds) != (of_images, of_masks):
        told = "The same seed mirrors at one time and not at another. Draw with"
        raise Incorrect(f"{told} tf.random.stateless_uniform, which depends on its seed alone.")
    explain_difference(of_images, of_masks)
    mirrored = np.reshape([turned for turned, _, _ in of_images], (6, 6))  # epochs, indices
    share = mirrored.mean()
    by_one = not mirrored.std(axis=0).any() or not mirrored.std(axis=1).any()
    faults = {
        "Pixels are shifted; only mirror.": any(any(shift) for _, *shift in of_images),
        f"It mirrors {share:.0%} of 36 pairs; expected about half.": not 0.2 < share < 0.8,
        "One number of the seed decides alone. Draw from both.": by_one,
    }
    raise_first(faults)
    # Where a pipeline calls it: traced once, with symbols for values, then run for every pair
    traced = tf.autograph.experimental.do_not_convert(lambda seed: attempt(*pair, seed))
    try:
        mapped = tf.data.Dataset.from_tensor_slices(seeds).map(traced)
    except Incorrect as error:
        if "OperatorNotAllowedInGraphError" not in str(error):
            raise
        return  # an `if`, which TensorFlow turns into tf.cond when it traces the learner's function
    if moves(mapped.as_numpy_iterator()) != (of_images, of_masks):
        told = "Called by itself it is right; in dataset.map it is not. There it runs once, with"
        raise Incorrect(f"{told} symbols for values: draw with TensorFlow, choose with tf.where.")
