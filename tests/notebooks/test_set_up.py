"""The first cell of a notebook: it finds the library or says what to do, and brings a student's functions along."""

import importlib.util
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from autograder.authoring.notebooks import build, sources
from autograder.course.course import Course
from avae_lib import my_components_file, notebook_setup

ROOT = Path(__file__).parents[2]
REPOSITORY = "ada/students"
LECTURE, SOLUTION = Path("lectures/03_vae.py"), Path("solutions/03_vae/03_vae.py")
SOURCE = "# %% [markdown]\n# # A unit\n\n# %% [markdown]\n# {{how to keep your work}}\n\n# %%\n# {{set-up}}\n"
FUNCTION = """\
from avae_lib.components import implements


@implements("log_mean_exp")
def log_mean_exp(x, dim):
    return x.exp().mean(dim).log()
"""


@pytest.fixture(params=["lecture", "assignment"])
def built(request, tmp_path):
    """A function that builds the text and the set-up cell of a notebook, for a repository or none."""

    def notebook(repository=None):
        facts = (ROOT / "course.toml").read_text()
        entry = f'repository = "{repository}"\n' if repository else ""
        root = tmp_path / "built"
        source = root / (LECTURE if request.param == "lecture" else SOLUTION)
        source.parent.mkdir(parents=True, exist_ok=True)
        (root / "course.toml").write_text(entry + facts)
        source.write_text(SOURCE)
        _, text, code = build(Course.load(root), source).cells
        return text.source, code.source

    return notebook


def test_every_notebook_of_the_course_begins_with_the_templates(course):
    assert course.repository is None
    for source in sources(course):
        text = source.read_text()
        assert "# # {{how" not in text and text.count("# {{how to keep your work}}\n") == 1, source
        assert text.count("\n# {{set-up}}\n") == 1, source


OFFLINE = """
import socket, subprocess, sys
def refuse(*_, **__): raise AssertionError("the set-up cell must not need this here")
socket.socket.connect = subprocess.run = refuse
code = compile(sys.stdin.read(), "setup", "exec")
exec(code)
exec(code)
assert not {"matplotlib", "torchvision", "sklearn"} & set(sys.modules), "the set-up cell must stay quick"
"""


@pytest.mark.parametrize("repository", [REPOSITORY, None])
@pytest.mark.parametrize("place", ["inside the course", "elsewhere"])
def test_set_up_needs_no_network_and_says_in_one_line_what_it_did_each_time(
    place, repository, built, published, tmp_path
):
    folder = published / "assignments" if place == "inside the course" else tmp_path / "bare"
    folder.mkdir(exist_ok=True)
    (published / "my_components.py").write_text("oops(")
    environment = os.environ | ({} if place == "inside the course" else {"PYTHONPATH": str(published)})
    finished = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        input=built(repository)[1],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    assert len(lines) == 2 and all(line.startswith("Ready: PyTorch") for line in lines)
    assert ("none of its functions" in lines[0]) == (place == "inside the course"), (
        "a broken file must not stop a student"
    )
    assert not list(folder.glob("my_components.py"))


@pytest.fixture
def without_library(monkeypatch, tmp_path):
    """Run set-up as if avae_lib were not installed; gives the commands it starts and their exit status."""
    commands, status = [], [0]

    def start(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, status[0])

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(subprocess, "run", start)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return commands, status


def test_set_up_installs_a_missing_library_and_keeps_torch_and_numpy(built, without_library):
    commands, _ = without_library
    exec(built(REPOSITORY)[1], {})
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert f"https://github.com/{REPOSITORY}/archive/main.zip" in command
    for name in ("torch", "torchvision", "numpy"):
        assert f"{name}=={metadata.version(name)}" in command


def test_set_up_that_cannot_reach_the_repository_says_what_to_do(built, without_library):
    _, status = without_library
    status[0] = 1
    with pytest.raises(
        ImportError, match=rf"could not be installed from https://github\.com/{REPOSITORY}.*copy of the"
    ):
        exec(built(REPOSITORY)[1], {})


def test_set_up_of_a_course_without_a_repository_installs_nothing_and_says_what_is_missing(built, without_library):
    commands, _ = without_library
    text, code = built()
    with pytest.raises(ImportError, match=r"does not say yet where to install it from.*copy of the course folder"):
        exec(code, {})
    assert commands == [] and "installs" not in text


def test_set_up_finds_the_library_in_a_mounted_drive(built, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    drive = tmp_path / "drive" / "avae"
    (drive / "avae_lib").mkdir(parents=True)
    code = built()[1]
    assert "/content/drive/MyDrive/avae" in code
    exec(code.replace("/content/drive/MyDrive/avae", str(drive)), {})
    assert str(drive) in sys.path


def test_text_above_set_up_says_how_work_is_kept(built):
    text = built(REPOSITORY)[0]
    assert "File → Save a copy in Drive" in text and "`avae/my_components.py`" in text and "upload it" in text
    assert len([line for line in text.splitlines() if line[:2] in ("1.", "2.", "3.")]) == 3


@pytest.fixture
def colab(tmp_path, monkeypatch):
    """The folder that Colab opens notebooks in, with a Drive that is mounted; gives both."""
    here, drive = tmp_path / "content", tmp_path / "content" / "drive" / "MyDrive"
    drive.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setattr(my_components_file, "DRIVE", drive)
    return here, drive


def test_functions_are_kept_in_the_mounted_drive_and_found_there(colab):
    _, drive = colab
    assert "no functions of yours" in notebook_setup.ready()
    my_components_file._write_section(my_components_file.kept_file(), "log_mean_exp", FUNCTION)
    assert (
        my_components_file.kept_file() == drive / "avae" / "my_components.py"
        and my_components_file.kept_file().exists()
    )
    assert f"your own log_mean_exp from {drive}" in notebook_setup.ready()


def test_functions_lie_in_the_current_folder_where_no_drive_is_mounted(colab, monkeypatch):
    _, drive = colab
    drive.rmdir()
    assert my_components_file.kept_file() == Path("my_components.py")
    my_components_file._write_section(my_components_file.kept_file(), "log_mean_exp", FUNCTION)
    assert "your own log_mean_exp from my_components.py" in notebook_setup.ready()


def test_an_uploaded_file_moves_into_a_drive_that_holds_none_and_replaces_none(colab):
    here, drive = colab
    my_components_file._write_section(here / "my_components.py", "log_mean_exp", FUNCTION)
    assert f"your own log_mean_exp from {drive}" in notebook_setup.ready()
    kept = (drive / "avae" / "my_components.py").read_text()
    (here / "my_components.py").write_text("oops(")
    assert "your own log_mean_exp" in notebook_setup.ready()
    assert (drive / "avae" / "my_components.py").read_text() == kept


def test_an_uploaded_file_is_used_where_the_drive_cannot_be_written(colab):
    here, drive = colab
    my_components_file._write_section(here / "my_components.py", "log_mean_exp", FUNCTION)
    (drive / "avae").write_text("a file in the place of the folder")
    assert "your own log_mean_exp from my_components.py" in notebook_setup.ready()


def test_on_colab_a_student_without_functions_is_told_where_they_may_be(colab, monkeypatch):
    assert notebook_setup.ready().endswith("no functions of yours yet")
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert notebook_setup.ready().endswith("mount your Drive or upload my_components.py, and run this cell again")


def test_in_a_course_folder_the_drive_is_left_alone(colab, monkeypatch):
    here, _ = colab
    (here / "course" / "avae_lib").mkdir(parents=True)
    (here / "course" / "lectures").mkdir()
    monkeypatch.chdir(here / "course" / "lectures")
    assert my_components_file.kept_file() == Path("../my_components.py")


def test_the_larger_data_set_is_chosen_on_colab_alone(monkeypatch):
    assert notebook_setup.choose("digits", colab="mnist") == "digits"
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert notebook_setup.choose("digits", colab="mnist") == "mnist"


class FakeDrive:
    """Stands for ``google.colab.drive``: mounting makes the folder, or fails as Colab does when it is refused."""

    def __init__(self, folder, refusal=None):
        self.folder, self.refusal, self.mounted_at = folder, refusal, []

    def mount(self, place):
        self.mounted_at.append(place)
        if self.refusal:
            raise self.refusal
        self.folder.mkdir()


@pytest.fixture
def drive(colab, monkeypatch):
    """A Drive on Colab that is not mounted yet."""
    _, folder = colab
    folder.rmdir()
    fake = FakeDrive(folder)
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(drive=fake))
    return fake


def test_runs_are_kept_on_the_drive_if_the_student_says_so(drive, capsys):
    expected = drive.folder / "avae" / "runs"
    assert notebook_setup.keep_runs_on_drive(True) == notebook_setup.keep_runs_on_drive(True) == expected
    assert drive.mounted_at == [str(drive.folder.parent)], "a Drive is mounted once"
    first, second = capsys.readouterr().out.splitlines()
    assert first == second and str(expected) in first and "after a disconnect" in first


def test_without_the_students_word_the_drive_is_left_alone(drive, capsys):
    assert notebook_setup.keep_runs_on_drive(False) == Path("runs")
    assert drive.mounted_at == []
    assert "keep_runs_on_drive(True)" in capsys.readouterr().out


def test_a_drive_that_cannot_be_mounted_stops_nothing(drive, capsys):
    drive.refusal = ValueError("mount failed:\n  permission denied")
    assert notebook_setup.keep_runs_on_drive(True) == Path("runs")
    (line,) = capsys.readouterr().out.splitlines()
    assert "ValueError: mount failed: permission denied" in line


def test_outside_colab_runs_lie_in_the_course_folder_or_else_in_the_current_one(colab, monkeypatch):
    here, drive = colab
    drive.rmdir()
    assert notebook_setup.keep_runs_on_drive(True) == Path("runs")
    for folder in ("avae_lib", "lectures"):
        (here / "course" / folder).mkdir(parents=True)
    monkeypatch.chdir(here / "course" / "lectures")
    assert notebook_setup.keep_runs_on_drive(True).resolve() == here / "course" / "runs"
