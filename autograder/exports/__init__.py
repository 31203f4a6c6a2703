"""Grades on their way out: for spreadsheets, and for Canvas, Moodle and Gradescope."""
