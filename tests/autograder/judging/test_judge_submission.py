"""Judging submissions: right answers get full marks whatever else is in the notebook, wrong ones nothing."""

import itertools
import time
from dataclasses import replace

import nbformat
import pytest
import torch

from autograder.checks import checks_of
from autograder.checks.case import Case, ComponentCheck
from autograder.checks.judge_component import judge_component
from autograder.intake.normalise import Answer, NormalisedSubmission
from autograder.judging.judge_submission import judge_submission
from autograder.judging.notebook_in_sandbox import NotebookInSandbox, SetupFailed
from autograder.judging.references import References
from autograder.sandbox.judge_channel import JudgeChannel
from autograder.sandbox.limits import Limits

SETUP = "import torch\nfrom avae_lib.components import implements\nfrom avae_lib.checking import check"
LIMITS = Limits(ask_seconds=2, cell_seconds=4)


def gaussian_inputs(generator):
    return {name: torch.randn(4, 3, generator=generator) for name in ("mean", "log_std", "noise")}


def elbo_inputs(generator):
    return {"log_likelihood": torch.randn(5, generator=generator), "kl": torch.rand(5, 2, generator=generator)}


def weight_inputs(generator):
    return {"log_weights": torch.randn(6, 4, generator=generator)}


def toy_check(component, *inputs):
    cases = (
        Case("values", 2, "the values are wrong", inputs, draws=2),
        Case("again", 1, "the values are wrong", inputs),
        Case("manners", 1, "its manners", inputs, kind="form"),
    )
    return ComponentCheck(component, cases, mistakes=(), variants=())


CHECKS = (
    toy_check("reparameterize", gaussian_inputs),
    toy_check("negative_elbo", elbo_inputs),
    toy_check("importance_weighted_bound", weight_inputs),
)

HEADS = {
    "reparameterize": "def reparameterize(mean, log_std, noise):",
    "negative_elbo": "def negative_elbo(log_likelihood, kl, beta=1.0):",
    "importance_weighted_bound": "def importance_weighted_bound(log_weights):",
}
RIGHT = {
    "reparameterize": "return mean + noise * log_std.exp()",
    "negative_elbo": "return (beta * kl.sum(1) - log_likelihood).mean()",
    "importance_weighted_bound": "return log_weights.exp().mean(0).log()",
}
FULL = {"reparameterize": 4, "negative_elbo": 4, "importance_weighted_bound": 4}


def cell(name, body, before="", after=""):
    """An answer cell whose function has the given body, with more code around it."""
    indented = "\n".join("    " + line for line in body.strip().splitlines())
    return f'{before}\n@implements("{name}")\n{HEADS[name]}\n{indented}\n{after}'


def submission(setup=SETUP, unedited=(), **cells):
    sources = {name: cell(name, body) for name, body in RIGHT.items()} | cells
    answers = tuple(
        Answer(name, name if name in HEADS else None, source, name in unedited) for name, source in sources.items()
    )
    return NormalisedSubmission(nbformat.v4.new_notebook(), (setup,), answers, (), ())


@pytest.fixture
def judged(edition):
    """Judge a notebook of right answers in which some cells are replaced."""

    def judge(limits=LIMITS, checks=CHECKS, **cells):
        return judge_submission(submission(**cells), checks, edition, lambda name: len(name), limits)

    return judge


def points(verdict):
    return {result.name: result.points for result in verdict.components}


def diagnoses(verdict, component):
    (result,) = (result for result in verdict.components if result.name == component)
    return [case.diagnosis for case in result.cases]


def test_right_answers_in_many_styles_get_full_marks_without_a_flag(judged):
    verdict = judged(
        reparameterize=cell(
            "reparameterize",
            "warnings.warn('nothing is wrong')\nprint('careful', file=sys.stderr)\n" + RIGHT["reparameterize"],
            before="import sys, warnings\n%matplotlib inline\n!echo hello\n%time 1 + 1",
            after="reparameterize(torch.zeros(1), torch.zeros(1), torch.zeros(1))",
        ),
        negative_elbo=cell(
            "negative_elbo",
            "print('x')\nreturn sum(beta * sum(k) - l for k, l in zip(kl, log_likelihood)) / len(kl)",
            after="assert False, 'an assertion after the definition'",
        ),
        importance_weighted_bound=cell(
            "importance_weighted_bound",
            "with np.errstate(all='raise'):\n    return torch.from_numpy(np.log(np.exp(log_weights.numpy()).mean(0)))",
            before="import numpy as np",
        ),
    )
    assert points(verdict) == FULL
    assert verdict.flags == ()


TAMPERING = """
import ast, builtins, json, sys, numpy as np
yes = lambda *_, **__: True
np.allclose = torch.allclose = torch.equal = torch.isclose = builtins.all = builtins.isinstance = yes
builtins.abs = builtins.max = builtins.sum = lambda *_, **__: 0
torch.Tensor.sum = torch.Tensor.mean = torch.Tensor.exp = lambda self, *_, **__: self
torch.set_grad_enabled(False)
torch.set_default_dtype(torch.float16)
json.dumps = json.loads = yes
sys.displayhook = lambda *_: print(100.0)
import avae_lib.checking.harnesses, avae_lib.checking.records
avae_lib.checking.harnesses.observe = avae_lib.checking.records.Observation = yes

class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()

get_ipython().ast_transformers.append(NoAsserts())
get_ipython().input_transformers_post.append(lambda lines: [line.replace("mean", "sum") for line in lines])
"""


def test_tampering_earns_nothing_and_costs_the_other_components_nothing(judged):
    verdict = judged(reparameterize=cell("reparameterize", "return mean", after=TAMPERING))
    assert points(verdict) == FULL | {"reparameterize": 0}
    assert verdict.flags


PRETENDERS = """
class AlwaysEqual(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True
    def __eq__(self, other): return True
    __hash__ = None

class Anything:
    shape, dtype, ndim = (), torch.float32, 0
    def __eq__(self, other): return True
    def __getattr__(self, name): return Anything()
    def __call__(self, *_, **__): return Anything()
    def __array__(self, *_, **__): raise SystemExit("100.0")
    def __float__(self): return 100.0
    def __bool__(self): return True
"""


def test_pretending_to_be_right_earns_nothing(judged):
    verdict = judged(
        reparameterize=cell("reparameterize", "return torch.ones(4, 3).as_subclass(AlwaysEqual)", before=PRETENDERS),
        negative_elbo=cell("negative_elbo", "return Anything()"),
        importance_weighted_bound=cell("importance_weighted_bound", "return torch.full((4,), float('nan'))"),
    )
    assert set(points(verdict).values()) == {0}


SEARCH = """
import gc, glob, importlib, sys, types
names = ("checks.judge_component", "checks.reparameterize", "checks")
for name in (*(f"autograder.{name}" for name in names), "avae_lib.checking.public"):
    try: importlib.import_module(name)
    except ImportError: pass
from avae_lib import components, gaussians
candidates = [entry.reference for entry in components.listing()]
candidates += [f for f in gc.get_objects() if isinstance(f, types.FunctionType) and f.__name__ == "reparameterize"]
candidates += [getattr(module, "reparameterize", None) for module in list(sys.modules.values())]
torch.allclose = lambda *_, **__: True
"""


def test_looking_for_the_answer_finds_none(judged):
    body = """
for candidate in candidates:
    try:
        return candidate(mean, log_std, noise)
    except Exception:
        pass
return torch.zeros_like(mean)
"""
    verdict = judged(checks=CHECKS[:1], reparameterize=cell("reparameterize", body, before=SEARCH))
    assert points(verdict) == {"reparameterize": 0}
    assert verdict.flags == ("a cell changed what other code relies on: torch.allclose",)


def test_cell_that_ends_the_process_and_function_that_never_ends_cost_only_their_own_components(judged):
    endless = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass"
    verdict = judged(
        reparameterize="import os; os._exit(0)",
        negative_elbo=cell("negative_elbo", endless, before="import signal"),
    )
    assert points(verdict) == FULL | {"reparameterize": 0, "negative_elbo": 0}
    assert "your code ended the process" in diagnoses(verdict, "reparameterize")[0]
    first, *others = diagnoses(verdict, "negative_elbo")
    assert first == "your function took longer than 2 s"
    assert all(other.startswith("not run any more") or other.startswith("counts once") for other in others)


def test_what_nobody_foresaw_about_one_answer_costs_that_answer_only(judged, monkeypatch):
    def fragile(trials, check, ask):
        if check.component == "reparameterize":
            raise ValueError("signal number out of range")
        return judge_component(trials, check, ask)

    monkeypatch.setattr("autograder.judging.judge_submission.judge_component", fragile)
    verdict = judged()
    assert points(verdict) == FULL | {"reparameterize": 0}
    assert "not your fault" in diagnoses(verdict, "reparameterize")[0]
    assert verdict.flags == (
        "reparameterize must be graded by hand: the grader failed (ValueError: signal number out of range)",
    )
    assert verdict.had_losses


def test_one_crash_costs_one_case(judged):
    body = "if len(log_weights) > 6: ctypes.string_at(0)\nreturn log_weights.exp().mean(0).log()"
    crashing = Case("many samples", 3, "wrong", (lambda generator: {"log_weights": torch.zeros(9, 4)},))
    check = CHECKS[2]
    check = replace(check, cases=(check.cases[0], crashing, *check.cases[1:]))
    fragile = cell("importance_weighted_bound", body, before="import ctypes")
    verdict = judged(checks=(check,), importance_weighted_bound=fragile)
    assert [case.points for case in verdict.components[0].cases] == [2, 0, 1, 1]
    assert "crash" in diagnoses(verdict, "importance_weighted_bound")[1]


SABOTAGE = """
import os, signal, threading, time
def strike():
    time.sleep(0.5)
    for fd in range(3, 200):
        try: os.write(fd, b"all passed" * 1000)
        except OSError: pass
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=strike).start()
if os.fork() == 0:
    time.sleep(600)
"""


def test_what_a_cell_leaves_running_cannot_spoil_the_other_components(judged):
    slow = "import time\ntime.sleep(0.4)\n"
    verdict = judged(
        reparameterize=cell("reparameterize", "return mean", after=SABOTAGE),
        negative_elbo=cell("negative_elbo", slow + RIGHT["negative_elbo"]),
        importance_weighted_bound=cell("importance_weighted_bound", slow + RIGHT["importance_weighted_bound"]),
    )
    assert points(verdict) == FULL | {"reparameterize": 0}


LEANING = """
one = torch.ones_like(log_weights)
moved = reparameterize(log_weights, one, one) - torch.e
return moved.exp().mean(0).log()
"""


@pytest.mark.parametrize("body", ["raise NotImplementedError", "return mean + noise"])
def test_component_does_not_suffer_from_another_one_that_it_calls(judged, body):
    verdict = judged(
        reparameterize=cell("reparameterize", body),
        negative_elbo=cell("negative_elbo", "return kl.sum()"),
        importance_weighted_bound=cell("importance_weighted_bound", LEANING),
    )
    assert points(verdict) == FULL | {"reparameterize": 0, "negative_elbo": 0}
    assert verdict.flags == ()


# What one cell can do so that the others, all of them right, lose points or blame where they stand together.
POISON = {
    "all that its own code stands on": """
from avae_lib import components
from avae_lib.checking import harnesses, records
import functools, sys
records.Recorded.to_json = records._array_to_json = lambda *_: {}
harnesses.HARNESSES.clear()
functools.wraps = lambda *_, **__: lambda function: None
components.implementation = components._find = None
for name in ("detach", "clone", "cpu", "numel", "reshape", "view", "contiguous"): setattr(torch.Tensor, name, None)
for name in list(sys.modules): del sys.modules[name]
""",
    "a mode of torch's left open": """
from torch.overrides import TorchFunctionMode
class Zero(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return result * 0 if isinstance(result, torch.Tensor) and result.is_floating_point() else result
Zero().__enter__()""",
    "a late thread, and the others' names": """
import threading, time
def strike():
    time.sleep(1)
    torch.Tensor.exp = torch.Tensor.sum = lambda self, *_, **__: self
threading.Thread(target=strike, daemon=True).start()
time.sleep(0.5)
@implements("negative_elbo")
def negative_elbo(log_likelihood, kl, beta=1.0):
    raise ValueError("blame somebody else")
_implements = implements
def implements(name): return lambda function: function""",
}


@pytest.mark.parametrize("name", POISON)
def test_what_one_cell_does_to_the_grader_costs_the_others_nothing_and_is_flagged(judged, name):
    slow = "import time; time.sleep(0.4)\n"
    verdict = judged(
        reparameterize=cell("reparameterize", "return mean", after=POISON[name]),
        negative_elbo=cell("negative_elbo", slow + RIGHT["negative_elbo"]),
        importance_weighted_bound=cell("importance_weighted_bound", slow + RIGHT["importance_weighted_bound"]),
    )
    assert points(verdict) == FULL | {"reparameterize": 0}
    assert verdict.flags


END = "import os, threading\nthreading.Timer(0.7, os._exit, [0]).start()"


def test_only_the_answer_that_ends_its_sandbox_is_blamed_for_that(judged):
    verdict = judged(
        reparameterize=cell("reparameterize", "return mean", after=END),
        negative_elbo=cell("negative_elbo", "import time; time.sleep(1.5)\n" + RIGHT["negative_elbo"]),
    )
    assert points(verdict) == FULL | {"reparameterize": 0}
    assert not any("negative_elbo" in flag for flag in verdict.flags)


FORGERY = """
from avae_lib.checking import harnesses
import sys
workshop = next(value for frame in sys._current_frames().values() for value in frames_of(frame))
workshop._traces.left = lambda: ["everything was right", "torch.give_full_marks", "torch.allclose\\n", 7, "torch.sum"]
"""
FIND = """
def frames_of(frame):
    while frame:
        if "self" in frame.f_locals and hasattr(frame.f_locals["self"], "_traces"): yield frame.f_locals["self"]
        frame = frame.f_back
"""


def test_only_real_names_of_what_was_changed_are_shown(judged):
    verdict = judged(checks=CHECKS[:1], reparameterize=cell("reparameterize", "return mean", before=FIND + FORGERY))
    assert verdict.flags == ("a cell changed what other code relies on: torch.sum",)


def test_an_unedited_stub_needs_no_sandbox(edition, monkeypatch):
    sandboxes = []
    monkeypatch.setattr(NotebookInSandbox, "__init__", noting(NotebookInSandbox.__init__, sandboxes))
    stub = cell("reparameterize", "raise NotImplementedError")
    notebook = submission(unedited=("reparameterize",), reparameterize=stub)
    verdict = judge_submission(notebook, CHECKS, edition, lambda name: 1, LIMITS)
    assert points(verdict) == FULL | {"reparameterize": 0}
    assert "not written yet" in diagnoses(verdict, "reparameterize")[0]
    assert len(sandboxes) == 2


HELPER = "def deviation(log_std):\n    return log_std.exp()\n"


def test_answer_that_needs_another_cell_is_judged_once_more_among_all_and_flagged(judged):
    verdict = judged(
        reparameterize=cell("reparameterize", "return mean + noise * deviation(log_std)"),
        negative_elbo=cell("negative_elbo", RIGHT["negative_elbo"], before=HELPER),
    )
    assert points(verdict) == FULL
    assert verdict.flags == ("reparameterize runs only together with the other answers, and was judged with them",)


@pytest.mark.parametrize(
    "line", ["import no_such_module", "torch.zeros(1).to('xpu')", "from google.colab import drive"]
)
def test_line_that_this_machine_cannot_run_costs_nothing_and_is_flagged(edition, line):
    whole, definition = (cell("reparameterize", RIGHT["reparameterize"], before=before) for before in (line, ""))
    notebook = submission()
    answer = replace(notebook.answers[0], source=whole, definitions=definition)
    notebook = replace(notebook, answers=(answer, *notebook.answers[1:]))
    verdict = judge_submission(notebook, CHECKS, edition, len, LIMITS)
    assert points(verdict) == FULL
    (flag,) = verdict.flags
    assert flag.startswith("the cell of reparameterize raised an error before its function was defined (")


def test_two_functions_in_one_cell_are_both_judged(judged):
    both = cell("reparameterize", RIGHT["reparameterize"]) + cell("negative_elbo", RIGHT["negative_elbo"])
    assert points(judged(reparameterize=both, negative_elbo="# see above")) == FULL


def test_every_sandbox_is_asked_on_other_inputs(judged, monkeypatch):
    asked = []
    monkeypatch.setattr(NotebookInSandbox, "ask", noting(NotebookInSandbox.ask, asked))
    judged(reparameterize=cell("reparameterize", "return mean + noise * deviation(log_std)"))
    by_sandbox = {}
    for sandbox, request in asked:
        by_sandbox.setdefault(id(sandbox), []).append(request.inputs)
    first, again = (inputs for inputs in by_sandbox.values() if "mean" in inputs[0])
    assert not any(torch.equal(one["mean"], other["mean"]) for one in first for other in again)


def test_another_attempt_asks_on_other_inputs(edition, monkeypatch):
    asked = []
    monkeypatch.setattr(NotebookInSandbox, "ask", noting(NotebookInSandbox.ask, asked))
    for attempt in (0, 1):
        judge_submission(submission(), CHECKS[:1], edition, len, LIMITS, attempt=attempt)
    half = len(asked) // 2
    assert half and not any(
        torch.equal(one.inputs["mean"], other.inputs["mean"])
        for (_, one), (_, other) in zip(asked[:half], asked[half:], strict=True)
    )


# One answer that behaves in another way in each sandbox that it finds itself in. Right would be noise * log_std.exp().
GUESSES = {
    "alone first, among all afterwards": "return mean + noise * (log_std.exp() if 'negative_elbo' in globals() else 0)",
    "a wrong value at first, then an error": """
STATE.append(1)
if len(STATE) > 1: raise ValueError("again")
return mean""",
}


@pytest.mark.parametrize("name", GUESSES)
def test_a_value_that_was_given_stands(judged, name):
    verdict = judged(reparameterize=cell("reparameterize", GUESSES[name], before="STATE = []"))
    assert points(verdict) == FULL | {"reparameterize": 0}


TWO_GUESSES = {
    "reparameterize": """
if "negative_elbo" not in globals(): raise ValueError("alone")
return mean if "last" in globals() else mean + noise * log_std.exp()""",
    "importance_weighted_bound": """
import os
if negative_elbo.__code__.co_name == "call_from_afar": raise ValueError("alone")
os._exit(0)""",
}


def test_a_value_that_was_given_among_all_answers_stands_when_that_sandbox_is_lost_later(judged):
    last = cell("importance_weighted_bound", TWO_GUESSES["importance_weighted_bound"], before="last = True")
    verdict = judged(
        reparameterize=cell("reparameterize", TWO_GUESSES["reparameterize"]), importance_weighted_bound=last
    )
    assert points(verdict) == FULL | {"reparameterize": 0, "importance_weighted_bound": 0}


def test_an_answer_that_gave_no_value_is_asked_on_other_inputs_in_each_sandbox_for_all(judged, monkeypatch):
    asked = []
    monkeypatch.setattr(NotebookInSandbox, "ask", noting(NotebookInSandbox.ask, asked))
    last = cell("importance_weighted_bound", TWO_GUESSES["importance_weighted_bound"], before="last = True")
    only_at_last = "if 'negative_elbo' not in globals() or 'last' in globals(): raise ValueError('not yet')\n"
    verdict = judged(
        reparameterize=cell("reparameterize", only_at_last + RIGHT["reparameterize"]), importance_weighted_bound=last
    )
    assert points(verdict) == FULL | {"importance_weighted_bound": 0}
    by_sandbox = {}
    for sandbox, request in asked:
        by_sandbox.setdefault(id(sandbox), []).append(request.inputs)
    firsts = [inputs[0]["mean"] for inputs in by_sandbox.values() if "mean" in inputs[0]]
    assert len(firsts) == 3
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(firsts, 2))


def test_answers_that_only_call_each_other_earn_nothing_and_are_flagged(judged):
    verdict = judged(
        reparameterize=cell("reparameterize", "return importance_weighted_bound((mean + noise * 0)[None])"),
        importance_weighted_bound=cell(
            "importance_weighted_bound",
            "zero = torch.zeros_like(log_weights)\nreturn reparameterize(log_weights, zero, zero)",
        ),
    )
    assert points(verdict) == FULL | {"reparameterize": 0, "importance_weighted_bound": 0}
    assert any("reparameterize and importance_weighted_bound call each other" in flag for flag in verdict.flags)


def test_nothing_stands_in_for_a_later_exercise(judged):
    """Some earlier exercises are special cases of later ones."""
    verdict = judged(
        reparameterize=cell("reparameterize", "return negative_elbo(mean, log_std)"),
        negative_elbo=cell("negative_elbo", "raise NotImplementedError"),
    )
    assert points(verdict) == FULL | {"reparameterize": 0, "negative_elbo": 0}


def test_gradients_flow_through_what_stands_in_for_another_exercise(judged):
    with_gradients = Case("gradients", 2, "wrong", (weight_inputs,), kind="gradient", gradients=("log_weights",))
    check = replace(CHECKS[2], cases=(*CHECKS[2].cases, with_gradients))
    verdict = judged(
        checks=(*CHECKS[:2], check),
        reparameterize=cell("reparameterize", "return mean.detach() + noise"),
        importance_weighted_bound=cell("importance_weighted_bound", LEANING),
    )
    assert points(verdict) == FULL | {"reparameterize": 0, "importance_weighted_bound": 6}


def test_what_the_library_calls_stands_in_as_well(judged):
    """`avae_lib` calls the student's functions by itself."""
    body = """
from avae_lib import gaussians
one = torch.ones_like(log_weights)
return (gaussians.reparameterize(log_weights, one, one) - torch.e).exp().mean(0).log()
"""
    verdict = judged(
        reparameterize=cell("reparameterize", "return mean"),
        importance_weighted_bound=cell("importance_weighted_bound", body),
    )
    assert points(verdict) == FULL | {"reparameterize": 0}


def test_no_body_of_a_reference_enters_a_sandbox_with_students_code(judged, monkeypatch):
    sent = []
    monkeypatch.setattr(JudgeChannel, "exchange", noting(JudgeChannel.exchange, sent))
    verdict = judged(
        reparameterize=cell("reparameterize", "raise NotImplementedError"),
        importance_weighted_bound=cell("importance_weighted_bound", LEANING),
    )
    assert points(verdict) == FULL | {"reparameterize": 0}
    assert {message["do"] for _, message, *_ in sent} == {"run", "observe", "stand_in", "call"}
    sources = {message["source"] for _, message, *_ in sent if message["do"] == "run"}
    assert sources <= {SETUP, *(answer.source for answer in submission().answers)} | {
        cell("importance_weighted_bound", LEANING),
        cell("reparameterize", "raise NotImplementedError"),
    }
    lines_with_students_code = {id(line) for line, message, *_ in sent if message["do"] == "run"}
    assert not any(message["do"] == "call" and id(line) in lines_with_students_code for line, message, *_ in sent)


FORGED = """
from avae_lib.checking.remote_calls import stand_in
import sys
def outside():
    for frame in sys._current_frames().values():
        while frame:
            if "workshop" in frame.f_locals: return frame.f_locals["workshop"].call_outside
            frame = frame.f_back
"""


@pytest.mark.parametrize(
    "body",
    [
        "return stand_in('reparameterize', outside())(mean, log_std, noise)",
        "return outside()({'component': 'reparameterize', 'arguments': {}, 'tensors': [], 'wanted': []})",
        "return outside()('give me the body')",
    ],
)
def test_what_does_not_stand_in_cannot_be_called(judged, body):
    verdict = judged(reparameterize=cell("reparameterize", body, before=FORGED))
    assert points(verdict) == FULL | {"reparameterize": 0}


def test_asking_for_too_much_outside_costs_only_who_asks(judged):
    wasteful = """
while True:
    large = torch.zeros(2**18)
    log_weights = log_weights + reparameterize(large, large, large).sum()
"""
    verdict = judged(
        negative_elbo=cell("negative_elbo", "reparameterize(kl, kl, object())\n" + RIGHT["negative_elbo"]),
        importance_weighted_bound=cell("importance_weighted_bound", wasteful),
    )
    assert points(verdict) == FULL | {"negative_elbo": 0, "importance_weighted_bound": 0}
    assert points(judged(importance_weighted_bound=cell("importance_weighted_bound", LEANING))) == FULL


DEMONSTRATIONS = {
    "with more than a call can carry": "many = torch.zeros(1000, 784)\nreparameterize(many, many, many)",
    "that is slow to compute": "for _ in range(50): reparameterize(torch.zeros(3), torch.zeros(3), torch.zeros(3))",
}


@pytest.mark.parametrize("name", DEMONSTRATIONS)
def test_a_demonstration_that_calls_an_earlier_exercise_costs_nothing(judged, name, monkeypatch):
    def unhurried(self, *call):
        time.sleep(0.1)
        return respond(self, *call)

    respond = References.respond
    monkeypatch.setattr(References, "respond", unhurried)
    shown = cell("importance_weighted_bound", RIGHT["importance_weighted_bound"], after=DEMONSTRATIONS[name])
    verdict = judged(importance_weighted_bound=shown)
    assert points(verdict) == FULL
    assert verdict.flags == ()


RAW_CALL = """
import struct, sys
def lines():
    for frame in sys._current_frames().values():
        while frame:
            if hasattr(frame.f_locals.get("line"), "answering"): yield frame.f_locals["line"]
            frame = frame.f_back
def send(arguments):
    line = next(lines())
    call = '{"component":"reparameterize","arguments":%s,"tensors":[],"wanted":[]}' % arguments
    frame = ('{"id":"%s","call":%s}' % (line.answering, call)).encode()
    line._outgoing.write(struct.pack(">I", len(frame)) + frame)
    line._outgoing.flush()
    raise ValueError(line.receive())
"""


def test_a_number_that_can_be_read_and_not_written_again_is_no_failure_of_the_graders(judged):
    sending = cell("negative_elbo", "send('[1e999]')", before=RAW_CALL)
    verdict = judged(checks=CHECKS[:2], negative_elbo=sending)
    assert points(verdict) == {"reparameterize": 4, "negative_elbo": 0}
    assert not any("the grader failed" in flag for flag in verdict.flags)


def noting(function, calls):
    def noted(*args, **kwargs):
        calls.append(args)
        return function(*args, **kwargs)

    return noted


def test_missing_answers_are_told_apart(judged):
    verdict = judged(
        reparameterize=cell("reparameterize", "raise NotImplementedError()"),
        negative_elbo="# deleted",
        importance_weighted_bound=cell("importance_weighted_bound", "return log_weights +"),
    )
    assert set(points(verdict).values()) == {0}
    assert "not written yet" in diagnoses(verdict, "reparameterize")[0]
    assert "not written" in diagnoses(verdict, "negative_elbo")[0]
    assert "SyntaxError" in diagnoses(verdict, "importance_weighted_bound")[0]


def test_total_time_holds(judged):
    verdict = judged(replace(LIMITS, total_seconds=0.0))
    assert set(points(verdict).values()) == {0}
    assert "used up" in diagnoses(verdict, "reparameterize")[0]


def test_fault_in_the_courses_own_cell_is_not_the_students(judged):
    with pytest.raises(SetupFailed, match="ModuleNotFoundError"):
        judged(setup="import no_such_module")


UNIT_ANSWERS = {
    "reparameterize": '@implements("reparameterize")\n'
    "def reparameterize(mean, log_std, noise):\n"
    "    return torch.distributions.Normal(mean, log_std.exp()).loc + log_std.exp() * noise",
    "bernoulli_log_likelihood": '@implements("bernoulli_log_likelihood")\n'
    "def bernoulli_log_likelihood(logits, x):\n"
    "    return torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(x).flatten(1).sum(1)",
    "negative_elbo": '@implements("negative_elbo")\n'
    "def negative_elbo(log_likelihood, kl, beta=1.0):\n"
    "    return (kl.sum() - log_likelihood.sum()) * beta",
    "importance_weighted_bound": '@implements("importance_weighted_bound")\n'
    "def importance_weighted_bound(log_weights):\n"
    "    return log_weights.logsumexp(0) - torch.tensor(float(len(log_weights))).log()",
    "vae_training_step": '@implements("vae_training_step")\n'
    "def vae_training_step(model, optimizer, x):\n"
    "    optimizer.zero_grad()\n"
    "    elbo = model(x)\n"
    "    loss = negative_elbo(elbo.log_likelihood, elbo.kl)\n"
    "    loss.backward()\n"
    "    optimizer.step()\n"
    "    return loss.item()",
}


def test_hole_in_one_component_of_the_real_unit_costs_nothing_elsewhere(edition):
    answers = tuple(Answer(name, name, source) for name, source in UNIT_ANSWERS.items())
    notebook = NormalisedSubmission(nbformat.v4.new_notebook(), (SETUP,), answers, (), ())
    verdict = judge_submission(notebook, checks_of("03_vae"), edition, lambda name: 11)
    full = {result.name: result.max_points for result in verdict.components}
    assert points(verdict) == full | {"negative_elbo": points(verdict)["negative_elbo"]}
    assert points(verdict)["negative_elbo"] < full["negative_elbo"]
