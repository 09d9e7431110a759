"""A model as a service: POST an image to /predict, and its mask comes back as a PNG.

python -m unet_helpers.serve                                the stored U-Net, at 127.0.0.1:8000
python -m unet_helpers.serve --model runs/carla/model.keras
python -m unet_helpers.serve --model my.keras --dataset folder --data my_data
"""

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from unet_helpers import datasets, evaluation, inference, labels, models, quiet

MAX_BYTES = 20_000_000  # of a request; a photograph has 3 to 10 million
SECONDS = 10  # that a request may take to arrive
MAX_WAITING = 8  # requests; one is computed at a time, since it uses all cores
PAGE = Path(__file__).with_suffix(".html")


def contract(model, classes):
    """Describe what a service takes and gives, for those who call it; returns a dict."""
    height, width = model.input_shape[1:3]
    weights = hashlib.sha256(b"".join(array.tobytes() for array in model.get_weights()))
    return {
        "image": "PNG or JPEG; read as RGB, uint8, upright by its EXIF data",
        "resized to": [height, width],
        "preprocessing": "none: the model's first layer divides by 255",
        "mask": "PNG of the image's size; a pixel's value is its class, painted by a palette",
        "classes": list(classes.classes),
        "colours": [list(map(int, colour)) for colour in classes.colours],
        "weights": f"sha256 {weights.hexdigest()}",
    }


def answer(model, classes, content):
    """Predict the mask of one encoded image, bytes in a format of `datasets.read_image`.

    Returns (PNG as bytes, the mean entropy of a pixel in nats, dict from class to its share).
    Raises DataError for bytes that are not an image, or hold too many pixels.
    """
    image = datasets.read_image(datasets.images.EncodedImage("What was sent", content))
    small = datasets.resize_image(image, model.input_shape[1:3])
    logits = inference.predict_logits(model, small[None])[0]
    mask = inference.to_mask(logits)
    entropy = evaluation.entropy(inference.to_probabilities(logits)).mean()
    shares = map(float, labels.class_shares([mask], classes.n_classes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.png"
        inference.save_mask(path, datasets.resize_mask(mask, image.shape[:2]), classes)
        png = path.read_bytes()
    return png, float(entropy), dict(zip(classes.classes, shares, strict=True))


def build(model, classes, log=None):
    """Build the service: `/` is a page to try it, `/contract` says what it takes and gives.

    Args:
        model: takes images of one size; returns logits.
        classes: its Labels.
        log: function that gets a dict for every answer, with "milliseconds", "entropy" and
            "shares", for an alarm on drift.

    Returns:
        fastapi.FastAPI. An image that cannot be used is answered by a sentence and the status 413
        (too large), 408 (too slow), 415 (not an image) or 503 (too many at a time).

    Raises:
        DataError: a model for images of any size, as nobody can tell to which size to resize.
    """
    from fastapi import FastAPI, Request
    from fastapi.responses import FileResponse, PlainTextResponse, Response

    if None in model.input_shape[1:3]:
        raise labels.DataError(
            f"{model.name} takes images of any size; a service needs the size that it was trained "
            "at. Build it with that size, such as (96, 128, 3), and copy the weights."
        )
    # The first prediction traces and compiles; no request is to wait for that.
    inference.predict_logits(model, np.zeros((1, *model.input_shape[1:]), np.uint8))
    service = FastAPI(openapi_url=None)  # its documentation would load scripts from elsewhere
    described, turn, waiting = contract(model, classes), asyncio.Lock(), 0

    @service.get("/")
    def page():
        return FileResponse(PAGE)

    @service.get("/contract")
    def tell():
        return described

    async def receive(request):
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > MAX_BYTES:
                return None
        return bytes(content)

    async def compute(content):
        async with turn:
            start = time.perf_counter()
            # in a thread, so that other requests are still received and refused
            png, entropy, shares = await asyncio.to_thread(answer, model, classes, content)
        milliseconds = 1000 * (time.perf_counter() - start)
        if log:
            log({"milliseconds": milliseconds, "entropy": entropy, "shares": shares})
        return Response(png, media_type="image/png", headers={"X-Entropy": f"{entropy:.4f}"})

    @service.post("/predict")
    async def predict(request: Request):
        nonlocal waiting
        if waiting >= MAX_WAITING:
            return PlainTextResponse(f"{MAX_WAITING} images are waiting. Try again later.", 503)
        waiting += 1
        try:
            content = await asyncio.wait_for(receive(request), SECONDS)
            if content is None:
                return PlainTextResponse(
                    f"More than {MAX_BYTES:,} bytes. Send a smaller image.", 413
                )
            return await compute(content)
        except TimeoutError:
            return PlainTextResponse(f"The image did not arrive within {SECONDS} seconds.", 408)
        except labels.DataError as error:
            return PlainTextResponse(str(error), 415)
        finally:
            waiting -= 1

    return service


def main(arguments=None):
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m unet_helpers.serve", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    sets = ("carla", "pets", "camvid", "folder")
    parser.add_argument("--model", type=Path, help=".keras file; default: the stored U-Net")
    parser.add_argument("--dataset", choices=sets, default="carla", help="gives the classes")
    parser.add_argument("--data", default="sample", help="sample, full, or the path of a folder")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args(arguments)
    try:
        import uvicorn

        quiet.import_tensorflow()
        loader = getattr(datasets, options.dataset)
        classes = loader.read_labels(loader.find(options.data))
        stored = models.pretrained.load
        model = inference.load_model(options.model) if options.model else stored("unet")
        if model.output_shape[-1] != classes.n_classes:
            raise labels.DataError(
                f"{model.name} has {model.output_shape[-1]} outputs, {classes.name} has "
                f"{classes.n_classes} classes. Name the model's data set with --dataset."
            )
        service = build(model, classes, log=lambda line: print(json.dumps(line), flush=True))
    except ImportError as error:
        print(f"{error}. Install the service's packages: pip install fastapi uvicorn")
        return 1
    except (OSError, ValueError) as error:
        print(f"Stopped: {error}", file=sys.stderr)
        return 1
    print(f"Open http://{options.host}:{options.port}. Ctrl-C stops the service.", flush=True)
    uvicorn.run(service, host=options.host, port=options.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
