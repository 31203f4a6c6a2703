"""What CONTRIBUTING and SECURITY say about places is so: paths, pictures of the rooms, names of tests."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
GRADER, TESTS = ROOT / "autograder", Path(__file__).parent
TESTED_ROOMS = sorted(path for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__")


def layers_of(package: str) -> list[list[str]]:
    """The floors of a package from top to bottom, as import-linter holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = (contract for contract in contracts if contract.get("containers") == [package])
    assert contract["exhaustive"], "a package without a floor would be free to import anything"
    return [layer.split(" | ") for layer in contract["layers"]]


def pictures() -> list[list[list[str]]]:
    """The pictures in CONTRIBUTING: names on each line below an arrow."""
    drawn = re.findall(r"```text\n((?:[│▼].*\n)+)```", CONTRIBUTING)
    return [[line[1:].split("·") for line in picture.splitlines()] for picture in drawn]


@pytest.mark.parametrize(("package", "position"), [("autograder", 0), ("avae_lib", 1)])
def test_the_pictures_show_the_floors_that_import_linter_holds(package, position):
    drawn = [[name.strip() for name in names] for names in pictures()[position]]
    assert drawn == layers_of(package)


def test_each_place_in_the_table_is_there():
    table = CONTRIBUTING.partition("## Where things live")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    places = [place for row in rows for place in re.findall(r"`([\w./]+(?:/|\.py|\.toml))`", row) if "NN_" not in place]
    missing = [place for place in places if not any((folder / place).exists() for folder in (ROOT, GRADER))]
    assert len(places) > 30 and not missing


def test_each_room_of_the_grader_is_in_the_table():
    table = CONTRIBUTING.partition("## Where things live")[2].partition("\n## ")[0]
    rooms = [path.parent.name for path in GRADER.glob("*/__init__.py")]
    assert [room for room in rooms if f"`autograder/{room}/" not in table] == []


@pytest.mark.parametrize("folder", TESTED_ROOMS, ids=lambda folder: folder.name)
def test_tests_of_a_room_are_named_for_a_file_in_it_or_for_the_room(folder):
    room = GRADER / folder.name
    names = {room.name, *(path.stem for path in room.iterdir() if path.stem != "__init__")}
    stray = [
        path.name
        for path in folder.rglob("test_*.py")
        if not any(path.stem == f"test_{name}" or path.stem.startswith(f"test_{name}_") for name in names)
    ]
    assert (room / "__init__.py").exists() and stray == []


def test_each_test_that_security_names_is_there():
    text = (GRADER / "SECURITY.md").read_text(encoding="utf-8")
    there = {path.stem for path in TESTS.rglob("test_*.py")}
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 25 and named <= there


def test_files_are_drafted_and_replaced_by_one_function():
    sources = {path.relative_to(GRADER): path.read_text(encoding="utf-8") for path in GRADER.rglob("*.py")}
    assert [str(path) for path, source in sources.items() if "os.replace" in source or ".replace(path)" in source] == []


def test_no_room_names_a_higher_one_in_a_string():
    """nbgrader and ``importlib`` take modules by name, which import-linter does not see."""
    layers = layers_of("autograder")
    floor = {room: position for position, rooms in enumerate(layers) for room in rooms}
    upward = []
    for path in GRADER.rglob("*.py"):
        room = path.relative_to(GRADER).parts[0].removesuffix(".py")
        named = {
            node.value.split(".")[1]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and re.fullmatch(r"autograder(\.\w+)+", str(node.value))
        }
        upward += [
            (path.name, other) for other in named & floor.keys() if floor[other] <= floor[room] and other != room
        ]
    assert upward == []
