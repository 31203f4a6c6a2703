"""The first cell of a notebook: whose functions it brings along, and from where."""

import re

import torch

from avae_lib import components
from avae_lib.my_components_file import kept_file
from avae_lib.notebook_setup import machine, ready

MINE = """
from avae_lib.components import implements

@implements("log_mean_exp")
def log_mean_exp(x, dim):
    return x.sum(dim) * 0 + 42
"""


def in_a_course_folder(tmp_path, monkeypatch):
    (tmp_path / "avae_lib").mkdir()
    unit = tmp_path / "assignments" / "03_vae"
    unit.mkdir(parents=True)
    monkeypatch.chdir(unit)


def test_all_units_of_a_course_folder_share_one_file_of_components(tmp_path, monkeypatch):
    in_a_course_folder(tmp_path, monkeypatch)
    assert kept_file().resolve() == tmp_path / "my_components.py"


def test_elsewhere_components_are_kept_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert kept_file().resolve() == tmp_path / "my_components.py"


def test_functions_of_earlier_units_come_along_and_are_named(tmp_path, monkeypatch):
    in_a_course_folder(tmp_path, monkeypatch)
    (tmp_path / "my_components.py").write_text(MINE)
    said = ready()
    assert "your own log_mean_exp" in said and "\n" not in said
    assert components.implementation("log_mean_exp")(torch.zeros(2, 3), 0).tolist() == [42, 42, 42]


def test_without_kept_functions_the_library_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no functions of yours yet" in ready()
    assert not any(entry.is_replaced for entry in components.listing())


def test_a_file_that_cannot_be_run_is_named_and_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_components.py").write_text("raise ValueError('two\\nlines')")
    assert "line 1 of my_components.py gave ValueError: two lines, so none of its functions are in use" in ready()


def test_machine_is_described_in_one_line_with_its_speed():
    line = machine()
    assert "\n" not in line and f"numpy {__import__('numpy').__version__}" in line
    assert int(re.search(r"(\d+) billion", line)[1]) >= 1
