"""Draw the README's image, a prediction on an unseen street: python docs/make_images.py"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from unet_helpers import datasets, inference, labels, plots  # noqa: E402
from unet_helpers.datasets import carla  # noqa: E402
from unet_helpers.models import pretrained  # noqa: E402

FRAMES = [10]

images, masks = datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))
images, masks = images[FRAMES], masks[FRAMES]
predictions = inference.predict_masks(pretrained.load("unet"), images)
figure = plots.show_predictions(images, masks, predictions, labels.CARLA)
figure.savefig(HERE / "prediction.png")
