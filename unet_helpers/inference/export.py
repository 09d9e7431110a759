"""A trained model as a file for other programs: .keras, SavedModel, LiteRT (.tflite) and ONNX."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from unet_helpers.files import atomic_write, explained
from unet_helpers.inference.loading import load_model
from unet_helpers.labels import DataError
from unet_helpers.models.folding import as_graph, in_precision

SAVED_MODEL = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"}
KEPT = "Make space. Are all layers Keras's own? In any case what was there before is kept."
ONNX_NEEDS = "ONNX needs more packages: pip install tf2onnx onnx onnxruntime"
# Nothing of the course is imported here: a .keras file needs Keras alone.
LOAD_AND_RUN = """
import sys
import keras
import numpy as np
model = keras.saving.load_model(sys.argv[1], compile=False)
np.save("logits.npy", model.predict(np.load("images.npy"), batch_size=1, verbose=0))
"""


def to_keras(model, path):
    """Write a model as a .keras file, without loss and optimizer, for Keras on any backend.

    Returns Path. Raises DataError when the file cannot be written.
    """
    with exporting(path, ".keras") as part:
        as_graph(model).save(part)
    return Path(path)


def to_saved_model(model, folder):
    """Write a model as a SavedModel, a folder for TensorFlow in any language and for servers.

    An older SavedModel is replaced once the new one is complete. Its function `serve` maps
    float32 (N, H, W, 3), 0 to 255, to float32 logits. Returns Path. Raises DataError when the
    folder holds something else or cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        found = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        if "saved_model.pb" not in found or found - SAVED_MODEL:
            raise DataError(f"{folder} exists and is not only a SavedModel: choose another folder.")
    with quietly(f"{folder} could not be written", KEPT):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="part-", dir=folder.parent) as work:
            try:
                in_precision(model, "float32").export(f"{work}/new", verbose=False)
            except tf.errors.OpError as error:  # such as a full disk, between TensorFlow's names
                cause = error.message.rpartition("; ")[2].partition(" [Op:")[0]
                raise OSError(None, cause) from error
            if folder.exists():
                folder.replace(f"{work}/old")
            Path(work, "new").replace(folder)
    return folder


def to_tflite(model, path, samples=None):
    """Write a model of a fixed input size as a .tflite file for LiteRT, as on phones.

    With samples, uint8 (N, H, W, 3), a few dozen training images, all weights and activations
    become 8-bit integers, in the ranges that these produce, and so do input and output.

    Returns Path. Raises DataError when the input size is open, LiteRT lacks an operation (in 8
    bits), or the file cannot be written.
    """
    size = model.input_shape[1:]
    if None in size:
        raise DataError(
            f"{model.name} takes images of any size, LiteRT needs a fixed one: build the model "
            "again with numbers as input_size, then new.set_weights(model.get_weights())."
        )
    # Only LiteRT's own operations: others need TensorFlow on the phone, and in an 8-bit file
    # nobody would notice a few in float32.
    options = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}
    if samples is not None:
        if np.shape(samples)[1:] != size:
            takes = f"this model takes (N, {', '.join(map(str, size))})"
            raise DataError(f"The samples have the shape {np.shape(samples)}; {takes}.")
        options = {
            "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([np.float32(image[None])] for image in samples),
            "inference_input_type": tf.uint8,
            "inference_output_type": tf.uint8,
        }
    with exporting(path, ".tflite") as part:
        in_precision(model, "float32").export(str(part), format="litert", verbose=False, **options)
    return Path(path)


def to_onnx(model, path):
    """Write a model as an .onnx file, which programs in many languages read.

    Returns Path. Raises DataError without tf2onnx and onnx, or if it cannot be written.
    """
    with exporting(path, ".onnx") as part:
        # Keras would not find the inputs of a model that was loaded and not called yet
        in_precision(model, "float32").export(
            part, format="onnx", verbose=False, input_signature=[model.input]
        )
    return Path(path)


@contextlib.contextmanager
def exporting(path, ending):
    """Yield a path to write to; the file stands at `path` once the block ends without an error."""
    if not str(path).endswith(ending):
        raise DataError(f"{path} must end in {ending}; runtimes tell formats by their endings.")
    with atomic_write(path) as part, quietly(f"{path} could not be written", KEPT):
        yield part


@contextlib.contextmanager
def quietly(problem, advice):
    """Silence converters and runtimes, and turn what they raise into a DataError."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # no lines about temporary folders
    try:
        # Keras 3.13 prints in spite of verbose=False; packages warn of their own future
        with (
            explained(problem, advice),
            explained(problem, ONNX_NEEDS, ImportError),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_exported(path):
    """Open an exported file with the runtime of its format, which uses all cores.

    path: .keras, .tflite or .onnx file, or the folder of a SavedModel. Returns a function from
    uint8 (N, H, W, 3), of the model's size, to float32 logits (N, H, W, C). Raises DataError when
    the file is missing, damaged or of another format, or its runtime is not installed.
    """
    path = Path(path)
    openers = {
        ".keras": lambda file: load_model(file).predict_on_batch,
        ".tflite": open_tflite,
        ".onnx": open_onnx,
    }
    if not path.exists():
        raise DataError(f"There is no model {path}. Export one first, or correct the path.")
    opener = open_saved_model if path.is_dir() else openers.get(path.suffix)
    if opener is None:
        raise DataError(f"{path} is neither {', '.join(openers)} nor the folder of a SavedModel.")
    advice = "Was it cut off while copying, or does its ending belong to another format?"
    with quietly(f"{path} cannot be loaded", advice):
        run = opener(path)
    return lambda images: np.concatenate([np.float32(run(image[None])) for image in images])


def open_saved_model(folder):
    """Open a SavedModel with TensorFlow alone."""
    loaded = tf.saved_model.load(str(folder))
    # the lambda keeps `loaded` alive, to which the function `serve` belongs
    return lambda image: loaded.serve(tf.constant(image, tf.float32))


def open_tflite(path):
    """Open a .tflite file with LiteRT's interpreter, or with the older one in TensorFlow.

    An 8-bit tensor stores value / scale + zero point, rounded (Jacob et al. 2018, equation 1).
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image):
        scale, zero = source["quantization"]
        if scale:  # 0 in a float tensor
            limits = np.iinfo(source["dtype"])
            image = np.clip(np.round(image / scale + zero), limits.min, limits.max)
        interpreter.set_tensor(source["index"], image.astype(source["dtype"]))
        interpreter.invoke()
        logits = interpreter.get_tensor(target["index"])
        scale, zero = target["quantization"]
        return scale * (logits.astype(np.float32) - zero) if scale else logits

    return run


def open_onnx(path):
    """Open an .onnx file with ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    return lambda image: session.run(None, {source.name: image.astype(np.float32)})[0]


def run_in_new_process(path, images):
    """Load a .keras file in a new Python process with Keras alone, and predict there.

    Shapes: uint8 (N, H, W, 3) -> float32 (N, H, W, C). Raises DataError with what the process says.
    """
    load_model(path)  # it refuses code from outside Keras
    with tempfile.TemporaryDirectory() as work:
        np.save(Path(work) / "images.npy", images)
        command = [sys.executable, "-c", LOAD_AND_RUN, str(Path(path).resolve())]
        result = subprocess.run(command, capture_output=True, text=True, cwd=work, check=False)
        if result.returncode:
            last = next(iter(result.stderr.strip().splitlines()[-1:]), "no message")
            raise DataError(f"A new process could not run {path}: {last}")
        return np.load(Path(work) / "logits.npy")


def megabytes(path):
    """Return the size of a file, or of all files in a folder, in millions of bytes."""
    path = Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
