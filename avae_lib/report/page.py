"""The page itself: what stands on it and in which words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avae_lib.evaluation import Estimate
from avae_lib.report.charts import course_charts, layer_charts
from avae_lib.report.embedding import pixel_data_uri
from avae_lib.report.next_commands import next_commands
from avae_lib.report.run_record import RunRecord
from avae_lib.training.atomic_files import write_atomically
from avae_lib.training.config_files import to_json

__all__ = ["write_report"]


@dataclass(frozen=True)
class Strip:
    """One row of small images."""

    label: str
    source: str
    """The PNG, as a data URI."""
    alt: str


def write_report(
    run_dir: Path | str,
    importance_samples: int = 64,
    images: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Judge a trained run on test images and write what there is to know of it as ``report.html`` in its folder.

    The page is one file that loads nothing else: numbers with standard errors, learning curves, use of each layer,
    samples, reconstructions by depth, and the commands to go on with.

    Args:
        run_dir: folder of a run that has weights.
        importance_samples: draws for each image in the estimate of −log p(x).
        images: test images that the model is judged on, at most; None for as many as training looked at.
        seed: of all that is drawn.
        progress: show a progress bar on the slow part.

    Returns:
        The path of the page.

    Raises:
        RunError, WeightsError: the folder is no run, or has no weights yet.
    """
    record = RunRecord.read(Path(run_dir), importance_samples, images, seed, progress)
    page = _render(record)
    path = Path(run_dir) / "report.html"
    write_atomically(path, lambda file: file.write(page.encode()))
    return path


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
        estimates=_estimates(record),
        active_units=list(zip(record.evaluation.active_units, record.evaluation.units, strict=True)),
        course=course_charts(record),
        layers=layer_charts(record),
        samples=_strips(record.samples, record.bits, "sampled images"),
        reconstructions=_strips(record.reconstructions, record.bits, "images"),
        facts=_facts(record),
        configuration=_configuration(record),
        commands=next_commands(record.experiment, record.run_dir, record.steps),
    )


def _summary(record: RunRecord) -> str:
    layers = "one stochastic layer" if record.num_layers == 1 else f"{record.num_layers} stochastic layers"
    batch = record.experiment.training.batch_size
    return (
        f"A model with {layers} and {record.parameters:,} parameters, trained on {record.dataset.title} for "
        f"{record.steps:,} updates of {batch} images, which took {_duration(record.seconds)}."
    )


def _tiles(record: RunRecord) -> list[tuple[str, str, str]]:
    """The numbers that one looks for first: (name, value, what goes with it)."""
    nats, samples = record.evaluation.negative_elbo, record.evaluation.importance_samples
    bits, likelihood = nats.in_bits_per_dim(record.num_dims), record.evaluation.negative_log_likelihood
    rate = sum(layer.mean for layer in record.evaluation.kl)
    return [
        ("−ELBO, test", *_value_and_error(bits, "bits per dimension")),
        ("−ELBO, test", *_value_and_error(nats, "nats per image")),
        ("−log p(x), test", *_value_and_error(likelihood, f"nats, {samples} samples")),
        ("Rate, all layers", f"{rate:.2f}", "nats per image in the latents"),
    ]


def _estimates(record: RunRecord) -> list[tuple[str, list[str], list[str]]]:
    """Rows of the table: name, (value, error) in nats, (value, error) in bits per dimension."""
    rows = [(name, nats, nats.in_bits_per_dim(record.num_dims)) for name, nats in record.evaluation.rows()]
    return [(name, str(nats).split(" ± "), str(bits).split(" ± ")) for name, nats, bits in rows]


def _value_and_error(estimate: Estimate, unit: str) -> tuple[str, str]:
    value, error = str(estimate).split(" ± ")
    return value, f"± {error} {unit}"


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    data, result = record.dataset, record.evaluation
    channels, height, width = data.image_shape
    seen = {"none": "", "dynamic": ", binarised anew in each batch", "threshold": ", binarised at half"}
    return [
        ("Data", f"{data.title}: {len(data.train):,} training, {len(data.test):,} test images"),
        ("Images", f"{channels} × {height} × {width}, {_count(record.bits, 'bit')} per pixel{seen[data.binarize]}"),
        ("Latents", f"{_count(record.num_layers, 'layer')}, {_count(sum(result.units), 'unit')} in all"),
        ("Parameters", f"{record.parameters:,}"),
        ("Training", f"{record.steps:,} updates of {record.experiment.training.batch_size} images"),
        ("Time", _duration(record.seconds)),
        *_costs(record),
        ("Numbers from", record.experiment.source),
        ("Updates left out", f"{record.skipped:,} ({record.skipped / max(1, record.steps):.2%})"),
        ("Judged on", f"{result.examples:,} of {len(data.test):,} test images"),
        ("Page made with", f"PyTorch {torch.__version__.split('+')[0]} on {record.device}"),
    ]


def _costs(record: RunRecord) -> list[tuple[str, str]]:
    costs = record.costs
    if costs is None:
        return []
    return [
        ("Speed", f"{costs.images_per_second:,.0f} images per second on {costs.device}"),
        ("Energy", "not reported by the device" if costs.energy_kwh is None else f"{costs.energy_kwh:.3g} kWh"),
        ("Memory", f"expected {costs.expected_memory.text()}"),
    ]


def _configuration(record: RunRecord) -> dict[str, list[tuple[str, str]]]:
    stored = to_json(record.experiment)
    return {
        part: [(name, _plain(value)) for name, value in stored[part].items() if name != "type"]
        for part in ("data", "model", "training")
    }


def _strips(rows: dict[str, Tensor], bits: int, what: str) -> list[Strip]:
    return [
        Strip(label, pixel_data_uri(images, bits, len(images)), f"{len(images)} {what}: {label}")
        for label, images in rows.items()
    ]


def _plain(value: object) -> str:
    return " × ".join(map(str, value)) if isinstance(value, list) else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
