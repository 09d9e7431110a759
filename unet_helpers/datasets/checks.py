"""Look for mistakes in a data set before training, and report them in sentences."""

import hashlib
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from unet_helpers.datasets.images import (
    read_image,
    read_mask,
    read_red_channel,
    resize_image,
    resize_mask,
)
from unet_helpers.datasets.pipeline import in_threads
from unet_helpers.labels import CAMVID, CARLA, PETS, VOID, DataError, printable

# How the files of the course's data sets encode classes: check_pairs(splits, **CARLA_FILES)
CARLA_FILES = dict(codes=range(13), class_names=CARLA.classes, void=(), read_code=read_red_channel)
PETS_FILES = dict(codes=(1, 2, 3), class_names=PETS.classes, void=())
CAMVID_FILES = dict(codes=range(11), class_names=CAMVID.classes, void=(11,))
# Limits chosen on clean data and on the same data broken on purpose, see tests/test_checks.py
INVENTED = 0.25  # share of a mask's borders with a value in between; clean below 0.15, averaged 0.4
BORDERS = 30  # a mask with fewer borders is not judged
GRID = (72, 96)  # size in which images are compared with masks
REACH = 10  # largest shift that is measured, in cells of the grid
FLIPPED = 0.1  # share of the evidence that speaks for a flip; clean below 0.04
ALIKE, APART = 0.88, 12.0  # near copies: least correlation, largest mean difference of grey
FLIPS = {
    "": np.s_[...],
    "left to right": np.s_[:, ::-1],
    "upside down": np.s_[::-1],
    "left to right and upside down": np.s_[::-1, ::-1],
}


@dataclass(frozen=True)
class Finding:
    """A finding: "error" or "warning", its kind, a sentence for the reader, and the files."""

    severity: str
    kind: str
    sentence: str
    files: tuple = ()


@dataclass
class Report:
    """The result of `check_pairs`; print it."""

    pairs: dict  # split -> number of pairs
    class_names: tuple
    shares: dict  # split -> float (n_classes,) of the labelled pixels
    findings: list  # of Finding, worst first

    def __str__(self):
        splits = ", ".join(f"{split} {number}" for split, number in self.pairs.items())
        numbers = Counter(finding.severity for finding in self.findings)
        counts = [f"{number} {kind}{'s' * (number > 1)}" for kind, number in numbers.items()]
        verdict = ", ".join(counts) or "nothing wrong was found"
        lines = [f"{sum(self.pairs.values())} pairs ({splits}): {verdict}.", ""]
        for finding in self.findings:
            text = f"{finding.severity.upper():8}{finding.kind}: {finding.sentence}"
            whole_words = dict(break_long_words=False, break_on_hyphens=False)
            lines += textwrap.wrap(text, 96, subsequent_indent=" " * 8, **whole_words)
        lines += [""] * bool(self.findings) + ["Share of the labelled pixels:"]
        width = max(map(len, self.class_names))
        lines.append(" " * width + "".join(f"{split:>9}" for split in self.shares))
        for i, name in enumerate(self.class_names):
            cells = [f"{share[i]:.2%}" if share[i] else "-" for share in self.shares.values()]
            lines.append(f"{name:{width}}" + "".join(f"{cell:>9}" for cell in cells))
        return printable("\n".join(lines))


def check_pairs(splits, codes, class_names=None, void=(VOID,), read_code=read_mask, sample=100):
    """Look through all pairs of a data set for mistakes that raise no error in training.

    It finds unreadable files; images and masks of different sizes; labels outside the classes;
    masks resized with averaging, except between neighbouring codes; masks that are shifted,
    flipped, or belong to another image; classes missing from a split; images in two splits.

    Args:
        splits: dict from a split's name to its list of (image, mask), from `find_pairs`.
        codes: the values in the mask files that mean classes, in the classes' order.
        class_names: in the same order; None uses the codes as names.
        void: further values in the files, which mean no class.
        read_code: function (mask path) -> uint8 (H, W), the values in the file.
        sample: alignment is measured on at most this many pairs of each split.

    Returns a Report. Raises DataError if there are no pairs, or not as many names as codes.
    """
    codes = [int(code) for code in codes]
    class_names = tuple(class_names) if class_names is not None else tuple(map(str, codes))
    if len(class_names) != len(codes):
        raise DataError(f"There are {len(codes)} codes, but {len(class_names)} class names.")
    if not any(splits.values()):
        raise DataError("There are no pairs to check: every split is empty.")
    jobs = [
        (split, *pair, chosen)
        for split, pairs in splits.items()
        for pair, chosen in zip(pairs, choose_sample(len(pairs), sample), strict=True)
    ]
    seen = in_threads(lambda job: look_at(read_code, *job), jobs)
    seen = list(tqdm(seen, "checking", len(jobs), disable=len(jobs) < 1000))
    shares = {}
    for split in splits:
        counts = sum((s.counts for s in seen if s.split == split), np.zeros(256, np.int64))[codes]
        shares[split] = counts / max(counts.sum(), 1)
    found = [
        *wrong_files(seen, codes, void),
        *misaligned([s for s in seen if s.small]),
        *absent(shares, class_names),
        *copies(seen, splits),
    ]
    found.sort(key=lambda finding: finding.severity)  # an error comes before a warning
    return Report({split: len(splits[split]) for split in splits}, class_names, shares, found)


def choose_sample(number, limit):
    """Choose at most `limit` of `number` pairs, in runs of ten neighbours; list of bool."""
    if number <= limit:
        return [True] * number
    starts = np.linspace(0, max(0, number - 10), max(1, limit // 10)).astype(int)
    chosen = {start + step for start in starts.tolist() for step in range(min(10, limit))}
    return [i in chosen for i in range(number)]


@dataclass
class Seen:
    """What is kept of a pair."""

    split: str
    image: str
    mask: str
    problem: str = ""
    sizes: tuple = ()  # (height, width) of image and mask
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    invented: tuple = (0, 0)  # borders with a value in between, all borders
    fingerprint: str = ""
    thumbnail: np.ndarray = None
    small: tuple = None  # image and mask at the size of GRID, if their alignment is measured


def look_at(read_code, split, image_path, mask_path, chosen):
    """Read one pair and keep what the checks need; a file that fails is noted, not raised."""
    seen = Seen(split, printable(image_path), printable(mask_path))
    try:
        image = read_image(image_path)
        seen.fingerprint = hashlib.sha256(image.tobytes() + str(image.shape).encode()).hexdigest()
        seen.thumbnail = thumbnail(image)
        mask = read_code(mask_path)
    except DataError as error:
        seen.problem = str(error)
        return seen
    seen.counts = np.bincount(mask.ravel(), minlength=256)
    seen.invented = count_invented(mask)
    seen.sizes = image.shape[:2], mask.shape
    if chosen and image.shape[:2] == mask.shape and min(mask.shape) >= 16:
        seen.small = resize_image(image, GRID), resize_mask(mask, GRID)
    return seen


def count_invented(mask):
    """Count the borders of a mask that pass through a value in between, and all its borders.

    Averaging creates them: runs of one or two pixels, along a row or a column, whose label lies
    strictly between those at the two ends. Other borders are steps of 2 or more between pixels.
    """
    between = jumps = 0
    # Lines of a very large mask are sampled; each line stays whole.
    for lines in (mask[:: 1 + mask.size // 2**21], mask.T[:: 1 + mask.size // 2**21]):
        steps = np.diff(lines.astype(np.int16), axis=1)
        signs = np.sign(steps)
        one_pixel = signs[:, :-1] * signs[:, 1:] > 0
        two_pixels = (signs[:, :-2] * signs[:, 2:] > 0) & (signs[:, 1:-1] == 0)
        between += int(one_pixel.sum() + two_pixels.sum())
        jumps += int((np.abs(steps) >= 2).sum())
    return between, between + jumps


def thumbnail(image):
    """Make the grey thumbnail that reveals copies: uint8 (H, W, 3) -> uint8 (16, 16)."""
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((16, 16), Image.Resampling.BILINEAR))


def near_copies(images, others):
    """Find a near copy of each image among others: the most similar one, if it is similar enough.

    Grey thumbnails of near copies correlate by at least 0.88 and differ by at most 12 grey levels
    on average, as neighbouring frames of a recording do, and images of one composition (X-rays).

    Shapes: sequences of uint8 (H, W, 3), or of (16, 16) thumbnails -> int (len(images),): index
    into others, -1 where there is no near copy.
    """
    found = np.full(len(images), -1)
    if not len(images) or not len(others):
        return found
    mine, theirs = (
        np.float32([i if i.ndim == 2 else thumbnail(i) for i in group]).reshape(len(group), -1)
        for group in (images, others)
    )
    # products of rows of mean 0 and norm 1 are their correlations
    centred = (rows - rows.mean(axis=1, keepdims=True) for rows in (mine, theirs))
    a, b = (r / np.maximum(np.linalg.norm(r, axis=1, keepdims=True), 1e-3) for r in centred)
    for i, correlation in enumerate(a @ b.T):
        alike = np.flatnonzero(correlation >= ALIKE)
        apart = np.abs(theirs[alike] - mine[i]).mean(axis=1)
        if apart.min(initial=np.inf) <= APART:
            found[i] = alike[apart.argmin()]
    return found


def wrong_files(seen, codes, void):
    """Report unreadable files, unequal sizes, labels outside the classes and averaged masks."""
    of_all = f"of {len(seen)} pairs"
    if bad := [s for s in seen if s.problem]:
        sentence = f"{len(bad)} {of_all} cannot be read. The first: {bad[0].problem}"
        yield Finding("error", "unreadable files", sentence, tuple(s.image for s in bad))
    if bad := [s for s in seen if s.sizes and s.sizes[0] != s.sizes[1]]:
        image, mask = ("x".join(map(str, size)) for size in bad[0].sizes)
        sentence = (
            f"in {len(bad)} {of_all} image and mask have different sizes, first in "
            f"{bad[0].split}: {bad[0].image} is {image} (height x width), its mask {mask}. Was one "
            "of the folders resized, does EXIF data turn only one, or are the pairs mixed up?"
        )
        yield Finding("error", "sizes that differ", sentence, tuple(s.mask for s in bad))
    wrong = np.isin(np.arange(256), [*codes, *void], invert=True)
    if bad := [s for s in seen if s.counts[wrong].any()]:
        total = sum(s.counts for s in bad)
        values = np.flatnonzero(wrong & (total > 0))
        listed = ", ".join(map(str, values[:8])) + ", ..." * (len(values) > 8)
        sentence = (
            f"{len(bad)} {of_all} hold labels outside the classes: {listed} "
            f"({total[wrong].sum():,} pixels), first in {bad[0].split}: {bad[0].mask}. Expected "
            f"{min(codes)} to {max(codes)}. Does the numbering start elsewhere, is a value void, "
            "or was the mask averaged? Name the value in void=, or map it to a class when reading."
        )
        yield Finding("error", "labels outside the classes", sentence, tuple(s.mask for s in bad))
    judged = (s for s in seen if s.invented[1] >= BORDERS)
    if bad := [s for s in judged if s.invented[0] > INVENTED * s.invented[1]]:
        between, borders = np.sum([s.invented for s in bad], axis=0)
        sentence = (
            f"in {len(bad)} {of_all} the mask has invented classes along its borders: "
            f"{between / borders:.0%} of them pass through a label in between (exact masks: under "
            f"15 %), first in {bad[0].split}: {bad[0].mask}. It was resized like an image. Make it "
            "again from the original by nearest neighbour; the lost labels cannot be recovered."
        )
        yield Finding("error", "interpolated masks", sentence, tuple(s.mask for s in bad))


def misaligned(measured):
    """Report masks of other images, or else flipped masks, or else shifted masks."""
    if len(measured) < 5:
        return
    images, masks = zip(*(s.small for s in measured), strict=True)
    flips = {name: fit(images, masks, flip) for name, flip in FLIPS.items()}
    found = mismatched(images, masks, flips) or flipped(measured, flips)
    if found := found or shifted(measured, images, masks):
        yield Finding("error", *found)


def fit(images, masks, part=np.s_[...]):
    """Compute what share of each image's colour variance lies between its mask's areas; (N,)."""
    shares = []
    for image, mask in zip(images, masks, strict=True):
        colours = image.reshape(-1, 3) - image.mean(axis=(0, 1))
        areas = mask[part].ravel()
        sums = np.stack([np.bincount(areas, channel) for channel in colours.T])
        between = (sums**2 / np.maximum(np.bincount(areas), 1)).sum()
        shares.append(between / max((colours**2).sum(), 1))
    return np.array(shares)


def mismatched(images, masks, flips):
    """Look for masks that fit other images as well as their own; (kind, sentence) or None."""
    for where, step in (("next", 1), ("previous", -1)):
        other = fit(images, masks[step:] + masks[:step])
        better = np.mean(other > flips[""])
        if better > 0.7 and other.mean() > flips[""].mean():
            return "pairs off by one", (
                f"{better:.0%} of the images fit the mask of the {where} pair better than their "
                "own. Is an image missing, or one folder sorted differently? Pair by file name."
            )
    half = len(masks) // 2  # so far away, even a video shows something else
    others = [fit(images, masks[half:] + masks[:half], flip) for flip in FLIPS.values()]
    own = np.max([*flips.values()], axis=0)
    better = np.mean(own > np.max(others, axis=0))
    if len(masks) >= 10 and better < 0.7 - 0.4 / np.sqrt(len(masks)):
        return "masks of other images", (
            "the masks hardly fit their images better than those of other images do. Look at a few "
            "with plots.show_pairs, and pair by file name."
        )


def flipped(measured, flips):
    """Look for masks that are flipped against their images; (kind, sentence, files) or None."""
    best = np.max([*flips.values()], axis=0)
    for name in sorted([*FLIPS][1:], key=lambda name: -flips[name].mean()):
        gain = flips[name] - flips[""]
        bad = [measured[i] for i in np.flatnonzero((gain > 0) & (flips[name] == best))]
        # Symmetric images may fit slightly better when flipped; a few pairs need more evidence.
        least = (FLIPPED + 1 / len(measured)) * np.abs(gain).sum()
        if len(bad) >= 3 and gain[gain > 0].sum() > least:
            sentence = (
                f"in {len(bad)} of {len(measured)} pairs that were compared the mask fits better "
                f"flipped {name}, first in {bad[0].split}: {bad[0].mask}. Were image and mask "
                "augmented separately? Flip both in one function, and save both."
            )
            return "flipped masks", sentence, tuple(s.mask for s in bad)


def shifted(measured, images, masks):
    """Look for masks that are shifted, by the best shift for all; (kind, sentence) or None."""
    centres = [image[REACH:-REACH, REACH:-REACH] for image in images]

    def fits(down, right):
        inner = np.s_[REACH - down : -REACH - down, REACH - right : -REACH - right]
        return fit(centres, masks, inner)

    reach = range(1 - REACH, REACH)
    right = max(reach, key=lambda right: fits(0, right).mean())
    down = max(reach, key=lambda down: fits(down, right).mean())
    shift = down, max(reach, key=lambda right: fits(down, right).mean())
    # Clean masks may fit best one cell away, and farther by chance.
    better = np.mean(fits(*shift) > fits(0, 0))
    if max(map(abs, shift)) < 2 or better < 0.5 + 1.2 / np.sqrt(len(measured)):
        return None
    sizes = np.median([s.sizes[1] for s in measured], axis=0)
    down, right = (round(float(pixels)) for pixels in sizes / GRID * shift)
    ways = [f"{abs(down)} pixels {'down' if down > 0 else 'up'}"] * bool(down)
    ways += [f"{abs(right)} pixels to the {'right' if right > 0 else 'left'}"] * bool(right)
    return "shifted masks", (
        f"over {len(measured)} pairs the masks fit their images best when moved by about "
        f"{' and '.join(ways)}. Was one of the two cropped or padded, or resized with another "
        "alignment? Treat both alike, from the original files."
    )


def absent(shares, class_names):
    """Report classes that are missing from a split."""
    filled = [split for split in shares if shares[split].any()]
    lacking = {}
    for i, name in enumerate(class_names):
        if without := tuple(split for split in filled if not shares[split][i]):
            lacking.setdefault(without, []).append(name)
    for without, names in lacking.items():
        advice = "It will have no score there (nan, left out of the mean)."
        if "train" in without:
            advice = "What is not in train cannot be learned: check the codes or the split."
        sentence = f"split {' and '.join(without)}: no pixel of {', '.join(names)}. {advice}"
        yield Finding("warning", "absent classes", sentence)


def copies(seen, splits):
    """Report images that are in two splits, exactly or nearly."""
    seen = [s for s in seen if s.thumbnail is not None]
    for first, second in combinations(splits, 2):
        mine, theirs = ([s for s in seen if s.split == split] for split in (first, second))
        known = {s.fingerprint: s for s in mine}
        if same := [s for s in theirs if s.fingerprint in known]:
            sentence = (
                f"{len(same)} of {len(theirs)} images of {second} are also in {first}, pixel by "
                f"pixel, such as {same[0].image} = {known[same[0].fingerprint].image}. A score on "
                "them tests memory; remove them from one split."
            )
            yield Finding("error", "copies across splits", sentence, tuple(s.image for s in same))
        partners = near_copies([s.thumbnail for s in theirs], [s.thumbnail for s in mine])
        pairs = zip(theirs, partners, strict=True)
        if near := [(s, mine[p]) for s, p in pairs if p >= 0 and s.fingerprint not in known]:
            sentence = (
                f"{len(near)} of {len(theirs)} images of {second} look almost like one of {first}, "
                f"such as {near[0][0].image} and {near[0][1].image}. Are they frames of one "
                "recording, or one photograph twice? Keep a recording, patient or series together."
            )
            files = tuple(s.image for s, _ in near)
            yield Finding("warning", "near copies across splits", sentence, files)
