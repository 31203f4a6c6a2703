"""Time an update against the batch, the depth, the resolution and the number of processes.

    python benchmarks/scaling.py                                           a small VDVAE, CPU-sized
    python benchmarks/scaling.py --width 384 --device cuda --batches 8 32 128 --processes 1 8

How to read the table: in each group of rows one number grows, named in the first column, and all others stay. If time
grows in proportion, "ms per image" (of batch and processes) is constant; where it falls, a larger value uses the device
better. Processes share one batch: of two on two idle cores the best is half the time. They exchange gradients with
gloo on CPUs and NCCL on GPUs. "measured" is the peak memory of one process, as in train_step.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from records import RESULTS, Table, options_of, record
from training_steps.jobs import Job, Runner, write_row
from training_steps.timing import memory_now, milliseconds_per_update, peak_memory

from avae_lib.data import ImageDataset
from avae_lib.models.vdvae import VDVAEConfig, decoder_blocks, encoder_blocks
from avae_lib.training.distributed import join_team
from avae_lib.training.training_config import TrainingConfig
from avae_lib.training.training_state import TrainingState
from avae_lib.training.updating import updating

SECONDS_PER_ROW = 600


@dataclasses.dataclass(frozen=True)
class Setting:
    """One measurement."""

    grows: str
    """Which of the numbers below grows in its group of rows."""
    batch: int = 8
    blocks: int = 2
    """Blocks at each resolution, in encoder and decoder."""
    side: int = 32
    """Height and width of an image."""
    processes: int = 1
    width: int = 32
    """Channels of the residual stream."""
    device: str = "cpu"
    steps: int = 1
    repeats: int = 3


def settings(args: argparse.Namespace) -> Iterator[Setting]:
    """All rows, group after group."""
    shared = {"width": args.width, "device": args.device, "steps": args.steps, "repeats": args.repeats}
    for name, values in (
        ("batch", args.batches),
        ("blocks", args.blocks),
        ("side", args.sides),
        ("processes", args.processes),
    ):
        for value in values:
            yield Setting(grows=name, **{name: value}, **shared)


def model_of(setting: Setting) -> VDVAEConfig:
    """A VDVAE with the same number of blocks at each resolution."""
    sides = [setting.side >> halvings for halvings in range(8) if setting.side >> halvings >= 4]
    counts = dict.fromkeys([*sides, 1], setting.blocks)
    return VDVAEConfig(
        image_shape=(3, setting.side, setting.side),
        width=setting.width,
        enc_blocks=encoder_blocks(counts),
        dec_blocks=decoder_blocks(dict(reversed(counts.items()))),
        latent_channels=8,
        mixtures=4,
    )


def measure(setting: Setting) -> None:
    """In the processes of one setting: time the updates; the first process says the row."""
    config = TrainingConfig(batch_size=setting.batch, device=setting.device)
    before = memory_now(setting.device)
    model = model_of(setting).build()
    images = torch.randint(256, (2 * setting.batch, *model.image_shape), dtype=torch.uint8)
    dataset = ImageDataset("random", images, images[:1])
    with join_team(torch.device(setting.device)) as (team, device):
        state = TrainingState(model, dataset, config, device, team)
        with updating(state) as step:
            milliseconds_per_update(step, state, 1)
            times = [milliseconds_per_update(step, state, setting.steps)[0] for _ in range(setting.repeats)]
        if team.is_leader:
            layers = len(model.layers)
            row = {**dataclasses.asdict(setting), "layers": layers, "ms_per_update": median(times)}
            write_row({**row, "measured_bytes": peak_memory(setting.device) - before})


def job_of(setting: Setting) -> Job:
    program = [__file__, "--one", json.dumps(dataclasses.asdict(setting))]
    if setting.processes > 1:
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={setting.processes}"]
        program = [*torchrun, *program]
    name = f"{setting.grows} {getattr(setting, setting.grows)}"
    return Job(name, [sys.executable, *program], SECONDS_PER_ROW)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parsed(arguments)
    if args.one is not None:
        return measure(Setting(**json.loads(args.one)))
    table = Table(
        grows="<10",
        batch=">6",
        blocks=">7",
        layers=">7",
        side=">5",
        processes=">10",
        ms_per_update=">14.1f",
        ms_per_image=">13.2f",
        measured_GiB=">13.2f",
    )
    failures: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        if "failed" in row:
            failures.append(row)
            print(f"{row['job']}: {row['failed']}: {(row['last_lines'] or ['it said nothing'])[-1]}")
            return
        per_image = row["ms_per_update"] / row["batch"]
        table.add(**row, ms_per_image=per_image, measured_GiB=row["measured_bytes"] / 2**30)

    all_settings = list(settings(args))
    Runner(time.monotonic() + 60 * args.minutes, keep).run_lanes([list(map(job_of, all_settings))])
    record("scaling", table.rows, args.device, args.out, failures=failures)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--batches", nargs="*", type=int, default=[2, 8, 32], help="images in an update")
    parser.add_argument("--blocks", nargs="*", type=int, default=[1, 2, 4], help="blocks at each resolution")
    parser.add_argument("--sides", nargs="*", type=int, default=[16, 32, 64], help="heights and widths of the images")
    parser.add_argument("--processes", nargs="*", type=int, default=[1, 2], help="processes that train together")
    parser.add_argument("--width", type=int, default=32, help="channels of the residual stream")
    parser.add_argument("--steps", type=int, default=1, help="updates that are timed together")
    parser.add_argument("--repeats", type=int, default=3, help="how often; the median counts")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, …")
    parser.add_argument("--minutes", type=float, default=60.0, help="after so many minutes everything stops")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the record")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
