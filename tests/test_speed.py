"""What makes trainings fast must not change what they compute; and the stopwatch."""

import keras
import numpy as np
import pytest
from keras import layers

from unet_helpers import models, speed, training
from unet_helpers.blocks import conv_block, upsampling_block

# ---------------------------------------------------------------- the stopwatch


def test_variants_are_timed_in_turns_and_first_calls_are_not_counted():
    calls = []
    seconds = speed.in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert {name: values.shape for name, values in seconds.items()} == {"a": (3,), "b": (3,)}
    assert all((values >= 0).all() for values in seconds.values())


def test_seconds_are_those_of_the_variant(monkeypatch):
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 23.0, 30.0, 34.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    seconds = speed.in_turns({"a": int, "b": int}, 2)
    assert seconds["a"].tolist() == [1, 3] and seconds["b"].tolist() == [2, 4]


@pytest.mark.parametrize("variants,rounds", [({}, 3), ({"a": int}, 0)])
def test_nothing_to_time_is_said(variants, rounds):
    with pytest.raises(ValueError, match="nothing to time"):
        speed.in_turns(variants, rounds)


def test_peak_and_bandwidth_count_what_they_do(monkeypatch):
    monkeypatch.setattr(
        speed, "in_turns", lambda variants, rounds: dict.fromkeys(variants, np.array([4.0, 2.0]))
    )
    assert speed.matrix_peak("float32", side=10) == 2 * 10**3 / 2.0
    assert speed.memory_bandwidth(megabytes=1) == 2 * 2**20 / 2.0


def test_waiting_fetches_the_first_number():
    assert speed.wait(keras.ops.convert_to_tensor([[2.5, 1.0]], "bfloat16")) == 2.5


# ---------------------------------------------------------------- Adam in one pass


def train(policy, one_pass, epochs=3):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        features, _ = conv_block(layers.Rescaling(1 / 255)(inputs), 4, max_pooling=False)
        model = keras.Model(inputs, models.logits_layer(features, 3))
    finally:
        keras.config.set_dtype_policy(before)
    # an epsilon of this size shows where it is added
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)
    adam = keras.optimizers.Adam(schedule, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
    if one_pass:
        adam = training.update_in_one_pass(adam)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam, loss, jit_compile=False)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 16, 16, 3), np.uint8)
    masks = random.integers(0, 3, (8, 16, 16), np.uint8)
    history = model.fit(images, masks, 2, epochs, verbose=0, shuffle=False)
    return model, history.history["loss"]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_one_pass_updates_as_keras_does(policy):
    (model, losses), (other, expected) = train(policy, True), train(policy, False)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0]
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
    states = zip(model.optimizer.variables, other.optimizer.variables, strict=True)
    assert all(ours.shape == theirs.shape for ours, theirs in states)


def test_one_pass_equals_adam_by_hand():
    """The first step of Adam is the learning rate, whatever the gradient's size (section 2.1)."""
    weight = keras.Variable([1.0, -2.0, 3.0])
    adam = training.update_in_one_pass(keras.optimizers.Adam(0.1, epsilon=0.0))
    adam.apply([keras.ops.convert_to_tensor([5.0, -1e-3, 40.0])], [weight])
    np.testing.assert_allclose(np.array(weight), [0.9, -1.9, 2.9], rtol=1e-5)


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


# ---------------------------------------------------------------- normalisation after pooling


def normalisations(model):
    return [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]


def test_pooled_normalises_what_goes_down_and_not_the_skip():
    inputs = keras.Input((8, 8, 3))
    down, skip = conv_block(inputs, 4, batch_norm="pooled")
    model = keras.Model(inputs, [down, skip])
    (layer,) = normalisations(model)
    assert isinstance(layer.input._keras_history.operation, layers.MaxPooling2D)
    assert isinstance(skip._keras_history.operation, layers.ReLU)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    low, _ = model(images, training=True)
    np.testing.assert_allclose(np.mean(low, axis=(0, 1, 2)), 0, atol=1e-5)
    # the convolutions keep their biases: nothing subtracts them again
    assert all(x.use_bias for x in model.layers if isinstance(x, layers.Conv2D))


def test_pooled_leaves_the_decoder_as_it_is():
    low, skip = keras.Input((4, 4, 8)), keras.Input((8, 8, 4))
    model = keras.Model([low, skip], upsampling_block(low, skip, 4, batch_norm="pooled"))
    assert not normalisations(model)


def test_pooled_unet_has_five_normalisations_one_for_each_level_of_the_encoder():
    plain = models.unet_model((32, 32, 3), 4, 3)
    pooled = models.unet_model((32, 32, 3), 4, 3, batch_norm="pooled")
    found = [layer.output.shape[1:] for layer in normalisations(pooled)]
    assert found == [(16, 16, 4), (8, 8, 8), (4, 4, 16), (2, 2, 32), (2, 2, 64)]
    assert pooled.count_params() - plain.count_params() == 4 * (4 + 8 + 16 + 32 + 64)
