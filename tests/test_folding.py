"""Normalisations folded into convolutions: the same logits from fewer layers; precisions."""

import keras
import numpy as np
import pytest
from keras import layers
from small import small_unet

from unet_helpers import inference, models
from unet_helpers.models import folding


def logits_of(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def shaken(model, seed=0):
    """Give all normalisations numbers as training leaves them: none is 0 or 1."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            shaken(layer, seed)
        elif isinstance(layer, layers.BatchNormalization):
            layer.set_weights([random.uniform(0.3, 2, w.shape) for w in layer.get_weights()])
    return model


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def same(model, folded, images, tolerance=1e-5):
    expected = logits_of(model, images)
    found = logits_of(folded, images)
    assert found.dtype == expected.dtype
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=tolerance * scale)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 32, 64, 3)).astype(np.uint8)


# ---------------------------------------------------------------- the formula


def test_folding_by_hand():
    """A normalisation of 3 (y - 4) / sqrt(0.75 + 0.25) + 1 of y = 2 x is 6 x - 11."""
    kernel, bias = folding.folded_kernel(
        np.full((1, 1, 1, 1), 2.0), *np.float64([[3], [1], [4], [0.75]]), 0.25
    )
    assert kernel.tolist() == [[[[6.0]]]]
    assert bias.tolist() == [-11.0]


def test_a_1x1_convolution_by_hand():
    inputs = keras.Input((1, 2, 1))
    x = layers.Conv2D(1, 1, name="convolution")(inputs)
    x = layers.BatchNormalization(epsilon=0.25, name="normalisation")(x)
    model = keras.Model(inputs, x)
    model.get_layer("convolution").set_weights([np.full((1, 1, 1, 1), 2.0), np.array([5.0])])
    model.get_layer("normalisation").set_weights(np.float32([[3], [1], [4], [0.75]]))
    folded = folding.fold_batch_norm(model)
    assert [layer.name for layer in folded.layers][1:] == ["convolution"]
    # 3 ((2 x + 5) - 4) + 1 = 6 x + 4
    kernel, bias = folded.layers[1].get_weights()
    assert (kernel.item(), bias.item()) == (6, 4)
    assert logits_of(folded, np.float32([[[[0], [2]]]])).ravel().tolist() == [4, 16]


SAME = dict(strides=2, padding="same", bias_initializer="normal")


@pytest.mark.parametrize(
    ("kind", "kernel", "how", "options"),
    [
        (layers.Conv2D, 3, dict(use_bias=False), {"scale": False}),
        (layers.Conv2D, (2, 3), SAME | dict(groups=2), {"center": False}),
        (layers.Conv2DTranspose, 3, SAME, {"axis": 3}),
        (layers.Conv2DTranspose, 2, dict(strides=2, use_bias=False), {"scale": False}),
    ],
)
def test_each_kind_of_convolution(kind, kernel, how, options, rng):
    convolution = kind(6, kernel, **how)
    inputs = keras.Input((8, 10, 4))
    x = layers.BatchNormalization(**options)(convolution(inputs))
    model = shaken(keras.Model(inputs, x))
    folded = folding.fold_batch_norm(model)
    assert len(folded.layers) == 2
    same(model, folded, rng.normal(size=(2, 8, 10, 4)).astype(np.float32))


# ---------------------------------------------------------------- whole networks


def test_a_trained_unet_gives_the_same_logits(images):
    keras.utils.set_random_seed(0)
    model = models.unet_model((32, 64, 3), 4, 5, batch_norm=True)
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    for _ in range(3):
        model.train_on_batch(images, images[..., 0] // 52)
    mean, variance = model.layers[3].get_weights()[2:]
    assert (np.abs(mean) > 1e-3).any() and (np.abs(variance - 1) > 0.1).any()
    folded = folding.fold_batch_norm(model)
    assert not {"BatchNormalization", "Dropout"} & set(kinds(folded))
    same(model, folded, images)
    # nothing else has changed: names, order, shape
    names = [layer.name for layer in folded.layers]
    gone = (layers.BatchNormalization, layers.Dropout)
    assert names == [layer.name for layer in model.layers if not isinstance(layer, gone)]
    assert folded.name == model.name and folded.output_shape == model.output_shape


@pytest.mark.parametrize("stride", [32, 8])
def test_fcn_of_any_size(stride, images):
    model = shaken(models.fcn_model((None, None, 3), 2, 5, stride, batch_norm=True))
    folded = folding.fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(folded)
    assert folded.input_shape == (None, None, None, 3)
    same(model, folded, images)
    same(model, folded, images[:, :, :32])


def test_a_network_without_normalisation_keeps_its_numbers(rng):
    model = models.paper_unet((188, 188, 1), 2)
    folded = folding.fold_batch_norm(model)
    assert "Dropout" in kinds(model) and "Dropout" not in kinds(folded)
    image = rng.integers(0, 256, (1, 188, 188, 1)).astype(np.uint8)
    np.testing.assert_array_equal(logits_of(folded, image), logits_of(model, image))


def test_the_model_itself_stays_as_it_was(images):
    model = shaken(small_unet((32, 64, 3), 2, 3, batch_norm=True))
    before, weights = logits_of(model, images), model.get_weights()
    folded = folding.fold_batch_norm(model)
    folded.set_weights([weight + 1 for weight in folded.get_weights()])
    np.testing.assert_array_equal(logits_of(model, images), before)
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_says_how_many_were_folded_and_how_many_stay(capsys):
    inputs = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    x = layers.BatchNormalization()(layers.ReLU()(x))
    folding.fold_batch_norm(keras.Model(inputs, x))
    assert capsys.readouterr().out == (
        "1 normalisations folded into the convolutions before them, 1 stay.\n"
    )


def test_a_folded_model_is_saved_and_loaded_without_custom_objects(images, tmp_path):
    model = shaken(small_unet((None, None, 3), 2, 3, batch_norm=True))
    folded = folding.fold_batch_norm(model)
    folded.save(tmp_path / "folded.keras")
    loaded = inference.load_model(tmp_path / "folded.keras")
    np.testing.assert_array_equal(logits_of(loaded, images), logits_of(folded, images))


# ---------------------------------------------------------------- what cannot be folded stays


def after_relu(x):
    return layers.BatchNormalization()(layers.ReLU()(layers.Conv2D(4, 3, padding="same")(x)))


def with_an_activation(x):
    return layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))


def before_a_convolution(x):
    return layers.Conv2D(4, 3, padding="same")(layers.BatchNormalization()(x))


def after_a_concatenation(x):
    x = layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Conv2D(3, 1)(x)])
    return layers.BatchNormalization()(x)


def used_twice(x):
    x = layers.Conv2D(3, 1)(x)
    return layers.Add()([x, layers.BatchNormalization()(x)])


def a_shared_convolution(x):
    convolution = layers.Conv2D(3, 3, padding="same")
    x = layers.BatchNormalization()(convolution(x))
    return layers.BatchNormalization()(convolution(x))


def a_shared_normalisation(x):
    normalisation = layers.BatchNormalization()
    x = normalisation(layers.Conv2D(3, 1)(x))
    return normalisation(layers.Conv2D(3, 1)(x))


def along_another_axis(x):
    return layers.BatchNormalization(axis=1)(layers.Conv2D(3, 1)(x))


def always_in_training(x):
    return layers.BatchNormalization()(layers.Conv2D(3, 1)(x), training=True)


def in_another_precision(x):
    return layers.BatchNormalization(dtype="float32")(layers.Conv2D(3, 1, dtype="bfloat16")(x))


@pytest.mark.parametrize(
    "part",
    [
        *(after_relu, with_an_activation, before_a_convolution, after_a_concatenation, used_twice),
        *(a_shared_convolution, a_shared_normalisation, along_another_axis, always_in_training),
        in_another_precision,
    ],
)
def test_what_cannot_be_folded_stays(part, images):
    inputs = keras.Input((32, 64, 3))
    model = shaken(keras.Model(inputs, part(inputs)))
    folded = folding.fold_batch_norm(model)
    assert sorted(kinds(folded)) == sorted(kinds(model))
    np.testing.assert_array_equal(logits_of(folded, images), logits_of(model, images))


def test_a_convolution_that_is_an_output_too_stays(images):
    inputs = keras.Input((32, 64, 3))
    x = layers.Conv2D(3, 1)(inputs)
    model = shaken(keras.Model(inputs, [x, layers.BatchNormalization()(x)]))
    folded = folding.fold_batch_norm(model)
    for a, b in zip(model(images), folded(images), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_layer_that_another_model_uses_as_well_is_folded(images):
    """Only the calls within the model count."""
    inputs = keras.Input((32, 64, 3))
    x = layers.Conv2D(3, 1)(inputs)
    model = shaken(keras.Model(inputs, layers.BatchNormalization()(x)))
    keras.Model(inputs, layers.ReLU()(x))
    folded = folding.fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(folded)
    same(model, folded, images)


def test_dropout_that_was_asked_to_drop_in_prediction_stays():
    inputs = keras.Input((8, 8, 3))
    x = layers.Dropout(0.5)(inputs, training=True)
    model = keras.Model(inputs, layers.Dropout(0.5)(x))
    folded = folding.fold_batch_norm(model)
    assert kinds(folded) == ["InputLayer", "Dropout"]
    dropped = keras.ops.convert_to_numpy(folded(np.ones((1, 8, 8, 3)))) == 0
    assert dropped.any() and not dropped.all()


def test_a_layer_derived_from_dropout_stays():
    class Own(layers.Dropout):
        pass

    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, Own(0.5)(inputs))
    assert kinds(folding.fold_batch_norm(model)) == ["InputLayer", "Own"]


def test_models_within_models_and_sequential_ones(images, capsys):
    inner = keras.Sequential(
        [keras.Input((32, 64, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()]
    )
    inputs = keras.Input((32, 64, 3))
    outer = keras.Model(inputs, layers.ReLU()(inner(inputs)))
    for model in (shaken(inner), shaken(outer)):
        folded = folding.fold_batch_norm(model)
        assert capsys.readouterr().out.startswith("1 normalisations folded"), model.name
        same(model, folded, images)


def test_a_model_of_its_own_class_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"is a Own whose layers cannot be followed .* Build it"):
        folding.fold_batch_norm(Own())


# ---------------------------------------------------------------- precision


@pytest.fixture
def half():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def policies(model):
    """The policies of all layers but the inputs and the one that gives the logits."""
    leave = (layers.InputLayer, keras.Model)
    inside = [layer for layer in model.layers if not isinstance(layer, leave)]
    return {layer.dtype_policy.name for layer in inside if layer.name != "logits"}


def test_a_model_in_half_precision_stays_in_it(half, images):
    model = shaken(small_unet((32, 64, 3), 4, 5, batch_norm=True))
    keras.config.set_dtype_policy("float32")
    folded = folding.fold_batch_norm(model)
    assert policies(folded) == {"mixed_bfloat16"}
    assert folded.layers[-1].dtype_policy.name == "float32"
    assert {weight.dtype for weight in folded.weights} == {"float32"}
    # bfloat16 keeps 8 bits of each number, and every layer adds to the rounding
    same(folding.in_precision(model, "float32"), folded, images, tolerance=0.1)
    same(model, folded, images, tolerance=0.1)


def test_precision_there_and_back(images):
    model = shaken(small_unet((32, 64, 3), 4, 5, batch_norm=True))
    there = folding.in_precision(model, "mixed_bfloat16")
    assert policies(there) == {"mixed_bfloat16"}
    assert there.layers[-1].dtype_policy.name == "float32"
    assert not np.array_equal(logits_of(there, images), logits_of(model, images))
    same(model, there, images, tolerance=0.1)
    back = folding.in_precision(there, "float32")
    np.testing.assert_array_equal(logits_of(back, images), logits_of(model, images))


def test_a_model_that_computes_in_the_precision_already_is_returned_itself():
    model = models.naive_cnn((8, 8, 3), 2, 3)
    assert folding.in_precision(model, "float32") is model


def test_models_used_as_layers_change_their_precision_too(half, images):
    part = keras.Sequential([keras.Input((32, 64, 3)), layers.Conv2D(4, 3)], name="part")
    inputs = keras.Input((32, 64, 3))
    model = keras.Model(inputs, layers.ReLU(dtype="float32")(part(inputs)))
    keras.config.set_dtype_policy("float32")
    exact = folding.in_precision(model, "float32")
    assert policies(exact.get_layer("part")) == policies(exact) == {"float32"}
    assert policies(part) == {"mixed_bfloat16"}
    assert not np.array_equal(logits_of(exact, images), logits_of(model, images))
    same(model, exact, images, tolerance=0.02)


def test_a_last_layer_in_half_precision_becomes_float32(half, images):
    inputs = keras.Input((32, 64, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3)(inputs))
    assert logits_of(folding.in_precision(model, "float32"), images).dtype == np.float32


def test_an_unknown_precision_is_told():
    with pytest.raises(ValueError, match="float17"):
        folding.in_precision(models.naive_cnn((8, 8, 3), 2, 3), "float17")
