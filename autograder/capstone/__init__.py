"""Grading a capstone: a student's own model is rebuilt in a sandbox and measured, and its claims are compared."""
