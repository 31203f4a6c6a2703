"""The cases of the capstone and their points. Its other checks call functions; here a model is measured."""

from __future__ import annotations

from collections.abc import Mapping

from avae_lib.capstone import BUDGET

__all__ = ["BETTER", "CASES", "ELSEWHERE", "POINTS", "REBUILT", "REPRODUCES", "TABLE", "WITHIN_BUDGET"]

REBUILT = "the model can be rebuilt and measured"
REPRODUCES = "the claim reproduces on the public test images"
ELSEWHERE = "the claim holds on held-out images"
TABLE = "the table of claims is complete and acceptable"
WITHIN_BUDGET = "the budget is kept"
BETTER = "better than the baseline on held-out images"
CASES: Mapping[str, Mapping[str, float]] = {
    "numbers": {REBUILT: 2, REPRODUCES: 5, ELSEWHERE: 3},
    "budget": {TABLE: 2, WITHIN_BUDGET: 4},
    "baseline": {BETTER: 5, **{f"better by more than {band:g} bits per dimension": 3 for band in BUDGET.bands_bpd}},
}
"""The points of each case, by the locked cell that they belong to: ``check_numbers``, ``check_budget``, …"""
POINTS = {name: float(sum(cases.values())) for name, cases in CASES.items()}
"""What each of these cells is worth."""
