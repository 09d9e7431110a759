"""The bug hunt: a training script with four planted bugs that raises nothing, drawn by a number.

Every script is the source of `bug_hunt` with four of `PLANTS` in it and images of a size of its
own. A check probes the parts of the mended script on tiny arrays and trains nothing.
"""

import inspect
import itertools

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from unet_helpers import evaluation, models
from unet_helpers.exercises.exercise import Incorrect, describe
from unet_helpers.exercises.images import recordings_of
from unet_helpers.exercises.running import numbers
from unet_helpers.exercises.showing import show_code
from unet_helpers.models.folding import flat_layers


def bug_hunt():
    """A training script; returns its number and its parts."""
    number, size, n_classes = 0, (32, 64), 13

    def split(names):
        """Names such as dataA/0003.png -> those to train on and those to test on."""
        names = sorted(names)
        test = [name for name in names if name.split("/")[0] == names[-1].split("/")[0]]
        return [name for name in names if name not in test], test

    def prepare(image, codes):
        """An image, and codes that count from 1 -> both resized, the mask counting from 0."""
        image = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
        mask = Image.fromarray(codes).resize(size[::-1], Image.Resampling.NEAREST)
        return np.asarray(image), np.asarray(mask) - np.uint8(1)

    def augment(image, mask):
        mirrored = tf.random.uniform(()) < 0.5
        image = tf.where(mirrored, image[:, ::-1], image)
        return image, tf.where(mirrored, mask[:, ::-1], mask)

    def batches(images, masks, batch_size=4):
        pairs = tf.data.Dataset.from_tensor_slices((images, masks))
        return pairs.cache().shuffle(len(images)).map(augment).batch(batch_size)

    def build():
        """U-Net, which divides its images by 255, ready to train."""
        model = models.unet_model((*size, 3), 4, n_classes)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
        model.compile("adam", loss)
        return model

    def score(true_batches, predicted_batches):
        """The mean IoU of a test set that is predicted batch by batch."""
        confusions = []
        for true, guess in zip(true_batches, predicted_batches, strict=True):
            confusions.append(evaluation.confusion_matrix(true, guess, n_classes))
        return evaluation.scores(sum(confusions)).mean_iou

    def run(files, epochs=2):
        """Train on files, {name: (image, codes)}, and score the rest of them."""
        train, test = split(list(files))
        pairs = [prepare(*files[name]) for name in train]
        data = batches(*(np.stack(part) for part in zip(*pairs, strict=True)))
        model = build()
        model.fit(data, epochs=epochs, shuffle=False, verbose=0)  # the data set shuffles itself
        tested = [prepare(*files[name]) for name in test]
        guesses = [model.predict(image[None], verbose=0).argmax(axis=-1) for image, _ in tested]
        return score([mask[None] for _, mask in tested], guesses)

    parts = {"split": split, "prepare": prepare, "batches": batches, "build": build}
    return {"number": number, **parts, "score": score, "run": run}


PLANTS = {  # a plant: an edit of `bug_hunt`, right -> wrong, and what of the course finds it
    "leak": (
        '[name for name in names if name.split("/")[0] == names[-1].split("/")[0]] -> names[3::4]',
        "checks.near_copies, given the test and the training images",
    ),
    "averaged mask": (
        "Image.Resampling.NEAREST -> Image.Resampling.BILINEAR",
        "np.unique of a mask with two distant classes, before and after resizing",
    ),
    "minus one twice": (
        "Image.fromarray(codes).resize -> Image.fromarray(codes - np.uint8(1)).resize",
        "np.unique over the training masks, and a look at one beside its legend",
    ),
    "divided by 255 twice": (
        "return np.asarray(image), -> return np.asarray(image) / 255,",
        "the largest number that leaves the model's first layer, over all images",
    ),
    "flipped apart": (
        "return image, tf.where(mirrored, -> return image, tf.where(tf.random.uniform(()) < 0.5,",
        "the mask fed in as the image",
    ),
    "frozen augmentation": (
        ".cache().shuffle(len(images)).map(augment) -> .map(augment).cache().shuffle(len(images))",
        "the same image in two epochs, side by side",
    ),
    "ReLU before the loss": (
        "model = models.unet_model((*size, 3), 4, n_classes) -> "
        "unet = models.unet_model((*size, 3), 4, n_classes)\n"
        "        model = keras.Sequential([unet, keras.layers.ReLU()])",
        "the smallest number that the model returns",
    ),
    "averaged over batches": (
        "evaluation.scores(sum(confusions)).mean_iou -> "
        "np.mean([evaluation.scores(one).mean_iou for one in confusions])",
        "the same masks, scored one by one and all at once",
    ),
}


def draw(number):
    """Draw a script's four plants and its size (h, w); always the same for the same number."""
    random = np.random.default_rng(number)
    plants = [str(name) for name in random.choice([*PLANTS], 4, replace=False)]
    return plants, tuple((16 * random.integers((2, 3), (6, 9))).tolist())


def script(number, plants=None):
    """Write a script: the source of a function my_bug_hunt with four plants, or those given."""
    drawn, size = draw(number)
    source = inspect.getsource(bug_hunt).replace("def bug_hunt", "def my_bug_hunt")
    source = source.replace("= 0, (32, 64),", f"= {number}, {size},")
    for plant in drawn if plants is None else plants:
        source = source.replace(*PLANTS[plant][0].split(" -> "))
    return source


def show_script(number):
    """Show a script, to be pasted into the exercise's cell."""
    show_code(script(number))


def judge_bug_hunt(attempt):
    parts = attempt()
    probes = {"split": split_left, "prepare": prepare_left, "batches": batches_left}
    probes |= {"build": build_left, "score": score_left}
    if not isinstance(parts, dict) or not {"number", *probes} <= set(parts):
        told = f"It returns {describe(parts)}; expected the dictionary of a script. Paste one whole"
        raise Incorrect(f"{told} over the stub, as exercises.hunt.show_script(number) shows it.")
    found = {}
    for name, probe in probes.items():
        try:
            found |= probe(parts, draw(parts["number"])[1])
        except Incorrect:
            raise
        except Exception as error:
            raise Incorrect(f"Its part {name} raised {type(error).__name__}: {error}.") from None
    if left := [plant for plant in PLANTS if found[plant]]:
        told = f"Script {parts['number']}: {max(4 - len(left), 0)} of 4 bugs are cured."
        raise Incorrect(f"{told} What finds the next one: {PLANTS[left[0]][1]}.")
    return f"All four bugs of script {parts['number']} are cured."


def split_left(parts, size):
    """Tell of every plant in `split` whether it is left; so do the next four for other parts."""
    names = [f"data{letter}/{frame:04}.png" for frame in range(12) for letter in "CADB"]
    train, test = map(list, parts["split"](names))
    if sorted(train + test) != sorted(names) or not train or not test:
        raise Incorrect("split must put every name on one of two sides, and leave neither empty.")
    return {"leak": bool(recordings_of(train) & recordings_of(test))}


def prepare_left(parts, size):
    def mask_of(codes):
        return np.asarray(parts["prepare"](np.zeros((*codes.shape, 3), np.uint8), codes)[1])

    random = np.random.default_rng(0)
    codes = random.integers(1, 14, size, np.uint8)
    right = np.array_equal(mask_of(codes), codes - np.uint8(1))
    two_classes = np.kron(random.choice([1, 13], size), np.ones((3, 3))).astype(np.uint8)
    averaged = len(np.unique(mask_of(two_classes))) > 2
    return {"minus one twice": not right, "averaged mask": averaged}


def batches_left(parts, size):
    # With a seed from elsewhere in the notebook, tf.data draws the same numbers in every epoch.
    tf.random.set_seed(None)
    ramp = np.broadcast_to(np.arange(1, 17, dtype=np.uint8), (12, 4, 16))
    masks = ramp.copy()
    masks[:, 1:] = np.arange(12)[:, None, None]  # the first row shows the side, the others the pair
    data = parts["batches"](np.repeat(10 * ramp[..., None], 3, axis=-1), masks)
    turned = [{}, {}]  # of images and of masks: the pair's number -> mirrored in each epoch
    for _ in range(5):
        for batch in itertools.islice(data, 20):  # it may never end
            for image, mask in zip(*map(np.asarray, batch), strict=True):
                for part, row in zip(turned, (image[0, :, 0], mask[0].ravel()), strict=True):
                    part.setdefault(int(mask[2].max()), []).append(bool(row[0] > row[-1]))
    frozen = all(len(set(sides)) == 1 for sides in turned[0].values())
    return {"flipped apart": turned[0] != turned[1], "frozen augmentation": frozen}


def build_left(parts, size):
    model = parts["build"]()
    shape = tuple(model.output_shape[1:])
    if shape != (*size, 13):
        told = f"Script {parts['number']} has 13 classes and images of {size}; the model gives"
        raise Incorrect(f"{told} {shape}. Was its first line changed, or another script pasted?")
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    output = numbers(model(images))
    sums_to_one = output.min() >= 0 and np.allclose(output.sum(axis=-1), 1, atol=1e-3)
    fitting = keras.losses.SparseCategoricalCrossentropy(from_logits=not sums_to_one)
    worst = output.argmin(axis=-1)
    loss, expected = (keras.losses.get(each)(worst, output) for each in (model.loss, fitting))
    right = abs(loss - expected) < 1e-3 and (sums_to_one or output.min() < 0)
    white = parts["prepare"](np.full((*size, 3), 255, np.uint8), np.ones(size, np.uint8))[0]
    scales = [x.scale for x in flat_layers(model) if isinstance(x, keras.layers.Rescaling)]
    seen = np.max(white) * np.prod(scales)  # by the first convolution
    return {"ReLU before the loss": not right, "divided by 255 twice": not 0.9 < seen < 1.1}


def score_left(parts, size):
    truth = [np.array([[[0, 0, 1, 1]]]), np.array([[[1, 2, 2, 255]]])]
    guess = [np.array([[[0, 1, 1, 1]]]), np.array([[[1, 2, 0, 0]]])]
    expected = np.mean([1 / 3, 3 / 4, 1 / 2])  # hits: 1, 3, 1; unions: 3, 4, 2
    right = abs(parts["score"](truth, guess) - expected) < 1e-6
    return {"averaged over batches": not right}
