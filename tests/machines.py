"""The program that test_devices.py starts: the same small training on one device or on several.

python machines.py devices            one and two logical processors of TensorFlow, in turn
python machines.py train FOLDER       with the backend in KERAS_BACKEND
python machines.py train FOLDER ADDRESS NUMBER      as one of two processes

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
    shuffle=False,
    epochs=3,
    stop=None,
    folder=None,
):
    """Train; returns history, weights and logits. After `stop` epochs it begins anew, to resume."""
    keras.config.set_dtype_policy(policy)
    data = images(count)
    for until in [epochs] if stop is None else [stop, epochs]:
        keras.utils.set_random_seed(1)
        batches = datasets.batches(data, batch_size, shuffle, datasets.augment)
        if class_weights is not None:
            batches = training.with_class_weights(batches, class_weights)
        with strategy.scope():
            model = network(batch_norm)
            training.compile_model(model, epochs * len(batches), 0.05, loss=loss)
        history = training.fit(
            model, batches, datasets.batches(data, 4), until, folder, progress=False
        )
    history.pop("seconds")
    logits = inference.predict_logits(model, datasets.to_arrays(data)[0], 3)
    return {
        "history": history,
        "weights": np.concatenate([w.ravel() for w in model.get_weights()]).tolist(),
        "logits": logits.ravel().tolist(),
    }


CASES = {
    "void": dict(),
    "uneven": dict(count=7),
    "almost_empty": dict(count=11, batch_size=8),
    "single": dict(count=9),
    "batch_norm": dict(count=9, batch_norm=True),
    "class_weights": dict(class_weights=[1.0, 3.0, 0.5]),
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
    order = dict(count=16, shuffle=True, epochs=4)
    found["resume"] = [train(two, **order), train(two, **order, stop=2, folder=folder)]
    return found


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    what, folder, *rest = sys.argv[1:]
    if what == "devices":
        print(json.dumps(both(folder)))
    else:
        if rest:
            distributed.join(rest[0], 2, int(rest[1]))
        options = dict(count=10, batch_norm=True, epochs=4)
        found = train(distributed.strategy(), **options)
        found["uneven"] = train(distributed.strategy(), **{**options, "count": 11})
        found["resumed"] = train(
            distributed.strategy(), count=12, shuffle=True, epochs=4, stop=2, folder=folder
        )
        found["undisturbed"] = train(distributed.strategy(), count=12, shuffle=True, epochs=4)
        print(json.dumps(found))
