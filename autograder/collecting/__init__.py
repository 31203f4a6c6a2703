"""How work gets from an LMS's download into ``submitted/``, with the times of handing in."""
