"""``course answers``: the page of written answers, served to this machine until it is interrupted.

Only a browser that has the address can see or change anything: it holds a token that is made anew each time. No cookie
is set, which other servers on this machine would be sent as well. Names of other hosts (DNS rebinding) and pages of
other origins are refused.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import signal
import socket
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler

from autograder.course.audit_log import log_event
from autograder.course.course import Course, CourseError, Unit
from autograder.gradebook.open_gradebook import opened_gradebook
from autograder.gradebook.written_answer_grades import (
    ChangedMeanwhile,
    NoSuchAnswer,
    WrittenAnswer,
    give,
    written_answers,
)
from autograder.nbgrader_bridge.answer_sheet.pages import TEMPLATES, in_order, question_page, state_of
from autograder.nbgrader_bridge.answer_sheet.questions import WrittenQuestion, written_questions

__all__ = ["serve_answers"]

_HERE = "127.0.0.1"
_LARGEST_PORT = 65_535
_LARGEST_BODY = 200_000  # bytes of one change
_HEADERS = {
    # MathJax sets inline styles; scripts may only come from our own and MathJax's files.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class Sheet:
    """The written questions of one unit, which the server shows."""

    course: Course
    unit: Unit
    questions: tuple[WrittenQuestion, ...]
    gradebook: Gradebook
    anonymous: bool


def serve_answers(course: Course, unit: Unit, port: int, browser: bool, anonymous: bool) -> None:
    """Serve the written answers of a unit to this machine until interrupted; prints the address.

    Args:
        port: 0 for any that is free.
        browser: whether to open a browser.
        anonymous: whether names are left out and the order says nothing of them.

    Raises:
        CourseError: the unit was not graded or asks no written question, or the port cannot be had.
    """
    questions = written_questions(course, unit)
    with opened_gradebook(course) as gradebook:
        sheet = Sheet(course, unit, questions, gradebook, anonymous)
        if not written_answers(gradebook, course, unit, questions[0].grade_id):
            raise CourseError(f"{unit.name} has not been graded: run course grade {unit.name}")
        asyncio.run(_serve(sheet, _sockets(port), browser))


async def _serve(sheet: Sheet, sockets: list[socket.socket], browser: bool) -> None:
    port = sockets[0].getsockname()[1]
    token = secrets.token_urlsafe(32)
    server = HTTPServer(_application(sheet, token, port), max_body_size=_LARGEST_BODY)
    server.add_sockets(sockets)
    address = f"http://{_HERE}:{port}/{token}/"
    print(f"answers: {address}\nAnyone with this address can change grades. Control-C ends it.", flush=True)
    if browser:
        webbrowser.open(address)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    server.stop()


def _sockets(port: int) -> list[socket.socket]:
    if not 0 <= port <= _LARGEST_PORT:
        raise CourseError(f"--port must be 0 to {_LARGEST_PORT}, got {port}")
    try:
        return bind_sockets(port, _HERE)
    except OSError as trouble:
        raise CourseError(f"port {port} cannot be used ({trouble.strerror}): choose another one with --port") from None


def _application(sheet: Sheet, token: str, port: int) -> Application:
    facts = {"token": token, "port": port}
    package = find_spec("jupyter_server_mathjax")
    assert package is not None and package.submodule_search_locations
    mathjax = Path(package.submodule_search_locations[0]) / "static"
    return Application(
        [
            (r"/([^/]+)/", QuestionHandler, {"sheet": sheet, **facts}),
            (r"/([^/]+)/question/(\d+)", QuestionHandler, {"sheet": sheet, **facts}),
            (r"/([^/]+)/give", GiveHandler, {"sheet": sheet, **facts}),
            (r"/([^/]+)/MathJax/(.*)", FileHandler, {"path": str(mathjax), **facts}),
            (r"/([^/]+)/(sheet\.css|sheet\.js|mathjax_settings\.js)", FileHandler, {"path": str(TEMPLATES), **facts}),
            (r".*", NothingHandler, facts),
        ],
        log_function=lambda handler: None,  # addresses hold the token
    )


class _Guard(RequestHandler):
    """Refuses requests without the token, under another host name, or from another page."""

    def initialize(self, token: str, port: int) -> None:
        self._token = token
        self._hosts = {f"{_HERE}:{port}", f"localhost:{port}"}

    def set_default_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def prepare(self) -> None:
        token = self.path_args[0] if self.path_args else ""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise HTTPError(404)
        if self.request.host not in self._hosts:
            raise HTTPError(403)
        origin = self.request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in self._hosts}:
            raise HTTPError(403)
        if self.request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise HTTPError(403)

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: there is no page at this address. Use the address that course answers prints.\n")


class NothingHandler(_Guard):
    """Answers requests to all other addresses with an error."""

    def prepare(self) -> None:
        raise HTTPError(404)


class FileHandler(_Guard, StaticFileHandler):
    """Our style and script, and MathJax, which comes with the packages of the course."""

    def initialize(self, path: str, token: str, port: int) -> None:
        _Guard.initialize(self, token, port)
        StaticFileHandler.initialize(self, path)

    async def get(self, _: str, path: str, include_body: bool = True) -> None:
        await super().get(path, include_body)

    async def head(self, _: str, path: str) -> None:
        await super().head(path)


class _SheetHandler(_Guard):
    def initialize(self, sheet: Sheet, token: str, port: int) -> None:
        super().initialize(token, port)
        self._sheet = sheet


class QuestionHandler(_SheetHandler):
    """The page of one question, by its number from 1; the first one without a number."""

    def get(self, _: str, number: str = "1") -> None:
        sheet, chosen = self._sheet, int(number) - 1
        if not 0 <= chosen < len(sheet.questions):
            raise HTTPError(404)
        question = sheet.questions[chosen].grade_id
        answers = written_answers(sheet.gradebook, sheet.course, sheet.unit, question)
        sheet.gradebook.db.rollback()  # so that the next page shows changes by others
        rows = in_order(sheet.course, sheet.unit, question, answers, sheet.anonymous)
        facts = sheet.course, sheet.unit, sheet.questions, chosen, rows, sheet.anonymous
        self.finish(question_page(*facts, token=self._token))


class GiveHandler(_SheetHandler):
    """Points and a comment for one answer: ``{"key", "revision", "points", "comment"}``."""

    def post(self, _: str) -> None:
        if self.request.headers.get("Origin") is None:
            raise HTTPError(403)
        change = self._change()
        sheet = self._sheet
        try:
            before, after = give(sheet.gradebook, sheet.course, sheet.unit, **change)
        except ChangedMeanwhile as trouble:
            self._say(409, str(trouble), trouble.answer)
        except NoSuchAnswer as trouble:
            self._say(410, str(trouble))
        except CourseError as trouble:
            self._say(400, str(trouble))
        else:
            _log(sheet, before, after)
            self._say(200, "", after)

    def _change(self) -> Mapping[str, Any]:
        if self.request.headers.get("Content-Type") != "application/json":
            raise HTTPError(415)
        try:
            asked = json.loads(self.request.body)
            key, seen, points, comment = (asked[name] for name in ("key", "revision", "points", "comment"))
        except (ValueError, TypeError, KeyError):
            raise HTTPError(400) from None
        is_number = points is None or (isinstance(points, int | float) and not isinstance(points, bool))
        if not is_number or not all(isinstance(text, str) for text in (key, seen, comment)):
            raise HTTPError(400)
        return {"key": key, "seen": seen, "points": None if points is None else float(points), "comment": comment}

    def _say(self, status: int, message: str, answer: WrittenAnswer | None = None) -> None:
        self.set_status(status)
        self.finish({"message": message, **(state_of(answer) if answer else {})})


def _log(sheet: Sheet, before: WrittenAnswer, after: WrittenAnswer) -> None:
    was, now = ({"points": one.points, "comment": one.comment} for one in (before, after))
    facts = {"student": after.student, "unit": sheet.unit.name, "before": was, "after": now}
    log_event(sheet.course, "answer graded", **facts)
