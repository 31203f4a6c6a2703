"""Time sampling: images per second in a batch, and the milliseconds until a single image is there.

    python benchmarks/sampling.py                                          small presets, CPU-sized
    python benchmarks/sampling.py --presets cifar10-vdvae --batch 64 --compiled --device cuda

How to read the table: "images per s" is the rate of a whole batch, "ms for one" the wait for a batch of one. The
temperature scales the noise of every layer, so the two should hardly depend on it. Weights are untrained, which takes
the same time. Compiled rows leave out the time of compiling, which the record has.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from records import RESULTS, Table, options_of, record
from torch import Tensor
from training_steps.arithmetic import seconds_of

from avae_lib.evaluation import measuring
from avae_lib.presets import find_preset

PRESETS = ("digits-vae", "digits-attentive", "photos32-vdvae")


def main(arguments: Sequence[str] | None = None) -> None:
    args = parsed(arguments)
    device = torch.device(args.device)
    table = Table(
        preset="<24", temperature=">12.1f", compiled=">9", batch=">6", images_per_s=">13.1f", ms_for_one=">11.1f"
    )
    for preset in args.presets:
        model = find_preset(preset).build_model().to(device)
        for compiled in (False, True) if args.compiled else (False,):
            sample = torch.compile(model.sample) if compiled else model.sample
            for temperature in args.temperatures:
                with measuring(model):
                    first, many = times(sample, args.batch, temperature, args.repeats, device)
                    _, one = times(sample, 1, temperature, args.repeats, device)
                table.add(
                    preset=preset,
                    temperature=temperature,
                    compiled=str(compiled).lower(),
                    batch=args.batch,
                    images_per_s=args.batch / many,
                    ms_for_one=1e3 * one,
                    first_call_seconds=first,
                )
    record("sampling", table.rows, device, args.out)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), metavar="PRESET", help="presets to measure")
    parser.add_argument(
        "--temperatures",
        nargs="+",
        type=float,
        default=[1.0, 0.7],
        metavar="T",
        help="of the latents",
    )
    parser.add_argument("--batch", type=int, default=16, help="images in a batch")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls; the median counts")
    parser.add_argument("--compiled", action="store_true", help="also through torch.compile")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, …")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the record")
    return parser.parse_args(arguments)


@torch.no_grad()
def times(
    sample: Callable[..., Tensor], count: int, temperature: float, repeats: int, device: torch.device
) -> tuple[float, float]:
    """Seconds of the first call, and the median of those that follow."""

    def call() -> Tensor:
        return sample(count, temperature)

    first, _ = seconds_of(call, device)
    return first, median(seconds_of(call, device)[0] for _ in range(repeats))


if __name__ == "__main__":
    main()
