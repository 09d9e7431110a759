# @title Run this cell first. On Colab, give the course's address. { display-mode: "form" }
import subprocess
import sys
from importlib.util import find_spec

REPOSITORY = ""  # @param {type: "string"}

if not find_spec("unet_helpers"):
    if not REPOSITORY:
        raise ModuleNotFoundError(
            f"unet_helpers is not installed in {sys.executable}. Start the notebooks with the "
            "README's command. On Colab, write the course's address for pip, such as "
            "https://github.com/<owner>/<course>, into REPOSITORY and run this cell again."
        )
    # --no-deps: Colab has what the package needs, and none of it must be replaced.
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"git+{REPOSITORY}"]
    subprocess.run(command, check=True)

from unet_helpers import quiet

quiet.import_tensorflow()
print("unet_helpers is ready")
