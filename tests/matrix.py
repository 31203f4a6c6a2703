"""Run the tests with other versions, thread counts, processors, locales and time zones: `make test-matrix`.

    python tests/matrix.py                                        # all runs, one after the other
    python tests/matrix.py colab-1 floors-2 -- tests/avae_lib     # these runs, with arguments for pytest
    python tests/matrix.py --page                                 # no run: the page again, from the record

Environments are made and kept by uv. Results go into tests/matrix.json as soon as a run has ended, and from there into
docs/tested_with.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "matrix.json"
PAGE = ROOT / "docs" / "tested_with.md"
ALL_TESTS = ("-m", "not slow")
TEST_OF_RECORD = "tests/test_repository.py::test_matrix_was_run_with_the_constraints_and_passed"  # of the last record


@dataclass(frozen=True)
class Versions:
    """A Python, and how the versions of all packages follow from pyproject.toml."""

    python: str
    install: tuple[str, ...] = ()


VERSIONS = {
    "colab": Versions("3.13", ("torch==2.11.*", "torchvision==0.26.*", "numpy==2.1.*")),
    "floors": Versions("3.11", ("--resolution", "lowest-direct")),  # the oldest that pyproject.toml promises
    "newest": Versions("3.13"),
    "tested": Versions("3.12", ("--constraint", "constraints.txt")),  # what `make setup` installs
}


@dataclass(frozen=True)
class Settings:
    """What else differs between machines; ``cpu`` is the set of instructions that PyTorch may use."""

    threads: int
    cpu: str
    locale: str
    timezone: str

    def environment(self) -> dict[str, str]:
        names = ("OMP_NUM_THREADS", "ATEN_CPU_CAPABILITY", "LC_ALL", "TZ")
        return dict(zip(names, map(str, asdict(self).values()), strict=True))


# Any two columns show all their pairs of values. Turkish has a dotless i and a decimal comma; Kiritimati is a day
# ahead of Honolulu.
RUNS = {
    "colab-1": Settings(1, "default", "C.UTF-8", "Pacific/Honolulu"),
    "colab-2": Settings(2, "avx2", "tr_TR.UTF-8", "Pacific/Kiritimati"),
    "floors-1": Settings(1, "avx2", "C.UTF-8", "Pacific/Kiritimati"),
    "floors-2": Settings(2, "default", "tr_TR.UTF-8", "Pacific/Honolulu"),
    "newest-1": Settings(1, "default", "tr_TR.UTF-8", "Pacific/Kiritimati"),
    "newest-2": Settings(2, "avx2", "C.UTF-8", "Pacific/Honolulu"),
    "tested-1": Settings(1, "avx2", "tr_TR.UTF-8", "Pacific/Honolulu"),
    "tested-2": Settings(2, "default", "C.UTF-8", "Pacific/Kiritimati"),
}

# Asked of each environment under its settings, so that the record says what was in force.
FACTS = """
import json, locale, platform, time
import numpy, torch
print(json.dumps({
    "python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__,
    "threads": torch.get_num_threads(), "cpu": torch.backends.cpu.get_cpu_capability(),
    "locale": locale.setlocale(locale.LC_ALL, ""), "timezone": time.strftime("%z"),
}))
"""


ABOUT = """# What was tested where

Written by `make test-matrix` (`python tests/matrix.py --page`) from [the record](../tests/matrix.json); a test compares
the two. Each row is one run: of all tests, or of as many files as the column says; the record names them.

| run | date | Python | PyTorch | NumPy | threads | processor | locale | time zone | tests | passed | skipped | failed |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}

`colab` has the versions that Colab installs, on a machine of ours: nothing here ran on Colab itself. `floors` are the
oldest versions that `pyproject.toml` allows, `newest` the newest on the day, and `tested` those in `constraints.txt`,
which `make setup` installs. The processor is the set of instructions that PyTorch was allowed to use.
"""


def main() -> int:
    arguments = parsed_arguments()
    if arguments.page:
        PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
        return 0
    results = {}
    for name in arguments.runs or RUNS:
        python = environment(arguments.environments, name.partition("-")[0])
        results[name] = run(name, python, arguments)
        keep(name, results[name])
    print(table(results), f"tests: {next(iter(results.values()))['tests']}", sep="\n")
    failing = [f"{name}: {test}" for name, result in results.items() for test in result["failing"]]
    print("\n".join(failing))
    return 1 if failing else 0


def keep(name: str, result: dict) -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    in_order = {key: (record | {name: result})[key] for key in RUNS if key in {*record, name}}
    RECORD.write_text(json.dumps(in_order, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(in_order), encoding="utf-8")


def page(record: dict[str, dict]) -> str:
    """The page that shows a record."""
    facts = ("date", "python", "torch", "numpy", "threads", "cpu", "locale", "timezone")
    rows = [
        [name, *(result[key] for key in facts), chosen(result["tests"])]
        + [result[key] for key in ("passed", "skipped", "failed")]
        for name, result in record.items()
    ]
    return ABOUT.format(rows="\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows))


def chosen(tests: str) -> str:
    """Which tests ran, in a word: all, or how many files."""
    files = [word for word in tests.split() if word.startswith("tests/")]
    return f"{len(files)} files" if files else "all"


def parsed_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"which runs (all by default): {', '.join(RUNS)}")
    parser.add_argument("--environments", type=Path, default=ROOT / ".matrix", help="folder of environments (20 GB)")
    parser.add_argument("--processes", type=int, default=2, help="how many processes share the tests of a run")
    parser.add_argument("--page", action="store_true", help="run nothing; write docs/tested_with.md from the record")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments = parser.parse_args(sys.argv[1:split])
    arguments.pytest = tuple(sys.argv[split + 1 :])
    if unknown := set(arguments.runs) - RUNS.keys():
        parser.error(f"unknown run {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    return arguments


def environment(folder: Path, name: str) -> Path:
    """Make or renew an environment; returns its Python."""
    versions = VERSIONS[name]
    python = folder / name / "bin" / "python"
    if not python.exists():
        uv("venv", "--python", versions.python, folder / name)
    uv("pip", "install", "--python", python, "--upgrade", "--editable", ".[course,dev,docs]", *versions.install)
    return python


def uv(*arguments: str | Path) -> None:
    program = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        sys.exit("uv is missing: pip install uv")
    subprocess.run([program, "--quiet", *map(str, arguments)], cwd=ROOT, check=True)


def run(name: str, python: Path, arguments: argparse.Namespace) -> dict:
    """Run the tests in one environment under its settings; returns what the record keeps."""
    settings = os.environ | RUNS[name].environment() | made_locale(arguments.environments, RUNS[name].locale)
    facts = json.loads(subprocess.run([python, "-c", FACTS], env=settings, check=True, capture_output=True).stdout)
    print(f"{name}: {facts}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        shared = ["-n", str(arguments.processes), "--dist", "loadgroup"] if arguments.processes > 1 else []
        options = ["-q", f"--junitxml={report}", f"--deselect={TEST_OF_RECORD}", *shared]
        command = [python, "-m", "pytest", *options, *(arguments.pytest or ALL_TESTS)]
        subprocess.run(command, cwd=ROOT, env=settings, check=False)
        counts = counted(report)
    tests = " ".join(arguments.pytest) or "all"
    return facts | {"date": datetime.date.today().isoformat(), "tests": tests} | counts


def made_locale(folder: Path, name: str) -> dict[str, str]:
    """The variable that makes a locale known, after it has been made where the machine lacks it."""
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=True).stdout.splitlines()
    if name.replace("UTF-8", "utf8") in listed or name in listed:
        return {}
    locales = folder / "locales"
    if not (locales / name).exists():
        locales.mkdir(parents=True, exist_ok=True)
        language, _, charmap = name.partition(".")
        made = subprocess.run(["localedef", "-i", language, "-f", charmap, locales / name], check=False)
        if made.returncode != 0:
            sys.exit(f"the locale {name} cannot be made here; on Debian: apt-get install locales")
    return {"LOCPATH": str(locales)}


def counted(report: Path) -> dict:
    """How a run of pytest ended, from its report in JUnit's format."""
    if not report.exists():
        sys.exit("pytest wrote no report: see above")
    suite = ElementTree.parse(report).getroot().find("testsuite")
    number = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    failing = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return {
        "passed": number["tests"] - number["failures"] - number["errors"] - number["skipped"],
        "skipped": number["skipped"],
        "failed": number["failures"] + number["errors"],
        "minutes": round(float(suite.get("time")) / 60, 1),
        "failing": failing,
    }


def table(results: dict[str, dict]) -> str:
    columns = [key for key in next(iter(results.values())) if key not in ("tests", "failing")]
    rows = [["run", *columns]] + [[name, *(str(result[key]) for key in columns)] for name, result in results.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    sys.exit(main())
