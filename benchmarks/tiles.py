"""Measure what tiles cost and change: peak memory at 4K and 8K, and the remaining seams.

    python benchmarks/tiles.py memory
    python benchmarks/tiles.py seams

Memory is measured in a new process each time: the highest resident size, minus what the process
held after the model had run once on a small image. Seams: how far the logits of the tiles are from
those of the whole image, and how many pixels get another class, by distance to the nearest tile
border.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "data"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402

SIZES = {"4K": (2160, 3840), "8K": (4320, 7680)}
WAYS = {
    "whole image": None,
    "tiles of 512": {},
    "tiles of 256": {"tile": (256, 256)},
    "tiles of 160x192": {"tile": (160, 192)},
}


def stored_unet():
    """Return the stored U-Net of 8 filters, for images of any size."""
    from unet_helpers import models
    from unet_helpers.models import pretrained

    model = models.unet_model((None, None, 3), 8, 13, 0, batch_norm=True)
    model.set_weights(pretrained.load("unet").get_weights())
    return model


def peak():
    """Return the highest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def one_memory(name, way):
    """Predict one image in one way, in this process, and print memory and time."""
    from unet_helpers import inference

    model = stored_unet()
    options = WAYS[way]
    image = np.random.default_rng(0).integers(0, 256, (*SIZES[name], 3), np.uint8)
    inference.predict_image(model, image[:64, :64])
    before, start = peak(), time.perf_counter()
    if options is None:
        mask = inference.predict_masks(model, image[None])[0]
    else:
        mask = inference.predict_image(model, image, **options)
    seconds = time.perf_counter() - start
    assert mask.shape == image.shape[:2]
    print(
        f"{name} {way:17} {peak():6.0f} MB peak, {peak() - before:6.0f} MB more, {seconds:5.1f} s"
    )


def memory():
    """Measure all sizes and ways, each in a new process."""
    for name in SIZES:
        for way in WAYS:
            if name == "8K" and WAYS[way] is None:
                continue  # more than four times the whole 4K image
            subprocess.run([sys.executable, __file__, "one", name, way], check=False)


def seams():
    """Compare tiles with the whole image on part of a 4K street, by distance to a tile border."""
    import make_streets

    from unet_helpers import inference

    model = stored_unet()
    image = make_streets.render_large("dataE", 10, (2160, 3840))[0][800:1824, 1000:2536]
    whole = inference.predict_logits(model, image[None])[0]
    mask = whole.argmax(-1)
    bands = [(0, 2), (2, 8), (8, 32), (32, 64), (64, 129)]
    print(f"{'tiles of 256':22}" + "".join(f"{f'{a}..{b - 1} px':>20}" for a, b in bands))
    for way, options in (
        ("no overlap", {"overlap": 0}),
        ("64, cut", {"overlap": 64, "blend": False}),
        ("64, blended", {"overlap": 64}),
        ("128, cut", {"overlap": 128, "blend": False}),
        ("128, blended", {"overlap": 128}),
        ("exact: 512, 256, cut", {"tile": (512, 512), "overlap": 256, "blend": False}),
    ):
        options = {"tile": (256, 256), **options}
        logits = np.empty_like(whole)
        for row, band in inference.tile_logits(model, image, **options):
            logits[row : row + len(band)] = band
        distance = border_distance(image.shape[:2], options)
        error, wrong = np.abs(logits - whole).mean(-1), logits.argmax(-1) != mask
        line = ""
        for a, b in bands:
            here = (distance >= a) & (distance < b)
            cell = f"{error[here].mean():.4f} / {wrong[here].mean():.1%}" if here.any() else "-"
            line += f"{cell:>20}"
        print(f"{way:22}{line}")


def border_distance(size, options):
    """Return each pixel's distance to the nearest place where a tile's influence ends, in pixels.

    That is the border of a tile if tiles are blended, and the middle of the overlap otherwise.
    """
    from unet_helpers import inference

    lines = []
    for side, tile in zip(size, options["tile"], strict=True):
        starts = inference.tile_starts(side, tile, options["overlap"], 16)
        shift = 0 if options.get("blend", True) else options["overlap"] // 2
        ends = [start + shift for start in starts[1:]]
        if options.get("blend", True):
            ends += [start + tile for start in starts[:-1]]
        places = np.arange(side)
        lines.append(
            np.min([np.where(places < e, e - 1 - places, places - e) for e in ends], axis=0)
        )
    return np.minimum(lines[0][:, None], lines[1][None, :])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("memory", "seams", "one"))
    parser.add_argument("one", nargs="*", help="size and way, run in this process")
    options = parser.parse_args()
    if options.what == "one":
        one_memory(*options.one)
    else:
        {"memory": memory, "seams": seams}[options.what]()


if __name__ == "__main__":
    main()
