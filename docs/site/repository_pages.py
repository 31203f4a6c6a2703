"""Turns pages of the repository into pages of the site: links lead to the site, or become plain words."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["repository_page"]

_LINK = re.compile(r"(?<!!)\[([^\[\]]*)\]\(([^()\s]+)\)")
_PICTURE = re.compile(r"!\[([^\]]*)\]\(([^()\s]+)\)")


def repository_page(path: Path, page: Path, pages: Mapping[Path, str], source: Path) -> None:
    """Write a Markdown page of the repository as a page of the site, with its pictures.

    Args:
        path: the Markdown file in the repository.
        page: the file to write, below ``source``.
        pages: for each file of the repository that the site shows, the page that shows it, below ``source``.
        source: the folder of the site's pages.
    """
    page.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    for _, target in _PICTURE.findall(text):
        shutil.copy(path.parent / target, page.parent / Path(target).name)
    text = _PICTURE.sub(lambda found: f"![{found[1]}]({Path(found[2]).name})", text)
    page.write_text(_LINK.sub(lambda found: _link(found, path, page, pages, source), text), encoding="utf-8")


def _link(found: re.Match, path: Path, page: Path, pages: Mapping[Path, str], source: Path) -> str:
    words, address = found[1], found[2]
    if re.match(r"[a-z]+:|#", address):
        return found[0]
    target, _, anchor = address.partition("#")
    shown = pages.get((path.parent / target).resolve())
    if shown is None:
        return words  # a file that the site does not show
    relative = os.path.relpath(source / shown, page.parent)
    return f"[{words}]({relative}{'#' + anchor if anchor else ''})"
