"""The ``course`` command: release units, grade a class, return feedback, prove the grader."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from autograder.audit.command import audit
from autograder.class_commands import bring_up_to_date, export, extend, formgrader, report, similarity
from autograder.counts_and_lists import counted, in_short
from autograder.course.course import Course, CourseError
from autograder.course.course_file import read_course_file
from autograder.legible_output import legibly
from autograder.lms_commands import collect, feedback_zip, roster
from autograder.plain_text import legible
from autograder.regrade_command import regrade
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.kinds import DEFAULT_KIND, SandboxKind, require_kind, warning_about
from autograder.student_commands import answers, explain, forget, rename, status

__all__ = ["main"]

_DESCRIPTION = """Run a course: release its units, grade what students hand in, return feedback.

  course release 03                     solutions/ → assignments/
  course publish ../students            a repository for students, without answers
  course roster FILE                    the class list, from an export of Canvas, Moodle or Gradescope
  course collect 03 ZIP                 a download of Canvas, Moodle, Gradescope, nbgrader → submitted/
  course grade 03                       submitted/<student>/03_vae/ → gradebook
  course grade 03 --submitted DIR --json results.json --feedback pages
  course status 03                      who handed in what, and what waits for whom
  course answers 03                     written answers of all students on one page, graded by keyboard
  course formgrader 03                  submissions in the browser, one by one
  course feedback 03                    a page per student in feedback/
  course feedback 03 --zip moodle       the pages as an archive to upload to Moodle or Canvas
  course report 03                      where students stumble, with plots
  course similarity 03                  answers that are suspiciously alike
  course export --format canvas         grades for Canvas, Moodle, Gradescope or a spreadsheet
  course extend ada 03 2 --reason ill   more days for one student
  course regrade add ada 03 --reason …  a request to look again; list, close with a decision
  course explain ada 03 negative_elbo   one answer judged again: inputs, expected and actual results
  course forget ada                     remove all data about one student
  course rename ada lovelace            give a student another id, everywhere
  course audit                          wrong solutions must fail by name, right ones must pass
  course sandbox-image                  for machines without bubblewrap: an image for docker or podman
  course doctor                         what this machine offers

Units are named by number or in full. Run it anywhere inside the course folder."""

_NO_REPOSITORY = (
    "course.toml names no repository, so there are no Colab badges, and the notebooks work only in a copy of this "
    "folder. Name it there and run: python -m autograder.authoring.notebooks && course release && course publish DIR"
)
_IN_HISTORY = (
    "the git history of this folder holds answers that this edition keeps back ({} places, for example: {}). Anyone "
    "who clones it can read them: publish into a new repository"
)
_Units = Annotated[tuple[str, ...], tyro.conf.arg(metavar="UNIT ...")]
_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status: 1 if it failed, 2 if it was misused, 130 if interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    commands = {command.__name__.replace("_", "-"): legibly(command) for command in _COMMANDS}
    try:
        status = tyro.extras.subcommand_cli_from_dict(
            commands, prog="course", description=_DESCRIPTION, args=arguments or ["--help"]
        )
    except KeyboardInterrupt:
        return _complain("stopped; what was finished is recorded", 130)
    except (CourseError, SandboxUnavailable) as error:
        return _complain(str(error), 1)
    except OSError as error:
        return _complain(f"{error.strerror}: {error.filename}" if error.filename else str(error), 1)
    return status or 0


def release(
    units: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="[UNIT ...]")] = (),
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Make assignments/ from solutions/: stubs in place of solutions, nothing else along.

    All units are built and checked before the first earlier release is replaced; if one fails, nothing changes.

    Args:
        units: Units to release, as 03 or 03_vae; all that have a solution if none is named.
        force: Release even if students have been graded and graded cells were added, removed or renamed. Remaining
            cells keep their grades; grades of removed cells are deleted from the gradebook.
    """
    from autograder.authoring import release as releasing

    course = Course.find()
    _warn_about_course_file(course)
    for notebook in releasing.release(course, [course.unit(unit) for unit in units], force=force):
        bring_up_to_date(course, notebook.parent.name)
        print(_shown(notebook))


def publish(
    destination: Annotated[Positional[Path], tyro.conf.arg(metavar="DIR", help="Where the repository is written.")],
    through: Annotated[str | None, tyro.conf.arg(metavar="UNIT")] = None,
    with_answers_of: _Units = (),
    without_answers_of: _Units = (),
    overwrite: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH ...")] = (),
) -> None:
    """Write a repository for students: lectures, assignments, and their edition of the library.

    The library contains the functions of all earlier units that are closed. A unit stays open until its due date, the
    days for late work and the longest extension are over; without a due date it is always open. For each earlier unit
    that is still open, say whether its answers are included: --with-answers-of or --without-answers-of. Publish into
    the same folder again to update it. Files that were changed there since are kept and listed.

    Args:
        through: Last unit to include; by default the first that is still open.
        with_answers_of: Earlier units whose answers are included although the units are still open.
        without_answers_of: Earlier units whose functions stay stubs; students use their own answers.
        overwrite: Files or folders in DIR to replace even if they were changed there.
    """
    from autograder.authoring import publication
    from autograder.authoring.editions import edition_for
    from autograder.authoring.published_files import MOST_NAMED

    course = Course.find()
    _warn_about_course_file(course)
    named = [[course.unit(unit) for unit in units] for units in (with_answers_of, without_answers_of)]
    edition = edition_for(course, course.unit(through) if through else None, *named)
    kept = publication.publish(course, destination, edition, overwrite)
    print(f"{destination}: {edition.summary}")
    for remark in edition.remarks:
        print(f"  {remark}")
    if kept:
        print(f"  kept, because they were changed after they were published: {in_short(kept, MOST_NAMED)}")
        print("  to replace them: course publish … --overwrite PATH")
    if found := publication.answers_in_history(course, destination, edition):
        print(f"course: warning: {_IN_HISTORY.format(len(found), found[0])}", file=sys.stderr)
    if course.repository is None:
        print(f"course: warning: {_NO_REPOSITORY}", file=sys.stderr)


def grade(
    unit: Positional[_Unit],
    submitted: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    feedback: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    sandbox: SandboxKind = DEFAULT_KIND,
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS")] = None,
    again: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Grade what a class handed in for a unit, each submission in a sandbox.

    Points go into the gradebook, where formgrader shows them; points given by hand are kept. What cannot be graded
    is quarantined with the reason, and the others go on. Results are kept: what was graded before, and would come out
    the same, is not graded again, so that a run which was stopped goes on where it was.

    Args:
        submitted: Grade this folder, laid out <student>/<unit>/*.ipynb, and leave the course's gradebook alone.
        workers: Submissions graded at the same time; by default one per core, up to 8, or what keeps the cluster busy.
        json: Write the results to this file too.
        feedback: Write a page per submission into this folder too.
        sandbox: Where students' code runs: bubblewrap, on Linux; a container of docker or podman, which needs course
            sandbox-image once; none, which protects nothing and is only for code that you trust.
        scheduler: Grade on the workers of a dask cluster, as tcp://host:8786. They need this version of the course
            installed and a sandbox, but none of its files. dask-jobqueue starts them on Slurm.
        again: Grade everything anew, also what was graded before.
    """
    if scheduler is None:
        require_kind(sandbox)
    elif sandbox == "none":
        raise CourseError("--sandbox none is for this machine only, not for those of a cluster: leave --scheduler out")
    from autograder.batch.class_run import ClassRun  # reading notebooks costs a second, which --help should not pay
    from autograder.lifetimes import exit_when_told

    if workers is not None and workers < 1:
        raise CourseError(f"--workers must be at least 1, got {workers}")
    course = Course.find()
    run = ClassRun(course, course.unit(unit), submitted, workers, json, feedback, sandbox, scheduler, again)
    if warning := warning_about(sandbox):
        print(f"course: warning: {warning}", file=sys.stderr)
    exit_when_told()
    run.grade()
    if submitted is None:
        bring_up_to_date(course, unit)
        if feedback is not None:
            from autograder.feedback.class_feedback import write_feedback

            write_feedback(course, course.unit(unit), feedback)
    for place in filter(None, (json, feedback)):
        print(_shown(place))


def feedback(unit: Positional[_Unit], zip: Literal["canvas", "moodle", "gradescope"] | None = None) -> None:
    """Write a feedback page for each graded student to feedback/<student>/<unit>/.

    Run it again after grading written answers by hand: the pages show the points and comments given.

    Args:
        zip: Also write the pages into exports/ as a zip archive to upload to Canvas or Moodle. Only for work collected
            from there; Gradescope accepts no such archive.
    """
    from autograder.course.lock import course_lock
    from autograder.feedback.class_feedback import write_feedback

    course = Course.find()
    with course_lock(course, f"course feedback {unit}"):
        pages = write_feedback(course, course.unit(unit))
    print(f"{counted(len(pages), 'page')}, for example {_shown(pages[0])}")
    if zip is not None:
        feedback_zip(course, course.unit(unit), zip, pages)


def sandbox_image() -> None:
    """Build the image for --sandbox container with docker or podman: once, and again after an upgrade of packages.

    It holds this environment's Python and those of its packages that students may use, and nothing of the course.
    """
    from autograder.sandbox.container_image import build_image

    print(build_image())


def doctor() -> int:
    """Say what this machine offers for grading, what is missing, and what mends it; tries walls and limits.

    The exit status is 1 if nothing can be graded here.
    """
    from autograder.batch.class_run import usual_workers
    from autograder.doctor import examine

    return 0 if examine(usual_workers()) else 1


_COMMANDS = (
    release,
    publish,
    roster,
    collect,
    grade,
    status,
    answers,
    formgrader,
    feedback,
    report,
    similarity,
    export,
    extend,
    regrade,
    explain,
    forget,
    rename,
    audit,
    sandbox_image,
    doctor,
)


def _warn_about_course_file(course: Course) -> None:
    """Print warnings about ``course.toml``, for example weights that do not add up to 100."""
    for warning in read_course_file(course.root / "course.toml").warnings:
        print(f"course: warning: course.toml: {legible(warning)}", file=sys.stderr)


def _shown(path: Path) -> str:
    """A path as seen from where the command runs, if that is shorter."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _complain(message: str, status: int) -> int:
    print(f"course: {legible(message)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
