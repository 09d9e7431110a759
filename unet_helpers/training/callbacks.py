"""What happens after every epoch: scores, history, progress, GIF."""

import time
from pathlib import Path

import imageio.v2 as imageio
import keras
import numpy as np
from tqdm.auto import tqdm

from unet_helpers.evaluation import metrics
from unet_helpers.files import atomic_write
from unet_helpers.inference import predict
from unet_helpers.labels import VOID, mask_to_colour


class ValidationScores(keras.callbacks.Callback):
    """Add val_loss, val_accuracy and val_mean_iou to the logs, from one pass over validation."""

    def __init__(self, validation, n_classes):
        super().__init__()
        self.validation, self.n_classes = validation, n_classes

    def on_epoch_end(self, epoch, logs=None):
        confusion, loss, pixels = 0, 0.0, 0
        for images, masks, *_ in self.validation:
            logits = predict.predict_logits(self.model, images, len(images))
            masks = np.asarray(masks)
            confusion = confusion + metrics.confusion_matrix(
                masks, predict.to_mask(logits), max(self.n_classes, 2)
            )
            # the loss is a mean over valid pixels, so weigh the batches by these
            valid = int((masks != VOID).sum())
            loss += valid * float(self.model.loss(masks, logits)) if valid else 0.0
            pixels += valid
        scores = metrics.scores(confusion)
        logs["val_loss"] = loss / pixels
        logs["val_accuracy"] = scores.pixel_accuracy
        logs["val_mean_iou"] = scores.mean_iou


class Record(keras.callbacks.Callback):
    """Append the logs of every epoch to a history, that of an earlier run included."""

    def __init__(self, history):
        super().__init__()
        self.history = {key: list(values) for key, values in history.items()}

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        for key, value in {**logs, "seconds": time.monotonic() - self.start}.items():
            self.history.setdefault(key, []).append(float(value))


class ProgressBar(keras.callbacks.Callback):
    """Show one tqdm bar over all epochs, with the newest losses beside it."""

    def __init__(self, epochs, steps):
        super().__init__()
        self.epochs, self.steps = epochs, steps

    def on_train_begin(self, logs=None):
        self.bar = tqdm(total=self.epochs * self.steps, desc="training", unit="batch")

    def on_epoch_begin(self, epoch, logs=None):
        self.bar.n = epoch * self.steps
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.set_postfix({key: f"{value:.3f}" for key, value in logs.items()})

    def on_train_end(self, logs=None):
        self.bar.close()


class PredictionGif(keras.callbacks.Callback):
    """Predict the same image before training and after every epoch, and write them as a GIF.

    Args:
        image: uint8 (H, W, 3) of the model's size.
        labels: Labels, for the colours.
        path: file to write when training ends; it appears only when whole.
        truth: uint8 (H, W), shown beside the prediction if given.
        scale: whole number by which the small images are enlarged.
        seconds: each image is shown; the last one three times as long.
    """

    def __init__(self, image, labels, path, truth=None, scale=3, seconds=0.5):
        super().__init__()
        self.image, self.labels, self.path, self.truth = image, labels, Path(path), truth
        self.scale, self.seconds = scale, seconds
        self.masks = []

    def on_train_begin(self, logs=None):
        self.masks = []
        self.add()

    def on_epoch_end(self, epoch, logs=None):
        self.add()

    def on_train_end(self, logs=None):
        self.write()

    def add(self):
        """Predict the image once more."""
        self.masks.append(predict.predict_masks(self.model, self.image[None])[0])

    def write(self):
        """Write the GIF; returns its path."""
        frames = [self.frame(number, mask) for number, mask in enumerate(self.masks)]
        times = [1000 * self.seconds] * (len(frames) - 1) + [3000 * self.seconds]
        with atomic_write(self.path) as part:
            imageio.mimwrite(part, frames, format="GIF", duration=times, loop=0)
        return self.path

    def frame(self, number, mask):
        """Draw one image of the GIF: image, prediction, truth, and how far training is."""
        parts = [self.image, mask_to_colour(mask, self.labels)]
        if self.truth is not None:
            parts.append(mask_to_colour(self.truth, self.labels))
        row = np.concatenate(parts, axis=1)
        row = row.repeat(self.scale, axis=0).repeat(self.scale, axis=1)
        # a bar below the images grows with the epochs
        bar = np.full((2 * self.scale, row.shape[1], 3), 60, np.uint8)
        bar[:, : row.shape[1] * number // max(len(self.masks) - 1, 1)] = (255, 232, 69)
        return np.concatenate([row, bar])
