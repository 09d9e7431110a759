"""Exercises on masks, splits, augmentation and tiles: what happens to images around training."""

import math

import numpy as np

from unet_helpers.datasets import pets
from unet_helpers.datasets.images import resize_mask
from unet_helpers.exercises.comparison import compare, makes
from unet_helpers.exercises.exercise import Exercise, Incorrect, as_array, describe
from unet_helpers.inference import tiles
from unet_helpers.labels import VOID

# ---------------------------------------------------------------- the share of a class


def class_share(mask, c):
    """Give the share of the labelled pixels that have class c, from 0 to 1."""
    labelled = mask != VOID
    return (mask == c).sum() / labelled.sum()


def judge_class_share(attempt):
    small = np.array([[0, 0, 1, 255], [2, 1, 1, 255], [0, 2, 255, 1]], np.uint8)
    tall = np.array([[1, 3, 1], [1, 0, 255], [1, 1, 1], [255, 255, 255], [3, 3, 0]], np.uint8)
    full = np.array([[2, 0, 2, 2, 1]], np.uint8)
    cases = [(mask, c) for mask in (small, tall, full) for c in range(4)]
    mistakes = [
        (
            lambda mask, c: (mask == c).mean(),
            "Void pixels are counted in the denominator. Nobody says what they are: divide by the "
            "number of pixels with mask != 255.",
        ),
        (
            lambda mask, c: (mask == c).sum(),
            "It gives the number of pixels, not their share: divide by the labelled pixels.",
        ),
        (
            lambda mask, c: 100 * class_share(mask, c),
            "It gives per cent; the share goes from 0 to 1.",
        ),
        (
            lambda mask, c: 1 - class_share(mask, c),
            "It gives the share of all the other classes. Is there != in place of ==?",
        ),
        (
            lambda mask, c: (mask != c).mean(),
            "It gives the share of all that is not class c, void included. Is there != in place "
            "of ==?",
        ),
        (
            lambda mask, c: ((mask == c) | (mask == VOID)).mean(),
            "Void pixels are counted as if they had class c.",
        ),
        (
            lambda mask, c: (mask == c).sum() / ((mask != c) & (mask != VOID)).sum(),
            "It divides by the pixels of the other classes: a ratio, not a share. Class c belongs "
            "in the denominator, too.",
        ),
        (
            lambda mask, c: (mask == c).sum() / ((mask > 0) & (mask != VOID)).sum(),
            "Class 0 is missing in the denominator. It is a class like the others; only 255 is "
            "left out.",
        ),
        (
            lambda mask, c: (mask == c).sum() // (mask != VOID).sum(),
            "The division rounds down to a whole number: use / and not //.",
        ),
        (
            lambda mask, c: (mask != VOID).mean(),
            "It gives the share of pixels that have any label; c is not used.",
        ),
        (
            lambda mask, c: mask[mask == c].sum() / (mask != VOID).sum(),
            "It adds up labels and not pixels, so class 2 counts twice and class 0 not at all: "
            "sum mask == c.",
        ),
        (
            lambda mask, c: class_share(mask[0], c),
            "Only the first row of the mask is counted.",
        ),
        (
            lambda mask, c: (c in mask) / len(np.unique(mask[mask != VOID])),
            "It counts classes and not pixels: a class of one pixel gets as much as the largest.",
        ),
    ]
    compare(attempt, cases, class_share, mistakes, lambda mask, c: f"class {c} in {mask.tolist()}")


class_share_exercise = Exercise("class_share", judge_class_share, class_share)


# ---------------------------------------------------------------- resizing a mask


def coded_mask(height, width):
    """Make a mask in which every pixel has a label of its own (at most 250 pixels)."""
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def take(mask, rows, columns):
    """Take the labels at these rows and columns; positions outside move to the margin."""
    rows = np.clip(np.asarray(rows, int), 0, mask.shape[0] - 1)
    columns = np.clip(np.asarray(columns, int), 0, mask.shape[1] - 1)
    return mask[np.ix_(rows, columns)]


def at_left_edges(mask, size):
    return take(mask, *(np.arange(n) * old // n for n, old in zip(size, mask.shape, strict=True)))


def at_rounded_left_edges(mask, size):
    return take(
        mask, *(np.round(np.arange(n) * old / n) for n, old in zip(size, mask.shape, strict=True))
    )


def at_right_edges(mask, size):
    return take(
        mask,
        *(
            np.ceil(np.arange(1, n + 1) * old / n) - 1
            for n, old in zip(size, mask.shape, strict=True)
        ),
    )


def with_ends_aligned(mask, size):
    rows, columns = (np.linspace(0, old - 1, n) for n, old in zip(size, mask.shape, strict=True))
    return take(mask, rows, columns)


def with_ends_aligned_rounded(mask, size):
    rows, columns = (np.linspace(0, old - 1, n) for n, old in zip(size, mask.shape, strict=True))
    return take(mask, rows.round(), columns.round())


def cut_from_the_middle(mask, size):
    top, left = (mask.shape[0] - size[0]) // 2, (mask.shape[1] - size[1]) // 2
    return mask[top : top + size[0], left : left + size[1]]


LEFT_EDGE = (
    "The mask is shifted by half a pixel up and to the left: i * scale is where new pixel i "
    "begins. Its centre is (i + 0.5) * scale."
)
ENDS_ALIGNED = (
    "First and last pixels are laid onto each other (as linspace does), so the mask is stretched "
    "against its image. Pixel centres lie at (i + 0.5) * scale."
)
RESIZING_MISTAKES = [
    (at_left_edges, LEFT_EDGE),
    (at_rounded_left_edges, LEFT_EDGE),
    (
        at_right_edges,
        "The mask is shifted by half a pixel down and to the right: it takes the label where the "
        "new pixel ends, not at its centre.",
    ),
    (with_ends_aligned, ENDS_ALIGNED),
    (with_ends_aligned_rounded, ENDS_ALIGNED),
    (
        lambda mask, size: mask[: size[0], : size[1]],
        "It cuts out the upper left corner. Resizing keeps the whole image: take pixels from all "
        "over the mask.",
    ),
    (cut_from_the_middle, "It cuts out the middle. Resizing keeps the whole image."),
    (
        lambda mask, size: resize_mask(mask, size)[::-1],
        "The mask comes back upside down.",
    ),
]


def judge_resize_mask(attempt):
    # Sides are odd here: the centre of a new pixel then never lies between two old ones.
    whole_factors = [((9, 15), (3, 5)), ((15, 9), (3, 3))]
    any_factors = [((7, 11), (4, 6)), ((5, 7), (15, 7)), ((5, 7), (8, 9)), ((9, 5), (6, 13))]
    for sizes in (whole_factors, any_factors):
        for old, new in sizes:
            check_resized_shape(attempt, old, new, sizes is any_factors)
            check_resized_labels(attempt, old, new)
        cases = [(coded_mask(*old), new) for old, new in sizes]
        compare(
            attempt,
            cases,
            resize_mask,
            RESIZING_MISTAKES,
            lambda mask, size: f"np.arange({mask.size}).reshape({mask.shape}) to {size}",
            convert=as_array,
        )
    notes = []
    for old, new in [((8, 12), (4, 6)), ((6, 8), (3, 2))]:
        notes += check_resized_ties(attempt, old, new)
    kind = as_array(attempt(coded_mask(9, 15), (3, 5))).dtype
    if kind.kind not in "iu":
        raise Incorrect(
            f"The labels are right, but come back as {kind}. Labels are whole numbers: keep the "
            "mask's dtype, uint8."
        )
    return " ".join(dict.fromkeys(notes))


def check_resized_shape(attempt, old, new, after_whole_factors):
    """Raise Incorrect unless a mask of the old size gets the new one."""
    shape = as_array(attempt(coded_mask(*old), new)).shape
    if shape == new:
        return
    if after_whole_factors:
        raise Incorrect(
            f"Whole factors work, but {old} to {new} gives the shape {shape}. Compute for every "
            "new pixel where its centre lies in the old mask; repeating or skipping is not enough."
        )
    if shape == new[::-1]:
        raise Incorrect(
            f"For size {new} the shape is {shape}: height and width are swapped. NumPy has "
            "(height, width); Pillow and OpenCV take (width, height)."
        )
    if shape == old:
        raise Incorrect(f"The mask keeps its shape {old}; expected the shape {new}.")
    if shape[:2] == new:
        raise Incorrect(f"The shape is {shape}; a mask has two axes only: {new}.")
    raise Incorrect(f"A mask of shape {old} resized to {new} comes back with the shape {shape}.")


def check_resized_labels(attempt, old, new):
    """Raise Incorrect when there are labels that the mask does not have."""
    mask = np.where(np.random.default_rng(0).random(old) < 0.5, 3, 9).astype(np.uint8)
    mask[:2] = VOID
    strange = np.setdiff1d(as_array(attempt(mask, new)), mask)
    if strange.size:
        examples = ", ".join(f"{label:.4g}" for label in strange[:3])
        raise Incorrect(
            f"A mask with the labels 3, 9 and 255 gets new ones, such as {examples}: labels are "
            "averaged. Halfway between sky and road there is no car: take one label, the nearest."
        )


def check_resized_ties(attempt, old, new):
    """Accept either neighbour where a new centre lies exactly between two; return the notes."""
    mask = coded_mask(*old)
    result = as_array(attempt(mask, new)).astype(int)
    if result.shape != new:
        raise Incorrect(f"A mask of shape {old} resized to {new} gets the shape {result.shape}.")
    for axis, position in enumerate(np.unravel_index(result, old)):
        centres = (np.arange(new[axis]) + 0.5) * old[axis] / new[axis] - 0.5
        centres = centres[:, None] if axis == 0 else centres[None, :]
        if np.abs(position - centres).max() > 0.5:
            raise Incorrect(
                f"Odd sides work, but for {old} to {new} some pixels do not get one of the "
                "labels next to their centre."
            )
    if np.array_equal(result, resize_mask(mask, new)):
        return []
    return [
        "(At even factors a new centre lies between two pixels, equally near to both. The course "
        "takes the one below and to the right; yours is as good.)"
    ]


resize_mask_exercise = Exercise("resize_mask", judge_resize_mask, resize_mask)


# ---------------------------------------------------------------- trimaps


def judge_trimap_to_classes(attempt):
    cases = [
        (np.array([[1, 1, 2], [3, 2, 2]], np.uint8),),
        (np.array([[2, 3, 1, 1], [3, 3, 1, 2], [2, 2, 3, 1]], np.uint8),),
        (np.array([[2, 2], [2, 2], [2, 2]], np.uint8),),
        (np.array([[3, 1, 3, 1, 3]], np.uint8),),
    ]

    def table(pet, background, outline):
        return lambda trimap: np.array([0, pet, background, outline])[trimap]

    mistakes = [
        (
            table(1, 2, 3),
            "The labels are unchanged. Three classes are 0, 1 and 2; a label 3 has no logit.",
        ),
        (
            table(0, 2, 1),
            "Background and outline are swapped: 2 is the background and 3 the outline, the strip "
            "between the two.",
        ),
        (table(1, 0, 2), "Pet and background are swapped: pet is class 0, background class 1."),
        (
            table(1, 0, 0),
            "That is a binary mask, pet or not. Here the outline is a class of its own, and pet "
            "is 0.",
        ),
        (
            table(0, 1, 255),
            "The outline becomes void (255), which no loss would count. Here it is class 2.",
        ),
        (table(1, 2, 2), "Labels are clipped, not shifted: 2 and 3 become one class."),
        (table(0, 1, 1), "The outline is counted as background; it is class 2."),
        (table(0, 1, 0), "The outline is counted as pet; it is class 2."),
        (
            table(1, 2, 0),
            "A remainder (% 3) puts the outline first. Subtract one instead: pet is 0.",
        ),
        (table(2, 1, 0), "The order is reversed: pet is 0 and outline 2."),
        (
            table(255, 0, 1),
            "One too many is subtracted: the pet falls below 0, which is 255, void, in uint8.",
        ),
        (
            table(-1, 0, 1),
            "One too many is subtracted: there is a class -1.",
        ),
        (
            lambda trimap: (trimap - 1)[..., None],
            "The mask gets an axis more at its end. A mask is (H, W).",
        ),
        (
            lambda trimap: np.eye(3)[trimap - 1],
            "That is one-hot, a channel per class. Here a mask is (H, W) with class numbers.",
        ),
    ]
    compare(
        attempt,
        cases,
        pets.trimap_to_classes,
        mistakes,
        lambda trimap: str(trimap.tolist()),
        convert=as_array,
    )
    kind = as_array(attempt(*cases[0])).dtype
    if kind.kind not in "iu":
        raise Incorrect(
            f"The classes are right, but come back as {kind}. Classes are whole numbers: use "
            ".astype(np.uint8)."
        )
    if kind.itemsize > 1:
        return f"({kind} works; uint8 takes {kind.itemsize} times less memory.)"


trimap_to_classes_exercise = Exercise(
    "trimap_to_classes", judge_trimap_to_classes, pets.trimap_to_classes
)


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


def coded_pair(height, width):
    """Make a pair in which each pixel tells where it comes from."""
    rows, columns = np.mgrid[:height, :width]
    mask = 3 * np.random.default_rng(height).integers(0, 4, (height, width))
    image = np.stack([5 * rows + 9, 5 * columns + 9, mask + 1], axis=-1)
    return image.astype(np.uint8), mask.astype(np.uint8)


def moves_of(mask, mode, **options):
    """List all mirrored and shifted copies of a mask, as dict from their bytes to the move.

    A move is (mirrored, pixels down, pixels to the right).
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


def shifted(image, move, fill):
    """Mirror and shift an image (H, W) or (H, W, C)."""
    mirrored, down, right = move
    image = image[:, ::-1] if mirrored else image
    rims = [(SEARCHED, SEARCHED)] * 2 + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, rims, constant_values=fill)
    top, left = SEARCHED - down, SEARCHED - right
    return padded[top : top + image.shape[0], left : left + image.shape[1]]


def fits(result, image, move):
    """Tell whether an image was mirrored and shifted by a move, whatever its margin shows."""
    inside = shifted(np.ones(image.shape[:2], bool), move, False)
    return np.array_equal(result[inside], shifted(image, move, 0)[inside])


def move_of_image(result, image):
    """Find the move of an image, or None."""
    height, width = image.shape[:2]
    row, column = height // 2, width // 2
    # The middle pixel tells its old place (see coded_pair), whether mirrored or not
    old_row, old_column = (result[row, column, :2].astype(int) - 9) // 5
    for mirrored, old in ((False, old_column), (True, width - 1 - old_column)):
        move = (mirrored, int(row - old_row), int(column - old))
        if max(abs(move[1]), abs(move[2])) <= SEARCHED and fits(result, image, move):
            return move
    return None


def judge_augmentation(attempt):
    pairs = [coded_pair(*size) for size in CODED_SIZES]
    known = [moves_of(mask, "constant", constant_values=VOID) for _, mask in pairs]
    moves, results = [], []
    for seed in range(200):
        image, mask = pairs[seed % 2]
        rng = np.random.default_rng(seed)
        new_image, new_mask = as_image_and_mask(attempt(image, mask, rng), image, mask)
        move = known[seed % 2].get(new_mask.tobytes())
        if move is None:
            raise Incorrect(what_happened_to_mask(new_mask, mask))
        moves.append(move)
        results.append((new_image, image))
        if seed < 10:
            check_same_again(attempt, image, mask, seed, new_image, new_mask)
    if not all(
        fits(result, image, move) for (result, image), move in zip(results, moves, strict=True)
    ):
        raise Incorrect(how_image_and_mask_differ(results[:16], moves[:16]))
    return check_variety(moves)


def as_image_and_mask(value, image, mask):
    """Take an image and a mask of the shapes and dtypes that were given."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; expected two things, image and mask.")
    new_image, new_mask = (as_array(part) for part in value)
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


def check_same_again(attempt, image, mask, seed, new_image, new_mask):
    """Raise Incorrect when an equal random generator gives another result."""
    again = attempt(image, mask, np.random.default_rng(seed))
    again = as_image_and_mask(again, image, mask)
    if not (np.array_equal(again[0], new_image) and np.array_equal(again[1], new_mask)):
        raise Incorrect(
            "Two generators with the same seed give different images: some numbers are not "
            "drawn from rng. Use rng.random() and rng.integers(), not np.random."
        )


def what_happened_to_mask(result, mask):
    """Say why a mask is no mirrored and shifted copy with a void margin."""
    for turned, upside_down in ((mask, False), (mask[::-1], True)):
        for mode, options, sentence in (
            ("constant", {"constant_values": VOID}, None),
            (
                "wrap",
                {},
                "What leaves the mask on one side comes back on the other, as np.roll does: a "
                "street in the sky. What comes in is unknown, so it is void (255).",
            ),
            (
                "constant",
                {"constant_values": 0},
                "The margin that comes in is filled with 0, which is a class. Nobody knows what is "
                "there: fill the mask with 255, void.",
            ),
            (
                "edge",
                {},
                "The mask's margin is repeated outwards: invented labels. Fill it with 255.",
            ),
            (
                "symmetric",
                {},
                "The mask's margin is mirrored outwards: invented labels. Fill with 255.",
            ),
            (
                "reflect",
                {},
                "The mask's margin is mirrored outwards: invented labels. Fill with 255.",
            ),
        ):
            if result.tobytes() in moves_of(turned, mode, **options):
                return (
                    "The pair is turned upside down. Only left and right are swapped, "
                    "image[:, ::-1]: streets with the sky below do not occur."
                    if upside_down
                    else sentence
                )
    return (
        "The mask is no copy that was mirrored and shifted by whole pixels, with 255 where nothing "
        "of the image comes in."
    )


def how_image_and_mask_differ(results, moves):
    """Say how the moves of images differ from those of their masks."""
    of_images = [move_of_image(result, image) for result, image in results]
    still = (False, 0, 0)
    if None in of_images:
        return (
            "The mask is moved well, but the image is no copy that was mirrored and shifted by "
            "whole pixels. Are its values changed, or did it go upside down?"
        )
    if all(move == still for move in moves):
        return "Only the image moves. The mask must make the same moves, or labels no longer fit."
    if all(move == still for move in of_images):
        return "Only the mask moves. The image must make the same moves, or labels no longer fit."
    same_mirror = all(a[0] == b[0] for a, b in zip(of_images, moves, strict=True))
    if all((a[1], a[2]) == (-b[1], -b[2]) for a, b in zip(of_images, moves, strict=True)):
        return "The mask is shifted the opposite way to its image. Is there a sign too many?"
    if not same_mirror and all(a[1] == b[1] for a, b in zip(of_images, moves, strict=True)):
        if not any(mirrored for mirrored, _, _ in moves):
            return "The image is mirrored, but its mask is not."
        if not any(mirrored for mirrored, _, _ in of_images):
            return "The mask is mirrored, but its image is not."
    if same_mirror and all((b[1], b[2]) == (0, 0) for b in moves):
        return "Both are mirrored, but only the image is shifted: the mask must go with it."
    return (
        "Image and mask make different moves: each draws its own random numbers. Draw once, and "
        "use the numbers for both."
    )


def check_variety(moves):
    """Raise Incorrect unless the moves are as random as they should be; may return a note."""
    mirrored = sum(mirrored for mirrored, _, _ in moves)
    if set(moves) == {(False, 0, 0)}:
        raise Incorrect("Nothing changes: 200 random generators gave 200 times the same image.")
    if len(set(moves)) == 1:
        raise Incorrect(
            "It makes the same move whatever rng is. Is there a generator or a seed inside the "
            "function? Draw from the rng that is given."
        )
    farthest = max(max(abs(down), abs(right)) for _, down, right in moves)
    if farthest > FARTHEST:
        raise Incorrect(f"It shifts by {farthest} pixels; expected at most {FARTHEST}.")
    if not mirrored:
        raise Incorrect(f"It never mirrors, in {len(moves)} images; expected about every second.")
    if mirrored == len(moves):
        raise Incorrect("It mirrors every image; expected about every second, rng.random() < 0.5.")
    if not 0.3 < mirrored / len(moves) < 0.7:
        raise Incorrect(f"It mirrors {mirrored} of {len(moves)} images; expected about half.")
    if all(down == right for _, down, right in moves):
        raise Incorrect("Rows and columns always shift by the same number: draw two.")
    for place, names in ((1, ("down", "up")), (2, ("right", "left"))):
        shifts = [move[place] for move in moves]
        if not any(shifts):
            raise Incorrect(f"It never shifts {names[0]} or {names[1]}.")
        if min(shifts) >= 0 or max(shifts) <= 0:
            there, never = names if min(shifts) >= 0 else names[::-1]
            raise Incorrect(
                f"It shifts {there} only, never {never}: draw from -{FARTHEST} to {FARTHEST}."
            )
        if max(-min(shifts), max(shifts)) <= FARTHEST // 2:
            raise Incorrect(
                f"It shifts by {max(-min(shifts), max(shifts))} pixels at most; expected up to "
                f"{FARTHEST}."
            )
    if max(max(down, right) for _, down, right in moves) < FARTHEST:
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
    return [
        f"{recording}/{frame:04d}.png"
        for i, recording in enumerate(recordings)
        for frame in range(3 + i % 5)
    ]


def recording_of(name):
    return name.split("/")[0]


def judge_split_by_recording(attempt):
    towns = [f"data{letter}" for letter in "ABCDEFGHIJ"]
    names = frames_of(towns)
    note = None
    for seed in range(10):
        for test_share in (0.2, 0.3):
            split = as_split(attempt(names, test_share, seed))
            check_names(split, names)
            check_whole_recordings(split)
            if split_sets(split) != split_sets(attempt(names, test_share, seed)):
                raise Incorrect(
                    "Two calls with the same seed give different splits: use "
                    "np.random.default_rng(seed), or images wander from train to test."
                )
    for prefix in ("data", "drive", "street"):
        many = frames_of([f"{prefix}{i}" for i in range(18)])
        note = check_order(attempt, many) or note
    for seed in range(10):
        for test_share in (0.2, 0.3):
            check_size(as_split(attempt(names, test_share, seed)), test_share)
    if len({split_sets(attempt(names, 0.3, seed))[1] for seed in range(10)}) == 1:
        raise Incorrect(
            "The seed changes nothing: ten seeds give the same ten times the same split."
        )
    for test_share in (0.1, 0.9):
        few = frames_of(["dataA", "dataB"])
        check_names(as_split(attempt(few, test_share, 0)), few)
    return note


def as_split(value):
    """Take two lists of names."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise Incorrect(f"It returns {describe(value)}; expected two lists, train and test.")
    for part in value:
        if not isinstance(part, list | tuple | set | frozenset | np.ndarray):
            raise Incorrect(f"It returns {describe(part)} for a list of names.")
    return tuple([str(name) for name in part] for part in value)


def split_sets(value):
    return tuple(frozenset(part) for part in as_split(value))


def check_names(split, names):
    """Raise Incorrect unless every name is in exactly one list, and neither is empty."""
    train, test = split
    strange = sorted({*train, *test} - set(names))
    if strange:
        raise Incorrect(
            f"A list holds {strange[0]!r}, which is not one of the names. Return the names of the "
            "frames, not of the recordings."
            if "/" not in strange[0]
            else f"A list holds {strange[0]!r}, which is not one of the names."
        )
    both = sorted(set(train) & set(test))
    if both:
        raise Incorrect(f"{both[0]} is in train and in test: every name belongs in one list.")
    lost = sorted(set(names) - {*train, *test})
    if lost:
        raise Incorrect(
            f"{len(lost)} of {len(names)} names are in neither list, such as {lost[0]}."
        )
    if len(train) + len(test) > len(names):
        raise Incorrect("Some names stand twice in one list.")
    for part, name in ((train, "train"), (test, "test")):
        if not part:
            count = len({recording_of(frame) for frame in names})
            raise Incorrect(
                f"With {count} recordings the {name} list is empty. Both sides need at least one "
                "recording, even if the share rounds to none."
            )


def check_whole_recordings(split):
    """Raise Incorrect when a recording is on both sides, with how it came about."""
    train, test = split
    torn = sorted({recording_of(n) for n in train} & {recording_of(n) for n in test})
    if not torn:
        return
    numbers = [{name.split("/")[1] for name in part} for part in split]
    if not numbers[0] & numbers[1]:
        raise Incorrect(
            "It sorts by the frame's number: all frames 0000 are on one side, of whatever "
            "recording. What belongs together is the folder, name.split('/')[0]."
        )
    cut = [
        max(n for n in train if recording_of(n) == r) < min(n for n in test if recording_of(n) == r)
        or min(n for n in train if recording_of(n) == r)
        > max(n for n in test if recording_of(n) == r)
        for r in torn
    ]
    if all(cut) and len(torn) > 1:
        raise Incorrect(
            f"Recordings are cut in two, such as {torn[0]}: the first frames on one side, the rest "
            "on the other. Keep a recording whole: its street is the same all along."
        )
    if len(torn) == 1 and all(cut):
        raise Incorrect(
            f"The border between train and test runs through {torn[0]}: count recordings, not "
            "frames, so that each one stays whole."
        )
    raise Incorrect(
        f"Frames of {torn[0]} are in train and in test: frames are drawn one by one. Neighbouring "
        "frames look alike, so the test would repeat the training. Draw recordings."
    )


def check_order(attempt, names):
    """Raise Incorrect when the order of the names changes the split; may return a note."""
    note = None
    for seed in range(5):
        first = attempt(names, 0.3, seed)
        for order in range(6):
            shuffled = list(np.random.default_rng(order).permutation(names))
            shuffled = [str(name) for name in shuffled]
            other = attempt(shuffled, 0.3, seed)
            if split_sets(other) != split_sets(first):
                raise Incorrect(
                    "The split depends on the order in which the names come. Folders and sets "
                    "have no fixed order: sort the recordings before you shuffle them."
                )
            if as_split(other) != as_split(first):
                note = (
                    "(Inside the lists, the names stand in the order in which they came. The "
                    "course sorts them; it makes no difference to the split.)"
                )
    return note


def check_size(split, test_share):
    """Raise Incorrect unless the test has its share of the recordings, or of the frames."""
    train, test = split
    recordings = len({recording_of(name) for name in test})
    everything = len({recording_of(name) for name in train + test})
    of_recordings, of_frames = recordings / everything, len(test) / len(train + test)
    largest = 7 / len(train + test)  # the longest recording has 7 frames
    if abs(of_recordings - test_share) < 1.01 / everything:
        return
    if abs(of_frames - test_share) < 1.01 * largest:
        return
    told = f"With test_share {test_share} the test has {recordings} of {everything} recordings"
    if abs(of_recordings - (1 - test_share)) < 1.01 / everything:
        raise Incorrect(f"{told}: train and test are swapped. Return (train, test).")
    raise Incorrect(f"{told}; expected about {test_share * everything:.0f}.")


split_by_recording_exercise = Exercise(
    "split_by_recording", judge_split_by_recording, split_by_recording
)


# ---------------------------------------------------------------- tiles


def without_end(length, tile, overlap):
    return list(range(0, length - tile + 1, tile - overlap)) or [0]


def with_steps_of(step, last=lambda length, tile: length - tile):
    """Make tile starts from another step or with another last tile."""

    def starts(length, tile, overlap):
        if length <= tile:
            return [0]
        return [*range(0, length - tile, step(tile, overlap)), last(length, tile)]

    return starts


def right_step(tile, overlap):
    return tile - overlap


STICKS_OUT = (
    "The last tile sticks out of the image: steps go on until the image's end. Let them end "
    "at length - tile, and let the last tile begin there."
)
UNCOVERED = (
    "The image's end is not covered: what is left over after the last whole step needs a tile, "
    "too. It begins at length - tile."
)
TILE_MISTAKES = [
    (lambda n, tile, overlap: list(range(0, n, tile - overlap)), STICKS_OUT),
    (lambda n, tile, overlap: list(range(0, n - overlap, tile - overlap)) or [0], STICKS_OUT),
    (without_end, UNCOVERED),
    (
        lambda n, tile, overlap: list(range(0, n - tile, tile - overlap)) or [0],
        "The last tile is missing: range leaves its end out, so nothing begins at length - tile.",
    ),
    (
        with_steps_of(lambda tile, overlap: tile),
        "The overlap is ignored: neighbours share no pixels. The step is tile - overlap.",
    ),
    (
        with_steps_of(lambda tile, overlap: overlap),
        "The step is the overlap, so there are far too many tiles. The step is tile - overlap.",
    ),
    (
        with_steps_of(lambda tile, overlap: tile - 2 * overlap),
        "The overlap is subtracted twice, so there are too many tiles. Neighbours share it: the "
        "step is tile - overlap.",
    ),
    (
        with_steps_of(lambda tile, overlap: tile - overlap - 1),
        "The step is one too small, which costs more tiles than needed: it is tile - overlap.",
    ),
    (
        with_steps_of(lambda tile, overlap: tile - overlap + 1),
        "Neighbours share one pixel too few: the step is tile - overlap.",
    ),
    (
        with_steps_of(right_step, lambda n, tile: n - tile - 1),
        "The last tile ends one pixel short: it begins at length - tile, since the tile covers "
        "start .. start + tile - 1.",
    ),
    (
        with_steps_of(right_step, lambda n, tile: n - tile + 1),
        "The last tile sticks out by one pixel: it begins at length - tile.",
    ),
    (
        lambda n, tile, overlap: [*range(0, n - tile, tile - overlap), n - tile],
        "An image shorter than the tile begins at a negative place, which NumPy counts from the "
        "end. Such an image has one tile, [0], and is filled up later.",
    ),
    (
        lambda n, tile, overlap: (
            [*range(0, n - tile + 1, tile - overlap), n - tile] if n > tile else [0]
        ),
        "Where the steps fit exactly, the last start stands there twice, and that tile would be "
        "predicted twice.",
    ),
    (
        lambda n, tile, overlap: list(range(max(1, n - tile + 1))),
        "A tile begins at every pixel: covered, but the step may be tile - overlap.",
    ),
    (
        lambda n, tile, overlap: [0],
        "There is only one tile. How many steps of tile - overlap until the end is reached?",
    ),
]


def judge_tile_starts(attempt):
    # Overlap 0 comes last: a step of 0 is easier to explain where it does not raise.
    overlapping = [(10, 4, 1), (23, 8, 3), (24, 8, 3), (97, 32, 8), (17, 5, 2), (9, 8, 3)]
    short = [(8, 8, 3), (5, 8, 3), (31, 32, 8)]
    apart = [(10, 4, 0), (12, 4, 0), (25, 6, 0)]
    evenly = False
    for cases in (overlapping + short, apart):
        answers = [as_starts(attempt(*case), case) for case in cases]
        pairs = list(zip(answers, cases, strict=True))
        faults = [what_is_wrong_with(answer, *case) for answer, case in pairs]
        if any(faults):
            for mistake, sentence in TILE_MISTAKES:
                if makes(mistake, cases, answers, as_array, 0):
                    raise Incorrect(sentence)
            raise Incorrect(next(fault for fault in faults if fault))
        evenly = evenly or any(
            sorted(answer.tolist()) != tiles.tile_starts(*case) for answer, case in pairs
        )
    if evenly:
        return (
            "(The course takes full steps and pulls the last tile back; yours lie elsewhere, and "
            "cover the image with as few. Spread evenly, they share more: as good.)"
        )


def as_starts(value, case):
    """Take a list of whole numbers."""
    length, tile, overlap = case
    if isinstance(value, set):
        value = sorted(value)
    starts = as_array(value)
    if starts.ndim != 1:
        raise Incorrect(f"It returns {describe(value)}; expected a list of numbers.")
    if not starts.size:
        raise Incorrect(
            f"For length {length}, tile {tile} it gives no tile at all. An image shorter than "
            "the tile or as long as it has one: [0]."
        )
    if starts.dtype.kind == "f":
        raise Incorrect(
            f"For length {length}, tile {tile}, overlap {overlap} the starts are floats, such as "
            f"{starts[-1]}, and no image can be cut there: make them whole numbers, with // in "
            "place of /."
        )
    return starts.astype(int)


def what_is_wrong_with(starts, length, tile, overlap):
    """Say in a sentence what is wrong with these starts, or None."""
    said = f"For length {length}, tile {tile}, overlap {overlap} it gives {starts.tolist()}"
    starts = np.sort(starts)
    if starts[0] < 0:
        return f"{said}: a negative start, which NumPy counts from the end."
    if length <= tile:
        return None if starts.tolist() == [0] else f"{said}; expected one tile, [0]."
    if starts[0] > 0:
        return f"{said}: the first {starts[0]} pixels are not covered."
    if starts[-1] + tile > length:
        return f"{said}: the last tile sticks out by {starts[-1] + tile - length} pixels."
    if starts[-1] + tile < length:
        return f"{said}: the last {length - starts[-1] - tile} pixels are not covered."
    steps = np.diff(starts)
    if (steps == 0).any():
        return f"{said}: the same start twice."
    if steps.max() > tile - overlap:
        return (
            f"{said}: neighbours share {tile - steps.max()} pixels; expected at least {overlap}."
            if steps.max() <= tile
            else f"{said}: {steps.max() - tile} pixels between two tiles are not covered."
        )
    needed = math.ceil((length - overlap) / (tile - overlap))
    if len(starts) > needed:
        return f"{said}: {len(starts)} tiles, where {needed} are enough."
    return None


tile_starts_exercise = Exercise("tile_starts", judge_tile_starts, tiles.tile_starts)
