"""The graphs of a report, each with a title and a sentence on how to read it."""

from __future__ import annotations

from dataclasses import dataclass

from avae_lib import plotting
from avae_lib.evaluation import ACTIVITY_THRESHOLD
from avae_lib.report.embedding import inline_svg
from avae_lib.report.run_record import RunRecord

__all__ = ["Chart", "course_charts", "layer_charts"]

_SIZE = (4.0, 2.6)  # inches: so narrow that a telephone shows the numerals in a legible size
_SETTLED = 0.15  # fraction of the run after which the curves are worth magnifying


@dataclass(frozen=True)
class Chart:
    """A graph on a page."""

    title: str
    reading: str
    """What to look for."""
    svg: str


def course_charts(record: RunRecord) -> tuple[Chart, ...]:
    """How training went: the bound whole, the bound magnified in bits per dimension, and its two terms."""
    return (_bound(record), _bits_per_dim(record), _terms(record)) if record.rows("test") else ()


def layer_charts(record: RunRecord) -> tuple[Chart, ...]:
    """Where the latents hold information, at the end and during training."""
    final = _units(record) if record.num_layers == 1 else _final_kl(record)
    return (final, _kl_history(record)) if record.rows("test") else (final,)


def _bound(record: RunRecord) -> Chart:
    curves = {name: _curve(record, split, "negative_elbo") for name, split in _SPLITS.items()}
    first, last = curves["test"][1][0], curves["test"][1][-1]
    return Chart(
        "Negative ELBO",
        "Both curves should fall and flatten together. A test curve that turns upwards while the other falls means "
        "overfitting.",
        inline_svg(
            plotting.learning_curves(curves, size=_SIZE),
            f"Negative ELBO against updates, training and test; the test curve goes from {first:.1f} to {last:.1f} "
            "nats per image",
        ),
    )


def _bits_per_dim(record: RunRecord) -> Chart:
    start = _SETTLED * record.steps
    curves = {name: _curve(record, split, "bits_per_dim", start) for name, split in _SPLITS.items()}
    best = min(record.rows("test"), key=lambda row: row["negative_elbo"])
    return Chart(
        "Bits per dimension",
        f"The same, magnified. The lowest test value is {best['bits_per_dim']:.3f}, at update {best['step']:,}.",
        inline_svg(
            plotting.learning_curves(curves, "bits per dimension", size=_SIZE),
            f"Bits per dimension against updates from {start:.0f} on, training and test; lowest test value "
            f"{best['bits_per_dim']:.3f} at update {best['step']}",
        ),
    )


def _terms(record: RunRecord) -> Chart:
    steps, log_likelihood = _curve(record, "test", "log_likelihood")
    _, kl = _curve(record, "test", "kl")
    curves = {"distortion, −log p(x | z)": (steps, [-value for value in log_likelihood]), "rate, KL": (steps, kl)}
    return Chart(
        "The two terms on test images",
        "What the latents say about an image (rate), and what is left to say once they are known (distortion). A rate "
        "that stays at zero means that the latents are ignored.",
        inline_svg(
            plotting.learning_curves(curves, "nats per image", size=_SIZE),
            "Distortion and rate against updates; at the end "
            f"{-log_likelihood[-1]:.1f} and {kl[-1]:.1f} nats per image",
        ),
    )


def _final_kl(record: RunRecord) -> Chart:
    means = [layer.mean for layer in record.evaluation.kl]
    errors = [layer.standard_error for layer in record.evaluation.kl]
    listed = ", ".join(f"{mean:.2f}" for mean in means)
    return Chart(
        "KL of each layer",
        "Nats that each layer tells about a test image, ± two standard errors. A layer near zero is not used.",
        inline_svg(
            plotting.kl_per_layer(means, errors, size=_SIZE),
            f"Bars, one for each layer from the top: {listed} nats per image",
        ),
    )


def _units(record: RunRecord) -> Chart:
    variances = record.activity[0].flatten().tolist()
    active = sum(variance > ACTIVITY_THRESHOLD for variance in variances)
    return Chart(
        "Units in use",
        f"How far the posterior mean of each latent unit moves from image to image. {active} of {len(variances)} units "
        f"lie above the dotted line at {ACTIVITY_THRESHOLD} and are called active.",
        inline_svg(
            plotting.unit_activity(variances, ACTIVITY_THRESHOLD, size=_SIZE),
            f"Bars of the variance of each unit's posterior mean, sorted; {active} of {len(variances)} are above the "
            "threshold",
        ),
    )


def _kl_history(record: RunRecord) -> Chart:
    rows = record.rows("test")
    steps, kl = [row["step"] for row in rows], [row["kl_per_layer"] for row in rows]
    several = record.num_layers > 1
    return Chart(
        "KL of each layer during training" if several else "KL during training",
        "Bright rows are layers that tell much about the image, and when they began to. Above, their sum."
        if several
        else "How much the latents tell about a test image, and when they began to.",
        inline_svg(
            plotting.kl_during_training(steps, kl, size=_SIZE),
            f"KL on test images against updates{', one row for each layer' * several}; "
            f"in sum {sum(kl[-1]):.1f} nats per image at the end",
        ),
    )


_SPLITS = {"training": "train", "test": "test"}


def _curve(record: RunRecord, split: str, quantity: str, start: float = 0) -> tuple[list[float], list[float]]:
    rows = [row for row in record.rows(split) if row["step"] >= start]
    return [row["step"] for row in rows], [row[quantity] for row in rows]
