"""``check``: what a student sees, what is kept for the next unit, and what it costs."""

import functools
import json
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
import torch

from avae_lib import components
from avae_lib.checking import CheckFailed, check
from avae_lib.checking.check import PUBLIC, origin, public_trials
from avae_lib.components import ComponentError, implements

NAMES = [entry.name for entry in components.listing()]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def naive(x, dim):
    return torch.exp(x).mean(dim=dim).log()


def stub(x, dim):
    raise NotImplementedError


def in_fresh_python(program, folder):
    """What a program prints in a Python of its own, run from a file as cells are: compiled under their own names."""
    runner = f"""
import linecache
cells = {[textwrap.dedent(cell) for cell in program]!r}
namespace = {{"__name__": "__main__"}}
for number, cell in enumerate(cells):
    linecache.cache[f"<cell {{number}}>"] = (len(cell), None, cell.splitlines(True), f"<cell {{number}}>")
    exec(compile(cell, f"<cell {{number}}>", "exec"), namespace)
"""
    ran = subprocess.run([sys.executable, "-c", runner], cwd=folder, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.usefixtures("without_annotation_checks")  # cases hand over toys that stand for records and layers
@pytest.mark.parametrize("name", NAMES)
def test_every_component_has_public_cases_that_the_reference_passes(name, capsys):
    reference = components.find(name).reference
    components.find(name).use(functools.wraps(reference)(lambda *args, **kwargs: reference(*args, **kwargs)))
    check(name)
    points = sum(trial.points for trial in public_trials(name))
    assert f"{name}: {points} of {points} points" in capsys.readouterr().out


def test_points_and_diagnosis_of_each_case_are_printed(capsys):
    implements("log_mean_exp")(naive)
    with pytest.raises(CheckFailed, match="start with “large logarithms”"):
        check("log_mean_exp")
    shown = capsys.readouterr().out
    assert "3 of 5 points" in shown
    assert "failed  0/1  large logarithms" in shown
    assert "exp overflows" in shown
    assert "passed  1/1  values" in shown


def test_stub_is_told_that_it_is_not_written_yet(capsys):
    implements("log_mean_exp")(stub)
    with pytest.raises(CheckFailed, match="log_mean_exp is not written yet"):
        check("log_mean_exp")
    assert "0 of 5 points" in capsys.readouterr().out


def test_failure_is_an_assertion_and_one_line_in_a_notebook():
    implements("log_mean_exp")(naive)
    with pytest.raises(AssertionError) as failure:
        check("log_mean_exp")
    assert failure.value._render_traceback_() == [f"CheckFailed: {failure.value}"]


def test_unknown_name_is_told_with_the_names_there_are():
    with pytest.raises(ComponentError, match="log_mean_exp"):
        check("log_mean_exq")


def test_component_without_public_cases_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(sys.modules["avae_lib.checking.check"], "PUBLIC", tmp_path)
    implements("log_mean_exp")(naive)
    with pytest.raises(LookupError, match="no public cases are stored for 'log_mean_exp'"):
        check("log_mean_exp")


def test_stop_button_stops_the_whole_check():
    calls = []

    def interrupted(x, dim):
        calls.append(None)
        raise KeyboardInterrupt

    implements("log_mean_exp")(interrupted)
    with pytest.raises(KeyboardInterrupt):
        check("log_mean_exp")
    assert len(calls) == 1


def test_nothing_is_kept_when_a_case_fails(own_folder):
    implements("log_mean_exp")(naive)
    with pytest.raises(CheckFailed):
        check("log_mean_exp")
    assert not (own_folder / "my_components.py").exists()


KEPT = """
from avae_lib.components import implements
import torch
@implements("log_mean_exp")
def log_mean_exp(x, dim):
    return torch.logsumexp(x, dim=dim) - torch.tensor(x.shape[dim]).to(x.dtype).log()
"""


def test_version_kept_earlier_gets_no_points(own_folder, capsys):
    (own_folder / "my_components.py").write_text(KEPT)
    components.load()
    with pytest.raises(CheckFailed, match=r"kept in my_components\.py: run the cell of your function, check again"):
        check("log_mean_exp")
    assert capsys.readouterr().out == ""


def test_body_of_the_library_gets_no_points():
    with pytest.raises(CheckFailed, match="log_mean_exp is not written yet, or its cell has not run"):
        check("log_mean_exp")


def in_a_notebook(cells):
    """The names of a notebook after its cells have run; checks see its functions as a notebook's own."""
    namespace = {"__name__": "__main__", "check": check, "implements": implements, "torch": torch}
    for cell in cells:
        exec(textwrap.dedent(cell), namespace)
    return namespace


FORGOTTEN = """
    def log_mean_exp(x, dim):
        return x.sum(dim)
    """


@pytest.mark.parametrize("kept", [False, True])
def test_forgotten_decorator_is_told(own_folder, kept):
    if kept:
        (own_folder / "my_components.py").write_text(KEPT)
        components.load()
    with pytest.raises(CheckFailed, match=r"log_mean_exp is not in use: put @implements\(\"log_mean_exp\"\)"):
        in_a_notebook([FORGOTTEN, 'check("log_mean_exp")'])


def test_decorator_lost_when_the_cell_was_edited_is_told():
    with pytest.raises(CheckFailed, match="is not in use"):
        in_a_notebook(['@implements("log_mean_exp")' + textwrap.dedent(FORGOTTEN), FORGOTTEN, 'check("log_mean_exp")'])


def test_function_of_another_name_may_stand_beside_a_draft(capsys):
    chosen = """
        @implements("log_mean_exp")
        def better(x, dim):
            return torch.logsumexp(x, dim=dim) - torch.tensor(x.shape[dim]).to(x.dtype).log()
        """
    in_a_notebook([FORGOTTEN, chosen, 'check("log_mean_exp")'])
    assert "5 of 5 points (your function in this notebook)" in capsys.readouterr().out


def test_library_function_imported_under_its_name_is_no_forgotten_one():
    with pytest.raises(CheckFailed, match="not written yet"):
        in_a_notebook(["from avae_lib.logarithms import log_mean_exp", 'check("log_mean_exp")'])


def test_cell_number_is_told_where_jupyter_knows_it(monkeypatch, capsys):
    class Shell:
        class compile:
            @staticmethod
            def format_code_name(name):
                return ("Cell", "In[4]") if name == "<string>" else None

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=Shell))
    in_a_notebook(['@implements("log_mean_exp")' + textwrap.dedent(FORGOTTEN)])
    assert origin(components.implementation("log_mean_exp")) == "your function in cell In[4]"


SETUP = """
    import torch
    from avae_lib.components import implements
    from avae_lib.checking import check
    """
SOLUTION = """
    import math as m
    @implements("log_mean_exp")
    def log_mean_exp(x, dim):
        return shifted(x, dim) - m.log(x.shape[dim])

    def shifted(x, dim):
        return torch.logsumexp(x, dim=dim)

    print("this cell has run")
    """


def test_whole_cell_of_a_passed_function_is_kept_and_works_in_the_next_unit(own_folder):
    shown = in_fresh_python([SETUP, SOLUTION, 'check("log_mean_exp")'], own_folder)
    assert "log_mean_exp is kept in my_components.py" in shown
    assert "careful" not in shown
    later = in_fresh_python(
        [
            """
            from avae_lib import components
            names = components.load()
            assert names == ("log_mean_exp",), names
            import torch
            from avae_lib.objectives import importance_weighted_bound
            print(importance_weighted_bound(torch.ones(3, 2)).tolist())
            """
        ],
        own_folder,
    )
    assert later.split("\n")[-2] == "[1.0, 1.0]"
    assert "this cell has run" not in later


def test_keeping_again_replaces_that_component_and_leaves_the_others(own_folder):
    other = """
        @implements("reparameterize")
        def reparameterize(mean, log_std, noise):
            return mean + log_std.exp() * noise
        """
    again = SOLUTION.replace("import math as m", "import math as m; second_version = True")
    program = [SETUP, SOLUTION, 'check("log_mean_exp")', other, 'check("reparameterize")']
    in_fresh_python([*program, again, 'check("log_mean_exp")'], own_folder)
    kept = (own_folder / "my_components.py").read_text()
    assert kept.count("def log_mean_exp") == kept.count("def reparameterize") == 1
    assert "second_version" in kept


def test_names_from_other_cells_are_warned_of(own_folder):
    elsewhere = """
        import math
        def halved(x):
            return x / 2
        """
    borrowing = """
        @implements("log_mean_exp")
        def log_mean_exp(x, dim):
            return halved(2 * torch.logsumexp(x, dim=dim)) - math.log(x.shape[dim])
        """
    shown = in_fresh_python([SETUP, elsewhere, borrowing, 'check("log_mean_exp")'], own_folder)
    assert "careful: it uses halved from another cell, but only this cell is kept for later units" in shown


def test_name_that_is_kept_too_is_not_warned_of(own_folder):
    sum_of_logs = """
        @implements("negative_elbo")
        def negative_elbo(log_likelihood, kl, beta=1.0):
            return (beta * kl.sum(1) - log_likelihood).mean()
        """
    borrowing = """
        import math
        @implements("importance_weighted_bound")
        def importance_weighted_bound(log_weights):
            sums = [-negative_elbo(w.logsumexp(0).reshape(1), w.new_zeros(1, 1)) for w in log_weights.T]
            return torch.stack(sums) - math.log(len(log_weights))
        """
    checked_first = [SETUP, sum_of_logs, 'check("negative_elbo")', borrowing, 'check("importance_weighted_bound")']
    assert "careful" not in in_fresh_python(checked_first, own_folder)
    (own_folder / "my_components.py").unlink()
    shown = in_fresh_python([SETUP, sum_of_logs, borrowing, 'check("importance_weighted_bound")'], own_folder)
    assert "careful: it uses negative_elbo from another cell" in shown


def test_function_from_a_file_is_kept_alone(own_folder, capsys):
    @implements("log_mean_exp")
    def log_mean_exp(x, dim):
        return torch.logsumexp(x, dim=dim) - torch.tensor(float(x.shape[dim])).log()

    check("log_mean_exp")
    kept = (own_folder / "my_components.py").read_text()
    assert "import torch\n" in kept
    assert "pytest" not in kept


def test_folder_that_cannot_be_written_costs_no_points(monkeypatch, capsys, own_folder):
    (own_folder / f".my_components.py.{os.getpid()}.partial").mkdir()

    @implements("log_mean_exp")
    def log_mean_exp(x, dim):
        return torch.logsumexp(x, dim=dim) - torch.tensor(float(x.shape[dim])).log()

    check("log_mean_exp")
    assert "5 of 5 points" in (shown := capsys.readouterr().out)
    assert "is not kept" in shown


def test_import_and_checks_are_cheap_beside_importing_torch(own_folder):
    times = in_fresh_python(
        [
            """
            import functools, json, sys, time
            times = {}
            def timed(name, action):
                start = time.process_time()
                action()
                times[name] = time.process_time() - start
            def imports():
                import avae_lib.components, avae_lib.checking
            timed("torch", lambda: __import__("torch"))
            timed("import", imports)
            from avae_lib import components
            from avae_lib.checking import check
            def another(reference):
                return functools.wraps(reference)(lambda *args, **kwargs: reference(*args, **kwargs))
            # Tensors without data, which show whether the host waits, make torch load its compiler; so does the
            # recomputation in the library's own likelihood of mixtures.
            left_out = ("should_skip_update", "discretized_logistic_mixture_log_prob")
            for entry in (entry for entry in components.listing() if entry.name not in left_out):
                entry.use(another(entry.reference))
                timed(entry.name, lambda: check(entry.name))
            heavy = {"torchvision", "matplotlib", "sklearn", "tyro", "torch._dynamo", "IPython"} & set(sys.modules)
            assert not heavy, heavy
            print(json.dumps(times))
            """
        ],
        own_folder,
    )
    times = json.loads(times.strip().split("\n")[-1])
    torch_time = times.pop("torch")
    assert times.pop("import") < 0.2 * torch_time
    assert max(times.values()) < 0.4 * torch_time, times


def test_public_files_are_small():
    assert {path.name: path.stat().st_size for path in PUBLIC.glob("*.json") if path.stat().st_size > 1_200_000} == {}
