"""Controls which files ``nbgrader autograde`` sees, and hides students' files from it.

nbgrader opens the notebook and the time stamp of a submission whatever they are, copies all that lies beside them
(what a symbolic link points to as well) to where feedback is sent from, gives no points for a notebook that has another
name than the released one, and enters a student before it knows whether the work can be read. So it gets our list of
submissions: those that can be graded, under the students' ids, with their times of handing in. In place of their
folders it is shown others, with an empty file for each notebook, and can neither read nor copy anything of a student's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from traitlets import Dict

from autograder.batch.class_run import ClassRun
from autograder.course.student_ids import normal_id
from autograder.gradebook.nbgrader_names import names_meant
from autograder.intake.hand_in_time import handed_in
from autograder.intake.normalise_process import normalise_apart
from autograder.intake.submissions import Quarantined, Submission, find_submissions
from autograder.judging.jobs import Batch, Job
from autograder.results import Graded

__all__ = ["Intake"]

_SHOWN = os.path.join(".course", "submitted")


class ShieldedDirectory(CourseDirectory):
    """nbgrader's course directory, with folders made by the grader instead of the students' folders."""

    times = Dict(help="when the work in a folder was handed in, where that is known")

    def get_existing_timestamp(self, dest_path: str) -> datetime | None:
        return self.times.get(os.path.normpath(dest_path))


class Intake:
    """The submissions that one run of ``nbgrader autograde`` is asked to grade.

    Attributes:
        release: the released notebook.
        work: the submissions that nbgrader is left to take, one by one. Their bytes are read again when it is their
            turn: those of a whole class may be more than memory holds.
        unreadable: those that it is spared, with the reasons.
    """

    def __init__(self, converter: Autograde, run: ClassRun, batch: Batch) -> None:
        """Read what was handed in, and give ``converter`` a list of folders and a course directory of our own."""
        self.release: NotebookNode = nbformat.reads(batch.release.decode("utf-8"), as_version=4)
        self._converter, self._unit, self._zone = converter, batch.unit, batch.zone
        self._submitted = Path(converter.coursedir.root, converter.coursedir.submitted_directory)
        asked = self._asked()
        converter.coursedir = _shielded(converter.coursedir)  # nbgrader's pages keep the other one for all they do
        converter.coursedir.times = dict(self._times(asked))
        due = [submission for submission in asked if self._is_due(submission)]
        refused = {submission: self._refused(run.prepare(batch, submission)) for submission in due}
        self.work = tuple(submission for submission, graded in refused.items() if graded is None)
        self.unreadable = tuple(graded for graded in refused.values() if graded is not None)
        spared = {graded.result.student for graded in self.unreadable}
        self.close()
        converter.assignments = dict(
            self._shown(submission) for submission in asked if submission.student not in spared
        )

    @property
    def shown(self) -> Path:
        """The folder that nbgrader is shown in place of the one with all submissions."""
        return Path(self._converter.coursedir.root, _SHOWN)

    def close(self) -> None:
        """Remove what nbgrader is shown."""
        shutil.rmtree(self.shown, ignore_errors=True)

    def _shown(self, submission: Submission) -> tuple[str, list[str]]:
        folder = self._folder(submission)
        os.makedirs(folder)
        notebook = Path(folder, f"{self._unit}.ipynb")
        notebook.touch()
        return folder, [str(notebook)]

    def _asked(self) -> tuple[Submission, ...]:
        directory = self._converter.coursedir
        by_name = {found.folder.parent.name: found for found in find_submissions(self._submitted, self._unit)}
        meant = names_meant(directory.student_id, by_name)
        excluded = {normal_id(name) for name in directory.student_id_exclude.split(",")}
        return tuple(by_name[name] for name in meant if normal_id(name) not in excluded)

    def _times(self, submissions: Iterable[Submission]) -> Iterator[tuple[str, datetime | None]]:
        """When each was handed in, and when what was graded of it before."""
        with Gradebook(self._converter.coursedir.db_url) as gradebook:
            for submission in submissions:
                yield self._folder(submission), handed_in(submission.folder, self._zone)[0]
                with suppress(MissingEntry):
                    yield self._graded(submission), gradebook.find_submission(self._unit, submission.student).timestamp

    def _is_due(self, submission: Submission) -> bool:
        """Whether nbgrader will grade it: what is graded it passes over, unless it is forced or has a later time."""
        if self._converter.force or not os.path.exists(graded := self._graded(submission)):
            return True
        times = self._converter.coursedir.times
        moment, before = times.get(self._folder(submission)), times.get(graded)
        return None not in (moment, before) and moment > before

    def _refused(self, prepared: Job | Graded) -> Graded | None:
        """The quarantined result of what no worker will be able to read; nothing for all else."""
        if isinstance(prepared, Graded):
            return prepared if prepared.notebook is None else None
        try:
            normalise_apart(prepared.notebook, self.release)
        except Quarantined as reason:
            return prepared.quarantined(reason)
        return None

    def _folder(self, submission: Submission) -> str:
        return self._path(self._converter.coursedir.submitted_directory, submission)

    def _graded(self, submission: Submission) -> str:
        return self._path(self._converter.coursedir.autograded_directory, submission)

    def _path(self, step: str, submission: Submission) -> str:
        return os.path.normpath(self._converter.coursedir.format_path(step, submission.student, self._unit))


def _shielded(directory: CourseDirectory) -> ShieldedDirectory:
    settings = {name: getattr(directory, name) for name in directory.trait_names(config=True)}
    return ShieldedDirectory(parent=directory.parent, **(settings | {"ignore": ["*"], "submitted_directory": _SHOWN}))
