"""Decoding, pairing, resizing, splitting, batching and augmenting, on images made here."""

import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from unet_helpers import datasets, files, training
from unet_helpers.datasets.pairs import choose
from unet_helpers.labels import DataError

COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [40, 80, 120]]], np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)
    return path


def noise(rng, *shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


# ---------------------------------------------------------------- reading images


def test_read_image_of_rgb(tmp_path):
    image = datasets.read_image(save(tmp_path / "a.png", COLOURS))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, COLOURS)


def test_read_image_drops_transparency(tmp_path):
    see_through = np.dstack([COLOURS, np.full((2, 2), 17, np.uint8)])
    np.testing.assert_array_equal(
        datasets.read_image(save(tmp_path / "a.png", see_through)), COLOURS
    )


@pytest.mark.parametrize(
    "options", [{}, {"transparency": 1}, {"transparency": bytes([255, 0, 99, 255])}]
)
@pytest.mark.filterwarnings("error")
def test_read_image_looks_up_a_palette(tmp_path, options):
    image = Image.frombytes("P", (2, 2), bytes([0, 1, 2, 3]))
    image.putpalette(COLOURS.ravel().tolist())
    image.save(tmp_path / "a.png", **options)
    np.testing.assert_array_equal(datasets.read_image(tmp_path / "a.png"), COLOURS)


def test_read_image_repeats_grey(tmp_path):
    image = datasets.read_image(save(tmp_path / "a.png", [[3, 200]]))
    assert image.tolist() == [[[3, 3, 3], [200, 200, 200]]]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_read_image_scales_16_bits_to_8(tmp_path, name):
    """257 steps of 16 bits are one of 8: 65535 / 255."""
    values = np.array([[0, 257, 128 * 257], [65535, 300, 400]], np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    image = datasets.read_image(tmp_path / name)
    assert image.dtype == np.uint8
    assert image[..., 0].tolist() == [[0, 1, 128], [255, 1, 2]]
    assert (image == image[..., :1]).all()


def test_read_image_takes_32_bit_integers_of_a_16_bit_range(tmp_path):
    Image.fromarray(np.array([[0, 65535]], np.int32)).save(tmp_path / "a.tif")
    assert datasets.read_image(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 70000]], np.int32), r"int32 numbers from 0 to 70000.*8 or 16 bits"),
        (np.array([[-1, 3]], np.int32), r"int32 numbers from -1 to 3"),
        (np.array([[0.25, 1]], np.float32), r"float32 numbers from 0\.25 to 1.*Scale them"),
    ],
)
def test_read_image_refuses_numbers_without_a_range(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=rf"a\.tif holds {message}"):
        datasets.read_image(tmp_path / "a.tif")


def test_read_image_of_16_bit_colour(tmp_path):
    """A 16-bit RGB PNG, written byte by byte because Pillow writes none."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    row = struct.pack(">6H", 65535, 128 * 257, 0, 257, 2 * 257, 200 * 257)
    header = struct.pack(">2I5B", 2, 1, 16, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    (tmp_path / "a.png").write_bytes(content)
    assert datasets.read_image(tmp_path / "a.png").tolist() == [[[255, 128, 0], [1, 2, 200]]]


def test_read_image_of_cmyk(tmp_path):
    """No ink is white, full cyan takes the red away."""
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, 8:, 0] = 255
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.tif")
    image = datasets.read_image(tmp_path / "a.tif")
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 15].tolist() == [0, 255, 255]


def test_read_image_of_grey_with_transparency(tmp_path):
    Image.fromarray(np.array([[[7, 0], [90, 255]]], np.uint8), "LA").save(tmp_path / "a.png")
    assert datasets.read_image(tmp_path / "a.png").tolist() == [[[7] * 3, [90] * 3]]


# what a viewer does with the stored pixels for some EXIF marks (EXIF 2.3, Orientation); 9 is none
TURNS = {5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1), 9: lambda a: a}


@pytest.mark.parametrize(
    ("mark", "name"), [(5, "a.png"), (6, "a.png"), (9, "a.png"), (6, "a.tif"), (6, "a.webp")]
)
def test_images_and_masks_are_turned_upright(tmp_path, rng, mark, name):
    mask = rng.integers(0, 9, (4, 6)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = mark
    Image.fromarray(np.dstack([mask] * 3)).save(tmp_path / name, exif=exif, lossless=True)
    Image.fromarray(mask).save(tmp_path / "m.png", exif=exif)
    Image.fromarray(mask.astype(np.uint16) * 257).save(tmp_path / "16.png", exif=exif)
    turned = TURNS[mark](mask)
    np.testing.assert_array_equal(datasets.read_image(tmp_path / name), np.dstack([turned] * 3))
    np.testing.assert_array_equal(datasets.read_image(tmp_path / "16.png")[..., 0], turned)
    np.testing.assert_array_equal(datasets.read_red_channel(tmp_path / name), turned)
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "m.png"), turned)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_mark_does_not_spoil_the_image(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\x03\0\0"
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert datasets.read_image(tmp_path / "a.jpg").shape == (8, 8, 3)


def test_read_image_takes_the_first_image_of_a_gif_called_jpg(tmp_path):
    first, second = (Image.fromarray(np.full((4, 4, 3), v, np.uint8)) for v in (50, 200))
    first.save(tmp_path / "a.jpg", format="GIF", save_all=True, append_images=[second])
    image = datasets.read_image(tmp_path / "a.jpg")
    assert image.shape == (4, 4, 3)
    assert abs(image.astype(int) - 50).max() <= 2


def test_read_image_of_an_encoded_image(tmp_path):
    content = save(tmp_path / "a.png", COLOURS).read_bytes()
    image = datasets.images.EncodedImage("cat_1.jpg in a record", content)
    np.testing.assert_array_equal(datasets.read_image(image), COLOURS)
    with pytest.raises(DataError, match=r"^cat_1\.jpg in a record"):
        datasets.read_image(datasets.images.EncodedImage("cat_1.jpg in a record", content[:30]))


READERS = [datasets.read_image, datasets.read_mask, datasets.read_red_channel]


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_no_whole_image_is_named(tmp_path, rng, read):
    with pytest.raises(DataError, match=r"gone\.png does not exist"):
        read(str(tmp_path / "gone.png"))
    for content in (b"<html>404</html>", b""):
        (tmp_path / "page.png").write_bytes(content)
        with pytest.raises(DataError, match=r"page\.png is not an image.*Delete the file"):
            read(tmp_path / "page.png")
    for path in (tmp_path / "cut.png", tmp_path / "cut.jpg"):
        whole = save(path, noise(rng, 64, 64, 3)).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match=rf"{path.name} cannot be decoded .* or cut off"):
            read(path)


# ---------------------------------------------------------------- reading masks

MASK = np.array([[0, 1, 2], [12, 255, 1]], np.uint8)


def test_read_mask_of_grey(tmp_path):
    mask = datasets.read_mask(save(tmp_path / "m.png", MASK))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, MASK)


def test_read_mask_of_a_palette_gives_ids_not_colours(tmp_path):
    image = Image.fromarray(MASK, "P")
    image.putpalette(list(range(255, -1, -1)) * 3)
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "m.png"), MASK)


def test_read_mask_of_one_bit_and_of_sixteen(tmp_path):
    Image.fromarray(MASK > 1).save(tmp_path / "one.png")
    assert datasets.read_mask(tmp_path / "one.png").tolist() == [[0, 0, 1], [1, 1, 0]]
    Image.fromarray(MASK.astype(np.uint16)).save(tmp_path / "sixteen.png")
    np.testing.assert_array_equal(datasets.read_mask(tmp_path / "sixteen.png"), MASK)
    Image.fromarray(MASK.astype(np.uint16) + 300).save(tmp_path / "large.png")
    with pytest.raises(DataError, match=r"large\.png holds the label 555"):
        datasets.read_mask(tmp_path / "large.png")


def test_read_mask_refuses_a_painted_mask(tmp_path):
    save(tmp_path / "m.png", COLOURS)
    with pytest.raises(DataError, match=r"m\.png is a RGB image with 3 .*colour_to_mask"):
        datasets.read_mask(tmp_path / "m.png")


@pytest.mark.parametrize(
    ("name", "options"),
    [("m.jpg", {}), ("m.png", {"format": "JPEG"}), ("m.tif", {"compression": "jpeg"})],
)
def test_a_mask_that_was_compressed_as_jpeg_is_refused(tmp_path, name, options):
    for read, mask in ((datasets.read_mask, MASK), (datasets.read_red_channel, COLOURS)):
        with pytest.raises(DataError, match=r"m\.\w+ is a JPEG, which changes values .*as PNG"):
            read(save(tmp_path / name, mask, **options))


@pytest.mark.parametrize("channels", [3, 4])
def test_read_red_channel(tmp_path, channels):
    image = np.zeros((2, 3, channels), np.uint8)
    image[..., 0], image[..., 1], image[..., -1] = MASK, 77, 255
    mask = datasets.read_red_channel(save(tmp_path / "m.png", image))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, MASK)


def test_read_red_channel_refuses_grey(tmp_path):
    with pytest.raises(DataError, match=r"m\.png is a L image; CARLA .* red channel"):
        datasets.read_red_channel(save(tmp_path / "m.png", MASK))


# ---------------------------------------------------------------- pairs


@pytest.fixture
def folders(tmp_path):
    """Two folders with the images b and a; endings of images and masks differ."""
    for name in "ba":
        save(tmp_path / "images" / f"{name}.jpg", COLOURS)
        save(tmp_path / "masks" / f"{name}.png", MASK)
    return tmp_path / "images", tmp_path / "masks"


def test_pair_up_sorts_by_name_and_ignores_other_files(folders):
    images, masks = folders
    (images / "notes.txt").write_text("no image")
    save(images / ".hidden.png", COLOURS)
    (images / ".DS_Store").write_bytes(b"")
    assert datasets.pair_up(images, masks) == [
        (images / "a.jpg", masks / "a.png"),
        (images / "b.jpg", masks / "b.png"),
    ]


def test_pair_up_says_what_it_leaves_out(folders, capsys):
    images, masks = folders
    datasets.pair_up(images, masks)
    (images / "a.txt").write_text("a description of a.jpg")
    (images / ".hidden").mkdir()
    assert datasets.pair_up(images, masks) and capsys.readouterr().out == ""
    (images / "c.heic").write_bytes(b"")
    (masks / "c.npy").write_bytes(b"")
    save(masks / "more" / "d.png", MASK)
    save(masks / "more" / "._d", MASK, format="PNG")
    for _ in range(2):
        assert len(datasets.pair_up(images, masks)) == 2
    message = f"{images} and {masks}: 2 pairs are used, 3 other files left out: "
    assert capsys.readouterr().out == message + "c.heic, c.npy, more/d.png.\n"


@pytest.mark.parametrize("where", ["day 2/", ""])
def test_pair_up_refuses_to_leave_half_of_the_pairs_out(folders, where):
    for folder in folders:
        for name in "cd":
            (folder / where).mkdir(exist_ok=True)
            plain = save(folder / where / f"{name}.png", MASK)
            plain.rename(plain.with_suffix(".png" if where else ".heic"))
    with pytest.raises(DataError, match=r": 2 pairs .* left out: (day 2.)?c\..* half of the data"):
        datasets.pair_up(*folders)


def test_pair_up_names_an_image_without_mask(folders):
    images, masks = folders
    save(images / "c.jpg", COLOURS)
    with pytest.raises(DataError, match=r"c\.jpg has no mask in .*masks\. Is a download") as error:
        datasets.pair_up(images, masks)
    assert "more like it" not in str(error.value)


def test_pair_up_names_a_mask_without_image(folders):
    images, masks = folders
    for name in "dce":
        save(masks / f"{name}.png", MASK)
    message = r"c\.png has no image in .*images, and 2 more like it"
    with pytest.raises(DataError, match=message):
        datasets.pair_up(images, masks)


def test_pair_up_of_empty_and_of_missing_folders(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"No images in .*images and .*masks.*\.png, \.jpg"):
        datasets.pair_up(tmp_path / "images", tmp_path / "masks")
    with pytest.raises(DataError, match=r"There is no folder .*elsewhere"):
        datasets.pair_up(tmp_path / "images", tmp_path / "elsewhere")


# ---------------------------------------------------------------- resizing


@pytest.mark.parametrize("size", [(3, 5), (11, 10), (40, 9), (1, 1)])
def test_resize_mask_takes_the_label_at_each_pixel_centre(size):
    mask = np.arange(7 * 10, dtype=np.uint8).reshape(7, 10)
    rows = np.floor((np.arange(size[0]) + 0.5) * 7 / size[0]).astype(int)
    columns = np.floor((np.arange(size[1]) + 0.5) * 10 / size[1]).astype(int)
    np.testing.assert_array_equal(datasets.resize_mask(mask, size), mask[np.ix_(rows, columns)])


def test_resize_image_averages_what_one_pixel_covers():
    """Without antialiasing a finer checkerboard becomes black or white, not grey."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=-1).astype(np.uint8)
    inside = datasets.resize_image(image, (16, 16))[1:-1, 1:-1].astype(int)
    assert abs(inside - 127.5).max() <= 1


def test_resize_of_the_same_size_changes_nothing(rng):
    image = noise(rng, 5, 6, 3)
    np.testing.assert_array_equal(datasets.resize_image(image, (5, 6)), image)
    np.testing.assert_array_equal(datasets.resize_mask(MASK, (2, 3)), MASK)


@pytest.mark.parametrize("size", [(13, 17), (60, 90)])
def test_image_and_mask_stay_aligned(size):
    image, mask = np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40), np.uint8)
    image[:, 26:], mask[:, 26:] = 200, 1
    small = datasets.resize_image(image, size)[..., 0] > 100
    edge = np.argmax(datasets.resize_mask(mask, size), axis=1)
    assert (abs(np.argmax(small, axis=1) - edge) <= 1).all()
    assert abs(edge[0] - 26 * size[1] / 40) <= 1


# ---------------------------------------------------------------- splits

NAMES = [f"image {i}" for i in range(40)]


def test_split_at_random_is_complete_and_disjoint():
    splits = datasets.split_at_random(NAMES, (0.5, 0.25, 0.25))
    assert {name: len(part) for name, part in splits.items()} == dict(train=20, val=10, test=10)
    assert sorted(splits["train"] + splits["val"] + splits["test"]) == sorted(NAMES)
    assert all(part == sorted(part) for part in splits.values())


def test_split_at_random_depends_on_the_seed_and_not_on_the_order():
    splits = datasets.split_at_random(NAMES, seed=3)
    assert datasets.split_at_random(NAMES[::-1], seed=3) == splits
    assert datasets.split_at_random(NAMES, seed=4) != splits
    assert splits["train"] != sorted(NAMES)[: len(splits["train"])]


def test_split_at_random_may_leave_a_split_out():
    splits = datasets.split_at_random(NAMES, (0.85, 0.15, 0))
    assert [len(part) for part in splits.values()] == [34, 6, 0]


@pytest.mark.parametrize(
    ("names", "shares", "message"),
    [
        (NAMES, (0.7, 0.2, 0.2), r"\(0\.7, 0\.2, 0\.2\); they must sum to 1"),
        (NAMES, (1.2, -0.1, -0.1), "must sum to 1"),
        (["a", "b", "c", "a"], (0.5, 0.25, 0.25), "occur twice"),
        (["a", "b"], (0.7, 0.15, 0.15), r"2 images are too few for a test split of 15%"),
        ([], (0.7, 0.15, 0.15), "0 images are too few for a train split"),
    ],
)
def test_split_at_random_refuses(names, shares, message):
    with pytest.raises(DataError, match=message):
        datasets.split_at_random(names, shares)


# ---------------------------------------------------------------- loading


def read_pair(image, mask):
    return datasets.read_image(image), datasets.read_mask(mask)


@pytest.fixture
def pairs(tmp_path):
    """Twelve pairs of files; number i has the grey value 10 i and the label i."""
    result = []
    for i in range(12):
        image = save(tmp_path / "images" / f"{i:02d}.png", np.full((8, 6, 3), 10 * i))
        result.append((image, save(tmp_path / "masks" / f"{i:02d}.png", np.full((8, 6), i))))
    return result


def test_load_pairs_keeps_the_order_and_resizes(pairs):
    dataset = datasets.load_pairs(pairs[::-1], read_pair, 12, (4, 2))
    assert dataset.element_spec == (
        tf.TensorSpec((4, 2, 3), tf.uint8),
        tf.TensorSpec((4, 2), tf.uint8),
    )
    assert int(dataset.cardinality()) == 12
    images, masks = datasets.to_arrays(dataset)
    assert (images.dtype, masks.dtype) == (np.uint8, np.uint8)
    assert masks[:, 0, 0].tolist() == list(range(11, -1, -1))
    assert images[:, 3, 1, 2].tolist() == list(range(110, -1, -10))


def test_load_pairs_without_a_size_keeps_each_image_s_own(pairs, tmp_path):
    other = save(tmp_path / "i.png", np.zeros((3, 9, 3))), save(tmp_path / "m.png", np.ones((3, 9)))
    dataset = datasets.load_pairs([pairs[0], other], read_pair, 12, None)
    assert [mask.shape for _, mask in dataset] == [(8, 6), (3, 9)]
    assert [image.shape for image, _ in dataset] == [(8, 6, 3), (3, 9, 3)]
    assert int(dataset.cardinality()) == 2
    alike = datasets.load_pairs(pairs[:2], read_pair, 12, None)
    assert datasets.to_arrays(alike)[0].shape == (2, 8, 6, 3)


def test_load_pairs_of_an_empty_split():
    with pytest.raises(DataError, match=r"no CARLA val images to load: the split is empty"):
        datasets.load_pairs([], read_pair, 12, (4, 4), "CARLA val images")


def test_load_pairs_names_the_file_with_wrong_labels_sizes_or_bytes(pairs):
    with pytest.raises(DataError, match=r"11\.png holds labels outside the classes: \[11\]"):
        datasets.load_pairs(pairs, read_pair, 11, (4, 4))
    save(pairs[5][1], np.zeros((6, 8)))
    with pytest.raises(DataError, match=r"images.05\.png is 8x6, .*masks.05\.png is 6x8"):
        datasets.load_pairs(pairs, read_pair, 12, (4, 4))
    pairs[2][0].write_text("no image")
    with pytest.raises(DataError, match=r"images.02\.png is not an image"):
        datasets.load_pairs(pairs, read_pair, 12, (4, 4))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (128, r"image_size is 128; expected positive whole numbers such as \(96, 128\)"),
        ("12", "image_size is '12'; expected"),
        ((96,), r"image_size is \(96,\); expected"),
        ((96.0, 128), r"image_size is \(96\.0, 128\); expected"),
        ((96, 0), r"image_size is \(96, 0\); expected"),
    ],
)
def test_load_pairs_refuses_what_is_not_a_size(pairs, size, message):
    with pytest.raises(DataError, match=message):
        datasets.load_pairs(pairs, read_pair, 12, size)


def test_load_pairs_refuses_numbers_that_may_be_nan(pairs):
    def read(image, mask):
        return np.float32(datasets.read_image(image)) / 255 * np.nan, datasets.read_mask(mask)

    with pytest.raises(DataError, match=r"00\.png was read as float32, .*no nan\. Scale and"):
        datasets.load_pairs(pairs, read, 12, (4, 4))


def test_nearly_black_images_are_said(tmp_path, pairs, capsys):
    datasets.load_pairs(pairs, read_pair, 12, (4, 4), "twelve images")
    assert "nearly black" not in capsys.readouterr().out
    Image.fromarray(np.full((8, 6), 4095, np.uint16)).save(tmp_path / "12.png")
    dark = [(tmp_path / "12.png", pairs[1][1])] * 2 + pairs[6:7]
    for cache in ("memory", tmp_path / "caches"):
        datasets.load_pairs(dark, read_pair, 12, (4, 4), f"images in {cache}", cache)
        assert f"67% of the images in {cache} are nearly black" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("masks", "n_classes", "said"),
    [
        ([[0, 0, 1, 255]], 2, False),
        ([[0, 0, 0, 255]], 2, True),  # nothing of class 1
        ([[0, 0, 0, 0, 1], [255] * 5, [255] * 5], 2, True),  # ten times as much as class 1
        ([[0, 1, 1, 255]], 3, True),
        ([[0, 1, 1, 1]], 3, False),
        ([[0, 1, 2] + [255] * 28], 3, True),
    ],
)
def test_void_in_the_place_of_a_class_is_said(tmp_path, masks, n_classes, said, capsys):
    size = (len(masks), len(masks[0]))
    pair = save(tmp_path / "i.png", np.full((*size, 3), 99)), save(tmp_path / "m.png", masks)
    datasets.load_pairs([pair], read_pair, n_classes, None, f"images of {tmp_path}")
    out = capsys.readouterr().out
    assert ("Does void stand for a class?" in out) == said
    if masks == [[0, 0, 0, 255]]:
        assert out.startswith(
            f"The images of {tmp_path} have 0 pixels of class 1 (from 0) and 1 of"
        )


# ---------------------------------------------------------------- batches


def tagged(count=10, size=(4, 4)):
    """Make a data set whose image i is full of 10 i and whose mask is full of i."""
    masks = [np.full(size, i, np.uint8) for i in range(count)]
    return datasets.from_arrays([np.repeat(10 * m[..., None], 3, axis=-1) for m in masks], masks)


def tags(batched):
    return [int(tag) for _, masks in batched for tag in masks[:, 0, 0]]


def test_batches_keep_the_order_and_the_last_batch():
    batched = datasets.batches(tagged(), 4)
    assert [images.shape[0] for images, _ in batched] == [4, 4, 2]
    assert tags(batched) == tags(batched) == list(range(10))
    images, masks = next(iter(batched))
    assert (images.dtype, masks.dtype) == (tf.uint8, tf.uint8)
    assert (images.shape, masks.shape) == ((4, 4, 4, 3), (4, 4, 4))
    assert int(batched.cardinality()) == 3


def test_epochs_follow_each_other_and_each_is_shuffled_anew():
    batched = datasets.batches(tagged(30), 8, epochs=3)
    assert [images.shape[0] for images, _ in batched] == [8, 8, 8, 6] * 3
    assert len(batched) == 12
    seen = tags(batched)
    epochs = [seen[:30], seen[30:60], seen[60:]]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [*epochs, list(range(30))]}) == 4
    for images, masks in batched:
        assert (images[..., 0] == 10 * masks).numpy().all()


def show_seed(image, mask, seed):
    """Take the place of an augmentation; two rows of 8 become the seed."""
    return image, tf.concat([tf.bitcast(seed, tf.uint8), mask[2:]], axis=0)


def rows(batched):
    """List what is in batches, as comparable bytes."""
    return [part.numpy().tobytes() for batch in batched for part in batch]


def test_order_and_augmentation_follow_from_seed_epoch_and_place_alone():
    """Fresh objects, another state of TensorFlow's own random numbers, and more epochs."""

    def two_or_more(epochs, seed=1):
        return datasets.batches(tagged(30, (3, 8)), 8, epochs, show_seed, seed)

    tf.random.set_seed(5)
    first = rows(two_or_more(2))
    tf.random.set_seed(6)
    again = two_or_more(4)
    tf.random.uniform(())
    assert rows(again.take(8)) == first == rows(again.take(8))
    assert rows(two_or_more(2, seed=2)) != first


@pytest.mark.parametrize("done", [1, 3])
def test_what_follows_an_epoch_is_what_follows_skipping_it(done):
    whole = rows(datasets.batches(tagged(30), 8, 4, datasets.augment))
    rest = datasets.batches(tagged(30), 8, 4, datasets.augment).skip(done * 4)
    assert len(rest) == 16 - 4 * done
    assert rows(rest) == whole[done * 4 * 2 :]


def test_augmentation_gives_every_pair_and_every_epoch_another_seed():
    batched = datasets.batches(tagged(10, (3, 8)), 4, 3, show_seed)
    assert len(batched) == 9
    seeds = [mask[:2].tobytes() for _, masks in batched for mask in masks.numpy()]
    assert len(set(seeds)) == len(seeds) == 30
    for epoch in range(3):
        pairs = [mask[2, 0] for _, masks in batched.skip(3 * epoch).take(3) for mask in masks]
        assert sorted(int(tag) for tag in pairs) == list(range(10))


def test_batches_refuse_what_cannot_be_meant():
    with pytest.raises(DataError, match=r"Augmentation is for training: pass epochs as well"):
        datasets.batches(tagged(), augmentation=datasets.augment)
    some = tagged().filter(lambda image, mask: mask[0, 0] > 3)
    with pytest.raises(DataError, match=r"unknown length cannot be shuffled.*assert_cardinality"):
        datasets.batches(some, epochs=2)
    assert tags(datasets.batches(some)) == list(range(4, 10))
    for number in (0, -1, 2.0, True, "8"):
        with pytest.raises(DataError, match=rf"batch_size is {number!r}; expected a whole number"):
            datasets.batches(tagged(), number)
    for number in (0, 1.5, True):
        with pytest.raises(DataError, match=rf"epochs is {number!r}; expected a whole number"):
            datasets.batches(tagged(), 8, number, datasets.augment)
    floats = tagged().map(lambda image, mask: (tf.cast(image, tf.float32), mask))
    with pytest.raises(DataError, match=r"images are float32 \(4, 4, 3\); expected uint8, .*nan"):
        datasets.batches(floats)


def test_batches_of_several_sizes_are_refused_and_of_one_image_are_not():
    images = [np.zeros((2, side, 3), np.uint8) for side in (3, 4)]
    mixed = datasets.from_arrays(images, [image[..., 0] for image in images])
    with pytest.raises(DataError, match=r"uint8 \(None, None, 3\); .*image_size such as"):
        datasets.batches(mixed)
    assert [mask.shape for _, mask in datasets.batches(mixed, 1)] == [(1, 2, 3), (1, 2, 4)]


def test_class_weights_become_the_weight_of_every_pixel_and_void_gets_none():
    masks = np.array([[[0, 2], [255, 1]], [[1, 1], [2, 255]], [[0, 0], [0, 0]]], np.uint8)
    pairs = datasets.from_arrays(np.zeros((3, 2, 2, 3), np.uint8), masks)
    weighted = training.with_class_weights(datasets.batches(pairs, 2), [0.5, 3.0, 10.0])
    assert int(weighted.cardinality()) == 2
    _, labels, weights = zip(*weighted.as_numpy_iterator(), strict=True)
    np.testing.assert_array_equal(np.concatenate(labels), masks)
    expected = [[[0.5, 10], [0, 3]], [[3, 3], [10, 0]], [[0.5, 0.5], [0.5, 0.5]]]
    np.testing.assert_array_equal(np.concatenate(weights), np.float32(expected))


# ---------------------------------------------------------------- augmentation


@pytest.fixture(scope="module")
def augmented():
    """Sixty changes of an image whose colour tells its mask: 200 where 1, 50 where 0."""
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 5:40] = 1
    image = np.where(mask, 200, 50).astype(np.uint8)[..., None].repeat(3, axis=-1)
    change = tf.function(lambda *pair_and_seed: datasets.augment(*pair_and_seed, zoom=1.0))
    return [
        [part.numpy() for part in change(image, mask, tf.constant([i, 7], tf.int64))]
        for i in range(60)
    ]


def test_augment_keeps_shapes_dtypes_and_labels(augmented):
    for image, mask in augmented:
        assert (image.shape, mask.shape) == ((48, 64, 3), (48, 64))
        assert (image.dtype, mask.dtype) == (np.uint8, np.uint8)
        assert set(np.unique(mask)) <= {0, 1, 255}
    assert len({mask.tobytes() for _, mask in augmented}) > 55


def surrounded(mask):
    """Mark the pixels whose eight neighbours have the same label: elsewhere the image blends."""
    height, width = mask.shape
    padded = np.pad(mask, 1, mode="edge")
    beside = [padded[r : r + height, c : c + width] for r in range(3) for c in range(3)]
    return np.all([other == mask for other in beside], axis=0)


def test_augment_moves_image_and_mask_together(augmented):
    compared = 0
    for image, mask in augmented:
        inside = surrounded(mask) & (mask != 255)
        if not (inside & (mask == 0)).any() or not (inside & (mask == 1)).any():
            continue
        bright = image.astype(int).sum(axis=-1)
        assert bright[inside & (mask == 1)].min() > bright[inside & (mask == 0)].max()
        compared += inside.sum()
    assert compared > 60 * 48 * 64 / 2


def test_augment_marks_what_lies_outside_as_void(augmented):
    shares = [float((mask == 255).mean()) for _, mask in augmented]
    assert any(share > 0.05 for share in shares)
    assert any(share == 0 for share in shares)
    for image, mask in augmented:
        # outside is one flat colour: black before light and colour are changed
        assert len(np.unique(image[surrounded(mask) & (mask == 255)], axis=0)) <= 1


def test_augment_without_a_seed_draws_one(rng):
    image, mask = noise(rng, 20, 30, 3), np.zeros((20, 30), np.uint8)
    one, other = (datasets.augment(image, mask)[0].numpy() for _ in range(2))
    assert (one != other).any()


def test_augment_rounds_to_the_nearest_grey():
    image, mask = np.full((8, 8, 3), 100, np.uint8), np.zeros((8, 8), np.uint8)
    change, errors = tf.function(datasets.augment), []
    for seed in ([i, 3] for i in range(20)):
        changed, _ = change(image, mask, tf.constant(seed))
        random = tf.random.stateless_uniform((9,), seed).numpy()
        exact = (100 + 40 * (random[5] - 0.5)) * (0.93 + 0.14 * random[6:9])
        errors.append(changed.numpy()[0, 0] - exact)
    assert np.abs(errors).max() < 0.501
    assert abs(np.mean(errors)) < 0.1  # 60 numbers between -0.5 and 0.5 deviate by 0.04


def test_augment_does_not_round_between_its_steps(rng):
    """Where a zoom blends neighbours, whole numbers go the same way as exact ones."""
    image, mask = noise(rng, 20, 30, 3), np.zeros((20, 30), np.uint8)
    whole, exact = (
        datasets.augment(values, mask, tf.constant([5, 6]), zoom=1.0)[0]
        for values in (image, np.float32(image))
    )
    np.testing.assert_array_equal(whole, exact)


def test_augment_is_repeated_by_its_seed(rng):
    image, mask = noise(rng, 20, 30, 3), rng.integers(0, 3, (20, 30)).astype(np.uint8)
    for seed in ([1, 2], [3, 4]):
        first, second = (datasets.augment(image, mask, tf.constant(seed)) for _ in range(2))
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


def test_augment_without_zoom_only_mirrors_and_that_about_half_of_the_time():
    mask = np.arange(12 * 17, dtype=np.uint8).reshape(12, 17)
    image = mask[..., None].repeat(3, axis=-1)
    change = tf.function(datasets.augment)
    mirrored = 0
    for i in range(120):
        bright, changed = (part.numpy() for part in change(image, mask, tf.constant([i, 0])))
        if changed[0, 0] == mask[0, 0]:
            np.testing.assert_array_equal(changed, mask)
        else:
            np.testing.assert_array_equal(changed, mask[:, ::-1])
            mirrored += 1
        # where the mask counts up, the image gets brighter or stays
        order = np.argsort(changed, axis=None)
        assert (np.diff(bright.reshape(-1, 3)[order].astype(int), axis=0) >= 0).all()
    assert 38 < mirrored < 82  # four standard deviations


def test_random_crop_cuts_image_and_mask_alike_and_reaches_every_corner():
    mask = np.arange(30, dtype=np.uint8).reshape(5, 6)
    image, corners = np.stack([mask, mask + 100, mask + 200], -1), set()
    seeds = tf.data.Dataset.range(200)
    crops = seeds.map(lambda number: datasets.random_crop(image, mask, (3, 4), seed=[number, 0]))
    for part, labels in crops.as_numpy_iterator():
        assert labels.shape == (3, 4)
        np.testing.assert_array_equal(part, np.stack([labels, labels + 100, labels + 200], -1))
        corner = divmod(int(labels[0, 0]), 6)
        np.testing.assert_array_equal(labels, mask[corner[0] :, corner[1] :][:3, :4])
        corners.add(corner)
    assert corners == {(row, column) for row in range(3) for column in range(3)}


def test_every_second_random_crop_is_around_a_chosen_class_where_there_is_one():
    mask = np.zeros((32, 32), np.uint8)
    mask[20, 9], mask[3, 3] = 7, 9
    image = np.zeros((32, 32, 3), np.uint8)
    pairs = datasets.from_arrays([image] * 400, [mask] * 400)
    crop = pairs.map(lambda *pair: datasets.random_crop(*pair, (4, 4), (5, 7)))
    assert crop.element_spec[0].shape == (4, 4, 3)  # known before anything is computed
    found = [labels for _, labels in crop.as_numpy_iterator()]
    # anywhere, 16 of about 900 crops hold a given pixel
    assert 160 < sum(7 in labels for labels in found) < 250
    assert sum(9 in labels for labels in found) < 30
    in_the_middle = sum(labels[2, 2] == 7 for labels in found)
    assert in_the_middle > 150


def test_augment_does_not_follow_from_the_place_of_a_crop_with_the_same_seed():
    """A crop's row and the mirroring must be independent: else only the upper half is mirrored."""
    mask = np.arange(32, dtype=np.uint8)[:, None].repeat(32, 1)
    mask[:, 0] = 99  # in a whole image's width the first column, or mirrored the last
    image, rows = mask[..., None].repeat(3, -1), {True: [], False: []}

    def row_and_mirroring(number):
        row = datasets.random_crop(image, mask, (1, 32), seed=[number, 0])[1][0, 1]
        return row, datasets.augment(image, mask, [number, 0])[1][0, 0] != 99

    for row, mirrored in tf.data.Dataset.range(300).map(row_and_mirroring).as_numpy_iterator():
        rows[bool(mirrored)].append(int(row))
    means = [np.mean(of_these) for of_these in rows.values()]
    assert min(map(len, rows.values())) > 100 and abs(means[0] - means[1]) < 5


def test_augment_changes_light_and_colour(augmented):
    tints = np.array([image[mask == 1].mean(axis=0) for image, mask in augmented if 1 in mask])
    assert tints.std(axis=0).min() > 5
    assert (tints[:, 0] - tints[:, 2]).std() > 3


# ---------------------------------------------------------------- where data lies


def never():
    raise AssertionError("the full set was asked for")


@pytest.mark.parametrize("data", [None, "sample"])
def test_choose_takes_the_sample(data, repo):
    assert choose(data, "carla", never) == repo / "data" / "carla"


def test_choose_gets_the_full_set(tmp_path):
    assert choose("full", "carla", lambda: tmp_path) == tmp_path


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_choose_takes_a_folder(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("UNET_COURSE_DATA", "full")
    assert choose(kind(tmp_path), "carla", never) == tmp_path


def test_choose_names_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(DataError, match=r"no folder .*gone.*'sample', 'full', or another path"):
        choose(tmp_path / "gone", "carla", never)
    with pytest.raises(DataError, match=r"no folder ''\. Pass 'sample'"):
        choose("", "carla", never)


def test_the_environment_overrides_the_line_of_a_notebook(monkeypatch, repo, tmp_path):
    monkeypatch.setenv("UNET_COURSE_DATA", "sample")
    assert choose("full", "carla", never) == repo / "data" / "carla"
    monkeypatch.setenv("UNET_COURSE_DATA", "full")
    assert choose("sample", "carla", lambda: tmp_path) == tmp_path
    assert choose(None, "carla", never) == repo / "data" / "carla"
    monkeypatch.setenv("UNET_COURSE_DATA", "everything")
    with pytest.raises(DataError, match=r"UNET_COURSE_DATA is 'everything'; .*sample or full"):
        choose("sample", "carla", never)


def test_full_folder(monkeypatch, repo, tmp_path):
    assert files.full_folder("pets") == repo / "data" / "full" / "pets"
    monkeypatch.setenv("UNET_COURSE_DATA_DIR", str(tmp_path))
    assert files.full_folder("pets") == tmp_path / "pets"


def test_sample_folder_that_is_not_there():
    with pytest.raises(DataError, match=r"sample data 'zebras' .*Clone the whole repository"):
        files.sample_folder("zebras")


def test_batches_do_without_the_autotuner(rng):
    """Its sleeping thread can hold up the end of every epoch."""
    images = rng.integers(0, 256, (4, 8, 8, 3), np.uint8)
    masks = rng.integers(0, 3, (4, 8, 8), np.uint8)
    dataset = datasets.from_arrays(images, masks)
    for epochs in (None, 2):
        made = datasets.batches(dataset, 2, epochs)
        assert made.options().autotune.enabled is False
