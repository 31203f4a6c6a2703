"""Judges a capstone: measures its model, compares that with the claims, and gives the points of each case."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from autograder.capstone.files import CapstoneWork
from autograder.capstone.held_out import HeldOut, draw_held_out, private_held_out
from autograder.capstone.library_models import library_model
from autograder.capstone.measure_in_sandbox import LIMITS, Measured, NoNumbers, measure_in_sandbox
from autograder.checks.capstone import CASES, ELSEWHERE, POINTS, REBUILT, REPRODUCES, TABLE, WITHIN_BUDGET
from autograder.checks.judge_component import ComponentResult, SubmissionVerdict, Verdict
from autograder.course.course import CourseError
from autograder.sandbox.limits import Limits
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind
from avae_lib.capstone import BUDGET, Claims, ClaimsError, findings, public_images, read_claims
from avae_lib.capstone.findings import Finding, claim_holds_elsewhere, claim_reproduces, improvement, keeps_budget
from avae_lib.evaluation import Estimate

__all__ = ["judge_capstone"]


@dataclass(frozen=True)
class _Table:
    """The claims of a report, or None if it has none, and what is wrong with them."""

    claims: Claims | None
    problem: str = ""


def judge_capstone(
    work: CapstoneWork,
    edition: Path,
    hidden: tuple[Path, ...] = (),
    kind: SandboxKind = DEFAULT_KIND,
    limits: Limits = LIMITS,
) -> SubmissionVerdict:
    """Measure a capstone's model in a sandbox and judge its claims. No code of the student's is run.

    Args:
        edition: the folder that holds the library, with the bodies of all components that models use.

    Raises:
        SandboxUnavailable: this machine cannot run the sandbox.
        CourseError: the course has no held-out images, or no baseline.
    """
    started = time.monotonic()
    _require_baseline(work.baseline_bpd)
    table = _table(work)
    was_lost = False
    flags = ()
    try:
        held_out = _held_out(work.seed, work.private_images)
        measured = _measured(work, table.claims, held_out, (edition, hidden, kind, limits))
        found = dict(_findings(work, table, measured, held_out))
        flags = _flags(work)
    except NoNumbers as reason:
        was_lost = reason.was_lost
        found = {REBUILT: Finding(False, str(reason))}
    components = tuple(_result(name, cases, found) for name, cases in CASES.items())
    return SubmissionVerdict(components, flags, time.monotonic() - started, was_lost)


def _require_baseline(stated_bpd: float | None) -> None:
    """Refuse to grade unless the library has a measured baseline, equal to the course's to three decimals."""
    try:
        measured = findings.baseline().mean
    except ValueError as problem:
        raise CourseError(f"capstones cannot be graded: {problem}") from None
    if stated_bpd is not None and abs(stated_bpd - measured) > 0.0006:
        raise CourseError(
            f"capstones cannot be graded: course.toml states baseline_bpd = {stated_bpd:g}, and the library's baseline "
            f"has {measured:.3f} (experiments/capstone); state that number"
        )


def _table(work: CapstoneWork) -> _Table:
    if "report.md" in work.troubles:
        return _Table(None, work.troubles["report.md"])
    try:
        claims = read_claims(work.contents["report.md"].decode("utf-8"))
    except UnicodeDecodeError:
        return _Table(None, "report.md is not UTF-8 text")
    except ClaimsError as problem:
        return _Table(None, f"report.md: {problem}")
    return _Table(claims, "; ".join(claims.refusals()))


@functools.lru_cache(maxsize=2)
def _held_out(seed: int, private_images: bytes) -> HeldOut:
    return private_held_out(private_images) if private_images else draw_held_out(seed)


@functools.cache
def _public() -> object:
    return public_images()


def _measured(work: CapstoneWork, claims: Claims | None, held_out: HeldOut, place: tuple) -> Measured:
    if troubles := [work.troubles[name] for name in ("config.json", "weights.safetensors") if name in work.troubles]:
        raise NoNumbers("; ".join(troubles))
    files = work.contents["config.json"], work.contents["weights.safetensors"]
    images = {"public": _public(), "held out": held_out.images}
    return measure_in_sandbox(*files, images, _samples(claims), work.seed_of_draws, *place)


def _flags(work: CapstoneWork) -> tuple[str, ...]:
    name = library_model(work.contents["weights.safetensors"])
    return (f"the weights are those of {name}, a model that came with the library",) if name else ()


def _samples(claims: Claims | None) -> int:
    """The number of draws that the claim rests on, within the budget; 1 for a bound or without a claim."""
    if claims is None or claims.quantity == "bound":
        return 1
    return min(max(claims.samples, 1), BUDGET.max_samples)


def _findings(
    work: CapstoneWork, table: _Table, measured: Measured, held_out: HeldOut
) -> Iterator[tuple[str, Finding]]:
    """The finding of each case that could be judged, with the case's name."""
    yield REBUILT, Finding(True, "")
    yield TABLE, Finding(not table.problem, table.problem)
    claims = table.claims
    if claims is None:
        return
    if not table.problem:
        yield REPRODUCES, claim_reproduces(claims, measured.bits_per_dim["public"][claims.quantity])
        yield ELSEWHERE, claim_holds_elsewhere(claims, _elsewhere(measured, held_out, claims.quantity, claims))
    budget = keeps_budget(claims, measured.parameters, len(work.contents["weights.safetensors"]))
    yield WITHIN_BUDGET, budget
    bound = held_out.beside_baseline(measured.bits_per_dim["held out"]["bound"], "bound", samples=1)
    for case, least in zip(CASES["baseline"], (findings.NOISE_OF_DRAWS_BPD, *BUDGET.bands_bpd), strict=True):
        over = Finding(False, "counts only within the budget")
        yield case, improvement(bound, least) if budget.passed else over


def _elsewhere(measured: Measured, held_out: HeldOut, quantity: str, claims: Claims) -> Estimate:
    """Estimate a quantity on the public images from the held-out ones."""
    public, elsewhere = (measured.bits_per_dim[name][quantity] for name in ("public", "held out"))
    return held_out.estimate(public, elsewhere, quantity, _samples(claims))


def _result(component: str, cases: Mapping[str, float], findings: Mapping[str, Finding]) -> ComponentResult:
    verdicts = tuple(_verdict(name, points, findings) for name, points in cases.items())
    return ComponentResult(component, sum(verdict.points for verdict in verdicts), POINTS[component], verdicts)


def _verdict(name: str, points: float, findings: Mapping[str, Finding]) -> Verdict:
    found = findings.get(name) or Finding(False, _why_not(findings))
    return Verdict(name, found.passed, found.sentence, points if found.passed else 0.0, points)


def _why_not(findings: Mapping[str, Finding]) -> str:
    """The reason why a case was not judged."""
    if not findings[REBUILT].passed:
        return "needs a model that can be measured"
    return "needs a table of claims that is complete and acceptable"
