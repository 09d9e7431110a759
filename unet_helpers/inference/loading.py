"""Loading a saved model without running code from its file."""

import json
import zipfile
from pathlib import Path

import keras

from unet_helpers.files import explained
from unet_helpers.labels import DataError

# The parts of a model without custom code come from these modules.
KERAS_MODULES = {
    *("keras", "keras.models", "keras.src.models.functional", "keras.src.models.sequential"),
    *("keras.layers", "keras.initializers", "keras.activations", "keras.dtype_policies"),
    *("keras.regularizers", "keras.constraints"),
}
# Layers of Keras that run code from elsewhere.
FOREIGN = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}


def load_model(path):
    """Load a saved model for prediction, not compiled, without custom objects or running code.

    Returns a keras.Model. Raises DataError for a missing or damaged file, or layers not of Keras.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no model file {path}. Train first, or correct the path.")
    advice = "Was it cut off while copying? model.save('name.keras') saves a model."
    with explained(f"{path} cannot be loaded as a model", advice):
        check_parts(path)
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def check_parts(path):
    """Raise DataError when a .keras file names code outside Keras or is a decompression bomb."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 20 * path.stat().st_size + 2**20:
            raise DataError(f"{path} would become 20 times as large: it is not a model. Delete it.")
        config = json.loads(archive.read("config.json"))
    config.pop("compile_config", None)  # loss and optimizer are not loaded

    def check(part):
        module, name = part.get("module"), part.get("class_name")
        if name == "function":
            name = part.get("config")
        # a name with a dot leads out of the module: utils.get_file
        foreign = name in FOREIGN or "." in str(name) or module not in {None, *KERAS_MODULES}
        if "class_name" in part and foreign:
            raise DataError(
                f"{path} asks for {module}.{name}, which runs code from outside Keras. It was "
                "not run. If you trust its source, load it with keras.saving.load_model."
            )
        return part

    json.loads(json.dumps(config), object_hook=check)  # every dict in it, the innermost first
