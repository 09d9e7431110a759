"""Exported files give the model's own answers, in the runtime of each format."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from unet_helpers import inference, models
from unet_helpers.inference import export
from unet_helpers.labels import DataError


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
WRITERS = [
    pytest.param(export.to_keras, "a.keras", id="keras"),
    pytest.param(export.to_saved_model, "a", id="saved_model"),
    pytest.param(export.to_tflite, "a.tflite", id="tflite"),
    pytest.param(export.to_onnx, "a.onnx", id="onnx", marks=needs_onnx),
]


@pytest.fixture(scope="module")
def model():
    """A small U-Net with statistics of its normalisation that are not the first ones."""
    keras.utils.set_random_seed(1)
    model = models.unet_model((32, 48, 3), 2, 5, 0.3, batch_norm=True)
    model.set_weights([np.abs(w) + 0.1 if w.ndim == 1 else w for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def logits(model, images):
    return inference.predict_logits(model, images)


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_each_format_gives_the_models_answers(model, images, logits, tmp_path, write, name):
    path = write(model, str(tmp_path / "new" / name))
    assert [file.name for file in (tmp_path / "new").iterdir()] == [name]
    given = export.open_exported(path)(images)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, logits, atol=2e-3 * np.abs(logits).max())
    assert export.megabytes(path) > model.count_params() * 4 / 1e6


@pytest.mark.parametrize(("write", "name"), WRITERS[1:])
def test_a_model_trained_in_half_precision_is_exported_in_float32(
    model, images, logits, tmp_path, write, name
):
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        half = models.unet_model((32, 48, 3), 2, 5, 0.3, batch_norm=True)
    finally:
        keras.config.set_dtype_policy(before)
    half.set_weights(model.get_weights())
    given = export.open_exported(write(half, tmp_path / name))(images)
    np.testing.assert_allclose(given, logits, atol=2e-3 * np.abs(logits).max())


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_model_that_was_just_loaded_can_be_exported(model, images, logits, tmp_path, write, name):
    loaded = inference.load_model(export.to_keras(model, tmp_path / "loaded.keras"))
    given = export.open_exported(write(loaded, tmp_path / name))(images)
    np.testing.assert_allclose(given, logits, atol=2e-3 * np.abs(logits).max())


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_failed_export_keeps_what_was_there(model, tmp_path, write, name, monkeypatch):
    path = write(model, tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model), "export", full)
    monkeypatch.setattr(type(model), "save", full)
    with pytest.raises(DataError, match=r"could not be written \(No space left on device\)"):
        write(model, path)
    after = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert after == before


def test_a_saved_model_replaces_an_older_one(model, images, logits, tmp_path):
    keras.utils.set_random_seed(2)
    other = models.unet_model((32, 48, 3), 2, 5, 0.3, batch_norm=True)
    export.to_saved_model(other, tmp_path / "a")
    export.to_saved_model(model, tmp_path / "a")
    given = export.open_exported(tmp_path / "a")(images)
    np.testing.assert_allclose(given, logits, atol=2e-3 * np.abs(logits).max())


def test_a_folder_that_is_no_saved_model_is_not_touched(model, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("mine")
    with pytest.raises(DataError, match=r"photos exists and is no SavedModel"):
        export.to_saved_model(model, tmp_path / "photos")
    assert (tmp_path / "photos" / "holiday.jpg").read_text() == "mine"


def test_a_keras_file_runs_in_a_new_process_without_custom_objects(model, images, logits, tmp_path):
    path = export.to_keras(model, tmp_path / "a.keras")
    np.testing.assert_allclose(export.run_in_new_process(path, images), logits, atol=1e-4)
    path.write_bytes(b"no model")
    with pytest.raises(DataError, match=r"new process could not run .*a\.keras: ValueError"):
        export.run_in_new_process(path, images)


def test_int8_computes_in_bytes_from_end_to_end(model, images, logits, tmp_path):
    path = export.to_tflite(model, tmp_path / "a.tflite", samples=images)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    assert interpreter.get_input_details()[0]["dtype"] == np.uint8
    assert interpreter.get_output_details()[0]["dtype"] == np.uint8
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    # a byte of the image goes in as it is
    assert scale == pytest.approx(1, rel=0.02) and zero == 0
    kinds = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    assert not {"float32", "float16"} & kinds
    assert (
        path.stat().st_size < 0.75 * export.to_tflite(model, tmp_path / "f.tflite").stat().st_size
    )
    given = export.open_exported(path)(images)
    assert np.corrcoef(given.ravel(), logits.ravel())[0, 1] > 0.97


def test_quantisation_by_hand():
    tensor = {"dtype": np.uint8, "quantization": (0.5, 10)}
    stored = export.to_stored(np.array([-10.0, 0, 1, 1.2, 200]), tensor)
    assert stored.dtype == np.uint8
    assert stored.tolist() == [0, 10, 12, 12, 255]
    assert export.to_real(stored, tensor).tolist() == [-5, 0, 1, 1, 122.5]
    same = export.to_stored(np.array([7], np.uint8), {"dtype": np.float32})
    assert same.dtype == np.float32 and same.tolist() == [7]


def test_tflite_wants_a_fixed_size_and_fitting_samples(model, tmp_path):
    with pytest.raises(DataError, match=r"any size, TFLite wants one.*set_weights"):
        export.to_tflite(models.unet_model((None, None, 3), 1, 2), tmp_path / "a.tflite")
    with pytest.raises(DataError, match=r"\(2, 8, 8, 3\); this model takes \(N, 32, 48, 3\)"):
        export.to_tflite(model, tmp_path / "a.tflite", np.zeros((2, 8, 8, 3), np.uint8))


def test_an_operation_that_tflite_lacks_is_told(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda t: tf.linalg.svd(t, compute_uv=False))(inputs)
    with pytest.raises(DataError, match=r"could not be turned into .*a\.tflite"):
        export.to_tflite(keras.Model(inputs, x), tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [export.to_keras, export.to_tflite, export.to_onnx])
def test_endings_are_asked_for(model, tmp_path, write):
    if write is export.to_onnx and not has("tf2onnx", "onnx"):
        pytest.skip("pip install tf2onnx onnx onnxruntime")
    with pytest.raises(DataError, match=r"a\.bin must end in \.(keras|tflite|onnx)"):
        write(model, tmp_path / "a.bin")


def test_onnx_without_its_packages_says_what_to_install(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(DataError, match=r"tf2onnx is needed to write ONNX.*\n?.*pip install"):
        export.to_onnx(model, tmp_path / "a.onnx")
    (tmp_path / "a.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DataError, match=r"onnxruntime is needed to run ONNX"):
        export.open_exported(tmp_path / "a.onnx")


@pytest.mark.parametrize("name", ["a.keras", "a.tflite", pytest.param("a.onnx", marks=needs_onnx)])
def test_damaged_files_are_told(tmp_path, name):
    with pytest.raises(DataError, match="There is no model"):
        export.open_exported(tmp_path / name)
    (tmp_path / name).write_bytes(b"cut off")
    with pytest.raises(DataError, match=rf"{name} cannot be loaded"):
        export.open_exported(tmp_path / name)


def test_folders_and_files_that_are_no_model_are_told(tmp_path):
    with pytest.raises(DataError, match="cannot be loaded"):
        export.open_exported(tmp_path)
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"a\.txt is none of \.keras, \.tflite, \.onnx"):
        export.open_exported(tmp_path / "a.txt")


def test_megabytes_of_a_file_and_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "a").write_bytes(b"x" * 1500)
    (tmp_path / "in" / "b").write_bytes(b"x" * 500)
    assert export.megabytes(tmp_path / "a") == 0.0015
    assert export.megabytes(tmp_path) == 0.002
