"""An audit that is kept from an earlier run holds only as long as nothing has changed that it can depend on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.audit import audit_fingerprint
from autograder.audit.audit_fingerprint import fingerprint, sources
from autograder.checks import all_checks

ROOT = Path(__file__).parents[3]
COMPONENT = "log_mean_exp"
OTHER = "kl_gaussian"

EDITS = {
    "a tolerance of the check": ("autograder/checks/log_mean_exp.py", "**FLOAT64_WITH_SIZES", "rtol=0.5"),
    "a tolerance that checks share": ("autograder/checks/tolerances.py", "1e-10", "1e-2"),
    "how inputs are drawn": ("autograder/checks/random_inputs.py", "scale * torch.randn", "0.0 * torch.randn"),
    "the body of a mistake": ("autograder/checks/mistakes/log_mean_exp.py", "torch.exp", "torch.expm1"),
    "the body of a variant": ("autograder/checks/variants/log_mean_exp.py", "torch.", "np."),
    "the reference": ("avae_lib/logarithms.py", "math.log", "math.log2"),
    "the diagnoses": ("avae_lib/checking/diagnoses.py", "return", "return not"),
    "how answers are compared": ("avae_lib/checking/comparison.py", "torch.allclose", "torch.equal"),
    "what a reference calls": ("avae_lib/gaussians.py", "0.5", "0.25"),
    "the judge": ("autograder/checks/judge_component.py", "sum(", "max("),
    "the empty answers": ("autograder/audit/empty_answers.py", "0.0 * value", "1.0 * value"),
    "the seeds of the audit": ("autograder/audit/guards.py", "SEEDS = (1, 2)", "SEEDS = (1,)"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("original")
    for package in ("autograder", "avae_lib"):
        shutil.copytree(ROOT / package, root / package, ignore=lambda folder, names: {n for n in names if not kept(n)})
    return root


def kept(name):
    return name.endswith(".py") or ("." not in name and name != "__pycache__")


@pytest.mark.parametrize("what", EDITS)
def test_fingerprint_changes_with(original, what):
    name, old, new = EDITS[what]
    text = (original / name).read_text()
    assert old in text
    before = fingerprint(COMPONENT, original)
    (original / name).write_text(text.replace(old, new))
    changed = fingerprint(COMPONENT, original)
    (original / name).write_text(text)
    assert changed != before == fingerprint(COMPONENT, original)


def test_fingerprint_changes_with_a_file_that_comes_or_goes(original):
    before = fingerprint(COMPONENT, original)
    (original / "avae_lib" / "beside.py").touch()
    assert fingerprint(COMPONENT, original) != before
    (original / "avae_lib" / "beside.py").unlink()
    assert fingerprint(COMPONENT, original) == before


@pytest.mark.parametrize("guards", ["mistakes", "variants"])
def test_guards_of_one_component_change_no_other(original, guards):
    path = original / "autograder" / "checks" / guards / f"{OTHER}.py"
    ours, theirs, text = fingerprint(COMPONENT, original), fingerprint(OTHER, original), path.read_text()
    path.write_text(text + "\n# edited\n")
    assert fingerprint(COMPONENT, original) == ours
    assert fingerprint(OTHER, original) != theirs
    path.write_text(text)


@pytest.mark.parametrize("package", ["torch", "numpy", "scipy"])
def test_fingerprint_changes_with_the_version_of(monkeypatch, package):
    before, version = fingerprint(COMPONENT), audit_fingerprint.version
    monkeypatch.setattr(audit_fingerprint, "version", lambda name: "0.0" if name == package else version(name))
    assert fingerprint(COMPONENT) != before


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.component)
def test_guards_live_in_the_modules_of_their_own_component(check):
    modules = {guard.function.__module__ for guard in (*check.mistakes, *check.variants)}
    assert modules == {f"autograder.checks.{guards}.{check.component}" for guards in ("mistakes", "variants")}


def test_all_that_an_audit_loads_is_in_its_fingerprint():
    program = (
        "import sys; from autograder.audit.guards import audit_component; audit_component('log_mean_exp');"
        "files = [getattr(module, '__file__', None) for module in sys.modules.values()];"
        "print(*filter(None, files), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    listing = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    loaded = {Path(line) for line in listing.stdout.splitlines() if Path(line).is_relative_to(ROOT)}
    ours = {path for path in loaded if path.relative_to(ROOT).parts[0] in ("autograder", "avae_lib")}
    counted = {path for check in all_checks() for path in sources(check.component)}
    assert len(ours) > 40
    assert ours - counted == set()
