"""The rooms of docs/architecture.md against the imports in the package."""

import ast
import re

import pytest


def imported(path, top=False):
    """List the modules that a file imports, its names in full; top leaves functions out."""
    names = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.fixture(scope="module")
def imports(repo):
    """Dict from each module of the package to the set of the package's modules it imports."""
    package = repo / "unet_helpers"
    files = {
        ".".join(path.relative_to(package).with_suffix("").parts): path
        for path in sorted(package.rglob("*.py"))
    }
    return {
        module: {
            name.removeprefix("unet_helpers.")
            for name in imported(path)
            if name.removeprefix("unet_helpers.") in files
        }
        for module, path in files.items()
    }


@pytest.fixture(scope="module")
def rooms(repo):
    """The rooms of the page, from the top down."""
    page = (repo / "docs" / "architecture.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)


def test_the_page_names_every_room(imports, rooms):
    assert sorted(rooms) == sorted({name.split(".")[0] for name in imports} - {"__init__"})


def test_imports_run_downwards_only(imports, rooms):
    upwards = [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if rooms.index(other.split(".")[0]) < rooms.index(module.split(".")[0])
        if module != "__init__"
    ]
    assert not upwards


def test_modules_do_not_import_in_circles(imports):
    remaining = dict(imports)
    while remaining:
        free = [name for name, others in remaining.items() if not others & set(remaining)]
        assert free, f"these import each other: {remaining}"
        for name in free:
            del remaining[name]


@pytest.mark.parametrize("room", ["labels", "files", "models", "evaluation", "training/losses"])
def test_models_losses_and_metrics_do_not_import_tensorflow(repo, room):
    place = repo / "unet_helpers" / room
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    assert not any("tensorflow" in imported(file, top=True) for file in files)
