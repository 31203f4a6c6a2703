"""Checks a capstone at home as the grader will, except on the held-out images."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from avae_lib.capstone.budget import BUDGET
from avae_lib.capstone.findings import NOISE_OF_DRAWS_BPD, Finding, claim_reproduces, improvement, keeps_budget
from avae_lib.capstone.handing_in import WEIGHTS, read_files, require_accepted
from avae_lib.capstone.measuring import Measurement, measure
from avae_lib.capstone.rebuilding import CapstoneRefused, trained_numbers
from avae_lib.errors import InvalidInput

__all__ = ["check"]

_PARTS = ("numbers", "budget", "baseline")


def check(part: str, folder: Path | str = ".") -> bool:
    """Print what the grader will say about one part of a capstone, judged by the public test images.

    >>> check("budget", "no/such/folder")
    ✗ config.json is missing: capstone.hand_in writes it
    False

    Args:
        part: ``numbers``, ``budget`` or ``baseline``.
        folder: the folder of the capstone's files.

    Returns:
        Whether the part passes.

    Raises:
        InvalidInput: there is no such part.
    """
    if part not in _PARTS:
        raise InvalidInput(f"part must be one of {', '.join(_PARTS)}, got {part!r}")
    try:
        findings = list(_findings(part, read_files(folder)))
    except CapstoneRefused as reason:
        findings = [Finding(False, str(reason))]
    for finding in findings:
        print(f"{'✓' if finding.passed else '✗'} {finding.sentence}")
    return all(finding.passed for finding in findings)


def _findings(part: str, contents: Mapping[str, bytes]) -> Iterator[Finding]:
    model, claims = require_accepted(dict(contents))
    if part == "budget":
        yield keeps_budget(claims, trained_numbers(model), len(contents[WEIGHTS]))
        return
    measurement = _measured(tuple(sorted(contents.items())), claims.samples)
    if part == "numbers":
        yield claim_reproduces(claims, measurement.of(claims.quantity))
    else:
        for least in (NOISE_OF_DRAWS_BPD, *BUDGET.bands_bpd):
            yield improvement(measurement.bound, least)


@functools.lru_cache(maxsize=1)
def _measured(contents: tuple[tuple[str, bytes], ...], samples: int) -> Measurement:
    """Cached, because the cells of a notebook check one part after the other."""
    model, _ = require_accepted(dict(contents))
    return measure(model, samples=samples)
