"""The page itself: its contents and its words."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from avae_lib.atomic_write import write_atomically
from avae_lib.data import Dataset
from avae_lib.errors import UserError
from avae_lib.evaluation import Estimate
from avae_lib.report.charts import course_charts, layer_charts
from avae_lib.report.next_commands import next_commands
from avae_lib.report.run_record import RunRecord
from avae_lib.report.text_tables import in_plain_text, option_values
from avae_lib.training.checkpoints import WeightsError
from avae_lib.training.costs import duration
from avae_lib.training.experiment import to_json
from avae_lib.training.looks import Looks
from avae_lib.training.starting_weights import StartRecord

__all__ = ["ReportUnavailable", "write_report"]

_NEEDED = {"matplotlib": "matplotlib", "jinja2": "jinja2", "PIL": "pillow"}
"""Modules that draw and lay out the page, with the packages that they are installed by; training needs none."""


class ReportUnavailable(UserError):
    """A package that the report needs is not installed."""


def write_report(
    run_dir: Path | str,
    importance_samples: int = 64,
    images: int | None = None,
    seed: int = 0,
    progress: bool = False,
    device: str = "auto",
) -> Path:
    """Evaluate a trained run on validation images and write ``report.html`` in its folder.

    The page is one file that loads nothing else: numbers with standard errors, learning curves, use of each layer,
    samples and other pictures (:mod:`avae_lib.report.panels`), and the commands to go on with.

    Args:
        run_dir: folder of a run that has weights.
        importance_samples: draws for each image in the estimate of −log p(x).
        images: validation images that the model is judged on, at most; None for as many as training looked at. Of a
            data set without validation images: test images.
        seed: for sampling.
        progress: show a progress bar on the slow part.
        device: where to compute: "auto" (a GPU if there is one), "cpu", "cuda", …

    Returns:
        The path of the page.

    Raises:
        ReportUnavailable: a package that the page needs is not installed; nothing was evaluated yet.
        RunError, WeightsError: the folder is no run, or has no weights yet.
    """
    _require_packages()
    record = RunRecord.read(Path(run_dir), importance_samples, images, seed, progress, device)
    page = _render(record)
    path = Path(run_dir) / "report.html"
    write_atomically(path, page)
    return path


def _require_packages() -> None:
    absent = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if absent:
        raise ReportUnavailable(
            f"a report needs {' and '.join(absent)}, not installed on this machine: pip install {' '.join(absent)}"
        )


def _render(record: RunRecord) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("avae_lib"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("report.html").render(
        name=record.experiment.name,
        summary=_summary(record),
        tiles=_tiles(record),
        record=record,
        example=record.observed.example,
        estimates=_estimates(record),
        active_units=list(zip(record.evaluation.active_units, record.evaluation.units, strict=True)),
        course=course_charts(record),
        layers=layer_charts(record),
        panels=record.panels,
        facts=_facts(record),
        configuration=_configuration(record),
        commands=next_commands(record.experiment, record.run_dir, record.steps),
    )


def _summary(record: RunRecord) -> str:
    layers = "one stochastic layer" if record.num_layers == 1 else f"{record.num_layers} stochastic layers"
    batch = record.experiment.training.batch_size
    return (
        f"A model with {layers} and {record.parameters:,} parameters, trained on {record.dataset.title} for "
        f"{record.steps:,} updates of {batch} {record.observed.example}s, which took {duration(record.seconds)}."
    )


def _tiles(record: RunRecord) -> list[tuple[str, str, str]]:
    """The numbers at the top of the page: (name, value, what goes with it)."""
    if not record.has_density:
        return _tiles_without_density(record)
    result, example = record.evaluation, record.observed.example
    nats, likelihood = result.negative_elbo, result.negative_log_likelihood
    assert nats is not None and likelihood is not None, "the model has a density"
    bits = nats.in_bits_per_dim(result.num_dims)
    rate = sum(layer.mean for layer in result.kl)
    return [
        (f"−ELBO, {record.held_out}", *_value_and_error(bits, f"bits per {record.observed.value}")),
        (f"−ELBO, {record.held_out}", *_value_and_error(nats, f"nats per {example}")),
        (f"−log p(x), {record.held_out}", *_value_and_error(likelihood, f"nats, {result.importance_samples} samples")),
        ("Rate, all layers", f"{rate:.2f}", f"nats per {example} in the latents"),
    ]


def _tiles_without_density(record: RunRecord) -> list[tuple[str, str, str]]:
    result, unit = record.evaluation, f"nats per {record.observed.example}"
    objective = result.distortion.mean + sum(penalty.mean for penalty in result.penalties.values())
    return [
        (f"Training objective, {record.held_out}", f"{objective:.2f}", unit),
        (f"−log p(x | z), {record.held_out}", *_value_and_error(result.distortion, unit)),
        *((f"Penalty: {name}", f"{penalty.mean:.2f}", unit) for name, penalty in result.penalties.items()),
        ("−ELBO and −log p(x)", "—", "not defined, see below"),
    ]


def _estimates(record: RunRecord) -> list[tuple[str, list[str], list[str]]]:
    """Rows of the table: name, value and error in nats, value and error in bits; some have no error."""
    return [(name, nats.split(" ± "), bits.split(" ± ")) for name, nats, bits in record.evaluation.cells()]


def _value_and_error(estimate: Estimate, unit: str) -> tuple[str, str]:
    value, error = str(estimate).split(" ± ")
    return value, f"± {error} {unit}"


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    data, result, example = record.dataset, record.evaluation, record.observed.example
    return [
        ("Data", f"{data.title}: {_sizes(data)} {example}s"),
        (f"{example.capitalize()}s", data.description),
        ("Latents", f"{_count(record.num_layers, 'layer')}, {_count(sum(result.units), 'unit')} in all"),
        ("Parameters", f"{record.parameters:,}"),
        ("Training", f"{record.steps:,} updates of {record.experiment.training.batch_size} {example}s"),
        *_beginning(record),
        ("Time", duration(record.seconds)),
        *_costs(record),
        ("Numbers from", record.experiment.source),
        ("Updates left out", f"{record.skipped:,} ({record.skipped / max(1, record.steps):.2%})"),
        ("Judged on", f"{result.examples:,} of {_judged(record):,} {record.held_out} {example}s"),
        ("Looked at", Looks.count(record.run_dir).text(example)),
        ("Page made with", f"PyTorch {torch.__version__.split('+')[0]} on {record.device}"),
    ]


def _beginning(record: RunRecord) -> list[tuple[str, str]]:
    try:
        start = StartRecord.read(record.run_dir)
    except WeightsError:
        return [("Began from", f"not known: {StartRecord.file(record.run_dir).name} is damaged")]
    return [] if start is None else [("Began from", start.text())]


def _sizes(data: Dataset) -> str:
    """How many examples each split has, for example "1,350 training, 150 validation, 297 test"."""
    splits = {"training": data.train, "validation": data.valid, "test": data.test}
    return ", ".join(f"{len(examples):,} {name}" for name, examples in splits.items() if examples is not None)


def _judged(record: RunRecord) -> int:
    examples = record.dataset.test if record.held_out == "test" else record.dataset.valid
    assert examples is not None, "the model was evaluated on them"
    return len(examples)


def _costs(record: RunRecord) -> list[tuple[str, str]]:
    costs = record.costs
    if costs is None:
        return []
    return [
        ("Speed", f"{costs.images_per_second:,.0f} {costs.example}s per second on {costs.device}"),
        ("Energy", "not reported by the device" if costs.energy_kwh is None else f"{costs.energy_kwh:.3g} kWh"),
        ("Memory", f"expected {costs.expected_memory.text()}"),
    ]


def _configuration(record: RunRecord) -> dict[str, list[tuple[str, str]]]:
    stored = to_json(record.experiment)
    return {
        part: [(name, in_plain_text(value)) for name, value in option_values(stored[part])]
        for part in ("data", "model", "training")
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
