#!/usr/bin/env python3
"""Hands a student on Gradescope the result that the course recorded for them; nothing of theirs is run.

This file is copied into Gradescope's container as ``run_autograder`` and uses Python's own library only.
"""

import json
import os
import pathlib

NO_RESULT = {"score": 0, "output": "No result is recorded for you yet. If you handed in, write to your instructor."}


def main(root: pathlib.Path) -> None:
    """Read who submitted, and write their result where Gradescope looks for it."""
    submitters = json.loads((root / "submission_metadata.json").read_text(encoding="utf-8"))["users"]
    results = json.loads((root / "source" / "results.json").read_text(encoding="utf-8"))
    addresses = [user["email"].strip().lower() for user in submitters]
    recorded = [results[address] for address in addresses if address in results]
    folder = root / "results"
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(recorded[0] if recorded else NO_RESULT), encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(os.environ.get("AUTOGRADER_ROOT", "/autograder")))
