"""A page for grading written answers: one question at a time, all answers below each other, by keyboard."""
