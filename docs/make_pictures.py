"""Take the README's pictures out of the stored notebooks: python docs/make_pictures.py"""

import base64
import re
from pathlib import Path

import nbformat

HERE = Path(__file__).resolve().parent
# file: (notebook, beginning of the figure's description)
PICTURES = {
    "streets.png": ("00_start_here", "One frame of each of the five recordings"),
    "00.png": ("00_start_here", "A street, its mask"),
    "01.png": ("01_from_fcn_to_unet", "A part of one street enlarged"),
    "02.png": ("02_encoder_blocks", "Gradient pictures for five levels"),
    "03.png": ("03_decoder_blocks", "The same street by networks trained"),
    "04.png": ("04_building_unet", "The paper's network drawn"),
    "05.gif": ("05_carla_training", "The prediction of one street"),
    "06.png": ("06_oxford_pets_training", "The five best test pictures"),
    "07.png": ("07_camvid_void_labels", "Three test streets: image, truth with void"),
    "08.png": ("08_binary_masks", "Precision against recall"),
    "09.png": ("09_metrics_and_error_analysis", "A street, the distance"),
    "10.png": ("10_silent_bugs", "A street with its mask laid over it, and"),
    "11.png": ("11_predict_and_export", "The 4K street under the mask"),
    "12.png": ("12_scaling_up", "The same training, step by step"),
}


def find(notebook, description):
    """Give the bytes of the figure or animation whose description begins so."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data, metadata = output.get("data", {}), output.get("metadata", {})
            alt = metadata.get("image/png", {}).get("alt", "")
            if "image/png" in data and alt.startswith(description):
                return base64.b64decode(data["image/png"])
            animation = re.search(r'base64,([^"]+)" alt="([^"]*)"', data.get("text/html", ""))
            if animation and animation.group(2).startswith(description):
                return base64.b64decode(animation.group(1))
    raise SystemExit(f"No figure in the notebook is described as {description!r}.")


for name, (stem, description) in PICTURES.items():
    path = HERE.parent / "notebooks" / f"{stem}.ipynb"
    (HERE / name).write_bytes(find(nbformat.read(path, as_version=4), description))
    print(f"docs/{name} from {path.name}")
