"""Several devices and several processes take the steps of one device."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from unet_helpers import training
from unet_helpers.labels import DataError
from unet_helpers.training import distributed

PROGRAM = Path(__file__).with_name("machines.py")
COMPILED = tempfile.TemporaryDirectory()  # JAX compiles the same steps in every run otherwise
JAX = {
    "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiling takes longer than computing
}
needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed: pip install jax"
)


def start(*arguments, backend):
    """Start machines.py without a GPU; returns the process and the file that it prints to.

    Of two processes none ends before the other, so none may wait for its output to be read.
    """
    settings = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend}
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=said, stderr=subprocess.STDOUT, env=os.environ | settings | JAX
    )
    return process, said


def results(*started, seconds=400):
    """Wait for processes; returns what each found. A pair that hangs is killed and shown."""
    end, texts, late = time.monotonic() + seconds, [], False
    for process, _ in started:
        try:
            process.wait(max(1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            late = True
    for _, said in started:
        said.seek(0)
        texts.append(said.read())
        said.close()
    shown = "\n----\n".join(text[-3000:] for text in texts)
    assert not late, f"No end after {seconds} s.\n{shown}"
    assert not any(process.returncode for process, _ in started), shown
    return [json.loads(next(x for x in t.splitlines()[::-1] if x[:1] == "{")) for t in texts]


def assert_same(first, second, tolerance=1e-5, without=()):
    """Compare the history, the weights and the logits of two training runs."""
    assert set(first["history"]) == set(second["history"])
    for key in set(first["history"]) - set(without):
        np.testing.assert_allclose(
            first["history"][key], second["history"][key], rtol=tolerance, err_msg=key
        )
    for key in ("weights", "logits"):
        np.testing.assert_allclose(
            first[key], second[key], rtol=tolerance, atol=10 * tolerance, err_msg=key
        )


# ---------------------------------------------------------------- several devices of one machine


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Every case of machines.py, on one and on two logical CPUs."""
    return results(start("devices", tmp_path_factory.mktemp("two"), backend="tensorflow"))[0]


def test_strategy_takes_the_devices_that_it_is_given(found):
    assert found["kinds"][1] == "MirroredStrategy"
    assert found["devices"] == [1, 2]
    assert distributed.strategy().num_replicas_in_sync == 1  # no GPU here


@pytest.mark.parametrize("case", ["weights", "dice"])
def test_two_devices_train_as_one(found, case):
    """Void in every second image, a last batch of three, and weights or Dice.

    With the weights the batch has eight images: of three, TensorFlow's own division leaves a device
    none.
    """
    one, two = found[case]
    assert one["history"]["loss"][0] > one["history"]["loss"][-1]
    assert_same(one, two)


def test_a_last_batch_of_one_image_is_repeated_and_counts_twice(found):
    """Steps are those of one device; only Keras's mean over the epoch counts two images."""
    one, two = found["single"]
    assert_same(one, two, 1e-4, without=["loss"])
    np.testing.assert_allclose(one["history"]["loss"], two["history"]["loss"], rtol=0.05)
    assert one["history"]["loss"][0] != two["history"]["loss"][0]


@pytest.mark.parametrize("case", ["bfloat16", "float16"])
def test_half_precision_trains_on_two_devices(found, case):
    one, two = found[case]
    np.testing.assert_allclose(one["history"]["loss"], two["history"]["loss"], rtol=0.02)
    assert two["history"]["loss"][-1] < two["history"]["loss"][0]


def test_two_devices_resume_with_the_same_digits(found):
    assert_same(found["weights"][1], found["resumed"])


# ---------------------------------------------------------------- parts of batches


def batch_of(size):
    return tf.range(size), tf.range(size) * 10


@pytest.mark.parametrize(("size", "expected"), [(5, [[0, 1], [2, 3, 4]]), (2, [[0], [1]])])
def test_parts_differ_by_one_image_at_most(size, expected):
    parts = [distributed.part(batch_of(size), i, 2) for i in range(2)]
    assert [part[0].numpy().tolist() for part in parts] == expected
    assert [part[1].numpy().tolist() for part in parts] == [
        [10 * x for x in row] for row in expected
    ]


def test_repeat_gives_every_device_an_image_and_every_image_the_same_weight():
    for size, times in ((1, 4), (3, 2), (4, 1), (7, 1)):
        assert distributed.repeat(batch_of(size), 4)[0].numpy().tolist() == [*range(size)] * times


def test_fill_adds_copies_that_are_void():
    masks = tf.ones((3, 2, 2), tf.uint8)
    images, filled, weights = distributed.fill(
        (tf.reshape(tf.range(36, dtype=tf.int32), (3, 2, 2, 3)), masks, tf.ones((3, 2, 2))), 4
    )
    np.testing.assert_array_equal(images[3], images[0])
    assert np.unique(filled[:3]).tolist() == [1]
    assert np.unique(filled[3]).tolist() == [255]
    assert np.asarray(weights).sum(axis=(1, 2)).tolist() == [4, 4, 4, 0]
    assert len(distributed.fill((images, filled), 4)[0]) == 4


def test_whole_batch_is_the_loss_itself_on_one_device_and_can_be_saved():
    inner = training.CrossEntropyAndDice()
    loss = distributed.WholeBatch(inner)
    masks = np.array([[[0, 1], [2, 255]]])
    logits = np.random.default_rng(0).normal(size=(1, 2, 2, 3)).astype(np.float32)
    assert float(loss(masks, logits)) == float(inner(masks, logits))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(masks, logits)) == float(inner(masks, logits))


def test_join_explains_what_is_wrong():
    distributed.join(None, 1, 0)  # alone: nothing to do
    with pytest.raises(DataError, match=r"process 2 of 2.*count from 0"):
        distributed.join("127.0.0.1:1", 2, 2)
    with pytest.raises(DataError, match="at the address None"):
        distributed.join(None, 2, 0)
    with pytest.raises(DataError, match="with tensorflow; several processes need JAX"):
        distributed.join("127.0.0.1:1", 2, 0)


# ---------------------------------------------------------------- JAX, and several processes


@pytest.fixture(scope="module")
def alone(found, tmp_path_factory):
    """The same training run with TensorFlow and with JAX, one process each."""
    jax = results(start("train", tmp_path_factory.mktemp("jax"), backend="jax"))[0]
    return {"tensorflow": found["alone"], "jax": jax}


@needs_jax
def test_jax_trains_as_tensorflow(alone):
    assert_same(alone["tensorflow"]["undisturbed"], alone["jax"]["undisturbed"], 1e-3)


@needs_jax
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_both_backends_resume_with_the_same_digits(alone, backend):
    assert_same(alone[backend]["undisturbed"], alone[backend]["resumed"])


@needs_jax
def test_two_processes_train_as_one(alone, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    pair = results(
        *(start("train", tmp_path / "both", address, i, backend="jax") for i in range(2))
    )
    for part in ("undisturbed", "resumed"):
        one, first, second = (found[part] for found in (alone["jax"], *pair))
        assert first["weights"] == second["weights"]
        assert_same(one, first, 1e-4)
    # a last batch of three becomes one of four, of which one is void: only Keras's mean counts it
    assert pair[0]["uneven"]["weights"] == pair[1]["uneven"]["weights"]
    assert np.isfinite(pair[0]["uneven"]["history"]["loss"]).all()
    names = sorted(path.name for path in (tmp_path / "both" / "process-1").iterdir())
    assert names == [".lock", "best.keras", "epoch-2.weights.h5", "history.json"]


@needs_jax
def test_find_gpus_asks_jax_where_jax_computes(monkeypatch):
    import jax

    class Card:
        platform, device_kind, compute_capability = "gpu", "Some card", "8.9"

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(jax, "local_devices", lambda: [Card, Card])
    assert distributed.find_gpus() == (2, "Some card", (8, 9))
    monkeypatch.setattr(jax, "local_devices", lambda: [])
    assert distributed.find_gpus()[0] == 0
