"""What happens after every epoch: scores, a printed line, one frame of a GIF."""

import contextlib
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from tqdm import tqdm

from unet_helpers.evaluation import metrics
from unet_helpers.files import atomic_write
from unet_helpers.inference import predict
from unet_helpers.labels import DataError, mask_to_colour


class Scores(keras.callbacks.Callback):
    """Add the seconds of every epoch to the logs, and the scores of one pass over validation.

    Raises DataError for a loss that is not a finite number; no later callback sees that epoch.
    """

    def __init__(self, validation, n_classes):
        super().__init__()
        self.validation, self.n_classes = validation, n_classes

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        if not np.isfinite(logs["loss"]):
            raise DataError(
                f"The loss of epoch {epoch + 1} is {logs['loss']}, not a finite number, so the "
                "model can no longer learn. Build it anew with a smaller learning_rate, and if "
                "that does not help, in float32. Does the loss take logits, and leave void out?"
            )
        confusion, loss = 0, 0.0
        for images, masks, *_ in self.validation or ():
            masks = np.asarray(masks)
            logits = predict.predict_logits(self.model, images, len(images))
            predicted = predict.to_mask(logits)
            counts = metrics.confusion_matrix(masks, predicted, max(self.n_classes, 2))
            if counts.any():  # the loss of a batch is the mean over its valid pixels
                loss += counts.sum() * float(self.model.compute_loss(y=masks, y_pred=logits))
            confusion += counts
        if self.validation is not None:
            scores = metrics.scores(confusion)
            logs["val_loss"] = float(loss / confusion.sum())
            logs["val_accuracy"], logs["val_mean_iou"] = scores.pixel_accuracy, scores.mean_iou
        logs["seconds"] = time.monotonic() - self.start


class Progress(keras.callbacks.Callback):
    """Print one line an epoch; in a terminal a bar shows how far the epoch is, and disappears."""

    def on_epoch_begin(self, epoch, logs=None):
        self.title = f"epoch {epoch + 1} of {self.params['epochs']}"
        steps = self.params["steps"]
        # disable=None: no bar where nothing can be erased again, as in a notebook or a file
        self.bar = tqdm(desc=self.title, total=steps, unit="batch", leave=False, disable=None)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.bar.close()
        line = f"{self.title}: loss ≈ {logs['loss']:.3f}"
        if "val_mean_iou" in logs:
            accuracy, iou = logs["val_accuracy"], logs["val_mean_iou"]
            line += f", accuracy ≈ {accuracy:.2f}, mean IoU ≈ {iou:.2f}"
        print(line, flush=True)


class PredictionGif(keras.callbacks.Callback):
    """Predict an image before training and after every epoch, and write the predictions as a GIF.

    Shapes: image uint8 (H, W, 3) of the model's size, and truth uint8 (H, W), shown beside the
    prediction. The file at path appears when training ends. NAME.npy beside it keeps the masks, so
    that the GIF of a run that resumes shows all epochs.
    """

    def __init__(self, image, labels, path, truth):
        super().__init__()
        self.image, self.labels, self.path, self.truth = image, labels, Path(path), truth
        self.kept, self.masks = self.path.with_suffix(".npy"), []

    def on_epoch_begin(self, epoch, logs=None):
        if not epoch:
            self.masks = []
        elif not self.masks:
            with contextlib.suppress(OSError, ValueError, EOFError):
                self.masks = [*np.load(self.kept)][: epoch + 1]
        if not self.masks:
            self.predict()

    def on_epoch_end(self, epoch, logs=None):
        self.predict()
        with atomic_write(self.kept) as part:
            np.save(part, self.masks)

    def predict(self):
        """Add a mask by the model as it is now."""
        self.masks.append(predict.predict_masks(self.model, self.image[None])[0])

    def on_train_end(self, logs=None):
        frames = [self.frame(number, mask) for number, mask in enumerate(self.masks)]
        # One palette for all: with its own, each frame would store image and truth anew.
        palette = Image.fromarray(np.concatenate(frames)).quantize(dither=Image.Dither.NONE)
        first, *others = (Image.fromarray(x).quantize(palette=palette, dither=0) for x in frames)
        times = {"duration": [500] * len(others) + [1500], "loop": 0}
        with atomic_write(self.path) as part:
            first.save(part, format="GIF", save_all=True, append_images=others, **times)

    def frame(self, number, mask):
        """Draw one frame, magnified: image, prediction, truth, and a bar that grows with epochs."""
        masks = [mask_to_colour(each, self.labels) for each in (mask, self.truth)]
        row = np.hstack([self.image, *masks]).repeat(3, axis=0).repeat(3, axis=1)
        bar = np.full((6, row.shape[1], 3), 60, np.uint8)
        bar[:, : row.shape[1] * number // max(len(self.masks) - 1, 1)] = (255, 232, 69)
        return np.concatenate([row, bar])
