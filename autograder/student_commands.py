"""The ``course`` commands about single students and their answers: answers, status, explain, forget, rename."""

from __future__ import annotations

from typing import Annotated

import tyro
from tyro.conf import Positional

from autograder.course.course import Course

__all__ = ["answers"]

_Unit = Annotated[str, tyro.conf.arg(metavar="UNIT", help="A unit of the course, as 03 or 03_vae.")]


def answers(
    unit: Positional[_Unit],
    anonymous: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    port: int = 0,
    browser: bool = True,
) -> None:
    """Grade written answers in the browser: one question at a time, all answers below each other, by keyboard.

    Beside them stand question and rubric. Each change is saved into the gradebook at once, as formgrader saves it, and
    is kept when submissions are graded again. Needs no connection to the web.

    Args:
        anonymous: Leave the names out, and show the answers in an order that says nothing of them.
        port: Where it is served on this machine; by default one that is free.
        browser: Open a browser; without, only the address is printed.
    """
    from autograder.nbgrader_bridge.answer_sheet.serving import (
        serve_answers,  # nbgrader costs a second, which --help should not pay
    )

    course = Course.find()
    serve_answers(course, course.unit(unit), port, browser, anonymous)
