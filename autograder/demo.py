"""Play the course once: release unit 03, grade four example submissions in the sandbox, return feedback.

Run as ``python -m autograder.demo`` inside the course folder. Everything but the released assignment is written to
``demo/``; the course's gradebook is left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from autograder.batch.class_run import ClassRun
from autograder.batch.class_table import points_table
from autograder.course.course import Course, CourseError, Unit
from autograder.examples import write_example_submissions
from autograder.plain_text import printable
from autograder.results import SubmissionResult
from autograder.sandbox.bubblewrap import SandboxUnavailable, require_sandbox

__all__ = ["attempts", "main"]

_UNIT = "03_vae"


def main() -> int:
    """Play the course; returns the exit status, which is 0 also where there is no sandbox to play it in."""
    try:
        require_sandbox()
    except SandboxUnavailable as trouble:
        print(f"Grading is not shown: {trouble}")
        return 0
    try:
        course = Course.find()
        play(course, course.unit(_UNIT))
    except CourseError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def play(course: Course, unit: Unit) -> None:
    """Release a unit, grade its example submissions, and say where to look."""
    from autograder.authoring.release import release

    print(f"Releasing {unit.name}: solutions/ without its solutions becomes assignments/")
    release(course, [unit])
    folder = course.root / "demo"
    submissions = write_example_submissions(course, unit, folder / "submitted")
    print(f"Grading {len(submissions)} example submissions, each in a sandbox")
    run = ClassRun(course, unit, folder / "submitted", 2, folder / "results.json", folder / "feedback")
    results = run.grade()
    print(f"\n{points_table(results)}\n")
    print("What mallory tried, and what came of it:")
    for line in attempts(results):
        print(f"  {line}")
    print("Feedback pages, one per student:")
    for result in results:
        print(f"  demo/feedback/{result.student}/{unit.name}/{unit.name}.html")
    print(_NEXT)


def attempts(results: Sequence[SubmissionResult]) -> Iterator[str]:
    """A line for each of mallory's tricks: what it is, its points, and what its author is told."""
    scores = {result.student: result.components for result in results}["mallory"]
    for component, trick in _TRICKS.items():
        score = scores[component]
        told = next(case.diagnosis for case in score.cases if not case.passed)
        yield f"{component} {trick}: {score.points:g}/{score.max_points:g}, told “{printable(told, 100)}”"


_TRICKS = {
    "reparameterize": "ends its process with status 200",
    "bernoulli_log_likelihood": "puts a script into the text of an exception",
    "negative_elbo": "calls importance_weighted_bound, which calls it in turn",
}

_NEXT = """
What to try next
  open runs/digits-attentive/report.html        the model that was trained
  open demo/feedback/ben/03_vae/03_vae.html     what a student gets back
  jupyter lab assignments/03_vae/03_vae.ipynb   the exercises, as students see them
  course grade 03 --submitted demo/submitted    grade again; edit a submission first
  course --help, avae --help                    all the rest
(the programs are in .venv/bin: source .venv/bin/activate)"""


if __name__ == "__main__":
    sys.exit(main())
