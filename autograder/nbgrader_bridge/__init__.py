"""nbgrader's own commands and pages, with our stages plugged in."""
