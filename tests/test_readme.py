"""What the README tells the reader to type is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_readme_has_the_two_commands_and_ci_finds_the_test_command():
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("jupyter lab --allow-root notebooks/00_start_here.ipynb")
    assert commands[1].endswith("pytest")
    assert "requirements.txt" in commands[0] and "requirements.txt" in commands[1]


def test_links_in_the_readme_exist():
    for target in re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r'src="([^":]+)"', README):
        assert (ROOT / target).exists(), target


def test_every_notebook_is_in_the_course_map():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert path.name in README


def test_no_requirement_excludes_the_versions_of_colab():
    """Floors only: an upper bound or a pin could replace a package that Colab has."""
    for file in ("requirements.txt", "pyproject.toml"):
        lines = [line.split("#")[0] for line in (ROOT / file).read_text().splitlines()]
        named = [line for line in lines if re.search(r"(tensorflow|numpy|keras)\S*[=<>]=", line)]
        assert named and not any("==" in line or "<" in line for line in named)
