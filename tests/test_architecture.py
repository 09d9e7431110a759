"""The rooms of docs/architecture.md against the imports in the package."""

import ast
import re

import pytest


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def handed_on(path):
    """Dict from the names that a folder's __init__.py hands on to their modules."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "hand_on":
            names = {word.arg: ast.literal_eval(word.value).split() for word in node.keywords}
            return {name: module for module, public in names.items() for name in public}
    return {}


def walk(node, functions=True):
    """Walk through a syntax tree, without the bodies of functions if asked."""
    yield node
    for child in ast.iter_child_nodes(node):
        if functions or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from walk(child, functions)


def imported(path, functions=True):
    """List what a file imports as pairs: the module, and the name that is taken from it or None."""
    pairs = []
    for node in walk(parse(path), functions):
        if isinstance(node, ast.Import):
            pairs += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            pairs += [(node.module, alias.name) for alias in node.names]
    return pairs


def read_imports(package):
    """Dict from each module of a package to the set of the package's modules it imports."""
    files = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = path

    names = {
        module: handed_on(path) for module, path in files.items() if path.name == "__init__.py"
    }

    def resolve(module, name):
        inner = f"{module}.{names.get(module, {}).get(name, name)}"
        return inner if inner in files else module

    return {
        module: {resolve(*pair) for pair in imported(path)} & set(files) - {package.name}
        for module, path in files.items()
        if module != package.name
    }


def room(module):
    return module.split(".")[1]


def upwards(imports, rooms):
    """List the imports that run up."""
    return [
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if rooms.index(room(other)) < rooms.index(room(module))
    ]


def in_circles(imports):
    """List the modules that import each other, or are imported by none but such."""
    remaining = dict(imports)
    while free := [name for name, others in remaining.items() if not others & set(remaining)]:
        for name in free:
            del remaining[name]
    return sorted(remaining)


@pytest.fixture(scope="module")
def imports(repo):
    return read_imports(repo / "unet_helpers")


@pytest.fixture(scope="module")
def rooms(repo):
    """The rooms of the page, from the top down."""
    page = (repo / "docs" / "architecture.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)


def test_the_page_names_every_room(imports, rooms):
    assert sorted(rooms) == sorted({room(name) for name in imports})


def test_imports_run_downwards_only(imports, rooms):
    assert not upwards(imports, rooms)


def test_modules_do_not_import_in_circles(imports):
    assert not in_circles(imports)


def test_what_a_room_hands_on_is_defined_there(repo):
    for path in (repo / "unet_helpers").glob("*/__init__.py"):
        for name, module in handed_on(path).items():
            body = parse(path.with_name(f"{module}.py")).body
            defined = {getattr(node, "name", None) for node in body} | {
                target.id
                for node in body
                if isinstance(node, ast.Assign)
                for target in node.targets
                if isinstance(target, ast.Name)
            }
            assert name in defined, f"{path.parent.name} hands on {name}, not in {module}"


def test_models_losses_and_metrics_do_not_import_tensorflow(repo):
    for places in ("labels.py", "files.py", "models/*.py", "evaluation/*.py", "training/losses.py"):
        for file in (repo / "unet_helpers").glob(places):
            roots = {module.split(".")[0] for module, _ in imported(file, functions=False)}
            assert "tensorflow" not in roots, file


# ---------------------------------------------------------------- the checks themselves


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("from course.training import fit", "course.training.recipe"),
        ("from course import training", "course.training"),
        ("import course.training.recipe as r", "course.training.recipe"),
        ("def f():\n    from course.training import recipe", "course.training.recipe"),
    ],
)
def test_a_misplaced_import_is_found(tmp_path, line, found):
    package = tmp_path / "course"
    for name, text in {
        "__init__": "",
        "training/__init__": 'hand_on(__name__, recipe="fit")',
        "training/recipe": "from course.low import two\n\ndef fit(): ...",
        "low/__init__": 'hand_on(__name__, two="two")',
        "low/two": "import keras",
        "low/one": line,
    }.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    wrong = upwards(read_imports(package), ["training", "low"])
    assert wrong == [f"course.low.one imports {found}"]


def test_a_circle_is_found():
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_the_package_stays_small(repo):
    """Lines of the package, its exercises apart."""
    files = set((repo / "unet_helpers").rglob("*.py"))
    files -= set((repo / "unet_helpers" / "exercises").rglob("*.py"))
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 6400
