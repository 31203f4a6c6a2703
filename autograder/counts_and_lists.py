"""Counts and lists for sentences: "1 day", "3 days"; "ada, kim, and 7 more"."""

from __future__ import annotations

from collections.abc import Iterable

from autograder.plain_text import printable

__all__ = ["counted", "in_short"]


def counted(number: float, noun: str) -> str:
    """The number with its noun, in the plural unless the number is 1.

    >>> counted(1, "day"), counted(2, "day"), counted(0.5, "day"), counted(0, "open request")
    ('1 day', '2 days', '0.5 days', '0 open requests')
    """
    shown = f"{number:g}" if isinstance(number, float) else str(number)
    return f"{shown} {noun}{'s' * (number != 1)}"


def in_short(names: Iterable[str], most: int = 8, longest: int = 200) -> str:
    """The first ``most`` names, each cut to ``longest`` characters, and how many more there are.

    >>> in_short(["ada", "kim", "lovelace", "noether"], most=2)
    'ada, kim, and 2 more'
    """
    names = list(names)
    shown = ", ".join(printable(name, longest) for name in names[:most])
    return shown + (f", and {len(names) - most} more" if len(names) > most else "")
