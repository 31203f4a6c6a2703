"""Rewords the grader's reasons and flags for the student.

Reasons and flags are written for instructors ("ask for the notebook"). On the student's page the same sentence says
what the student can do ("hand in the notebook"), and names no other student.
"""

from __future__ import annotations

import re

__all__ = ["to_student"]

_WORDS = (
    # Up to the last "(a hard link)", because students choose the names of their files. Both kinds can name a student.
    (r"\bthe same file as that of .+ \(a hard link\)", "the same file as another student's (a hard link)"),
    (r"\bthe same file as (?:solutions|autograded)/.+ \(a hard link\)", "one of the course's own files (a hard link)"),
    (r"\bask the student for the notebook\b", "hand in the notebook that you wrote"),
    (r"\bask for the right notebook\b", "hand in the right notebook"),
    (r"\bask for the (\.ipynb file|notebook|file)( itself)?(?: to be handed in(?: again)?)?", r"hand in the \1\2"),
    (r"\bask for (?:it|them) to be handed in again\b", "hand it in again"),
    (r"\bput it there, or hand it in again\b", "hand it in again"),
    (r"\bgrade (?:it )?again\b", "hand it in again"),
    (r": look at (?:it|the file|the submission) before grading\b", ": your instructor will look at it"),
    (r"; look at the submission, and report this with its line of the audit log", "; your instructor will look at it"),
    (r"[:,;] please (?:check|look at it|look into it|look)\b", ": your instructor will check"),
    (r": find out (?:who made it|how it got there)", ": your instructor will look at it"),
    (r"; check its permissions\b", ": your instructor will look at it"),
    (r"\bcells? of the student's own\b", lambda found: found[0].replace("the student's own", "your own")),
    (r"\bof the student's(?: own)?\b", "of yours"),
    (r"\bthe student's\b", "your"),
    (r"\bthe student\b", "you"),
)


def to_student(text: str) -> str:
    """Reword a reason or a flag for the student.

    Example:
        >>> to_student("the file is not a notebook (it looks like a PDF): ask for the .ipynb file itself")
        'the file is not a notebook (it looks like a PDF): hand in the .ipynb file itself'
        >>> to_student("2 code cells of the student's own, not run")
        '2 code cells of your own, not run'
        >>> to_student("the notebook is the same file as that of ada (a hard link): find out who made it")
        "the notebook is the same file as another student's (a hard link): your instructor will look at it"
    """
    for pattern, words in _WORDS:
        text = re.sub(pattern, words, text)
    return text
