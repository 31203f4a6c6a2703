"""A short demonstration: release unit 03, grade four example submissions in the sandbox, write feedback.

Run ``python -m autograder.demo`` inside the course folder. It writes to ``demo/`` and ``assignments/``; the course's
gradebook stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from autograder.batch.class_run import ClassRun
from autograder.batch.terminal_summary import points_table
from autograder.course.course import Course, Unit
from autograder.examples import write_example_submissions
from autograder.feedback.class_feedback import OutsidePages
from autograder.plain_text import printable
from autograder.results import SubmissionResult
from autograder.sandbox.bubblewrap import SandboxUnavailable, require_sandbox
from avae_lib.errors import UserError, one_line

__all__ = ["attempts", "main"]

_UNIT = "03_vae"


def main() -> int:
    """Run the demonstration and return the exit status; a machine without a sandbox gets a message and 0."""
    try:
        require_sandbox()
    except SandboxUnavailable as trouble:
        print(f"Grading is not shown: {trouble}")
        return 0
    try:
        course = Course.find()
        play(course, course.unit(_UNIT))
    except UserError as error:
        print(f"demo: {one_line(error)}", file=sys.stderr)
        return error.exit_status
    return 0


def play(course: Course, unit: Unit) -> None:
    """Release a unit, grade its example submissions, and print where to find the results."""
    from autograder.releasing.release import release

    print(f"Releasing {unit.name}: assignments/ is made from solutions/, with stubs in place of the solutions")
    release(course, [unit])
    folder = course.root / "demo"
    submissions = write_example_submissions(course, unit, folder / "submitted")
    print(f"Grading {len(submissions)} example submissions, each in a sandbox")
    pages = OutsidePages(course, unit, folder / "feedback")
    run = ClassRun(course, unit, folder / "submitted", 2, folder / "results.json", pages)
    results = run.grade()
    print(f"\n{points_table(results)}\n")
    print("Mallory's tricks and their points:")
    for line in attempts(results):
        print(f"  {line}")
    print("Feedback pages, one per student:")
    for result in results:
        print(f"  demo/feedback/{result.student}/{unit.name}/{unit.name}.html")
    print(_NEXT)


def attempts(results: Sequence[SubmissionResult]) -> Iterator[str]:
    """One line for each of mallory's tricks: the trick, its points, and the feedback."""
    scores = {result.student: result.components for result in results}["mallory"]
    for component, trick in _TRICKS.items():
        score = scores[component]
        told = next(case.diagnosis for case in score.cases if not case.passed)
        yield f"{component} {trick}: {score.points:g}/{score.max_points:g}, feedback “{printable(told, 100)}”"


_TRICKS = {
    "reparameterize": "exits its process with status 200",
    "bernoulli_log_likelihood": "puts a script into the message of an exception",
    "negative_elbo": "calls importance_weighted_bound, which calls it back",
}

_NEXT = """
What to try next
  open runs/digits-attentive/report.html        the model that was trained
  open demo/feedback/ben/03_vae/03_vae.html     what a student gets back
  jupyter lab assignments/03_vae/03_vae.ipynb   the exercises, as students see them
  course grade 03 --submitted demo/submitted    grade again; edit a submission first
  course --help, avae --help                    everything else
(the programs are in .venv/bin: source .venv/bin/activate)"""


if __name__ == "__main__":
    sys.exit(main())
