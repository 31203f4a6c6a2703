"""``python -m avae_lib`` is the command ``avae``; torchrun needs a module to start."""

import sys

from avae_lib.cli import main

if __name__ == "__main__":
    sys.exit(main())
