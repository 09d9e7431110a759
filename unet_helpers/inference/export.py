"""A trained model as a file for another program: .keras, SavedModel, TFLite and ONNX.

Each `to_...` function writes one format, whole or not at all; `open_exported` runs any of them
with the format's own runtime. ONNX needs packages that the course can do without.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from unet_helpers.files import atomic_write
from unet_helpers.labels import DataError

# Nothing of the course is imported here: what loads a .keras file needs Keras only.
LOAD_AND_RUN = """
import sys
import keras
import numpy as np
model = keras.saving.load_model(sys.argv[1], compile=False)
images = np.load(sys.argv[2])
parts = [model.predict_on_batch(images[i : i + 1]) for i in range(len(images))]
np.save(sys.argv[3], np.concatenate([np.asarray(part, np.float32) for part in parts]))
"""


def to_keras(model, path):
    """Write a model as a .keras file: layers and weights, for Keras on any backend.

    Returns Path. Raises DataError when it cannot be written.
    """
    with exporting(path, ".keras"), atomic_write(path) as part:
        model.save(part)
    return Path(path)


def to_saved_model(model, folder):
    """Write a model as a SavedModel, a folder for TensorFlow in any language, and for servers.

    The folder is replaced when the new one is whole. Its function `serve` takes float32
    (N, H, W, 3), 0 to 255, and gives float32 logits. Returns Path. Raises DataError when it
    cannot be written.
    """
    folder = Path(folder)
    part, old = (folder.with_name(f"{word}-{folder.name}") for word in ("part", "old"))
    with exporting(folder), removed(part, old):
        if folder.exists() and not (folder / "saved_model.pb").is_file():
            raise DataError(f"{folder} exists and is no SavedModel: choose another folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_folder(model, part)
        if folder.exists():
            folder.replace(old)
        part.replace(folder)
    return folder


def to_tflite(model, path, samples=None):
    """Write a model as a .tflite file for phones and small computers (LiteRT).

    Args:
        model: of a fixed size.
        path: of the file.
        samples: uint8 (N, H, W, 3), some dozens of training images: all numbers become 8 bits,
            with the ranges that these images bring about. Input and output are bytes then.
            None keeps float32.

    Returns:
        Path.

    Raises:
        DataError: a model without a fixed size, an operation that TFLite does not have (in 8
            bits), or a file that cannot be written.
    """
    if None in model.input_shape[1:]:
        raise DataError(
            f"{model.name} takes images of any size, TFLite wants one: build the model again "
            "with numbers as input_size, then new.set_weights(model.get_weights())."
        )
    if samples is not None and np.shape(samples)[1:] != model.input_shape[1:]:
        raise DataError(
            f"The samples have the shape {np.shape(samples)}; this model takes "
            f"(N, {', '.join(map(str, model.input_shape[1:]))})."
        )
    with exporting(path, ".tflite"), tempfile.TemporaryDirectory() as work:
        save_folder(model, work)
        converter = tf.lite.TFLiteConverter.from_saved_model(work)
        if samples is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [image[None].astype(np.float32)] for image in np.asarray(samples)
            )
            # an error is better than a float operation that nobody notices
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        content = converter.convert()
        with atomic_write(path) as part:
            part.write_bytes(content)
    return Path(path)


def to_onnx(model, path):
    """Write a model as an .onnx file, which programs in many languages read.

    Returns Path. Raises DataError without the packages tf2onnx and onnx, or when the model
    cannot be translated or the file not be written.
    """
    for package in ("tf2onnx", "onnx"):
        import_or_say(package, "to write ONNX")
    with exporting(path, ".onnx"), atomic_write(path) as part:
        floats = in_float32(model)
        # Keras exports to ONNX only what has been called once, as a loaded model has not
        floats(np.zeros((1, *(side or 32 for side in model.input_shape[1:])), np.float32))
        floats.export(part, format="onnx", verbose=False)
    return Path(path)


def save_folder(model, folder):
    """Write the SavedModel that the other formats start from."""
    in_float32(model).export(folder, format="tf_saved_model", verbose=False)


def in_float32(model):
    """Give a model that computes in float32 with the same weights; itself where it does so.

    Training computes in half precision where the device can (`training.use_best_precision`), but
    TFLite and ONNX Runtime do not know bfloat16.
    """
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model

    def copy(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    same = keras.models.clone_model(model, clone_function=copy)
    same.set_weights(model.get_weights())
    return same


@contextlib.contextmanager
def exporting(path, ending=""):
    """Turn what goes wrong while a file is made into a DataError that names it."""
    if not str(path).endswith(ending):
        raise DataError(f"{path} must end in {ending}; runtimes tell formats by their endings.")
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # no lines about temporary folders
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages about their own future
            yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"{path} could not be written ({error.strerror or error}). Make space or choose "
            "another folder; what was there before is kept."
        ) from error
    except Exception as error:  # converters raise what their many parts raise
        first = next(iter(str(error).splitlines()), "")
        raise DataError(
            f"This model could not be turned into {path} ({type(error).__name__}: {first[:300]}). "
            "Does it compute in float32 with layers of Keras only?"
        ) from error
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def removed(*folders):
    """Remove folders before and after."""
    try:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        yield
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def open_exported(path, threads=None):
    """Open a file that was exported, with the runtime of its format.

    Args:
        path: .keras, .tflite or .onnx file, or the folder of a SavedModel.
        threads: that TFLite and ONNX may use; None is all cores.

    Returns:
        function uint8 (N, H, W, 3) -> float32 logits (N, H, W, C), of the model's own size.

    Raises:
        DataError: the file is missing, damaged or of another format, or its runtime is not
            installed.
    """
    path, threads = Path(path), threads or os.cpu_count()
    openers = {
        ".keras": lambda: open_keras(path),
        ".tflite": lambda: open_tflite(path, threads),
        ".onnx": lambda: open_onnx(path, threads),
    }
    if not path.exists():
        raise DataError(f"There is no model {path}. Export one first, or mend the path.")
    if not path.is_dir() and path.suffix not in openers:
        raise DataError(f"{path} is none of {', '.join(openers)} or the folder of a SavedModel.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return open_saved_model(path) if path.is_dir() else openers[path.suffix]()
    except DataError:
        raise
    except Exception as error:  # each runtime has errors of its own
        raise DataError(
            f"{path} cannot be loaded ({type(error).__name__}). Was it cut off while copying, or "
            "is it of another format than its name says?"
        ) from error


def open_keras(path):
    """Open a .keras file with Keras in this process."""
    model = keras.saving.load_model(path, compile=False)
    return lambda images: one_by_one(model.predict_on_batch, images)


def open_saved_model(folder):
    """Open a SavedModel with TensorFlow, without Keras."""
    loaded = tf.saved_model.load(str(folder))
    # the function belongs to the loaded object, which must live as long
    return lambda images: one_by_one(
        lambda image: loaded.serve(tf.constant(image, tf.float32)), images
    )


def open_tflite(path, threads):
    """Open a .tflite file with LiteRT's interpreter, or with the older one in TensorFlow."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    (entry,), (exit_,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(image):
        interpreter.set_tensor(entry["index"], to_stored(image, entry))
        interpreter.invoke()
        return to_real(interpreter.get_tensor(exit_["index"]), exit_)

    return lambda images: one_by_one(run, images)


def to_stored(values, tensor):
    """Quantise values as a TFLite tensor wants them: value / scale + zero point, rounded.

    A float tensor gets float32. Source: Jacob et al. 2018, "Quantization and training of neural
    networks for efficient integer-arithmetic-only inference", equation 1.
    """
    kind = np.dtype(tensor["dtype"])
    if kind.kind == "f":
        return np.asarray(values, kind)
    scale, zero = tensor["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.round(values / scale + zero), limits.min, limits.max).astype(kind)


def to_real(stored, tensor):
    """Turn the numbers of a TFLite tensor back: scale * (stored - zero point); float32."""
    if stored.dtype.kind == "f":
        return stored
    scale, zero = tensor["quantization"]
    return (np.float32(scale) * (stored.astype(np.float32) - zero)).astype(np.float32)


def open_onnx(path, threads):
    """Open an .onnx file with ONNX Runtime."""
    runtime = import_or_say("onnxruntime", "to run ONNX")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    return lambda images: one_by_one(
        lambda image: session.run(None, {entry.name: image.astype(np.float32)})[0], images
    )


def one_by_one(run, images):
    """Run a function over images, each as a batch of one; float32 (N, H, W, C)."""
    return np.concatenate([np.asarray(run(image[None]), np.float32) for image in images])


def run_in_new_process(path, images):
    """Load a .keras file in a new Python that knows Keras only, and predict there.

    Shapes: uint8 (N, H, W, 3) -> float32 (N, H, W, C). Raises DataError with the new process's
    last line when that fails.
    """
    with tempfile.TemporaryDirectory() as work:
        source, target = Path(work) / "images.npy", Path(work) / "logits.npy"
        np.save(source, images)
        command = [sys.executable, "-c", LOAD_AND_RUN, str(Path(path).resolve())]
        command += [str(source), str(target)]
        result = subprocess.run(command, capture_output=True, text=True, cwd=work, check=False)
        if result.returncode:
            last = next(iter(result.stderr.strip().splitlines()[-1:]), "no message")
            raise DataError(f"A new process could not run {path}: {last}")
        return np.load(target)


def megabytes(path):
    """Give the size of a file, or of all files of a folder, in millions of bytes."""
    path = Path(path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def import_or_say(package, why):
    """Import a package that is not required, or raise DataError with how to get it."""
    try:
        return __import__(package)
    except ImportError as error:
        raise DataError(
            f"The package {package} is needed {why} ({error}): pip install tf2onnx onnx onnxruntime"
        ) from None
