"""Runs students' code in a bubblewrap sandbox, which gets inputs from the judge and never sees a right answer.

The parts, from the outside in: :mod:`~autograder.judging.judge_submission` judges one submission,
:mod:`~autograder.judging.notebook_in_sandbox` runs some of its cells, :mod:`~autograder.sandbox.session` keeps one
sandbox alive and within limits, :mod:`~autograder.sandbox.bubblewrap` builds its walls, and
:mod:`~autograder.sandbox.inside.cells` is the program inside them.
Where bubblewrap is not available, :mod:`~autograder.sandbox.sandbox_kinds` offers other kinds, used only on request.
"""
