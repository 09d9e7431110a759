"""Facts read off live models: counted by hand, and receptive fields against impulses."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from unet_helpers import models
from unet_helpers.models import profiling


def make_positive(model):
    """Give all kernels positive weights and no bias, so that nothing can cancel."""
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:3]), np.float32))
        elif weight.path.endswith("bias"):
            weight.assign(np.zeros(weight.shape, np.float32))
    return model


@pytest.fixture
def small():
    inputs = keras.Input((8, 12, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2DTranspose(5, 2, strides=2, name="up")(x)
    return keras.Model(inputs, x)


def test_facts_of_a_small_model_counted_by_hand(small):
    facts = {fact.name: fact for fact in profiling.layer_facts(small)}
    assert facts["image"].inputs == ()
    assert facts["conv"].inputs == ("image",)
    assert facts["conv"].output_shape == (8, 12, 4)
    assert facts["conv"].parameters == 3 * 3 * 3 * 4 + 4
    assert facts["conv"].macs == 8 * 12 * 3 * 3 * 3 * 4
    assert facts["conv"].values == 8 * 12 * 4
    assert facts["pool"].macs == 0
    # a transposed convolution multiplies once per input pixel
    assert facts["up"].macs == 4 * 6 * 2 * 2 * 4 * 5
    assert facts["up"].parameters == 2 * 2 * 4 * 5 + 5


def test_totals_are_the_sums(small):
    totals = profiling.totals(small)
    assert totals["parameters"] == 112 + 85
    assert totals["macs"] == 8 * 12 * 108 + 24 * 80
    assert totals["megabytes"] == pytest.approx((96 * 3 + 96 * 4 + 24 * 4 + 96 * 5) * 4 / 1e6)


def test_dense_layers_count_their_weights():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5)])
    assert profiling.layer_facts(model)[-1].macs == 30


def test_levels_count_halvings(small):
    assert profiling.levels(small) == {"image": 0, "conv": 0, "pool": 1, "up": 0}
    unet = profiling.levels(models.unet_model((32, 32, 3), 2, 3))
    assert max(unet.values()) == 4
    assert unet["logits"] == 0
    assert max(profiling.levels(models.fcn_model((32, 32, 3), 2, 3)).values()) == 5


def test_a_free_input_size_is_refused_with_a_cure():
    with pytest.raises(ValueError, match=r"any size.*numbers as input_size"):
        profiling.layer_facts(models.unet_model((None, None, 3), 2, 3))


def test_a_layer_used_in_another_model_is_refused_with_a_cure(small):
    image = keras.Input((16, 16, 3))
    shared = keras.Model(image, small.get_layer("conv")(image))
    with pytest.raises(ValueError, match=r"conv or .* is used more than once.*clone_model"):
        profiling.layer_facts(shared)
    copy = keras.models.clone_model(shared, input_tensors=keras.Input((16, 16, 3)))
    assert profiling.totals(copy)["macs"] == 16 * 16 * 108


@pytest.mark.parametrize(
    "function",
    [profiling.totals, profiling.levels, lambda model: profiling.receptive_field(model, "relu")],
    ids=["totals", "levels", "receptive_field"],
)
def test_a_model_used_as_a_layer_is_refused_with_a_cure(small, function):
    image = keras.Input((8, 12, 3))
    outer = keras.Model(image, layers.ReLU(name="relu")(small(image)))
    with pytest.raises(ValueError, match=rf"{small.name} is a model .*{small.name}\.output"):
        function(outer)
    flat = keras.Model(small.input, layers.ReLU(name="relu")(small.output))
    function(flat)


@pytest.mark.parametrize(
    ("name", "expected"), [("conv", (3, 5, 5, 7)), ("pool", (3, 6, 5, 8)), ("up", (3, 6, 5, 8))]
)
def test_receptive_field_by_hand(small, name, expected):
    # the middle of 8 x 12 is row 4, column 6; of the pooled 4 x 6 it is row 2, column 3,
    # which covers rows 4 and 5, columns 6 and 7, and one pixel of the convolution around them
    assert profiling.receptive_field(small, name) == expected


def test_receptive_field_of_the_encoder_follows_the_formula():
    model = models.unet_model((160, 160, 3), 2, 3)
    convolutions = [fact.name for fact in profiling.layer_facts(model) if fact.kind == "Conv2D"]
    sides = []
    for name in convolutions[:10]:
        top, bottom, left, right = profiling.receptive_field(model, name)
        assert bottom - top == right - left
        sides.append(bottom - top + 1)
    assert sides == [3, 5, 10, 14, 24, 32, 52, 68, 108, 140]


@pytest.mark.parametrize(
    "build",
    [
        lambda: models.unet_model((64, 96, 3), 1, 2),
        lambda: models.unet_model(
            (64, 64, 3), 1, 2, up_kernel_size=2, last_kernel_size=3, skips=(2,)
        ),
        lambda: models.fcn_model((64, 96, 3), 1, 2, stride=8),
        lambda: models.naive_cnn((16, 20, 3), 1, 2, n_layers=3),
        lambda: models.paper_unet((188, 204, 1), 1, 2),
    ],
    ids=["unet", "unet with one skip", "fcn_8s", "naive_cnn", "paper_unet"],
)
def test_single_bright_lines_show_the_receptive_field(build):
    """A row or column at the field's edge changes the value; one just outside it does not."""
    model = build()
    make_positive(model)
    height, width, channels = model.input_shape[1:]
    chosen = [f.name for f in profiling.layer_facts(model) if f.kind in ("Conv2D", "MaxPooling2D")]
    for name in chosen[::3]:
        part = keras.Model(model.input, model.get_layer(name).output)
        row, column = part.output.shape[1] // 3, part.output.shape[2] // 2
        top, bottom, left, right = profiling.receptive_field(model, name, row, column)
        for side, inner, axis in [(top, 1, 0), (bottom, -1, 0), (left, 1, 1), (right, -1, 1)]:
            for place, seen in ((side, True), (side - inner, False)):
                if not 0 <= place < (height, width)[axis]:
                    continue
                image = np.zeros((1, height, width, channels), np.float32)
                image[(0, place) if axis == 0 else (0, slice(None), place)] = 255
                value = ops.convert_to_numpy(part(image))[0, row, column]
                assert bool(value.max() > 0) == seen, (name, place)


def test_measured_field_of_one_convolution_is_its_kernel():
    inputs = keras.Input((5, 5, 1))
    layer = layers.Conv2D(1, 3, padding="same", name="conv")
    model = keras.Model(inputs, layer(inputs))
    kernel = np.float32([[1, -2, 3], [0, 5, -1], [2, 2, -4]])
    layer.set_weights([kernel[..., None, None], np.zeros(1, np.float32)])
    field = profiling.effective_receptive_field(model, "conv", np.zeros((2, 5, 5, 1), np.uint8))
    expected = np.zeros((5, 5))
    expected[1:4, 1:4] = np.abs(kernel)
    np.testing.assert_allclose(field, expected, rtol=1e-5)


def test_measured_field_looks_at_channels_that_answer():
    """Of 16 channels after a ReLU all but one are silent, and have no gradient."""
    inputs = keras.Input((5, 5, 1))
    layer = layers.Conv2D(16, 3, padding="same")
    model = keras.Model(inputs, layers.ReLU(name="relu")(layer(inputs)))
    kernel, bias = np.ones((3, 3, 1, 16), np.float32), np.full(16, -1000, np.float32)
    bias[7] = 1
    layer.set_weights([kernel, bias])
    field = profiling.effective_receptive_field(model, "relu", np.ones((1, 5, 5, 1), np.uint8))
    assert (field[1:4, 1:4] > 0).all()


def test_measured_field_stays_inside_the_receptive_field():
    keras.utils.set_random_seed(0)  # with two filters, ReLU may let nothing through
    model = models.unet_model((64, 64, 3), 2, 3)
    name = [fact.name for fact in profiling.layer_facts(model) if fact.kind == "Conv2D"][5]
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    field = profiling.effective_receptive_field(model, name, images)
    top, bottom, left, right = profiling.receptive_field(model, name)
    inside = field[max(top, 0) : bottom + 1, max(left, 0) : right + 1].sum()
    assert inside > 0
    assert inside == pytest.approx(field.sum())


def test_effective_side_by_hand():
    field = np.zeros((7, 7))
    field[3, 3] = 6
    field[3, 4] = 3
    field[0, 3] = 1
    assert profiling.effective_side(field, 3, 3, 0.6) == 1
    assert profiling.effective_side(field, 3, 3, 0.9) == 3
    assert profiling.effective_side(field, 3, 3, 0.95) == 7


# ---------------------------------------------------------------- what limits a layer


def test_bytes_moved_by_hand():
    inputs = keras.Input((8, 10, 3))
    x = layers.Conv2D(5, 3, padding="same", name="convolution")(inputs)
    both = layers.Concatenate(name="both")([inputs, x])
    model = keras.Model(inputs, both)
    # 240 values in, 400 out, 135 + 5 parameters
    assert profiling.bytes_moved(model.get_layer("convolution")) == 4 * (240 + 400 + 140)
    assert profiling.bytes_moved(model.get_layer("convolution"), bytes_each=2) == 2 * 780
    assert profiling.bytes_moved(model.get_layer("both")) == 4 * (240 + 400 + 640)
