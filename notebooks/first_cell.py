# @title Run this cell first: it finds the course's package. { display-mode: "form" }
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from urllib import parse, request

REPOSITORY = ""  # @param {type: "string"}
PUBLISHED = ""  # written by refresh.py --repository
MISSING = f"""unet_helpers is not installed in {sys.executable}. Start the notebooks with the
README's command, or paste the course's address, such as https://github.com/owner/course"""


def opened_from():
    """Ask Colab's own server for this notebook's page on GitHub."""
    server = "http://{COLAB_JUPYTER_IP}:{KMP_TARGET_PORT}/api/sessions".format_map(os.environ)
    with request.urlopen(server, timeout=2) as answer:
        return parse.unquote(json.load(answer)[0]["path"])


for way in (lambda: REPOSITORY, opened_from, lambda: PUBLISHED, lambda: input(f"{MISSING}: ")):
    with suppress(Exception):  # no address, not on Colab, or nobody there to answer
        if not find_spec("unet_helpers"):
            page = re.search(r"(\w+://\S+?)(/(blob|tree)/(\S+?)(/notebooks.*)?)?\s*$", way())
            address = f"{page[1]}@{page[4]}" if page[4] else page[1]
            # --no-deps: Colab has what the package needs, and none of it must be replaced.
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", f"git+{address}"]
            subprocess.run(command, check=False)

if not find_spec("unet_helpers"):
    raise ModuleNotFoundError(f"{MISSING}, into REPOSITORY above and run this cell again.")

from unet_helpers import quiet

quiet.import_tensorflow()
print("unet_helpers is ready")
