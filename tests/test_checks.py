"""Checks of a data set: every defect is found and named, and clean data is left alone.

Limits in `checks` rest on these numbers, measured on the samples and on real data (CamVid, pets,
six CARLA frames): borders that pass through a label in between, exact masks at most 0.11 of a
mask, halved by nearest 0.15, averaged 0.39 and more; thumbnails of neighbouring CARLA frames
correlate by 0.89 (first percentile) and differ by less than 9.7 grey levels, those of different
recordings by at most 0.84 and 17 and more. Where nothing is flipped, at most 0.03 of
the evidence speaks for a flip (pets, which are symmetric); clean masks fit best within one cell of
the grid (five pixels of CamVid). Shifts are found from about 2 % of an image's width, of pets 3 %.
"""

import numpy as np
import pytest
from PIL import Image

from unet_helpers import datasets, labels
from unet_helpers.datasets import camvid, carla, checks, pets
from unet_helpers.labels import DataError

SPLITS = ("train", "val", "test")
COLOURS = np.array([[30, 50, 90], [60, 150, 60], [250, 190, 170], [130, 120, 40]])


def scene(rng, size=(60, 80)):
    """Make an image of four coloured areas with its mask; both are noisy in their own way."""
    h, w = size
    mask = np.zeros(size, np.uint8)
    mask[rng.integers(h // 3, h - 4) :] = 3
    for label in rng.integers(0, 4, 9):
        top, left = rng.integers(0, h - 12), rng.integers(0, w - 12)
        mask[top : top + rng.integers(10, 30), left : left + rng.integers(10, 40)] = label
    mask[2:10, 3:9], mask[2:10, 12:18] = 1, 2  # every scene has these
    image = COLOURS[mask] + rng.normal(0, 12, (h, w, 1)) + rng.normal(0, 6, (h, w, 3))
    return np.clip(image, 0, 255).astype(np.uint8), mask


def write(folder, scenes):
    """Write scenes as PNG; list of (image path, mask path)."""
    pairs = []
    for i, parts in enumerate(scenes):
        paths = folder / "images" / f"{i:03}.png", folder / "masks" / f"{i:03}.png"
        for path, part in zip(paths, parts, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(part)).save(path)
        pairs.append(paths)
    return pairs


@pytest.fixture
def scenes(rng):
    return [scene(rng) for _ in range(24)]


def check(folder, scenes, **options):
    """Write the first 16 scenes as train and the others as test, and check them."""
    splits = {
        "train": write(folder / "train", scenes[:16]),
        "test": write(folder / "test", scenes[16:]),
    }
    return checks.check_pairs(splits, range(4), **options)


def only(report, kind, severity="error"):
    """Assert that a report has one finding, of this kind; give it."""
    assert [(f.severity, f.kind) for f in report.findings] == [(severity, kind)], str(report)
    return report.findings[0]


# ---------------------------------------------------------------- clean data


def test_clean_data_has_no_finding(tmp_path, scenes):
    report = check(tmp_path, scenes, class_names=("sky", "tree", "house", "road"))
    assert not report.findings, str(report)
    assert report.pairs == {"train": 16, "test": 8}
    text = str(report)
    assert text.startswith("24 pairs (train 16, test 8): nothing wrong was found.")
    for name in ("sky", "tree", "house", "road"):
        assert f"\n{name}" in text
    for split, part in (("train", scenes[:16]), ("test", scenes[16:])):
        expected = labels.class_shares([mask for _, mask in part], 4)
        np.testing.assert_allclose(report.shares[split], expected)


@pytest.mark.parametrize(
    ("module", "files"),
    [
        (carla, checks.CARLA_FILES),
        (camvid, checks.CAMVID_FILES),
        (pets, checks.PETS_FILES),
    ],
)
def test_sample_data_has_no_finding(module, files):
    splits = {split: module.find_pairs(split) for split in SPLITS}
    report = checks.check_pairs(splits, **files, sample=20)
    assert not report.findings, str(report)


def test_real_data(real_data):
    """What is found was looked at: no person in six frames; one cat twice, once with a logo."""
    six = {"all": carla.find_pairs("all", real_data / "carla")}
    finding = only(checks.check_pairs(six, **checks.CARLA_FILES), "absent classes", "warning")
    assert "no pixel of Pedestrians." in finding.sentence
    drives = {split: camvid.find_pairs(split, real_data / "camvid")[:40] for split in SPLITS[:2]}
    report = checks.check_pairs(drives, **checks.CAMVID_FILES)
    assert [finding.kind for finding in report.findings] in ([], ["absent classes"]), str(report)
    cats = {split: pets.find_pairs(split, real_data / "tensorflow_datasets") for split in SPLITS}
    report = checks.check_pairs(cats, **checks.PETS_FILES, sample=20)
    finding = only(report, "near copies across splits", "warning")
    assert "Abyssinian_99.jpg and" in finding.sentence and "Abyssinian_151" in finding.sentence


# ---------------------------------------------------------------- files


def test_all_unreadable_files_are_counted_and_the_first_is_named(tmp_path, scenes):
    splits = {"train": write(tmp_path, scenes)}
    splits["train"][3][0].write_bytes(b"<html>404</html>")
    splits["train"][5][1].write_bytes(splits["train"][5][1].read_bytes()[:60])
    splits["train"].append((tmp_path / "gone.png", splits["train"][0][1]))
    finding = only(checks.check_pairs(splits, range(4)), "unreadable files")
    assert "3 of 25 pairs" in finding.sentence
    assert "003.png is not an image" in finding.sentence
    assert [name.rsplit("/")[-1] for name in finding.files] == ["003.png", "005.png", "gone.png"]


def test_coloured_masks_are_told_apart_from_broken_ones(tmp_path, scenes):
    painted = [(image, image) for image, _ in scenes]
    finding = only_error(check(tmp_path, painted), "unreadable files")
    assert "24 of 24 pairs" in finding.sentence and "a mask has one channel" in finding.sentence


def only_error(report, kind):
    errors = [f for f in report.findings if f.severity == "error"]
    assert [f.kind for f in errors] == [kind], str(report)
    return errors[0]


def test_sizes_that_differ(tmp_path, scenes):
    scenes[7] = scenes[7][0], scenes[7][1][:-4]
    finding = only(check(tmp_path, scenes), "sizes that differ")
    assert "in 1 of 24 pairs" in finding.sentence
    assert "60x80 (height x width), its mask 56x80" in finding.sentence
    assert finding.files[0].endswith("007.png")


def test_no_pairs_and_wrong_names():
    with pytest.raises(DataError, match="no pairs to check"):
        checks.check_pairs({"train": [], "test": []}, range(3))
    with pytest.raises(DataError, match="3 codes, but 2 class names"):
        checks.check_pairs({"train": []}, range(3), class_names=("a", "b"))


# ---------------------------------------------------------------- labels


def test_labels_outside_the_classes(tmp_path, scenes):
    for i in (2, 4, 20):
        scenes[i][1][:6, :10] = 9
    report = check(tmp_path, scenes)
    finding = only(report, "labels outside the classes")
    assert "3 of 24 pairs hold labels outside the classes: 9 (180 pixels" in finding.sentence
    assert "first in train" in finding.sentence and "002.png" in finding.sentence
    assert "Expected 0 to 3" in finding.sentence
    assert not check(tmp_path, scenes, void=(9,)).findings


def test_classes_that_are_counted_from_one(tmp_path, scenes):
    report = check(tmp_path, [(image, mask + 1) for image, mask in scenes])
    assert "outside the classes: 4 (" in only_error(report, "labels outside the classes").sentence
    absent = next(f for f in report.findings if f.kind == "absent classes")
    assert absent.sentence.startswith("split train and test: no pixel of 0.")


def averaged(mask, size, method=Image.Resampling.BILINEAR):
    image = Image.fromarray(mask)
    return np.asarray(image.resize(size[::-1], method))


@pytest.mark.parametrize("size", [(30, 40), (96, 128)])
def test_interpolated_masks(tmp_path, scenes, size):
    wrong = [(datasets.resize_image(i, size), averaged(m, size)) for i, m in scenes]
    finding = only_error(check(tmp_path / "wrong", wrong), "interpolated masks")
    assert (
        "nearest" in finding.sentence and "invented classes along its borders" in finding.sentence
    )
    assert len(finding.files) > 16
    right = [(datasets.resize_image(i, size), datasets.resize_mask(m, size)) for i, m in scenes]
    assert not check(tmp_path / "right", right).findings


def test_a_single_interpolated_mask_is_named(tmp_path, scenes):
    image, mask = scenes[11]
    half = averaged(mask, (30, 40))
    scenes[11] = image, averaged(half, mask.shape)
    finding = only(check(tmp_path, scenes), "interpolated masks")
    assert len(finding.files) == 1 and finding.files[0].endswith("011.png")


@pytest.mark.parametrize("find", [carla.find_pairs, camvid.find_pairs, pets.find_pairs])
def test_averaged_and_nearest_masks_are_far_apart(find):
    read = datasets.read_red_channel if find is carla.find_pairs else datasets.read_mask
    for _, path in find("val")[::5]:
        mask = read(path)
        half = (mask.shape[0] // 2, mask.shape[1] // 2)
        shares = [
            between / borders
            for between, borders in map(
                checks.count_invented,
                (mask, datasets.resize_mask(mask, half), averaged(mask, half)),
            )
        ]
        assert max(shares[:2]) < 0.18 and shares[2] > 0.35, (path, shares)


def test_count_invented_by_hand():
    #          thin 2 between 0 and 5: invented; 1 to 3 and 3 to 1: jumps
    mask = np.array([[0, 0, 2, 5, 5, 5, 5], [1, 1, 3, 3, 3, 1, 1]], np.uint8)
    between, borders = checks.count_invented(mask[:1])
    assert (between, borders) == (1, 1 + 2)
    assert checks.count_invented(mask[1:]) == (0, 2)
    assert checks.count_invented(np.zeros((4, 4), np.uint8)) == (0, 0)


# ---------------------------------------------------------------- alignment


@pytest.mark.parametrize(
    ("down", "right", "text"),
    [
        (0, 3, "about 3 pixels to the left."),
        (-4, 0, "4 pixels down."),
        (3, -2, "3 pixels up and 2"),
    ],
)
def test_shifted_masks(tmp_path, scenes, down, right, text):
    moved = [(image, np.roll(mask, (down, right), (0, 1))) for image, mask in scenes]
    assert text in only(check(tmp_path, moved), "shifted masks").sentence


@pytest.mark.parametrize(
    ("way", "text"),
    [(np.s_[:, ::-1], "flipped left to right"), (np.s_[::-1], "flipped upside down")],
)
@pytest.mark.parametrize("every", [1, 2])
def test_flipped_masks(tmp_path, scenes, way, text, every):
    flipped = [(image, mask if i % every else mask[way]) for i, (image, mask) in enumerate(scenes)]
    finding = only(check(tmp_path, flipped), "flipped masks")
    assert text in finding.sentence
    expected = {f"{i:03}.png" for i in range(16) if not i % every}
    named = {name.rsplit("/")[-1] for name in finding.files if "train" in name}
    assert len(named & expected) >= 0.8 * len(expected) and len(named - expected) <= 1


@pytest.mark.parametrize("step", [1, -1])
def test_pairs_off_by_one(tmp_path, rng, step):
    # frames of a video: the same scene moves on, so that neighbours look alike
    image, mask = scene(rng, (60, 400))
    frames = [(image[:, x : x + 80], mask[:, x : x + 80]) for x in range(0, 320, 8)]
    splits = {"train": write(tmp_path, frames)}
    assert not checks.check_pairs(splits, range(4)).findings
    images, masks = zip(*splits["train"], strict=True)
    shifted = list(zip(images[1:-1], masks[1 + step : len(masks) - 1 + step], strict=True))
    finding = only(checks.check_pairs({"train": shifted}, range(4)), "pairs off by one")
    assert ("previous" if step > 0 else "next") in finding.sentence


def test_mixed_up_pairs(tmp_path, scenes, rng):
    order = np.roll(rng.permutation(16), 3)
    mixed = [(scenes[i][0], scenes[j][1]) for i, j in enumerate(order)]
    mixed += [(scenes[16 + i][0], scenes[16 + (i + 3) % 8][1]) for i in range(8)]
    finding = only(check(tmp_path, mixed), "masks of other images")
    assert "pair by file name" in finding.sentence


def test_too_few_pairs_are_not_judged(tmp_path, scenes):
    moved = [(image, np.roll(mask, 5, 1)) for image, mask in scenes[:2]]
    assert not checks.check_pairs({"train": write(tmp_path, moved)}, range(4)).findings


def test_sample_is_bounded_and_has_neighbours():
    for number, limit in ((10, 300), (301, 300), (5000, 300), (9, 8)):
        chosen = checks.choose_sample(number, limit)
        assert len(chosen) == number and sum(chosen) <= limit
    places = np.flatnonzero(checks.choose_sample(5000, 300))
    assert len(places) == 300 and places[0] == 0 and places[-1] == 4999
    assert (np.diff(places) == 1).sum() == 270


# ---------------------------------------------------------------- splits


def test_absent_classes(tmp_path, scenes):
    for _, mask in scenes[:16]:
        mask[mask == 2] = 0
    report = check(tmp_path, scenes, class_names=("sky", "tree", "house", "road"))
    absent = next(f for f in report.findings if f.kind == "absent classes")
    assert absent.severity == "warning"
    assert absent.sentence == (
        "split train: no pixel of house. What is not in train cannot be learned: check the codes "
        "or the split."
    )
    assert [line.split()[1] for line in str(report).splitlines() if "house" in line][-1] == "-"


def test_exact_copies(tmp_path, scenes):
    scenes[20] = scenes[6]
    finding = only(check(tmp_path, scenes), "copies across splits")
    assert "1 of 8 images of test are also in train, pixel by pixel" in finding.sentence
    assert "004.png = " in finding.sentence and finding.sentence.count("006.png") == 1


def test_near_copies(tmp_path, scenes):
    for i, (image, mask) in enumerate(scenes[:3]):
        darker = np.roll(image, 1, 1) * 0.95
        scenes[16 + i] = darker.astype(np.uint8), np.roll(mask, 1, 1)
    finding = only(check(tmp_path, scenes), "near copies across splits", "warning")
    assert "3 of 8 images of test look almost like one of train" in finding.sentence


def test_near_copies_of_the_carla_sample():
    images = {
        name: [datasets.read_image(image) for image, _ in carla.find_pairs(name)] for name in SPLITS
    }
    frames = images["val"]
    found = checks.near_copies(frames[::2], frames[1::2])
    assert np.mean(found >= 0) > 0.9
    # the most similar frame is the one before or the one after
    wanted = np.arange(len(found))
    assert np.mean((found == wanted) | (found == wanted - 1)) > 0.85
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        assert (checks.near_copies(images[other], images[one]) == -1).all()


def test_near_copies_of_flat_images_and_of_none():
    grey = np.full((8, 8, 3), 120, np.uint8)
    assert checks.near_copies([grey], [grey]).tolist() == [-1]  # no pattern to compare
    assert checks.near_copies([grey], []).tolist() == [-1]
    assert checks.near_copies([], [grey]).tolist() == []


# ---------------------------------------------------------------- the report


def test_report_lists_everything_worst_first(tmp_path, scenes):
    scenes[20] = scenes[6]
    scenes[1] = scenes[1][0], scenes[1][1][:50]
    scenes[2][1][:5] = 77
    for _, mask in scenes[16:]:
        mask[mask == 2] = 1
    report = check(tmp_path, scenes)
    assert [f.severity for f in report.findings] == ["error"] * 3 + ["warning"]
    assert {finding.kind for finding in report.findings if finding.severity == "error"} == {
        "sizes that differ",
        "labels outside the classes",
        "copies across splits",
    }
    text = str(report)
    assert "24 pairs (train 16, test 8): 3 errors, 1 warning." in text
    assert text.index("ERROR") < text.index("WARNING") < text.index("Share of the labelled pixels")
    assert all(len(line) <= 96 or "/" in line for line in text.splitlines())


def test_encoded_images_are_named(scenes, tmp_path):
    (image, mask), *_ = write(tmp_path, scenes[:1])
    pairs = [
        (
            datasets.images.EncodedImage("cat_1.jpg in a record", image.read_bytes()[:90]),
            datasets.images.EncodedImage("trimap of cat_1", mask.read_bytes()),
        )
    ]
    report = checks.check_pairs({"train": pairs}, range(4))
    assert "cat_1.jpg in a record" in only(report, "unreadable files").sentence
