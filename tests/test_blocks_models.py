"""Blocks and networks: structure, numbers of parameters, sizes, and what must not fit."""

import os
import re
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import layers, ops

from unet_helpers import models
from unet_helpers.labels import DataError
from unet_helpers.models import conv_block, convolution, crop_to, fcn, upsampling_block


def of_kind(model, *kinds):
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


def numbered(height, width):
    """Make a tensor (1, height, width, 1) that counts its pixels row by row."""
    return ops.reshape(ops.arange(height * width, dtype="float32"), (1, height, width, 1))


@pytest.fixture(scope="module")
def tiny():
    """U-Net small enough to run in a moment."""
    return models.unet_model((16, 32, 3), n_filters=2, n_classes=5)


@pytest.fixture(scope="module")
def paper():
    return models.paper_unet()


@pytest.fixture
def bfloat16():
    """Half precision inside the models, for one test."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 16, 32, 3)).astype(np.uint8)


# ---------------------------------------------------------------- blocks


def test_conv_block_gives_pooled_features_and_the_skip_before_pooling(rng):
    x = ops.convert_to_tensor(rng.normal(size=(2, 6, 4, 3)).astype(np.float32))
    pooled, skip = (ops.convert_to_numpy(t) for t in conv_block(x, 5))
    assert pooled.shape == (2, 3, 2, 5)
    assert skip.shape == (2, 6, 4, 5)
    np.testing.assert_array_equal(pooled, skip.reshape(2, 3, 2, 2, 2, 5).max(axis=(2, 4)))
    assert skip.min() == 0  # after a ReLU
    assert skip.max() > 0


def test_conv_block_without_pooling_gives_the_same_tensor_twice():
    features, skip = conv_block(keras.Input((8, 8, 3)), 4, max_pooling=False)
    assert features is skip
    assert features.shape == (None, 8, 8, 4)


def test_valid_convolutions_cost_two_pixels_each():
    pooled, skip = conv_block(keras.Input((12, 20, 3)), 4, padding="valid")
    assert skip.shape == (None, 8, 16, 4)
    assert pooled.shape == (None, 4, 8, 4)


def block_outputs(rng, **options):
    """Run a block with half of the activations dropped; give (training, inference) outputs."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, conv_block(inputs, 16, dropout_prob=0.5, **options))
    x = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
    return (
        [ops.convert_to_numpy(y) for y in model(x, training=training)] for training in (True, False)
    )


def test_dropout_reaches_the_skip_connection_by_default(rng):
    (pooled, skip), (_, whole) = block_outputs(rng)
    dropped = (skip == 0) & (whole > 0)
    assert 0.3 < dropped.sum() / (whole > 0).sum() < 0.7
    np.testing.assert_allclose(skip[~dropped], 2 * whole[~dropped], rtol=1e-5)
    np.testing.assert_allclose(pooled, skip.reshape(1, 4, 2, 4, 2, 16).max(axis=(2, 4)))


def test_dropout_after_pooling_leaves_the_skip_connection_whole(rng):
    (pooled, skip), (pooled_whole, whole) = block_outputs(rng, dropout_after_pooling=True)
    np.testing.assert_allclose(skip, whole, rtol=1e-5)
    assert ((pooled == 0) & (pooled_whole > 0)).any()


def test_batch_normalisation_stands_before_relu_and_replaces_the_bias():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, convolution(inputs, 4, batch_norm=True))
    assert kinds(model) == ["InputLayer", "Conv2D", "BatchNormalization", "ReLU"]
    assert not model.layers[1].use_bias
    assert model.count_params() == 3 * 3 * 3 * 4 + 4 * 4


def test_crop_takes_the_centre():
    target = ops.zeros((1, 3, 3, 2))
    cropped = ops.convert_to_numpy(crop_to(numbered(5, 5), target))[0, ..., 0]
    assert cropped.tolist() == [[6, 7, 8], [11, 12, 13], [16, 17, 18]]


def test_crop_of_an_odd_difference_takes_one_more_at_the_end():
    cropped = ops.convert_to_numpy(crop_to(numbered(4, 5), ops.zeros((1, 1, 2, 1))))[0, ..., 0]
    assert cropped.tolist() == [[6, 7]]


def test_crop_leaves_a_side_that_fits():
    cropped = ops.convert_to_numpy(crop_to(numbered(2, 4), ops.zeros((1, 2, 2, 1))))[0, ..., 0]
    assert cropped.tolist() == [[1, 2], [5, 6]]
    same = keras.Input((4, 4, 1))
    assert crop_to(same, keras.Input((4, 4, 3))) is same


@pytest.mark.parametrize(
    ("target", "message"),
    [((6, 3, 1), r"Cannot crop 5x5 to the larger 6x3"), ((None, 3, 1), "fixed image size")],
)
def test_crop_refuses_what_it_cannot_cut(target, message):
    with pytest.raises(ValueError, match=message):
        crop_to(keras.Input((5, 5, 1)), keras.Input(target))


def test_upsampling_block_doubles_the_size_and_joins_up_before_skip():
    below, skip = keras.Input((4, 6, 8)), keras.Input((8, 12, 3))
    model = keras.Model([below, skip], upsampling_block(below, skip, 5))
    assert model.output_shape == (None, 8, 12, 5)
    (up,) = of_kind(model, layers.Conv2DTranspose)
    (join,) = of_kind(model, layers.Concatenate)
    assert (up.kernel_size, up.strides, up.padding) == ((3, 3), (2, 2), "same")
    assert join.input[0] is up.output
    assert join.input[1] is skip


def test_upsampling_block_crops_a_larger_skip_connection_when_valid():
    block = upsampling_block(keras.Input((8, 8, 4)), keras.Input((24, 20, 2)), 2, padding="valid")
    assert block.shape == (None, 12, 12, 2)


def test_upsampling_block_names_sizes_that_do_not_meet():
    with pytest.raises(ValueError, match=r"skip connection is 9x9, .* features are 8x8.*odd"):
        upsampling_block(keras.Input((4, 4, 8)), keras.Input((9, 9, 4)), 4)


# ---------------------------------------------------------------- U-Net


def test_parameters_of_the_padded_unet():
    """Those for 13 classes stand over the drawing, in test_diagram.py."""
    model = models.unet_model((96, 128, 3), n_filters=32, n_classes=23)
    assert model.count_params() == 8_640_471
    assert model.output_shape == (None, 96, 128, 23)


def test_parameters_of_the_pets_variant():
    model = models.unet_model(
        (128, 128, 3), 64, n_classes=3, dropout_everywhere=True, extra_convolution=False
    )
    assert model.count_params() == 34_513_475
    assert model.output_shape == (None, 128, 128, 3)


def test_the_paper_s_unet(paper):
    assert paper.input_shape == (None, 572, 572, 1)
    assert paper.output_shape == (None, 388, 388, 2)
    assert paper.count_params() == 31_030_658
    assert len(of_kind(paper, layers.Conv2D, layers.Conv2DTranspose)) == 23
    ups = of_kind(paper, layers.Conv2DTranspose)
    assert [up.kernel_size for up in ups] == [(2, 2)] * 4
    plain = [x for x in of_kind(paper, layers.Conv2D) if x.name != "logits"]
    assert {x.padding for x in plain} == {"valid"}
    # figure 1 of the paper: what the four skip connections are cut to
    assert [x.output.shape[1] for x in of_kind(paper, layers.Cropping2D)] == [56, 104, 200, 392]


def test_order_of_the_layers_in_the_first_block(tiny):
    assert kinds(tiny)[:7] == [
        *("InputLayer", "Rescaling", "Conv2D", "ReLU", "Conv2D", "ReLU", "MaxPooling2D")
    ]
    assert [x.kernel_size for x in of_kind(tiny, layers.Conv2D)[:-1]] == [(3, 3)] * 19
    assert tiny.layers[-1].kernel_size == (1, 1)


def test_filters_double_on_the_way_down_and_halve_on_the_way_up(tiny):
    filters = [x.filters for x in of_kind(tiny, layers.Conv2D)]
    assert filters == [
        *(2, 2, 4, 4, 8, 8, 16, 16, 32, 32),
        *(16, 16, 8, 8, 4, 4, 2, 2),
        *(2, 5),
    ]
    assert [x.filters for x in of_kind(tiny, layers.Conv2DTranspose)] == [16, 8, 4, 2]


def test_decoder_joins_upsampled_features_before_the_skip_connection(tiny):
    ups, joins = of_kind(tiny, layers.Conv2DTranspose), of_kind(tiny, layers.Concatenate)
    pools = of_kind(tiny, layers.MaxPooling2D)[::-1]
    assert len(ups) == len(joins) == len(pools) == 4
    for up, join, pool in zip(ups, joins, pools, strict=True):
        assert (up.kernel_size, up.strides) == ((3, 3), (2, 2))
        assert join.input[0] is up.output
        # by default the fourth block drops before it gives the skip, so this holds there too
        assert join.input[1] is pool.input


def test_initial_weights_are_he_normal(tiny):
    inside = [x for x in of_kind(tiny, layers.Conv2D, layers.Conv2DTranspose) if x.name != "logits"]
    assert len(inside) == 23
    for layer in inside:
        assert isinstance(layer.kernel_initializer, keras.initializers.HeNormal)


def test_dropout_stands_in_the_fourth_block_and_the_bottleneck(tiny):
    drops = of_kind(tiny, layers.Dropout)
    assert [x.rate for x in drops] == [0.3, 0.3]
    assert [tuple(x.input.shape) for x in drops] == [(None, 2, 4, 16), (None, 1, 2, 32)]


def test_dropout_everywhere_follows_each_pooling_and_each_concatenation():
    model = models.unet_model((16, 16, 3), 2, 3, dropout_everywhere=True, dropout_prob=0.2)
    drops = of_kind(model, layers.Dropout)
    assert [x.rate for x in drops] == [0.2] * 8
    before = of_kind(model, layers.MaxPooling2D, layers.Concatenate)
    assert len(before) == 8
    for drop, layer in zip(drops, before, strict=True):
        assert drop.input is layer.output


def test_batch_normalised_variant():
    model = models.unet_model(
        (16, 16, 3), 2, n_classes=1, batch_norm=True, up_kernel_size=2, dropout_prob=0
    )
    assert kinds(model)[:9] == [
        *("InputLayer", "Rescaling", "Conv2D", "BatchNormalization", "ReLU"),
        *("Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D"),
    ]
    assert len(of_kind(model, layers.BatchNormalization)) == 19
    assert not of_kind(model, layers.Dropout)
    assert [x.kernel_size for x in of_kind(model, layers.Conv2DTranspose)] == [(2, 2)] * 4
    assert model.output_shape == (None, 16, 16, 1)


def test_last_layer_may_see_the_neighbours():
    model = models.unet_model((16, 16, 3), 2, n_classes=12, last_kernel_size=3)
    assert model.layers[-1].kernel_size == (3, 3)
    assert model.layers[-1].filters == 12
    assert model.output_shape == (None, 16, 16, 12)


def test_unet_without_a_fixed_size_takes_every_size_that_divides():
    model = models.unet_model((None, None, 3), 2, n_classes=3)
    assert model.output_shape == (None, None, None, 3)
    for height, width in ((16, 32), (48, 16)):
        assert model(np.zeros((1, height, width, 3), np.uint8)).shape == (1, height, width, 3)


def test_models_end_in_logits_not_in_probabilities(tiny, images):
    logits = ops.convert_to_numpy(tiny(images))
    assert logits.dtype == np.float32
    assert tiny.layers[-1].activation is keras.activations.linear
    assert logits.min() < 0


def test_bytes_and_floats_of_the_same_image_give_the_same_logits(tiny, images):
    of_bytes = ops.convert_to_numpy(tiny(images))
    of_floats = ops.convert_to_numpy(tiny(images.astype(np.float32)))
    np.testing.assert_array_equal(of_bytes, of_floats)
    rescaled = keras.Model(tiny.input, tiny.get_layer("rescale").output)
    np.testing.assert_allclose(ops.convert_to_numpy(rescaled(images)), images / 255, rtol=1e-6)


@pytest.mark.parametrize("build", [models.unet_model, models.fcn_model, models.naive_cnn])
def test_logits_and_weights_are_float32_under_half_precision(bfloat16, build):
    model = build((32, 32, 3), 2, n_classes=3)
    assert {x.compute_dtype for x in of_kind(model, layers.ReLU)} == {"bfloat16"}
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    logits = model(np.full((1, 32, 32, 3), 255, np.uint8))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert np.isfinite(ops.convert_to_numpy(logits)).all()


# ---------------------------------------------------------------- sizes that do not work


@pytest.mark.parametrize(
    ("build", "size", "message"),
    [
        (models.unet_model, (100, 130, 3), r"100x130 is not divisible by 16; .*: 112x144\..*4 tim"),
        (models.unet_model, (96, 127, 3), r"96x127 is not divisible by 16; .*: 96x128\."),
        (models.unet_model, (None, 100, 3), r"Nonex100 .*: Nonex112\."),
        (models.unet_model, (0, 16, 3), r"input_size is \(0, 16, 3\); expected positive whole num"),
        (models.fcn_model, (48, 64, 3), r"48x64 is not divisible by 32; .*: 64x64\..*5 times"),
        (models.paper_unet, (570, 572, 1), r"570x572 does not work out .*: 572x572\."),
        (models.paper_unet, (573, 100, 1), r"573x100 does not work out .*: 588x188\."),
        (models.paper_unet, (None, None, 1), r"input_size is \(None, .* \(572, 572, 1\)"),
    ],
)
def test_sizes_that_do_not_work_are_named_with_the_next_that_does(build, size, message):
    with pytest.raises(ValueError, match=message):
        build(size)


@pytest.mark.parametrize("size", [128, "96x128", (96.0, 128.0, 3), (96, 128), (96, 128, None)])
def test_what_is_not_a_size_is_named(size):
    said = f"input_size is {size!r}; expected positive whole numbers such as (96, 128, 3)."
    for build in (models.unet_model, models.fcn_model, models.naive_cnn):
        with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
            build(size)


def test_channels_first_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    for build in (models.unet_model, models.fcn_model, models.naive_cnn):
        with pytest.raises(ValueError, match=r"channels_first.*channels_last.*keras\.json"):
            build((32, 32, 3), n_filters=1)


@pytest.mark.parametrize(("size", "output"), [((188, 204, 1), (4, 20)), ((252, 188, 1), (68, 4))])
def test_sizes_named_for_the_paper_s_network_do_work(size, output):
    model = models.paper_unet(size, n_filters=1)
    assert model.output_shape == (None, *output, 2)


def test_next_multiple_by_hand():
    assert [models.next_multiple(side, 16) for side in (0, 1, 16, 17, 100)] == [16, 16, 16, 32, 112]


# ---------------------------------------------------------------- FCN and the naive stack


@pytest.mark.parametrize(("stride", "skips"), [(32, 0), (16, 1), (8, 2)])
def test_fcn_adds_scores_of_earlier_poolings(stride, skips):
    model = models.fcn_model((64, 32, 3), 2, n_classes=5, stride=stride)
    assert model.output_shape == (None, 64, 32, 5)
    assert len(of_kind(model, layers.Add)) == skips
    assert len(of_kind(model, layers.MaxPooling2D)) == 5
    ups = of_kind(model, layers.Conv2DTranspose)
    assert [up.strides for up in ups] == [(2, 2)] * skips
    # the last upsampling is bilinear and learns nothing
    last = model.get_layer("logits")
    assert (last.size, last.interpolation) == ((stride, stride), "bilinear")
    assert not last.weights


def test_fcn_knows_three_strides():
    with pytest.raises(ValueError, match=r"stride is 4; it must be 32, 16 or 8"):
        models.fcn_model(stride=4)


def test_bilinear_kernel_by_hand():
    kernel = np.array(models.bilinear_kernel(2, 3))
    assert kernel.shape == (4, 4, 3, 3)
    line = np.array([0.25, 0.75, 0.75, 0.25])
    for i in range(3):
        for j in range(3):
            np.testing.assert_allclose(kernel[..., i, j], np.outer(line, line) * (i == j))


def test_upsampling_a_ramp_interpolates_between_its_steps():
    ramp = np.zeros((1, 3, 3, 1), np.float32)
    ramp[0, :, :, 0] = [0, 4, 8]
    large = ops.convert_to_numpy(fcn.upsample(ramp, 1, 2))[0, 2, :, 0]
    np.testing.assert_allclose(large[1:5], [1, 3, 5, 7])


@pytest.mark.parametrize(("skips", "joins"), [((2, 3, 4), 3), ((), 0)])
def test_unet_without_skips_has_fewer_joins_and_the_same_output(skips, joins):
    model = models.unet_model((32, 32, 3), 2, 3, skips=skips)
    assert len(of_kind(model, layers.Concatenate)) == joins
    assert model.output_shape == (None, 32, 32, 3)
    # a skip that is left out takes its channels from the next convolution's kernel
    missing = sum(
        9 * (2 * 2**level) * (2 * 2**level) for level in range(4) if level + 1 not in skips
    )
    assert model.count_params() == models.unet_model((32, 32, 3), 2, 3).count_params() - missing


def test_naive_cnn_keeps_the_full_resolution():
    model = models.naive_cnn((20, 30, 3), 4, n_classes=3, n_layers=5)
    assert {tuple(x.output.shape[1:3]) for x in model.layers[1:]} == {(20, 30)}
    assert len(of_kind(model, layers.Conv2D)) == 6
    assert model.count_params() == (27 * 4 + 4) + 4 * (36 * 4 + 4) + (4 * 3 + 3)


# ---------------------------------------------------------------- other backends


def run_python(program, folder, **environment):
    """Run a program in a process of its own; show what it printed if it fails."""
    settings = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=folder,
        env=settings | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_unet_losses_and_folding_run_on_jax(repo):
    pytest.importorskip("jax")
    program = """
        import sys, keras, numpy as np
        from unet_helpers.training import CrossEntropyAndDice, pixel_weights
        from unet_helpers.models import fold_batch_norm, unet_model
        assert keras.backend.backend() == "jax"
        model = unet_model((16, 16, 3), 2, 3, batch_norm=True)
        loss = CrossEntropyAndDice()
        model.compile("adam", loss)
        images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
        masks = (images[..., 0] // 100).astype(np.uint8)
        masks[:, :3] = 255
        logits = np.asarray(model.predict_on_batch(images))
        assert logits.shape == (2, 16, 16, 3) and logits.dtype == np.float32
        weights = np.asarray(pixel_weights(masks, [1.0, 2.0, 3.0]))
        assert (weights[:, :3] == 0).all() and weights[:, 3:].min() >= 1
        changed = logits.copy()
        changed[:, :3] = 99
        np.testing.assert_allclose(float(loss(masks, logits)), float(loss(masks, changed)))
        assert np.isfinite(float(model.train_on_batch(images, masks)))
        assert "tensorflow" not in sys.modules
        random = np.random.default_rng(0)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.set_weights([random.uniform(0.3, 2, w.shape) for w in layer.get_weights()])
        expected = np.asarray(model.predict_on_batch(images))
        folded = np.asarray(fold_batch_norm(model).predict_on_batch(images))
        np.testing.assert_allclose(folded, expected, atol=1e-4)
    """
    # compiling takes much longer here than computing
    run_python(program, repo, KERAS_BACKEND="jax", XLA_FLAGS="--xla_backend_optimization_level=0")
