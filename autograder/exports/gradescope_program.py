#!/usr/bin/env python3
"""Returns to a student on Gradescope the result that the course recorded; it runs none of the student's code.

This file is copied into Gradescope's container as ``run_autograder`` and uses only Python's standard library.
"""

import json
import os
import pathlib

NO_RESULT = {"score": 0, "output": "No result is recorded for you yet. If you handed in, write to your instructor."}
GROUP = {
    "score": 0,
    "output": "This was handed in by a group, but each student is graded individually, so no result is shown here. "
    "Write to your instructor.",
}


def main(root: pathlib.Path) -> None:
    """Read who submitted, and write the result to the file that Gradescope reads."""
    submitters = json.loads((root / "submission_metadata.json").read_text(encoding="utf-8"))["users"]
    results = json.loads((root / "source" / "results.json").read_text(encoding="utf-8"))
    result = GROUP if len(submitters) > 1 else NO_RESULT
    if len(submitters) == 1:
        result = results.get(str(submitters[0].get("email")).strip().lower(), NO_RESULT)
    folder = root / "results"
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(os.environ.get("AUTOGRADER_ROOT", "/autograder")))
