"""Where students' code runs: a bubblewrap sandbox that is asked questions and never sees an answer.

The parts, from the outside in: :mod:`~autograder.judging.judge_submission` judges one submission,
:mod:`~autograder.judging.notebook_in_sandbox` runs a choice of its cells, :mod:`~autograder.sandbox.session` keeps one
sandbox alive and within limits, :mod:`~autograder.sandbox.bubblewrap` builds its walls, and
:mod:`~autograder.sandbox.inside.cells` is the program behind them.
Where bubblewrap is not available, :mod:`~autograder.sandbox.sandbox_kinds` offers other places, used only if named.
"""
