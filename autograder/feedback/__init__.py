"""The feedback page of each student."""
