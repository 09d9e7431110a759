"""Load a saved model without running code from its file."""

import json
import zipfile
from pathlib import Path

import keras

from unet_helpers.labels import DataError

# Where the parts of a model without custom code come from.
KERAS_MODULES = {
    *("keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"),
    *("keras.layers", "keras.initializers", "keras.activations", "keras.dtype_policies"),
    *("keras.regularizers", "keras.constraints"),
}


def load_model(path):
    """Load a saved model for prediction; no custom objects are needed, and no code is run.

    Returns a keras.Model, not compiled. Raises DataError when the file is missing or damaged, or
    when it wants more than Keras's own layers.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no model file {path}. Train first, or mend the path.")
    try:
        check_parts(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except DataError:
        raise
    except Exception as error:  # zip, h5 and json errors alike mean that the file is no model
        raise DataError(
            f"{path} is no model that can be loaded ({type(error).__name__}). Was it cut off while "
            "copying? A model is saved by model.save('name.keras')."
        ) from error


def check_parts(path):
    """Raise DataError when a .keras file names code outside Keras's layers, or is a bomb.

    A model file is a list of class names that loading looks up and calls; a hostile one names
    other things. The list is looked at before Keras sees it.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 20 * path.stat().st_size + 2**20:
            raise DataError(f"{path} would become 20 times as large: it is no model. Delete it.")
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # loss and optimizer, which are not loaded
    remaining = [config]
    while remaining:
        part = remaining.pop()
        remaining += part.values() if isinstance(part, dict) else part
        remaining = [part for part in remaining if isinstance(part, dict | list)]
        if isinstance(part, dict) and "class_name" in part:
            module, name = part.get("module"), part["class_name"]
            if name == "Lambda" or (module is not None and module not in KERAS_MODULES):
                raise DataError(
                    f"{path} wants {module}.{name}, which is code of its own and not one of "
                    "Keras's layers. It was not run. If you trust the file and know its source, "
                    "load it with keras.saving.load_model."
                )
