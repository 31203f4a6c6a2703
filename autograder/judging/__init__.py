"""One submission: its answers are run in sandboxes and judged from outside."""
