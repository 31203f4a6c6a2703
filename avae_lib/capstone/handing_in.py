"""Writes the files of a capstone, and refuses at once what the grader would refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from avae_lib.capstone.budget import BUDGET, Budget
from avae_lib.capstone.claims import Claims, ClaimsError, Quantity, read_claims
from avae_lib.capstone.measuring import Measurement
from avae_lib.capstone.rebuilding import CapstoneRefused, rebuild, trained_numbers, weights_bytes
from avae_lib.models.families import config_to_record
from avae_lib.training.costs import Costs
from avae_lib.training.runs import load_run

__all__ = ["FILES", "claims_of_run", "hand_in", "read_files", "require_accepted"]

CONFIG, WEIGHTS, REPORT = "config.json", "weights.safetensors", "report.md"
FILES = (CONFIG, WEIGHTS, REPORT)
"""What is handed in beside the notebook."""


def hand_in(
    folder: Path | str,
    trained: nn.Module | Path | str,
    claims: Claims,
    text: str,
    config: Any = None,
    budget: Budget = BUDGET,
) -> tuple[Path, ...]:
    """Write ``config.json``, ``weights.safetensors`` and ``report.md`` into a folder, beside the notebook.

    If the grader would refuse the files, nothing is written and the error has the same words. Whether the claims are
    true is left to :func:`avae_lib.capstone.check`.

    Args:
        folder: the folder of the notebook; made if it does not exist.
        trained: the run folder of ``avae train`` or ``train_in_notebook``; or a model in memory.
        claims: the content of the mandatory table.
        text: the report in Markdown, without the table, which is added at its end.
        config: the configuration that built the model; not needed with a run folder.

    Returns:
        The three files.

    Raises:
        CapstoneRefused: the grader would not accept these files; the message says why.

    >>> from tempfile import TemporaryDirectory
    >>> from avae_lib.models.vae import VAEConfig
    >>> config = VAEConfig((3, 32, 32), bits=8, likelihood="discretized_logistic", hidden_sizes=(16,))
    >>> model = config.build()
    >>> claims = Claims("photos32", "embedded", "bound", 4.93, 0.06, 1, trained_numbers(model), 8_400, 0.4)
    >>> with TemporaryDirectory() as folder:
    ...     [path.name for path in hand_in(folder, model, claims, "# A small VAE", config)]
    ['config.json', 'weights.safetensors', 'report.md']
    """
    if not isinstance(trained, nn.Module):
        trained, experiment = load_run(trained)
        config = experiment.model
    if config is None:
        raise CapstoneRefused("config is missing: a model in memory needs the configuration that built it")
    contents = {
        CONFIG: (json.dumps(config_to_record(config), indent=1) + "\n").encode(),
        WEIGHTS: weights_bytes(trained),
        REPORT: f"{text.rstrip()}\n\n{claims.table()}".encode(),
    }
    require_accepted(contents, budget)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in contents)


def claims_of_run(
    run_dir: Path | str, measurement: Measurement, quantity: Quantity, version: str, budget: Budget = BUDGET
) -> Claims:
    """Claims with the costs of a run folder and the numbers of a measurement.

    Args:
        quantity: ``bound`` or ``importance-weighted``.
        version: of the data set, in a few words.

    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> from avae_lib.presets import find_preset
    >>> from avae_lib.training.runs import write_run
    >>> preset = find_preset("digits-vae")
    >>> measured = Measurement(torch.tensor([5.0, 4.0]), torch.tensor([4.9, 3.9]), samples=16, seconds=1.0)
    >>> with TemporaryDirectory() as folder:
    ...     write_run(preset, preset.build_model(), folder)
    ...     claims = claims_of_run(folder, measured, "bound", "embedded")
    >>> claims.data_set, claims.bits_per_dim, claims.error
    ('digits', 4.5, 0.5)
    """
    model, experiment = load_run(run_dir)
    costs = Costs.read(Path(run_dir))
    is_bound = quantity == "bound"
    measured = measurement.bound if is_bound else measurement.importance_weighted
    claims = Claims(
        data_set=experiment.data.name,
        version=version,
        quantity=quantity,
        bits_per_dim=round(measured.mean, 4),
        error=round(measured.standard_error, 4),
        samples=1 if is_bound else measurement.samples,
        parameters=trained_numbers(model),
        updates=0 if costs is None else costs.updates,
        hours=0.0 if costs is None else round(costs.hours, 3),
    )
    return claims if costs is None else replace(claims, energy_kwh=costs.energy_kwh)


def require_accepted(contents: dict[str, bytes], budget: Budget = BUDGET) -> tuple[nn.Module, Claims]:
    """The model and the claims in the files of a capstone.

    Args:
        contents: of the three files, by their names.

    Raises:
        CapstoneRefused: a file is missing or too large, no model can be rebuilt, or the table cannot be used.

    >>> require_accepted({CONFIG: b"{}", WEIGHTS: b""})
    Traceback (most recent call last):
    avae_lib.capstone.rebuilding.CapstoneRefused: report.md is missing: capstone.hand_in writes it
    """
    limits = {CONFIG: budget.max_config_bytes, WEIGHTS: budget.max_weights_bytes, REPORT: budget.max_report_bytes}
    for name, most in limits.items():
        if name not in contents:
            raise CapstoneRefused(f"{name} is missing: capstone.hand_in writes it")
        if len(contents[name]) > most:
            raise CapstoneRefused(f"{name} has {len(contents[name]):,} bytes, more than {most:,}")
    return rebuild(contents[CONFIG], contents[WEIGHTS], budget), accepted_claims(contents[REPORT], budget)


def accepted_claims(report: bytes, budget: Budget = BUDGET) -> Claims:
    """The claims in a report, all of them acceptable to the course.

    Raises:
        CapstoneRefused: the table is not complete, or holds what the course does not accept.
    """
    try:
        claims = read_claims(report.decode("utf-8"))
    except UnicodeDecodeError:
        raise CapstoneRefused("report.md: it is not UTF-8 text") from None
    except ClaimsError as problem:
        raise CapstoneRefused(f"report.md: {problem}") from None
    if refusals := claims.refusals(budget):
        raise CapstoneRefused(f"report.md: {'; '.join(refusals)}")
    return claims


def read_files(folder: Path | str) -> dict[str, bytes]:
    """The contents of the files of a capstone that exist in a folder, by name.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "report.md").write_bytes(b"# A small VAE")
    ...     read_files(folder)
    {'report.md': b'# A small VAE'}
    """
    return {name: (Path(folder) / name).read_bytes() for name in FILES if (Path(folder) / name).is_file()}
