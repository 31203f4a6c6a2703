"""Time the update of any preset on any device: images/s, arithmetic, share of the device's peak, memory.

    python benchmarks/train_step.py                                     small presets, CPU-sized
    python benchmarks/train_step.py --presets cifar10-vdvae --batch 8 --variants eager bfloat16 plain
    python benchmarks/train_step.py --suite gpu --minutes 8             all that a first hour on a GPU needs to know
    python benchmarks/train_step.py --against-released DIR --batch 8    beside a checkout of openai/vdvae

How to read the table: TFLOP/s are operations of convolutions and matrix products in the forward and backward pass
(a multiplication with an addition is two), so recomputation and pointwise work lower them. "of peak" divides by the
speed of one large matrix product of the same device and number format, measured in the same run. "expected" is the
memory that `avae train` announces, "measured" the peak of the tensors on a GPU and of the whole process on a CPU.
A variant joins words by +: eager or compiled, float32 or bfloat16, channels-last, graphs, fused (attention over
depth), checkpointing, pieces (four of a batch), and plain, the best plain PyTorch loop for the same arithmetic. Where
two updates are timed in turn, a speed ratio above 1 means that ours is faster; the ratio of processor time holds on a
CPU that does other work, too. Each row is a process of its own with a time limit. CIFAR-10 is read where AVAE_DATA
has it; elsewhere images are random. Needs torch, torchvision, numpy, einops, jaxtyping, tqdm, safetensors.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from records import RESULTS, Table, options_of, record
from training_steps.jobs import Job, Runner, ask_for_quiet, write_row
from training_steps.suites import SUITES, Suite
from training_steps.variants import Variant

PRESETS = ("digits-attentive", "photos32-vdvae")
VARIANTS = ("eager", "bfloat16")
GIBIBYTE = 2**30


def main(arguments: Sequence[str] | None = None) -> None:
    args = parsed(arguments)
    if args.one is not None:
        return do(json.loads(args.one))
    suite = SUITES[args.suite](args) if args.suite else one_lane(args)
    rows: list[dict[str, Any]] = []
    journal = args.out / f"train_step-{datetime.now(UTC):%Y-%m-%d-%H%M%S}.jsonl"
    args.out.mkdir(parents=True, exist_ok=True)

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"[{time.monotonic() - start:6.1f} s] {in_one_line(row)}", flush=True)

    start = time.monotonic()
    runner = Runner(start + 60 * args.minutes, keep)
    pool = runner.run_pool([job_of(task, args) for task in suite.pool], suite.workers)
    runner.run_lanes([[job_of(task, args) for task in lane] for lane in suite.lanes])
    for thread in pool:
        thread.join()
    print_tables(rows)
    record("train_step", rows, args.device, args.out, suite=args.suite, minutes=(time.monotonic() - start) / 60)
    journal.unlink()  # the record has all of it


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), metavar="PRESET", help="presets to measure")
    parser.add_argument(
        "--variants",
        nargs="+",
        default=list(VARIANTS),
        metavar="VARIANT",
        help="see above",
    )
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda, …")
    parser.add_argument("--batch", type=int, help="images in an update; by default the preset's own number")
    parser.add_argument("--steps", type=int, default=3, help="updates that are timed together")
    parser.add_argument("--repeats", type=int, default=5, help="how often; the median counts")
    parser.add_argument("--suite", choices=SUITES, help="a fixed list of measurements, the most valuable first")
    parser.add_argument("--minutes", type=float, default=60.0, help="after so many minutes everything stops")
    parser.add_argument("--against-released", type=Path, metavar="DIR", help="a checkout of openai/vdvae")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the record")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        list(map(Variant.named, args.variants))
    except ValueError as problem:
        parser.error(str(problem))
    return args


def one_lane(args: argparse.Namespace) -> Suite:
    """The presets and variants that were asked for, one after another; or the comparison with the released code."""
    if args.against_released is not None:
        checkout = str(args.against_released.resolve())
        given = {"checkout": checkout, "variants": [name for name in args.variants if name != "plain"]}
        shared = {"batch": args.batch or 32, "repeats": args.repeats}
        return Suite(lanes=[[{"kind": "released", **given, **shared}]])
    shared = {"kind": "time", "batch": args.batch, "steps": args.steps, "repeats": args.repeats}
    lane = [{"preset": preset, "variant": variant, **shared} for preset in args.presets for variant in args.variants]
    shared = {"kind": "plain", "variant": "eager", "batch": args.batch, "repeats": 3 * args.repeats}
    beside = [{"preset": preset, **shared} for preset in args.presets]
    return Suite(lanes=[[*lane, *beside, {"kind": "seam"}]])


def job_of(task: dict[str, Any], args: argparse.Namespace) -> Job:
    """The process that does a task: this program with --one, or another benchmark."""
    task = dict(task)
    seconds = task.pop("seconds", 60 * args.minutes)
    if "script" in task:
        command = [sys.executable, str(Path(__file__).with_name(task["script"])), *task.get("arguments", [])]
        return Job(task["script"], command, seconds, keeps_text=True)
    name = " ".join(str(task[key]) for key in ("kind", "preset", "variant", "variants") if key in task)
    command = [sys.executable, __file__, "--one", json.dumps({**task, "device": args.device})]
    return Job(name, command, seconds)


def do(task: dict[str, Any]) -> None:
    """In a process of its own: do one task and say its rows."""
    from training_steps import profile, released_code, seam, timing

    kind = task.pop("kind")
    if kind == "time":
        write_row({"kind": kind, **timing.measure(**task, quiet=ask_for_quiet)})
    elif kind == "try":
        for row in timing.try_out(**task):
            write_row({"kind": kind, **row})
    elif kind == "profile":
        write_row({"kind": kind, **profile.profile_update(**task, quiet=ask_for_quiet)})
    elif kind == "plain":
        write_row({"kind": kind, **timing.against_plain(**task, quiet=ask_for_quiet)})
    elif kind == "released":
        task["checkout"] = Path(task["checkout"])
        for row in released_code.compare(**task):
            write_row({"kind": kind, **row})
    elif kind == "seam":
        write_row({"kind": kind, **seam.crossing()})


def in_one_line(row: dict[str, Any]) -> str:
    """What happened, for somebody who watches."""
    if "failed" in row:
        return f"{row['job']}: {row['failed']}: {(row['last_lines'] or ['it said nothing'])[-1]}"
    named = " ".join(str(row[key]) for key in ("kind", "job", "preset", "variant") if key in row)
    told = ("images_per_second", "ms_per_update", "tflop_per_second", "fraction_of_peak", "speed_ratio", "loss")
    numbers = ", ".join(f"{key.replace('_', ' ')} {row[key]:.4g}" for key in told if row.get(key) is not None)
    return f"{named}: {numbers}"


def print_tables(rows: Sequence[dict[str, Any]]) -> None:
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault("failed" if "failed" in row else row.get("kind", "other"), []).append(row)
    for kind, show in TABLES.items():
        if kind in by_kind:
            print()
            show(by_kind[kind])


def show_times(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(
        preset="<22",
        variant="<32",
        batch=">6",
        images_per_s=">13.1f",
        ms_per_update=">14.1f",
        GFLOP_per_image=">16.3f",
        TFLOP_per_s=">12.3f",
        of_peak=">8.1%",
        expected_GiB=">13.2f",
        measured_GiB=">13.2f",
    )
    for row in rows:
        table.add(
            **row,
            images_per_s=row["images_per_second"],
            GFLOP_per_image=row["gflop_per_image"],
            TFLOP_per_s=row["tflop_per_second"],
            of_peak=row["fraction_of_peak"],
            expected_GiB=row["expected_bytes"] / GIBIBYTE,
            measured_GiB=row["measured_bytes"] / GIBIBYTE,
        )


def show_tries(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(preset="<26", variant="<20", batch=">6", seconds=">9.1f", loss=">14.2f", skipped_updates=">16")
    for row in rows:
        table.add(**row)


def show_profiles(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        total = sum(row["ms_of_parts"].values())
        print(f"{row['preset']}, {row['variant']}, batch {row['batch']}: {total:.1f} ms in operations of an update")
        for part, milliseconds in row["ms_of_parts"].items():
            print(f"  {part:24}{milliseconds:10.2f} ms{milliseconds / total:8.1%}")


def show_pairs(rows: Sequence[dict[str, Any]]) -> None:
    other = rows[0]["kind"]
    columns = {f"{other}_ms_per_update": ">23.1f", "speed_ratio": ">12.3f", "processor_speed_ratio": ">22.3f"}
    table = Table(preset="<22", variant="<24", batch=">6", our_ms_per_update=">18.1f", **columns)
    for row in rows:
        table.add(**row)


def show_seam(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        print(f"one crossing of the components' seam takes {row['microseconds']:.2f} µs more than a direct call,")
        print(f"which is {row['share_of_update']:.1e} of an update of {row['preset']}")


def show_printed(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        print(f"{row['job']} printed:", *row["printed"], sep="\n    ")


def show_failures(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        print(f"{row['job']}: {row['failed']}")
        for line in row["last_lines"]:
            print(f"    {line}")


TABLES = {
    "time": show_times,
    "plain": show_pairs,
    "released": show_pairs,
    "profile": show_profiles,
    "try": show_tries,
    "seam": show_seam,
    "printed": show_printed,
    "failed": show_failures,
}

if __name__ == "__main__":
    main()
