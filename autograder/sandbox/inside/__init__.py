"""What shares a process with students' code. This folder, and nothing else of the grader, is mounted there."""
