"""A course: its folder, title, units and late policy, read from ``course.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Literal

from autograder.course.course_file import KINDS, read_course_file
from autograder.course.late_policy import LatePolicy, due_moment, time_zone
from avae_lib.errors import UserError

__all__ = ["Course", "CourseError", "Unit"]


class CourseError(UserError):
    """Something about the course folder or a name given by the user is wrong; the message says what to do."""


@dataclass(frozen=True)
class Unit:
    """One unit of the course.

    Attributes:
        name: also the name of its folders and of nbgrader's assignment, for example ``03_vae``.
        title: as students read it.
        weight: percentage of the course grade.
        due: due date in UTC; None if there is none.
        canvas_id: the number of its assignment in Canvas; None if unknown.
        kind: where its automatic points come from: ``components`` are functions that students write, a ``capstone`` is
            a model that they train and hand in as files beside the notebook.
    """

    name: str
    title: str
    weight: float
    due: datetime | None = None
    canvas_id: int | None = None
    kind: Literal["components", "capstone"] = "components"


@dataclass(frozen=True)
class Course:
    """A course folder, laid out like nbgrader's, with ``solutions/`` as its source and ``assignments/`` as its release.

    Attributes:
        root: the folder that contains ``course.toml``.
        title: as students read it.
        repository: ``OWNER/NAME`` of the students' repository on GitHub, for Colab links; None if there is none.
        branch: the branch of that repository.
        units: in teaching order.
        late_policy: what late work costs.
        roster: the file with the class list; None if ``course.toml`` names none.
        private_images: a file of images that no student has, on which capstones are judged; None to use held-out crops
            chosen by the course's secret.
        baseline_bpd: bits per dimension that capstones have to beat; None to measure the baseline.
        zone: the time zone of times written without one.
    """

    root: Path
    title: str
    repository: str | None
    branch: str
    units: tuple[Unit, ...]
    late_policy: LatePolicy = field(default_factory=LatePolicy)
    roster: Path | None = None
    private_images: Path | None = None
    baseline_bpd: float | None = None
    zone: tzinfo = UTC

    @classmethod
    def find(cls, start: Path | None = None) -> Course:
        """Load the course that ``start`` (by default the current folder) lies in.

        Raises:
            CourseError: no folder from ``start`` upwards holds a ``course.toml``, or something in it is wrong.
        """
        return cls.load(cls.find_root(start))

    @staticmethod
    def find_root(start: Path | None = None) -> Path:
        """The folder of the course that ``start`` lies in; its ``course.toml`` is not read.

        Raises:
            CourseError: no folder from ``start`` upwards holds a ``course.toml``.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "course.toml").is_file():
                return folder
        raise CourseError(f"no course.toml in {start} or above it: run this inside the course folder")

    @classmethod
    def load(cls, root: Path) -> Course:
        """Load the course in the folder ``root``.

        Raises:
            CourseError: something in ``course.toml`` is wrong; the message lists all of it, with lines.
        """
        file = read_course_file(root / "course.toml")
        if file.errors:
            raise CourseError(_listed(root / "course.toml", [str(problem) for problem in file.errors]))
        facts = file.facts
        zone = time_zone(facts.get("time_zone", "UTC"))
        return cls(
            root,
            facts["title"],
            facts.get("repository"),
            facts["branch"],
            tuple(_unit(unit, zone) for unit in facts["units"]),
            LatePolicy.from_facts(facts.get("late_policy", {})),
            root / facts["roster"] if "roster" in facts else None,
            zone=zone,
            **_capstone(facts.get("capstone", {}), root),
        )

    def unit(self, name: str) -> Unit:
        """The unit with the given name (``03_vae``) or number (``03``).

        Raises:
            CourseError: no unit has that name or number, or several have the number.
        """
        found = [unit for unit in self.units if name in (unit.name, unit.name.split("_")[0])]
        exact = [unit for unit in found if unit.name == name]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            raise CourseError(f"{name!r} could be {' or '.join(unit.name for unit in found)}: write the whole name")
        names = ", ".join(unit.name for unit in self.units)
        raise CourseError(f"no unit is called {name!r}: choose one of the units in course.toml ({names})")

    def before(self, unit: Unit) -> tuple[Unit, ...]:
        """The units that come before ``unit``."""
        return self.units[: self.units.index(unit)]

    @property
    def lectures(self) -> Path:
        return self.root / "lectures"

    @property
    def solutions(self) -> Path:
        return self.root / "solutions"

    @property
    def assignments(self) -> Path:
        return self.root / "assignments"

    @property
    def submitted(self) -> Path:
        return self.root / "submitted"

    @property
    def gradebook(self) -> Path:
        return self.root / "gradebook.db"

    @property
    def records(self) -> Path:
        """The grader's own folder, with the secret, the audit log and results."""
        return self.root / ".course"

    def released_notebook(self, unit: Unit) -> Path:
        """The path of a unit's notebook for students; it exists once the unit is released."""
        return self.assignments / unit.name / f"{unit.name}.ipynb"

    def require_released(self, unit: Unit) -> Path:
        """The notebook that students were given for a unit.

        Raises:
            CourseError: the unit has not been released.
        """
        path = self.released_notebook(unit)
        if not path.is_file():
            raise CourseError(f"{unit.name} is not released ({path} does not exist): run course release {unit.name}")
        return path

    def results_of(self, unit: Unit) -> Path:
        """The folder of the latest results of a unit, one file per student."""
        return self.records / "results" / unit.name

    def colab_link(self, notebook: Path) -> str | None:
        """The address that opens a notebook of the students' repository in Colab; None if there is no repository."""
        if self.repository is None:
            return None
        inside = notebook.resolve().relative_to(self.root.resolve()).as_posix()
        return f"https://colab.research.google.com/github/{self.repository}/blob/{self.branch}/{inside}"


def _listed(path: Path, problems: list[str]) -> str:
    """The problems as one message on one line; several are numbered."""
    if len(problems) == 1:
        return f"{path}, {problems[0]}" if problems[0].startswith("line ") else f"{path}: {problems[0]}"
    numbered = (f"({number}) {problem}" for number, problem in enumerate(problems, start=1))
    return f"{path} has {len(problems)} mistakes: {'; '.join(numbered)}"


def _capstone(facts: Mapping[str, Any], root: Path) -> dict[str, Any]:
    private = facts.get("private_images")
    return {"private_images": root / private if private else None, "baseline_bpd": facts.get("baseline_bpd")}


def _unit(facts: Mapping[str, Any], zone: tzinfo) -> Unit:
    due = due_moment(facts.get("due"), zone)
    kind = facts.get("kind", KINDS[0])
    return Unit(facts["name"], facts["title"], facts["weight"], due, facts.get("canvas_id"), kind)
