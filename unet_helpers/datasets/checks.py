"""Find what can be found wrong with a data set before training, and say it in sentences.

The loaders stop at the first file they cannot use. These checks read everything, the files' raw
codes, and list all they find. Big images are looked at in small versions, and of each image
only a few numbers are kept, so thousands of images fit.
"""

import hashlib
import os
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

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
from unet_helpers.labels import CAMVID, CARLA, PETS, VOID, DataError, printable

# How the files of the course's data sets say their classes: check_pairs(splits, **CARLA_FILES)
CARLA_FILES = {
    "codes": range(13),
    "class_names": CARLA.classes,
    "void": (),
    "read_code": read_red_channel,
}
PETS_FILES = {"codes": (1, 2, 3), "class_names": PETS.classes, "void": ()}
CAMVID_FILES = {"codes": range(11), "class_names": CAMVID.classes, "void": (11,)}
SEVERITIES = ("error", "warning", "note")
# The limits below were set on clean data and on the same data broken on purpose; the numbers
# behind them are in tests/test_checks.py.
INVENTED = 0.25  # share of a mask's borders with a value in between; clean below 0.15, averaged 0.4
BORDERS = 30  # so many borders a mask must have to be judged
ALIGNED_SIDE = 192  # longer side of the small versions in which edges are compared
REACH = 24  # shifts up to this many small pixels are measured
WINDOW = 8  # and the middle of the fit is looked for with windows of this many to each side
GRID = (72, 96)  # small versions in which colours are compared
THUMBNAIL = 16  # side of the grey thumbnails that find copies
ALIKE, APART = 0.88, 12.0  # near copies: correlation at least, mean difference of grey at most
FLIPS = {
    "": np.s_[...],
    "left to right": np.s_[..., :, ::-1],
    "upside down": np.s_[..., ::-1, :],
    "left to right and upside down": np.s_[..., ::-1, ::-1],
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found: how bad, which kind, one sentence for people, the files."""

    severity: str
    kind: str
    sentence: str
    files: tuple = ()


@dataclass
class Report:
    """What `check_pairs` found; print it.

    findings is a list of Finding, worst first; pairs a dict split -> number of pairs; shares a
    dict split -> float array (n_classes,) of the labelled pixels; compared the number of pairs on
    which alignment was measured.
    """

    pairs: dict
    class_names: tuple
    shares: dict
    findings: list = field(default_factory=list)
    compared: int = 0

    @property
    def clean(self):
        """Whether there is neither an error nor a warning."""
        return not any(finding.severity in ("error", "warning") for finding in self.findings)

    def kinds(self, severity=None):
        """List the kinds of all findings, or of those of one severity."""
        return [f.kind for f in self.findings if severity in (None, f.severity)]

    def __str__(self):
        total = sum(self.pairs.values())
        splits = ", ".join(f"{split} {number}" for split, number in self.pairs.items())
        counts = [
            f"{number} {severity}{'s' * (number > 1)}"
            for severity in SEVERITIES
            if (number := len(self.kinds(severity)))
        ]
        verdict = ", ".join(counts) if counts else "nothing wrong was found"
        lines = [f"{total} pairs ({splits}): {verdict}.", ""]
        for finding in self.findings:
            lead = f"{finding.severity.upper():8}"
            lines += textwrap.wrap(
                f"{lead}{finding.kind}: {finding.sentence}",
                96,
                subsequent_indent=" " * len(lead),
                break_long_words=False,
                break_on_hyphens=False,
            )
        lines += [""] * bool(self.findings) + ["Share of the labelled pixels:"]
        width = max(map(len, self.class_names))
        lines.append(" " * width + "".join(f"{split:>9}" for split in self.shares))
        for i, name in enumerate(self.class_names):
            cells = [table_cell(share[i]) for share in self.shares.values()]
            lines.append(f"{name:{width}}" + "".join(f"{cell:>9}" for cell in cells))
        return "\n".join(lines)


def table_cell(share):
    """Write a class's share of the pixels for the table."""
    if share == 0:
        return "-"
    return f"{share:.2%}" if share >= 0.0001 else "< 0.01%"


def check_pairs(splits, codes, class_names=None, void=(VOID,), read_code=read_mask, sample=300):
    """Look through all pairs of a data set for mistakes that raise no error in training.

    Found are: files that cannot be read; images and masks of different sizes; labels outside the
    classes; masks that were resized with averaging (not where neighbouring classes have
    neighbouring codes: there is nothing in between); masks that are shifted or flipped against
    their images, or belong to the next image; classes that a split lacks; the same or almost the
    same image in two splits.

    Args:
        splits: dict from a split's name to its list of (image, mask) as `find_pairs` gives them.
        codes: the values in the mask files that mean classes, in the classes' order.
        class_names: their names in the same order; None calls them by their codes.
        void: further values in the files that are allowed and mean no class.
        read_code: function (mask path) -> uint8 (H, W), the values as in the file.
        sample: at most so many pairs of each split are used to measure alignment.

    Returns:
        Report.

    Raises:
        DataError: no pairs at all, or as many names as there are no codes.
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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = pool.map(partial(look_at, read_code), jobs)
        seen = list(tqdm(seen, "checking", len(jobs), disable=len(jobs) < 1000))
    counts = {
        split: sum((s.counts for s in seen if s.split == split), np.zeros(256, np.int64))
        for split in splits
    }
    report = Report(
        {split: len(pairs) for split, pairs in splits.items()},
        class_names,
        {split: count[codes] / max(count[codes].sum(), 1) for split, count in counts.items()},
        compared=sum(s.aligned is not None for s in seen),
    )
    found = [
        *unreadable(seen),
        *other_sizes(seen),
        *outside_the_classes(seen, {*codes, *void}, codes),
        *interpolated(seen),
        *misaligned(seen),
        *absent(report),
        *copies(seen, list(splits)),
    ]
    report.findings = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return report


def choose_sample(number, limit):
    """Choose at most limit of so many pairs, in runs of four neighbours; list of bool."""
    if number <= limit:
        return [True] * number
    runs = np.linspace(0, number - 4, max(1, limit // 4)).astype(int)
    chosen = {int(start) + step for start in runs for step in range(4)}
    return [i in chosen for i in range(number)]


@dataclass
class Seen:
    """The few numbers that are kept of a pair."""

    split: str
    image: str
    mask: str
    problem: str = ""
    sizes: tuple = ()  # (height, width) of image and mask
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    invented: tuple = (0, 0)  # borders with a value in between, all borders
    fingerprint: str = ""
    thumbnail: np.ndarray = None
    aligned: "Aligned" = None


@dataclass
class Aligned:
    """How well a mask fits its image: by edges and by colours, as it is, shifted and flipped."""

    surface: np.ndarray  # fit of the edges for every shift up to REACH
    scale: float  # small pixels per pixel
    edges: dict  # flip -> fit
    colours: dict  # flip -> fit
    small_image: np.ndarray
    small_mask: np.ndarray


def look_at(read_code, job):
    """Read one pair and keep what the checks need; a file that fails is noted, not raised."""
    split, image_path, mask_path, chosen = job
    seen = Seen(split, printable(image_path), printable(mask_path))
    image = mask = None
    try:
        image = read_image(image_path)
        seen.fingerprint = hashlib.sha256(image.tobytes() + str(image.shape).encode()).hexdigest()
        seen.thumbnail = thumbnail(image)
    except DataError as error:
        seen.problem = str(error)
    try:
        mask = read_code(mask_path)
        seen.counts = np.array(Image.fromarray(mask).histogram(), np.int64)
        seen.invented = count_invented(mask)
    except DataError as error:
        seen.problem = seen.problem or str(error)
    if image is not None and mask is not None:
        seen.sizes = image.shape[:2], mask.shape
        if chosen and image.shape[:2] == mask.shape and min(mask.shape) >= 16:
            seen.aligned = measure_alignment(image, mask)
    return seen


def count_invented(mask):
    """Count the borders of a mask, and those that pass through a value in between.

    A value in between is a run of one or two pixels, along a row or a column, whose label lies
    strictly between the labels at its two ends. Averaging makes one of nearly every border.

    Shapes: integer (H, W) -> (borders with a value in between, all borders where labels differ by
    2 or more, those included).
    """
    between = jumps = 0
    # Lines of a very large mask are sampled; each line stays whole.
    for lines in (mask[:: 1 + mask.size // 2**21], mask.T[:: 1 + mask.size // 2**21]):
        values = np.ascontiguousarray(lines).ravel().astype(np.int16)
        new_line = np.arange(values.size) % lines.shape[1] == 0
        changes = np.r_[True, np.diff(values) != 0]
        starts = np.flatnonzero(new_line | changes)
        value, line = values[starts], starts // lines.shape[1]
        thin = np.diff(np.r_[starts, values.size]) <= 2
        left, middle, right = value[:-2], value[1:-1], value[2:]
        rising, falling = (left < middle) & (middle < right), (left > middle) & (middle > right)
        between += int((thin[1:-1] & (line[:-2] == line[2:]) & (rising | falling)).sum())
        jumps += int(((line[:-1] == line[1:]) & (np.abs(np.diff(value)) >= 2)).sum())
    return between, between + jumps


def measure_alignment(image, mask):
    """Measure how well the edges and the areas of a mask fit its image.

    Shapes: uint8 (H, W, 3), integer (H, W) -> Aligned.
    """
    scale = min(1.0, ALIGNED_SIDE / max(mask.shape))
    size = tuple(max(8, round(side * scale)) for side in mask.shape)
    grey = np.asarray(Image.fromarray(resize_image(image, size)).convert("L"), np.float32)
    labels = resize_mask(mask, size).astype(np.int16)
    # square roots, so that a few hard edges do not decide alone
    gradient = standardise(np.sqrt(np.abs(differences(grey))))
    border = (differences(labels) != 0).astype(np.float32)
    surface = correlate(gradient, standardise(border))
    small_image, small_mask = resize_image(image, GRID), resize_mask(mask, GRID)
    wide = standardise(blur(border, 3))  # a trimap's outline has its borders beside the true edge
    return Aligned(
        surface,
        scale,
        {name: float((gradient * wide[flip]).sum()) for name, flip in FLIPS.items()},
        {name: explained(small_image, small_mask[flip]) for name, flip in FLIPS.items()},
        small_image,
        small_mask,
    )


def differences(image):
    """Take the differences to the right and to the lower neighbour: (h, w) -> (2, h-1, w-1)."""
    return np.stack([np.diff(image, axis=1)[:-1], np.diff(image, axis=0)[:, :-1]])


def standardise(channels):
    """Give every channel the mean 0 and the whole the norm 1 (0 where nothing varies)."""
    channels = channels - channels.mean(axis=(1, 2), keepdims=True)
    return channels / max(float(np.sqrt((channels**2).sum())), 1e-9)


def correlate(fixed, moved, reach=REACH):
    """Correlate two stacks of channels for all shifts of the second up to reach pixels.

    Returns float array (2 reach + 1, 2 reach + 1); the middle is no shift, an entry below and to
    the right of it means that the fixed one lies lower and further right.
    """
    pad = ((0, 0), (0, reach), (0, reach))  # so that nothing comes back in at the other side
    fixed, moved = np.pad(fixed, pad), np.pad(moved, pad)
    product = (np.fft.rfft2(fixed) * np.conj(np.fft.rfft2(moved))).sum(axis=0)
    surface = np.fft.irfft2(product, s=fixed.shape[1:])
    shifts = np.arange(-reach, reach + 1)
    return surface[np.ix_(shifts % surface.shape[0], shifts % surface.shape[1])]


def blur(channels, radius):
    """Average over squares of 2 radius + 1 pixels, twice: float (C, h, w) -> the same shape."""
    width = 2 * radius + 1
    for axis in (1, 2, 1, 2):
        margin = [(0, 0)] * 3
        margin[axis] = (radius + 1, radius)
        sums = np.pad(channels, margin).cumsum(axis=axis)
        size = sums.shape[axis]
        ahead = np.take(sums, range(width, size), axis)
        channels = (ahead - np.take(sums, range(size - width), axis)) / width
    return channels


def explained(image, mask):
    """Compute the share of an image's colour variance that lies between the mask's areas.

    Shapes: uint8 (h, w, 3), uint8 (h, w) -> float, 0 (areas say nothing) to 1.
    """
    colours = image.reshape(-1, 3).astype(np.float64)
    colours -= colours.mean(axis=0)
    total = (colours**2).sum()
    labels = mask.ravel()
    sizes = np.maximum(np.bincount(labels, minlength=256), 1)
    sums = [np.bincount(labels, colours[:, c], minlength=256) for c in range(3)]
    return float(sum((s**2 / sizes).sum() for s in sums) / total) if total else 0.0


def thumbnail(image):
    """Make the grey thumbnail by which copies are found: uint8 (H, W, 3) -> uint8 (16, 16)."""
    grey = Image.fromarray(image).convert("L")
    return np.asarray(grey.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR))


def near_copies(images, others):
    """Find for every image the most similar one of others, if it is nearly the same image.

    Two images are near copies when their grey thumbnails correlate by 0.88 or more and differ
    by at most 12 grey levels on average. Neighbouring frames of a recording do (more than nine
    in ten of the CARLA sample); frames of different streets do not. Images that all have one
    composition, such as X-rays, may be found without being copies.

    Args:
        images, others: sequences of uint8 (H, W, 3), or of (16, 16) thumbnails.

    Returns:
        int array (len(images),): index into others, -1 where there is no near copy.
    """
    if not len(images) or not len(others):
        return np.full(len(images), -1)
    mine, theirs = (
        np.stack([p if p.ndim == 2 else thumbnail(p) for p in images]).astype(np.float32)
        for images in (images, others)
    )
    mine, theirs = mine.reshape(len(mine), -1), theirs.reshape(len(theirs), -1)
    theirs_even = evened(theirs)
    found = np.full(len(mine), -1)
    for i, (one, one_even) in enumerate(zip(mine, evened(mine), strict=True)):
        alike = np.flatnonzero(theirs_even @ one_even >= ALIKE)
        # flat images have no pattern to correlate, only their grey
        if not one_even.any():
            alike = np.flatnonzero(~theirs_even.any(axis=1))
        if alike.size:
            apart = np.abs(theirs[alike] - one).mean(axis=1)
            if apart.min() <= APART:
                found[i] = alike[apart.argmin()]
    return found


def evened(rows):
    """Give every row the mean 0 and the norm 1; a row that does not vary becomes 0."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(norms > 1e-3, rows / np.maximum(norms, 1e-3), 0)


def of_all(number, total):
    """Say "3 of 48 pairs" or "all 48 pairs"."""
    return f"all {total} pairs" if number == total else f"{number} of {total} pairs"


def unreadable(seen):
    """Report files that cannot be read."""
    bad = [s for s in seen if s.problem]
    if bad:
        yield Finding(
            "error",
            "unreadable files",
            f"{of_all(len(bad), len(seen))} cannot be read. The first, in {bad[0].split}: "
            f"{bad[0].problem}",
            tuple(s.image for s in bad),
        )


def other_sizes(seen):
    """Report images and masks of different sizes."""
    bad = [s for s in seen if s.sizes and s.sizes[0] != s.sizes[1]]
    if bad:
        image, mask = ("x".join(map(str, size)) for size in bad[0].sizes)
        yield Finding(
            "error",
            "sizes that differ",
            f"in {of_all(len(bad), len(seen))} image and mask have different sizes, first in "
            f"{bad[0].split}: {bad[0].image} is {image} (height x width), its mask {mask}. Was one "
            "of the folders resized, or are the pairs mixed up? Take both from the same source.",
            tuple(s.mask for s in bad),
        )


def outside_the_classes(seen, allowed, codes):
    """Report labels that are neither classes nor void."""
    wrong = np.ones(256, bool)
    wrong[list(allowed)] = False
    bad = [s for s in seen if s.counts[wrong].any()]
    if bad:
        total = sum(s.counts for s in bad)
        values = np.flatnonzero(wrong & (total > 0))
        listed = ", ".join(map(str, values[:8])) + (", ..." if len(values) > 8 else "")
        yield Finding(
            "error",
            "labels outside the classes",
            f"{of_all(len(bad), len(seen))} hold labels that are no class: {listed} "
            f"({share_text(total[wrong].sum() / total.sum())} of their pixels), first in "
            f"{bad[0].split}: {bad[0].mask}. Expected were {min(codes)} to {max(codes)}. Does the "
            "numbering start at another number, is a value void, or was the mask averaged? Name "
            "the value in void=, or map it to a class when reading.",
            tuple(s.mask for s in bad),
        )


def share_text(share):
    """Write a share as a percentage that is never 0 % for something."""
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def interpolated(seen):
    """Report masks that were resized with averaging."""
    bad = [s for s in seen if s.invented[1] >= BORDERS and s.invented[0] > INVENTED * s.invented[1]]
    if bad:
        between, borders = np.sum([s.invented for s in bad], axis=0)
        yield Finding(
            "error",
            "interpolated masks",
            f"in {of_all(len(bad), len(seen))} the mask has rims of invented classes: "
            f"{between / borders:.0%} of its borders pass through a label in between (exact masks: "
            f"under 15 %), first in {bad[0].split}: {bad[0].mask}. It was resized like an image. "
            "Make it again from the original with nearest-neighbour resizing; the lost labels "
            "cannot be computed back.",
            tuple(s.mask for s in bad),
        )


def misaligned(seen):
    """Report masks of the next image, of any image, flipped masks, and shifted ones."""
    measured = [s for s in seen if s.aligned]
    if len(measured) < 3:
        return
    found = [*off_by_one(seen)] or [*mismatched_pairs(seen)] or [*flipped_masks(measured)]
    # where masks lie wrongly altogether, a best shift means nothing
    yield from found or shifted_masks(measured)


def off_by_one(seen):
    """Report masks that fit the image before or after better than their own."""
    neighbours = [
        (one.aligned, following.aligned)
        for one, following in pairwise(seen)
        if one.aligned and following.aligned and one.split == following.split
    ]
    if len(neighbours) < 4:
        return
    for where, pairs in (("next", neighbours), ("previous", [(b, a) for a, b in neighbours])):
        own = np.array([one.colours[""] for one, _ in pairs])
        other = np.array([explained(one.small_image, b.small_mask) for one, b in pairs])
        better = np.mean(other > own)
        if better > 0.7 and other.mean() > own.mean():
            yield Finding(
                "error",
                "pairs off by one",
                f"{better:.0%} of the images fit the mask of the {where} pair better than their "
                "own. Were the two folders sorted differently, or is one image missing? Pair by "
                "file name, not by position in a list.",
            )
            return


def mismatched_pairs(seen):
    """Report masks that fit their images no better than those of other images do."""
    own, other = [], []
    for split in {s.split: None for s in seen}:
        here = [s.aligned for s in seen if s.split == split and s.aligned]
        for i, one in enumerate(here):
            # from half the set away, which shows something else even in a video
            far = here[(i + len(here) // 2) % len(here)]
            own.append(max(one.colours.values()))
            other.append(max(explained(one.small_image, far.small_mask[f]) for f in FLIPS.values()))
    if len(own) >= 10 and np.mean(np.array(own) > np.array(other)) < 0.7:
        yield Finding(
            "error",
            "masks of other images",
            "the masks fit their images hardly better than those of other images do. Are the pairs "
            "mixed up? Look at a few with plots.show_pairs, and pair by file name.",
        )


def flipped_masks(measured):
    """Report masks that are flipped against their images."""
    for name in [*FLIPS][1:]:
        # Two witnesses, edges and areas: a symmetric image deceives one of them, rarely both.
        bad = [
            s
            for s in measured
            if all(
                fit[name] == max(fit.values()) and fit[name] > fit[""]
                for fit in (s.aligned.edges, s.aligned.colours)
            )
        ]
        if len(bad) >= 3 and len(bad) > 0.15 * len(measured):
            yield Finding(
                "error",
                "flipped masks",
                f"in {of_all(len(bad), len(measured))} that were compared the mask fits better "
                f"flipped {name}, first in {bad[0].split}: {bad[0].mask}. Were image and mask "
                "augmented apart? Flip both in one function, and never save a flipped one alone.",
                tuple(s.mask for s in bad),
            )


def shifted_masks(measured):
    """Report masks that lie beside their images, by the best shift over the whole set."""
    surface = np.mean([s.aligned.surface for s in measured], axis=0)
    even, down, right = middle(surface)
    none = evenness(surface, 0, 0)
    if max(abs(down), abs(right)) < 2 or even < 0.6 or even < none + 0.15:
        return
    scale = float(np.median([s.aligned.scale for s in measured]))
    down, right = round(down / scale), round(right / scale)
    way = [
        f"{abs(pixels)} pixel{'s' * (abs(pixels) > 1)} {one if pixels > 0 else other}"
        for pixels, one, other in ((down, "down", "up"), (right, "to the right", "to the left"))
        if pixels
    ]
    yield Finding(
        "error",
        "shifted masks",
        f"over {len(measured)} pairs the masks fit their images best when moved by about "
        f"{' and '.join(way)}. Was one of the two cropped or padded, or resized "
        "with another alignment? Treat both alike, from the original files.",
    )


def middle(surface):
    """Find the shift around which a surface of fits is most even; (evenness, down, right).

    Not simply its highest place: a trimap's outline has its borders on both sides of the true
    edge, so that it fits best when shifted a little, to whichever side. The middle stays at 0.
    """
    steps = range(WINDOW - REACH, REACH - WINDOW + 1)
    places = [(down, right) for down in steps for right in steps]
    # only places near the best fit; elsewhere evenness means nothing
    least = 0.9 * surface.max()
    fits = [place for place in places if window(surface, *place).max() >= least]
    return max((evenness(surface, *place), *place) for place in fits)


def window(surface, down, right):
    """Cut the square around a shift out of a surface of fits."""
    row, column = REACH + down - WINDOW, REACH + right - WINDOW
    return surface[row : row + 2 * WINDOW + 1, column : column + 2 * WINDOW + 1]


def evenness(surface, down, right):
    """Say how much a window looks like itself after half a turn: 1 the same, 0 nothing alike."""
    part = window(surface, down, right)
    part = part - part.mean()
    return float((part * part[::-1, ::-1]).sum() / max((part**2).sum(), 1e-12))


def absent(report):
    """Report classes that a split lacks."""
    filled = [split for split in report.shares if report.shares[split].any()]
    lacking = {}
    for i, name in enumerate(report.class_names):
        without = tuple(split for split in filled if not report.shares[split][i])
        if without:
            lacking.setdefault(without, []).append(name)
    for without, names in lacking.items():
        if len(without) == len(filled):
            advice = "Are the codes right? If so, expect no prediction and no score for it."
        elif "train" in without:
            advice = "What is not in train cannot be learned: split in another way."
        else:
            advice = "It will have no score there (nan, left out of the mean)."
        yield Finding(
            "warning",
            "absent classes",
            f"split {' and '.join(without)}: no pixel of {', '.join(names)}. {advice}",
        )


def copies(seen, splits):
    """Report images that are in two splits, exactly or nearly."""
    for i, second in enumerate(splits):
        theirs = [s for s in seen if s.split == second and s.thumbnail is not None]
        for first in splits[:i]:
            mine = [s for s in seen if s.split == first and s.thumbnail is not None]
            yield from copies_between(first, mine, second, theirs)


def copies_between(first, mine, second, theirs):
    """Report the images of the second split that the first one has as well."""
    known = {s.fingerprint: s for s in mine}
    same = [s for s in theirs if s.fingerprint in known]
    if same:
        yield Finding(
            "error",
            "copies across splits",
            f"{len(same)} of {len(theirs)} images of {second} are also in {first}, pixel by "
            f"pixel, such as {same[0].image} = {known[same[0].fingerprint].image}. A score on them "
            "tests memory; remove them from one split.",
            tuple(s.image for s in same),
        )
    rest = [s for s in theirs if s.fingerprint not in known]
    partner = near_copies([s.thumbnail for s in rest], [s.thumbnail for s in mine])
    near = [(s, mine[p]) for s, p in zip(rest, partner, strict=True) if p >= 0]
    if near:
        yield Finding(
            "warning",
            "near copies across splits",
            f"{len(near)} of {len(theirs)} images of {second} look almost like one of {first}, "
            f"such as {near[0][0].image} and {near[0][1].image}. Frames of one recording, or one "
            "photograph twice? Keep recordings, patients or series together in one split.",
            tuple(s.image for s, _ in near),
        )
