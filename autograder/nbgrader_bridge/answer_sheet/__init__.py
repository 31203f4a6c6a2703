"""``course answers``: a page for grading written answers by keyboard, one question at a time."""
