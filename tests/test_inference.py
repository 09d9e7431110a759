"""Logits and masks from batches of images, and loading models."""

import logging
import sys
import zipfile

import keras
import numpy as np
import pytest
from small import pointwise

from unet_helpers import datasets, evaluation, inference, models, training
from unet_helpers.evaluation import confusion_matrix
from unet_helpers.inference import export
from unet_helpers.labels import DataError


def counting(model):
    """Note the sizes of the batches that a model gets."""
    model.sizes, run = [], model.predict_on_batch
    model.predict_on_batch = lambda batch: model.sizes.append(len(batch)) or run(batch)
    return model


@pytest.fixture(scope="module")
def model():
    return pointwise()


@pytest.fixture
def image(rng):
    """An image with odd sides."""
    return rng.integers(0, 256, (37, 53, 3)).astype(np.uint8)


# ---------------------------------------------------------------- from logits to masks


def test_to_mask_takes_the_largest_logit():
    logits = np.array([[[0.1, 0.3, -1], [5, 4, 4.9]], [[-3, -2, -1], [0, 0, 1]]])
    mask = inference.to_mask(logits)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[1, 0], [2, 2]]


@pytest.mark.parametrize(
    ("threshold", "expected"), [(0.5, [0, 0, 1, 1]), (0.9, [0, 0, 0, 1]), (0.25, [0, 1, 1, 1])]
)
def test_to_mask_of_a_single_logit_compares_its_sigmoid(threshold, expected):
    # the sigmoids are 0.12, 0.38, 0.73 and 0.95
    logits = np.array([-2, -0.5, 1, 3])[:, None]
    mask = inference.to_mask(logits, threshold)
    assert mask.dtype == np.uint8
    assert mask.tolist() == expected


@pytest.mark.parametrize(("threshold", "expected"), [(0, 1), (1, 0), (np.float64(1), 0)])
@pytest.mark.filterwarnings("error")
def test_to_mask_takes_thresholds_up_to_both_ends(threshold, expected):
    assert inference.to_mask(np.full((2, 2, 1), 3.0), threshold).tolist() == [[expected] * 2] * 2


def test_predict_logits_goes_by_batches_and_keeps_the_order(rng):
    model = counting(pointwise())
    images = rng.integers(0, 256, (7, 4, 6, 3)).astype(np.uint8)
    logits = inference.predict_logits(model, images, batch_size=3)
    assert model.sizes == [3, 3, 1]
    assert logits.shape == (7, 4, 6, 5)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, keras.ops.convert_to_numpy(model(images)), atol=1e-5)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), r"shape \(8, 8, 3\); expected \(N, H, W, 3\).*image\[None"),
        (np.zeros((0, 8, 8, 3), np.uint8), r"shape \(0, 8, 8, 3\)"),
        (np.full((1, 8, 8, 3), 0.7, np.float32), r"lie between 0 and 1.*divides by 255 itself"),
    ],
)
def test_predict_logits_refuses_what_would_be_misread(model, images, message):
    with pytest.raises(DataError, match=message):
        inference.predict_logits(model, images)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_number_is_refused(value):
    """Each of these would have become class 0."""
    model, images = pointwise(), np.full((3, 4, 4, 3), 9, np.float32)
    images[2, 0, 0] = value
    with pytest.raises(DataError, match="These images hold NaN or infinite values"):
        inference.predict_masks(model, images)
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
    for predict in (inference.predict_masks, inference.predict_logits):
        with pytest.raises(DataError, match=r"logits of functional\w* are NaN .* lower learning"):
            predict(model, np.ones((1, 4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="are NaN"):
        inference.predict_image(model, np.ones((4, 4, 3), np.uint8))


@pytest.mark.parametrize("batch_size", [0, 2.5])
def test_predict_logits_refuses_a_batch_size(model, batch_size):
    with pytest.raises(DataError, match=f"batch_size is {batch_size}; expected a whole num"):
        inference.predict_logits(model, np.ones((1, 4, 4, 3), np.uint8), batch_size)


@pytest.mark.parametrize("threshold", [5, np.nan])
def test_to_mask_refuses_a_threshold(threshold):
    with pytest.raises(DataError, match=r"threshold is .*; expected a number from 0 to 1"):
        inference.to_mask(np.zeros((2, 2, 1)), threshold)


def test_dark_bytes_are_no_fractions(model):
    assert inference.predict_masks(model, np.ones((1, 4, 4, 3), np.uint8)).shape == (1, 4, 4)


def test_many_models_and_sizes_in_turn_are_no_reason_for_a_warning(caplog):
    """TensorFlow would complain at the fifth."""
    for _ in range(6):
        inference.predict_masks(pointwise(size=(4, 4)), np.zeros((2, 4, 4, 3), np.uint8))
    logger = logging.getLogger("tensorflow")
    logger.warning("5 calls to <function other> triggered tf.function retracing.")
    logger.warning("5 calls to <one_step_on_data_distributed> triggered tf.function retracing.")
    said = [text for text in caplog.messages if "retracing" in text]
    assert said == ["5 calls to <function other> triggered tf.function retracing."]


def test_evaluate_counts_one_matrix_over_uneven_batches(model, rng):
    images = rng.integers(0, 256, (7, 6, 4, 3)).astype(np.uint8)
    masks = rng.choice([0, 1, 2, 3, 4, 255], (7, 6, 4)).astype(np.uint8)
    batched = datasets.batches(datasets.from_arrays(images, masks), 3)
    expected = confusion_matrix(masks, inference.predict_masks(model, images), 5)
    confusion = evaluation.evaluate(model, batched, 5)
    assert confusion.dtype == np.int64
    np.testing.assert_array_equal(confusion, expected)
    assert confusion.sum() == (masks != 255).sum()


# ---------------------------------------------------------------- padding


def test_pad_to_multiple_mirrors_the_border():
    image = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    padded = inference.pad_to_multiple(image, 4)
    assert padded.shape == (4, 8, 3)
    np.testing.assert_array_equal(padded[:3, :5], image)
    np.testing.assert_array_equal(padded[3, :5], image[2])
    np.testing.assert_array_equal(padded[:3, 5:], image[:, :1:-1])
    assert inference.pad_to_multiple(np.zeros((16, 32, 3), np.uint8)).shape == (16, 32, 3)
    assert inference.pad_to_multiple(np.zeros((3, 17, 3), np.uint8)).shape == (16, 32, 3)


# ---------------------------------------------------------------- model files


def test_load_model_gives_the_saved_model(tmp_path, model, image):
    model.save(tmp_path / "a.keras")
    loaded = inference.load_model(str(tmp_path / "a.keras"))
    np.testing.assert_array_equal(
        inference.predict_masks(loaded, image[None]), inference.predict_masks(model, image[None])
    )


@pytest.mark.parametrize("share", [0, 0.5, 0.95])
def test_load_model_names_a_missing_or_damaged_file(tmp_path, model, share):
    with pytest.raises(DataError, match=r"There is no model file .*gone\.keras. Train first"):
        inference.load_model(tmp_path / "gone.keras")
    model.save(tmp_path / "a.keras")
    whole = (tmp_path / "a.keras").read_bytes()
    (tmp_path / "a.keras").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=r"a\.keras cannot be loaded as a model .*cut off"):
        inference.load_model(tmp_path / "a.keras")


def rewrite(path, **files):
    """Replace files inside a .keras archive; functions get the old text and give the new one."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for name, change in files.items():
        name = name.replace("_json", ".json")
        content[name] = change(content[name].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_load_model_runs_no_lambda(tmp_path, capsys):
    inputs = keras.Input((4, 4, 3))
    hostile = keras.layers.Lambda(lambda x: [print("the code ran"), x][1])(inputs)
    keras.Model(inputs, hostile).save(tmp_path / "a.keras")
    capsys.readouterr()
    with pytest.raises(DataError, match=r"a\.keras asks for .*Lambda, .* It was not run"):
        inference.load_model(tmp_path / "a.keras")
    assert "ran" not in capsys.readouterr().out


def test_load_model_imports_no_module_that_a_file_names(tmp_path, model, monkeypatch):
    (tmp_path / "hostile_model.py").write_text("raise SystemExit('the code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "a.keras"
    model.save(path)
    rewrite(path, config_json=lambda text: text.replace('"keras.layers"', '"hostile_model"'))
    with pytest.raises(DataError, match=r"asks for hostile_model\.[A-Z]\w+, which runs code from"):
        inference.load_model(path)
    assert "hostile_model" not in sys.modules


GET_FILE = '{"module": "keras", "class_name": "function", "config": "utils.get_file"}'


@pytest.mark.parametrize("open_model", [inference.load_model, export.open_exported])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"class_name": "Rescaling"', '"class_name": "TFSMLayer"'),
        ('"class_name": "Rescaling"', '"class_name": "TorchModuleWrapper"'),
        ('"module": "keras.layers", "class_name": "Res', '"module": "keras", "class_name": "x.Res'),
        ('"activation": "linear"', f'"activation": {GET_FILE}'),
    ],
)
def test_a_model_runs_no_code_from_outside_keras(tmp_path, model, open_model, old, new):
    path = tmp_path / "a.keras"
    model.save(path)
    rewrite(path, config_json=lambda text: text.replace(old, new))
    with pytest.raises(DataError, match=r"a\.keras asks for keras.* runs code from outside Keras"):
        open_model(path)
    with pytest.raises(DataError, match="runs code from outside Keras"):
        export.run_in_new_process(path, np.zeros((1, 4, 4, 3), np.uint8))


def test_load_model_refuses_a_bomb(tmp_path, model):
    path = tmp_path / "a.keras"
    model.save(path)
    rewrite(path, metadata_json=lambda text: text + " " * 30_000_000)
    with pytest.raises(DataError, match=r"would become 20 times as large"):
        inference.load_model(path)


def test_load_model_takes_every_model_of_the_course(tmp_path):
    for build in (
        lambda: models.unet_model((16, 16, 3), 2, 3, batch_norm=True),
        lambda: models.fcn_model((32, 32, 3), 2, 3),
        lambda: models.paper_unet((188, 188, 1), 1),
        lambda: keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1)]),
    ):
        before = build()
        before.compile("adam", training.MaskedBinaryCrossentropy())  # a loss of the course's own
        before.save(tmp_path / "a.keras")
        after = inference.load_model(tmp_path / "a.keras")
        assert after.count_params() == before.count_params()
