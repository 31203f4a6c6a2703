"""Parses the bytes of a file as a notebook in format 4, or says why they are not one.

Damage done by other programs is repaired where the meaning is clear: another encoding, text after the end, a missing
format version. Each repair gets a flag.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any

from autograder.intake.submissions import Quarantined

__all__ = ["notebook_json"]

_OTHER_FILES = {
    b"PK\x03\x04": "a zip archive or an office document",
    b"\x1f\x8b": "a compressed archive",
    b"7z\xbc\xaf": "a compressed archive",
    b"Rar!": "a compressed archive",
    b"%PDF": "a PDF",
    b"{\\rtf": "a text document",
    b"<": "a web page",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"[InternetShortcut]": "a link to a notebook on the web",
    b"version https://git-lfs": "a pointer to a file that Git LFS keeps elsewhere",
}
_MERGE = re.compile(rb"^<<<<<<< ", re.MULTILINE)
_PROGRAM = re.compile(rb"^(?:import|from|def|class|@|# (?:%%|In\[))[ \w]", re.MULTILINE)
_LONGEST_NUMBER = 400  # digits; Python refuses to read much longer ones, and no real notebook contains any


_NO_CELLS = "the file is JSON but not a notebook (it has no list of cells): ask for the .ipynb file itself"


def notebook_json(data: bytes) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The notebook, whose ``cells`` are a list, and flags about repairs.

    Raises:
        Quarantined: the bytes are not JSON, not a notebook, or a notebook of another major format.
    """
    text, flags = _text_of(data)
    document, more_flags = _document_of(text, data)
    if not isinstance(document, Mapping):
        raise Quarantined(_NO_CELLS)
    format_flags = _require_format_four(document)
    if not isinstance(document.get("cells"), list):
        raise Quarantined(_NO_CELLS)
    return document, (*flags, *more_flags, *format_flags)


def _text_of(data: bytes) -> tuple[str, tuple[str, ...]]:
    try:
        return data.decode(json.detect_encoding(data), "surrogatepass").removeprefix("\ufeff"), ()
    except UnicodeDecodeError:
        flag = "the file was not saved as UTF-8; it was read as Windows-1252, and letters beyond ASCII may be wrong"
        return data.decode("cp1252", "replace"), (flag,)


def _document_of(text: str, data: bytes) -> tuple[Any, tuple[str, ...]]:
    repeated: list[str] = []
    start = len(text) - len(text.lstrip())
    if not text.strip("\0 \t\r\n"):
        raise Quarantined("the file is empty: ask for the notebook to be handed in again")
    try:
        document, end = _decoder(repeated).raw_decode(text, start)
    except RecursionError:
        raise Quarantined("the file is nested too deeply for a notebook: look at the file before grading") from None
    except ValueError as error:
        kind = _kind_of(data)
        detail = f"not JSON, but it looks like {kind}" if kind else f"not JSON: {str(error)[:100]}"
        raise Quarantined(f"the file is not a notebook ({detail}): ask for the .ipynb file itself") from None
    flags = []
    if text[end:].strip("\0 \t\r\n"):
        flags.append("the file contains text after the end of the notebook, which was not read: please check")
    if repeated:
        flags.append("the file contains some keys twice; the last one that is not empty counts: please check")
    return document, tuple(flags)


def _decoder(repeated: list[str]) -> json.JSONDecoder:
    """A JSON decoder that adds keys given twice to ``repeated``, and reads extremely long numbers as infinity."""

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            repeated.extend(content)
            content |= {key: value for key, value in pairs if value}
        return content

    def number(digits: str) -> float:
        return int(digits) if len(digits) <= _LONGEST_NUMBER else float("inf")

    return json.JSONDecoder(object_pairs_hook=mapping, parse_int=number)


def _kind_of(data: bytes) -> str:
    if _MERGE.search(data):
        return "an unfinished merge of two versions"
    start = data.removeprefix(codecs.BOM_UTF8).lstrip()
    kind = next((kind for beginning, kind in _OTHER_FILES.items() if start.startswith(beginning)), "")
    is_program = not start.startswith(b"{") and _PROGRAM.search(start)
    return kind or ("a Python program" if is_program else "")


def _require_format_four(document: Mapping[str, Any]) -> tuple[str, ...]:
    major = document.get("nbformat")
    if isinstance(major, str) and major.isdecimal():
        major = int(major[:4])
    if "worksheets" in document and "cells" not in document:
        major = min(major, 3) if type(major) is int else 3
    if type(major) is int and major != 4:
        version = major if 0 <= major < 1000 else "unknown"
        raise Quarantined(f"the notebook has format {version}, not 4: open it in JupyterLab, save it, and grade again")
    return () if major == 4 else ("the notebook does not state its format; it was read as format 4",)
