"""The tables of the site, made from marks, records and notebooks: units, components, published results, audit."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path

from notebook_pages import minutes_of_exercises, reading_time, title_of

from autograder.course.course import Course
from avae_lib import components

__all__ = ["audit_summary", "components_table", "results_page", "units_table"]

_RECORDS = Path("avae_lib/data/records")


def units_table(course: Course, folder: str = "") -> str:
    """The units with their lecture, their assignment and the time that each takes."""
    rows = ["| unit | lecture | reading | assignment | exercises |", "|---|---|---|---|---|"]
    for unit in course.units:
        lecture, assignment = course.lectures / f"{unit.name}.ipynb", course.released_notebook(unit)
        cells = [f"{unit.name[:2]} {unit.title}", "–", "–", "–", "–"]
        if lecture.is_file():
            cells[1] = f"[{title_of(lecture)}]({folder}lectures/{lecture.stem}.ipynb)"
            cells[2] = reading_time(lecture) or "–"
        if assignment.is_file():
            minutes = minutes_of_exercises(assignment)
            cells[3] = f"[{title_of(assignment)}]({folder}assignments/{assignment.stem}.ipynb)"
            cells[4] = f"{minutes} minutes" if minutes else "–"
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def components_table(root: Path) -> str:
    """The functions that students write, by unit, with the numbers of the audit."""
    audited = {row[0]: row for row in _audit_rows(root)}
    rows = [
        "| component | unit | what it computes | cases | mistakes caught | right answers accepted |",
        "|---|---|---|---|---|---|",
    ]
    for entry in components.listing():
        top = entry.reference.__module__.split(".")[1]
        sentence = (entry.reference.__doc__ or "").strip().split("\n")[0].replace("|", "\\|")
        _, _, cases, killed, accepted = audited.get(entry.name, ("", "", "", "", ""))[:5]
        rows.append(
            f"| [{entry.name}](../reference/{top}.md) | [{entry.unit[:2]}](../assignments/{entry.unit}.ipynb) "
            f"| {sentence} | {cases} | {killed} | {accepted} |"
        )
    return "\n".join(rows)


def _audit_rows(root: Path) -> list[list[str]]:
    """The rows of the audit's first table, the name of the component without its link."""
    table = re.findall(r"^\| \[(\w+)\]\(#\w+\) \|(.*)\|$", (root / "autograder/AUDIT.md").read_text("utf-8"), re.M)
    return [[name, *(cell.strip() for cell in rest.split("|"))] for name, rest in table]


def audit_summary(root: Path) -> str:
    """The audit's introduction and first table; the sentences about each mistake stay in the repository."""
    before, _, _ = (root / "autograder/AUDIT.md").read_text(encoding="utf-8").partition("\n## ")
    return re.sub(r"\[(\w+)\]\(#\w+\)", r"`\1`", before)


def results_page(root: Path, published: Mapping) -> str:
    """What others have published, beside what was measured here."""
    parts = [
        "# Published results, and ours",
        published["about"],
        "**No full-scale run has been done here.** The models measured here are small and trained for minutes on one "
        "CPU core; the published ones trained for days on GPUs. The last column shows which comparison exists, not how "
        "close it comes. ± is the standard deviation over seeds.",
    ]
    for table in published["tables"]:
        parts += [f"## {table['title']}", f"Unit: {table['unit']}.", _results_table(root, table)]
        if "experiment" in table:
            parts.append(f"[The experiment](../experiments/{table['experiment']}.md).")
    return "\n\n".join(parts) + "\n"


def _results_table(root: Path, table: Mapping) -> str:
    ours = _measured(root / _RECORDS / f"{table['record']}.json") if "record" in table else {}
    rows = ["| model | published | where it was read | here |", "|---|---|---|---|"]
    for row in table["rows"]:
        here = ours[row["ours"]] if "ours" in row else "not run"
        rows.append(f"| {row['model']} | {row['value']} | {row['source']} | {here} |")
    return "\n".join(rows)


def _measured(record: Path) -> dict[str, str]:
    """For each arm of an experiment, the bound on test images: mean and standard deviation over seeds."""
    found = {}
    for arm in json.loads(record.read_text(encoding="utf-8"))["arms"]:
        values = [run["test"]["bits_per_dim"] for run in arm["runs"] if run["test"]]
        spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
        found[arm["label"]] = f"{statistics.mean(values):.3f}{spread} ({arm['parameters']:,} parameters)"
    return found
