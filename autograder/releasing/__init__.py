"""How units reach students: releases in ``assignments/``, and repositories without answers."""
