"""Images of any size by tiles, folders of them, and videos."""

import importlib.util
import shutil

import imageio.v2 as imageio
import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from small import pointwise

from unet_helpers import datasets, inference, models
from unet_helpers.datasets import folder as folder_dataset
from unet_helpers.inference import images as image_inference
from unet_helpers.inference import tiles
from unet_helpers.labels import DataError, Labels

TWO = Labels("two", ("dark", "bright"), ((30, 60, 200), (240, 180, 40)))


def brightness():
    """Build a model that calls a pixel bright when its mean is above the middle."""
    model = pointwise(2)
    model.set_weights([np.array([[0, 1]] * 3, np.float32)[None, None], np.zeros(2, np.float32)])
    return model


def noting(model):
    """Note the shapes of the batches that a model gets."""
    model.shapes, run = [], model.predict_on_batch
    model.predict_on_batch = lambda batch: model.shapes.append(batch.shape) or run(batch)
    return model


@pytest.fixture(scope="module")
def model():
    return pointwise()


@pytest.fixture(scope="module")
def unet():
    """U-Net with random weights, for images of any size."""
    keras.utils.set_random_seed(3)
    return models.unet_model((None, None, 3), 2, 4, 0)


@pytest.fixture(scope="module")
def large():
    """An image that is larger than U-Net's receptive field."""
    return np.random.default_rng(5).integers(0, 256, (336, 400, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def whole(unet, large):
    """Logits of the large image in one piece."""
    return inference.predict_logits(unet, large[None])[0]


def stitched(model, image, **options):
    """Collect all bands of logits, of one image or of several."""
    bands, end = [], 0
    for row, logits in inference.tile_logits(model, image, **options):
        assert row == end
        bands.append(logits.copy())
        end += logits.shape[-3]
    return np.concatenate(bands, axis=-3)


# ---------------------------------------------------------------- tiles


@pytest.mark.parametrize("size", [(37, 53), (16, 16), (50, 9), (1, 1)])
@pytest.mark.parametrize(
    "options", [{"overlap": 0}, {"overlap": 5}, {"overlap": 11, "blend": False}, {"margin": 3}]
)
def test_tiles_of_a_pointwise_model_give_the_whole_image(model, rng, size, options):
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    tiled = inference.predict_image(model, image, tile=(16, 12), **options)
    whole = inference.predict_masks(model, image[None])[0]
    assert tiled.dtype == np.uint8
    np.testing.assert_array_equal(tiled, whole)


def test_tiles_reach_the_model_in_its_size(rng):
    model = noting(pointwise(size=(16, 16)))
    image = rng.integers(0, 256, (37, 53, 3)).astype(np.uint8)
    assert inference.predict_image(model, image, overlap=4).shape == (37, 53)
    # rows start at 0, 12, 21; columns at 0, 12, 24, 36, 37
    assert model.shapes == [(1, 16, 16, 3)] * 3 * 5


def test_a_small_image_goes_through_a_model_of_any_size_at_once(unet, rng):
    image = rng.integers(0, 256, (33, 48, 3)).astype(np.uint8)
    logits = stitched(unet, image)
    whole = inference.predict_logits(unet, inference.pad_to_multiple(image)[None])[0]
    np.testing.assert_allclose(logits, whole[:33, :48], atol=1e-5)


def test_enough_overlap_gives_exactly_the_whole_image(unet, large, whole):
    """Cut where each pixel lies deepest, no pixel lacks anything that it can see."""
    far = inference.receptive_field_radius(models.unet_model((64, 64, 3), 2, 4, 0))
    assert 2 * far <= 256
    exact = stitched(unet, large, tile=(304, 304), overlap=256, blend=False)
    np.testing.assert_allclose(exact, whole, atol=5e-6)
    # and with less overlap some pixel does lack something
    poor = stitched(unet, large, tile=(304, 304), overlap=64, blend=False)
    assert np.abs(poor - whole).max() > 1e-4


def test_receptive_field_radius_by_hand():
    """Three 3x3 convolutions see 3 pixels; after a pooling each sees twice as far."""
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for _ in range(3):
        x = layers.Conv2D(1, 3, padding="same")(x)
    assert inference.receptive_field_radius(keras.Model(inputs, x)) == 3
    x = layers.MaxPooling2D(2)(inputs)
    x = layers.Conv2D(1, 3, padding="same")(x)
    x = layers.UpSampling2D(2)(x)
    # an even pixel and its right neighbour share a cell of 2, which sees 2 more on each side
    assert inference.receptive_field_radius(keras.Model(inputs, x)) == 3


def test_inside_of_blended_tiles_is_exact_too(unet, large, whole):
    """Only one tile counts there, and it sees all that the pixel depends on."""
    blended = stitched(unet, large, tile=(304, 400), overlap=128)
    # tiles start at rows 0 and 32; only the second holds row 304 and below, 128 below its border
    np.testing.assert_allclose(blended[304:], whole[304:], atol=1e-5)
    np.testing.assert_allclose(blended[:32], whole[:32], atol=1e-5)
    assert np.abs(blended - whole).max() > 1e-4


def test_total_stride_of_networks(model):
    assert inference.tiles.total_stride(models.unet_model((32, 32, 3), 1, 2)) == 16
    assert inference.tiles.total_stride(models.fcn_model((None, None, 3), 1, 2, stride=8)) == 32
    assert inference.tiles.total_stride(model) == 1


def test_models_used_as_layers_count_in_the_total_stride():
    """The inner model pools by 4, the outer one by 2 before it; 8 is the deepest level."""
    x = inner = keras.Input((None, None, 4))
    for _ in range(2):
        x = layers.MaxPooling2D()(x)
    inner = keras.Model(inner, layers.UpSampling2D(4)(x), name="inner")
    inputs = keras.Input((None, None, 3))
    x = keras.Sequential([layers.Rescaling(1 / 255)])(inputs)
    x = layers.MaxPooling2D()(layers.Conv2D(4, 1)(x))
    outer = keras.Model(inputs, layers.UpSampling2D()(inner(x)))
    assert inference.tiles.total_stride(outer) == 8
    image = np.random.default_rng(0).integers(0, 256, (30, 41, 3)).astype(np.uint8)
    whole = inference.predict_logits(outer, inference.pad_to_multiple(image, 8)[None])[0]
    tiled = stitched(outer, image, tile=(16, 16), overlap=0)
    np.testing.assert_allclose(tiled, whole[:30, :41], atol=1e-5)
    with pytest.raises(ValueError, match="inner is a model used as a layer"):
        inference.receptive_field_radius(keras.Sequential([keras.Input((16, 16, 4)), inner]))


def test_tile_starts_by_hand():
    assert inference.tile_starts(37, 16, 4) == [0, 12, 21]
    assert inference.tile_starts(16, 16, 4) == [0]
    assert inference.tile_starts(3, 16, 4) == [0]
    assert inference.tile_starts(17, 16, 0) == [0, 1]
    assert inference.tile_starts(100, 64, 16, grid=16) == [0, 48]
    assert inference.tile_starts(113, 64, 10, grid=16) == [0, 48, 64]


@pytest.mark.parametrize(("overlap", "grid"), [(0, 1), (7, 1), (1, 4), (12, 4)])
def test_tiles_cover_every_pixel_and_lie_on_the_grid(overlap, grid):
    for length in range(1, 100):
        starts = inference.tile_starts(length, 16, overlap, grid)
        assert all(start % grid == 0 for start in starts)
        assert {s + i for s in starts for i in range(16)} >= set(range(length))
        assert starts[-1] + 16 < max(length, 16) + grid
        steps = np.diff(starts)
        assert (steps > 0).all() and (steps <= 16 - overlap).all()


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize(("length", "overlap"), [(40, 0), (41, 5), (3, 2)])
def test_weights_of_a_pixel_sum_to_1(length, overlap, blend):
    starts = inference.tile_starts(length, 16, overlap)
    total = np.zeros(max(length, 16))
    for start, share in zip(
        starts, inference.blend_weights(starts, 16, overlap, blend), strict=True
    ):
        assert share.dtype == np.float32 and share.min() >= 0
        total[start : start + 16] += share
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_blend_weights_by_hand():
    # two tiles of 6 that share pixels 4 and 5
    first, second = inference.blend_weights([0, 4], 6, 2, blend=True)
    np.testing.assert_allclose(first, [1, 1, 1, 1, 2 / 3, 1 / 3])
    np.testing.assert_allclose(second, [1 / 3, 2 / 3, 1, 1, 1, 1])
    first, second = inference.blend_weights([0, 4], 6, 2, blend=False)
    assert first.tolist() == [1, 1, 1, 1, 1, 0]
    assert second.tolist() == [0, 1, 1, 1, 1, 1]


def test_margin_shows_the_model_a_mirrored_image_around(rng):
    model = noting(pointwise())
    image = rng.integers(0, 256, (10, 12, 3)).astype(np.uint8)
    seen = []
    run = model.predict_on_batch
    model.predict_on_batch = lambda batch: seen.append(batch[0]) or run(batch)
    inference.predict_image(model, image, margin=4)
    expected = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    np.testing.assert_array_equal(seen[0], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 16}, r"For tiles of 16 pixels, overlap is 16; .* whole number from 0 to 15"),
        ({"overlap": 2.5}, "overlap is 2.5; expected a whole number"),
        ({"margin": -4}, "margin is -4; expected a whole number of 0 or more"),
        ({"tile": 64}, r"tile is 64; expected positive whole numbers such as \(64, 96\)"),
        ({"threshold": 5}, "threshold is 5; expected a number from 0 to 1"),
        ({"scale": "2"}, "scale is '2'"),
        ({"scale": 1e5}, "makes 2000000x2000000 pixels of 20x20; 67,108,864 are the most"),
        ({"flips": "up"}, "flips is 'up'; expected one of none, left-right, all"),
        ({"tile": (0, 16)}, r"tile is \(0, 16\); expected positive whole numbers"),
    ],
)
def test_predict_image_refuses_options(model, options, message):
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(DataError, match=message):
        inference.predict_image(model, image, **{"tile": (16, 16), **options})


@pytest.mark.parametrize("size", [(5, 7), (9, 40)])
def test_images_smaller_than_the_stride_need_no_overlap(unet, rng, size):
    """A side that fits into one tile shares nothing, whatever overlap larger images need."""
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    whole = inference.predict_masks(unet, inference.pad_to_multiple(image)[None])[0]
    for overlap in (None, 64):
        mask = inference.predict_image(unet, image, overlap=overlap)
        np.testing.assert_array_equal(mask, whole[: size[0], : size[1]])


def test_tiles_of_the_strides_size_lie_side_by_side(rng):
    inputs = keras.Input((4, 4, 3))
    model = noting(keras.Model(inputs, layers.UpSampling2D(4)(layers.MaxPooling2D(4)(inputs))))
    image = rng.integers(0, 256, (5, 11, 3)).astype(np.uint8)
    assert inference.predict_image(model, image).shape == (5, 11)
    assert model.shapes == [(1, 4, 4, 3)] * 6


def test_predict_image_refuses_models_that_do_not_fit(unet):
    image = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(DataError, match="it takes any x any x 3, in multiples of 16"):
        inference.predict_image(unet, image, tile=(40, 48))
    with pytest.raises(DataError, match="it takes 8 x 8 x 3"):
        inference.predict_image(pointwise(size=(8, 8)), image, tile=(16, 16))
    inputs = keras.Input((16, 16, 3))
    valid = keras.Model(inputs, layers.Conv2D(2, 3)(inputs))
    with pytest.raises(DataError, match=r"returns 14x14 for a tile of 16x16.*padded"):
        inference.predict_image(valid, image)
    inputs = keras.Input((16, 16, 1))
    grey = keras.Model(inputs, layers.Conv2D(2, 1)(inputs))
    with pytest.raises(DataError, match=r"16 x 16 x 3 do not fit .* it takes 16 x 16 x 1"):
        inference.predict_image(grey, image)


# ---------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 20, 20, 3), np.uint8), r"shape \(1, 20, 20, 3\); expected \(H, W, 3\)"),
        (np.zeros((0, 20, 3), np.uint8), r"shape \(0, 20, 3\)"),
        (np.zeros((20, 20, 2), np.uint8), r"shape \(20, 20, 2\)"),
        (np.zeros((20, 20, 3)), "float64; expected uint8"),
    ],
)
def test_predict_image_refuses_arrays(model, image, message):
    with pytest.raises(DataError, match=message):
        inference.predict_image(model, image)


def test_grey_and_transparent_arrays_are_images(rng):
    grey = rng.integers(0, 256, (6, 7)).astype(np.uint8)
    expected = (grey > 127).astype(np.uint8)
    for image in (grey, grey[..., None], np.dstack([grey] * 4)):
        bright = inference.predict_image(threshold_at_half(), image)
        np.testing.assert_array_equal(bright, expected)


def threshold_at_half():
    """Build a single logit: the mean of the three channels less the middle, times 100."""
    model = pointwise(1)
    kernel = np.full((1, 1, 3, 1), 100 / 3, np.float32)
    model.set_weights([kernel, np.zeros(1, np.float32)])
    return model


def test_threshold_reaches_a_single_logit():
    image = np.full((4, 4, 3), 129, np.uint8)  # logit 100 (129 / 255 - 0.5) = 0.59, sigmoid 0.64
    model = threshold_at_half()
    assert inference.predict_image(model, image, threshold=0.6).all()
    assert not inference.predict_image(model, image, threshold=0.7).any()


def test_a_file_is_read_as_one_sees_it(tmp_path):
    image = np.repeat(np.array([[9, 200], [200, 9], [9, 9]], np.uint8)[..., None], 3, axis=-1)
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns the stored pixels clockwise
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    mask = inference.predict_image(threshold_at_half(), tmp_path / "a.png")
    assert mask.tolist() == [[0, 1, 0], [0, 0, 1]]


def test_scale_lets_the_model_work_on_a_smaller_image(rng):
    model = noting(brightness())
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 20:] = 255
    mask = inference.predict_image(model, image, scale=0.25)
    assert model.shapes == [(1, 10, 15, 3)]
    np.testing.assert_array_equal(mask, image[..., 0] // 255)
    assert inference.predict_image(model, image, scale=1e-6).shape == (40, 60)


def test_flips_average_what_the_views_say():
    """A model that looks one pixel to the left sees, with its mirrored view, both sides."""
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(1, 3, padding="same", use_bias=False)(inputs))
    kernel = np.zeros((3, 3, 3, 1), np.float32)
    kernel[1, 0, 0] = 1  # the left neighbour's red
    model.set_weights([kernel])
    image = np.zeros((3, 4, 3), np.uint8)
    image[1, :, 0] = [8, 20, 50, 100]
    line = {f: stitched(model, image, flips=f)[1, :, 0].tolist() for f in tiles.FLIPS}
    assert line["none"] == [0, 8, 20, 50]
    assert line["left-right"] == [10, 29, 60, 25]
    assert line["all"] == [10, 29, 60, 25]
    upwards = np.zeros_like(kernel)
    upwards[0, 1, 0] = 1
    model.set_weights([upwards])
    column = stitched(model, image, flips="all")[:, 3, 0].tolist()
    assert column == [50, 0, 50]


# ---------------------------------------------------------------- folders


@pytest.fixture
def folder(tmp_path):
    """Three images of different sizes and kinds, the left half bright."""
    for name, width in (("b.png", 8), ("a.jpg", 32), ("c.gif", 16)):
        image = np.zeros((16, width, 3), np.uint8)
        image[:, : width // 2] = 255
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / "in" / name)
    return tmp_path / "in"


def test_predict_folder_writes_masks_that_are_read_back(folder, tmp_path):
    target = tmp_path / "new" / "masks"
    paths = inference.predict_folder(threshold_at_half(), folder, target, TWO)
    assert paths == [target / name for name in ("a.png", "b.png", "c.png")]
    assert sorted(target.iterdir()) == [*paths, target / image_inference.LIST]
    mask = datasets.read_mask(paths[0])
    assert mask.shape == (16, 32)
    assert mask[:, :14].all() and not mask[:, 18:].any()
    # a viewer sees the palette
    assert datasets.read_image(paths[1])[0, 0].tolist() == list(TWO.colours[1])
    assert datasets.read_image(paths[1])[0, 7].tolist() == list(TWO.colours[0])


def test_predict_folder_names_a_broken_image_after_all_others(folder, tmp_path):
    (folder / "aa.png").write_bytes((folder / "b.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"1 of 4 images could not be read.*aa\.png"):
        inference.predict_folder(threshold_at_half(), folder, tmp_path / "out")
    masks = datasets.image_files(tmp_path / "out")
    assert [path.name for path in masks] == ["a.png", "b.png", "c.png"]


def test_predict_folder_refuses_before_it_writes(folder, tmp_path):
    Image.new("RGB", (4, 4)).save(folder / "b.bmp")
    with pytest.raises(DataError, match=r"b\.bmp and 'b\.png' have the same name"):
        inference.predict_folder(brightness(), folder, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"contains no images\. Accepted endings"):
        inference.predict_folder(brightness(), tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="There is no folder"):
        inference.predict_folder(brightness(), tmp_path / "gone", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def contents(folder):
    """Dict from the files in a folder to their bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_predict_folder_never_replaces_masks_that_it_did_not_write(folder, tmp_path):
    truth = tmp_path / "masks"
    inference.save_mask(truth / "b.png", np.zeros((16, 8), np.uint8))
    before = contents(truth)
    for image in ("b.png", "c.gif"):  # of this name, and of another one
        (folder / image).unlink()
        with pytest.raises(DataError, match=r"masks holds b\.png, which .* did not write"):
            inference.predict_folder(brightness(), folder, truth)
        assert contents(truth) == before


def test_the_folder_of_the_images_is_no_target(folder, tmp_path):
    """Not even where an earlier prediction wrote the images."""
    masks, link = tmp_path / "masks", tmp_path / "link"
    inference.predict_folder(brightness(), folder, masks)
    link.symlink_to(masks)
    for source, target in ((folder, folder), (masks, masks), (masks, link), (link, masks)):
        before = contents(source)
        with pytest.raises(DataError, match="is the folder of the images; choose another"):
            inference.predict_folder(brightness(), source, target)
        assert contents(source) == before


def test_a_second_prediction_replaces_the_masks_of_the_first(folder, tmp_path):
    target = tmp_path / "out"
    inference.predict_folder(brightness(), folder, target)
    (folder / "a.jpg").unlink()
    (folder / "b.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="1 of 2 images could not be read"):
        inference.predict_folder(threshold_at_half(), folder, target)
    assert sorted(contents(target)) == ["c.png", image_inference.LIST]
    (folder / "c.gif").write_bytes(b"broken")
    with pytest.raises(DataError, match="2 of 2 images could not be read"):
        inference.predict_folder(brightness(), folder, target)
    assert not datasets.image_files(target)


def test_two_masks_of_one_name_are_refused(tmp_path):
    mask = np.zeros((2, 2), np.uint8)
    with pytest.raises(DataError, match=r"Two masks would both become .*a\.png"):
        inference.save_masks(tmp_path, [("a", mask), ("b", mask), ("a", 1 - mask)])
    assert not datasets.read_mask(tmp_path / "a.png").any()
    assert len(inference.save_masks(tmp_path, [("c", mask)])) == 1  # in place of the two


@pytest.mark.parametrize("change", ["mask", "list", "no list", "new mask"])
def test_masks_that_someone_has_worked_on_are_kept(folder, tmp_path, change):
    target = tmp_path / "out"
    mask = inference.predict_folder(brightness(), folder, target)[1]
    if change == "mask":
        inference.save_mask(mask, 1 - datasets.read_mask(mask))
    elif change == "list":
        (target / image_inference.LIST).write_text("[]")
    elif change == "no list":
        (target / image_inference.LIST).unlink()
    else:
        shutil.copy(mask, target / "mine.png")
    before = contents(target)
    with pytest.raises(DataError, match=r"out (holds .* has changed since|cannot be used)"):
        inference.predict_folder(brightness(), folder, target)
    assert contents(target) == before


def test_a_prediction_that_fails_keeps_earlier_masks_and_names_the_image(folder, tmp_path):
    target = tmp_path / "out"
    inference.predict_folder(brightness(), folder, target)
    before = contents(target)
    with pytest.raises(DataError, match=r"a\.jpg cannot be predicted\. .*overlap is 9"):
        inference.predict_folder(brightness(), folder, target, tile=(8, 8), overlap=9)
    with pytest.raises(DataError, match=r"^scale is 0"):
        inference.predict_folder(brightness(), folder, target, scale=0)
    assert contents(target) == before


CLASSES = {
    "ids": ("name,id\ncar,1\nroad,0\nsky,200\n", [1, 0, 200]),
    "colours": ("name,colour\nroad,#000000\ncar,0 0 142\nsky,#4682b4\n", None),
    "both": (
        "name,id,colour\nvoid,0,#000000\nsky,200,#4682b4\ncar,255,9 9 9\nroad,7,#804080\n",
        [200, 255, 7],
    ),
    "names": ("name\nroad\ncar\nsky\n", [0, 1, 2]),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_predicted_masks_are_read_back_as_the_classes_that_they_are(tmp_path, kind):
    """Ids or colours of the user's own; names and sizes of the images, of which one is turned."""
    text, ids = CLASSES[kind]
    (tmp_path / "labels.csv").write_text(text)
    (tmp_path / "images").mkdir()
    grey = np.repeat(np.array([0, 130, 255], np.uint8), 4)  # three columns of classes, by hand
    image = Image.fromarray(np.tile(grey[None, :, None], (6, 1, 3)))
    image.save(tmp_path / "images" / "street 1.b.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns the stored pixels clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "images" / "t.tif", exif=exif)
    model = pointwise(3)
    kernel = np.array([[0, 0, 0]] * 2 + [[-20, 0, 20]], np.float32)[None, None]
    model.set_weights([kernel, np.array([-4, 0, -4], np.float32)])
    (tmp_path / "masks").mkdir()
    labels = folder_dataset.read_labels(tmp_path)
    paths = inference.predict_folder(model, tmp_path / "images", tmp_path / "masks", labels)
    assert [path.name for path in paths] == ["street 1.b.png", "t.png"]
    expected = np.tile(np.repeat(np.array([0, 1, 2], np.uint8), 4), (6, 1))
    for image, mask in folder_dataset.load("all", tmp_path, None).as_numpy_iterator():
        assert image.shape == (6, 12, 3)
        np.testing.assert_array_equal(mask, expected)
    if ids:
        assert datasets.read_mask(paths[0])[0, ::4].tolist() == ids
    shown = datasets.read_image(paths[1])[0, ::4]
    np.testing.assert_array_equal(shown, labels.colours)


def test_masks_that_do_not_fit_their_labels_are_not_written(tmp_path):
    path, mask = tmp_path / "a.png", np.array([[0, 1, 2]], np.uint8)
    with pytest.raises(DataError, match=r"a\.png holds labels outside the classes: \[2\]"):
        inference.save_mask(path, mask, TWO)
    mask[0, 2] = 255
    inference.save_mask(path, mask, TWO)
    assert datasets.read_mask(path).tolist() == [[0, 1, 255]]
    path.unlink()
    # 255 is a class here
    with pytest.raises(DataError, match=r"a\.png cannot hold void, which two gives no id"):
        inference.save_mask(path, mask, Labels("two", TWO.classes, TWO.colours, (0, 255)))
    assert not path.exists()


# ---------------------------------------------------------------- several images


def test_small_images_of_one_size_go_together_and_keep_their_order(unet, rng):
    sizes = [(20, 40), (20, 40), (20, 40), (33, 17), (20, 40)]
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    found = list(inference.predict_images(unet, iter(images)))
    assert len(found) == 5
    for (image, mask), given in zip(found, images, strict=True):
        np.testing.assert_array_equal(image, given)
        np.testing.assert_array_equal(mask, inference.predict_image(unet, given))


def test_many_small_images_go_in_steps(rng, monkeypatch):
    monkeypatch.setattr(image_inference, "MOST", 4)
    model = noting(pointwise(size=(16, 16)))
    images = rng.integers(0, 256, (9, 16, 16, 3)).astype(np.uint8)
    assert len(list(inference.predict_images(model, images))) == 9
    assert [shape[0] for shape in model.shapes] == [4, 4, 1]


def test_images_larger_than_a_tile_go_together_too(rng):
    model = noting(pointwise(size=(16, 16)))
    images = rng.integers(0, 256, (2, 16, 30, 3)).astype(np.uint8)
    list(inference.predict_images(model, images, overlap=0))
    assert [shape[0] for shape in model.shapes] == [2, 2]  # two tiles of each
    model.shapes.clear()
    # halved they fit
    list(inference.predict_images(model, images, scale=0.5))
    assert [shape[0] for shape in model.shapes] == [2]


@pytest.mark.parametrize("side", [32, 8])
def test_large_tiles_go_one_by_one(monkeypatch, side):
    for module in (image_inference, tiles):
        monkeypatch.setattr(module, "TILE", 32)
    images = np.zeros((3, side, side, 3), np.uint8)
    model = noting(pointwise(size=(32, 32)))
    list(inference.predict_images(model, images))
    assert [shape[0] for shape in model.shapes] == [1, 1, 1]


@pytest.mark.parametrize(
    "options", [{"flips": "all"}, {"margin": 3}, {"tile": (16, 16), "overlap": 0}]
)
def test_images_together_take_all_options(unet, rng, options):
    images = rng.integers(0, 256, (3, 24, 20, 3)).astype(np.uint8)
    together = stitched(unet, images, **options)
    for i in range(3):
        alone = stitched(unet, images[i], **options)
        np.testing.assert_allclose(together[i], alone, atol=1e-5)


def test_invalid_options_are_refused_for_several_images(model):
    images = np.zeros((2, 16, 16, 3), np.uint8)
    for scale in (0, -1, np.nan, np.inf):
        with pytest.raises(DataError, match=f"scale is {scale}; it must be positive"):
            list(inference.predict_images(model, images, scale=scale))
    with pytest.raises(DataError, match="overlap is 99"):
        list(inference.predict_images(model, images, tile=(8, 8), overlap=99))
    assert list(inference.predict_images(model, [])) == []


# ---------------------------------------------------------------- files that fail


def test_a_mask_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"a\.png could not be written"):
        inference.save_mask(tmp_path / "file" / "a.png", np.zeros((2, 2), np.uint8))


# ---------------------------------------------------------------- videos


@pytest.fixture
def frames(tmp_path):
    """A folder of five frames with odd sides; the bright part grows."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(5):
        image = np.zeros((21, 31, 3), np.uint8)
        image[:, : 5 * (i + 1)] = 255
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return folder


@pytest.mark.parametrize("kind", ["folder", "gif"])
def test_frames_become_a_gif_with_masks_laid_over_them(frames, tmp_path, kind):
    source, target = frames, tmp_path / "video.gif"
    if kind == "gif":
        source = tmp_path / "source.gif"
        images = [imageio.imread(path) for path in sorted(frames.iterdir())]
        imageio.mimwrite(source, images, format="GIF", duration=100)
    count = inference.predict_video(brightness(), source, target, TWO, opacity=1)
    video = [np.asarray(frame)[..., :3] for frame in imageio.get_reader(target)]
    assert count == len(video) == 5
    for i, frame in enumerate(video):
        assert frame.shape == (21, 31, 3)
        expected = np.where(np.arange(31)[None, :, None] < 5 * (i + 1), *TWO.colours[::-1])
        assert np.abs(frame.astype(int) - expected).max() < 12
    assert {path.name for path in tmp_path.iterdir()} == {"frames", source.name, "video.gif"}


def test_a_folder_of_frames_becomes_an_mp4(frames, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    target = tmp_path / "video.mp4"
    assert inference.predict_video(threshold_at_half(), frames, target, TWO, opacity=1) == 5
    video = [np.asarray(frame) for frame in imageio.get_reader(target)]
    assert [frame.shape for frame in video] == [(22, 32, 3)] * 5
    assert np.abs(video[2][10, 2].astype(int) - TWO.colours[1]).max() < 40
    assert np.abs(video[2][10, 28].astype(int) - TWO.colours[0]).max() < 40


@pytest.mark.skipif(
    importlib.util.find_spec("imageio_ffmpeg") is not None, reason="imageio-ffmpeg is installed"
)
def test_mp4_without_its_package_says_what_to_install(frames, tmp_path):
    with pytest.raises(DataError, match=r"video\.mp4 .*pip install imageio-ffmpeg"):
        inference.predict_video(brightness(), frames, tmp_path / "video.mp4", TWO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames"]


def test_frames_of_two_sizes_and_no_frames_are_refused(frames, tmp_path):
    Image.new("RGB", (8, 8)).save(frames / "003.png")
    with pytest.raises(DataError, match=r"Frame 4 of .* is 8x8, the first is 21x31"):
        inference.predict_video(brightness(), frames, tmp_path / "video.gif", TWO)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no images"):
        inference.predict_video(brightness(), tmp_path / "empty", tmp_path / "video.gif", TWO)
    assert not list(tmp_path.glob("*video*"))
    with pytest.raises(DataError, match=r"video\.jpg would be a single image: let it end in \.gif"):
        inference.predict_video(brightness(), frames, tmp_path / "video.jpg", TWO)


def test_a_missing_or_unreadable_video_is_named(tmp_path):
    source, target = tmp_path / "text.gif", tmp_path / "out.gif"
    with pytest.raises(DataError, match=r"There is no video .*text\.gif"):
        inference.predict_video(brightness(), source, target, TWO)
    source.write_text("not a video")
    target.write_text("old")
    with pytest.raises(DataError, match=r"text\.gif cannot be read as a video .*not a video: get"):
        inference.predict_video(brightness(), source, target, TWO)
    assert target.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("kind", "ending"), [("empty", "gif"), ("cut off", "gif"), ("page", "gif"), ("page", "mp4")]
)
def test_broken_videos_are_named_and_only_others_than_gif_need_a_package(tmp_path, kind, ending):
    source = tmp_path / f"source.{ending}"
    images = np.random.default_rng(0).integers(0, 256, (3, 21, 31, 3)).astype(np.uint8)
    whole = imageio.mimwrite("<bytes>", images, format="GIF", duration=100)
    parts = {"empty": b"", "page": b"<html>404</html>", "cut off": whole[: len(whole) // 2]}
    source.write_bytes(parts[kind])
    with pytest.raises(DataError, match=r"source\.... cannot be read as a video") as error:
        inference.predict_video(brightness(), source, tmp_path / "out.gif", TWO)
    assert ("imageio-ffmpeg" in str(error.value)) == (ending == "mp4")
    assert list(tmp_path.iterdir()) == [source]


def test_a_video_is_never_replaced_by_its_own_masks(frames, tmp_path, monkeypatch):
    source, link = tmp_path / "source.gif", tmp_path / "link.gif"
    imageio.mimwrite(source, np.zeros((2, 8, 8, 3), np.uint8), format="GIF", duration=100)
    link.symlink_to(source)
    before = source.read_bytes()
    monkeypatch.chdir(tmp_path)
    places = [(source, source), (source, link), (link, source), ("source.gif", source)]
    places += [(frames, frames / "000.png"), (frames, frames / "new.gif")]
    for one, target in places:
        with pytest.raises(DataError, match=r"would replace .* choose another target"):
            inference.predict_video(brightness(), one, target, TWO)
    assert source.read_bytes() == before and len(list(frames.iterdir())) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps is 0; expected a number from 0.01 to 50"),
        ({"opacity": -0.1}, "opacity is -0.1; expected a number from 0 to 1"),
    ],
)
def test_predict_video_refuses_options(frames, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        inference.predict_video(brightness(), frames, tmp_path / "out.gif", TWO, **options)
    assert not (tmp_path / "out.gif").exists()
