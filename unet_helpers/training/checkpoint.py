"""A training run kept in a folder, so that it survives a stop."""

import json
from pathlib import Path

import keras
import numpy as np

from unet_helpers.files import atomic_write, checksum
from unet_helpers.labels import DataError


class Checkpointer(keras.callbacks.Callback):
    """Keep a training in a folder so that it can go on after the process was killed.

    Every file is written beside its place and moved there when whole. `history.json` names the
    weights that belong to it, with their checksum, and an epoch counts as done once it is written.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = Path(folder)
        self.state = self.folder / "history.json"
        self.record = None

    def restore(self, model):
        """Load the kept weights and optimizer state into a model; returns the kept history."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.state.exists():
            return {}
        try:
            kept = read_state(self.state)
            weights = self.folder / kept["weights"]
            if not weights.is_file():  # it may be a pipe, which would never end
                raise ValueError(f"{weights.name} is missing")
            if checksum(weights) != kept["sha256"]:
                raise ValueError(f"{weights.name} is not the file that was written")
            same = kept["shapes"] == weight_shapes(model)
            if same:
                model.optimizer.build(model.trainable_variables)
                model.load_weights(weights)
                for state, value in zip(random_states(model), kept["random"], strict=True):
                    state.assign(np.array(value, np.uint32))
        except (
            ValueError,
            OSError,
            LookupError,
            TypeError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise DataError(
                f"What {self.folder} keeps of a training cannot be read ({error}). Delete the "
                "folder to start anew, or choose another one."
            ) from error
        if not same:
            raise DataError(
                f"{self.folder} keeps the training of another model: its layers have other shapes "
                "than this one's. Choose another folder, or delete this one to start anew."
            )
        # the process may have ended between history.json and what follows it
        self.set_model(model)
        self.keep_best(kept["history"])
        self.remove_old(weights)
        return kept["history"]

    def on_epoch_end(self, epoch, logs=None):
        history = self.record.history
        weights = self.folder / f"epoch-{epoch + 1}.weights.h5"
        with atomic_write(weights) as part:
            self.save_weights(part)
        state = {
            "weights": weights.name,
            "sha256": checksum(weights),
            "shapes": weight_shapes(self.model),
            "random": [keras.ops.convert_to_numpy(s).tolist() for s in random_states(self.model)],
            "history": history,
        }
        with atomic_write(self.state) as part:
            part.write_text(json.dumps(state, indent=1))
        self.keep_best(history)
        self.remove_old(weights)

    def save_weights(self, path):
        """Write weights and optimizer state; raises OSError without space.

        A full disk can crash HDF5, and the process with it; so the space is tried out before, by
        a file of zeros that is a little larger than HDF5's will be.
        """
        variables = [*self.model.variables, *self.model.optimizer.variables]
        with open(path, "wb") as file:
            for variable in variables:
                file.write(bytes(4 * int(np.prod(variable.shape)) + 4096))
        self.model.save_weights(path)

    def keep_best(self, history):
        """Write best.keras if the last epoch of the history is its best."""
        scores = history.get("val_mean_iou", [0.0])
        if scores[-1] >= max(scores):
            with atomic_write(self.folder / "best.keras") as part:
                self.model.save(part)

    def remove_old(self, weights):
        """Delete the weights of earlier epochs, and what a killed process left half-written."""
        leavings = [self.folder / f"part-{name}" for name in ("best.keras", "history.json")]
        for pattern in ("epoch-*.weights.h5", "part-epoch-*.weights.h5"):
            leavings += self.folder.glob(pattern)
        for old in leavings:
            if old != weights:
                old.unlink(missing_ok=True)


def read_state(path):
    """Read history.json; raises ValueError, KeyError or TypeError where it is not as written.

    Returns dict: "weights" (a file name), "sha256", "shapes", "random" (states of dropout),
    "history" (dict of lists of float, all of one length).
    """
    if not path.is_file():
        raise ValueError(f"{path.name} is no file")
    kept = json.loads(path.read_text(encoding="utf-8"))
    history = kept["history"]
    if not isinstance(history, dict):
        raise TypeError("its history is no table")
    lengths = {len(values) for values in history.values() if isinstance(values, list)}
    numbers = [value for values in history.values() for value in values]
    if len(lengths) != 1 or not all(isinstance(value, float) for value in numbers):
        raise ValueError("its history is not one number for every epoch")
    if Path(kept["weights"]).name != kept["weights"]:
        raise ValueError("its weights lie in another folder")
    return kept


def weight_shapes(model):
    """List the shapes of all weights of a model, as lists of numbers."""
    return [list(weight.shape) for weight in model.weights]


def random_states(model):
    """List the variables from which dropout draws; a file of weights does not hold them."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]
