"""Training that resumes, and the files it writes."""

import errno
import io
import json
import re
import subprocess
import sys
import zipfile

import imageio.v2 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small import pointwise

from unet_helpers import datasets, evaluation, files, inference, training
from unet_helpers.evaluation import confusion_matrix, scores
from unet_helpers.inference import export
from unet_helpers.labels import DataError, Labels
from unet_helpers.training import callbacks, checkpoint, distributed, precision

TWO = Labels("two", ("dark", "bright"), ((30, 60, 200), (240, 180, 40)))


# ---------------------------------------------------------------- precision and recipe


@pytest.mark.parametrize(
    ("capability", "policy"),
    [
        (None, "float32"),
        ((6, 1), "float32"),
        ((7, 5), "mixed_float16"),
        ((8, 0), "mixed_bfloat16"),
        ((12, 0), "mixed_bfloat16"),
    ],
)
def test_precision_of_gpus(capability, policy):
    chosen, why = precision.gpu_precision(capability)
    assert chosen == policy
    assert (".".join(map(str, capability)) if capability else "safe") in why


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        (set(), "float32"),
        ({"avx2", "avx512f", "avx512_vnni"}, "float32"),
        ({"avx512f", "avx512_bf16"}, "mixed_bfloat16"),
        ({"amx_tile", "amx_bf16"}, "mixed_bfloat16"),
    ],
)
def test_precision_of_processors(flags, policy):
    assert precision.cpu_precision(flags)[0] == policy


def test_use_best_precision_sets_the_policy_that_it_reports(capsys):
    before = keras.config.dtype_policy()
    try:
        machine = training.use_best_precision()
        assert keras.config.dtype_policy().name == machine["precision"]
    finally:
        keras.config.set_dtype_policy(before)
    training.print_machine(machine)
    assert f"Keras computes in {machine['precision']}" in capsys.readouterr().out


@pytest.mark.parametrize("steps", [1, 100])
def test_learning_rate_rises_to_its_height_and_ends_small(steps):
    model = training.compile_model(pointwise(), steps, learning_rate=0.01)
    rates = []
    for step in range(steps + 1):
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    assert rates[0] == pytest.approx(0.001, rel=1e-4)
    assert max(rates) <= 0.01 * 1.0001
    if steps >= 10:
        warmup = int(0.15 * steps)
        assert int(np.argmax(rates)) == warmup
        assert max(rates) == pytest.approx(0.01, rel=1e-4)
        assert (np.diff(rates[: warmup + 1]) > 0).all()
        assert (np.diff(rates[warmup:]) < 0).all()
        assert rates[-1] == pytest.approx(0.0001, rel=0.05)


def test_compile_model_uses_cross_entropy_without_void_or_the_loss_it_is_given():
    model = training.compile_model(pointwise(), 10)
    assert model.loss.ignore_class == 255
    # the optimizer's two averages a weight are there already, so the first step is traced once
    assert model.optimizer.built
    assert len(model.optimizer.variables) >= 2 * len(model.trainable_variables)
    other = keras.losses.BinaryCrossentropy(from_logits=True)
    assert training.compile_model(pointwise(1), 10, loss=other).loss is other


# ---------------------------------------------------------------- training


def bright_images(count, seed):
    """Make images of bright and dark pixels; the mask says which, and void here and there."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 2, (count, 8, 8)).astype(np.uint8)
    images = np.where(masks[..., None] == 1, 200, 40) + rng.integers(-30, 30, (count, 8, 8, 3))
    masks[rng.random(masks.shape) < 0.1] = 255
    return datasets.from_arrays(images.astype(np.uint8), masks)


EPOCHS, STEPS = 4, 3


@pytest.fixture(scope="module")
def train():
    return datasets.batches(bright_images(10, 1), 4, epochs=EPOCHS)


def fit(model, train, validation=None, epochs=EPOCHS, folder=None, callbacks=()):
    """Train as the course does, in silence."""
    return training.fit(model, train, validation, epochs, folder, STEPS, callbacks, progress=False)


@pytest.fixture(scope="module")
def validation():
    return datasets.batches(bright_images(7, 2), 4)


def learner(seed=0, n_classes=2, steps=12, **options):
    """Build and compile a model that can learn the bright pixels in a few steps."""
    model = pointwise(n_classes, (8, 8), seed)
    return training.compile_model(model, steps, learning_rate=0.5, **options)


def without_preference(model):
    """Set all weights to 0, so that only training tells the classes apart."""
    model.set_weights([0 * w for w in model.get_weights()])
    return model


def weights(model):
    return [np.array(w) for w in model.get_weights()]


def assert_same_weights(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


class Spy(keras.callbacks.Callback):
    """Note the epochs, the weights and the learning rate each starts with, and the logs."""

    def __init__(self):
        super().__init__()
        self.epochs, self.starts, self.steps, self.logs = [], [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.starts.append(weights(self.model))
        self.steps.append(int(self.model.optimizer.iterations))

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))


class Killed(Exception):
    """Stands for the end of the process."""


class Kill(keras.callbacks.Callback):
    """End the process in the second batch of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.at, self.now = epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.at and batch == 1:
            raise Killed


@pytest.fixture(scope="module")
def trained(train, validation, tmp_path_factory):
    """A training run of four epochs with everything that it left."""
    folder = tmp_path_factory.mktemp("training") / "new" / "run"
    model, spy = learner(), Spy()
    history = fit(model, train, validation, 4, folder, [spy])
    return dict(model=model, spy=spy, history=history, folder=folder)


def test_fit_learns_and_keeps_a_history(trained, train):
    history = trained["history"]
    assert set(history) == {"loss", "seconds", "val_loss", "val_accuracy", "val_mean_iou"}
    assert {len(values) for values in history.values()} == {4}
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["val_accuracy"][-1] > 0.95
    assert trained["spy"].steps == [0, 3, 6, 9]


def test_fit_scores_validation_from_one_confusion_matrix(trained, validation):
    model, history = trained["model"], trained["history"]
    images, masks = datasets.to_arrays(validation.unbatch())
    expected = scores(confusion_matrix(masks, inference.predict_masks(model, images), 2))
    assert history["val_accuracy"][-1] == pytest.approx(expected.pixel_accuracy)
    assert history["val_mean_iou"][-1] == pytest.approx(expected.mean_iou)
    # the mean over all valid pixels, though the batches have 4 and 3 images
    loss = float(model.loss(masks, inference.predict_logits(model, images)))
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-4)


def test_fit_shows_the_scores_to_other_callbacks(trained):
    logs = trained["spy"].logs
    assert [entry["val_mean_iou"] for entry in logs] == trained["history"]["val_mean_iou"]


def test_fit_keeps_files_of_the_last_and_of_the_best_epoch(trained, validation):
    folder = trained["folder"]
    assert sorted(file.name for file in folder.iterdir()) == [
        *(".lock", "best.keras", "epoch-4.weights.h5", "history.json")
    ]
    kept = json.loads((folder / "history.json").read_text())
    assert kept["history"] == trained["history"]
    best = inference.load_model(folder / "best.keras")
    result = scores(evaluation.evaluate(best, validation, 2))
    assert result.mean_iou == pytest.approx(max(trained["history"]["val_mean_iou"]))


def test_best_model_is_that_of_the_best_epoch_and_not_of_the_last(tmp_path):
    model, checkpointer = learner(), checkpoint.Checkpointer(tmp_path)
    checkpointer.set_model(model)
    checkpointer.on_train_begin()
    for epoch, iou in enumerate([0.3, 0.9, 0.5]):
        model.set_weights([0 * w + epoch for w in model.get_weights()])
        checkpointer.on_epoch_end(epoch, {"val_mean_iou": iou})
    best = inference.load_model(tmp_path / "best.keras")
    assert {float(w.flat[0]) for w in best.get_weights()} == {1.0}


def test_fit_trains_nothing_when_all_epochs_are_done(trained, train, validation, capsys):
    model, spy = learner(seed=5), Spy()
    history = fit(model, train, validation, 4, trained["folder"], [spy])
    assert history == trained["history"]
    assert spy.epochs == []
    assert_same_weights(weights(model), weights(trained["model"]))
    assert "run holds 4 epochs, 4 are wanted" in capsys.readouterr().out
    fit(learner(seed=5, steps=6), train, validation, 2, trained["folder"])
    assert "run holds 4 epochs, 2 are wanted" in capsys.readouterr().out


def test_fit_resumes_after_the_last_epoch(train, validation, tmp_path, capsys):
    first = learner(steps=12)
    before = fit(first, train, validation, 2, tmp_path)
    model, spy = learner(seed=5, steps=12), Spy()
    history = fit(model, train, validation, 4, tmp_path, [spy])
    said = "Resuming after epoch 2 of 4, from .*\nIt was to end after epoch 2: the learning rate"
    assert re.search(said, capsys.readouterr().out)
    assert spy.epochs == [2, 3]
    assert spy.steps == [6, 9]  # the learning rate goes on where it was
    assert_same_weights(spy.starts[0], weights(first))
    assert len(history["loss"]) == 4
    assert {key: values[:2] for key, values in history.items()} == before
    # the moments of the optimizer are kept as well
    assert len(model.optimizer.variables) == len(first.optimizer.variables)
    again = learner(seed=6, steps=12)
    checkpoint.Checkpointer(tmp_path).restore(again)
    for a, b in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(a), np.array(b))


def test_a_killed_run_resumes_after_its_last_whole_epoch(train, tmp_path):
    spy = Spy()
    with pytest.raises(Killed):
        fit(learner(), train, None, 3, tmp_path, [spy, Kill(1)])
    model, after = learner(seed=5), Spy()
    history = fit(model, train, None, 3, tmp_path, [after])
    assert after.epochs == [1, 2]
    assert_same_weights(after.starts[0], spy.starts[1])
    assert len(history["loss"]) == 3
    assert set(history) == {"loss", "seconds"}


def test_a_run_that_was_killed_while_saving_resumes_from_the_older_file(train, tmp_path):
    """The weights of epoch 2 are written, but history.json does not name them yet."""
    fit(learner(), train, None, 1, tmp_path)
    (tmp_path / "epoch-2.weights.h5").write_bytes(b"half")
    spy = Spy()
    fit(learner(seed=5), train, None, 2, tmp_path, [spy])
    assert spy.epochs == [1]
    assert sorted(file.name for file in tmp_path.glob("*.h5")) == ["epoch-2.weights.h5"]


def keep(folder, *logs):
    """Keep epochs that ended with these logs, without training."""
    checkpointer = checkpoint.Checkpointer(folder)
    checkpointer.set_model(learner())
    for epoch, values in enumerate(logs):
        checkpointer.on_epoch_end(epoch, {"loss": 2.0 - epoch, **values})


def arrays(dataset=None):
    return datasets.to_arrays(dataset or bright_images(10, 1))


def run_again(
    folder, change=None, size=4, seed=0, weights=None, scored=2, n_classes=2, rate=0.5, loss=None
):
    """Go on with the run `trained`, of which one thing may be changed."""
    images, masks = arrays()
    if change == "images":
        images = images[..., ::-1] // 2 + 9
    if change == "masks":
        masks = np.where(masks == 255, 0, masks).astype(np.uint8)
    if change == "pairs":
        images = np.roll(images, 1, axis=0)
    train = datasets.batches(datasets.from_arrays(images, masks), size, EPOCHS, seed=seed)
    if weights is not None:
        train = training.with_class_weights(train, weights)
    model = training.compile_model(pointwise(n_classes, (8, 8)), 12, rate, loss)
    return fit(model, train, datasets.batches(bright_images(7, scored), 4), 4, folder)


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        (dict(change="images"), "training images or weights"),
        (dict(change="masks"), "training masks"),
        (dict(change="pairs"), "training images"),
        (dict(seed=1), "training masks, training images or weights"),
        (dict(size=3), r"training batches \('3 of 4 images, 8x8', now '3 of 3 images, 8x8'\), t"),
        (dict(weights=[1, 2]), "training images or weights"),
        (dict(scored=3), "validation masks, validation images or weights"),
        (dict(n_classes=3), "network"),
        (dict(loss=training.CrossEntropyAndDice()), "loss"),
        (dict(rate=0.1), "optimizer"),
    ],
)
def test_fit_refuses_the_folder_of_another_run(trained, changed, differs):
    message = rf"run holds a training run that differs from this one in its {differs}.*Delete the"
    with pytest.raises(DataError, match=message):
        run_again(trained["folder"], **changed)


def test_data_that_change_whenever_they_are_read_are_known_by_their_size(trained, train):
    _, same = training.check_batches(trained["model"], train.take(3), "training")
    assert list(same) == [f"training {x}" for x in ("batches", "masks", "images or weights")]
    drawn = bright_images(10, 1).shuffle(10).batch(4)
    assert drawn.cardinality() == 3
    _, found = training.check_batches(trained["model"], drawn, "training")
    assert found == {"training batches": "3 of 4 images, 8x8"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([1.0, 200.0], [1.00001, 200.001], True),
        ([1.0, 200.0], [1.0, 201.0], False),
        ({"rate": 0.3, "renorm": False}, {"rate": 0.3}, True),  # another version of Keras
        ({"rate": [0.3]}, {"rate": [0.3, 0.3]}, False),
        (17, 18, False),
    ],
)
def test_runs_are_compared_up_to_rounding(one, other, same):
    assert checkpoint.alike({"a": one}, {"a": other}) is same


def test_a_history_may_have_gaps(tmp_path):
    """One epoch without validation, one with it, and one without it again."""
    keep(tmp_path, {}, {"val_mean_iou": 0.5}, {})
    again = checkpoint.Checkpointer(tmp_path)
    again.restore(learner())
    assert again.history["loss"] == [2.0, 1.0, 0.0]
    np.testing.assert_array_equal(again.history["val_mean_iou"], [np.nan, 0.5, np.nan])


def test_a_folder_takes_one_run_at_a_time_and_is_free_when_its_process_is_killed(tmp_path):
    code = "import sys, time; from unet_helpers import files\nwith files.lock(sys.argv[1]):\n"
    code += "    print('locked', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"locked\n"
            message = r"Another training run is writing to .*choose another one"
            with pytest.raises(DataError, match=message), files.lock(tmp_path):
                pass
        finally:
            process.kill()
    with files.lock(tmp_path):
        pass


def test_lock_explains_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("")
    for folder in (tmp_path / "run", tmp_path / "run" / "below"):
        message = r"Nothing can be written to .*run.*another folder"
        with pytest.raises(DataError, match=message), files.lock(folder):
            pass


def test_the_model_of_a_run_needs_nothing_but_keras(tmp_path):
    model = learner(n_classes=1)
    export.to_keras(model, tmp_path / "best.keras")
    with zipfile.ZipFile(tmp_path / "best.keras") as archive:
        assert "unet_helpers" not in archive.read("config.json").decode()
    assert_same_weights(weights(keras.saving.load_model(tmp_path / "best.keras")), weights(model))
    assert isinstance(model.loss, training.MaskedBinaryCrossentropy)  # it is still compiled


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_a_number_stops_the_run(value, validation):
    scores = callbacks.Scores(None, 2)
    scores.on_epoch_begin(2)
    with pytest.raises(DataError, match=rf"loss of epoch 3 is {value}, .*smaller learning_rate"):
        scores.on_epoch_end(2, {"loss": value})
    broken = learner()
    broken.set_weights([w + value for w in broken.get_weights()])
    scores = callbacks.Scores(validation, 2)
    scores.set_model(broken)
    with pytest.raises(DataError, match=r"logits of .* are NaN or infinite"):
        scores.on_epoch_end(0, {"loss": 1.0})


def test_validation_takes_a_loss_that_keras_knows_by_name():
    inputs = keras.Input((8, 8, 3))
    probabilities = layers.Softmax()(inputs)
    model = keras.Model(inputs, probabilities)
    model.compile(loss="sparse_categorical_crossentropy")
    pixels, truth = arrays(bright_images(4, 1))
    truth[truth == 255] = 2
    scores, logs = callbacks.Scores([(pixels // 100, truth)], 3), {"loss": 1.0}
    scores.set_model(model)
    scores.on_epoch_begin(0)
    scores.on_epoch_end(0, logs)
    logits = (pixels // 100).astype(float)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -np.take_along_axis(log_softmax, truth[..., None].astype(int), -1).mean()
    assert logs["val_loss"] == pytest.approx(expected, rel=1e-4)
    loss = distributed.WholeBatch("sparse_categorical_crossentropy")
    assert float(loss(truth, np.exp(log_softmax))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["history.json", "epoch-1.weights.h5"])
def test_fit_names_a_folder_with_damaged_files(tmp_path, name):
    keep(tmp_path, {})
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    message = r"training run in .* cannot be read .*Delete the folder to start afresh"
    with pytest.raises(DataError, match=message):
        checkpoint.Checkpointer(tmp_path).restore(learner())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("history", 7, "cannot be read"),
        ("history", {"loss": [0.5], "seconds": []}, "not one number for every epoch"),
        ("history", {"loss": ["a"]}, "not one number for every epoch"),
        ("history", {"loss": [0.5] * 7}, r"epoch-7\.weights\.h5 is missing"),
        ("sha256", "0" * 64, r"epoch-1\.weights\.h5 is not the file that was written"),
        ("random", [float("inf")], "cannot be read"),
        ("run", None, "cannot be read"),
    ],
)
def test_a_history_that_was_changed_is_not_followed(tmp_path, key, value, message):
    keep(tmp_path, {})
    state = json.loads((tmp_path / "history.json").read_text())
    (tmp_path / "history.json").write_text(json.dumps({**state, key: value}))
    with pytest.raises(DataError, match=rf"cannot be read \(.*{message}|{message}"):
        checkpoint.Checkpointer(tmp_path).restore(learner())


def test_fit_takes_weights_of_pixels(validation):
    """Pixels of class 1 weigh nothing, so everything becomes class 0."""

    def weigh(images, masks):
        return images, masks, tf.cast(masks == 0, tf.float32)

    train = datasets.batches(bright_images(10, 1), 4, epochs=EPOCHS).map(weigh)
    model = without_preference(learner())
    fit(model, train)
    confusion = evaluation.evaluate(model, validation, 2)
    assert confusion[:, 0].sum() > 0.9 * confusion.sum()


def test_fit_of_a_binary_mask_with_a_single_logit():
    train = datasets.batches(bright_images(10, 1), 4, epochs=EPOCHS)
    validation = datasets.batches(bright_images(7, 2), 4)
    model = without_preference(learner(n_classes=1))
    history = fit(model, train, validation)
    assert history["val_accuracy"][-1] > 0.95
    images, masks = datasets.to_arrays(validation.unbatch())
    logits = inference.predict_logits(model, images)[..., 0].astype(float)
    each = np.log1p(np.exp(-np.where(masks == 1, logits, -logits)))
    expected = each[masks != 255].mean()
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("scored", [True, False])
def test_fit_prints_one_line_an_epoch(train, validation, capsys, scored):
    history = training.fit(learner(), train, validation if scored else None, 2, steps_per_epoch=3)
    lines = []
    for i, loss in enumerate(history["loss"]):
        line = f"epoch {i + 1} of 2: loss ≈ {loss:.3f}"
        if scored:
            line += f", accuracy ≈ {history['val_accuracy'][i]:.2f}"
            line += f", mean IoU ≈ {history['val_mean_iou'][i]:.2f}"
        lines.append(line)
    said = capsys.readouterr()
    assert said.out.splitlines() == lines
    assert max(map(len, lines)) <= 80
    assert said.err == ""  # no bar where it could not be erased again


def test_a_terminal_shows_a_bar_that_disappears(train, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    training.fit(learner(), train, epochs=2, steps_per_epoch=3)
    shown = terminal.getvalue().split("\r")
    assert any(text.startswith("epoch 2 of 2:   0%|") for text in shown)
    assert not shown[-1].strip() and not shown[-2].strip()  # erased


def test_the_sanitiser_replaces_what_training_decides(repo):
    text = (repo / "notebooks" / "sanitize.cfg").read_text()
    patterns = re.findall(r"^regex: (.*)\nreplace: (.*)$", text, re.MULTILINE)  # as nbval reads it
    assert len(patterns) == text.count("regex: ")

    def sanitised(text):
        for regex, replacement in patterns:
            text = re.sub(regex, replacement, text)
        return text

    first = sanitised("epoch 3 of 6: loss ≈ 0.412, accuracy ≈ 0.81, rate ≈ 1,234.5 images/s")
    assert first == sanitised("epoch 3 of 6: loss ≈ nan, accuracy ≈  1, rate ≈ -2e-05 images/s")
    assert first != sanitised("epoch 2 of 6: loss ≈ 0.412, accuracy ≈ 0.81, rate ≈ 5 images/s")
    assert first.startswith("epoch 3 of 6: loss") and first.endswith(" images/s")


# ---------------------------------------------------------------- the batches of an epoch


def test_epochs_go_on_in_the_data_and_a_resumed_run_skips(tmp_path):
    """Weights stand for the batch's number: the losses tell which batches an epoch has seen."""
    pixels, masks = next(iter(datasets.batches(bright_images(4, 1), 4)))
    numbered = tf.data.Dataset.range(8).map(
        lambda i: (pixels, masks, tf.fill(tf.shape(masks), tf.cast(2**i, tf.float32)))
    )

    def losses(epochs, folder, steps):
        model = training.compile_model(pointwise(2, (8, 8)), 8, learning_rate=0.0)
        return training.fit(model, numbered, None, epochs, folder, steps, progress=False)["loss"]

    whole = losses(4, None, 2)
    np.testing.assert_allclose(np.array(whole) / whole[0], [1, 4, 16, 64], rtol=1e-5)
    assert losses(1, tmp_path / "a", 2) == pytest.approx(whole[:1])
    assert losses(4, tmp_path / "a", 2) == pytest.approx(whole)
    # without steps_per_epoch every epoch sees all of the data
    every = losses(3, None, None)
    assert every == pytest.approx([every[0]] * 3)
    assert every[0] == pytest.approx(whole[0] / 3 * 255 / 4, rel=1e-5)


def test_fit_says_when_the_batches_do_not_suffice(train):
    message = r"holds 12 batches, but 5 epochs of 3 need 15\. Make it .*epochs=5\)"
    with pytest.raises(DataError, match=message):
        fit(learner(), train, epochs=5)


# ---------------------------------------------------------------- data that does not fit


def as_batches(images, masks):
    return datasets.batches(datasets.from_arrays(images, masks), 4)


def images(count=6, size=(8, 8), label=1):
    return np.zeros((count, *size, 3), np.uint8), np.full((count, *size), label, np.uint8)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (as_batches(*images()).take(0), r"training data is empty: there is not a single batch"),
        (as_batches(*images(size=(8, 16))), r"training images are 8x16, the model takes 8x8"),
        (as_batches(*images(label=2)), r"hold the label 2, .* 2 logits.*n_classes=3"),
        (as_batches(*images(label=255)), r"training data has no labels: .* void"),
        (
            as_batches(*images()).map(lambda image, mask: (image, mask[..., None])),
            r"masks of shape \(4, 8, 8, 1\); expected .*\(B, H, W\).*without a channel axis",
        ),
        (
            datasets.from_arrays(*images()),
            r"images of shape \(8, 8, 3\) .*in batches \(datasets\.batches\)",
        ),
        (as_batches(*images()).repeat(), r"training data repeats for ever\. Leave out repeat"),
        (
            as_batches(*images()).map(lambda image, mask: (tf.cast(image, "float32") / 0, mask)),
            r"training images of batch 0 .* not finite numbers",
        ),
        (
            datasets.from_arrays(
                [np.zeros((8, side, 3), np.uint8) for side in (8, 16)],
                [np.zeros((8, side), np.uint8) for side in (8, 16)],
            ).batch(2),
            r"training data cannot be read .*different shapes.*image_size makes them so",
        ),
    ],
)
def test_fit_refuses_data_that_does_not_fit(dataset, message):
    with pytest.raises(DataError, match=message):
        training.fit(learner(), dataset, progress=False)


def test_fit_explains_what_it_is_given(train):
    with pytest.raises(DataError, match=r"epochs is 0; expected a whole number of 1 or more"):
        fit(learner(), train, epochs=0)
    with pytest.raises(DataError, match=r"not compiled\. Call training\.compile_model"):
        fit(pointwise(2, (8, 8)), train)


def test_fit_checks_validation_as_well(train):
    with pytest.raises(DataError, match=r"The validation masks hold the label 4"):
        fit(learner(), train, as_batches(*images(label=4)))


def test_a_single_logit_stands_for_two_classes():
    model = learner(n_classes=1)
    training.check_batches(model, as_batches(*images(label=1)), "training")
    with pytest.raises(DataError, match=r"hold the label 2, but the model has 1 logit"):
        training.check_batches(model, as_batches(*images(label=2)), "training")


# ---------------------------------------------------------------- files


def test_prediction_gif_has_an_image_before_training_and_one_per_epoch(train, tmp_path):
    image, truth = next(bright_images(1, 3).as_numpy_iterator())
    path = tmp_path / "new folder" / "epochs.gif"
    model = learner()
    for first, end in ((0, 1), (1, 3)):  # one epoch, and after a new start two more
        gif = training.PredictionGif(image, TWO, path, truth)
        gif.set_model(model)
        gif.on_train_begin()
        for epoch in range(first, end):
            gif.on_epoch_begin(epoch)
            model.set_weights([-w for w in model.get_weights()])  # the other class everywhere
            gif.on_epoch_end(epoch)
        gif.on_train_end()
    np.testing.assert_array_equal(gif.masks[2:], gif.masks[:2])
    assert (gif.masks[0] != gif.masks[1]).all()
    frames = [np.asarray(frame)[..., :3] for frame in imageio.get_reader(path)]
    assert len(frames) == 4
    # image, prediction and truth side by side, three times as large, and a bar below
    assert {frame.shape for frame in frames} == {(8 * 3 + 6, 3 * 8 * 3, 3)}
    bars = [(frame[-1, :, 0].astype(int) > 150).sum() for frame in frames]
    assert bars == [0, 24, 48, 72]
    assert sorted(file.name for file in path.parent.iterdir()) == ["epochs.gif", "epochs.npy"]


def full_disk(path):
    with open(path, "w") as file:
        file.write("half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_atomic_write_keeps_the_old_file_when_the_disk_is_full(tmp_path):
    path = tmp_path / "history.json"
    path.write_text("old")
    message = r"history\.json could not be written \(No space left on device\)\. Make space"
    with pytest.raises(DataError, match=message), files.atomic_write(path) as part:
        full_disk(part)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["history.json"]


def test_atomic_write_replaces_the_file_at_the_end(tmp_path):
    path = tmp_path / "a.weights.h5"
    path.write_text("old")

    def write(part):
        assert part.name.endswith(".weights.h5")  # Keras looks at the ending
        assert path.read_text() == "old"
        with open(part, "w") as file:
            file.write("new")

    with files.atomic_write(path) as part:
        write(part)
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.weights.h5"]
