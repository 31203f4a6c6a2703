"""The wheel and the source distribution: complete, and of use in an environment that knows no repository."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("avae_lib", "autograder")
PAGES = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "README.md", "SECURITY.md", "pyproject.toml"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
pytestmark = pytest.mark.xdist_group("package")


def tracked():
    """The repository's files, without those that are deleted and not yet committed."""
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listing.splitlines() if (ROOT / name).is_file()}


def in_packages(names):
    return {name for name in names if name.partition("/")[0] in PACKAGES}


def uv(*arguments):
    program = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert program, "uv is missing: make setup"
    subprocess.run([program, "--quiet", "--offline", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of both distributions, built from a copy of the repository: first the source, from it the wheel."""
    copy = tmp_path_factory.mktemp("repository")
    for name in tracked():
        if name.partition("/")[0] in (*PACKAGES, "tests") or "/" not in name:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    made = tmp_path_factory.mktemp("built")
    uv("build", "--no-build-isolation", "--python", sys.executable, "--out-dir", made, copy)
    return made


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


def closure(requirement):
    """Names of all installed packages that a requirement needs, its own included."""
    todo, seen = [Requirement(requirement)], set()
    while todo:
        wanted = todo.pop()
        for extra in ("", *wanted.extras):
            if (canonicalize_name(wanted.name), extra) not in seen:
                seen.add((canonicalize_name(wanted.name), extra))
                further = map(Requirement, importlib.metadata.requires(wanted.name) or [])
                todo += [item for item in further if item.marker is None or item.marker.evaluate({"extra": extra})]
    return {name for name, _ in seen}


def installed(wheel, folder, extras=""):
    """The Python of a new environment with the wheel and, as links, what the wheel says that it needs: no more."""
    uv("venv", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    uv("pip", "install", "--no-deps", "--python", python, wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in closure(f"avae{extras}") - {"avae"}:
        link_package(importlib.metadata.distribution(name), packages)
    return python


def link_package(distribution, packages):
    outside = {"..", "__pycache__"}  # programs and manuals; compiled modules of several packages
    for top in {file.parts[0] for file in distribution.files} - outside:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(distribution.locate_file(top)).resolve())


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory):
    """The environment of someone who has installed the wheel alone."""
    return installed(wheel, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def with_course(wheel, tmp_path_factory):
    """The environment of someone who has installed the wheel with its extra for courses."""
    return installed(wheel, tmp_path_factory.mktemp("course"), "[course]")


def run(folder, python, *words):
    """What a program of an environment does in an empty folder; nothing leads it to the repository."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")  # of the tests; the last makes starts slow
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    # nbgrader calls alembic by name: the program of this environment does what that of the other one would.
    places = os.pathsep.join([str(python.parent), sysconfig.get_path("scripts"), os.environ["PATH"]])
    command = [python.parent / words[0], *words[1:]]
    return subprocess.run(command, cwd=folder, env=kept | {"PATH": places}, capture_output=True, text=True)


def test_the_wheel_has_every_file_of_both_packages_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == in_packages(tracked()), (
        "a kind of file is missing in pyproject.toml: [tool.setuptools.package-data]"
    )


def test_the_source_distribution_has_the_packages_and_the_pages_about_them(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    written_by_setuptools = {name for name in files if name.startswith("avae.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    assert files - written_by_setuptools == in_packages(tracked()) | PAGES


def test_the_wheel_has_the_version_and_the_programs_that_pyproject_names(wheel):
    assert wheel.name.split("-")[:2] == [PROJECT["name"], PROJECT["version"]]
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [
            archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt")
        ]
    assert dict(re.findall(r"^(\w+) = (.+)$", entry_points, re.MULTILINE)) == PROJECT["scripts"]


def test_both_packages_are_those_of_the_wheel(plain, tmp_path):
    ask = (
        "import avae_lib, autograder, importlib.metadata as metadata; "
        "print(avae_lib.__file__, autograder.__file__, metadata.version('avae'))"
    )
    library, grader, version = run(tmp_path, plain, "python", "-c", ask).stdout.split()
    environment = plain.parents[1]
    assert Path(library).is_relative_to(environment) and Path(grader).is_relative_to(environment)
    assert version == PROJECT["version"]


def test_the_wheel_alone_trains_and_writes_a_report(plain, tmp_path):
    trained = run(tmp_path, plain, "avae", "train", "digits-vae", "--training.steps", "20", "--training.device", "cpu")
    assert trained.returncode == 0, trained.stderr
    assert "20 updates" in trained.stdout and (tmp_path / "runs/digits-vae/report.html").is_file()


COMMANDS_OF_A_COURSE = (
    "release",
    "publish out",
    "roster list.csv",
    "collect 03 work.zip",
    "grade 03",
    "status",
    "answers 03",
    "formgrader",
    "feedback 03",
    "report 03",
    "similarity 03",
    "export",
    "extend ada 03 2 --reason ill",
    "regrade list",
    "explain ada 03 negative_elbo",
    "forget ada",
    "rename ada lovelace",
    "audit",
)


def test_the_wheel_alone_lists_every_command_of_the_grader(plain, tmp_path):
    listed = run(tmp_path, plain, "course", "--help")
    assert listed.returncode == 0 and listed.stderr == ""
    names = re.search(r"\{([\w,\s-]+)\}", listed.stdout)[1].replace("\n", "").replace(" ", "")
    assert set(names.split(",")) == {line.split()[0] for line in COMMANDS_OF_A_COURSE} | {"sandbox-image", "doctor"}


def test_a_command_without_its_packages_says_what_to_install(plain, tmp_path):
    refused = run(tmp_path, plain, "course", "grade", "03")
    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1 and refused.stderr.endswith("[course]'\n")


# All in one process, because each start takes seconds.
ALL_AT_ONCE = """
import contextlib, io, json, runpy, sys
from autograder import cli

def tell(line):
    if not line.startswith("-m "):
        return cli.main(line.split())
    module = line.removeprefix("-m ")
    sys.argv[1:] = []
    sys.modules.pop(module, None)  # runpy warns of modules that are loaded already
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        return end.code

told = {}
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        told[line] = [tell(line), errors.getvalue()]
print(json.dumps(told))
"""


def test_outside_a_course_each_command_says_so_in_one_sentence(with_course, tmp_path):
    lines = [*COMMANDS_OF_A_COURSE, "-m autograder.demo", "-m autograder.authoring.notebooks"]
    told = run(tmp_path, with_course, "python", "-c", ALL_AT_ONCE, json.dumps(lines))
    assert told.returncode == 0, told.stderr
    for status, message in json.loads(told.stdout).values():
        assert status == 1 and len(message.splitlines()) == 1
        assert "no course.toml in" in message and message.endswith("run this inside the course folder\n")
    assert list(tmp_path.iterdir()) == []


ONE_UNIT = """title = "One unit"
branch = "main"
[[units]]
name = "03_vae"
title = "Variational autoencoders"
weight = 100
"""


def test_a_folder_with_one_unit_is_a_course_for_the_wheel(with_course, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(ROOT / "solutions" / "03_vae", course / "solutions" / "03_vae")
    (course / "course.toml").write_text(ONE_UNIT, encoding="utf-8")
    released = run(course, with_course, "course", "release")
    assert released.stdout.split() == ["assignments/03_vae/03_vae.ipynb"], released.stderr
    published = run(course, with_course, "course", "publish", "../students")
    assert published.returncode == 0, published.stderr
    students = tmp_path / "students"
    assert (students / "LICENSE").read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    theirs = tomllib.loads((students / "pyproject.toml").read_text(encoding="utf-8"))
    assert theirs["project"]["dependencies"] == PROJECT["dependencies"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert theirs["build-system"] == ours["build-system"]
    assert theirs["project"]["version"] == PROJECT["version"] and theirs["project"]["license"] == PROJECT["license"]


def test_the_wheel_writes_the_edition_for_students_from_itself(with_course, tmp_path):
    code = (
        "import pathlib, autograder.authoring.student_edition as edition; "
        "edition.write_student_edition(pathlib.Path(), released_units=())"
    )
    written = run(tmp_path, with_course, "python", "-c", code)
    assert written.returncode == 0, written.stderr
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {name for name in tracked() if name.startswith("avae_lib/")}


def test_what_builds_the_packages_is_among_the_tools_of_developers():
    """The tests build without a network, with the setuptools that is installed."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert set(needed) <= set(PROJECT["optional-dependencies"]["dev"])
