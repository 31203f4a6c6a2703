"""Runs the library's own components in a separate sandbox that never runs a student's code.

While one answer is judged, the functions of other exercises that it calls are stand-ins: each call, and each of its
gradients, is computed here (:mod:`avae_lib.checking.remote_calls`). So a sandbox with students' code gets only numbers
from the references, never their code.

The inputs come from a stranger, and a small input may need much memory or time. The limits of the sandbox contain this.
"""

from __future__ import annotations

import atexit
import math
import os
import tempfile
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from autograder.authoring.student_edition import write_student_edition
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.limits import DEFAULT_LIMITS, Limits
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind
from autograder.sandbox.session import Session, SessionLost
from avae_lib import components
from avae_lib.checking.remote_calls import computed

__all__ = ["References", "references_here"]

_PARTS = {"component", "arguments", "tensors", "wanted"}
_LONG = 100_000  # seconds of processor time, over many submissions; each call has a limit of its own


class References:
    """Computes calls of components for other sandboxes, in a sandbox that starts on first use and restarts if lost.

    Args:
        edition: a folder with the complete library.
        limits: the limits of the sandbox; ``ask_seconds`` is the limit on one call.
        hidden: files and folders that must not be visible in the sandbox.
        kind: the kind of sandbox.
    """

    def __init__(
        self, edition: Path, limits: Limits, hidden: tuple[Path, ...] = (), kind: SandboxKind = DEFAULT_KIND
    ) -> None:
        self._edition, self._hidden = edition, hidden
        self._kind: SandboxKind = kind
        self._limits = replace(limits, cpu_seconds=_LONG)
        self._session: Session | None = None

    def get_ready(self) -> None:
        """Start the sandbox, which takes seconds, if it is not running.

        Raises:
            SandboxUnavailable: this machine cannot run it.
        """
        if self._session is None:
            self._session = Session(self._edition, self._limits, math.inf, self._hidden, self._kind, warm=False)

    def respond(self, allowed: Collection[str], call: Any) -> dict[str, Any]:
        """The response to a call from a sandbox with students' code.

        Args:
            allowed: names of the components that may be called from there.
            call: the call, which may be any JSON value.
        """
        if not isinstance(call, dict) or call.keys() - {"cotangents"} != _PARTS:
            return _refusal("ValueError", "this is not a call of a component")
        if not isinstance(name := call["component"], str) or name not in allowed:
            return _refusal("NotImplementedError", "this component is not available here")
        try:
            self.get_ready()
            assert self._session is not None
            response = self._session.call(computed, call, "call")
        except (SessionLost, SandboxUnavailable) as loss:
            self.close()
            return _refusal("RuntimeError", f"could not be computed: {loss}")
        except RecursionError:  # just readable, but too deeply nested to be written one level deeper
            return _refusal("ValueError", "nested too deeply")
        return response if isinstance(response, dict) else _refusal("RuntimeError", "could not be computed")

    def close(self) -> None:
        """End the sandbox."""
        if self._session is not None:
            self._session.close()
            self._session = None


def references_here(
    hidden: tuple[Path, ...] = (), kind: SandboxKind = DEFAULT_KIND, limits: Limits = DEFAULT_LIMITS
) -> References:
    """The references that this process shares among all submissions it judges; they end with the process."""
    return _kept(os.getpid(), hidden, kind, limits)


def _refusal(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message}}


@cache
def _kept(process: int, hidden: tuple[Path, ...], kind: SandboxKind, limits: Limits) -> References:
    folder = tempfile.TemporaryDirectory(prefix="library-")
    os.chmod(folder.name, 0o755)  # the sandbox reads it as another user
    write_student_edition(Path(folder.name), tuple(dict.fromkeys(entry.unit for entry in components.listing())))
    references = References(Path(folder.name), limits, hidden, kind)
    atexit.register(folder.cleanup)
    atexit.register(references.close)
    return references
