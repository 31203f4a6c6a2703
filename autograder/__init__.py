"""The grader of the course: from what students hand in to points, feedback and reports.

It starts with ``course``, the commands of :mod:`autograder.cli`; what students' code can and cannot do to it stands in
``SECURITY.md``.
"""

import sys

# With this package, jsonschema (which reading a notebook imports) spends two seconds on grammars for a format of
# addresses that the notebook's schema does not use. It does without where the package is not there.
sys.modules.setdefault("rfc3987_syntax", None)
