"""nbgrader's commands find the student who is called so, and whom a pattern means."""

import glob
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbgrader.utils import find_all_files

from autograder.gradebook.nbgrader_names import names_meant, paths_meant, take_names_literally

NAMES = ["kim [resit]", "kim r", "kim (resit)", "a*", "ada", "what?", "whats", "[ae]*", "eve", "*", ".hidden"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("kim [resit]", ["kim [resit]"]),
        ("kim*", ["kim (resit)", "kim [resit]", "kim r"]),
        ("a*", ["a*"]),
        ("what?", ["what?"]),
        ("[ae]*", ["[ae]*"]),
        ("[e]*", ["eve"]),
        ("nobody", []),
        ("*", [name for name in sorted(NAMES) if name != ".hidden"]),
        (".*", [".hidden"]),
    ],
)
def test_a_name_means_itself_and_else_it_is_a_pattern(asked, meant):
    assert names_meant(asked, NAMES) == meant


def test_a_name_is_found_in_either_unicode_form():
    apart = unicodedata.normalize("NFD", "Zoë")
    assert names_meant("Zoë", [apart]) == [apart]


def test_folders_on_the_way_are_names_too(tmp_path):
    for student in ("kim [resit]", "kim r", "ada"):
        folder = tmp_path / "2026 [spring]" / student / "03_vae"
        folder.mkdir(parents=True)
        (folder / "03_vae.ipynb").touch()
    root = str(tmp_path / "2026 [spring]")
    assert paths_meant(f"{root}/kim [resit]/03_vae/*.ipynb") == [f"{root}/kim [resit]/03_vae/03_vae.ipynb"]
    assert len(paths_meant(f"{root}/*/03_vae")) == 3
    assert paths_meant(f"{root}/./*/03_vae.ipynb") == []


@given(st.lists(st.sampled_from(["*", "a*", "?", "b", ".", "..", "ab*", "**"]), min_size=1, max_size=3))
def test_where_no_name_looks_like_a_pattern_it_is_what_glob_finds(parts):
    folder = Path(__file__).parents[1]
    pattern = "/".join([str(folder), *parts])
    assert sorted(paths_meant(pattern)) == sorted(glob.glob(pattern))


def test_in_no_folder_a_file_is_copied_that_nbgrader_should_ignore(tmp_path):
    take_names_literally()
    for student in ("kim [resit]", "what?", "a*", "kim"):
        (tmp_path / student / "03_vae").mkdir(parents=True)
        for name in ("03_vae.ipynb", "x.pyc", ".secret", "*"):
            (tmp_path / student / "03_vae" / name).touch()
        assert find_all_files(str(tmp_path / student / "03_vae"), ["*"]) == []
        left = {Path(file).name for file in find_all_files(str(tmp_path / student / "03_vae"), ["*.pyc", "*.ipynb"])}
        assert left == {".secret", "*"}
