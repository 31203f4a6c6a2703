"""The examples in docstrings do what they say, and every public object of the listed floors has one."""

import ast
import doctest
import importlib
import io
import math
import re
from pathlib import Path

import pytest
import torch

from avae_lib import components

ROOT = Path(__file__).parents[2]
MODULE_OF_ERROR = re.compile(r"^(?:\w+\.)+(?=\w+: )")
NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?![\w])", re.IGNORECASE)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
EXCEPTIONS = ("Error", "Exception", "Interrupt", "Refused", "Warning", "Exit")
RECORDS = {"dataclass", "dataclass(frozen=True)", "dataclass(frozen=True, kw_only=True)"}

FLOORS = [
    "atomic_write.py",
    "capstone",
    "checking",
    "component_health.py",
    "component_marks.py",
    "component_usage.py",
    "components.py",
    "compression",
    "data",
    "divergences",
    "errors.py",
    "evaluation",
    "gaussians.py",
    "latent_paths.py",
    "likelihoods",
    "logarithms.py",
    "meanfield",
    "models",
    "my_components_file.py",
    "nn",
    "notebook_setup.py",
    "objectives.py",
    "observations.py",
    "plotting",
    "presets",
    "recorded_cells.py",
    "report",
    "restoration",
    "run_pictures.py",
    "run_sentences.py",
    "sweeps",
    "train_options.py",
    "training",
]
"""Files and folders of the library in which every public object has an example."""

_STANDARD_LIBRARY = "it reads the whole standard library, which takes half a minute; test_sentences.py shows it"
_GPU = "it needs a GPU or Triton's interpreter; test_fused_attention_kernels.py shows it"
_RUN = "it reads the folder of a training run; test_report.py trains one and shows it"
_PROCESSES = "it needs two processes; test_sharding.py starts them"
WITHOUT_EXAMPLE = {
    "components.py::Component": "it is made by the decorator component",
    "components.py::component": "it enters a function in the library's own list; test_components.py shows it",
    "data/published_sets.py::load_published": "it needs published files or a network; test_published_sets.py shows it",
    "data/python_docs_corpus.py::load_documentation": _STANDARD_LIBRARY,
    "data/python_docs_corpus.py::texts_of_modules": _STANDARD_LIBRARY,
    "data/recorded_models.py::keep_model": "it writes into the library's own folder of records",
    "data/sentences.py::load_sentences": _STANDARD_LIBRARY,
    "data/sentences.py::most_frequent_words": _STANDARD_LIBRARY,
    "nn/fused_attention_kernels.py::mix_over_depth": _GPU,
    "nn/fused_attention_kernels.py::mix_over_depth_backward": _GPU,
    "nn/fused_attention_kernels.py::weights_over_depth": _GPU,
    "nn/fused_attention_kernels.py::weights_over_depth_backward": _GPU,
    "notebook_setup.py::keep_runs_on_drive": "it needs Colab and a Google account",
    "plotting/notebook.py::display_moving": "slider and latent_pad call it, and their examples show it",
    "report/charts.py::course_charts": _RUN,
    "report/charts.py::layer_charts": _RUN,
    "report/page.py::write_report": _RUN,
    "report/run_record.py::RunRecord": _RUN,
    "run_sentences.py::write_sentences": _STANDARD_LIBRARY,
    "training/graphed_updates.py::record_on_gpu": "it needs a GPU; test_graphed_updates.py shows what is recorded",
    "training/sharding.py::ShardedAverage": _PROCESSES,
    "training/sharding.py::Shards": _PROCESSES,
    "evaluation/frechet_distance.py::inception_weights": "it needs a file that is on few machines",
}
"""Public objects of these floors that have none, as ``file::name``, each with the reason."""


class NumbersUpToTheirLastDigits(doctest.OutputChecker):
    """Words must agree exactly, whole numbers too; decimals to three digits, because processors round differently.

    Errors may be written without the module of their class.
    """

    def check_output(self, want, got, optionflags):
        want, got = MODULE_OF_ERROR.sub("", want), MODULE_OF_ERROR.sub("", got)
        if super().check_output(want, got, optionflags):
            return True
        if NUMBER.sub("#", want).split() != NUMBER.sub("#", got).split():
            return False
        return all(map(_agree, NUMBER.findall(want), NUMBER.findall(got)))


def _agree(want, got):
    if want.lstrip("+-").isdigit() and got.lstrip("+-").isdigit():
        return int(want) == int(got)
    return math.isclose(float(want), float(got), rel_tol=1e-3, abs_tol=2e-4)


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def docstrings_with_examples(path):
    """Taken from the source, because decorators hide functions from doctest: name, docstring and line of each."""
    source = path.read_text(encoding="utf-8")
    nodes = ast.walk(ast.parse(source)) if ">>> " in source else ()
    documented = [node for node in nodes if isinstance(node, DOCUMENTED) and _has_example(node)]
    return [(getattr(node, "name", path.stem), ast.get_docstring(node), node.body[0].lineno) for node in documented]


def _has_example(node):
    return bool(doctest.DocTestParser().get_examples(ast.get_docstring(node) or ""))


def name_of(path):
    return str(path.relative_to(ROOT))


WITH_EXAMPLES = [path for path in sources("avae_lib", "autograder") if docstrings_with_examples(path)]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_examples_run(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    runner = doctest.DocTestRunner(NumbersUpToTheirLastDigits(), verbose=False, optionflags=doctest.ELLIPSIS)
    shown = io.StringIO()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, text, line in docstrings_with_examples(path):
            example = doctest.DocTestParser().get_doctest(text, vars(module).copy(), name, str(path), line - 1)
            runner.run(example, out=shown.write)
    assert runner.tries > 0, "examples that are skipped promise what nobody checks"
    assert runner.failures == 0, shown.getvalue()


def public_objects(path):
    """Functions and classes that a file defines and lists in ``__all__`` (without one: all without an underscore)."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    lists = [node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    defined = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    listed = ast.literal_eval(lists[0]) if lists else [name for name in defined if not name.startswith("_")]
    return [defined[name] for name in listed if name in defined]


def needs_example(node):
    """Every function does, and every class but exceptions, protocols, and records that have fields and nothing else."""
    if isinstance(node, ast.FunctionDef):
        return True
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    if "Protocol" in bases or any(base.endswith(EXCEPTIONS) for base in bases):
        return False
    methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")]
    is_record = "NamedTuple" in bases or any(ast.unparse(mark) in RECORDS for mark in node.decorator_list)
    return bool(methods) or not is_record


def has_example(node):
    parts = [node, *(part for part in node.body if isinstance(part, DOCUMENTED))]
    return any(map(_has_example, parts))


def imported_by(notebook):
    """Names that the source of a notebook imports from the library."""
    lines = notebook.read_text(encoding="utf-8").splitlines()
    tree = ast.parse("\n".join("" if line.startswith(("%", "!")) else line for line in lines))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.name for node in imports if (node.module or "").startswith("avae_lib") for name in node.names}


def test_what_notebooks_import_has_an_example():
    notebooks = [path for pattern in ("lectures/*.py", "solutions/*/*.py") for path in ROOT.glob(pattern)]
    imported = set().union(*map(imported_by, notebooks))
    without = {
        f"{path.relative_to(ROOT / 'avae_lib')}::{node.name}"
        for path in sources("avae_lib")
        for node in public_objects(path)
        if node.name in imported and needs_example(node) and not has_example(node)
    }
    assert len(imported) > 50 and without - WITHOUT_EXAMPLE.keys() == set()


@pytest.mark.parametrize("floor", FLOORS)
def test_each_public_object_has_an_example(floor):
    place = ROOT / "avae_lib" / floor
    without = {
        f"{path.relative_to(ROOT / 'avae_lib')}::{node.name}"
        for path in (sources(f"avae_lib/{floor}") if place.is_dir() else [place])
        for node in public_objects(path)
        if needs_example(node) and not has_example(node)
    }
    excepted = {name for name in WITHOUT_EXAMPLE if name.startswith(floor)}
    assert without - excepted == set(), "each needs an example in its docstring"
    assert excepted - without == set(), "these have an example or are gone: take them out of WITHOUT_EXAMPLE"


@pytest.mark.parametrize("unit", ["04_richer_models", "05_hierarchical_vae", "06_attentive_vae"])
def test_each_component_has_an_example(unit):
    assert [entry.name for entry in components.listing(unit) if ">>>" not in entry.doc] == []


@pytest.mark.parametrize(
    ("want", "got", "accepted"),
    [
        ("tensor(4.)\n", "tensor(4.0000)\n", True),
        ("tensor([0.5000, 0.2499])\n", "tensor([0.5000, 0.2500])\n", True),
        ("tensor([0.5000, 0.2400])\n", "tensor([0.5000, 0.2500])\n", False),
        ("torch.Size([2, 3])\n", "torch.Size([2, 4])\n", False),
        ("(1, 2)\n", "[1, 2]\n", False),
        ("ValueError: got 3\n", "ValueError: got 4\n", False),
        ("nan\n", "0.5\n", False),
    ],
)
def test_numbers_agree_up_to_their_last_digits(want, got, accepted):
    assert NumbersUpToTheirLastDigits().check_output(want, got, 0) is accepted
