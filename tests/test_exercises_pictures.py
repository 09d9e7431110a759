"""The checks of the exercises on pictures, splits and tiles: mistakes are named, the rest passes.

All answers are written here as a learner would write them.
"""

import random as standard_random

import numpy as np
import pytest
from PIL import Image

from unet_helpers import exercises

VOID = 255


def verdict(name, answer):
    return exercises.ALL[name].verdict(answer)


# ---------------------------------------------------------------- share, resize, trimap


def share_by_loop(mask, c):
    values = [value for value in mask.ravel().tolist() if value != VOID]
    return values.count(c) / len(values)


def nearest_by_loop(mask, size):
    new = np.zeros(size, "uint8")
    for i, j in np.ndindex(*size):
        row = int((i + 0.5) * mask.shape[0] / size[0])
        new[i, j] = mask[row, int((j + 0.5) * mask.shape[1] / size[1])]
    return new


def nearest_by_pillow(mask, size):
    return np.array(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def pick(mask, size, rule):
    rows, columns = (
        np.array([rule(i, have, want) for i in range(want)])
        for have, want in zip(mask.shape, size, strict=True)
    )
    return mask[rows][:, columns]


def lookup(*classes):
    return lambda trimap: np.take(np.array([0, *classes], "uint8"), trimap)


RIGHT = [
    ("class_share", share_by_loop),
    ("class_share", lambda m, c: np.float32((m == c).sum()) / (m != VOID).sum()),
    ("resize_mask", nearest_by_loop),
    ("resize_mask", nearest_by_pillow),
    (
        "resize_mask",  # the other neighbour where the centre lies between two pixels
        lambda m, s: pick(m, s, lambda i, have, want: int(np.ceil((i + 0.5) * have / want)) - 1),
    ),
    ("trimap_to_classes", lookup(0, 1, 2)),
    ("trimap_to_classes", lambda t: np.uint8(t.astype("int32") - 1)),
]

SHARES = [
    (lambda m, c: np.sum(m == c), "number of pixels"),
    (lambda m, c: (m == c).mean(), "Void pixels are counted in the whole"),
    (lambda m, c: np.isin(m, [c, VOID]).mean(), "counted as pixels of the class"),
    (lambda m, c: 100 * share_by_loop(m, c), "per cent"),
    (lambda m, c: 1 - share_by_loop(m, c), "all other classes"),
    (lambda m, c: (m[m < VOID] >= c).mean(), "compare with =="),
    (lambda m, c: (set(m.ravel().tolist()) & {c}) == {c}, "whether the class occurs"),
    (lambda m, c: m == c, "expected one number"),
]

RESIZES = [
    (
        lambda m, s: np.array(Image.fromarray(m).resize(s[::-1], Image.Resampling.BILINEAR)),
        "Labels are mixed",
    ),
    (lambda m, s: pick(m, s, lambda i, have, want: i * have // want), "upper left corner"),
    (
        lambda m, s: pick(m, s, lambda i, h, w: int(np.round(i * (h - 1) / (w - 1)))),
        "made to meet",
    ),
    (lambda m, s: nearest_by_loop(m, s[::-1]), "size is (height, width)"),
    (lambda m, s: m[: s[0], : s[1]], "cropped"),
    (lambda m, s: np.resize(m, s), "np.resize"),
    (lambda m, s: nearest_by_loop(np.where(m == VOID, 0, m), s), "Void became class 0"),
    (lambda m, s: m, "old size"),
    (lambda m, s: nearest_by_loop(m, s).astype("int64"), "they come as int64"),
    (lambda m, s: m.reshape(s), "raised in line"),
]

TRIMAPS = [
    (lambda t: t, "1, 2, 3. Classes are counted from 0"),
    (lookup(0, 2, 1), "Background and outline are swapped"),
    (lookup(1, 0, 2), "Pet and background are swapped"),
    (lookup(0, 1, VOID), "outline became void"),
    (lookup(1, 0, VOID), "two classes and void"),
    (lookup(2, 1, 0), "order is turned round"),
    (lookup(0, 1, 1), "became one class"),
    (lambda t: (t - 1)[:, :, None], "new axis"),
    (lambda t: (t - 1) / 2, "scaled to 0 to 1"),
    (lambda t: t.astype("float32") - 1, "they come as float32"),
]

# ---------------------------------------------------------------- augmentation


def draw(rng):
    return rng.random() < 0.5, *rng.integers(-8, 9, 2)


def move(picture, mirrored, down, right, fill):
    """Move by padding and cutting out, another way than the course's."""
    if mirrored:
        picture = picture[:, ::-1]
    rim = ((8, 8), (8, 8)) + ((0, 0),) * (picture.ndim - 2)
    padded = np.pad(picture, rim, constant_values=fill)
    h, w = picture.shape[:2]
    return padded[8 - down : 8 - down + h, 8 - right : 8 - right + w].copy()


def by_padding(image, mask, rng):
    numbers = draw(rng)
    return move(image, *numbers, 0), move(mask, *numbers, VOID)


def by_rolling(image, mask, rng):
    mirrored, down, right = draw(rng)
    if mirrored:
        image, mask = np.fliplr(image), np.fliplr(mask)
    image = np.roll(image, (down, right), axis=(0, 1))
    mask = np.roll(mask, (down, right), axis=(0, 1))
    if down > 0:
        mask[:down] = VOID
    elif down < 0:
        mask[down:] = VOID
    if right > 0:
        mask[:, :right] = VOID
    elif right < 0:
        mask[:, right:] = VOID
    return image, mask


def rolled_only(image, mask, rng):
    mirrored, down, right = draw(rng)
    image, mask = (x[:, ::-1] if mirrored else x for x in (image, mask))
    return np.roll(image, (down, right), (0, 1)), np.roll(mask, (down, right), (0, 1))


def drawn_twice(image, mask, rng):
    return move(image, *draw(rng), 0), move(mask, *draw(rng), VOID)


def mirrored_apart(image, mask, rng):
    _, down, right = draw(rng)
    return (
        move(image, rng.random() < 0.5, down, right, 0),
        move(mask, rng.random() < 0.5, down, right, VOID),
    )


def opposite(image, mask, rng):
    mirrored, down, right = draw(rng)
    return move(image, mirrored, down, right, 0), move(mask, mirrored, -down, -right, VOID)


def image_only(image, mask, rng):
    return move(image, *draw(rng), 0), mask


def mask_only(image, mask, rng):
    return image, move(mask, *draw(rng), VOID)


def upside_down(image, mask, rng):
    mirrored, down, right = draw(rng)
    image, mask = (x[::-1] if mirrored else x for x in (image, mask))
    return move(image, False, down, right, 0), move(mask, False, down, right, VOID)


def frozen(image, mask, rng):
    return by_padding(image, mask, np.random.default_rng(0))


def another_source(image, mask, rng):
    own = np.random.default_rng(standard_random.randrange(10**6))
    return by_padding(image, mask, own)


def never_mirrors(image, mask, rng):
    _, down, right = draw(rng)
    return move(image, False, down, right, 0), move(mask, False, down, right, VOID)


def one_way(image, mask, rng):
    mirrored, (down, right) = rng.random() < 0.5, rng.integers(0, 9, 2)
    return move(image, mirrored, down, right, 0), move(mask, mirrored, down, right, VOID)


def averaged(image, mask, rng):
    image, mask = by_padding(image, mask, rng)
    return image, (mask.astype("float32") + np.roll(mask, 1, 1)) / 2


def zero_for_void(image, mask, rng):
    numbers = draw(rng)
    return move(image, *numbers, 0), move(mask, *numbers, 0)


def cut_smaller(image, mask, rng):
    image, mask = by_padding(image, mask, rng)
    return image[8:-8, 8:-8], mask[8:-8, 8:-8]


def as_floats(image, mask, rng):
    image, mask = by_padding(image, mask, rng)
    return image.astype("float32"), mask


def changes_its_input(image, mask, rng):
    mirrored = rng.random() < 0.5
    if mirrored:
        image[:] = image[:, ::-1].copy()
        mask[:] = mask[:, ::-1].copy()
    return image, mask


def no_change(image, mask, rng):
    return image, mask


RIGHT += [("augmentation", by_padding), ("augmentation", by_rolling)]
AUGMENTATIONS = [
    (rolled_only, "np.roll does that"),
    (drawn_twice, "Image and mask are moved differently"),
    (mirrored_apart, "only one of the two is mirrored"),
    (opposite, "the opposite way"),
    (image_only, "Only the image moves"),
    (mask_only, "Only the mask moves"),
    (upside_down, "upside down"),
    (frozen, "not drawn from rng (frozen)"),
    (another_source, "another source than rng"),
    (never_mirrors, "It never mirrors"),
    (one_way, "one way only"),
    (averaged, "it was averaged"),
    (zero_for_void, "the mask holds 0"),
    (cut_smaller, "keep their shapes"),
    (as_floats, "stay uint8"),
    (changes_its_input, "changes the array it was given"),
    (no_change, "Nothing ever moves"),
    (lambda image, mask, rng: image, "expected two things, image and mask"),
]

# ---------------------------------------------------------------- split


def folder(name):
    return name.split("/")[0]


def split_names(names, test_share, seed, recordings=None):
    recordings = recordings or sorted(set(map(folder, names)))
    standard_random.Random(seed).shuffle(recordings)
    n = min(max(1, round(test_share * len(recordings))), len(recordings) - 1)
    test = set(recordings[:n])
    return [n for n in names if folder(n) not in test], [n for n in names if folder(n) in test]


def frames_shuffled(names, test_share, seed):
    names = sorted(names)
    standard_random.Random(seed).shuffle(names)
    n = round(test_share * len(names))
    return names[n:], names[:n]


def in_order_of_appearance(names, test_share, seed):
    return split_names(names, test_share, seed, list(dict.fromkeys(map(folder, names))))


def unseeded(names, test_share, seed):
    return split_names(names, test_share, standard_random.random())


def seed_ignored(names, test_share, seed):
    return split_names(names, test_share, 0)


def swapped(names, test_share, seed):
    return split_names(names, test_share, seed)[::-1]


def overlapping(names, test_share, seed):
    train, test = split_names(names, test_share, seed)
    return train, [*test, train[0]]


def loses_the_last(names, test_share, seed):
    train, test = split_names(names, test_share, seed)
    return train[:-1], test


def sometimes_empty(names, test_share, seed):
    recordings = sorted(set(map(folder, names)))
    standard_random.Random(seed).shuffle(recordings)
    test = recordings[: int(test_share * len(recordings))]
    return [n for n in names if folder(n) not in test], [n for n in names if folder(n) in test]


def one_recording(names, test_share, seed):
    chosen = standard_random.Random(seed).choice(sorted(set(map(folder, names))))
    return [n for n in names if folder(n) != chosen], [n for n in names if folder(n) == chosen]


def doubled(names, test_share, seed):
    train, test = split_names(names, test_share, seed)
    return [*train, train[0]], test


RIGHT += [
    ("split_by_recording", split_names),
    ("split_by_recording", lambda *args: [tuple(part) for part in split_names(*args)]),
]
SPLITS = [
    (frames_shuffled, "Split the recordings, not the frames"),
    (in_order_of_appearance, "order in which the names come"),
    (unseeded, "two different splits"),
    (seed_ignored, "the seed is not used"),
    (swapped, "Train and test are swapped"),
    (overlapping, "is in train and in test"),
    (loses_the_last, "are in neither list"),
    (sometimes_empty, "one side is empty"),
    (one_recording, "1 are in test; expected 2"),
    (doubled, "occur twice"),
    (lambda names, share, seed: names, "expected two lists"),
]

# ---------------------------------------------------------------- tiles


def evenly(length, tile, overlap):
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def by_while(length, tile, overlap):
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(min(starts[-1] + tile - overlap, length - tile))
    return np.array(starts)


RIGHT += [("tile_starts", by_while)]
TILES = [
    (lambda n, t, o: list(range(0, n, t - o)), "sticks out"),
    (lambda n, t, o: list(range(0, max(n - t, 1), t - o)), "rim after it is not covered"),
    (lambda n, t, o: [*range(0, n - t, t), max(n - t, 0)], "From one start to the next"),
    (lambda n, t, o: [*range(0, n - t, max(o, 1)), max(n - t, 0)], "Is the step tile - overlap"),
    (lambda n, t, o: [*range(0, n - t + 1, t - o), n - t], "two tiles begin at the same place"),
    (lambda n, t, o: [*range(0, n - t, t - o), n - t], "A picture shorter than the tile"),
    (lambda n, t, o: [0] if n <= t else [*range(0, n - t, t - o), n - t - 1], "not covered"),
    (lambda n, t, o: [o, *range(t, n - t, t - o)], "the first tile begins at"),
    (lambda n, t, o: [0, (n - t) / 2, n - t], "not a whole number"),
    (lambda n, t, o: [0, n - t] if n > t else [0], "gap between two tiles"),
    (lambda n, t, o: [], "no tile at all"),
    (lambda n, t, o: 3, "expected a list"),
]


@pytest.mark.parametrize("name, answer", RIGHT)
def test_equivalent_answers_pass(name, answer):
    assert verdict(name, answer) == (True, "right.")


def test_evenly_spread_tiles_are_accepted_with_a_note():
    passed, sentence = verdict("tile_starts", evenly)
    assert passed and "they do the same" in sentence


FAMILIES = {
    "class_share": SHARES,
    "resize_mask": RESIZES,
    "trimap_to_classes": TRIMAPS,
    "augmentation": AUGMENTATIONS,
    "split_by_recording": SPLITS,
    "tile_starts": TILES,
}


@pytest.mark.parametrize(
    "name, answer, told",
    [(name, answer, told) for name, family in FAMILIES.items() for answer, told in family],
)
def test_wrong_answers_are_told_apart(name, answer, told):
    passed, sentence = verdict(name, answer)
    assert not passed and told in sentence, sentence


@pytest.mark.parametrize("name", FAMILIES)
def test_mistakes_have_messages_of_their_own(name):
    sentences = {verdict(name, answer)[1] for answer, _ in FAMILIES[name]}
    assert len(sentences) >= 6 and len(sentences) >= len(FAMILIES[name]) - 2
