"""Judges one submission: its answers run in sandboxes and are judged from outside."""
