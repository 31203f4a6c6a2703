"""Keeps audits for later runs, one file per component."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from autograder.audit.findings import ComponentAudit
from autograder.course.course import Course
from avae_lib.atomic_write import write_atomically

__all__ = ["KeptAudits"]


@dataclass(frozen=True)
class KeptAudits:
    """A folder of audits, each with the fingerprint for which it is valid. It may be deleted at any time."""

    folder: Path

    @classmethod
    def of(cls, course: Course) -> KeptAudits:
        return cls(course.records / "audit")

    def find(self, component: str, fingerprint: str) -> ComponentAudit | None:
        """The kept audit with this fingerprint; None if there is none, or if it cannot be read."""
        try:
            content = json.loads(self._file(component).read_text(encoding="utf-8"))
            audit = ComponentAudit.from_record(content["audit"])
            return audit if (content["fingerprint"], audit.component) == (fingerprint, component) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def keep(self, audit: ComponentAudit, fingerprint: str) -> None:
        """Keep an audit, replacing the component's last one atomically."""
        self.folder.parent.mkdir(mode=0o700, exist_ok=True)
        self.folder.mkdir(exist_ok=True)
        content = {"fingerprint": fingerprint, "audit": audit.to_record()}
        write_atomically(self._file(audit.component), json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def _file(self, component: str) -> Path:
        return self.folder / f"{component}.json"
