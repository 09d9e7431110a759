"""Exercises on masks, splits, augmentation and tiles: what happens to images around training."""

import math

import numpy as np

from unet_helpers.datasets.images import resize_mask
from unet_helpers.exercises.comparison import compare
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array, as_pair, describe
from unet_helpers.exercises.running import raise_first, run
from unet_helpers.inference import tiles
from unet_helpers.labels import VOID

# ---------------------------------------------------------------- the share of a class


def class_share(mask, c):
    """Return the share of the labelled pixels that have class c, from 0 to 1."""
    labelled = mask != VOID
    return (mask == c).sum() / labelled.sum()


SHARE_MISTAKES = {
    "Void pixels are counted in the denominator. Nobody says what they are: divide by the number "
    "of pixels with mask != 255.": lambda mask, c: (mask == c).mean(),
    "Void pixels are counted as if they had class c.": (
        lambda mask, c: ((mask == c) | (mask == VOID)).mean()
    ),
    "It divides by the pixels of the other classes: a ratio, not a share.": (
        lambda mask, c: (mask == c).sum() / ((mask != c) & (mask != VOID)).sum()
    ),
    "Class 0 is missing in the denominator. Only 255 is left out.": (
        lambda mask, c: (mask == c).sum() / ((mask > 0) & (mask != VOID)).sum()
    ),
    "It is the share of pixels that have any label; c is not used.": (
        lambda mask, c: (mask != VOID).mean()
    ),
    "It adds up labels and not pixels: sum mask == c.": (
        lambda mask, c: mask[mask == c].sum() / (mask != VOID).sum()
    ),
    "It takes the mean of the rows' shares. Rows with more void count as much as the others then; "
    "count all pixels first.": (
        lambda mask, c: np.nan_to_num([class_share(row, c) for row in mask]).mean()
    ),
    "It counts classes and not pixels: a class of one pixel gets as much as the largest.": (
        lambda mask, c: (c in mask) / len(np.unique(mask[mask != VOID]))
    ),
}


def judge_class_share(attempt):
    small = np.array([[0, 0, 1, 255], [2, 1, 1, 255], [0, 2, 255, 1]], np.uint8)
    tall = np.array([[1, 3, 1], [1, 0, 255], [1, 1, 1], [255, 255, 255], [3, 3, 0]], np.uint8)
    full = np.array([[2, 0, 2, 2, 1]], np.uint8)
    cases = [(mask, c) for mask in (small, tall, full) for c in range(4)]
    compare(attempt, cases, class_share, SHARE_MISTAKES)


class_share_exercise = Exercise("class_share", judge_class_share, class_share)


# ---------------------------------------------------------------- resizing a mask


def coded_mask(height, width):
    """Make a mask in which every pixel has a label of its own (at most 250 pixels)."""
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def taking(positions):
    """Make a resizing from a function (new side, old side) -> old positions, clipped."""

    def resize(mask, size):
        rows, columns = (
            np.clip(np.asarray(positions(new, old), int), 0, old - 1)
            for new, old in zip(size, mask.shape, strict=True)
        )
        return mask[np.ix_(rows, columns)]

    return resize


RESIZING_MISTAKES = {
    "The mask is shifted by half a pixel up and to the left: i * scale is where pixel i begins. "
    "Its centre is (i + 0.5) * scale.": taking(lambda new, old: np.arange(new) * old // new),
    "The mask is shifted by half a pixel down and to the right: it takes the label where the new "
    "pixel ends, not at its centre.": (
        taking(lambda new, old: np.ceil(np.arange(1, new + 1) * old / new) - 1)
    ),
    "First and last pixels are laid onto each other (as linspace does), so the mask is stretched "
    "against its image. Pixel centres lie at (i + 0.5) * scale.": (
        taking(lambda new, old: np.linspace(0, old - 1, new))
    ),
    "The centre (i + 0.5) * scale is rounded to the next border of a pixel. Cut its fraction off "
    "instead: pixel 3 goes from 3.0 to 4.0.": (
        taking(lambda new, old: np.round((np.arange(new) + 0.5) * old / new))
    ),
    "The scale is upside down: it is the old side divided by the new one.": (
        taking(lambda new, old: (np.arange(new) + 0.5) * new / old)
    ),
    "It cuts out a part, the upper left corner or the middle. Resizing keeps the whole image.": (
        taking(lambda new, old: np.arange(new)),
        taking(lambda new, old: np.arange(new) + (old - new) // 2),
    ),
}


def judge_resize_mask(attempt):
    # Sides are odd here: the centre of a new pixel then never lies between two old ones.
    whole_factors = [((9, 15), (3, 5)), ((15, 9), (3, 3))]
    any_factors = [((7, 11), (4, 6)), ((5, 7), (15, 7)), ((5, 7), (8, 9)), ((9, 5), (6, 13))]
    for sizes in (whole_factors, any_factors):
        for old, new in sizes:
            check_resized(attempt, old, new, sizes is any_factors)
        compare(
            attempt,
            [(coded_mask(*old), new) for old, new in sizes],
            resize_mask,
            RESIZING_MISTAKES,
            convert=as_array,
        )
    kind = as_array(attempt(coded_mask(9, 15), (3, 5))).dtype
    if kind.kind not in "iu":
        raise Incorrect(
            f"The labels are right, but come back as {kind}. Labels are whole numbers: keep the "
            "mask's dtype, uint8."
        )


def check_resized(attempt, old, new, after_whole_factors=False):
    """Raise Incorrect unless a mask of the old size gets the new one and only labels it had."""
    mask = np.where(np.random.default_rng(0).random(old) < 0.5, 3, 9).astype(np.uint8)
    mask[:2] = VOID
    result = as_array(attempt(mask, new))
    shape, strange = result.shape, np.setdiff1d(result, mask)
    raise_first(
        {
            f"Whole factors work, but {old} to {new} gives the shape {shape}. Compute where every "
            "new pixel's centre lies in the old mask.": shape != new and after_whole_factors,
            f"For size {new} the shape is {shape}: height and width are swapped. NumPy has "
            "(height, width); Pillow and OpenCV take (width, height).": shape == new[::-1] != new,
            f"The mask keeps its shape {old}; expected the shape {new}.": shape == old,
            f"From {old} to {new} the shape is {shape}; a mask has two axes only.": shape != new,
            "A mask with the labels 3, 9 and 255 gets new ones, such as "
            f"{', '.join(f'{label:.4g}' for label in strange[:3])}: labels are averaged. Take "
            "one, the nearest: halfway between sky and road there is no car.": strange.size,
        }
    )


resize_mask_exercise = Exercise("resize_mask", judge_resize_mask, resize_mask)


# ---------------------------------------------------------------- augmentation


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


FARTHEST = 8  # pixels
CODED_SIZES = ((24, 32), (21, 27))
SEARCHED = 20  # shifts up to here are recognised, to tell how far an image went
STILL = (False, 0, 0)


def coded_pair(height, width):
    """Make a pair in which each pixel tells where it comes from."""
    rows, columns = np.mgrid[:height, :width]
    mask = 3 * np.random.default_rng(height).integers(0, 4, (height, width))
    image = np.stack([5 * rows + 9, 5 * columns + 9, mask + 1], axis=-1)
    return image.astype(np.uint8), mask.astype(np.uint8)


def moves_of(mask, mode="constant", **options):
    """List all mirrored and shifted copies of a mask, as dict from their bytes to the move.

    A move is (mirrored, pixels down, pixels to the right); mode and options are np.pad's.
    """
    height, width = mask.shape
    found = {}
    for mirrored in (False, True):
        padded = np.pad(mask[:, ::-1] if mirrored else mask, SEARCHED, mode, **options)
        for down in range(-SEARCHED, SEARCHED + 1):
            for right in range(-SEARCHED, SEARCHED + 1):
                top, left = SEARCHED - down, SEARCHED - right
                part = padded[top : top + height, left : left + width]
                found.setdefault(part.tobytes(), (mirrored, down, right))
    return found


def fits(result, image, move):
    """Tell whether an image was mirrored and shifted by a move, whatever its margin shows."""
    mirrored, *shift = move
    moved = np.roll(image[:, ::-1] if mirrored else image, shift, axis=(0, 1))
    inside = tuple(slice(max(0, pixels), min(0, pixels) or None) for pixels in shift)
    return np.array_equal(result[inside], moved[inside])


def move_of_image(result, image):
    """Find the move of an image, or None."""
    height, width = image.shape[:2]
    row, column = height // 2, width // 2
    # The middle pixel tells its old place (see coded_pair), whether mirrored or not
    old_row, old_column = (result[row, column, :2].astype(int) - 9) // 5
    for mirrored, old in ((False, old_column), (True, width - 1 - old_column)):
        move = (mirrored, int(row - old_row), int(column - old))
        if fits(result, image, move):
            return move
    return None


def judge_augmentation(attempt):
    pairs = [coded_pair(*size) for size in CODED_SIZES]
    known = [moves_of(mask, constant_values=VOID) for _, mask in pairs]
    moves, results = [], []
    for seed in range(200):
        image, mask = pairs[seed % 2]

        def augmented(image=image, mask=mask, seed=seed):
            result = attempt(image, mask, np.random.default_rng(seed))
            return as_image_and_mask(result, image, mask)

        new_image, new_mask = augmented()
        move = known[seed % 2].get(new_mask.tobytes())
        if move is None:
            raise Incorrect(what_happened_to_mask(new_mask, mask))
        moves.append(move)
        results.append((new_image, image))
        if seed < 10 and not all(map(np.array_equal, augmented(), (new_image, new_mask))):
            raise Incorrect(
                "Two generators with the same seed give different images: some numbers are not "
                "drawn from rng. Use rng.random() and rng.integers(), not np.random."
            )
    if not all(fits(*result, move) for result, move in zip(results, moves, strict=True)):
        explain_difference(results[:16], moves[:16])
    return check_variety(moves)


def as_image_and_mask(value, image, mask):
    """Take an image and a mask of the shapes and dtypes that were given."""
    new_image, new_mask = as_pair(value, "image", "mask")
    if new_image.shape == mask.shape and new_mask.shape == image.shape:
        raise Incorrect("It returns the mask first; expected (image, mask).")
    for name, new, old in (("image", new_image, image), ("mask", new_mask, mask)):
        if new.shape != old.shape:
            raise Incorrect(
                f"The {name}'s shape changes from {old.shape} to {new.shape}. A shifted image "
                "keeps its size: fill up what is missing."
            )
    strange = np.setdiff1d(new_mask, [*np.unique(mask), VOID])
    if strange.size:
        raise Incorrect(
            f"The mask gets labels that it did not have, such as {strange[0]:.4g}. Labels are "
            "never averaged: shift by whole pixels, or take the nearest."
        )
    for name, new, old in (("image", new_image, image), ("mask", new_mask, mask)):
        if new.dtype != old.dtype:
            raise Incorrect(
                f"The {name} goes in as {old.dtype} and comes out as {new.dtype}. Keep the dtype: "
                "a data set has one, and the model rescales by itself."
            )
    return new_image, new_mask


INVENTED = "The mask's margin is repeated or mirrored outwards: invented labels. Fill with 255."
MARGINS = {
    "wrap": "What leaves the mask on one side comes back on the other, as np.roll does. What comes "
    "in is unknown, so it is void (255).",
    "constant": "The margin that comes in is filled with 0, which is a class. Nobody knows what is "
    "there: fill the mask with 255, void.",
    "edge": INVENTED,
    "symmetric": INVENTED,
    "reflect": INVENTED,
}


def what_happened_to_mask(result, mask):
    """Say why a mask is not a mirrored and shifted copy with a void margin."""
    for mode, sentence in MARGINS.items():
        if result.tobytes() in moves_of(mask, mode):
            return sentence
    if result.tobytes() in moves_of(mask[::-1], constant_values=VOID):
        return (
            "The pair is turned upside down. Only left and right are swapped, image[:, ::-1]: "
            "streets with the sky below do not occur."
        )
    return (
        "The mask is no copy that was mirrored and shifted by whole pixels, with 255 where nothing "
        "of the image comes in."
    )


def explain_difference(results, moves):
    """Raise Incorrect with how the moves of images differ from those of their masks."""
    of_images = [move_of_image(*result) for result in results]
    if None in of_images:
        raise Incorrect(
            "The mask is moved well, but the image is no copy that was mirrored and shifted by "
            "whole pixels. Are its values changed, or did it go upside down?"
        )
    pairs = list(zip(of_images, moves, strict=True))
    same_mirror = all(image[0] == mask[0] for image, mask in pairs)
    same_shift = all(image[1:] == mask[1:] for image, mask in pairs)
    for one, other, of_other in (("image", "mask", moves), ("mask", "image", of_images)):
        mirrored = any(move[0] for move in of_other)
        shifted = any(move[1:] != (0, 0) for move in of_other)
        raise_first(
            {
                f"Only the {one} moves. The {other} must make the same moves, or labels no longer "
                "fit.": not mirrored and not shifted,
                f"The {one} is mirrored, but its {other} is not.": same_shift and not mirrored,
                f"Both are mirrored, but only the {one} is shifted.": same_mirror and not shifted,
            }
        )
    raise_first(
        {
            "The mask is shifted the opposite way to its image. Is there a sign too many?": all(
                image[1:] == (-mask[1], -mask[2]) for image, mask in pairs
            ),
            "The mask is shifted down by what its image is shifted to the right, and the other way "
            "round: axis 0 is rows, axis 1 columns.": all(
                image[1:] == mask[:0:-1] for image, mask in pairs
            ),
        }
    )
    raise Incorrect(
        "Image and mask make different moves: each draws its own random numbers. Draw once, and "
        "use the numbers for both."
    )


def check_variety(moves):
    """Raise Incorrect unless the moves are as random as they should be; may return a note."""
    share = sum(mirrored for mirrored, _, _ in moves) / len(moves)
    downs, rights = ([move[place] for move in moves] for place in (1, 2))
    farthest = max(map(abs, downs + rights))
    together = any(downs) and downs == rights
    raise_first(
        {
            "Nothing changes: 200 random generators gave 200 times the same image.": (
                set(moves) == {STILL}
            ),
            "It makes the same move whatever rng is. Is there a generator or a seed inside the "
            "function? Draw from the rng that is given.": len(set(moves)) == 1,
            f"It shifts by {farthest} pixels; expected at most {FARTHEST}.": farthest > FARTHEST,
            "It never mirrors; expected about every second image.": share == 0,
            f"It mirrors {share:.0%} of the images; expected about half.": not 0.3 < share < 0.7,
            "Rows and columns always shift by the same number: draw two.": together,
        }
    )
    for shifts, names in ((downs, ("down", "up")), (rights, ("right", "left"))):
        there, never = names if min(shifts) >= 0 else names[::-1]
        largest, one_way = max(map(abs, shifts)), min(shifts) >= 0 or max(shifts) <= 0
        raise_first(
            {
                f"It never shifts {names[0]} or {names[1]}.": not largest,
                f"It shifts {there} only, never {never}: draw from -{FARTHEST} to {FARTHEST}.": (
                    one_way
                ),
                f"It shifts by {largest} pixels at most; expected up to {FARTHEST}.": (
                    largest <= FARTHEST // 2
                ),
            }
        )
    if max(downs + rights) < FARTHEST:
        return (
            f"(Down and right it never goes the full {FARTHEST} pixels: rng.integers leaves its "
            f"upper end out. rng.integers(-{FARTHEST}, {FARTHEST + 1}) reaches both.)"
        )


augmentation_exercise = Exercise("augmentation", judge_augmentation, augmentation)


# ---------------------------------------------------------------- splits


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


def frames_of(recordings):
    """Make names of frames, from 3 to 7 a recording."""
    numbered = enumerate(recordings)
    return [f"{name}/{frame:04d}.png" for i, name in numbered for frame in range(3 + i % 5)]


def recording_of(name):
    return name.split("/")[0]


def judge_split_by_recording(attempt):
    names = frames_of([f"data{letter}" for letter in "ABCDEFGHIJ"])
    trials = [(seed, test_share) for seed in range(10) for test_share in (0.2, 0.3)]
    splits = []
    for seed, test_share in trials:
        split = as_split(attempt(names, test_share, seed))
        check_names(split, names)
        check_whole_recordings(*split)
        if sets_of(split) != sets_of(as_split(attempt(names, test_share, seed))):
            raise Incorrect(
                "Two calls with the same seed give different splits: use "
                "np.random.default_rng(seed), or images wander from train to test."
            )
        splits.append(split)
    in_order = [
        check_order(attempt, frames_of([f"{prefix}{i}" for i in range(18)]))
        for prefix in ("data", "drive", "street")
    ]
    for (_, test_share), split in zip(trials, splits, strict=True):
        check_size(*split, test_share)
    if len({sets_of(split)[1] for split in splits[1::2]}) == 1:
        raise Incorrect(
            "The seed changes nothing: ten seeds give the same ten times the same split."
        )
    few = frames_of(["dataA", "dataB"])
    for test_share in (0.1, 0.9):
        check_names(as_split(attempt(few, test_share, 0)), few)
    if not all(in_order):
        return (
            "(Inside the lists, the names stand in the order in which they came. The course sorts "
            "them; it makes no difference to the split.)"
        )


def as_split(value):
    """Take two lists of names."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; expected two lists, train and test.")
    for part in value:
        if not isinstance(part, list | tuple | set | frozenset | np.ndarray):
            raise Incorrect(f"It returns {describe(part)} for a list of names.")
    return tuple([str(name) for name in part] for part in value)


def sets_of(split):
    return tuple(map(frozenset, split))


def check_names(split, names):
    """Raise Incorrect unless every name is in exactly one list, and neither is empty."""
    train, test = split
    strange = sorted({*train, *test} - set(names))
    twice = sorted(set(train) & set(test))
    lost = sorted(set(names) - {*train, *test})
    empty = "test" if train else "train"
    frames = " Return the names of the frames, not of the recordings."
    raise_first(
        {
            f"A list holds {strange[:1]}, which is not one of the names."
            f"{'' if '/' in ''.join(strange[:1]) else frames}": strange,
            f"{twice[:1]} is in train and in test: every name belongs in one list.": twice,
            f"{len(lost)} of {len(names)} names are in neither list, such as {lost[:1]}.": lost,
            "Some names stand twice in one list.": len(train) + len(test) > len(names),
            f"With {len(set(map(recording_of, names)))} recordings the {empty} list is empty. "
            "Both sides need at least one recording, even if the share rounds to none.": not train
            or not test,
        }
    )


def check_whole_recordings(train, test):
    """Raise Incorrect when a recording is on both sides, with how it came about."""
    torn = sorted(set(map(recording_of, train)) & set(map(recording_of, test)))
    if not torn:
        return
    frames = [{name.split("/")[1] for name in part} for part in (train, test)]
    cut = True
    for recording in torn:
        first, second = (
            [n for n in part if recording_of(n) == recording] for part in (train, test)
        )
        cut = cut and (max(first) < min(second) or min(first) > max(second))
    raise_first(
        {
            "It sorts by the frame's number: all frames 0000 are on one side, of whatever "
            "recording. What belongs together is the folder, name.split('/')[0].": not (
                frames[0] & frames[1]
            ),
            f"Recordings are cut in two, such as {torn[0]}: the first frames on one side, the "
            "rest on the other. Count recordings, not frames, so that each stays whole.": cut,
            f"Frames of {torn[0]} are in train and in test: frames are drawn one by one. "
            "Neighbouring frames look alike, so the test would repeat the training. Draw "
            "recordings.": True,
        }
    )


def check_order(attempt, names):
    """Raise Incorrect when the order of the names changes the split.

    Returns whether even the lists are the same, in the same order.
    """
    same = True
    for seed in range(5):
        first = as_split(attempt(names, 0.3, seed))
        for order in range(6):
            shuffled = np.random.default_rng(order).permutation(names).tolist()
            other = as_split(attempt(shuffled, 0.3, seed))
            if sets_of(other) != sets_of(first):
                raise Incorrect(
                    "The split depends on the order in which the names come. Folders and sets "
                    "have no fixed order: sort the recordings before you shuffle them."
                )
            same = same and other == first
    return same


def check_size(train, test, test_share):
    """Raise Incorrect unless the test has its share of the recordings, or of the frames."""
    recordings = len(set(map(recording_of, test)))
    everything = len(set(map(recording_of, train + test)))
    of_recordings, of_frames = recordings / everything, len(test) / len(train + test)
    largest = 7 / len(train + test)  # the longest recording has 7 frames
    near_share = abs(of_recordings - test_share) < 1.01 / everything
    if near_share or abs(of_frames - test_share) < 1.01 * largest:
        return
    told = f"With test_share {test_share} the test has {recordings} of {everything} recordings"
    if abs(of_recordings - (1 - test_share)) < 1.01 / everything:
        raise Incorrect(f"{told}: train and test are swapped. Return (train, test).")
    raise Incorrect(f"{told}; expected about {test_share * everything:.0f}.")


split_by_recording_exercise = Exercise(
    "split_by_recording", judge_split_by_recording, split_by_recording
)


# ---------------------------------------------------------------- tiles


def judge_tile_starts(attempt):
    # Overlap 0 comes last: a step of 0 is easier to explain where it does not raise.
    overlapping = [(10, 4, 1), (23, 8, 3), (24, 8, 3), (97, 32, 8), (17, 5, 2), (9, 8, 3)]
    short = [(8, 8, 3), (5, 8, 3), (31, 32, 8)]
    apart = [(10, 4, 0), (12, 4, 0), (25, 6, 0)]
    evenly = False
    for cases in (overlapping + short, apart):
        pairs = []
        for case in cases:
            told = "That is for length {}, tile {}, overlap {}.".format(*case)
            starts = run(attempt, *case, explain=lambda *_, told=told: told)
            pairs.append((as_starts(starts, case), case))
        for starts, case in pairs:
            explain_starts(starts, *case)
        evenly = evenly or any(sorted(a.tolist()) != tiles.tile_starts(*c) for a, c in pairs)
    if evenly:
        return (
            "(The course takes full steps and pulls the last tile back; yours lie elsewhere, and "
            "cover the image with as few. Spread evenly, they share more: as good.)"
        )


def as_starts(value, case):
    """Take a list of whole numbers."""
    length, tile, overlap = case
    found = as_array(sorted(value) if isinstance(value, set) else value)
    raise_first(
        {
            f"It returns {describe(value)}; expected a list of numbers.": found.ndim != 1,
            f"For length {length}, tile {tile} it returns no tile at all. An image shorter "
            "than the tile or as long as it has one: [0].": not found.size,
            f"For length {length}, tile {tile}, overlap {overlap} the starts are floats, such "
            f"as {found.ravel()[-1:]}, and no image can be cut there: make them whole numbers, "
            "with // in place of /.": found.dtype.kind == "f",
        }
    )
    return found.astype(int)


def explain_starts(found, length, tile, overlap):
    """Raise Incorrect when the starts do not cover an image, or are more than needed."""
    said = f"For length {length}, tile {tile}, overlap {overlap} it gives {found.tolist()}"
    found = np.sort(found)
    steps, end = np.diff(found), found[-1] + tile
    widest = steps.max(initial=0)
    needed = math.ceil((length - overlap) / (tile - overlap))
    last, step = "the last tile begins at length - tile.", "the step is tile - overlap."
    raise_first(
        {
            f"{said}: a negative start, which NumPy counts from the end; expected [0].": (
                found[0] < 0
            ),
            f"{said}; expected one tile, [0].": length <= tile and found.tolist() != [0],
        }
    )
    if length <= tile:
        return
    raise_first(
        {
            f"{said}: the first {found[0]} pixels are not covered.": found[0] > 0,
            f"{said}: the last tile sticks out by {end - length} pixels; {last}": end > length,
            f"{said}: the last {length - end} pixels are not covered; {last}": end < length,
            f"{said}: the same start twice.": (steps == 0).any(),
            f"{said}: {widest - tile} pixels between two tiles are not covered; {step}": (
                widest > tile
            ),
            f"{said}: neighbours share {tile - widest} pixels; expected at least {overlap}: "
            f"{step}": widest > tile - overlap,
            f"{said}: {len(found)} tiles, where {needed} are enough; {step}": len(found) > needed,
        }
    )


tile_starts_exercise = Exercise("tile_starts", judge_tile_starts, tiles.tile_starts)
