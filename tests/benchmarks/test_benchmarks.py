"""Each benchmark in its smallest form, and what documents say of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
SMALLEST = {
    "attention": (
        ["--layers", "3", "--ways", "stacking", "list", "fused", "--seconds", "0", "--device", "cpu"],
        {"error", "forward_ms", "both_ms", "peak_megabytes"},
    ),
    "sampling": (["--presets", "digits-vae", "--batch", "2", "--repeats", "1"], {"images_per_s", "ms_for_one"}),
    "startup": (["--only", "python", "import avae_lib", "--repeats", "1"], {"seconds", "seconds_of_repeats"}),
    "scaling": (
        ["--batches", "2", "--blocks", "1", "--sides", "8", "--processes", "2", "--width", "8", "--repeats", "1"],
        {"ms_per_update", "layers", "processes"},
    ),
    "optimizer_step": (["--presets", "digits-vae", "digits-vdvae"], {"plain", "conditional", "with_copies"}),
    "profile_step": (["--presets", "digits-attentive", "--batches", "4"], {"ms_of_parts", "ms_per_update"}),
}
"""Arguments and fields of the rows."""
PARTS = {"records"}
"""Modules beside the benchmarks that are none themselves."""


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_prints_a_table_and_records_it(name, tmp_path):
    arguments, fields = SMALLEST[name]
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob(f"{name}-*.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["rows"] and all(fields <= row.keys() for row in content["rows"]), done.stdout
    assert {"device", "versions", "threads", "command", "date"} <= content.keys()
    assert not content.get("failures")


def benchmarks():
    return {path.stem for path in FOLDER.glob("*.py")} - PARTS


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_a_benchmark_says_how_it_is_run(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert name in PARTS or f"python benchmarks/{name}.py" in text.split('"""')[1]


def test_the_page_on_benchmarks_lists_them_all():
    listed = re.findall(r"^\| `(\w+)\.py`", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(benchmarks())


def test_documents_name_only_benchmarks_and_records_that_exist():
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "Makefile",
        *FOLDER.glob("*.md"),
        *FOLDER.glob("*.py"),
    ]
    pages += [*ROOT.glob("docs/**/*.md"), *ROOT.glob("experiments/**/*.md"), *ROOT.glob("avae_lib/**/*.py")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"benchmarks/(\w+)\.py", text):
            assert (FOLDER / f"{name}.py").exists(), f"{page.name} names benchmarks/{name}.py"
        for name in re.findall(r"\]\(((?:benchmarks/)?results/[\w.-]+)\)", text):
            assert (page.parent / name).exists(), f"{page.name} names {name}"


def test_make_bench_runs_benchmarks_that_exist():
    dry = subprocess.run(["make", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.search(r"for name in (.+?); do", dry)[1].split()
    assert "train_step" in listed and "topic_model" in listed and "ising_sweep" in listed
    assert set(listed) <= benchmarks()
    marked = re.findall(r"^\| `(\w+)\.py` .*\| yes \|$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(marked) == sorted(listed)
