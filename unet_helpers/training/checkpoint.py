"""A training run that is kept in a folder and survives being killed."""

import json
import math
from pathlib import Path

import keras
import numpy as np

from unet_helpers.files import atomic_write, checksum, explained
from unet_helpers.inference.export import to_keras
from unet_helpers.labels import DataError
from unet_helpers.models.folding import flat_layers


class Checkpointer(keras.callbacks.History):
    """Keep a training run in a folder, so that it can resume after the process was killed.

    `history.json` has the checksum of the weights that belong to it, and what the run trains and on
    which data; an epoch counts as done once it is written. data is a dict from its parts to what
    tells them from others, epochs the number planned.
    """

    def __init__(self, folder, data=(), epochs=0):
        super().__init__()
        self.folder = Path(folder)
        self.state = self.folder / "history.json"
        self.run, self.epochs, self.planned = dict(data), epochs, epochs

    def restore(self, model):
        """Load the kept history, and the weights and optimizer state into a model.

        `planned` becomes the number of epochs planned when the last one was trained. Raises
        DataError when the folder holds another run, or files that cannot be read.
        """
        self.run |= describe(model)
        if not self.state.is_file():
            return
        advice = "Delete the folder to start afresh, or choose another one."
        with explained(f"The training run in {self.folder} cannot be read", advice):
            kept = json.loads(self.state.read_text(encoding="utf-8"))
            columns = list(dict(kept["history"]).values())
            numbers = [value for column in columns for value in column]
            if len(set(map(len, columns))) != 1 or {type(value) for value in numbers} != {float}:
                raise ValueError("its history is not one number for every epoch")
            weights = self.folder / f"epoch-{len(columns[0])}.weights.h5"
            if not weights.is_file():  # reading a pipe would never end
                raise ValueError(f"{weights.name} is missing")
            if checksum(weights) != kept["sha256"]:
                raise ValueError(f"{weights.name} is not the file that was written")
            run, planned = dict(kept["run"]), int(kept["epochs"])
            others = [
                f"{part} ({before!r}, now {self.run[part]!r})" if type(before) is str else part
                for part, before in run.items()
                if not alike(before, self.run.get(part, before))
            ]
            if others:
                raise DataError(
                    f"{self.folder} holds a training run that differs from this one in its "
                    f"{', '.join(others)}. To go on with it, give it the same again. {advice}"
                )
            model.optimizer.build(model.trainable_variables)
            model.load_weights(weights)
            for state, value in zip(random_states(model), kept["random"], strict=True):
                state.assign(np.array(value, np.uint32))
        self.history, self.planned, self.run = kept["history"], planned, run | self.run
        self.set_model(model)
        self.finish(weights)  # the process may have been killed after writing history.json

    def on_epoch_end(self, epoch, logs=None):
        for name in self.history | logs:  # a part of the run may have had no validation
            column = self.history.setdefault(name, [math.nan] * epoch)
            column.append(float(logs.get(name, math.nan)))
        weights = self.folder / f"epoch-{epoch + 1}.weights.h5"
        with atomic_write(weights) as part:
            # A full disk can crash HDF5, and the process with it. So zeros are written first, a
            # little more of them than HDF5 needs.
            with open(part, "wb") as file:
                for variable in [*self.model.variables, *self.model.optimizer.variables]:
                    file.write(bytes(4 * int(np.prod(variable.shape)) + 4096))
            self.model.save_weights(part)
        state = {
            "sha256": checksum(weights),
            "random": [keras.ops.convert_to_numpy(s).tolist() for s in random_states(self.model)],
            "history": self.history,
            "epochs": self.epochs,
            "run": self.run,
        }
        with atomic_write(self.state) as part:
            part.write_text(json.dumps(state, indent=1))
        self.finish(weights)

    def finish(self, weights):
        """Write best.keras if the last epoch is the best, and delete all but the last weights."""
        scores = self.history.get("val_mean_iou", [0.0])
        if scores[-1] >= np.nanmax(scores):
            to_keras(self.model, self.folder / "best.keras")
        # a killed process leaves files half-written
        parts = ("part-epoch-*.weights.h5", "part-best.keras", "part-history.json")
        for pattern in ("epoch-*.weights.h5", *parts):
            for path in self.folder.glob(pattern):
                if path != weights:
                    path.unlink()


def describe(model):
    """Describe a compiled model and how it learns, but for chance, epochs and the machine."""
    loss = getattr(model.loss, "loss", model.loss)  # that of distributed.WholeBatch
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of float16
    parts = {"network": flat_layers(model), "loss": [loss], "optimizer": [optimizer]}
    out = {"name", "seed", "decay_steps", "warmup_steps", "dtype", "synchronized"}

    def plain(part):
        settings = part.get_config() if hasattr(part, "get_config") else {}
        return {"class": getattr(part, "__name__", type(part).__name__), **settings}

    def compared(config):
        return {k: v for k, v in config.items() if k not in out and not k.endswith("initializer")}

    return json.loads(json.dumps(parts, default=plain), object_hook=compared)


def alike(one, other):
    """Compare two values from JSON: machines differ in digits, versions of Keras in settings."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(alike(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-4)
    return one == other


def random_states(model):
    """List the states of dropout's random generators; a weights file does not hold them."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]
