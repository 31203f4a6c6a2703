"""The ``course`` command: release units, grade a class, return feedback, prove the grader."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from autograder.commands.audit_command import audit
from autograder.commands.class_commands import bring_up_to_date, export, extend, formgrader, report, similarity
from autograder.commands.lms_commands import collect, feedback_zip, roster
from autograder.commands.regrade_commands import regrade
from autograder.commands.student_commands import answers, explain, forget, rename, status
from autograder.counts_and_lists import counted, in_short
from autograder.course.course import Course, CourseError, Unit
from autograder.course.course_file import read_course_file
from autograder.plain_text import legible, legibly
from autograder.sandbox.sandbox_kinds import DEFAULT_KIND, SandboxKind, require_kind, warning_about
from avae_lib.errors import UserError, one_line

if TYPE_CHECKING:
    from autograder.batch.class_run import PageWriter

__all__ = ["main"]

_DESCRIPTION = """Run a course: release its units, grade what students hand in, return feedback.

  course release 03                     solutions/ → assignments/
  course publish ../students            a repository for students, without answers
  course roster FILE                    the class list, from an export of Canvas, Moodle or Gradescope
  course collect 03 ZIP                 a download from Canvas, Moodle, Gradescope or nbgrader → submitted/
  course grade 03                       submitted/<student>/03_vae/ → gradebook
  course grade 03 --submitted DIR --json results.json --feedback pages
  course status 03                      who handed in what, and what is left to do
  course answers 03                     grade the class's written answers on one page, by keyboard
  course formgrader 03                  submissions in the browser, one by one
  course feedback 03                    a page per student in feedback/
  course feedback 03 --zip moodle       the pages as an archive to upload to Moodle or Canvas
  course report 03                      where students stumble, with plots
  course similarity 03                  answers that are suspiciously alike
  course export --format canvas         grades for Canvas, Moodle, Gradescope or a spreadsheet
  course extend ada 03 2 --reason ill   two more days for one student
  course regrade add ada 03 --reason …  record a regrade request; then: regrade list, regrade close
  course explain ada 03 negative_elbo   judge one answer again: inputs, expected and actual results
  course forget ada                     remove all data about one student
  course rename ada lovelace            give a student another id, everywhere
  course audit                          test the grader on known wrong and right solutions
  course sandbox-image                  build an image for docker or podman, for machines without bubblewrap
  course doctor                         check this machine and the course folder

A unit is named by its number (03) or in full (03_vae). Run course anywhere inside the course folder.

Exit status: 0 if all went well; 1 if the command failed, with one line that says why; 2 for wrong arguments; 130 if it
was interrupted. course audit also ends with 1 if a check is wrong, and course doctor if nothing can be graded here."""

_NO_REPOSITORY = (
    "course.toml names no repository, so there are no Colab badges, and the notebooks work only in a copy of this "
    'folder. Add repository = "OWNER/NAME" to course.toml and run: '
    "python -m autograder.authoring.notebooks && course release && course publish DIR"
)
_IN_HISTORY = (
    "the git history of this folder contains answers that this edition leaves out ({} places, for example: {}). Anyone "
    "who clones it can read them: publish into a new repository"
)
_OURS = ("autograder", "avae_lib", "")
_NOT_INSTALLED = (
    "this needs {}, which is not installed: run make setup in a copy of the repository, or install the wheel with its "
    "extra, pip install 'avae-VERSION-py3-none-any.whl[course]'"
)
_Units = Annotated[tuple[str, ...], tyro.conf.arg(metavar="UNIT ...", help_behavior_hint="")]
_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 1 if it failed, 2 for wrong arguments, 130 if interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    commands = {command.__name__.replace("_", "-"): legibly(command) for command in _COMMANDS}
    try:
        status = tyro.extras.subcommand_cli_from_dict(
            commands, prog="course", description=_DESCRIPTION, args=arguments or ["--help"]
        )
    except KeyboardInterrupt:
        return _complain("stopped; what was finished is recorded", 130)
    except UserError as error:
        return _complain(one_line(error), error.exit_status)
    except OSError as error:
        return _complain(one_line(error), 1)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] in _OURS:
            raise
        return _complain(_NOT_INSTALLED.format(missing.name), 1)
    return status or 0


def release(
    units: Annotated[Positional[tuple[str, ...]], tyro.conf.arg(metavar="[UNIT ...]", help_behavior_hint="")] = (),
    force: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Make assignments/ from solutions/, with stubs in place of the solutions.

    All units are built and checked before the first earlier release is replaced; if one fails, nothing changes.

    Args:
        units: Units to release, as 03 or 03_vae; by default all that have a solution.
        force: Release even if students have been graded and graded cells were added, removed or renamed. Remaining
            cells keep their grades; grades of removed cells are deleted from the gradebook.
    """
    from autograder.releasing import release as releasing

    course = Course.find()
    _warn_about_course_file(course)
    for notebook in releasing.release(course, [course.unit(unit) for unit in units], force=force):
        bring_up_to_date(course, notebook.parent.name)
        print(_shown(notebook))


def publish(
    destination: Annotated[Positional[Path], tyro.conf.arg(metavar="DIR", help="Folder to write the repository to.")],
    through: Annotated[str | None, tyro.conf.arg(metavar="UNIT", help_behavior_hint="")] = None,
    with_answers_of: _Units = (),
    without_answers_of: _Units = (),
    overwrite: Annotated[tuple[str, ...], tyro.conf.arg(metavar="PATH ...", help_behavior_hint="")] = (),
) -> None:
    """Write a repository for students: lectures, assignments, and their edition of the library.

    The library contains the functions of all earlier units that are closed. A unit closes when its due date, the days
    for late work and the longest extension have passed; a unit without a due date never closes. For each earlier unit
    that is still open, say whether its answers are included: --with-answers-of or --without-answers-of. To update the
    repository, publish into the same folder again. Files that were changed there are kept and listed.

    Args:
        through: Last unit to include; by default the first that is still open.
        with_answers_of: Open units before the last whose answers are included in the library.
        without_answers_of: Open units before the last whose functions stay stubs; students use their own answers.
        overwrite: Files or folders in DIR to replace even if they were changed there.
    """
    from autograder.releasing import publication
    from autograder.releasing.published_files import MOST_NAMED
    from autograder.releasing.units_to_publish import edition_for

    course = Course.find()
    _warn_about_course_file(course)
    given, withheld = ([course.unit(unit) for unit in units] for units in (with_answers_of, without_answers_of))
    edition = edition_for(course, course.unit(through) if through else None, given, withheld)
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
    submitted: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
    workers: Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")] = None,
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None,
    feedback: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")] = None,
    sandbox: SandboxKind = DEFAULT_KIND,
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS", help_behavior_hint="")] = None,
    again: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Grade all submissions for a unit, each in a sandbox.

    Points go into the gradebook, where formgrader shows them; points given by hand are kept. A submission that cannot
    be graded is quarantined with the reason; the run continues. Results are kept and reused as long as a new run would
    give the same, so a run that was stopped can be started again and continues where it was.

    Args:
        submitted: Grade this folder, laid out <student>/<unit>/*.ipynb, and leave the course's gradebook unchanged. By
            default submitted/ in the course folder.
        workers: Number of submissions graded at the same time; by default one per core, up to 8, or as many as the
            cluster has workers for.
        json: Also write the results to this file, as JSON.
        feedback: Also write a feedback page for each submission into this folder.
        sandbox: Where students' code runs. bubblewrap needs Linux. container uses docker or podman; run course
            sandbox-image once before. none protects nothing: use it only for code that you trust.
        scheduler: Grade on the workers of a dask cluster, for example tcp://host:8786. The workers need the same
            version of the course and a sandbox, but no files of the course folder. dask-jobqueue starts them on Slurm.
        again: Grade all submissions again; reuse no earlier result.
    """
    if scheduler is None:
        require_kind(sandbox)
    elif sandbox == "none":
        raise CourseError("--sandbox none works on this machine only, not on a cluster: leave out --scheduler")
    from autograder.batch.class_run import ClassRun  # takes a second to import; --help should not wait for it
    from autograder.process_lifetimes import exit_when_told

    if workers is not None and workers < 1:
        raise CourseError(f"--workers must be at least 1, got {workers}")
    course = Course.find()
    pages = _pages(course, course.unit(unit), feedback)
    run = ClassRun(course, course.unit(unit), submitted, workers, json, pages, sandbox, scheduler, again)
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


def _pages(course: Course, unit: Unit, folder: Path | None) -> PageWriter | None:
    if folder is None:
        return None
    from autograder.feedback.class_feedback import OutsidePages

    return OutsidePages(course, unit, folder)


def feedback(
    unit: Positional[_Unit],
    zip: Annotated[
        Literal["canvas", "moodle", "gradescope"] | None,
        tyro.conf.arg(metavar="{canvas,moodle}", help_behavior_hint=""),
    ] = None,
) -> None:
    """Write a feedback page for each graded student to feedback/<student>/<unit>/.

    Run it again after grading written answers by hand: the pages then show those points and comments.

    Args:
        zip: Also write the pages to exports/ as a zip archive to upload to Canvas or Moodle. Works only for submissions
            collected from that system. Gradescope accepts no feedback pages.
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
    """Build the image that course grade --sandbox container needs, with docker or podman.

    Build it again after upgrading packages. The image contains this environment's Python and the packages that students
    may use; it contains nothing of the course.
    """
    from autograder.sandbox.container_image import build_image

    print(build_image())


def doctor() -> int:
    """Check this machine and the course folder: what works, what is missing, and how to fix it.

    Tries whether the sandbox really keeps code in and enforces its limits. The exit status is 1 if this machine cannot
    grade.
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
        print(f"course: warning: course.toml: {legible(str(warning))}", file=sys.stderr)


def _shown(path: Path) -> str:
    """A path relative to the current folder, if it lies inside."""
    path = path.resolve()
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _complain(message: str, status: int) -> int:
    print(f"course: {legible(message)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
