"""Training: the precision this machine is fast at, a recipe, and a fit that survives a stop."""

import json
import os
import platform
import time
from pathlib import Path

import imageio.v2 as imageio
import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from unet_helpers import devices, inference, losses, metrics, one_pass
from unet_helpers.download import checksum
from unet_helpers.labels import VOID, DataError, mask_to_colour

# ---------------------------------------------------------------- precision


def describe_machine():
    """Find out what this machine can compute with.

    Returns:
        dict: "device" (a name for people), "gpus" (their number), "precision" (the Keras policy
        this machine is fastest at) and "why" (a sentence).
    """
    gpus, name, capability = devices.find_gpus()
    if gpus:
        precision, why = gpu_precision(capability)
    else:
        name = "CPU"
        precision, why = cpu_precision(cpu_flags())
    return {"device": name, "gpus": gpus, "precision": precision, "why": why}


def gpu_precision(compute_capability):
    """Choose the policy for a GPU of a compute capability (major, minor), or None if unknown.

    Returns (policy, sentence).
    """
    if compute_capability is None:
        return "float32", "The GPU does not say what it can do, so float32 is the safe choice."
    version = ".".join(map(str, compute_capability))
    if compute_capability >= (8, 0):
        return "mixed_bfloat16", f"A GPU of capability {version} multiplies fastest in bfloat16."
    if compute_capability >= (7, 0):
        return "mixed_float16", f"A GPU of capability {version} multiplies fastest in float16."
    return "float32", f"A GPU of capability {version} gains nothing from half precision."


def cpu_precision(flags):
    """Choose the policy for a CPU from the set of its flags; returns (policy, sentence)."""
    if flags & {"amx_bf16", "avx512_bf16"}:
        return "mixed_bfloat16", "This processor multiplies bfloat16 in hardware."
    return "float32", "This processor has no half-precision instructions, so float32 is fastest."


def cpu_flags():
    """Read the processor's feature flags where Linux lists them; elsewhere an empty set."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    for line in lines:
        if line.startswith("flags"):
            return set(line.split(":")[1].split())
    return set()


def use_best_precision():
    """Set Keras to the precision this machine is fastest at; returns `describe_machine()`.

    Set it before building a model. Weights and logits stay float32 under every policy.
    """
    machine = describe_machine()
    keras.config.set_dtype_policy(machine["precision"])
    return machine


def print_machine(machine):
    """Say in plain sentences what `describe_machine` found, and which versions run here."""
    if machine["gpus"]:
        print(f"This machine has {machine['gpus']} GPU: {machine['device']}.")
        print("That is enough for the full data sets: set DATA = 'full' where a notebook has it.")
    else:
        print("This machine has no GPU. The sample data is made for that; keep DATA = 'sample'.")
    print(f"{machine['why']} Keras computes in {machine['precision']}.")
    print(
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}, NumPy {np.__version__}, {os.cpu_count()} processor cores."
    )


# ---------------------------------------------------------------- recipe

BATCH_SIZE = 2  # small batches make many steps, and short trainings need steps


def compile_model(model, steps, learning_rate=5e-3, loss=None):
    """Compile a model with the course's recipe.

    Adam with a learning rate that warms up over the first 15 % of the steps and falls to
    almost zero along a cosine: large steps early, small ones at the end, so the last epoch is
    usually the best one and a short training uses all of its budget.

    Args:
        model: gives logits (B, H, W, C).
        steps: batches in the whole training, epochs times batches an epoch.
        learning_rate: the highest rate.
        loss: a Keras loss; None is cross-entropy from logits, void left out, of the classes or,
            with a single logit, of a binary mask.

    Returns:
        the compiled model.

    Source: Kingma and Ba 2015 (Adam), Loshchilov and Hutter 2017 (cosine).
    """
    warmup = max(1, int(0.15 * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate / 10,
        decay_steps=max(1, steps - warmup),
        alpha=0.01,
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    if loss is None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
        if model.output_shape[-1] == 1:
            loss = losses.BinaryCrossEntropy()
    several = devices.replicas(model) > 1
    if several:
        loss = devices.WholeBatch(loss)
        devices.synchronise(model)
    # Keras would compile with XLA by itself; on a CPU TensorFlow starts later with it and is no
    # faster after (benchmarks/compilation.py); on several devices it has not been tried. JAX is
    # slow without it.
    gpus, _, _ = devices.find_gpus()
    xla = keras.backend.backend() != "tensorflow" or (gpus > 0 and not several)
    model.compile(
        optimizer=one_pass.update(keras.optimizers.Adam(schedule)),
        loss=loss,
        jit_compile="auto" if xla else False,
    )
    if not gpus and not several:
        one_pass.normalise(model)
    # Made inside the first step, the optimizer's variables would make TensorFlow trace it twice.
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model, train, validation=None, epochs=10, folder=None, callbacks=(), progress=True):
    """Train a model and score it after every epoch; with a folder, resume where it stopped.

    Args:
        model: compiled; gives logits (B, H, W, C).
        train: tf.data.Dataset of (images uint8, masks uint8[, weights]) batches.
        validation: batches of pictures that are not in train, or None.
        epochs: number of epochs in all, those of an earlier run in the folder included.
        folder: keeps `history.json`, the weights and optimizer state of the last epoch and
            `best.keras`, the model with the best validation IoU. None keeps nothing.
        callbacks: more Keras callbacks.
        progress: show a progress bar.

    Returns:
        dict of lists, one entry an epoch: "loss", "seconds", and with validation "val_loss",
        "val_accuracy", "val_mean_iou" (each from one confusion matrix over all of validation).

    Raises:
        DataError: no batches, pictures of another size than the model's, labels that have no
            logit, or a folder that holds the training of another model.
    """
    n_classes = model.output_shape[-1]
    for name, dataset in (("training", train), ("validation", validation)):
        if dataset is not None:
            check_batches(model, dataset, name)
    steps, several = int(train.cardinality()), devices.replicas(model) > 1
    keeper = Keeper(devices.own_folder(folder)) if folder is not None else None
    history = keeper.restore(model) if keeper else {}
    done = len(history.get("loss", ()))
    devices.check_same(done, folder)
    if keeper and done:
        print(f"Resuming after epoch {done} of {epochs}, kept in {folder}.")
    if 0 < done < epochs:
        # Every iterator of the data draws an order of its own, and Keras makes two an epoch (one
        # with JAX and on several devices). Those of the finished epochs are drawn and not used, so
        # that the next epochs see the order and the augmentation that they would have seen
        # without the stop.
        for _ in range(done if several or keras.backend.backend() == "jax" else 2 * done):
            iter(train)
    every = [*callbacks]
    if validation is not None:
        # First in the list, so that the callbacks after it find the scores in the logs.
        every.insert(0, ValidationScores(validation, n_classes))
    record = Record(history)
    every.append(record)
    if keeper:
        keeper.record = record
        every.append(keeper)
    if progress:
        every.append(ProgressBar(epochs, steps))
    if done < epochs:
        # shuffle=False: the data set shuffles by itself (pipeline.batches)
        model.fit(
            devices.share(model, train),
            steps_per_epoch=steps if several else None,
            epochs=epochs,
            initial_epoch=done,
            callbacks=every,
            verbose=0,
            shuffle=False,
        )
    return record.history


def check_batches(model, dataset, name):
    """Raise DataError when a data set of batches does not fit a model; reads it once."""
    n_classes, expected = model.output_shape[-1], model.input_shape[1:]
    top, count = -1, 0
    for images, masks, *_ in dataset:
        count += 1
        if images.ndim != 4 or masks.ndim != 3:
            raise DataError(
                f"The {name} data has images of shape {tuple(images.shape)} and masks of shape "
                f"{tuple(masks.shape)}; expected (B, H, W, 3) and (B, H, W). Are the pairs in "
                "batches (pipeline.batches), and the masks without a channel axis?"
            )
        have = tuple(images.shape[1:])
        if any(want not in (None, size) for want, size in zip(expected, have, strict=True)):
            raise DataError(
                f"The {name} pictures are {have[0]}x{have[1]}, the model takes "
                f"{expected[0]}x{expected[1]}. Give the loader's image_size and the model's "
                "input_size the same numbers."
            )
        labels = np.asarray(masks)
        labels = labels[labels != VOID]
        top = max(top, int(labels.max())) if labels.size else top
    if not count:
        raise DataError(f"The {name} data is empty: there is no batch to train or score on.")
    if top < 0:
        raise DataError(f"The {name} data has no label at all: every pixel is void.")
    # one logit is a binary mask with the labels 0 and 1
    if top >= max(n_classes, 2):
        raise DataError(
            f"The {name} masks hold the label {top}, but the model has {n_classes} logits, for the "
            f"classes 0 .. {n_classes - 1}. Build it with n_classes={top + 1} or more."
        )


# ---------------------------------------------------------------- callbacks


class ValidationScores(keras.callbacks.Callback):
    """Add val_loss, val_accuracy and val_mean_iou to the logs, from one pass over validation."""

    def __init__(self, validation, n_classes):
        super().__init__()
        self.validation, self.n_classes = validation, n_classes

    def on_epoch_end(self, epoch, logs=None):
        confusion, loss, pixels = 0, 0.0, 0
        for images, masks, *_ in self.validation:
            logits = inference.predict_logits(self.model, images, len(images))
            masks = np.asarray(masks)
            confusion = confusion + metrics.confusion_matrix(
                masks, inference.to_mask(logits), max(self.n_classes, 2)
            )
            # the loss is a mean over valid pixels, so weigh the batches by these
            valid = int((masks != VOID).sum())
            loss += valid * float(self.model.loss(masks, logits)) if valid else 0.0
            pixels += valid
        scores = metrics.scores(confusion)
        logs["val_loss"] = loss / pixels
        logs["val_accuracy"] = scores.pixel_accuracy
        logs["val_mean_iou"] = scores.mean_iou


class Record(keras.callbacks.Callback):
    """Append the logs of every epoch to a history, that of an earlier run included."""

    def __init__(self, history):
        super().__init__()
        self.history = {key: list(values) for key, values in history.items()}

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        for key, value in {**logs, "seconds": time.monotonic() - self.start}.items():
            self.history.setdefault(key, []).append(float(value))


class Keeper(keras.callbacks.Callback):
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
        write_whole(weights, self.save_weights)
        state = {
            "weights": weights.name,
            "sha256": checksum(weights),
            "shapes": weight_shapes(self.model),
            "random": [keras.ops.convert_to_numpy(s).tolist() for s in random_states(self.model)],
            "history": history,
        }
        write_whole(self.state, lambda path: Path(path).write_text(json.dumps(state, indent=1)))
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
            write_whole(self.folder / "best.keras", self.model.save)

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


class ProgressBar(keras.callbacks.Callback):
    """Show one tqdm bar over all epochs, with the newest losses beside it."""

    def __init__(self, epochs, steps):
        super().__init__()
        self.epochs, self.steps = epochs, steps

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.epochs * self.steps, desc="training", unit="batch")

    def on_epoch_begin(self, epoch, logs=None):
        self.bar.n = epoch * self.steps
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in logs.items()})

    def on_train_end(self, logs=None):
        self.bar.close()


class PredictionGif(keras.callbacks.Callback):
    """Predict the same picture before training and after every epoch, and write them as a GIF.

    Args:
        image: uint8 (H, W, 3) of the model's size.
        labels: Labels, for the colours.
        path: file to write when training ends; it appears only when whole.
        truth: uint8 (H, W), shown beside the prediction if given.
        scale: whole number by which the small pictures are enlarged.
        seconds: each picture is shown; the last one three times as long.
    """

    def __init__(self, image, labels, path, truth=None, scale=3, seconds=0.5):
        super().__init__()
        self.image, self.labels, self.path, self.truth = image, labels, Path(path), truth
        self.scale, self.seconds = scale, seconds
        self.masks = []

    def on_train_begin(self, logs=None):
        self.masks = []
        self.add()

    def on_epoch_end(self, epoch, logs=None):
        self.add()

    def on_train_end(self, logs=None):
        self.write()

    def add(self):
        """Predict the picture once more."""
        self.masks.append(inference.predict_masks(self.model, self.image[None])[0])

    def write(self):
        """Write the GIF; returns its path."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        frames = [self.frame(number, mask) for number, mask in enumerate(self.masks)]
        times = [1000 * self.seconds] * (len(frames) - 1) + [3000 * self.seconds]
        write_whole(
            self.path,
            lambda path: imageio.mimwrite(path, frames, format="GIF", duration=times, loop=0),
        )
        return self.path

    def frame(self, number, mask):
        """Draw one picture of the GIF: image, prediction, truth, and how far training is."""
        parts = [self.image, mask_to_colour(mask, self.labels)]
        if self.truth is not None:
            parts.append(mask_to_colour(self.truth, self.labels))
        row = np.concatenate(parts, axis=1)
        row = row.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
        # a bar below the pictures grows with the epochs
        bar = np.full((2 * self.scale, row.shape[1], 3), 60, np.uint8)
        bar[:, : row.shape[1] * number // max(len(self.masks) - 1, 1)] = (255, 232, 69)
        return np.concatenate([row, bar])


def write_whole(path, write):
    """Call write(temporary path) and move the file into place, so that path is never half-written.

    Raises DataError when there is no space; what stood at path before is then still there.
    """
    try:
        with inference.whole_file(path) as part:
            write(str(part))
    except (OSError, RuntimeError) as error:  # HDF5 says RuntimeError when a full disk stops it
        raise DataError(
            f"{path} could not be written ({getattr(error, 'strerror', None) or error}). Make "
            "space or choose another folder; what was there before is kept."
        ) from error
