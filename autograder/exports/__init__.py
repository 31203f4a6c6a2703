"""Grades as files for spreadsheets, Canvas, Moodle and Gradescope, and feedback pages as archives for an LMS."""
