"""The program that test_distributed.py starts: one small training run, on one device or several.

python machines.py devices FOLDER     one and two logical CPUs of TensorFlow, in turn
python machines.py train FOLDER       in one process, on KERAS_BACKEND
python machines.py train FOLDER ADDRESS NUMBER      as one of two processes, on JAX

Prints a line of JSON last.
"""

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from unet_helpers import datasets, inference, training
from unet_helpers.training import distributed


def images(count):
    """Make pairs in which every second image is largely void."""
    values = np.random.default_rng(0)
    masks = values.integers(0, 3, (count, 8, 8)).astype(np.uint8)
    images = masks[..., None] * 70 + values.integers(0, 60, (count, 8, 8, 3))
    masks[::2, :6] = 255
    return datasets.from_arrays(images.astype(np.uint8), masks)


def network(batch_norm, start=0):
    """Build a small network with the same weights in every process and with every backend."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    # A bias before a normalisation has a gradient of rounding errors only, which Adam enlarges.
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=not batch_norm)(x)
    x = keras.layers.BatchNormalization()(x) if batch_norm else x
    logits = keras.layers.Conv2D(3, 1, dtype="float32")(keras.layers.ReLU()(x))
    model = keras.Model(inputs, logits)
    values = np.random.default_rng(start)
    model.set_weights(
        [w if w.ndim == 1 else values.normal(0, 0.3, w.shape) for w in model.get_weights()]
    )
    return model


def train(
    strategy,
    count=8,
    batch_size=4,
    batch_norm=False,
    policy="float32",
    loss=None,
    class_weights=None,
    epochs=2,
    stop=None,
    folder=None,
):
    """Train, with a new start after `stop` epochs; returns history, weights and logits."""
    keras.config.set_dtype_policy(policy)
    data = images(count)
    for until in [epochs] if stop is None else [stop, epochs]:
        keras.utils.set_random_seed(1)
        batches = datasets.batches(data, batch_size, epochs, datasets.augment)
        if class_weights is not None:
            batches = training.with_class_weights(batches, class_weights)
        with strategy.scope():
            model = network(batch_norm)
            training.compile_model(model, len(batches), 0.05, loss=loss)
        validation, steps = datasets.batches(data, 4), len(batches) // epochs
        history = training.fit(model, batches, validation, until, folder, steps, progress=False)
    history.pop("seconds")
    logits = inference.predict_logits(model, datasets.to_arrays(data)[0], 3)
    return {
        "history": history,
        "weights": np.concatenate([w.ravel() for w in model.get_weights()]).tolist(),
        "logits": logits.ravel().tolist(),
    }


CASES = {
    "weights": dict(count=11, batch_size=8, class_weights=[1.0, 3.0, 0.5]),
    "single": dict(count=9, batch_norm=True),
    "dice": dict(count=7, loss="dice"),
    "bfloat16": dict(policy="mixed_bfloat16"),
    "float16": dict(policy="mixed_float16"),
}


def both(folder):
    """Train every case on one and on two logical devices."""
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    one, two = distributed.strategy(), distributed.strategy(["CPU:0", "CPU:1"])
    found = {"kinds": [type(one).__name__, type(two).__name__], "devices": []}
    for strategy in (one, two):
        found["devices"].append(strategy.num_replicas_in_sync)
    for name, options in CASES.items():
        if options.get("loss"):
            options["loss"] = training.CrossEntropyAndDice()
        found[name] = [train(strategy, **options) for strategy in (one, two)]
    found["resumed"] = train(two, **CASES["weights"], stop=1, folder=folder / "two")
    return found | {"alone": alone(one, folder / "one")}


def alone(strategy, folder):
    """Train with weights of classes: undisturbed, and once more with a stop."""
    options = dict(count=10, batch_norm=True, class_weights=[1.0, 3.0, 0.5])
    resumed = train(strategy, **options, stop=1, folder=folder)
    return {"undisturbed": train(strategy, **options), "resumed": resumed}


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    what, folder, *rest = sys.argv[1:]
    if what == "devices":
        found = both(Path(folder))
    else:
        if rest:
            distributed.join(rest[0], 2, int(rest[1]))
        found = alone(distributed.strategy(), folder)
        if rest:
            found["uneven"] = train(distributed.strategy(), count=11, batch_norm=True)
    print(json.dumps(found))
