"""Time what a person waits for before anything happens: imports, help, the list of presets, the first update.

    python benchmarks/startup.py                      prints one table and records it in benchmarks/results/
    python benchmarks/startup.py --repeats 1          a shorter, less certain measurement

How to read the table: each row is a command in a fresh Python process, the median of repeated ones after one that
warms the disk's cache. The first row is Python itself, which is part of all others; `import avae_lib` alone loads none
of its modules, and the third import is what training needs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from records import RESULTS, ROOT, Table, options_of, record

COMMANDS = {
    "python": ["-c", "pass"],
    "import torch": ["-c", "import torch"],
    "import avae_lib": ["-c", "import avae_lib"],
    "import avae_lib.training.fit": ["-c", "import avae_lib.training.fit"],
    "avae --help": ["-m", "avae_lib", "--help"],
    "avae presets": ["-m", "avae_lib", "presets"],
    "avae train --help": ["-m", "avae_lib", "train", "digits-vae", "--help"],
    "first update of digits-vae": ["-m", "avae_lib", "train", "digits-vae", "--training.steps", "1", "--no-report"],
}
"""Arguments of Python by what they do."""


def seconds_of(arguments: Sequence[str]) -> float:
    """Seconds that a fresh process takes, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="processes of each command")
    parser.add_argument(
        "--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), metavar="COMMAND", help="of these"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the record")
    args = parser.parse_args(arguments)
    table = Table(command="<30", seconds=">9.2f", fastest=">9.2f")
    for name in args.only:
        seconds_of(COMMANDS[name])
        times = [seconds_of(COMMANDS[name]) for _ in range(args.repeats)]
        table.add(command=name, seconds=median(times), fastest=min(times), seconds_of_repeats=times)
    record("startup", table.rows, folder=args.out)


if __name__ == "__main__":
    main()
