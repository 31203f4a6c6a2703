"""The graphs of a report, each with a title and a sentence on how to read it."""

from __future__ import annotations

from typing import Any

from avae_lib import plotting
from avae_lib.evaluation import ACTIVITY_THRESHOLD
from avae_lib.report.embedding import inline_svg
from avae_lib.report.page_parts import Chart
from avae_lib.report.run_record import RunRecord

__all__ = ["course_charts", "layer_charts"]

_SIZE = (4.0, 2.6)  # inches: narrow enough for legible numerals on a telephone
_SETTLED = 0.15  # fraction of the run after which the curves are worth magnifying


def course_charts(record: RunRecord) -> tuple[Chart, ...]:
    """Charts of training: the whole bound, the bound magnified in bits per dimension, its two terms, and penalties.

    A model without a density has the training objective in place of the bound.
    """
    if not _held_out_rows(record):
        return ()
    penalties = (_penalties(record),) if _held_out_rows(record)[-1].get("penalties") else ()
    if not record.has_density:
        return (_bound(record), *penalties)
    return (_bound(record), _bits_per_dim(record), _terms(record), *penalties)


def layer_charts(record: RunRecord) -> tuple[Chart, ...]:
    """Charts of the information in each layer, at the end and during training."""
    final = _units(record) if record.num_layers == 1 or not record.has_density else _final_kl(record)
    return (final, _kl_history(record)) if _held_out_rows(record) and record.has_density else (final,)


def _bound(record: RunRecord) -> Chart:
    curves, (held_out, _) = _both_curves(record, record.quantity), record.curve
    first, last = curves[held_out][1][0], curves[held_out][1][-1]
    name, short = ("Negative ELBO", "−ELBO") if record.has_density else ("Training objective", "objective")
    return Chart(
        name,
        f"Both curves should fall and flatten together. A {held_out} curve that turns upwards while the other falls "
        "means overfitting.",
        inline_svg(
            plotting.learning_curves(curves, f"{short} ({_unit(record)})", size=_SIZE),
            f"{name} against updates, training and {held_out}; the {held_out} curve goes from {first:.1f} to "
            f"{last:.1f} {_unit(record)}",
        ),
    )


def _bits_per_dim(record: RunRecord) -> Chart:
    start = _SETTLED * record.steps
    curves, (held_out, _) = _both_curves(record, "bits_per_dim", start), record.curve
    best, value = min(_held_out_rows(record), key=lambda row: row["negative_elbo"]), record.observed.value
    return Chart(
        f"Bits per {value}",
        f"The same, magnified. The lowest {held_out} value is {best['bits_per_dim']:.3f}, at update {best['step']:,}.",
        inline_svg(
            plotting.learning_curves(curves, f"bits per {value}", size=_SIZE),
            f"Bits per {value} against updates from {start:.0f} on, training and {held_out}; lowest {held_out} value "
            f"{best['bits_per_dim']:.3f} at update {best['step']}",
        ),
    )


def _terms(record: RunRecord) -> Chart:
    held_out, split = record.curve
    steps, log_likelihood = _curve(record, split, "log_likelihood")
    _, kl = _curve(record, split, "kl")
    curves = {"distortion, −log p(x | z)": (steps, [-value for value in log_likelihood]), "rate, KL": (steps, kl)}
    return Chart(
        f"The two terms on {held_out} {record.observed.example}s",
        f"What the latents say about each {record.observed.example} (rate), and what is left to say once they are "
        "known (distortion). A rate that stays at zero means that the latents are ignored.",
        inline_svg(
            plotting.learning_curves(curves, _unit(record), size=_SIZE),
            "Distortion and rate against updates; at the end "
            f"{-log_likelihood[-1]:.1f} and {kl[-1]:.1f} {_unit(record)}",
        ),
    )


def _penalties(record: RunRecord) -> Chart:
    rows, (held_out, _) = _held_out_rows(record), record.curve
    names, steps = list(rows[-1]["penalties"]), [row["step"] for row in rows]
    curves = {name: (steps, [(row.get("penalties") or {}).get(name) or 0.0 for row in rows]) for name in names}
    listed = ", ".join(f"{name} {curves[name][1][-1]:.2f}" for name in names)
    return Chart(
        f"Penalty: {names[0]}" if len(names) == 1 else "Penalties",
        f"Further terms of the training objective on {held_out} {record.observed.example}s, which are no part of the "
        "bound.",
        inline_svg(
            plotting.learning_curves(curves, _unit(record), size=_SIZE),
            f"Penalties against updates; at the end: {listed}",
        ),
    )


def _final_kl(record: RunRecord) -> Chart:
    means = [layer.mean for layer in record.evaluation.kl]
    errors = [layer.standard_error for layer in record.evaluation.kl]
    listed = ", ".join(f"{mean:.2f}" for mean in means)
    return Chart(
        "KL of each layer",
        f"Nats that each layer tells about a {record.held_out} {record.observed.example}, ± two standard errors. A "
        "layer near zero is not used.",
        inline_svg(
            plotting.kl_per_layer(means, errors, size=_SIZE),
            f"Bars, one for each layer from the top: {listed} {_unit(record)}",
        ),
    )


def _units(record: RunRecord) -> Chart:
    variances = record.activity[0].flatten().tolist()
    active = sum(variance > ACTIVITY_THRESHOLD for variance in variances)
    return Chart(
        "Units in use",
        f"How far the posterior mean of each latent unit moves from one {record.observed.example} to another. {active} "
        f"of {len(variances)} units lie above the dotted line at {ACTIVITY_THRESHOLD} and are called active.",
        inline_svg(
            plotting.unit_activity(variances, ACTIVITY_THRESHOLD, size=_SIZE),
            f"Bars of the variance of each unit's posterior mean, sorted; {active} of {len(variances)} are above the "
            "threshold",
        ),
    )


def _kl_history(record: RunRecord) -> Chart:
    rows, (held_out, _) = _held_out_rows(record), record.curve
    steps, kl = [row["step"] for row in rows], [row["kl_per_layer"] for row in rows]
    several, example = record.num_layers > 1, record.observed.example
    return Chart(
        "KL of each layer during training" if several else "KL during training",
        f"Bright rows are layers that tell much about the {example}, and when they began to. Above, their sum."
        if several
        else f"How much the latents tell about a {held_out} {example}, and when they began to.",
        inline_svg(
            plotting.kl_during_training(steps, kl, size=_SIZE),
            f"KL on {held_out} {example}s against updates{', one row for each layer' * several}; "
            f"in sum {sum(kl[-1]):.1f} nats per {example} at the end",
        ),
    )


def _unit(record: RunRecord) -> str:
    return f"nats per {record.observed.example}"


def _held_out_rows(record: RunRecord) -> list[dict[str, Any]]:
    return record.rows(record.curve[1])


def _both_curves(record: RunRecord, quantity: str, start: float = 0) -> dict[str, tuple[list[float], list[float]]]:
    """Curves of training and held-out images by their names, from the update ``start`` on."""
    splits = dict([("training", "train"), record.curve])
    return {name: _curve(record, split, quantity, start) for name, split in splits.items()}


def _curve(record: RunRecord, split: str, quantity: str, start: float = 0) -> tuple[list[float], list[float]]:
    rows = [row for row in record.rows(split) if row["step"] >= start]
    return [row["step"] for row in rows], [row[quantity] for row in rows]
