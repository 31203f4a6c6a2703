"""Makes the output of every command safe for a terminal, even where it quotes what a stranger wrote."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

from autograder.plain_text import legible

__all__ = ["legibly"]


def legibly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a command so that its output cannot move the cursor, colour text or change the direction of writing."""

    @functools.wraps(command)
    def printing_legibly(*arguments: Any, **named: Any) -> Any:
        with redirect_stdout(cast("TextIO", _Legible(sys.stdout))):
            return command(*arguments, **named)

    return printing_legibly


class _Legible:
    """A text stream that replaces characters that control a terminal by their numbers."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(legible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
