"""The checks of the image exercises accept right answers and tell wrong ones apart.

The wrong answers are written here as a learner would write them, not taken from the package.
"""

import random

import keras
import numpy as np
import pytest
from PIL import Image

from unet_helpers import datasets, exercises


def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


# ---------------------------------------------------------------- right answers


def share_by_loop(mask, c):
    hits = pixels = 0
    for row in mask.tolist():
        for label in row:
            if label != 255:
                pixels += 1
                hits += label == c
    return hits / pixels


def share_by_bincount(mask, c):
    counts = np.bincount(mask.ravel(), minlength=256)
    return np.float32(counts[c] / counts[:255].sum())


def resize_by_loop(mask, size):
    result = np.zeros(size, np.uint8)
    for i in range(size[0]):
        for j in range(size[1]):
            row = int((i + 0.5) * mask.shape[0] / size[0])
            column = int((j + 0.5) * mask.shape[1] / size[1])
            result[i, j] = mask[row, column]
    return result


def resize_by_indices(mask, size):
    rows = (2 * np.arange(size[0]) + 1) * mask.shape[0] // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * mask.shape[1] // (2 * size[1])
    return mask[rows][:, columns].astype(np.int64)


def resize_by_keras(mask, size):
    channel = keras.ops.convert_to_tensor(mask[..., None].astype("float32"))
    resized = keras.ops.image.resize(channel, size, interpolation="nearest")
    return keras.ops.cast(resized[..., 0], "uint8")


def resize_ties_to_first(mask, size):
    # the lower neighbour where a centre lies between two
    centres = [
        (np.arange(n) + 0.5) * old / n - 0.5 for n, old in zip(size, mask.shape, strict=True)
    ]
    rows, columns = (np.ceil(c - 0.5).astype(int) for c in centres)
    return mask[np.ix_(rows, columns)]


def shift(image, down, right, fill):
    """Shift an image by a loop over its pixels."""
    result = np.full_like(image, fill)
    height, width = image.shape[:2]
    for row in range(height):
        if not 0 <= row - down < height:
            continue
        for column in range(max(0, right), min(width, width + right)):
            result[row, column] = image[row - down, column - right]
    return result


def roll_with_void(image, down, right, fill):
    result = np.roll(image, (down, right), axis=(0, 1))
    if down > 0:
        result[:down] = fill
    if down < 0:
        result[down:] = fill
    if right > 0:
        result[:, :right] = fill
    if right < 0:
        result[:, right:] = fill
    return result


def augmented_by_loop(image, mask, rng):
    down, right = rng.integers(-8, 8, 2, endpoint=True)
    if rng.integers(2):
        image, mask = np.fliplr(image), np.fliplr(mask)
    return shift(image, down, right, 0), shift(mask, down, right, 255)


def augmented_by_roll(image, mask, rng):
    # the image goes round, which no loss counts: the mask is void there
    right, down = (int(n) for n in rng.choice(17, 2) - 8)
    new = np.roll(image, (down, right), (0, 1)), roll_with_void(mask, down, right, 255)
    return [part[:, ::-1] for part in new] if rng.uniform() > 0.5 else list(new)


def augmented_without_upper_end(image, mask, rng):
    down, right = rng.integers(-8, 8, 2)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return roll_with_void(image, down, right, 0), roll_with_void(mask, down, right, 255)


def split_with_random(names, test_share, seed):
    recordings = sorted(set(name.rsplit("/", 1)[0] for name in names))
    random.Random(seed).shuffle(recordings)
    n = min(len(recordings) - 1, max(1, int(test_share * len(recordings) + 0.5)))
    test = recordings[:n]
    parts = ([], [])
    for name in sorted(names):
        parts[name.rsplit("/", 1)[0] in test].append(name)
    return parts


def split_until_full(names, test_share, seed):
    """Take recordings until the test has its share of the frames."""
    folders = {}
    for name in sorted(names):
        folders.setdefault(name.split("/")[0], []).append(name)
    order = list(np.random.default_rng(seed).permutation(sorted(folders)))
    test = list(folders[order.pop()])
    while len(order) > 1 and len(test) < test_share * len(names):
        test += folders[order.pop()]
    return np.array(sorted(set(names) - set(test))), sorted(test)


def starts_by_while(length, tile, overlap):
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(min(starts[-1] + tile - overlap, length - tile))
    return np.array(starts)


def starts_evenly(length, tile, overlap):
    if length <= tile:
        return [0]
    n = -(-(length - overlap) // (tile - overlap))
    return [i * (length - tile) // (n - 1) for i in range(n)]


RIGHT = [
    ("class_share", share_by_bincount),
    ("class_share", lambda mask, c: np.mean(mask[mask != 255] == c)),
    ("resize_mask", resize_by_indices),
    ("resize_mask", resize_by_keras),
    ("resize_mask", resize_ties_to_first),
    (
        "resize_mask",
        lambda mask, size: Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST),
    ),
    ("augmentation", augmented_by_loop),
    ("augmentation", augmented_by_roll),
    ("split_by_recording", split_with_random),
    ("split_by_recording", split_until_full),
    ("tile_starts", starts_by_while),
    ("tile_starts", starts_evenly),
    ("tile_starts", lambda n, tile, overlap: tuple(starts_by_while(n, tile, overlap)[::-1])),
]


@pytest.mark.parametrize("name, answer", RIGHT)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def test_the_resizing_solution_agrees_with_the_package():
    mask = np.arange(7 * 11, dtype=np.uint8).reshape(7, 11)
    for size in ((4, 6), (15, 7), (7, 11)):
        expected = datasets.resize_mask(mask, size)
        np.testing.assert_array_equal(exercises.resize_mask.reference(mask, size), expected)


def test_an_augmentation_that_never_shifts_by_8_passes_with_a_note():
    passed, sentence = verdict("augmentation", augmented_without_upper_end)
    assert passed and "leaves its upper end out" in sentence, sentence


# ---------------------------------------------------------------- wrong answers


def share_in_first_row(mask, c):
    row = [label for label in mask[0] if label != 255]
    return row.count(c) / len(row)


def share_by_rows(mask, c):
    return np.mean([(row == c).sum() / max(1, (row != 255).sum()) for row in mask])


def bilinear(mask, size):
    image = Image.fromarray(mask)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def by_left_edges(mask, size):
    rows = [int(i * mask.shape[0] / size[0]) for i in range(size[0])]
    columns = [int(j * mask.shape[1] / size[1]) for j in range(size[1])]
    return mask[rows][:, columns]


def by_right_edges(mask, size):
    rows = [max((i + 1) * mask.shape[0] // size[0] - 1, 0) for i in range(size[0])]
    return mask[rows][:, [max((j + 1) * mask.shape[1] // size[1] - 1, 0) for j in range(size[1])]]


def by_linspace(mask, size):
    rows = np.linspace(0, mask.shape[0] - 1, size[0]).astype(int)
    columns = np.linspace(0, mask.shape[1] - 1, size[1]).astype(int)
    return mask[rows][:, columns]


def whole_steps_from_centre(mask, size):
    step = mask.shape[0] // size[0], mask.shape[1] // size[1]
    return mask[step[0] // 2 :: step[0], step[1] // 2 :: step[1]]


def rounded_centres(mask, size):
    rows = np.round((np.arange(size[0]) + 0.5) * mask.shape[0] / size[0]).astype(int)
    columns = np.round((np.arange(size[1]) + 0.5) * mask.shape[1] / size[1]).astype(int)
    return mask[np.minimum(rows, mask.shape[0] - 1)][:, np.minimum(columns, mask.shape[1] - 1)]


def inverted_scale(mask, size):
    rows = ((np.arange(size[0]) + 0.5) * size[0] / mask.shape[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * size[1] / mask.shape[1]).astype(int)
    return mask[np.minimum(rows, mask.shape[0] - 1)][:, np.minimum(columns, mask.shape[1] - 1)]


def augmented_apart(image, mask, rng):
    def change(image, fill):
        if rng.random() < 0.5:
            image = image[:, ::-1]
        return roll_with_void(image, *rng.integers(-8, 9, 2), fill)

    return change(image, 0), change(mask, 255)


def draw(rng):
    return bool(rng.random() < 0.5), *(int(n) for n in rng.integers(-8, 9, 2))


def apply(image, move, fill):
    mirrored, down, right = move
    return roll_with_void(image[:, ::-1] if mirrored else image, down, right, fill)


def augmented(image_move=lambda m: m, mask_move=lambda m: m, fill=255):
    """Make an augmentation in which the image or the mask goes another way."""

    def answer(image, mask, rng):
        move = draw(rng)
        return apply(image, image_move(move), 0), apply(mask, mask_move(move), fill)

    return answer


def augmented_mirrored_last(image, mask, rng):
    mirrored, *shift = draw(rng)
    image, mask = apply(image, (False, *shift), 0), apply(mask, (False, *shift), 255)
    return image[:, ::-1] if mirrored else image, mask


def both(change):
    return augmented(change, change)


def augmented_round(image, mask, rng):
    mirrored, down, right = draw(rng)
    if mirrored:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return np.roll(image, (down, right), (0, 1)), np.roll(mask, (down, right), (0, 1))


def augmented_frozen(image, mask, rng):
    rng = np.random.default_rng(42)
    return augmented()(image, mask, rng)


def augmented_globally(image, mask, rng):
    move = np.random.rand() < 0.5, *np.random.randint(-8, 9, 2)
    return apply(image, move, 0), apply(mask, move, 255)


def augmented_upside_down(image, mask, rng):
    mirrored, down, right = draw(rng)
    if mirrored:
        image, mask = image[::-1], mask[::-1]
    return apply(image, (False, down, right), 0), apply(mask, (False, down, right), 255)


def augmented_averaged(image, mask, rng):
    image, mask = augmented()(image, mask, rng)
    return image, (mask + np.roll(mask, 1, axis=1).astype(float)) / 2


def augmented_to_floats(image, mask, rng):
    image, mask = augmented()(image, mask, rng)
    return image / 255, mask


def augmented_cut(image, mask, rng):
    _, down, right = draw(rng)
    return image[abs(down) :, abs(right) :], mask[abs(down) :, abs(right) :]


def augmented_with_margin(mode):
    def answer(image, mask, rng):
        top, left = rng.integers(0, 17, 2)
        height, width = mask.shape
        mask = np.pad(mask, 8, mode=mode)[top : top + height, left : left + width]
        image = np.pad(image, ((8, 8), (8, 8), (0, 0)), mode=mode)
        return image[top : top + height, left : left + width], mask

    return answer


def augmented_channels(image, mask, rng):
    if rng.random() < 0.5:
        image, mask = image[..., ::-1], mask[:, ::-1]
    return image, mask


def augmented_brightness(image, mask, rng):
    image, mask = augmented()(image, mask, rng)
    return image + np.uint8(1), mask


def draw_frames(names, test_share, seed):
    names = list(np.random.default_rng(seed).permutation(sorted(names)))
    n = round(test_share * len(names))
    return names[n:], names[:n]


def in_order_given(names, test_share, seed):
    recordings = list(dict.fromkeys(name.split("/")[0] for name in names))
    return by_recordings(names, recordings, test_share, np.random.default_rng(seed))


def by_recordings(names, recordings, test_share, rng, least=1):
    n = min(max(least, round(test_share * len(recordings))), len(recordings) - least)
    test = set(rng.permutation(recordings)[:n])
    return (
        sorted(name for name in names if name.split("/")[0] not in test),
        sorted(name for name in names if name.split("/")[0] in test),
    )


def sorted_recordings(names):
    return sorted({name.split("/")[0] for name in names})


def unseeded(names, test_share, seed):
    return by_recordings(names, sorted_recordings(names), test_share, np.random.default_rng())


def always_the_same(names, test_share, seed):
    return by_recordings(names, sorted_recordings(names), test_share, np.random.default_rng(0))


def without_least(names, test_share, seed):
    rng = np.random.default_rng(seed)
    return by_recordings(names, sorted_recordings(names), test_share, rng, least=0)


def swapped(names, test_share, seed):
    return split_with_random(names, test_share, seed)[::-1]


def one_for_test(names, test_share, seed):
    return by_recordings(names, sorted_recordings(names), 0, np.random.default_rng(seed))


def by_number(names, test_share, seed):
    numbers = sorted({name.split("/")[1] for name in names})
    test = np.random.default_rng(seed).permutation(numbers)[: round(test_share * len(numbers))]
    return (
        [name for name in names if name.split("/")[1] not in test],
        [name for name in names if name.split("/")[1] in test],
    )


def returns_recordings(names, test_share, seed):
    return sorted_recordings(names)[2:], sorted_recordings(names)[:2]


def overlapping(names, test_share, seed):
    return names, split_with_random(names, test_share, seed)[1]


def by_beginning(names, test_share, seed):
    recordings = sorted_recordings(names)
    n = min(max(1, round(test_share * len(recordings))), len(recordings) - 1)
    random.Random(seed).shuffle(recordings)
    train, test = tuple(recordings[n:]), tuple(recordings[:n])
    return [n for n in names if n.startswith(train)], [n for n in names if n.startswith(test)]


def each_by_chance(names, test_share, seed):
    rng = np.random.default_rng(seed)
    test = {recording for recording in sorted_recordings(names) if rng.random() < test_share}
    test |= {sorted_recordings(names)[0]}
    return (
        [name for name in names if name.split("/")[0] not in test],
        [name for name in names if name.split("/")[0] in test],
    )


def losing(names, test_share, seed):
    train, test = split_with_random(names, test_share, seed)
    return train[:-1], test


def last_left_out(length, tile, overlap):
    if length <= tile:
        return [0]
    return list(range(0, length - tile + 1, tile - overlap))


def steps_to_the_end(length, tile, overlap):
    starts, start = [], 0
    while start < length:
        starts.append(start)
        start += tile - overlap
    return starts


def starts_with_step(step, last=0):
    def answer(length, tile, overlap):
        if length <= tile:
            return [0]
        return [*range(0, length - tile, step(tile, overlap)), length - tile + last]

    return answer


def fails_for_short(length, tile, overlap):
    starts = list(range(0, length - tile + 1, tile - overlap))
    return starts if starts[-1] == length - tile else [*starts, length - tile]


def negative(length, tile, overlap):
    return list(range(0, length - tile, tile - overlap)) + [length - tile]


def linspace_starts(length, tile, overlap):
    n = -(-(length - overlap) // (tile - overlap))
    return np.linspace(0, max(0, length - tile), max(n, 1))


WRONG = [
    (
        "class_share",
        lambda mask, c: (np.where(mask == 255, 0, mask) == c).mean(),
        "mask with void counted as class 0",
    ),
    ("class_share", lambda mask, c: (mask == c).sum() / len(mask), "number of rows or columns"),
    (
        "class_share",
        lambda m, c: (m == c).sum() / (m < m.max()).sum(),
        "The largest label is left out",
    ),
    ("class_share", lambda mask, c: (mask == c).sum() / mask.size, "Void pixels are counted in"),
    ("class_share", share_in_first_row, "mask cut to its first entry"),
    ("class_share", lambda m, c: (m == c).sum() / ((m != c) & (m < 255)).sum(), "a ratio"),
    ("class_share", lambda mask, c: int(share_by_loop(mask, c)), "`(mask == c).sum() // "),
    ("class_share", share_by_rows, "the mean of the shares in rows"),
    ("class_share", lambda m, c: (m == c).sum() / (m > 0).sum(), "Class 0 is missing"),
    ("resize_mask", bilinear, "labels are averaged"),
    ("resize_mask", by_left_edges, "shifted by half a pixel up"),
    ("resize_mask", by_linspace, "stretched"),
    ("resize_mask", by_right_edges, "pixel i ends"),
    ("resize_mask", rounded_centres, "rounded to the next border"),
    ("resize_mask", inverted_scale, "upside down"),
    ("resize_mask", lambda mask, size: resize_by_loop(mask, size[::-1]), "are swapped"),
    ("resize_mask", lambda mask, size: mask[: size[0], : size[1]], "upper left corner"),
    ("resize_mask", lambda mask, size: resize_by_loop(mask, size) * 1.0, "come back as float64"),
    ("resize_mask", whole_steps_from_centre, "From (7, 11) to (4, 6) the shape is (7, 11)"),
    ("resize_mask", np.resize, "in their order"),
    ("resize_mask", lambda mask, size: mask, "the shape is (9, 15)"),
    ("augmentation", augmented_apart, "Does each draw its own"),
    ("augmentation", augmented(mask_move=lambda m: (False, 0, 0)), "Only the image moves"),
    ("augmentation", augmented(image_move=lambda m: (False, 0, 0)), "Only the mask moves"),
    ("augmentation", augmented_round, "as np.roll does"),
    ("augmentation", augmented(fill=0), "filled with 0"),
    ("augmentation", augmented_mirrored_last, "mirrored after the shift, but its mask is not"),
    (
        "augmentation",
        augmented(mask_move=lambda m: (*m[:2], m[2] + 1)),
        "up to 1 pixels beside",
    ),
    ("augmentation", lambda image, mask, rng: (image, mask[::-1]), "The mask is turned upside"),
    ("augmentation", augmented_with_margin("edge"), "invented labels"),
    (
        "augmentation",
        lambda image, mask, rng: (image, np.maximum(mask, 40)),
        "shifted copy",
    ),
    ("augmentation", augmented_frozen, "whatever rng is"),
    ("augmentation", augmented_globally, "not all is drawn from rng"),
    ("augmentation", both(lambda m: (True, *m[1:])), "mirrors 100% of the images"),
    ("augmentation", augmented_upside_down, "turned upside down"),
    ("augmentation", augmented(mask_move=lambda m: (m[0], -m[1], -m[2])), "opposite ways"),
    ("augmentation", augmented(mask_move=lambda m: (m[0], m[2], m[1])), "the other way round"),
    ("augmentation", augmented(mask_move=lambda m: (False, *m[1:])), "its mask is not"),
    ("augmentation", augmented(mask_move=lambda m: (m[0], 0, 0)), "only the image is shifted"),
    ("augmentation", augmented_averaged, "Labels are never averaged"),
    ("augmentation", augmented_to_floats, "image goes in as uint8 and comes out as float64"),
    ("augmentation", augmented_cut, "shape changes"),
    ("augmentation", both(lambda m: (m[0], abs(m[1]), m[2])), "shifts rows by 0 to 8"),
    ("augmentation", both(lambda m: (m[0], m[1], 0)), "shifts columns by 0 to 0"),
    ("augmentation", both(lambda m: (m[0], m[1], m[1])), "same number: draw two"),
    ("augmentation", both(lambda m: (m[0], 2 * m[1], m[2])), "shifts by 16 pixels"),
    ("augmentation", lambda image, mask, rng: (image, mask), "Nothing changes"),
    ("augmentation", lambda image, mask, rng: (mask, image), "mask first"),
    ("augmentation", augmented_channels, "channels are in the opposite order"),
    ("augmentation", augmented_brightness, "Are its values changed"),
    ("split_by_recording", draw_frames, "Neighbouring frames look alike"),
    ("split_by_recording", in_order_given, "depends on the order of the names"),
    ("split_by_recording", unseeded, "Two calls with the same seed differ"),
    ("split_by_recording", always_the_same, "seed changes nothing"),
    ("split_by_recording", without_least, "test list is empty"),
    ("split_by_recording", swapped, "Train and test are swapped"),
    ("split_by_recording", one_for_test, "1 of 60 recordings; expected about 12"),
    ("split_by_recording", by_number, "each is the folder"),
    ("split_by_recording", returns_recordings, "not of recordings"),
    ("split_by_recording", overlapping, "in train and in test: every name"),
    ("split_by_recording", lambda *a: [2 * part for part in split_with_random(*a)], "stand twice"),
    ("split_by_recording", by_beginning, "data10 only begins like data1"),
    ("split_by_recording", each_by_chance, "of 60 recordings; expected about"),
    ("split_by_recording", losing, "in neither list"),
    ("split_by_recording", lambda names, test_share, seed: names, "expected two lists"),
    ("tile_starts", steps_to_the_end, "the last tile sticks out by 3 pixels"),
    ("tile_starts", last_left_out, "the last 1 pixels are not covered"),
    ("tile_starts", lambda n, t, o: starts_by_while(n, t, o) if n > t else [], "no tile at all"),
    ("tile_starts", starts_with_step(lambda tile, overlap: tile), "neighbours share 0 pixels"),
    (
        "tile_starts",
        starts_with_step(lambda tile, overlap: overlap),
        "7 tiles, where 3",
    ),
    ("tile_starts", starts_with_step(lambda t, o: t + o), "between two tiles are not covered"),
    ("tile_starts", fails_for_short, "That is for length 5, tile 8"),
    ("tile_starts", negative, "a negative start"),
    ("tile_starts", linspace_starts, ": floats. Make them whole numbers"),
    ("tile_starts", lambda n, t, o: starts_by_while(n, t, o) + t, "the tiles' ends"),
    ("tile_starts", lambda n, t, o: [[0]], "expected a list of numbers"),
    ("tile_starts", lambda n, t, o: [0, *starts_by_while(n, t, o)], "the same start twice"),
    ("tile_starts", lambda n, t, o: starts_by_while(n, t, o)[1:] if n > t else [0], "first"),
]


@pytest.mark.parametrize("name, answer, told", WRONG)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence


# ---------------------------------------------------------------- the one that shows how they work


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda mask, c: sum(row.count(c) for row in mask.tolist()), "right."),
        (lambda mask, c: mask == c, "an array of shape (3, 4); expected one number."),
        (lambda mask, c: (mask != c).sum(), "`mask != c` stands where `mask == c` belongs"),
        (lambda mask, c: None, "not attempted yet"),
    ],
)
def test_counting_pixels_is_judged_and_does_not_belong_to_the_course_s_exercises(answer, told):
    passed, sentence = exercises.count_pixels.verdict(answer)
    assert passed == (told == "right.") and told in sentence
    assert "count_pixels" not in exercises.ALL
