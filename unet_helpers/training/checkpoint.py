"""A training run that is kept in a folder and survives being killed."""

import json
from pathlib import Path

import keras
import numpy as np

from unet_helpers.files import atomic_write, checksum
from unet_helpers.labels import DataError

# what a damaged folder makes Keras and Python raise
DAMAGED = (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError)


class Checkpointer(keras.callbacks.History):
    """Keep a training run in a folder, so that it can resume after the process was killed.

    Every file is written beside its place and moved there when complete. `history.json` names the
    weights that belong to it, with their checksum; an epoch counts as done once it is written.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)
        self.state = self.folder / "history.json"

    def restore(self, model):
        """Load the kept history, and the weights and optimizer state into a model.

        Raises DataError when the folder holds another model, or files that cannot be read.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.state.is_file():
            return
        try:
            kept, weights = self.read()
            same = kept["shapes"] == weight_shapes(model)
            if same:
                model.optimizer.build(model.trainable_variables)
                model.load_weights(weights)
                for state, value in zip(random_states(model), kept["random"], strict=True):
                    state.assign(np.array(value, np.uint32))
        except DAMAGED as error:
            raise DataError(
                f"The training run in {self.folder} cannot be read ({error}). Delete the folder "
                "to start afresh, or choose another one."
            ) from error
        if not same:
            raise DataError(
                f"{self.folder} holds a training run of another model, whose layers have other "
                "shapes. Choose another folder, or delete this one to start afresh."
            )
        self.history = kept["history"]
        self.set_model(model)
        self.finish(weights)  # the process may have been killed after writing history.json

    def read(self):
        """Read history.json and check it; raises one of DAMAGED.

        Returns (dict: "weights" (a file name), "sha256", "shapes", "random" (states of dropout),
        "history"; path of the weights).
        """
        kept = json.loads(self.state.read_text(encoding="utf-8"))
        columns = list(dict(kept["history"]).values())
        numbers = [value for column in columns for value in column]
        if len(set(map(len, columns))) != 1 or {type(value) for value in numbers} != {float}:
            raise ValueError("its history is not one number for every epoch")
        weights = self.folder / kept["weights"]
        if weights.parent != self.folder:
            raise ValueError("its weights lie in another folder")
        if not weights.is_file():  # reading a pipe would never end
            raise ValueError(f"{weights.name} is missing")
        if checksum(weights) != kept["sha256"]:
            raise ValueError(f"{weights.name} is not the file that was written")
        return kept, weights

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        weights = self.folder / f"epoch-{epoch + 1}.weights.h5"
        with atomic_write(weights) as part:
            self.save_weights(part)
        state = {
            "weights": weights.name,
            "sha256": checksum(weights),
            "shapes": weight_shapes(self.model),
            "random": [keras.ops.convert_to_numpy(s).tolist() for s in random_states(self.model)],
            "history": self.history,
        }
        with atomic_write(self.state) as part:
            part.write_text(json.dumps(state, indent=1))
        self.finish(weights)

    def save_weights(self, path):
        """Write weights and optimizer state; raises OSError when the disk is full.

        A full disk can crash HDF5, and the process with it; so a file of zeros that is a little
        larger than HDF5's is written first.
        """
        variables = [*self.model.variables, *self.model.optimizer.variables]
        with open(path, "wb") as file:
            for variable in variables:
                file.write(bytes(4 * int(np.prod(variable.shape)) + 4096))
        self.model.save_weights(path)

    def finish(self, weights):
        """Write best.keras if the last epoch is the best, and delete all but the last weights."""
        scores = self.history.get("val_mean_iou", [0.0])
        if scores[-1] >= max(scores):
            with atomic_write(self.folder / "best.keras") as part:
                self.model.save(part)
        # a killed process leaves files half-written
        old = [self.folder / f"part-{name}" for name in ("best.keras", "history.json")]
        for pattern in ("epoch-*.weights.h5", "part-epoch-*.weights.h5"):
            old += self.folder.glob(pattern)
        for path in old:
            if path != weights:
                path.unlink(missing_ok=True)


def weight_shapes(model):
    """List the shapes of a model's weights, as lists of int."""
    return [list(weight.shape) for weight in model.weights]


def random_states(model):
    """List the states of dropout's random generators; a weights file does not hold them."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]
