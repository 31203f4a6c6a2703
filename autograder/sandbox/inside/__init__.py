"""The code that shares a process with students' code. Nothing else of the grader is mounted in a sandbox."""
