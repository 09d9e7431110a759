"""Build the course's site from the stored notebooks and docs: python site/build.py [OUT]

Nothing is executed. The result opens from a folder, offline: OUT/index.html. Needs
site/requirements.txt; the page "U-Net to play with" is added where its own requirements are met.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLD = {"source_hidden": "hide-input", "outputs_hidden": "hide-output"}
MATHJAX = "mathjax/static/mathjax/es5/tex-svg.js"  # one file, without fonts beside it
TOCTREE = "\n\n```{toctree}\n:hidden:\n:caption: %s\n\n%s\n```"


def course_map(readme):
    """List the notebooks of the README's table: name without suffix, and whether it is core."""
    row = r"^\| (\*\*)?\d\d(?:\*\*)? \| \[\w+\]\(notebooks/(\w+)\.ipynb\)"
    return [(name, bool(bold)) for bold, name in re.findall(row, readme, re.MULTILINE)]


def home(readme, titles, pages, play):
    """Make the home page of the README: the course map comes first, with the notebooks' titles."""
    top, *sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    named = {section.split("\n")[0][3:]: section.rstrip() for section in sections}
    notebooks = course_map(readme)
    core = [f"[{name[:2]}](notebooks/{name}.ipynb)" for name, bold in notebooks if bold]
    core = f"**Core path:** {' → '.join(core)}"
    if play:
        core += '\n\n<a href="play/index.html"><b>A U-Net to play with</b></a>, in your browser.'
    table = re.sub(
        r"\[\w+\](?=\(notebooks/(\w+)\.ipynb)",
        lambda link: f"[{titles[link[1]]}]",
        named.pop("Course map"),
    )
    text = "\n\n".join([top.rstrip(), core, table, *named.values()])
    text += TOCTREE % ("Notebooks", "\n".join(f"notebooks/{name}" for name, _ in notebooks))
    return text + TOCTREE % ("Reference", "\n".join(pages)) + "\n"


def lower_titles(text):
    """Put a page's further titles one level down; what stands in fenced code stays."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"^# ", "## ", part, flags=re.MULTILINE) for part in parts[::2]]
    return "".join(parts)


def for_the_site(notebook, folder):
    """Fold what the notebook hides, leave it one title, and store its figures with alt texts."""
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown" and number:
            cell["source"] = lower_titles("".join(cell["source"]))
        hidden = cell["metadata"].get("jupyter", {})
        cell["metadata"]["tags"] = [FOLD[key] for key in FOLD if hidden.get(key)]
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = base64.b64decode("".join(output["data"]["image/png"]))
                file = f"figure-{hashlib.sha256(png).hexdigest()[:12]}.png"
                (folder / file).write_bytes(png)
                alt = output["metadata"].get("image/png", {}).get("alt", "")
                alt = re.sub(r"([\[\]])", r"\\\1", alt)
                output["data"] = {"text/markdown": f"![{alt}]({file})"}
    return notebook


def stage(source, play):
    """Lay the pages out as in the repository, so that their links to each other hold."""
    for folder in ("notebooks", "docs", "data"):
        (source / folder).mkdir()
    titles = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = for_the_site(json.loads(path.read_text("utf-8")), source / "notebooks")
        heading = "".join(notebook["cells"][0]["source"]).split("\n")[0]  # "# 00 · Start here"
        titles[path.stem] = heading.split(" · ")[1]
        (source / "notebooks" / path.name).write_text(json.dumps(notebook), "utf-8")
    docs = [path for path in ROOT.glob("docs/*") if path.suffix in (".md", ".png", ".svg")]
    for path in [*docs, ROOT / "data" / "README.md"]:
        shutil.copy(path, source / path.relative_to(ROOT))
    shutil.copy(ROOT / "LICENSE", source)
    pages = [f"docs/{path.stem}" for path in sorted(ROOT.glob("docs/*.md"))] + ["data/README"]
    readme = (ROOT / "README.md").read_text("utf-8")
    (source / "index.md").write_text(home(readme, titles, pages, play), "utf-8")


def add_play(out, python):
    """Build the page "U-Net to play with" into OUT/play; says why if it is left out."""
    script = HERE / "play" / "build.py"
    reason = "site/play is not there"
    if script.exists():
        print("The play page:", flush=True)
        command = [python, str(script), str(out / "play")]
        run = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        reason = run.returncode and (run.stderr.strip().splitlines() or ["it stopped"])[-1]
    if reason:
        shutil.rmtree(out / "play", ignore_errors=True)
        print(f"The site is built without the play page: {reason}")
    return not reason


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", default=HERE / "_build", type=Path)
    parser.add_argument("--play-python", default=sys.executable, help="a Python with the course")
    parser.add_argument("--repository", help="the course's page on GitHub, for links to Colab")
    parser.add_argument("--branch", help="the branch that those links open")
    arguments = parser.parse_args()
    sys.path.append(str(ROOT / "notebooks"))
    try:
        from refresh import published
        from sphinx.cmd.build import main as sphinx

        mathjax = distribution("django-static-mathjax").locate_file(MATHJAX)
    except ModuleNotFoundError as missing:
        command = "python -m pip install -r site/requirements.txt"
        sys.exit(f"{missing.name} is missing here; {command} brings it.")
    name, branch = published() or ("", "main")
    os.environ["SITE_REPOSITORY"] = arguments.repository or (name and f"https://github.com/{name}")
    os.environ["SITE_BRANCH"] = arguments.branch or branch
    out = arguments.out.resolve()
    with tempfile.TemporaryDirectory() as work:
        source, html = Path(work, "source"), Path(work, "html")
        source.mkdir()
        stage(source, add_play(html, arguments.play_python))
        options = ["-W", "--keep-going", "-q", "-j", "auto", "-c", str(HERE), "-d", f"{work}/trees"]
        if failed := sphinx([*options, str(source), str(html)]):
            sys.exit(failed)
        shutil.copy(mathjax, html / "_static")
        if (out / ".buildinfo").exists():  # the site of an earlier build
            shutil.rmtree(out)
        shutil.copytree(html, out, dirs_exist_ok=True)
    print(f"Open {out / 'index.html'}")


if __name__ == "__main__":
    main()
