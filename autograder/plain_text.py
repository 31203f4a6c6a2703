"""Makes text that strangers wrote safe to show in a terminal, a log, a page or a gradebook."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

__all__ = [
    "LONGEST_SHOWN",
    "faults_of_name",
    "harmless_markdown",
    "legible",
    "legibly",
    "moderate",
    "printable",
    "unmistakable",
]

LONGEST_SHOWN = 20_000  # characters
_SHORT = 2_000  # characters; any text this short is quick to render
_JOINER = "\u2060"  # invisible; placed inside a mark such as "](", it keeps Markdown from recognising it
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LINK = re.compile(r"\](?=[(:\[])")
# Bare addresses that Markdown programs turn into links: with a scheme, with www, and of e-mail.
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=mailto)(?=:)|(?<=[\w.+-]@)(?=\w)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?=#?\w+;)")  # an entity can stand for any of the characters above
# MathJax commands that make links, set styles or load packages; mermaid draws pictures that can contain links.
_COMMAND = re.compile(r"\\(?=(?:href|url|style|class|cssId|require|data|mmlToken|texhtml|includegraphics|unicode)\b)")
_MERMAID = re.compile(r"(?<=[`~])(?=[ \t]*mermaid)", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n?|\f")
# Control characters, marks that change the direction of writing, line ends that only some programs recognise, invisible
# characters that no script needs, lone surrogates, and code points that are not characters.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\ud800-\udfff]"
)
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_PILE = re.compile(f"(?<=[{_MARKS}]{{4}})[{_MARKS}]+")  # more than four accents on one letter cover the lines around it
_LONGEST_NAME = 200  # bytes; file systems allow 255, and names get suffixes
_QUESTIONABLE = re.compile(r"""[\\<>"`&{}%]""")  # formgrader's pages put names between double quotes without escaping


def printable(text: str, longest: int = 80) -> str:
    """The text on one line, without control characters, escape sequences or marks that change the direction of writing.

    >>> printable("two\\nlines")
    'two·lines'
    """
    text = _PILE.sub("…", "".join(character if character.isprintable() else "·" for character in text))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def unmistakable(name: str) -> str:
    """A file's name with every dangerous character escaped; different names stay different.

    A file name may contain bytes that are not UTF-8, line ends, quotes and markup. A harmless name is returned as it
    is, so a result that differs from the name shows that it was not harmless.

    >>> unmistakable("ada"), unmistakable("<b>")
    ('ada', '%3Cb%3E')
    """
    escaped = "".join(character if _is_harmless(character) else _escape(character) for character in name)
    if len(escaped.encode()) <= _LONGEST_NAME:
        return escaped
    return f"{escaped[: _LONGEST_NAME // 8]}%~{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}"


def faults_of_name(name: str) -> tuple[str, ...]:
    """Why a file's name cannot be shown as it is: each dangerous character once; empty for a harmless name.

    >>> faults_of_name("a&b\x07")
    ("'&'", 'the control character U+0007')
    """
    signs = dict.fromkeys(sign for sign in name if not _is_harmless(sign))
    faults = tuple(map(_described, signs))
    if not faults and len(name.encode()) > _LONGEST_NAME:
        return (f"{len(name.encode())} bytes, more than {_LONGEST_NAME}",)
    return faults


def _described(sign: str) -> str:
    code = ord(sign)
    if sign.isprintable():
        return f"'{sign}'"
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is not UTF-8
        return f"the byte 0x{code - 0xDC00:02X}, which is not UTF-8"
    name = unicodedata.name(sign, "")
    return f"U+{code:04X} ({name.lower()})" if name else f"the control character U+{code:04X}"


def _is_harmless(character: str) -> bool:
    return character.isprintable() and not _QUESTIONABLE.match(character)


def _escape(character: str) -> str:
    # Python keeps a byte that is not UTF-8 as a lone surrogate, whose number contains the byte.
    return f"%{ord(character):02X}" if ord(character) < 0x80 else f"%u{ord(character):04X}"


def legible(text: str) -> str:
    """The text with every invisible or controlling character replaced by its number; line ends stay.

    >>> legible("red: \\x1b[31m, turned: \\u202eabc")
    'red: ⟨U+001B⟩[31m, turned: ⟨U+202E⟩abc'
    """
    text = _PILE.sub("…", _LINE_END.sub("\n", text))
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found.group()):04X}⟩", text)


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


def moderate(text: str) -> str:
    """The text shortened so that a page's highlighter handles it: at most 20,000 characters, no long runs of blanks."""
    text = legible(text)
    if len(text) <= _SHORT:
        return text
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(line.rstrip() for line in text.splitlines()))
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "\n… (the rest is not shown)"


def harmless_markdown(text: str, keep: Iterable[str] = ()) -> str:
    """Markdown that looks the same but yields no HTML, link, picture or script.

    formgrader renders written answers with raw HTML and all kinds of links allowed, at the address of the instructor's
    own Jupyter server. So an invisible character is put into each mark that would start one; formulas, code and
    emphasis stay as they are.

    Args:
        text: Markdown that a student wrote.
        keep: Markdown that the grader wrote and that stays as it is, for example places of pictures.
    """
    text = _broken_up(text)
    for ours in keep:
        text = text.replace(_broken_up(ours), ours)
    return text


def _broken_up(text: str) -> str:
    for mark in (_TAG, _LINK, _COMMAND, _ADDRESS, _ENTITY):
        text = mark.sub(lambda found: found.group() + _JOINER, text)
    return _MERMAID.sub(_JOINER, text)
