"""Work in the wrong place is found; what is graded, hidden, or no work is not."""

import os

import pytest

from autograder.intake.misplaced import misplaced_work

UNITS = ("03_vae", "04_richer_models")


@pytest.fixture
def submitted(tmp_path):
    (tmp_path / "ada" / "03_vae").mkdir(parents=True)
    (tmp_path / "ada" / "03_vae" / "03_vae.ipynb").touch()
    return tmp_path


def put(submitted, *paths):
    for path in paths:
        (submitted / path).parent.mkdir(parents=True, exist_ok=True)
        (submitted / path).touch()


def test_what_lies_where_it_should_is_not_listed(submitted):
    put(submitted, "ada/04_richer_models/04_richer_models.ipynb", "ada/03_vae/backup/old.ipynb", "ada/notes.txt")
    assert misplaced_work(submitted, UNITS) == ()


@pytest.mark.parametrize(
    "path",
    [
        "u055/Unit 3/03_vae.ipynb",
        "u055/03_vae.ipynb",
        "u055/03_VAE/03_vae.ipynb",
        "u055/homework/03_vae/03_vae.ipynb",
        "03_vae/u055/03_vae.ipynb",
        "u055.zip",
        "u055/03_vae.zip",
        "03_vae.ipynb",
        "u055/work.ipynb.txt",
        "u055/Unit 3/work.tar.gz",
    ],
)
def test_work_in_another_place_is_listed(submitted, path):
    put(submitted, path)
    assert misplaced_work(submitted, UNITS) == (path,)


def test_hidden_files_and_what_archives_leave_behind_are_no_work(submitted):
    put(submitted, ".git/x.ipynb", "ada/.ipynb_checkpoints/x.ipynb", "__MACOSX/ada/x.ipynb", "ada/x/__MACOSX/._y.ipynb")
    assert misplaced_work(submitted, UNITS) == ()


def test_no_link_is_followed_and_no_pipe_is_work(submitted):
    (submitted / "eve").symlink_to("/")
    (submitted / "ada" / "up").symlink_to(submitted)
    os.mkfifo(submitted / "pipe.ipynb")
    assert misplaced_work(submitted, UNITS) == ()


def test_a_folder_with_very_many_files_is_named_and_not_searched_to_its_end(submitted):
    put(submitted, *(f"eve/mess/{number}" for number in range(2_500)))
    assert misplaced_work(submitted, UNITS) == ("eve/… (too many files to look at)",)


def test_a_folder_that_is_very_deep_is_named_where_the_search_ends(submitted):
    put(submitted, "eve/" + "a/" * 100 + "03_vae.ipynb")
    assert misplaced_work(submitted, UNITS) == ("eve/a/a/a/a/a/a/…",)


def test_a_folder_that_cannot_be_read_ends_nothing(submitted, monkeypatch):
    put(submitted, "u055/03_vae.ipynb", "eve/x/03_vae.ipynb")
    reading = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("eve"):
            raise PermissionError
        return reading(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert misplaced_work(submitted, UNITS) == ("u055/03_vae.ipynb",)
