"""``my_components.py`` as a module: all of Python works in it, and a file that fails half-way changes nothing."""

import dataclasses
import inspect
import pickle
import subprocess
import sys
import traceback
import typing

import pytest
import torch

from avae_lib import components, my_components_file
from avae_lib.my_components_file import KeptFileError, keep, run_as_module

OPENING = "from __future__ import annotations\nimport dataclasses\nfrom avae_lib.components import implements\n"
SHIFTED = """
@dataclasses.dataclass
class Shift:
    by: float

@implements("log_mean_exp")
def log_mean_exp(x: Undefined, dim: int) -> float:
    return Shift({by}).by
"""
LAZY_CELL = """from __future__ import annotations
@implements("log_mean_exp")
def log_mean_exp(x: Later, dim):
    return 7.0
"""


@pytest.fixture(autouse=True)
def no_module_is_left(monkeypatch):
    monkeypatch.setattr(my_components_file, "_module_names", {})
    for name in [name for name in sys.modules if name.startswith("my_components")]:
        monkeypatch.delitem(sys.modules, name)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("my_components"):
            del sys.modules[name]


def written(folder, text, name="my_components.py"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def state():
    return {entry.name: (entry.current, entry.kept_in) for entry in components.listing()}


class TestAModuleLikeAnyOther:
    @pytest.fixture
    def module(self, tmp_path):
        path = written(tmp_path, OPENING + SHIFTED.format(by=3.0) + "\ndef number(of: Shift) -> float: return of.by\n")
        components.load(path)
        return sys.modules["my_components"]

    def test_dataclasses_compare_pickle_and_know_their_module(self, module):
        shift = module.Shift(2.0)
        assert shift.__class__.__module__ == "my_components" and dataclasses.asdict(shift) == {"by": 2.0}
        assert pickle.loads(pickle.dumps(shift)) == shift
        assert pickle.loads(pickle.dumps(module.number)) is module.number

    def test_type_hints_are_resolved(self, module):
        assert typing.get_type_hints(module.number) == {"of": module.Shift, "return": float}

    def test_its_source_can_be_shown(self, module):
        function = components.implementation("log_mean_exp")
        assert inspect.getmodule(function) is module
        assert inspect.getsource(function).endswith("return Shift(3.0).by\n")

    def test_tracebacks_show_its_lines_wherever_the_program_is_by_then(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        written(tmp_path, "def half(x):\n    return x / 0  # the culprit\n")
        module = run_as_module(my_components_file.Path("my_components.py"))
        monkeypatch.chdir("/")
        with pytest.raises(ZeroDivisionError) as failure:
            module.half(1)
        assert "the culprit" in "".join(traceback.format_exception(failure.value))


class TestLoadingAgain:
    def test_an_edit_within_the_same_second_counts(self, tmp_path):
        path = written(tmp_path, OPENING + SHIFTED.format(by=3.0))
        components.load(path)
        written(tmp_path, OPENING + SHIFTED.format(by=4.0))
        assert components.load(path) == ("log_mean_exp",)
        function = components.implementation("log_mean_exp")
        assert function(None, 0) == 4.0 and "Shift(4.0)" in inspect.getsource(function)

    def test_the_same_file_twice_is_one_module_and_names_its_functions_both_times(self, tmp_path):
        path = written(tmp_path, OPENING + SHIFTED.format(by=3.0))
        assert components.load(path) == components.load(path) == ("log_mean_exp",)
        assert [name for name in sys.modules if name.startswith("my_components")] == ["my_components"]

    def test_two_files_are_two_modules(self, tmp_path):
        first = written(tmp_path / "one", OPENING + SHIFTED.format(by=1.0))
        second = written(tmp_path / "two", "from avae_lib.components import implements\nname = __name__\n")
        components.load(first)
        shift = sys.modules["my_components"].Shift(5.0)
        assert components.load(second) == ()
        assert sys.modules["my_components_2"].name == "my_components_2"
        assert pickle.loads(pickle.dumps(shift)) == shift

    def test_no_module_of_another_name_is_hidden(self, tmp_path):
        json = sys.modules["json"]
        run_as_module(written(tmp_path, "x = 1\n", "json.py"))
        assert sys.modules["json"] is json and sys.modules["my_components"].x == 1


class TestAllOrNothing:
    @pytest.mark.parametrize(
        ("ending", "cause"),
        [
            ("\n1 / 0\n", "ZeroDivisionError: division by zero"),
            ("\nraise SystemExit(3)\n", "SystemExit: 3"),
            ("\ndef broken(:\n", "SyntaxError"),
            ("\n@implements('reparameterize')\ndef f(x): return x\n", "ComponentError: reparameterize must take"),
            ("\nimport json.nothing\n", "ModuleNotFoundError"),
        ],
    )
    def test_a_file_that_fails_half_way_leaves_everything_as_it_was(self, tmp_path, ending, cause):
        components.load(written(tmp_path / "before", OPENING + SHIFTED.format(by=1.0)))
        before, modules = state(), {name: sys.modules[name] for name in sys.modules if name.startswith("my_comp")}
        path = written(tmp_path / "after", OPENING + SHIFTED.format(by=2.0) + ending)
        with pytest.raises(KeptFileError) as failure:
            components.load(path)
        said = str(failure.value)
        assert said.startswith(f"line 13 of {path} gave {cause}") and "\n" not in said
        assert said.endswith("none of its functions are in use: mend that line or delete the file")
        assert state() == before
        assert modules == {name: sys.modules[name] for name in sys.modules if name.startswith("my_comp")}

    def test_the_line_is_that_of_the_file_where_the_error_is_raised_elsewhere(self, tmp_path):
        path = written(tmp_path, "import torch\n\ntorch.zeros(2) @ torch.zeros(3)\n")
        with pytest.raises(KeptFileError, match=r"line 3 of .* gave RuntimeError"):
            components.load(path)

    def test_a_changed_file_that_fails_leaves_the_functions_of_the_earlier_one(self, tmp_path):
        path = written(tmp_path, OPENING + SHIFTED.format(by=1.0))
        components.load(path)
        module = sys.modules["my_components"]
        written(tmp_path, OPENING + SHIFTED.format(by=2.0) + "\noops\n")
        with pytest.raises(KeptFileError, match="NameError"):
            components.load(path)
        assert components.implementation("log_mean_exp")(None, 0) == 1.0
        assert components.find("log_mean_exp").kept_in == path and sys.modules["my_components"] is module

    def test_the_stop_button_is_no_fault_of_the_file(self, tmp_path):
        before = state()
        with pytest.raises(KeyboardInterrupt):
            components.load(written(tmp_path, OPENING + SHIFTED.format(by=1.0) + "\nraise KeyboardInterrupt\n"))
        assert state() == before and "my_components" not in sys.modules

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "my_components.py").mkdir()
        with pytest.raises(KeptFileError, match=r"my_components\.py cannot be read \(Is a directory\)"):
            components.load(tmp_path / "my_components.py")


class TestKeeping:
    def test_annotations_that_are_not_evaluated_stay_so_in_the_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        path = written(tmp_path, "x = 0\n@implements('reparameterize')\ndef f(mean, log_std, noise): return 1\n")
        path.write_text("# component: reparameterize\nfrom avae_lib.components import implements\n" + path.read_text())
        cell = LAZY_CELL
        monkeypatch.setitem(my_components_file.linecache.cache, "<cell>", (len(cell), None, cell.splitlines(True), ""))
        namespace = {"__name__": "__main__", "implements": components.implements}
        exec(compile(cell, "<cell>", "exec"), namespace)
        assert keep("log_mean_exp", namespace["log_mean_exp"])[0] == "log_mean_exp is kept in my_components.py"
        assert path.read_text().count("from __future__") == 1
        components.restore()
        assert set(components.load(path)) == {"reparameterize", "log_mean_exp"}

    def test_a_kept_function_that_a_cell_uses_is_not_imported_from_the_file_into_itself(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        components.load(written(tmp_path, "def halved(x):\n    return x / 2\n"))
        halved = sys.modules["my_components"].halved
        assert my_components_file._import_of("halved", halved) == ""
        assert (
            my_components_file._import_of("zeros", torch.nn.Linear)
            == "from torch.nn.modules.linear import Linear as zeros"
        )


def test_nothing_is_printed_by_imports_marks_and_loading(tmp_path):
    path = written(tmp_path, OPENING + SHIFTED.format(by=1.0))
    program = f"""
from avae_lib import components, notebook_setup, component_health, component_usage
components.listing()
components.load({str(path)!r})
components.load({str(path)!r})
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
