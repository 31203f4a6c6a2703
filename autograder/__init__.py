"""The grader of the course: from what students hand in to points, feedback and reports.

Start with the command ``course`` (:mod:`autograder.cli`). ``SECURITY.md`` says what students' code can and cannot do to
the grader.
"""

import sys

# nbformat imports jsonschema, which spends two seconds building grammars with this package if it is installed, for an
# address format that the notebook schema does not use. Without the package jsonschema skips that.
sys.modules.setdefault("rfc3987_syntax", None)  # pyright: ignore[reportArgumentType]  None forbids the import
