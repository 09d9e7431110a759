"""What makes training fast must not change what it computes; and the stopwatch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from unet_helpers import models, timing, training
from unet_helpers.models import conv_block, unet, upsampling_block
from unet_helpers.training import fused

# ---------------------------------------------------------------- the stopwatch


def test_variants_are_timed_in_turns_and_first_calls_are_not_counted():
    calls = []
    seconds = timing.in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert {name: values.shape for name, values in seconds.items()} == {"a": (3,), "b": (3,)}
    assert all((values >= 0).all() for values in seconds.values())


def test_seconds_are_those_of_the_variant(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 23.0, 30.0, 34.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    seconds = timing.in_turns({"a": int, "b": int}, 2)
    assert seconds["a"].tolist() == [1, 3] and seconds["b"].tolist() == [2, 4]


def test_waiting_and_computing_are_told_apart(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def batches():
        for number in (1.0, 2.0):
            now[0] += 10  # each batch takes 10 s to come
            yield (number,)
        now[0] += 5  # and the end of the epoch 5 s

    def step(number):
        now[0] += number

    assert timing.waiting(step, batches()) == (25.0, 3.0)


@pytest.mark.parametrize("variants,rounds", [({}, 3), ({"a": int}, 0)])
def test_nothing_to_time_is_said(variants, rounds):
    with pytest.raises(ValueError, match="nothing to time"):
        timing.in_turns(variants, rounds)


def test_bandwidth_counts_what_is_read_and_written(monkeypatch):
    monkeypatch.setattr(
        timing, "in_turns", lambda variants: dict.fromkeys(variants, np.array([4.0, 2.0]))
    )
    assert timing.memory_bandwidth(megabytes=1) == 2 * 2**20 / 2.0


def test_waiting_fetches_the_first_number():
    assert timing.wait(keras.ops.convert_to_tensor([[2.5, 1.0]], "bfloat16")) == 2.5


# ---------------------------------------------------------------- fused Adam


def train(policy, fast, epochs=3):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        features, _ = conv_block(layers.Rescaling(1 / 255)(inputs), 4, max_pooling=False)
        model = keras.Model(inputs, unet.logits_layer(features, 3))
    finally:
        keras.config.set_dtype_policy(before)
    # an epsilon of this size shows where it is added
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)
    adam = keras.optimizers.Adam(schedule, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    if fast:
        adam = fused.fuse_adam(adam)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam, loss, jit_compile=False)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 16, 16, 3), np.uint8)
    masks = random.integers(0, 3, (8, 16, 16), np.uint8)
    history = model.fit(images, masks, 2, epochs, verbose=0, shuffle=False)
    return model, history.history["loss"]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_fused_adam_updates_as_keras_does(policy):
    (model, losses), (other, expected) = train(policy, True), train(policy, False)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0]
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    states = zip(model.optimizer.variables, other.optimizer.variables, strict=True)
    assert all(ours.shape == theirs.shape for ours, theirs in states)


def test_fused_adam_equals_adam_by_hand():
    """The first step of Adam is the learning rate, whatever the gradient's size (section 2.1)."""
    weight = keras.Variable([1.0, -2.0, 3.0])
    adam = fused.fuse_adam(keras.optimizers.Adam(0.1, epsilon=0.0))
    adam.apply([keras.ops.convert_to_tensor([5.0, -1e-3, 40.0])], [weight])
    np.testing.assert_allclose(np.array(weight), [0.9, -1.9, 2.9], rtol=1e-5)


def two_steps(adam):
    """Update one float64 weight twice; returns it."""
    weight = keras.Variable(np.array([1.0, -2.0, 3.0]), dtype="float64")
    for gradient in ([5.0, -1e-3, 40.0], [-1.0, 1.0, 0.1]):
        adam.apply([tf.constant(gradient, tf.float64)], [weight])
    return np.array(weight)


@pytest.mark.parametrize("amsgrad", [False, True])
def test_float64_and_amsgrad_are_those_of_keras(amsgrad):
    adams = [keras.optimizers.Adam(0.1, amsgrad=amsgrad) for _ in range(2)]
    fused.fuse_adam(adams[0])
    ours, theirs = map(two_steps, adams)
    # Keras rounds its constants to float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_without_a_private_name_of_keras_its_own_step_is_used_and_said_once(monkeypatch):
    monkeypatch.setattr(fused, "ADAM_NEEDS", ("_of_another_version",))
    adam = fused.fuse_adam(keras.optimizers.Adam(0.1))
    with pytest.warns(UserWarning) as said:
        found = two_steps(adam)
    text = "No Adam._of_another_version: Keras's own, slower step is used"
    assert [text in str(warning.message) for warning in said].count(True) == 1
    np.testing.assert_array_equal(found, two_steps(keras.optimizers.Adam(0.1)))


def test_a_model_trained_so_is_loaded_by_keras_alone_with_its_state(tmp_path):
    model, _ = train("float32", True, epochs=1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is keras.optimizers.Adam
    for ours, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_allclose(np.array(ours), np.array(theirs))


def test_float16_scales_its_loss_and_stays_finite():
    model, losses = train("mixed_float16", True)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


# ---------------------------------------------------------------- one normalisation a block


def normalisations(model):
    return [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def test_block_normalises_after_the_second_convolution_only():
    inputs = keras.Input((8, 8, 3))
    down = keras.Model(inputs, conv_block(inputs, 4, batch_norm="block"))
    up_inputs = [keras.Input((4, 4, 8)), keras.Input((8, 8, 4))]
    up = keras.Model(up_inputs, upsampling_block(*up_inputs, 4, batch_norm="block"))
    for model in (down, up):
        (layer,) = normalisations(model)
        first, second = (x for x in model.layers if type(x) is layers.Conv2D)
        assert layer.input is second.output
        # the first keeps its bias, the second's would be subtracted again
        assert first.use_bias and not second.use_bias


def test_unet_with_one_normalisation_a_block_has_nine():
    plain = models.unet_model((32, 32, 3), 4, 3)
    block = models.unet_model((32, 32, 3), 4, 3, batch_norm="block")
    filters = [layer.output.shape[-1] for layer in normalisations(block)]
    assert filters == [4, 8, 16, 32, 64, 32, 16, 8, 4]
    # four numbers for each filter, and no bias before them
    assert block.count_params() - plain.count_params() == 3 * sum(filters)


# ---------------------------------------------------------------- fused normalisation


def normalised(policy, fast, seed=0):
    """A convolution and its normalisation, its numbers not those of the start."""
    random = np.random.default_rng(seed)
    inputs = keras.Input((6, 5, 3))
    x = layers.Conv2D(4, 3, padding="same", dtype=policy)(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(momentum=0.7, dtype=policy)(x))
    model.set_weights([random.uniform(0.5, 2, w.shape) for w in model.get_weights()])
    return fused.fuse_batch_norm(model) if fast else model


@pytest.mark.parametrize("policy,close", [("float32", 1e-4), ("mixed_bfloat16", 0.05)])
def test_fused_normalisation_is_that_of_keras(policy, close, rng):
    images = rng.normal(size=(3, 6, 5, 3)).astype(np.float32)
    ours, theirs = normalised(policy, True), normalised(policy, False)
    found, expected = (np.array(x(images, training=True), np.float32) for x in (ours, theirs))
    np.testing.assert_allclose(found, expected, atol=close)
    # moving mean and variance, after one step
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=close)
    np.testing.assert_allclose(ours(images), theirs(images), rtol=max(close, 1e-2))


def test_fused_normalisation_has_the_gradients_of_keras(rng):
    images = rng.normal(size=(3, 6, 5, 3)).astype(np.float32)
    weights = rng.normal(size=(3, 6, 5, 4)).astype(np.float32)
    gradients = []
    for model in (normalised("float32", True), normalised("float32", False)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weights * model(images, training=True))
        trainable = [weight.value for weight in model.trainable_weights]
        gradients.append(tape.gradient(loss, trainable))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_fused_normalisation_by_hand():
    """Values 1, 2, 3, 6: mean 3, variance 3.5 by n (14 / 4), 14 / 3 by n - 1."""
    inputs = keras.Input((2, 2, 1))
    layer = layers.BatchNormalization(momentum=0.0, epsilon=1e-3)
    model = fused.fuse_batch_norm(keras.Model(inputs, layer(inputs)))
    values = np.array([1, 2, 3, 6], np.float32).reshape(1, 2, 2, 1)
    expected = (values - 3) / np.sqrt(3.5 + 1e-3)
    np.testing.assert_allclose(model(values, training=True), expected, rtol=1e-4)
    assert float(layer.moving_mean[0]) == pytest.approx(3)
    assert float(layer.moving_variance[0]) == pytest.approx(3.5)
    np.testing.assert_allclose(model(values), expected, rtol=1e-4)


def test_a_frozen_normalisation_keeps_its_numbers(rng):
    model = normalised("float32", True)
    model.layers[-1].trainable = False
    before = model.get_weights()
    model(rng.normal(size=(3, 6, 5, 3)), training=True)
    assert all((a == b).all() for a, b in zip(model.get_weights(), before, strict=True))


def test_models_used_as_layers_are_fused():
    inner = normalised("float32", False)
    outer = keras.Sequential([keras.Input((6, 5, 3)), inner, layers.BatchNormalization()])
    inputs = keras.Input((6, 5, 3))
    fused.fuse_batch_norm(keras.Model(inputs, outer(inputs)))
    found = [inner.layers[-1], outer.layers[-1]]
    assert all("call" in vars(layer) for layer in found)


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"renorm": True}, {"dtype": "float64"}]
)
def test_other_normalisations_are_left_to_keras(options):
    inputs = keras.Input((4, 4, 3))
    try:
        layer = layers.BatchNormalization(**options)
    except ValueError:
        pytest.skip(f"this Keras knows no {options}")
    model = keras.Model(inputs, layer(inputs))
    fused.fuse_batch_norm(model)
    assert "call" not in vars(model.layers[-1])


def test_a_compiled_model_is_fused_and_saved_as_keras_has_it(tmp_path):
    model = models.unet_model((16, 16, 3), 2, 3, batch_norm=True)
    training.compile_model(model, 10)
    assert all("call" in vars(layer) for layer in normalisations(model))
    model.train_on_batch(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 16, 16), np.uint8))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = np.full((1, 16, 16, 3), 100, np.uint8)
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-5)
    assert {type(layer) for layer in normalisations(loaded)} == {layers.BatchNormalization}
