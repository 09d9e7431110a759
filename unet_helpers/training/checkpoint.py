"""A training run that is kept in a folder and survives being killed."""

import json
from pathlib import Path

import keras
import numpy as np

from unet_helpers.files import atomic_write, checksum, explained
from unet_helpers.labels import DataError

# what a damaged folder makes Keras and Python raise
DAMAGED = (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError)


class Checkpointer(keras.callbacks.History):
    """Keep a training run in a folder, so that it can resume after the process was killed.

    Every file is written beside its place and moved there when complete. `history.json` has the
    checksum of the weights that belong to it; an epoch counts as done once it is written.
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
        advice = "Delete the folder to start afresh, or choose another one."
        with explained(f"The training run in {self.folder} cannot be read", advice, DAMAGED):
            kept = json.loads(self.state.read_text(encoding="utf-8"))
            columns = list(dict(kept["history"]).values())
            numbers = [value for column in columns for value in column]
            if len(set(map(len, columns))) != 1 or {type(value) for value in numbers} != {float}:
                raise ValueError("its history is not one number for every epoch")
            weights = self.weights(len(columns[0]))
            if not weights.is_file():  # reading a pipe would never end
                raise ValueError(f"{weights.name} is missing")
            if checksum(weights) != kept["sha256"]:
                raise ValueError(f"{weights.name} is not the file that was written")
            if kept["shapes"] != [list(weight.shape) for weight in model.weights]:
                raise DataError(
                    f"{self.folder} holds a training run of another model, whose layers have other "
                    f"shapes. {advice}"
                )
            model.optimizer.build(model.trainable_variables)
            model.load_weights(weights)
            for state, value in zip(random_states(model), kept["random"], strict=True):
                state.assign(np.array(value, np.uint32))
        self.history = kept["history"]
        self.set_model(model)
        self.finish(weights)  # the process may have been killed after writing history.json

    def weights(self, epochs):
        """Return the path of the weights after so many epochs."""
        return self.folder / f"epoch-{epochs}.weights.h5"

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        weights = self.weights(epoch + 1)
        with atomic_write(weights) as part:
            # A full disk can crash HDF5, and the process with it. So zeros are written first, a
            # little more of them than HDF5 needs.
            with open(part, "wb") as file:
                for variable in [*self.model.variables, *self.model.optimizer.variables]:
                    file.write(bytes(4 * int(np.prod(variable.shape)) + 4096))
            self.model.save_weights(part)
        state = {
            "sha256": checksum(weights),
            "shapes": [list(weight.shape) for weight in self.model.weights],
            "random": [keras.ops.convert_to_numpy(s).tolist() for s in random_states(self.model)],
            "history": self.history,
        }
        with atomic_write(self.state) as part:
            part.write_text(json.dumps(state, indent=1))
        self.finish(weights)

    def finish(self, weights):
        """Write best.keras if the last epoch is the best, and delete all but the last weights."""
        scores = self.history.get("val_mean_iou", [0.0])
        if scores[-1] >= max(scores):
            with atomic_write(self.folder / "best.keras") as part:
                self.model.save(part)
        # a killed process leaves files half-written
        parts = ("part-epoch-*.weights.h5", "part-best.keras", "part-history.json")
        for pattern in ("epoch-*.weights.h5", *parts):
            for path in self.folder.glob(pattern):
                if path != weights:
                    path.unlink()


def random_states(model):
    """List the states of dropout's random generators; a weights file does not hold them."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]
