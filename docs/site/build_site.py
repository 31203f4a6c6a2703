"""Builds the course's site from the executed notebooks and the repository's pages; needs no network.

Run as ``python docs/site/build_site.py [--output build/site] [--only lectures reference …]``. Pages for Sphinx are
written beside the output, in a folder whose name ends in ``-pages``; both folders are made anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from course_tables import audit_summary, components_table, results_page, units_table
from notebook_pages import copy_download, first_figure, notebook_page, title_of
from reference_pages import reference_pages
from repository_pages import repository_page
from sphinx.cmd.build import main as sphinx_build

from autograder.course.course import Course

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

FRONT_PICTURES = {"digits": ("03_vae", 15), "faces": ("03_vae", 16), "depth": ("06_attentive_vae", 4)}
"""Figures of lectures on the front page: the name in index.md, the lecture, the figure's number."""

TEACHING_PAGES = {
    "CONTRIBUTING.md": "teaching/contributing.md",
    **{f"docs/{path.name}": f"teaching/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))},
    "autograder/SECURITY.md": "teaching/security.md",
    "autograder/PRIVACY.md": "teaching/privacy.md",
    "CHANGELOG.md": "teaching/changelog.md",
    "ROADMAP.md": "teaching/roadmap.md",
}
"""Pages of the repository that the site shows if they are there, in the order of its menu."""

PARTS = ("lectures", "assignments", "experiments", "teaching", "reference")


def main() -> int:
    """Write the pages and run Sphinx; returns its exit status, not 0 if the build of a whole site gave a warning."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "site", help="Folder of the site.")
    parser.add_argument("--course", type=Path, default=ROOT, help="Folder with course.toml, lectures, assignments.")
    parser.add_argument("--only", nargs="+", metavar="PAGE", help=f"Parts to build: {', '.join(PARTS)}, or NAME/UNIT.")
    choice = parser.parse_args()
    pages = choice.output.with_name(choice.output.name + "-pages")
    for folder in (pages, choice.output):
        shutil.rmtree(folder, ignore_errors=True)
    write_pages(Course.load(choice.course.resolve()), pages, tuple(choice.only or PARTS))
    words = [
        "-c",
        str(HERE),
        "-b",
        "html",
        "-q",
        "-d",
        str(pages / "doctrees"),
        "-D",
        f"html_extra_path={pages / 'files'}",
    ]
    (pages / "doctrees").mkdir()
    if choice.only:
        words += ["-D", "suppress_warnings=myst"]  # links to pages of other parts
    else:
        words += ["-W", "--keep-going"]
    return sphinx_build([*words, str(pages), str(choice.output)])


def write_pages(course: Course, pages: Path, only: tuple[str, ...]) -> None:
    """Write all pages for Sphinx, or those of some parts, into an empty folder."""
    shown = shown_files(course, only)
    front_page(course, pages)
    notebooks(course, pages, only)
    if "experiments" in only:
        experiments(course, pages, shown)
    if "teaching" in only:
        teaching(course, pages, shown)
    if "reference" in only:
        reference_pages(course.root / "avae_lib", pages / "reference")
    folders = ("course", "experiments", "teaching", "reference")
    made = [f"{name}/index" for name in folders if (pages / name / "index.md").is_file()]
    with (pages / "index.md").open("a", encoding="utf-8") as index:
        index.write(_toctree(made, hidden=True))


def shown_files(course: Course, only: tuple[str, ...]) -> dict[Path, str]:
    """For each file and folder of the repository that the site shows, the page that shows it."""
    found = {}
    for path in course_notebooks(course, only):
        found[path] = f"{_part_of(course, path)}/{path.name}"
    if "experiments" in only:
        found[course.root / "experiments"] = found[course.root / "experiments/README.md"] = "experiments/index.md"
        for path in (course.root / "experiments").glob("*/README.md"):
            found[path] = found[path.parent] = f"experiments/{path.parent.name}.md"
    if "teaching" in only:
        found |= {course.root / name: page for name, page in TEACHING_PAGES.items()}
        found[course.root / "autograder/AUDIT.md"] = "teaching/audit.md"
    if "reference" in only:
        found[course.root / "avae_lib"] = "reference/index.md"
        for path in (course.root / "avae_lib").rglob("*"):
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                top = path.relative_to(course.root / "avae_lib").parts[0].removesuffix(".py")
                found[path] = f"reference/{'avae_lib' if top.startswith('__') else top}.md"
    return {path.resolve(): page for path, page in found.items()}


def course_notebooks(course: Course, only: tuple[str, ...]) -> Iterator[Path]:
    """The notebooks that students open, in teaching order: of each unit its lecture, then its assignment."""
    for unit in course.units:
        lecture, assignment = course.lectures / f"{unit.name}.ipynb", course.released_notebook(unit)
        for part, path in (("lectures", lecture), ("assignments", assignment)):
            if path.is_file() and {part, f"{part}/{unit.name}"} & set(only):
                yield path


def _part_of(course: Course, path: Path) -> str:
    return "lectures" if path.parent.resolve() == course.lectures.resolve() else "assignments"


def front_page(course: Course, pages: Path) -> None:
    """The front page with its pictures: two of lectures, and the twins that the README shows."""
    folder = pages / "pictures"
    folder.mkdir(parents=True)
    texts = {"title": course.title, "units": units_table(course)}
    for name, (lecture, number) in FRONT_PICTURES.items():
        picture, words = first_figure(course.lectures / f"{lecture}.ipynb", number)
        (folder / f"{name}.png").write_bytes(picture)
        texts[f"alt_{name}"] = words
    shutil.copy(course.root / "experiments/digits_twins/twins.png", folder / "twins.png")
    text = (HERE / "index.md").read_text(encoding="utf-8")
    for name, value in texts.items():
        text = text.replace(f"@{name}@", value)
    (pages / "index.md").write_text(text, encoding="utf-8")


def notebooks(course: Course, pages: Path, only: tuple[str, ...]) -> None:
    """The lectures and the assignments, and the page that lists them in teaching order."""
    entries = []
    for path in course_notebooks(course, only):
        part = _part_of(course, path)
        files = pages / "files"
        page = notebook_page(path, files / "notebook_pictures", files / "downloads", course.colab_link(path))
        copy_download(path, files / "downloads")
        (pages / part).mkdir(exist_ok=True)
        nbformat.write(page, pages / part / path.name)
        kind = "Lecture" if part == "lectures" else "Assignment"
        entries.append(f"{kind} {path.name[:2]}: {title_of(path)} <../{part}/{path.stem}>")
    if entries:
        (pages / "course").mkdir()
        text = f"# Lectures and assignments\n\n{units_table(course, '../')}\n{_toctree(entries, hidden=True)}"
        (pages / "course/index.md").write_text(text, encoding="utf-8")


def experiments(course: Course, pages: Path, shown: dict[Path, str]) -> None:
    """The experiments' own pages, and the results beside published ones."""
    folder = course.root / "experiments"
    repository_page(folder / "README.md", pages / "experiments/index.md", shown, pages)
    readmes = sorted(folder.glob("*/README.md"))
    for path in readmes:
        repository_page(path, pages / shown[path.resolve()], shown, pages)
    published = json.loads((HERE / "published_results.json").read_text(encoding="utf-8"))
    (pages / "experiments/results.md").write_text(results_page(course.root, published), encoding="utf-8")
    with (pages / "experiments/index.md").open("a", encoding="utf-8") as index:
        index.write(_toctree(["results", *(path.parent.name for path in readmes)], hidden=True))


def teaching(course: Course, pages: Path, shown: dict[Path, str]) -> None:
    """What instructors read: components, the audit of the checks, security, privacy, contributing."""
    entries = ["components", "audit"]
    for name, page in TEACHING_PAGES.items():
        if (course.root / name).is_file():
            repository_page(course.root / name, pages / page, shown, pages)
            entries.append(Path(page).stem)
    folder = pages / "teaching"
    table = components_table(course.root)
    (folder / "components.md").write_text(
        "# Components: the functions that students write\n\nEach has cases that a right answer passes. The last two "
        "columns count the wrong solutions that the cases catch, and the right ones, written differently, that get "
        f"all points; [the audit](audit.md) says more.\n\n{table}\n",
        encoding="utf-8",
    )
    (folder / "audit.md").write_text(audit_summary(course.root), encoding="utf-8")
    (folder / "index.md").write_text((HERE / "teaching.md").read_text(encoding="utf-8") + _toctree(entries), "utf-8")


def _toctree(entries: list[str], hidden: bool = False) -> str:
    option = ":hidden:\n" if hidden else ""
    return "\n```{toctree}\n:maxdepth: 1\n" + option + "\n" + "\n".join(entries) + "\n```\n"


if __name__ == "__main__":
    sys.exit(main())
