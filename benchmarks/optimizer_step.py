"""What it costs that an update can be skipped: the optimizer's step with the decision before it, or copies around it.

    python benchmarks/optimizer_step.py                      prints one table and records it in benchmarks/results/
    python benchmarks/optimizer_step.py --device cuda

The host does not know whether an update is skipped. *conditional* is the step of training
(:func:`avae_lib.training.optimizers_and_schedules.step_unless_skipped`), which does nothing where it is. *plain* is
PyTorch's step with its own choice of implementation, which cannot be skipped. *with copies* is that step between a copy
of all weights and moments and their restoration. *moving average* and *clipping* stand beside them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from records import RESULTS, Table, options_of, record
from training_steps.arithmetic import seconds_of

from avae_lib.presets import find_preset
from avae_lib.training.moving_average import MovingAverage
from avae_lib.training.optimizers_and_schedules import make_optimizer, optimizer_tensors, step_unless_skipped
from avae_lib.training.skipped_updates import Rollback

PRESETS = ("cifar10-vdvae", "cifar10-attentive-16", "photos32-vdvae")


def milliseconds(act: Callable[[], object], device: torch.device, repeats: int = 5) -> float:
    """Median time of a call, after one that does not count."""
    times = [seconds_of(act, device)[0] for _ in range(repeats + 1)]
    return 1000 * statistics.median(times[1:])


def measure(preset: str, device: torch.device) -> dict[str, float | str]:
    """One row of the table."""
    experiment = find_preset(preset)
    model = experiment.build_model().to(device)
    parameters = list(model.parameters())
    config = experiment.training
    conditional = make_optimizer(parameters, config)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    settings = {"lr": 1e-6, "betas": config.optimizer.betas, "eps": config.optimizer.epsilon}
    plain = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax}[config.optimizer.kind](
        parameters, **settings
    )
    for group in conditional.param_groups:
        group["lr"] = 1e-6
    plain.step()
    rollback = Rollback([*parameters, *optimizer_tensors(conditional)])
    average = MovingAverage(model, config.optimizer.ema_decay)
    never, taken = torch.zeros((), dtype=torch.bool, device=device), torch.ones((), dtype=torch.bool, device=device)

    def with_copies() -> None:
        rollback.remember()
        plain.step()
        rollback.undo_unless(taken)

    return {
        "preset": preset,
        "optimizer": config.optimizer.kind,
        "plain": milliseconds(plain.step, device),
        "conditional": milliseconds(lambda: step_unless_skipped(conditional, never), device),
        "with_copies": milliseconds(with_copies, device),
        "moving_average": milliseconds(lambda: average.update_parameters(model, taken), device),
        "clipping": milliseconds(lambda: torch.nn.utils.clip_grad_norm_(parameters, 1e9, foreach=True), device),
    }


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), metavar="PRESET", help="whose models to take")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, …")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="folder of the record")
    args = parser.parse_args()
    device = torch.device(args.device)
    print("milliseconds")
    numbers = ("plain", "conditional", "with_copies", "moving_average", "clipping")
    table = Table(preset="<22", optimizer="<10", **dict.fromkeys(numbers, ">15.2f"))
    for preset in args.presets:
        table.add(**measure(preset, device))
    record("optimizer_step", table.rows, device, args.out)


if __name__ == "__main__":
    main()
