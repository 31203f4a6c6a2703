"""The repository itself: its two descriptions of the environment, its layout, its manners."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
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
    ]


def test_unit_weights_make_up_the_whole_grade():
    assert sum(unit["weight"] for unit in tomllib.loads((ROOT / "course.toml").read_text())["units"]) == 100


@pytest.mark.parametrize("command", ["setup", "demo", "test", "test-all", "lint", "notebooks", "bench", "clean"])
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
        if path.suffix in {".py", ".md", ".toml", ".yml", ".html", ".json", ".ipynb", ".sh", ""} and path != Path(
            __file__
        ):
            found += [f"{path.relative_to(ROOT)}: {hit[0]}" for hit in forbidden.finditer(path.read_text("utf-8"))]
    assert not found
