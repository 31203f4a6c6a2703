"""The judge's end of the line to a sandbox: it sends one message and waits for the answer to it.

The other end may write anything at any time, stop reading, or hang up. Each of these raises one of three exceptions,
after which the line must not be used again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import time
from collections.abc import Callable
from typing import Any

from autograder.sandbox.inside.frames import HEADER, MalformedFrame, decode, encode

__all__ = ["ChannelClosed", "JudgeChannel"]

_CHUNK = 65536
_SECONDS_BEFORE_A_LOOK = 0.05  # most answers arrive earlier, and asking for the time left takes milliseconds
_SECONDS_BETWEEN_LOOKS = 0.5


class ChannelClosed(Exception):
    """The other end hung up."""


class JudgeChannel:
    """Framed messages over two descriptors, which become non-blocking.

    Args:
        reading: descriptor to read answers from.
        writing: descriptor to write messages to.
        frame_bytes: size of the largest message that is accepted.
    """

    def __init__(self, reading: int, writing: int, frame_bytes: int) -> None:
        self._reading, self._writing, self._frame_bytes = reading, writing, frame_bytes
        self._received = bytearray()
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)

    def exchange(
        self,
        message: dict[str, Any],
        time_left: Callable[[], float],
        respond: Callable[[Any], dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Send ``message`` under a fresh secret id and return the answer to it, without the id.

        Args:
            time_left: the seconds that remain; called repeatedly, since waiting for a busy processor may not count.
            respond: computes the response to each call that the other end makes before it answers. Without it,
                calls are not accepted.

        Raises:
            TimeoutError: no complete answer came in time.
            ChannelClosed: the other end hung up.
            MalformedFrame: what came is not an answer to this message.
        """
        self._require_silence()
        identity, clock = secrets.token_hex(16), _Clock(time_left)
        self._send(encode({"id": identity, **message}), clock)
        while True:
            answer = self._receive(clock)
            if answer.pop("id", None) != identity:
                raise MalformedFrame("the answer to something else")
            if "call" not in answer or respond is None:
                return answer
            self._send(encode({"id": identity, "response": respond(answer["call"])}), clock)

    def receive(self, time_left: Callable[[], float]) -> dict[str, Any]:
        """The next message; raises as :meth:`exchange` does."""
        return self._receive(_Clock(time_left))

    def _receive(self, clock: _Clock) -> dict[str, Any]:
        while (body := self._complete_frame()) is None:
            clock.wait(self._reading, selectors.EVENT_READ)
            self._read_some()
        return decode(body)

    def _require_silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._read_some()
        if self._received:
            raise MalformedFrame("a message that nobody asked for")

    def _send(self, frame: bytes, clock: _Clock) -> None:
        rest = memoryview(frame)
        while rest:
            clock.wait(self._writing, selectors.EVENT_WRITE)
            try:
                rest = rest[os.write(self._writing, rest[:_CHUNK]) :]
            except BrokenPipeError:
                raise ChannelClosed from None
            except BlockingIOError:
                continue

    def _read_some(self) -> None:
        chunk = os.read(self._reading, _CHUNK)
        if not chunk:
            raise ChannelClosed
        self._received += chunk

    def _complete_frame(self) -> bytes | None:
        if len(self._received) < HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._received)
        if size > self._frame_bytes:
            raise MalformedFrame(f"a message of {size} bytes, more than {self._frame_bytes}")
        end = HEADER.size + size
        if len(self._received) < end:
            return None
        body = bytes(self._received[HEADER.size : end])
        del self._received[:end]
        return body


class _Clock:
    """Waits for a descriptor while time is left, however often the descriptor becomes ready."""

    def __init__(self, time_left: Callable[[], float]) -> None:
        self._time_left = time_left
        self._next_look = time.monotonic() + _SECONDS_BEFORE_A_LOOK

    def wait(self, descriptor: int, event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            self._look()
            while not selector.select(max(0.0, self._next_look - time.monotonic())):
                self._look()

    def _look(self) -> None:
        if time.monotonic() < self._next_look:
            return
        if (seconds := self._time_left()) <= 0:
            raise TimeoutError
        self._next_look = time.monotonic() + min(seconds, _SECONDS_BETWEEN_LOOKS)
