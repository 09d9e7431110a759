"""Copy the notebooks to my_notebooks/ and open the first one: python notebooks/start.py

A copy that is already there is kept with all answers in it. Delete a copy to get a fresh one the
next time. Arguments go to JupyterLab, such as --no-browser, or --allow-root in a container.
"""

import shutil
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent
COPIES = NOTEBOOKS.parent / "my_notebooks"


def copy_notebooks(copies=COPIES):
    """Copy the notebooks that are not in the folder `copies` yet; returns the first one's path."""
    copies.mkdir(exist_ok=True)
    notebooks = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    for notebook in notebooks:
        if not (copies / notebook.name).exists():
            shutil.copy(notebook, copies)
    return copies / notebooks[0].name


if __name__ == "__main__":
    course = NOTEBOOKS.parent
    # The root is the whole course, so that links to its other pages open.
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={course}"]
    command += [str(copy_notebooks()), *sys.argv[1:]]
    sys.exit(subprocess.run(command, check=False).returncode)
