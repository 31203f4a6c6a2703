"""Judges one submission: runs its answers in sandboxes and judges the results from outside."""
