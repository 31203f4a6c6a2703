"""Turns the notebooks that students open into pages of the site."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

__all__ = ["copy_download", "first_figure", "minutes_of_exercises", "notebook_page", "reading_time", "title_of"]

_BADGE = re.compile(r"\[!\[Open in Colab\]\([^)]*\)\]\(([^)]*)\)\s*")
_PICTURE = re.compile(r'<img (?P<facts>[^>]*?)src="data:image/png;base64,(?P<bytes>[A-Za-z0-9+/=\s]+)"')
_FIGURE = re.compile(r"\*\*Figure (\d+)\.")


def notebook_page(path: Path, folder: Path, downloads: Path, colab: str | None) -> NotebookNode:
    """A notebook as the site shows it; its pictures are written into files of their own.

    Args:
        path: the notebook.
        folder: the folder of the site's pictures for notebooks.
        downloads: the folder of the site's copies of notebooks, for the page's link to one.
        colab: the address that opens the notebook in Colab; None if the course names no repository.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = _with_links(notebook.cells[0].source, path, downloads, colab)
    names = (f"{path.parent.name}-{path.stem}-{number}.png" for number in range(1, 10_000))
    for cell in notebook.cells:
        cell.metadata.pop("nbgrader", None)
        if cell.cell_type == "markdown":
            cell.source = _pictures_into_files(cell.source, folder, names)
            continue
        if _is_set_up(cell):
            cell.metadata["tags"] = ["hide-input"]
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html")
            if html:
                output.data["text/html"] = _pictures_into_files(html, folder, names)
                output.data.pop("text/plain", None)
    return notebook


def _is_set_up(cell: NotebookNode) -> bool:
    return "notebook_setup import ready" in cell.source or "util.find_spec(" in cell.source


def _with_links(source: str, path: Path, downloads: Path, colab: str | None) -> str:
    """The first cell, with links below its title that take the notebook away."""
    title, _, rest = _BADGE.sub("", source).partition("\n")
    links = [f'<a href="../{downloads.name}/{_download_name(path)}" download>Download the notebook</a>']
    if colab:
        links.insert(0, f'<a href="{colab}">Open in Colab</a>')
    return f'{title}\n\n<p class="take-away">{" ".join(links)}</p>\n{rest}'


def _download_name(path: Path) -> str:
    kind = "assignment" if path.parent.name == path.stem else "lecture"
    return f"{kind}_{path.name}"


def copy_download(path: Path, downloads: Path) -> None:
    """Put a copy of a notebook where its page links to it."""
    downloads.mkdir(parents=True, exist_ok=True)
    (downloads / _download_name(path)).write_bytes(path.read_bytes())


def _pictures_into_files(text: str, folder: Path, names) -> str:
    """Pictures written inside the text, which a browser would load before the page, become files it loads when needed.

    A picture that a slider changes stays where it is: its script finds it beside itself.
    """

    def written(match: re.Match) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        name = next(names)
        (folder / name).write_bytes(base64.b64decode(match["bytes"]))
        return f'<img loading="lazy" {match["facts"]}src="../{folder.name}/{name}"'

    return text if "<script" in text else _PICTURE.sub(written, text)


def first_figure(path: Path, number: int) -> tuple[bytes, str]:
    """The picture of a lecture's figure and its description.

    Raises:
        LookupError: the lecture has no such figure.
    """
    latest = None
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", ()):
            found = re.search(
                r'<img [^>]*?alt="([^"]*)"[^>]*?base64,([A-Za-z0-9+/=]+)"',
                output.get("data", {}).get("text/html", ""),
            )
            latest = (base64.b64decode(found[2]), found[1]) if found else latest
        caption = _FIGURE.match(cell.source)
        if caption and int(caption[1]) == number and latest:
            return latest
    raise LookupError(f"{path} has no figure {number}")


def title_of(path: Path) -> str:
    """The title of a notebook, without the number of its unit."""
    first = nbformat.read(path, as_version=4).cells[0].source
    return re.search(r"^# (?:Unit \d+: )?(.*)$", first, re.MULTILINE)[1]


def reading_time(path: Path) -> str:
    """How long a lecture takes to read, in the words of its header; empty if it does not say."""
    found = re.search(r"^\| reading \| ([^,|]*)", nbformat.read(path, as_version=4).cells[0].source, re.MULTILINE)
    return found[1].strip() if found else ""


def minutes_of_exercises(path: Path) -> int:
    """The minutes that the table at the top of an assignment adds up to."""
    rows = re.findall(r"^\|.*\|$", nbformat.read(path, as_version=4).cells[0].source, re.MULTILINE)
    return sum(int(minutes) for row in rows for minutes in re.findall(r"\| (\d+) min", row))
