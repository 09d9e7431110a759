"""Exercises on masks and data sets: shares, resizing, trimaps, augmentation, splits, tiles."""

import itertools

import numpy as np

from unet_helpers import pipeline
from unet_helpers.exercises.exercise import (
    Exercise,
    NotYet,
    as_array,
    as_number,
    as_pair,
    compare,
    describe,
)
from unet_helpers.labels import VOID

# ---------------------------------------------------------------- the share of a class


def class_share(mask, c):
    """Give the share of the labelled pixels that belong to class c; void is 255."""
    labelled = mask[mask != VOID]
    return (labelled == c).mean()


def judge_class_share(attempt):
    first = np.array([[0, 0, 1], [1, 1, 2], [VOID, VOID, 3]], "uint8")
    second = np.array([[5, 5, VOID, 0], [5, 0, VOID, VOID]], "uint8")
    cases = [(first, 1), (first, 0), (first, 4), (second, 5)]
    mistakes = [
        (
            lambda m, c: (m == c).sum(),
            "This is a number of pixels; a share lies between 0 and 1. Divide by the number of "
            "labelled pixels.",
        ),
        (
            lambda m, c: (m == c).mean(),
            "Void pixels are counted in the whole. They have no label: divide by the number of "
            "pixels that are not 255.",
        ),
        (
            lambda m, c: ((m == c) | (m == VOID)).mean(),
            "Void pixels are counted as pixels of the class.",
        ),
        (
            lambda m, c: 100 * class_share(m, c),
            "This is in per cent; give a share from 0 to 1.",
        ),
        (
            lambda m, c: 1 - class_share(m, c),
            "This is the share of all other classes.",
        ),
        (
            lambda m, c: (m[m != VOID] >= c).mean(),
            "This is the share of all classes from c on; compare with ==.",
        ),
        (
            lambda m, c: np.mean(np.unique(m[m != VOID]) == c),
            "This counts classes, not pixels.",
        ),
        (
            lambda m, c: (m[m != VOID] == c).any(),
            "This says whether the class occurs; the share says how much of it.",
        ),
    ]
    compare(attempt, cases, class_share, mistakes, lambda m, c: f"the mask {m.tolist()} and c={c}")


class_share_exercise = Exercise(
    judge_class_share,
    class_share,
    task="Give the share, from 0 to 1, of the labelled pixels that belong to class c; mask is an "
    "array of class ids, 255 is void.",
    call="my_class_share(mask, c)",
    minutes=5,
    hints=(
        "A share is a number of pixels divided by a number of pixels. Which ones are above, which "
        "below?",
        "(mask == c).sum() counts the pixels of the class. Below stand those that have a label.",
        "(mask == c).sum() / (mask != 255).sum()",
    ),
)


# ---------------------------------------------------------------- resizing a mask


def resize_by(source_rows, mask, size):
    """Resize by a rule that says which source row (or column) each new one takes."""
    rows = source_rows(mask.shape[0], size[0])
    columns = source_rows(mask.shape[1], size[1])
    return mask[rows][:, columns]


def centres(have, want):
    """Give the source pixel under each new pixel's centre."""
    return np.floor((np.arange(want) + 0.5) * have / want).astype(int)


def judge_resize_mask(attempt):
    random = np.random.default_rng(7)
    cases = [
        (random.integers(0, 13, shape).astype("uint8"), size)
        for shape, size in [
            ((9, 15), (3, 5)),
            ((4, 6), (12, 18)),
            ((6, 6), (6, 3)),
            ((5, 7), (3, 4)),
        ]
    ]
    cases[0][0][:2] = VOID

    def corners(have, want):
        return np.arange(want) * have // want

    def ends(have, want):
        return np.round(np.linspace(0, have - 1, want)).astype(int)

    def mixed(mask, size):
        image = np.repeat(mask[..., None], 3, axis=-1)
        return pipeline.resize_image(image, size)[..., 0]

    def below_ties(have, want):
        """The other pixel, where a new centre lies exactly between two old ones."""
        return np.ceil((np.arange(want) + 0.5) * have / want).astype(int) - 1

    mistakes = [
        (
            mixed,
            "Labels are mixed: neighbours are averaged, and 7 and 10 make 8, a class that is not "
            "there. Take one pixel's label as it is.",
        ),
        (
            lambda m, s: resize_by(corners, m, s),
            "Each new pixel takes the label under its upper left corner, so the mask is shifted "
            "against the image. Take the one under its centre, (i + 0.5) * old / new.",
        ),
        (
            lambda m, s: resize_by(ends, m, s),
            "The first and last pixels are made to meet (linspace), which shifts and stretches the "
            "mask. Pixel centres meet at (i + 0.5) * old / new.",
        ),
        (
            lambda m, s: resize_by(centres, m, s[::-1]),
            "Height and width are swapped: size is (height, width).",
        ),
        (
            lambda m, s: m[: s[0], : s[1]],
            "The mask is cropped, not resized.",
        ),
        (
            lambda m, s: np.resize(m, s),
            "np.resize repeats or cuts the numbers in a row; it knows nothing of pictures.",
        ),
        (
            lambda m, s: m.reshape(s),
            "reshape moves no pixels and needs as many as before.",
        ),
        (
            lambda m, s: np.where(resize_by(centres, m, s) == VOID, 0, resize_by(centres, m, s)),
            "Void became class 0. It is a label like any other here and stays 255.",
        ),
        (
            lambda m, s: m,
            "The mask comes back in its old size.",
        ),
    ]
    answers = [as_array(attempt(*case)) for case in cases]
    for rule in (centres, below_ties):  # where a centre lies between two pixels, either is right
        if all(
            np.array_equal(answer, resize_by(rule, *case))
            for answer, case in zip(answers, cases, strict=True)
        ):
            if any(answer.dtype != np.uint8 for answer in answers):
                raise NotYet(
                    f"The labels are right, but they come as {answers[0].dtype}; a mask stays "
                    "uint8."
                )
            return None
    compare(
        attempt,
        cases,
        pipeline.resize_mask,
        mistakes,
        lambda m, s: f"a mask {m.shape} and size {s}",
        convert=as_array,
    )
    return None


resize_mask_exercise = Exercise(
    judge_resize_mask,
    pipeline.resize_mask,
    task="Give the mask, uint8, in size = (height, width): each new pixel takes the label that "
    "lies under its centre.",
    call="my_resize_mask(mask, size)",
    minutes=10,
    hints=(
        "Do one axis first: for each new row, which old row is it taken from? mask[rows] then "
        "picks them.",
        "The centre of new row i lies at i + 0.5 new rows, which is (i + 0.5) * old / new old "
        "rows. Cut off the decimals.",
        "rows = ((np.arange(h) + 0.5) * mask.shape[0] / h).astype(int), columns likewise; return "
        "mask[rows][:, columns].",
    ),
)


# ---------------------------------------------------------------- trimaps


def trimap_to_classes(trimap):
    """Turn a trimap's 1 pet, 2 background, 3 outline into the classes 0, 1, 2."""
    return trimap - 1


def judge_trimap_to_classes(attempt):
    cases = [
        (np.array([[1, 2, 3], [3, 2, 1]], "uint8"),),
        (np.array([[2, 2], [3, 1], [1, 1]], "uint8"),),
        (np.full((4, 1), 3, "uint8"),),
    ]

    def table(*classes):
        return lambda t: np.array([0, *classes], "uint8")[t]

    mistakes = [
        (lambda t: t, "The values come back as they were: 1, 2, 3. Classes are counted from 0."),
        (
            table(0, 2, 1),
            "Background and outline are swapped, as in a well-known tutorial: 2 is the background, "
            "3 the outline. Look where they lie in the picture.",
        ),
        (
            table(1, 0, 2),
            "Pet and background are swapped: 1 is the pet and becomes class 0.",
        ),
        (
            table(0, 1, VOID),
            "The outline became void. Here it is a class of its own, 2.",
        ),
        (
            table(1, 0, VOID),
            "This is a mask of two classes and void, as in notebook 08. Here there are three.",
        ),
        (table(2, 1, 0), "The order is turned round: 1, 2, 3 become 0, 1, 2."),
        (table(0, 1, 1), "Background and outline became one class."),
        (table(0, 0, 1), "Pet and background became one class. Only subtract."),
        (
            lambda t: (t - 1)[..., None],
            "There is a new axis at the end. A mask is (height, width).",
        ),
        (
            lambda t: (t - 1) / 2,
            "The classes were scaled to 0 to 1. They are names, not brightness.",
        ),
    ]
    compare(
        attempt,
        cases,
        trimap_to_classes,
        mistakes,
        lambda t: f"the trimap {t.tolist()}",
        convert=as_array,
    )
    answer = as_array(attempt(*cases[0]))
    if answer.dtype != np.uint8:
        raise NotYet(
            f"The classes are right, but they come as {answer.dtype}. Masks stay uint8: a quarter "
            "of the memory of int32, and nothing can become 0.5."
        )


trimap_to_classes_exercise = Exercise(
    judge_trimap_to_classes,
    trimap_to_classes,
    task="Turn a uint8 array of 1 (pet), 2 (background) and 3 (outline) into classes 0, 1, 2 of "
    "the same shape and type.",
    call="my_trimap_to_classes(trimap)",
    minutes=5,
    hints=(
        "Which class should each of the three values become?",
        "One operation does it for the whole array.",
        "trimap - 1",
    ),
)


# ---------------------------------------------------------------- augmentation


def augmentation(image, mask, rng):
    """Mirror in half of the cases and shift by up to 8 pixels, image and mask alike."""
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    down, right = rng.integers(-8, 9, 2)
    height, width = mask.shape
    # Where the picture comes from and where it goes; what nothing covers stays black and void.
    new_image, new_mask = np.zeros_like(image), np.full_like(mask, VOID)
    rows = slice(max(0, down), min(height, height + down))
    columns = slice(max(0, right), min(width, width + right))
    from_rows = slice(max(0, -down), min(height, height - down))
    from_columns = slice(max(0, -right), min(width, width - right))
    new_image[rows, columns] = image[from_rows, from_columns]
    new_mask[rows, columns] = mask[from_rows, from_columns]
    return new_image, new_mask


def coded_picture(height=40, width=48):
    """Make an image whose pixels tell their place, and a mask that fits in one place only."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows + 1, columns + 1, np.full_like(rows, 200)], axis=-1).astype("uint8")
    return image, np.random.default_rng(9).integers(0, 13, (height, width)).astype("uint8")


def judge_augmentation(attempt):
    image, mask = coded_picture()
    results = []
    for seed in range(40):
        pair = as_pair(attempt(image, mask, np.random.default_rng(seed)), "image", "mask")
        check_kinds(*pair, image, mask)
        results.append(pair)
    places = [place_of(new_image, image.shape) for new_image, _ in results]
    masks_moved = [move_of_mask(new_mask, mask) for _, new_mask in results]
    explain_moves(places, masks_moved, results, mask)
    again = as_pair(attempt(image, mask, np.random.default_rng(3)), "image", "mask")
    if not all(np.array_equal(a, b) for a, b in zip(again, results[3], strict=True)):
        raise NotYet(
            "The same generator gives another picture: something is drawn from another source "
            "than rng."
        )
    return explain_variety(places)


def check_kinds(new_image, new_mask, image, mask):
    """Raise NotYet when shapes, types or labels are not those of the pair that went in."""
    if new_image.shape != image.shape or new_mask.shape != mask.shape:
        raise NotYet(
            f"It returns an image {new_image.shape} and a mask {new_mask.shape}; they should keep "
            f"their shapes, {image.shape} and {mask.shape}."
        )
    invented = np.setdiff1d(new_mask, [*range(13), VOID])
    if invented.size or not np.array_equal(new_mask, np.round(new_mask)):
        raise NotYet(
            f"The mask holds {invented[:3].tolist()}, labels that were not in it: it was averaged. "
            "Only move its pixels."
        )
    if new_image.dtype != np.uint8 or new_mask.dtype != np.uint8:
        raise NotYet(
            f"It returns {new_image.dtype} and {new_mask.dtype}; image and mask stay uint8."
        )


def place_of(new_image, shape):
    """Read from a coded image how it was moved: (mirrored, down, right), None when not at all so.

    A mirror upside down is told as ("flipped", ...).
    """
    inside = new_image[..., 2] == 200
    if not inside.any():
        return None
    rows, columns = np.nonzero(inside)
    from_rows = new_image[rows, columns, 0].astype(int) - 1
    from_columns = new_image[rows, columns, 1].astype(int) - 1
    for mirrored, row, column in (
        (False, from_rows, from_columns),
        (True, from_rows, shape[1] - 1 - from_columns),
        ("upside down", shape[0] - 1 - from_rows, from_columns),
    ):
        down, right = rows - row, columns - column
        # rolled pictures have two moves; the one that most pixels share counts
        down, right = (
            np.bincount(down + 100).argmax() - 100,
            np.bincount(right + 100).argmax() - 100,
        )
        same = (rows - row == down) & (columns - column == right)
        if same.mean() > 0.6:
            return mirrored, int(down), int(right), bool(same.all() and len(rows) < inside.size)
    return None


def move_of_mask(new_mask, mask):
    """Find (mirrored, down, right) for which a moved mask fits best; None when nothing fits."""
    best = None
    for mirrored, source in ((False, mask), (True, mask[:, ::-1]), ("upside down", mask[::-1])):
        for down, right in itertools.product(range(-9, 10), range(-9, 10)):
            a = new_mask[max(0, down) : len(mask) + min(0, down)]
            a = a[:, max(0, right) : mask.shape[1] + min(0, right)]
            b = source[max(0, -down) : len(mask) - max(0, down)]
            b = b[:, max(0, -right) : mask.shape[1] - max(0, right)]
            share = (a == b).mean()
            if best is None or share > best[0]:
                best = share, (mirrored, down, right)
    return best[1] if best[0] > 0.95 else None


def explain_moves(places, masks_moved, results, mask):
    """Raise NotYet unless image and mask were moved alike, with void where nothing came in."""
    images = [place[:3] if place else None for place in places]
    if None in images:
        raise NotYet(
            "The image is not just mirrored and shifted: its pixels do not keep their neighbours "
            "or colours."
        )
    if "upside down" in {move[0] for move in images}:
        raise NotYet(
            "The image is turned upside down: [::-1] mirrors the rows. Left to right is [:, ::-1]."
        )
    still = (False, 0, 0)
    if all(move == still for move in images):
        if any(move != still for move in masks_moved):
            raise NotYet("Only the mask moves; image and mask are moved alike.")
        raise NotYet("Nothing ever moves, with 40 different generators.")
    if all(move == still for move in masks_moved):
        raise NotYet("Only the image moves; image and mask are moved alike.")
    differ = [i for i, (a, b) in enumerate(zip(images, masks_moved, strict=True)) if a != b]
    if differ:
        explain_difference(images, masks_moved, differ)
    for (new_image, new_mask), move in zip(results, images, strict=True):
        empty = np.ones(mask.shape, bool)
        _, down, right = move
        empty[max(0, down) : len(mask) + min(0, down)][
            :, max(0, right) : mask.shape[1] + min(0, right)
        ] = False
        if not empty.any():
            continue
        if (new_image[empty][:, 2] == 200).any() and (new_mask[empty] != VOID).any():
            raise NotYet(
                "What leaves on one side comes in on the other (np.roll does that). Where nothing "
                "of the picture comes in, the mask is void, 255."
            )
        if (new_mask[empty] != VOID).any():
            raise NotYet(
                f"Where nothing of the picture comes in, the mask holds {new_mask[empty][0]}; it "
                "should be 255, void, which no loss and no score counts."
            )


def explain_difference(images, masks_moved, differ):
    """Raise NotYet with how the moves of image and mask differ."""
    a, b = images[differ[0]], masks_moved[differ[0]]
    if b is None:
        raise NotYet("The mask is not just mirrored and shifted: its pixels lose their neighbours.")
    if all(images[i][1:] == masks_moved[i][1:] for i in differ):
        raise NotYet(
            "Sometimes only one of the two is mirrored. Draw once, and use the answer for both."
        )
    opposite = [(m[0], -m[1], -m[2]) if m else None for m in masks_moved]
    if all(images[i] == opposite[i] for i in differ):
        raise NotYet("The mask is shifted the opposite way to the image.")
    swapped = [(m[0], m[2], m[1]) if m else None for m in masks_moved]
    if all(images[i] == swapped[i] for i in differ):
        raise NotYet("The mask is shifted down by what the image is shifted to the right.")
    raise NotYet(
        f"Image and mask are moved differently: the image by {a[1:]} (down, right), the mask by "
        f"{b[1:]}. Draw the numbers once, and use them for both."
    )


def explain_variety(places):
    """Raise NotYet when the draws are not those that were asked for; gives a note, or None."""
    moves = {place[:3] for place in places}
    if len(moves) == 1:
        raise NotYet(
            "Every generator gives the same move: the numbers are not drawn from rng (frozen), so "
            "all epochs would look alike."
        )
    mirrored = np.mean([place[0] for place in places])
    if mirrored in (0, 1):
        raise NotYet(
            f"It {'always' if mirrored else 'never'} mirrors; one time in two is asked for."
        )
    if not 0.2 < mirrored < 0.8:
        raise NotYet("It mirrors far from half of the times.")
    for axis, name in ((1, "up or down"), (2, "to the side")):
        shifts = [place[axis] for place in places]
        if max(map(abs, shifts)) > 8:
            raise NotYet(f"It shifts by up to {max(map(abs, shifts))} pixels; 8 is the limit.")
        if len(set(shifts)) == 1:
            raise NotYet(f"It never shifts {name}.")
        if min(shifts) >= 0 or max(shifts) <= 0:
            raise NotYet(
                f"The shift {name} goes one way only. rng.integers(-8, 9) draws from -8 to 8."
            )
    return None


augmentation_exercise = Exercise(
    judge_augmentation,
    augmentation,
    task="Mirror left to right in half of the cases and shift by up to 8 pixels in each direction, "
    "image (H, W, 3) and mask (H, W) alike; return (image, mask), the mask 255 where nothing comes "
    "in; draw from rng, a numpy.random.Generator.",
    call="my_augmentation(image, mask, rng)",
    minutes=20,
    hints=(
        "Draw all numbers first: mirrored or not, rows, columns. Then do the same to both.",
        "Mirror by [:, ::-1]. For the shift make an empty image and a mask full of 255, and copy "
        "the part that stays inside.",
        "down, right = rng.integers(-8, 9, 2); np.roll((down, right), axis=(0, 1)) moves both, but "
        "then the rows and columns that wrapped round must become 255 in the mask.",
    ),
)


# ---------------------------------------------------------------- a split that does not leak


def split_by_recording(names, test_share, seed):
    """Split names like "dataA/0003.png" so that no recording is on both sides."""
    recordings = sorted({name.split("/")[0] for name in names})  # sorted: a set has no order
    n_test = min(max(1, round(test_share * len(recordings))), len(recordings) - 1)
    chosen = np.random.default_rng(seed).permutation(recordings)[:n_test]
    train = sorted(name for name in names if name.split("/")[0] not in chosen)
    test = sorted(name for name in names if name.split("/")[0] in chosen)
    return train, test


def judge_split_by_recording(attempt):
    names = [f"data{letter}/{i:06}.png" for letter in "ABCDEFGH" for i in range(6)]
    two = [f"{folder}/{i}.png" for folder in ("left", "right") for i in range(3)]
    shuffled = list(np.random.default_rng(8).permutation(names))
    first = two_lists(attempt(names, 0.25, 0))
    explain_split(*first, names)
    if two_lists(attempt(names, 0.25, 0)) != first:
        raise NotYet(
            "Two calls with the same seed give two different splits: draw from "
            "np.random.default_rng(seed). A training resumed tomorrow would test on what it has "
            "seen."
        )
    other_order = two_lists(attempt([str(name) for name in shuffled], 0.25, 0))
    if [set(part) for part in other_order] != [set(part) for part in first]:
        raise NotYet(
            "The split depends on the order in which the names come, and another computer lists a "
            "folder in another order. Sort the names, or the recordings, before you draw."
        )
    n_test = len({name.split("/")[0] for name in first[1]})
    if n_test == 6 and len({name.split("/")[0] for name in first[0]}) == 2:
        raise NotYet(
            "Train and test are swapped, or test_share was taken for the share of train: with 0.25 "
            "of eight recordings, two belong in test."
        )
    if n_test != 2:
        raise NotYet(f"With test_share=0.25 of eight recordings {n_test} are in test; expected 2.")
    splits = {frozenset(two_lists(attempt(names, 0.25, seed))[1]) for seed in range(8)}
    if len(splits) == 1:
        raise NotYet("Eight different seeds give the same split: the seed is not used.")
    small = two_lists(attempt(two, 0.1, 1))
    if not small[0] or not small[1]:
        raise NotYet(
            "Of two recordings and test_share=0.1, one side is empty. Keep at least one recording "
            "on either side."
        )
    explain_split(*small, two)


def two_lists(value):
    """Take (train, test) as two lists of names; raises NotYet for anything else."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise NotYet(f"It returns {describe(value)}; expected two lists, train and test.")
    if any(isinstance(part, str | bytes | dict) or not np.iterable(part) for part in value):
        raise NotYet(
            f"It returns {describe(value[0])} and {describe(value[1])}; expected two lists of "
            "names, train and test."
        )
    lists = [[str(name) for name in part] for part in value]
    return sorted(lists[0]), sorted(lists[1])


def explain_split(train, test, names):
    """Raise NotYet when names are lost, doubled or invented, or recordings on both sides."""
    if set(train) & set(test):
        example = sorted(set(train) & set(test))[0]
        raise NotYet(f"{example} is in train and in test.")
    lost = sorted(set(names) - set(train) - set(test))
    if lost:
        raise NotYet(f"{len(lost)} names are in neither list, {lost[0]} for one.")
    if len(train) + len(test) > len(names):
        raise NotYet("Some names occur twice, or were not given.")
    both = {name.split("/")[0] for name in train} & {name.split("/")[0] for name in test}
    if both:
        raise NotYet(
            f"Frames of {', '.join(sorted(both)[:3])} are in train and in test. Neighbouring "
            "frames are near copies, so the test asks what the network remembers. Split the "
            "recordings, not the frames."
        )
    if not train or not test:
        raise NotYet(f"{'train' if not train else 'test'} is empty.")


split_by_recording_exercise = Exercise(
    judge_split_by_recording,
    split_by_recording,
    task='Split names like "dataA/000012.png" into two lists, (train, test): whole recordings on '
    "one side, about test_share of them in test, at least one on either side, the same for the "
    "same seed whatever the order of names.",
    call="my_split_by_recording(names, test_share, seed)",
    minutes=10,
    hints=(
        "What is drawn here: frames or recordings? List the recordings first.",
        'The recording of a name is name.split("/")[0]. Sort the recordings before you draw, '
        "because a set and a folder have no order.",
        "np.random.default_rng(seed).permutation(recordings) and take the first "
        "max(1, round(test_share * number)) for test.",
    ),
)


# ---------------------------------------------------------------- tiles


def tile_starts(length, tile, overlap):
    """List where tiles begin along one side; the last one ends with the side."""
    if length <= tile:
        return [0]
    return [*range(0, length - tile, tile - overlap), length - tile]


def judge_tile_starts(attempt):
    note = None
    for length, tile, overlap in [
        (100, 40, 10),
        (97, 40, 10),
        (96, 32, 0),
        (160, 64, 16),
        (65, 64, 20),
        (64, 64, 8),
        (30, 64, 8),
        (1000, 128, 64),
    ]:
        starts = list_of_starts(attempt(length, tile, overlap))
        case = f"length {length}, tile {tile} and overlap {overlap}"
        fewest = 1 if length <= tile else -(-(length - tile) // (tile - overlap)) + 1
        explain_starts(starts, length, tile, overlap, case, fewest)
        if starts != tile_starts(length, tile, overlap):
            note = (
                "Your tiles lie elsewhere than the course's, which are evenly spaced up to the "
                "last one, but they do the same."
            )
    return note


def list_of_starts(value):
    """Take a list of whole numbers; raises NotYet for anything else."""
    if isinstance(value, range):
        value = list(value)
    if not isinstance(value, list | tuple | np.ndarray):
        raise NotYet(f"It returns {describe(value)}; expected a list of starts.")
    numbers = [as_number(start) for start in value]
    if any(not float(number).is_integer() for number in numbers):
        raise NotYet("A start is not a whole number; pixels are counted whole: divide with //.")
    return [int(number) for number in numbers]


def explain_starts(starts, length, tile, overlap, case, fewest):
    """Raise NotYet when the tiles do not cover one side as they should."""
    if not starts:
        raise NotYet(f"For {case} there is no tile at all.")
    if min(starts) < 0:
        raise NotYet(
            f"For {case} a tile begins at {min(starts)}. A picture shorter than the tile gets one "
            "tile, at 0."
        )
    if len(set(starts)) < len(starts):
        raise NotYet(f"For {case} two tiles begin at the same place: {starts}.")
    starts = sorted(starts)
    if starts[0] != 0:
        raise NotYet(f"For {case} the first tile begins at {starts[0]}; the rim before is lost.")
    if length > tile and starts[-1] + tile > length:
        raise NotYet(
            f"For {case} the last tile ends at {starts[-1] + tile} and sticks out. Let it begin at "
            "length - tile, so that it ends with the side."
        )
    if starts[-1] + tile < length:
        raise NotYet(
            f"For {case} the last tile ends at {starts[-1] + tile}; the rim after it is not "
            "covered. Add one that begins at length - tile."
        )
    shared = [a + tile - b for a, b in itertools.pairwise(starts)]
    if shared and min(shared) < 0:
        raise NotYet(f"For {case} there is a gap between two tiles: {starts}.")
    if shared and min(shared) < overlap:
        raise NotYet(
            f"For {case} two neighbours share {min(shared)} pixels only. From one start to the "
            "next it is tile - overlap."
        )
    if length <= tile and starts != [0]:
        raise NotYet(f"For {case} one tile at 0 is enough.")
    if len(starts) > fewest:
        raise NotYet(
            f"For {case} there are {len(starts)} tiles where {fewest} do: {starts}. Is the step "
            "tile - overlap?"
        )


tile_starts_exercise = Exercise(
    judge_tile_starts,
    tile_starts,
    task="Give a list of starts of tiles along one side: they cover it, lie inside, neighbours "
    "share at least overlap pixels, and no tile is superfluous; [0] when the side is no longer "
    "than a tile.",
    call="my_tile_starts(length, tile, overlap)",
    minutes=10,
    hints=(
        "Two neighbours that share `overlap` pixels: how far apart do they begin?",
        "range(0, length - tile, tile - overlap) gives all but the last one. Where must the last "
        "one begin so that it ends with the side?",
        "[0] if length <= tile, else [*range(0, length - tile, tile - overlap), length - tile].",
    ),
)
