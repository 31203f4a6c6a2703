"""Where the time of an update goes, as a picture: one bar for each model, its parts in the library's words.

    python benchmarks/profile_step.py                                            CPU: small batches, one thread
    python benchmarks/profile_step.py --device cuda --batches 32 160 --variant compiled+bfloat16+channels-last

How to read it: PyTorch's profiler adds up the time of operations (of kernels, on a GPU) within each part. An operation
of the backward pass counts where its forward operation did. Writes benchmarks/results/profile-step-DEVICE.svg and a
record; needs matplotlib for the picture, without it only the table is printed and recorded.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from records import RESULTS, Table, describe_device, options_of, record
from training_steps.profile import GROUPS, profile_update

PRESETS = ("cifar10-vdvae", "cifar10-attentive-16")
WIDE_ENOUGH = 4  # percent of the bar, for a number inside


def main(arguments: Sequence[str] | None = None) -> None:
    args = parsed(arguments)
    table = Table(preset="<24", batch=">6", part="<24", ms=">10.1f", share=">8.1%")
    profiles = []
    for preset, batch in zip(args.presets, args.batches, strict=True):
        found = profile_update(preset, args.variant, batch, args.device, args.steps)
        profiles.append(found)
        total = sum(found["ms_of_parts"].values())
        for part, milliseconds in found["ms_of_parts"].items():
            table.add(preset=preset, batch=batch, part=part, ms=milliseconds, share=milliseconds / total)
    record("profile_step", profiles, args.device, args.out)
    try:
        path = draw(profiles, args.device, args.variant, args.out)
    except ModuleNotFoundError as missing:
        print(f"no picture: it needs the package {missing.name}")
    else:
        print(f"picture: {path}")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options_of(__doc__)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), metavar="PRESET", help="presets to measure")
    parser.add_argument("--batches", nargs="+", type=int, default=[2, 2], help="images in an update, for each preset")
    parser.add_argument("--variant", default="eager", help="as for train_step.py")
    parser.add_argument("--steps", type=int, default=1, help="updates under the profiler")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu, cuda, …")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of record and picture")
    return parser.parse_args(arguments)


def draw(profiles: Sequence[dict[str, Any]], device: str, variant: str, folder: Path) -> Path:
    """A bar for each model, made of its parts in percent of the update."""
    from avae_lib.plotting.style import CLASSES, new_figure, styles

    with styles():
        figure, axes = new_figure(width=7.5, height=1.9 + 0.55 * len(profiles))
        for row, found in enumerate(profiles):
            draw_bar(axes, row, found["ms_of_parts"])
        names = [f"{found['preset']}\nbatch {found['batch']}" for found in profiles]
        axes.set_yticks(range(len(profiles)), names)
        axes.invert_yaxis()
        axes.set(xlim=(0, 100), xlabel="share of an update, %")
        axes.grid(axis="y", visible=False)
        axes.set_title(f"{describe_device(device)['name']}, {variant}")
        swatches = [axes.barh(0, 0, color=colour) for colour in CLASSES[: len(GROUPS)]]
        figure.legend(swatches, GROUPS, loc="outside lower center", ncols=4)
        path = folder / f"profile-step-{torch.device(device).type}.svg"
        figure.savefig(path, metadata={"Date": None})
    return path


def draw_bar(axes: Any, row: int, parts: dict[str, float]) -> None:
    """One bar; parts that are wide enough carry their percentage."""
    from avae_lib.plotting.style import CLASSES

    total, left = sum(parts.values()), 0.0
    for colour, milliseconds in zip(CLASSES, parts.values(), strict=False):
        share = 100 * milliseconds / total
        axes.barh(row, share, left=left, height=0.6, color=colour, edgecolor="white", linewidth=0.8)
        if share >= WIDE_ENOUGH:
            axes.text(left + share / 2, row, f"{share:.0f}", ha="center", va="center", color="white", fontweight="bold")
        left += share


if __name__ == "__main__":
    main()
