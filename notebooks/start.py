"""Copy the notebooks to my_notebooks/ and open the first one: python notebooks/start.py

A copy that is already there is kept with all answers in it. Delete a copy to get a fresh one the
next time. Arguments go to JupyterLab, such as --no-browser, or --allow-root in a container.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from ipykernel.ipkernel import IPythonKernel
from jupyter_client.kernelspec import get_kernel_spec

NOTEBOOKS = Path(__file__).resolve().parent
COPIES = NOTEBOOKS.parent / "my_notebooks"


def copy_notebooks(copies=COPIES):
    """Copy the notebooks that are not in the folder `copies` yet; returns the first one's path.

    The copies name this machine's kernel, or JupyterLab would write it into each one that is
    opened, and ask about unsaved changes when it is closed.
    """
    copies.mkdir(exist_ok=True)
    spec = get_kernel_spec("python3")
    kernel = {"name": "python3", "display_name": spec.display_name, "language": spec.language}
    notebooks = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    for notebook in notebooks:
        if not (copies / notebook.name).exists():
            content = json.loads(notebook.read_text(encoding="utf-8"))
            content["metadata"]["kernelspec"] = kernel
            content["metadata"]["language_info"] = IPythonKernel.language_info
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            (copies / notebook.name).write_text(text, encoding="utf-8")
    return copies / notebooks[0].name


if __name__ == "__main__":
    course = NOTEBOOKS.parent
    # The root is the whole course, so that links to its other pages open.
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={course}"]
    command += [str(copy_notebooks()), *sys.argv[1:]]
    environment = os.environ | {"PYTHONSTARTUP": str(NOTEBOOKS / "startup.py")}
    sys.exit(subprocess.run(command, check=False, env=environment).returncode)
