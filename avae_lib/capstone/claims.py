"""The claims of a capstone: reading and writing the mandatory table of numbers in ``report.md``."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.errors import UserError

__all__ = ["QUANTITIES", "Claims", "ClaimsError", "read_claims"]

Quantity = Literal["bound", "importance-weighted"]
QUANTITIES = ("bound", "importance-weighted")
_NOT_MEASURED = "not measured"
_LONGEST_REPORT = 64 * 1024  # characters
_LONGEST_VALUE = 200  # characters
_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_LINE_END = re.compile(r"\r\n|\n|\r")  # Markdown's; Python knows further ones, which on a page end no row
_COUNT = re.compile(r"\d{1,3}(?:,\d{3}){1,4}|\d{1,15}", re.ASCII)


class ClaimsError(UserError, ValueError):
    """The report has no table of claims, or one that cannot be used.

    Attributes:
        problems: one sentence for each row that must be corrected.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Claims:
    r"""The claims about a model.

    >>> claims = Claims("photos32", "embedded", "bound", 4.93, 0.06, 1, 195_684, 8_400, 0.4)
    >>> print(claims.table().splitlines()[5])
    | bits per dimension | 4.93 |
    >>> read_claims("# My model\n\n" + claims.table()) == claims
    True
    """

    data_set: str
    """Name of the data set that the model was trained on."""
    version: str
    """Which version of it, in a few words: "embedded, 5,000 training crops", say."""
    quantity: Quantity
    """What the bits per dimension measure: the bound (−ELBO), or the importance-weighted estimate of −log p(x)."""
    bits_per_dim: float
    """The number, on the public test images."""
    error: float
    """Its standard error over these images, in bits per dimension."""
    samples: int
    """Posterior samples per image; 1 for the bound."""
    parameters: int
    """Trained numbers in the model."""
    updates: int
    """Updates of the weights."""
    hours: float
    """Hours of training."""
    energy_kwh: float | None = None
    """Electricity in kWh; None if it was not measured."""

    def table(self) -> str:
        """The mandatory table, in Markdown."""
        rows = [f"| {row.name} | {row.written(getattr(self, row.field))} |" for row in _ROWS]
        return "\n".join(["| claim | value |", "|---|---|", *rows]) + "\n"

    def refusals(self, budget: Budget = BUDGET) -> tuple[str, ...]:
        """One sentence for each claim that the course cannot accept.

        >>> claims = Claims("digits", "embedded", "bound", 4.93, 0.06, 1, 195_684, 8_400, 0.4)
        >>> claims.refusals()
        ("data set must be photos32, got 'digits'",)
        """
        found = (
            (self.data_set != budget.data_set, f"data set must be {budget.data_set}, got {self.data_set!r}"),
            (self.quantity not in QUANTITIES, f"quantity must be one of {', '.join(QUANTITIES)}"),
            (not 0 < self.bits_per_dim < 100, f"bits per dimension must be above 0, got {self.bits_per_dim:g}"),
            (not 0 < self.error < 100, f"error must be above 0, got {self.error:g}"),
            (
                self.error > budget.max_error_bpd,
                f"error must be at most {budget.max_error_bpd:g} bits per dimension, got {self.error:g}: "
                "with a larger one nearly every claim is true",
            ),
            (
                not 1 <= self.samples <= budget.max_samples,
                f"samples must be from 1 to {budget.max_samples}, got {self.samples}",
            ),
            (self.quantity == "bound" and self.samples != 1, "samples must be 1 for the bound"),
            (not 0 <= self.hours < 1e6, f"hours must be 0 or more, got {self.hours:g}"),
            (
                self.energy_kwh is not None and not 0 <= self.energy_kwh < 1e9,
                "energy must be 0 or more, in kWh, or: not measured",
            ),
        )
        return tuple(sentence for is_wrong, sentence in found if is_wrong)


@dataclass(frozen=True)
class _Row:
    """One row of the table: the claim's field, what the row is called, and how its value is read and written."""

    field: str
    name: str
    read: Callable[[str], Any]
    written: Callable[[Any], str] = str


def _text(value: str) -> str:
    if not value or len(value) > _LONGEST_VALUE:
        raise ValueError(f"a few words, at most {_LONGEST_VALUE} characters")
    return value


def _quantity(value: str) -> str:
    if value not in QUANTITIES:
        raise ValueError(" or ".join(QUANTITIES))
    return value


def _number(value: str) -> float:
    if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        raise ValueError("a number such as 4.93, with nothing beside it")
    return float(value)


def _count(value: str) -> int:
    if not _COUNT.fullmatch(value):
        raise ValueError("a whole number such as 8,400")
    return int(value.replace(",", ""))


def _energy(value: str) -> float | None:
    if value == _NOT_MEASURED:
        return None
    try:
        return _number(value)
    except ValueError:
        raise ValueError(f"a number of kWh, or: {_NOT_MEASURED}") from None


def _plain(value: float) -> str:
    return f"{value:.10g}"


_ROWS = (
    _Row("data_set", "data set", _text),
    _Row("version", "version", _text),
    _Row("quantity", "quantity", _quantity),
    _Row("bits_per_dim", "bits per dimension", _number, _plain),
    _Row("error", "error", _number, _plain),
    _Row("samples", "samples", _count),
    _Row("parameters", "parameters", _count, "{:,}".format),
    _Row("updates", "updates", _count, "{:,}".format),
    _Row("hours", "hours", _number, _plain),
    _Row("energy_kwh", "energy in kWh", _energy, lambda kwh: _NOT_MEASURED if kwh is None else _plain(kwh)),
)


def read_claims(report: str) -> Claims:
    """The claims in the table of a report, which is Markdown and may hold any text beside it.

    Each row of the table has two columns, ``| bits per dimension | 4.93 |``. Rows may stand in any order; capitals,
    emphasis and the space around values do not matter.

    Raises:
        ClaimsError: a row is missing, appears twice, or has an unusable value; the message names all problems.

    >>> read_claims("| bits per dimension | a lot |")
    Traceback (most recent call last):
    avae_lib.capstone.claims.ClaimsError: the table of claims has no row 'data set'; ...
    """
    values, problems = _rows_of(report[:_LONGEST_REPORT])
    fields = {}
    for row in _ROWS:
        name = row.name.lower()
        if name not in values:
            problems.append(f"the table of claims has no row '{row.name}'")
            continue
        try:
            fields[row.field] = row.read(values[name])
        except ValueError as wanted:
            problems.append(f"the row '{row.name}' must hold {wanted}; it holds {_shown(values[name])}")
    if problems:
        raise ClaimsError(tuple(problems))
    return Claims(**fields)


def _rows_of(report: str) -> tuple[dict[str, str], list[str]]:
    """The values in the rows of the table by their names, and what is wrong with the rows."""
    names = {row.name.lower() for row in _ROWS}
    values: dict[str, str] = {}
    problems = []
    for line in _LINE_END.split(report):
        cells = [" ".join(cell.strip(" \t*_`").split()) for cell in line.strip().strip("|").split("|")]
        name = cells[0].lower()
        if "|" not in line or name not in names:
            continue
        if len(cells) != 2:
            problems.append(f"the row '{name}' must have two columns, got {len(cells)}")
        if name in values:
            problems.append(f"the row '{name}' stands in the report twice")
        values[name] = cells[1] if len(cells) > 1 else ""
    return values, list(dict.fromkeys(problems))


def _shown(value: str) -> str:
    """A value in an error message, without characters that act on a terminal or page."""
    harmless = "".join(sign if unicodedata.category(sign)[0] not in "CZ" or sign == " " else "·" for sign in value)
    return repr(harmless[:60]) if harmless else "nothing"
