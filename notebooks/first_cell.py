# The same first cell in every notebook: it finds the course's package, here or on Colab.
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = ""  # the course's address for pip, such as https://github.com/<owner>/<course>

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only, no log lines
# Colab's protobuf is older than the one TFDS's helper was made with; they work together.
os.environ.setdefault("TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK", "true")
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "unet_helpers" / "__init__.py").exists():
        sys.path.insert(0, str(folder))
        break
if not importlib.util.find_spec("unet_helpers"):
    if not REPOSITORY:
        raise ModuleNotFoundError(
            "unet_helpers is not here. Open this notebook inside the course's folder, or write "
            "the repository's address into REPOSITORY above and run this cell again."
        )
    # --no-deps: Colab has what the package needs, and none of it must be replaced.
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"git+{REPOSITORY}"]
    subprocess.run(command, check=True)
print("unet_helpers is ready")
