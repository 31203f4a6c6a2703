"""From the bytes of a file to the JSON of a notebook in format 4, or to the reason why there is none.

Files are forgiven what programs on their way have done to them, as long as one thing can have been meant: another
encoding, something behind the end, a format version that is not there. Each of these is said in a flag.
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
_LONGEST_NUMBER = 400  # digits; Python refuses to read far longer ones, and no notebook holds any


def notebook_json(data: bytes) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The document, whose ``cells`` are a list, and flags about what was forgiven.

    Raises:
        Quarantined: the bytes are no JSON, no notebook, or a notebook of another major format.
    """
    text, flags = _text_of(data)
    document, more_flags = _document_of(text, data)
    if not isinstance(document, Mapping):
        raise Quarantined("JSON, but no notebook (it has no list of cells): ask for the .ipynb file itself")
    format_flags = _require_format_four(document)
    if not isinstance(document.get("cells"), list):
        raise Quarantined("JSON, but no notebook (it has no list of cells): ask for the .ipynb file itself")
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
        raise Quarantined("JSON nested too deeply for a notebook: look at the file before grading") from None
    except ValueError as error:
        detail = f"it looks like {kind}" if (kind := _kind_of(data)) else f"damaged: {str(error)[:100]}"
        raise Quarantined(f"not JSON, so no notebook ({detail}): ask for the .ipynb file itself") from None
    flags = []
    if text[end:].strip("\0 \t\r\n"):
        flags.append("something stood in the file behind the end of the notebook and was not read: please check")
    if repeated:
        flags.append("the file says some things twice; of each the last that is not empty counts: please check")
    return document, tuple(flags)


def _decoder(repeated: list[str]) -> json.JSONDecoder:
    """A decoder of JSON that notes keys which are given twice, and takes endless numbers for infinite ones."""

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
        raise Quarantined(f"notebook format {version}, not 4: open it in JupyterLab, save it, and grade again")
    return () if major == 4 else ("the notebook did not say its format; it was read as format 4",)
