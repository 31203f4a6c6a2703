"""Keeps results, so that nothing is graded twice and a run that was killed continues where it stopped.

A result depends on the submitted bytes, the release, the library, the grader, and the secret seeds. One file per
student and unit contains the last result, with a digest of everything that the whole result depends on, and for each
component a digest of its check. If only some checks have changed, only their components are judged again. A result that
depended on a time limit or a crash is not kept, so that the next run tries again. Files can be deleted at any time; a
damaged file is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat

from autograder.course.grader_version import digest, digest_of_library
from autograder.course.private_files import write_private
from autograder.judging.check_digests import digest_of_check, digest_of_judging
from autograder.judging.jobs import Job
from autograder.results import Graded, SubmissionResult

__all__ = ["ResultCache"]


@dataclass(frozen=True)
class ResultCache:
    """The kept results of one unit, in a folder."""

    folder: Path

    def reduced(self, job: Job) -> Job | Graded:
        """The result if it is kept; else the job, reduced to the components that must be judged."""
        entry = self._entry(job)
        if entry is None:
            return job
        unknown = job.asked - _known(entry, job)
        return replace(job, asked=unknown) if unknown else _graded(entry, job)

    def completed(self, job: Job, graded: Graded) -> Graded:
        """Complete a fresh result with the kept components that were not judged again, and keep it if repeatable."""
        if graded.result.status != "graded":
            return graded
        if job.asked != set(job.max_points) and (entry := self._entry(job)) is not None:
            graded = replace(graded, result=_united(graded.result, entry["result"], job))
        if graded.is_repeatable:
            write_private(self._file(job), json.dumps(_to_entry(graded, job)))
        return graded

    def _file(self, job: Job) -> Path:
        return self.folder / f"{job.student}.json"

    def _entry(self, job: Job) -> dict[str, Any] | None:
        """The kept entry of this submission; None if it is damaged, or anything but the checks has changed."""
        try:
            entry = json.loads(self._file(job).read_bytes())
            _graded(entry, job)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        return entry if entry["follows_from"] == _circumstances(job) else None


def _circumstances(job: Job) -> str:
    """A digest of everything that a result depends on, except checks and seeds."""
    facts = [job.student, job.unit, job.sha256, job.sandbox, *job.handed_back]
    facts += [job.capstone.digest] if job.capstone else []
    return digest(*facts, job.release, digest_of_library(), digest_of_judging())


def _judged_by(job: Job) -> dict[str, str]:
    """For each component, a digest of its check and seed."""
    if job.capstone:  # a capstone has no checks
        return {name: digest(str(seed)) for name, seed in job.seeds.items()}
    return {name: digest(str(seed), digest_of_check(name)) for name, seed in job.seeds.items()}


def _known(entry: Mapping[str, Any], job: Job) -> set[str]:
    return {name for name, judged_by in _judged_by(job).items() if entry["judged_by"].get(name) == judged_by}


def _to_entry(graded: Graded, job: Job) -> dict[str, Any]:
    return {
        "follows_from": _circumstances(job),
        "judged_by": _judged_by(job),
        "result": replace(graded.result, flags=_own_flags(graded.result, job)).to_record(),
        "notebook": graded.notebook,
    }


def _graded(entry: Mapping[str, Any], job: Job) -> Graded:
    result = SubmissionResult.from_record(entry["result"])
    result = replace(result, flags=(*job.flags, *result.flags))
    notebook = nbformat.from_dict(entry["notebook"])
    return Graded(result, notebook, job.sha256, job.handed_in, job.seeds, is_repeatable=True, is_from_before=True)


def _own_flags(result: SubmissionResult, job: Job) -> tuple[str, ...]:
    """The flags about the notebook, without those about its folder, which may change."""
    return result.flags[len(job.flags) :]


def _united(fresh: SubmissionResult, record: Mapping[str, Any], job: Job) -> SubmissionResult:
    """Combine a fresh result for the judged components with the recorded one for the others.

    Flags that name components are combined in the same way; all other flags come from the fresh result.
    """
    before = SubmissionResult.from_record(record)
    components = {name: fresh.components.get(name, score) for name, score in before.components.items()}
    kept = [flag for flag in before.flags if _names(flag, components) and not _names(flag, job.asked)]
    own = _own_flags(fresh, job)
    flags = [flag for flag in own if _names(flag, job.asked) or not _names(flag, components)]
    return replace(fresh, components=components, flags=(*job.flags, *dict.fromkeys([*flags, *kept])))


def _names(flag: str, components: Collection[str]) -> bool:
    return any(re.search(rf"\b{re.escape(name)}\b", flag) for name in components)
