"""A folder of your own images: labels.csv, masks of ids and colours, splits, and every mistake."""

import os

import numpy as np
import pytest
from PIL import Image

from unet_helpers import datasets
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.datasets.checks import check_pairs
from unet_helpers.labels import DataError, Labels, distinct_colours, mask_to_colour

ROAD, CAR, DARK = (128, 64, 128), (0, 0, 142), (0, 0, 0)
LABELS = "name,id,colour\nroad,7,#804080\ncar,26,0 0 142\nvoid,255,#000000\n"
IDS = np.array([[7, 7, 26], [26, 255, 7]], np.uint8)
CLASSES = [[0, 0, 1], [1, 255, 0]]
COLOURS = np.array([[ROAD, ROAD, CAR], [CAR, DARK, ROAD]], np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Make a function that writes a folder: labels.csv, masks by name, an image for each."""

    def make(masks, labels=LABELS):
        root = tmp_path / "mine"
        root.mkdir(exist_ok=True)
        (root / "labels.csv").write_text(labels, encoding="utf-8")
        for number, (name, mask) in enumerate(masks.items()):
            save(root / "masks" / name, mask)
            image = np.full((*np.shape(mask)[:2], 3), number, np.uint8)
            save(root / "images" / f"{name.rsplit('.', 1)[0]}.png", image)
        return root

    return make


def read(root, name="a.png"):
    return folder_dataset.read_classes(root / "masks" / name, folder_dataset.read_label_map(root))


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize(
    ("labels", "mask"),
    [
        (LABELS, IDS),
        (LABELS, COLOURS),
        (LABELS, np.dstack([COLOURS, np.full((2, 3), 9)])),  # with transparency
        ("name,id\nroad,7\ncar,26\nvoid,255\n", IDS),
        ("id,name\n7,road\n26,car\n255,Void\n", IDS),
        ("colour,name\n#804080,road\n#00008E,car\n0 0 0,void\n", COLOURS),
        ("\ufeffname , id\r\n\r\nroad,7\r\n car , 26 \r\nvoid,255\r\n", IDS),
    ],
)
def test_ids_and_colours_become_classes(folder, labels, mask):
    mask = read(folder({"a.png": mask}, labels))
    assert mask.dtype == np.uint8
    assert mask.tolist() == CLASSES


def test_a_pair_finds_its_labels_by_itself(folder):
    root = folder({"a.png": COLOURS})
    image, mask = folder_dataset.read_pair(root / "images" / "a.png", root / "masks" / "a.png")
    assert image.shape == (2, 3, 3)
    assert mask.tolist() == CLASSES


def test_names_alone_count_from_zero(folder):
    root = folder({"a.png": [[0, 1], [2, 0]]}, "name\nbackground\ncat\ndog\n")
    assert read(root).tolist() == [[0, 1], [2, 0]]
    assert folder_dataset.read_labels(root).classes == ("background", "cat", "dog")


def test_void_is_numbered_as_the_names_are(folder):
    root = folder({"a.png": [[0, 1], [2, 255]]}, "name\nvoid\ncat\ndog\n")
    assert read(root).tolist() == [[255, 0], [1, 255]]
    root = folder({"a.png": [[0, 1], [2, 255]]}, "name\ncat\ndog\nvoid\n")
    assert read(root).tolist() == [[0, 1], [255, 255]]


def test_a_binary_mask_of_0_and_255(folder):
    root = folder({"a.png": [[0, 255], [255, 0]]}, "name,id\nnothing,0\nthing,255\n")
    assert read(root).tolist() == [[0, 1], [1, 0]]


WHITE = np.zeros((16, 16), np.uint8)
WHITE[:, 8:] = 255
GREY_LEVELS = WHITE, WHITE > 0, np.dstack([WHITE] * 3), np.dstack([WHITE] * 2 + [WHITE, WHITE])


@pytest.mark.parametrize("table", ["name\nsky\ncar\n", "name,id\ncar,1\nvoid,255\nsky,0\n"])
def test_masks_of_0_and_255_alone_have_no_void_in_any_split(folder, table, capsys):
    root = folder({f"{i}.png": WHITE if i < 4 else 0 * WHITE for i in range(8)}, table)
    write_lists(root, train="0\n1\n2\n5", val="4", test="3\n6\n7")
    car = folder_dataset.read_labels(root).index("car")
    for split, share in (("train", 3 / 8), ("val", 0), ("test", 1 / 6)):
        _, masks = datasets.to_arrays(folder_dataset.load(split, root, (16, 16)))
        assert set(np.unique(masks)) <= {0, 1}
        assert np.mean(masks == car) == share
    _, mask = folder_dataset.read_pair(root / "images" / "0.png", root / "masks" / "0.png")
    assert mask[0, 7:9].tolist() == [1 - car, car]
    codes = folder_dataset.files(root)
    assert codes["read_code"](root / "masks" / "3.png")[0, 8] == car
    said = capsys.readouterr().out
    assert said.count("black and white: 255 is car, and no pixel is void.") == 1


@pytest.mark.parametrize("table", ["name\nsky\ncar\n", "name,id\nsky,0\ncar,255\n"])
def test_a_black_and_white_mask_is_read_in_every_format(folder, table):
    masks = {f"{i}.png": mask for i, mask in enumerate(GREY_LEVELS)}
    root = folder({"a.png": WHITE}, table)
    for name, mask in masks.items():
        Image.fromarray(mask).save(root / "masks" / name)
    noisy = np.clip(WHITE, 3, 250)
    Image.fromarray(noisy).save(root / "masks" / "j.jpg", quality=50)
    for name in (*masks, "j.jpg"):
        np.testing.assert_array_equal(read(root, name), WHITE > 0, name)


def test_void_stays_void_beside_class_1(folder):
    root = folder({"a.png": [[0, 255]], "b.png": [[1, 255]]}, "name,id\nsky,0\ncar,1\nvoid,255\n")
    assert read(root).tolist() == [[0, 255]]
    save(root / "masks" / "b.png", [[0, 255]])  # it was exported anew
    os.utime(root / "masks" / "b.png", ns=(1, 1))
    assert read(root).tolist() == [[0, 1]]


@pytest.mark.parametrize("top", [1, 255])
def test_a_jpeg_of_ids_is_refused(folder, top):
    root = folder({"b.png": [[0]]}, "name,id\nsky,0\ncar,1\nvoid,255\n")
    save(root / "masks" / "a.jpg", WHITE // 255 * top)
    with pytest.raises(DataError, match=r"a\.jpg is a JPEG, which changes values .* as PNG"):
        read(root, "a.jpg")


def test_several_ids_may_be_void(folder):
    root = folder({"a.png": [[4, 9], [255, 9]]}, "name,id\na,4\nvoid,9\nvoid,255\n")
    assert read(root).tolist() == [[0, 255], [255, 255]]


def test_a_palette_or_grey_is_looked_up_where_there_are_only_colours(folder):
    root = folder({}, "name,colour\nroad,#804080\ncar,0 0 142\nwhite,#ffffff\nvoid,#000000\n")
    image = Image.fromarray(np.array([[3, 3, 5], [5, 0, 3]], np.uint8), "P")
    palette = np.zeros((6, 3), np.uint8)
    palette[3], palette[5] = ROAD, CAR
    image.putpalette(palette.ravel().tolist())
    (root / "masks").mkdir()
    (root / "images").mkdir()
    image.save(root / "masks" / "a.png")
    assert read(root).tolist() == CLASSES
    save(root / "masks" / "grey.png", [[0, 255]])
    assert read(root, "grey.png").tolist() == [[255, 2]]


def test_a_palette_may_be_black_where_a_class_has_the_id_0(folder):
    """The labels are those of the documentation; unused colours of a palette are black."""
    root = folder(
        {"a.png": IDS}, "name,id,colour\nroad,0,#804080\ncar,1,0 0 142\nvoid,255,#000000\n"
    )
    image = Image.fromarray(np.array([[0, 1, 255]], np.uint8), "P")
    image.putpalette([0, 0, 0, *CAR, *[0] * 762])
    image.save(root / "masks" / "a.png")
    assert read(root).tolist() == [[0, 1, 255]]


def test_a_palette_that_was_renumbered_is_noticed(folder):
    """Ids and colours are both known, and the palette shows a road where the id says car."""
    root = folder({"a.png": IDS})
    image = Image.fromarray(np.array([[26, 7]], np.uint8), "P")
    palette = np.zeros((27, 3), np.uint8)
    palette[26], palette[7] = ROAD, ROAD
    image.putpalette(palette.ravel().tolist())
    image.save(root / "masks" / "a.png")
    message = r"contradicts itself in row 0, column 0: its id there means car, .* palette road"
    with pytest.raises(DataError, match=message):
        read(root)


@pytest.mark.parametrize(
    ("labels", "mask", "message"),
    [
        (LABELS, [[7, 8], [9, 8]], r"a\.png holds ids .* not have: 8, 9 in 3 pixels, .*row 0, col"),
        ("name,id\nroad,7\n", [[7, 255]], r"It has 7\. Add a line for each \(void,255 if"),
        (
            LABELS,
            [[ROAD, (128, 64, 120)]],
            r"holds a colour that .* in 1 pixels.* \(128, 64, 120\) in row 0, column 1; the "
            r"nearest known one is \(128, 64, 128\), road\. Add each to",
        ),
        (
            LABELS,
            [[ROAD, (1, 0, 1), CAR, (64, 32, 64), (9, 9, 9), (8, 8, 8)]],
            r"4 colours .*blends at the borders: .*without antialiasing, resize by nearest",
        ),
        ("name,id\nroad,7\n", COLOURS, r"painted in colours, but .*labels\.csv has no column"),
    ],
)
def test_masks_with_unknown_ids_or_colours(folder, labels, mask, message):
    root = folder({"a.png": mask}, labels)
    with pytest.raises(DataError, match=message):
        folder_dataset.load("all", root)


def test_a_jpeg_mask_is_explained(folder):
    root = folder({"a.png": COLOURS})
    coloured = np.repeat(np.repeat(COLOURS, 5, 0), 5, 1)
    save(root / "masks" / "b.jpg", coloured, quality=70)
    with pytest.raises(DataError, match=r"b\.jpg holds .*JPEG changes colours, .*again as PNG"):
        read(root, "b.jpg")


# ---------------------------------------------------------------- labels.csv


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"first line of .*labels\.csv is ''; expected name,id,colour"),
        ("road,0\ncar,1\n", r"first line of .* is 'road,0'; expected name,id,colour"),
        ("name,ID,name\n", r"first line .* is 'name,id,name'"),
        ("name,id\n", r"labels\.csv has 0 classes; expected 1 to 255"),
        ("name,id\n" + "".join(f"c{i},\n" for i in range(256)), r"has 256 classes"),
        ("name,id\nroad,0\n,1\n", r"Line 3 of .*labels\.csv has no name"),
        ("name,id\nroad,0\nroad,1\n", r"Line 3 .* has the name 'road' again"),
        ("name,id\nroad,0\ncar,00\n", r"Line 3 .* has the id 00 again"),
        ("name,colour\nroad,#000000\ncar,0 0 0\n", r"Line 3 .* has the colour 0 0 0 again"),
        ("name,id\nroad,256\n", r"Line 2 .* has the id '256'; expected .* 0 to 255"),
        ("name,id\nroad,\u0661\n", r"has the id '\u0661'"),
        ("name,colour\nroad,red\n", r"Line 2 .* has the colour 'red'; expected six hex"),
        ("name,colour\nroad,128,64,128\n", r"Line 2 .* has 4 cells.*without commas"),
        ("name,id\nroad,0\ncar,\n", r"has no id for car, but for others"),
        ("name,id,colour\nroad,0,#000001\ncar,1\n", r"has no colour for car"),
        ("name,id\nroad,0\ncar;1\n", r"Line 3 of .* has 'car;1' as a name\. Write a comma"),
        ("name,id\nroad\t0\n", r"Line 2 of .* has 'road\\t0' as a name"),
        ("name,id\n" + 200_000 * "x", r"is not a table of cells .*field"),
        ("name\n" + 1_000_000 * "x", r"has 1,000,005 bytes; expected a small text file"),
    ],
)
def test_invalid_label_files(folder, text, message):
    with pytest.raises(DataError, match=message):
        folder_dataset.read_label_map(folder({"a.png": IDS}, text))


def test_a_label_file_in_another_encoding(folder):
    root = folder({"a.png": IDS})
    (root / "labels.csv").write_bytes("name\nstraße\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv is not text in UTF-8 \(byte 9"):
        folder_dataset.read_labels(root)


def test_labels_keep_the_colours_of_the_file_or_get_distinct_ones(folder):
    assert folder_dataset.read_labels(folder({"a.png": IDS})).colours == (ROAD, CAR)
    labels = folder_dataset.read_labels(folder({"a.png": IDS}, "name\na\nb\nc\n"))
    assert labels.colours == distinct_colours(3)
    assert labels.name == "mine"


@pytest.mark.parametrize("number", [1, 20, 100])
def test_distinct_colours_are_distinct_and_never_black(number):
    colours = np.array(distinct_colours(number))
    assert colours.shape == (number, 3)
    every = np.array([*colours.tolist(), (0, 0, 0)], float)
    apart = np.linalg.norm(every[:, None] - every, axis=-1)[np.triu_indices(number + 1, 1)]
    assert apart.min() > (85 if number <= 20 else 20)


# ---------------------------------------------------------------- folders and splits


@pytest.mark.parametrize("name", ["images", "masks", "labels.csv"])
def test_a_folder_that_lacks_something(folder, name):
    root = folder({"a.png": IDS})
    (root / name).rename(root / "elsewhere")
    with pytest.raises(DataError, match=rf"mine has no {name}\. Expected the folders images"):
        folder_dataset.load("all", root)


@pytest.mark.parametrize("data", [None, "sample", "full"])
def test_a_folder_has_no_sample(data):
    with pytest.raises(DataError, match="pass the path of your folder"):
        folder_dataset.find(data)


def test_a_folder_needs_a_name():
    with pytest.raises(DataError, match=r"There is no folder ''\. Pass"):
        folder_dataset.find("")


def test_load_in_order_and_resized(folder):
    masks = {f"{name}.png": np.full((4, 6), 7) for name in "cab"}
    images, masks = datasets.to_arrays(folder_dataset.load("all", folder(masks), (2, 3)))
    assert images.shape == (3, 2, 3, 3)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 0]  # a, b, c
    assert (masks == 0).all()


def split_names(root, **options):
    return {
        split: [image.stem for image, _ in folder_dataset.find_pairs(split, root, **options)]
        for split in folder_dataset.SPLITS
    }


def test_random_splits_share_nothing_and_repeat_with_the_seed(folder):
    root = folder({f"{i:02}.png": IDS for i in range(20)})
    splits = split_names(root)
    assert [len(names) for names in splits.values()] == [14, 3, 3]
    assert sorted(name for names in splits.values() for name in names) == [
        f"{i:02}" for i in range(20)
    ]
    assert split_names(root) == splits
    assert split_names(root, seed=1) != splits


def test_recordings_stay_together(folder):
    recordings = ("north-1", "north-2", "south", "tunnel_b")
    root = folder({f"{name}_{i}.png": IDS for name in recordings for i in range(3)})
    splits = split_names(root, split_by="recording")
    assert {split: len(names) for split, names in splits.items()} == dict(train=6, val=3, test=3)
    owners = [{name.rsplit("_", 1)[0] for name in names} for names in splits.values()]
    assert set.union(*owners) == set(recordings)
    assert sum(map(len, owners)) == 4
    save(root / "images" / "tunnel_b_3.png", np.zeros((2, 3, 3)))
    save(root / "masks" / "tunnel_b_3.png", IDS)
    for seed in range(5):  # the longest recording is for training
        assert "tunnel_b_0" in split_names(root, split_by="recording", seed=seed)["train"]


def test_recordings_need_three(folder):
    root = folder({f"video_{i}.png": IDS for i in range(9)})
    with pytest.raises(DataError, match=r"begin with video: 1 recordings, .*Write the lists"):
        folder_dataset.find_pairs("train", root, split_by="recording")
    with pytest.raises(DataError, match=r"split_by is 'day'"):
        folder_dataset.find_pairs("train", root, split_by="day")
    with pytest.raises(DataError, match=r"no split 'training'"):
        folder_dataset.find_pairs("training", root)


def write_lists(root, **lists):
    for split, text in lists.items():
        (root / f"{split}.txt").write_text(text, encoding="utf-8")


def test_lists_may_come_from_windows(folder):
    root = folder({f"{name}.png": IDS for name in ("a", "b", "c")})
    write_lists(root, train="images\\a.png", val="C:\\mine\\b.jpg\n", test="..\\c")
    assert split_names(root) == dict(train=["a"], val=["b"], test=["c"])


def test_lists_decide_the_splits(folder, capsys):
    root = folder({f"{name}.png": IDS for name in ("a", "b.1", "c", "d", "left out")})
    write_lists(root, train="d.png\nb.1\n\n", val=" a \n", test="c.jpg\r\n")
    assert split_names(root) == dict(train=["b.1", "d"], val=["a"], test=["c"])
    assert len(folder_dataset.find_pairs("all", root)) == 5
    said = capsys.readouterr().out
    assert said.count("1 of 5 images in") == 1
    assert said.endswith("are in none of train.txt, val.txt and test.txt: left out.\n")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (dict(train="a", val="b"), r"has no test\.txt, but another list"),
        (dict(train="a", val="b", test=" \n"), r"test\.txt names no image"),
        (dict(train="a", val="b", test="x"), r"Line 1 of .*test\.txt names 'x', but .*images has"),
        (dict(train="a", val="\nb\na", test="c"), r"Line 3 of .*val\.txt names 'a', .* in train"),
        (dict(train="../masks/a", val="b", test="c"), None),
        (dict(train="a.2", val="b", test="c"), r"Line 1 of .*train\.txt names 'a\.2', but"),
        (dict(train="a\0", val="b", test="c"), r"names 'a\\\\+0'"),
    ],
)
def test_invalid_lists(folder, lists, message):
    root = folder({f"{name}.png": IDS for name in "abc"})
    write_lists(root, **lists)
    if message is None:  # only the name counts, wherever the line says that the file lies
        assert folder_dataset.find_pairs("train", root)[0][0] == root / "images" / "a.png"
        return
    with pytest.raises(DataError, match=message):
        folder_dataset.find_pairs("train", root)


def test_two_spellings_of_one_letter_are_one_name(folder):
    """A Mac writes e and an accent, others one letter; both look the same."""
    root = folder({"a.png": IDS})
    save(root / "images" / "cafe\u0301.png", np.zeros((2, 3, 3)))
    save(root / "masks" / "caf\u00e9.png", IDS)
    assert len(folder_dataset.find_pairs("all", root)) == 2
    write_lists(root, train="cafe\u0301.png", val="a", test="")
    with pytest.raises(DataError, match=r"test\.txt names no image"):  # train is understood
        folder_dataset.find_pairs("train", root)


def test_check_pairs_in_one_line(folder):
    masks = {f"{i}.png": mask_to_colour(np.full((20, 20), i % 2), TWO) for i in range(6)}
    root = folder(masks)
    write_lists(root, train="0\n1\n2", val="3", test="4\n5")
    splits = {split: folder_dataset.find_pairs(split, root) for split in folder_dataset.SPLITS}
    report = check_pairs(splits, **folder_dataset.files(root))
    assert report.class_names == ("road", "car")
    np.testing.assert_allclose(report.shares["train"], [2 / 3, 1 / 3])
    save(root / "masks" / "3.png", np.full((20, 20, 3), 9))
    report = check_pairs(splits, **folder_dataset.files(root))
    assert "unreadable files" in {finding.kind for finding in report.findings}
    assert "(9, 9, 9)" in str(report)


TWO = Labels("two", ("road", "car"), (ROAD, CAR))
