"""Exported files give the model's own answers, in the runtime of each format."""

import functools
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small import small_unet

from unet_helpers import inference, models
from unet_helpers.inference import export
from unet_helpers.labels import DataError
from unet_helpers.models import folding


def has(*packages):
    """Tell whether optional packages can be imported here."""
    try:
        for package in packages:
            __import__(package)
    except Exception:
        return False
    return True


needs_onnx = pytest.mark.skipif(
    not has("tf2onnx", "onnx", "onnxruntime"), reason="pip install tf2onnx onnx onnxruntime"
)
WRITERS = {
    "a.keras": export.to_keras,
    "a": export.to_saved_model,
    "a.tflite": export.to_tflite,
    "a.onnx": export.to_onnx,
}
NAMES = ["a.keras", "a", "a.tflite", pytest.param("a.onnx", marks=needs_onnx)]


@pytest.fixture(scope="module")
def model():
    """A small U-Net whose normalisations have statistics unlike the initial ones."""
    keras.utils.set_random_seed(1)
    model = small_unet((32, 48, 3), 8, 5, batch_norm=True)
    model.set_weights([np.abs(w) + 0.1 if w.ndim == 1 else w for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def logits(model, images):
    return inference.predict_logits(model, images)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Function that exports the model, just loaded from a file, over something older; once each."""
    folder = tmp_path_factory.mktemp("exported") / "new"
    loaded = inference.load_model(export.to_keras(model, folder / "loaded.keras"))
    (folder / "loaded.keras").unlink()

    @functools.cache
    def export_once(name):
        older(folder / name)
        return WRITERS[name](loaded, str(folder / name))

    return export_once


def older(path):
    """Put something at a path that an export may replace; returns the file."""
    if not path.suffix:
        (path / "variables").mkdir(parents=True)
        (path / "variables" / "old").write_text("old")
        path = path / "saved_model.pb"
    path.write_text("old")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_each_format_gives_the_models_answers(exported, model, images, logits, name):
    path = exported(name)
    assert not list(path.parent.glob("part-*")) and not (path / "variables" / "old").exists()
    given = export.open_exported(path)(images)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, logits, atol=2e-3 * np.abs(logits).max())
    assert export.megabytes(path) > model.count_params() * 4 / 1e6


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_model_trained_in_half_precision_is_exported_in_float32(tmp_path, images, name):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 48, 3))
    x = layers.Conv2D(4, 3, padding="same", dtype="mixed_bfloat16")(inputs)
    x = layers.BatchNormalization(dtype="mixed_bfloat16")(x)
    half = keras.Model(inputs, layers.Conv2D(2, 1, dtype="float32")(x))
    floats = folding.in_precision(half, "float32")
    expected = inference.predict_logits(floats, images)
    given = export.open_exported(WRITERS[name](half, tmp_path / name))(images)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_export_keeps_what_was_there(model, tmp_path, name, monkeypatch):
    older(tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model), "export", full)
    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(DataError, match=r"could not be written \(.*No space left on device\)"):
        WRITERS[name](model, tmp_path / name)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert after == before


def test_a_folder_that_is_not_a_saved_model_is_not_touched(model, tmp_path):
    photos, photo = tmp_path / "photos", tmp_path / "photos" / "holiday.jpg"
    for make in (photos.mkdir, lambda: older(photos)):  # then a SavedModel among the photos
        make()
        photo.write_text("mine")
        with pytest.raises(DataError, match=r"photos exists and is not only a SavedModel"):
            export.to_saved_model(model, photos)
        assert photo.read_text() == "mine"


def test_a_full_disk_is_what_is_said_of_a_saved_model(model, tmp_path, monkeypatch):
    said = "{{function_node __wrapped__SaveV2}} /a/variables; No space left on device [Op:SaveV2]"

    def full(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, said)

    monkeypatch.setattr(type(model), "export", full)
    with pytest.raises(DataError, match=r"a could not be written \(No space left on device\)\. M"):
        export.to_saved_model(model, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_keras_file_runs_in_a_new_process_without_custom_objects(
    exported, images, logits, monkeypatch
):
    given = export.run_in_new_process(exported("a.keras"), images)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, logits, atol=1e-4)
    monkeypatch.setattr(export, "LOAD_AND_RUN", "raise ValueError('damaged')")
    with pytest.raises(DataError, match=r"process could not run .*a\.keras: ValueError: damaged"):
        export.run_in_new_process(exported("a.keras"), images)


def test_int8_computes_in_bytes_from_end_to_end(exported, model, images, logits, tmp_path):
    path = export.to_tflite(model, tmp_path / "a.tflite", samples=images)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    assert interpreter.get_input_details()[0]["dtype"] == np.uint8
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    # a byte of the image goes in as it is
    assert scale == pytest.approx(1, rel=0.02) and zero == 0
    kinds = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    assert not {"float32", "float16"} & kinds
    assert path.stat().st_size < 0.75 * exported("a.tflite").stat().st_size
    given = export.open_exported(path)(images)
    assert np.corrcoef(given.ravel(), logits.ravel())[0, 1] > 0.97


def test_quantisation_by_hand(tmp_path):
    """Samples of 0 to 51 leave 5 steps for a grey level; lighter ones are clipped, not wrapped."""
    inputs = keras.Input((1, 5, 3))
    mean = layers.Conv2D(1, 1, kernel_initializer=keras.initializers.Constant(1 / 3))(inputs)
    samples = np.repeat(np.array([0, 51, 51, 0, 51], np.uint8), 3).reshape(1, 1, 5, 3)
    path = export.to_tflite(keras.Model(inputs, mean), tmp_path / "a.tflite", samples)
    image = np.repeat(np.array([0, 10, 51, 52, 255], np.uint8), 3).reshape(1, 1, 5, 3)
    given = export.open_exported(path)(image).ravel()
    np.testing.assert_allclose(given, [0, 10, 51, 51, 51], atol=0.2)


def test_litert_needs_a_fixed_size_and_fitting_samples(model, tmp_path):
    with pytest.raises(DataError, match=r"any size, LiteRT needs a fixed one.*set_weights"):
        export.to_tflite(models.unet_model((None, None, 3), 1, 2), tmp_path / "a.tflite")
    with pytest.raises(DataError, match=r"\(2, 8, 8, 3\); this model takes \(N, 32, 48, 3\)"):
        export.to_tflite(model, tmp_path / "a.tflite", np.zeros((2, 8, 8, 3), np.uint8))


def test_an_operation_that_litert_lacks_is_reported(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda t: tf.linalg.svd(t, compute_uv=False), output_shape=(8, 3))(inputs)
    with pytest.raises(DataError, match=r"a\.tflite could not be written \(.*Keras's own\?"):
        export.to_tflite(keras.Model(inputs, x), tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [export.to_keras, export.to_tflite, export.to_onnx])
def test_other_endings_are_refused(model, tmp_path, write):
    with pytest.raises(DataError, match=r"a\.bin must end in \.(keras|tflite|onnx)"):
        write(model, tmp_path / "a.bin")


def test_onnx_without_its_packages_says_what_to_install(model, tmp_path, monkeypatch):
    def lacking(*args, **kwargs):
        raise ImportError("This requires the tf2onnx module.")

    if has("tf2onnx", "onnx"):
        monkeypatch.setattr(type(model), "export", lacking)
    with pytest.raises(
        DataError, match=r"a\.onnx could not.*onnx.*pip install tf2onnx onnx onnxruntime"
    ):
        export.to_onnx(model, tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r"onnxruntime.*pip install tf2onnx onnx onnxruntime"):
        export.open_exported(tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["a.keras", "a.tflite", pytest.param("a.onnx", marks=needs_onnx)])
def test_damaged_files_are_reported(tmp_path, name):
    with pytest.raises(DataError, match="There is no model"):
        export.open_exported(tmp_path / name)
    (tmp_path / name).write_bytes(b"cut off")
    with pytest.raises(DataError, match=rf"{name} cannot be loaded"):
        export.open_exported(tmp_path / name)


def test_folders_and_files_that_are_not_models_are_reported(tmp_path):
    with pytest.raises(DataError, match="cannot be loaded"):
        export.open_exported(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"a\.txt is neither \.keras, \.tflite, \.onnx nor"):
        export.open_exported(tmp_path / "a.txt")


def test_megabytes_of_a_file_and_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1500)
    (tmp_path / "in" / "b").write_bytes(b"x" * 500)
    assert export.megabytes(tmp_path / "a") == 0.0015
    assert export.megabytes(tmp_path) == 0.002
