"""Build the page "U-Net to play with" into a folder: python site/play/build.py OUT_FOLDER

The folder then holds all that the page needs: page, script, networks, streets, and ONNX Runtime
Web, which npm brings once (package.json names its version). Needs the package's extra `onnx`.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from unet_helpers import quiet  # noqa: E402

quiet.import_tensorflow()

import imageio.v3 as imageio  # noqa: E402

from unet_helpers import datasets, models  # noqa: E402
from unet_helpers.datasets import carla  # noqa: E402
from unet_helpers.inference import export  # noqa: E402
from unet_helpers.labels import DataError  # noqa: E402
from unet_helpers.models import folding, pretrained  # noqa: E402

TITLES = {"unet": "U-Net", "fcn_8s": "FCN-8s", "fcn_16s": "FCN-16s", "fcn_32s": "FCN-32s"}
FRAMES = (4, 20, 24, 44)  # of dataE, which none of the networks was trained on
RUNTIME = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PAGE = ("index.html", "play.css", "play.js")


def network(name):
    """Load a stored network for the page: normalisations folded, U-Net's skip connections gated."""
    folded = folding.fold(pretrained.load(name))
    return models.gated_unet(folded) if name == "unet" else folded


def streets(folder):
    """Write a few streets as the networks take them; returns the files' names."""
    images, _ = datasets.to_arrays(carla.load("test", image_size=pretrained.SIZE))
    for frame in FRAMES:
        imageio.imwrite(folder / f"street_{frame}.png", images[frame])
    return [f"street_{frame}.png" for frame in FRAMES]


def copy_page(folder):
    """Copy page and ONNX Runtime Web; npm brings it unless its pinned version is here already."""
    package = HERE / "node_modules" / "onnxruntime-web"
    pinned = json.loads((HERE / "package.json").read_text())["dependencies"][package.name]
    here = package / "package.json"
    if not here.exists() or json.loads(here.read_text())["version"] != pinned:
        npm = shutil.which("npm")
        if npm is None:
            sys.exit("npm is missing: it comes with Node.js, and brings ONNX Runtime Web.")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        if subprocess.run(command, cwd=HERE).returncode:
            sys.exit(f"npm could not bring ONNX Runtime Web {pinned}; what it said stands above.")
    for file in [*(HERE / name for name in PAGE), *(package / "dist" / name for name in RUNTIME)]:
        shutil.copy(file, folder)


def write_course(folder, names=tuple(TITLES)):
    """Write the networks, a few streets, and course.js, which tells the page about them."""
    networks = []
    for name in names:
        export.to_onnx(network(name), folder / f"{name}.onnx")
        networks.append({"name": name, "title": TITLES[name]})
    course = {
        "size": pretrained.SIZE,
        "classes": carla.LABELS.classes,
        "colours": carla.LABELS.colours,
        "networks": networks,
        "streets": streets(folder),
    }
    (folder / "course.js").write_text(f"const COURSE = {json.dumps(course)};\n")


def build(folder):
    """Write all of the page into a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    copy_page(folder)
    write_course(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    try:
        build(parser.parse_args().folder)
    except DataError as error:  # the packages for ONNX are missing, or a file cannot be written
        sys.exit(str(error))
