"""The repository itself: its two descriptions of the environment, its layout, its manners."""

import itertools
import json
import platform
import re
import runpy
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
THIS_PYTHON = platform.python_version()
CONDA_NAMES = {"torch": "pytorch", "playwright": "playwright-python"}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked_files():
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in listing.splitlines() if (ROOT / line).is_file()]


def test_conda_environment_is_the_twin_of_pyproject():
    extras = project()["optional-dependencies"]
    wanted = [f"python{project()['requires-python']}", *project()["dependencies"], *extras["course"], *extras["dev"]]
    renamed = {re.sub(r"^[\w-]+", lambda name: CONDA_NAMES.get(name[0], name[0]), line) for line in wanted}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert {line for line in listed if isinstance(line, str)} - {"pip"} == renamed


def constraints(python=THIS_PYTHON):
    """Each package's requirement in constraints.txt that holds for a version of Python on this system."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = map(Requirement, (line for line in lines if not line.startswith("#")))
    facts = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    return {canonicalize_name(pin.name): pin for pin in pins if pin.marker is None or pin.marker.evaluate(facts)}


def test_constraints_fix_a_version_of_every_dependency_that_is_new_enough():
    pins, extras = constraints(), project()["optional-dependencies"]
    for line in [*project()["dependencies"], *extras["course"], *extras["dev"]]:
        wanted = Requirement(line)
        (pin,) = pins[canonicalize_name(wanted.name)].specifier
        assert pin.operator == "==" and wanted.specifier.contains(pin.version), (
            f"{wanted}: {pin}; see `make constraints`"
        )


def test_matrix_was_run_with_the_constraints_and_passed():
    record = json.loads((ROOT / "tests" / "matrix.json").read_text(encoding="utf-8"))
    assert not [name for name, result in record.items() if result["failed"]]
    for result in (result for name, result in record.items() if name.startswith("tested")):
        pins = constraints(result["python"])
        for name in ("torch", "numpy"):
            assert pins[name].specifier.contains(result[name].partition("+")[0]), "run `make test-matrix` again"


def test_quick_tests_are_there():
    dry = subprocess.run(["make", "--dry-run", "quick"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    chosen = re.findall(r"(tests/\S+\.py)(?:::(\w+))?", dry)
    assert len(chosen) > 20
    for path, test in chosen:
        assert test in (ROOT / path).read_text(encoding="utf-8")


def matrix():
    return runpy.run_path(str(ROOT / "tests" / "matrix.py"))


def test_matrix_shows_every_pair_of_versions_and_settings():
    runs = [(name.partition("-")[0], *vars(settings).values()) for name, settings in matrix()["RUNS"].items()]
    assert {run[0] for run in runs} == matrix()["VERSIONS"].keys()
    for one, other in itertools.combinations(zip(*runs, strict=True), 2):
        assert len(set(zip(one, other, strict=True))) == len(set(one)) * len(set(other))


def test_the_page_of_tested_versions_shows_the_record():
    record = json.loads((ROOT / "tests" / "matrix.json").read_text(encoding="utf-8"))
    shown = (ROOT / "docs" / "tested_with.md").read_text(encoding="utf-8")
    assert shown == matrix()["page"](record), "run python tests/matrix.py --page"
    assert shown.count("\n| ") == 1 + len(record)


def test_the_page_says_whether_all_tests_ran():
    chosen = matrix()["chosen"]
    assert chosen("all") == chosen("-m not slow") == "all"
    assert chosen("-m not slow tests/test_docs.py tests/avae_lib") == "2 files"


def test_torch_may_be_as_old_as_colab_has_it_and_as_new_as_it_comes():
    requirements = dict(re.match(r"([\w-]+)(.*)", line).groups() for line in project()["dependencies"])
    for name, newest_floor in {"torch": (2, 11), "torchvision": (0, 26)}.items():
        floor = re.fullmatch(r">=(\d+)\.(\d+)", requirements[name])
        assert floor, f"{name} must have a floor and no upper pin, has {requirements[name]!r}"
        assert tuple(map(int, floor.groups())) <= newest_floor


def test_units_are_listed_in_teaching_order():
    units = [unit["name"] for unit in tomllib.loads((ROOT / "course.toml").read_text())["units"]]
    assert units == [
        "00_start_here",
        "01_kl_divergence",
        "02_mean_field",
        "03_vae",
        "04_richer_models",
        "05_hierarchical_vae",
        "06_attentive_vae",
        "07_evaluation",
        "08_capstone",
    ]


def test_unit_weights_make_up_the_whole_grade():
    assert sum(unit["weight"] for unit in tomllib.loads((ROOT / "course.toml").read_text())["units"]) == 100


@pytest.mark.parametrize(
    "command",
    [
        "setup",
        "constraints",
        "demo",
        "quick",
        "test",
        "test-all",
        "test-matrix",
        "lint",
        "notebooks",
        "bench",
        "docs",
        "site",
        "clean",
    ],
)
def test_make_knows_the_command(command):
    dry = subprocess.run(["make", "--dry-run", command], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr


def test_no_file_has_a_name_that_says_nothing():
    hollow = {"utils.py", "helpers.py", "common.py", "base.py", "misc.py"}
    assert not [path for path in tracked_files() if path.name in hollow]


def test_text_files_name_no_machine_and_no_registry_host():
    forbidden = re.compile(
        r"/(?:home/(?!student\b)|root/|work/)\w|\b(?:pypi|pythonhosted|npmjs|debian)\.(?:org|com|net)"
    )
    found = []
    for path in tracked_files():
        if path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".yml",
            ".html",
            ".json",
            ".ipynb",
            ".sh",
            ".txt",
            "",
        } and path != Path(__file__):
            found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in forbidden.finditer(path.read_text("utf-8"))]
    assert not found
