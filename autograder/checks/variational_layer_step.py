"""Unit 06: how ``variational_layer_step`` is judged. Its ``parts`` contain no component."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import variational_layer_step as mistakes
from autograder.checks.random_inputs import map_weight, normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import variational_layer_step as variants
from avae_lib.checking.nested_inputs import Map, Record

__all__ = ["VARIATIONAL_LAYER_STEP"]

FIELDS = ("value", "key", "query", "evidence_query")
RESULTS = (("context", FIELDS), "condition", "latent", "kl")
CONTEXT = tuple(f"context.{field}" for field in FIELDS)
STEEP = 1e8
SIZES = (3, 2, 2)  # examples, height, width; fixed, to keep the stored public requests small
INPUTS = ("context", "z", "evidence", "remembered", "parts", "noise")
CALLS = ("call of parts.merge", "call of parts.posterior")


def layer(
    contexts: int = 3,
    evidence: int = 0,
    equal_widths: bool = False,
    settled_gates: bool = False,
    constant: Sequence[str] = (),
    closed: bool = False,
    shift_alone: bool = False,
    plain_numbers: bool = False,
    steep: bool = False,
    single: bool = False,
    dtype: torch.dtype = torch.float32,
):
    """A layer with random parts.

    Args:
        contexts: number of remembered contexts. With one, its weight is 1, whatever queries and scales are.
        evidence: number of layers of evidence, including this layer's own; 0 for None.
        equal_widths: all feature maps have the same number of channels, so mixing them up raises no error.
        settled_gates: both gates are equal, and so are both scales.
        constant: names of parts whose result does not depend on their input.
        closed: the gate of the evidence is 0, so that ê = ẽ.
        shift_alone: the prior is N(0, 1), the noise is zero, and the posterior ignores the key, so z is the mean's
            shift and a function of ê.
        plain_numbers: gates and scales are Python numbers.
        steep: the scale of the evidence is so large that exponentials of scores overflow.
        single: one example of one pixel.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        width, key, latent, evidence_width = [3] * 4 if equal_widths else sizes(generator, 4)
        batch, *size = (1, 1, 1) if single else SIZES

        def features(channels: int) -> Tensor:
            return normal(generator, batch, channels, *size, dtype=dtype)

        def records(count: int, channels: int) -> list[Record]:
            return [Record({"value": features(channels), "key": features(key)}) for _ in range(count)]

        above = {name: features(width if name == "value" else key) for name in FIELDS}
        parts = _maps(generator, width, key, latent, evidence_width, dtype)
        for name in constant:
            parts[name].weight[:, :-1] = 0.0
        if shift_alone:
            parts["prior"].weight.zero_()
            parts["posterior"].weight[:, evidence_width:-1] = 0.0
        scalars = _scalars(generator, settled_gates, dtype)
        if closed:
            scalars["evidence_gate"] = 0 * scalars["evidence_gate"]
        if steep:
            scalars["evidence_scale"] *= STEEP
        if plain_numbers:
            scalars = {name: scalar.item() for name, scalar in scalars.items()}
        return {
            "context": Record(above),
            "z": features(latent),
            "evidence": records(evidence, evidence_width) or None,
            "remembered": records(contexts, width),
            "parts": Record(parts | scalars),
            "noise": (0.0 if shift_alone else 1.0) * features(latent),
        }

    return inputs


def _maps(generator: Generator, width: int, key: int, latent: int, evidence: int, dtype: torch.dtype) -> dict[str, Map]:
    gaussian = (("mean", latent), ("log_std", latent))
    context = (("value", width), ("key", key), ("query", key), ("evidence_query", key))
    merged = (("value", evidence), ("key", key))

    def weight(takes: Sequence[int], returns: Sequence[tuple[str, int]]) -> Tensor:
        return map_weight(generator, sum(takes), sum(channels for _, channels in returns), dtype)

    return {
        "transition": Map(weight((width, latent), context), (width, latent), context, "record"),
        "prior": Map(weight((width,), gaussian), (width,), gaussian, "tuple", bounded=("log_std",)),
        "merge": Map(weight((evidence, width), merged), (evidence, width), merged, "record"),
        "posterior": Map(weight((evidence, key), gaussian), (evidence + key,), gaussian, "tuple", bounded=("log_std",)),
    }


def _scalars(generator: Generator, settled: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    gates, scales = (uniform(generator, 2, low=low, high=low + 0.5, dtype=dtype) for low in (0.6, 0.3))
    if settled:
        gates[1] = gates[0]
        scales[1] = scales[0]
    names = ("context_gate", "evidence_gate", "context_scale", "evidence_scale")
    return dict(zip(names, (*gates, *scales), strict=True))


VARIATIONAL_LAYER_STEP = ComponentCheck(
    "variational_layer_step",
    cases=(
        Case(
            "condition",
            2,
            "the condition is c + context_gate · attention(s; remembered), with c and s of the new context",
            (
                layer(equal_widths=True),
                layer(contexts=1, equal_widths=True, plain_numbers=True),
                layer(evidence=2, equal_widths=True),
            ),
            harness="call_nested",
            results=RESULTS,
            looks_at=("condition",),
        ),
        Case(
            "context",
            1,
            "the context is the record that parts.transition(context.value, z) returns",
            (layer(equal_widths=True), layer(evidence=2, equal_widths=True)),
            harness="call_nested",
            results=RESULTS,
            looks_at=CONTEXT,
        ),
        Case(
            "latent without evidence",
            1,
            "without evidence, z = mean + exp(log_std)·noise of the prior of the condition",
            (layer(contexts=1, settled_gates=True, equal_widths=True), layer(contexts=1, settled_gates=True)),
            harness="call_nested",
            results=RESULTS,
            looks_at=("latent", *CALLS),
            watch=("calls",),
        ),
        Case(
            "latent with evidence of its own",
            2,
            "the posterior is the prior plus the shifts from ê and k̃, which come from merging evidence and condition",
            (
                layer(contexts=1, evidence=1, closed=True, constant=("prior",), equal_widths=True),
                layer(contexts=1, evidence=2, closed=True, constant=("prior",)),
            ),
            harness="call_nested",
            results=RESULTS,
            looks_at=("latent",),
        ),
        Case(
            "latent with evidence below",
            2,
            "ê = ẽ + evidence_gate · attention(r; [merged, *evidence[1:]])",
            (
                layer(contexts=1, evidence=3, constant=("merge",), shift_alone=True, equal_widths=True),
                layer(
                    contexts=1, evidence=4, constant=("merge",), shift_alone=True, equal_widths=True, plain_numbers=True
                ),
                layer(contexts=1, evidence=2, constant=("merge",), shift_alone=True, equal_widths=True, steep=True),
            ),
            harness="call_nested",
            results=RESULTS,
            looks_at=("latent",),
        ),
        Case(
            "kl",
            1,
            "kl is KL(posterior‖prior) of each example, summed over channels and pixels",
            (
                layer(contexts=1, evidence=1, constant=("prior", "posterior"), equal_widths=True),
                layer(contexts=1, evidence=1, constant=("prior", "posterior")),
            ),
            harness="call_nested",
            results=RESULTS,
            looks_at=("kl",),
        ),
        Case(
            "kl without evidence",
            1,
            "without evidence, kl is zeros, one per example, of the context's dtype",
            (layer(dtype=torch.float64), layer()),
            kind="form",
            harness="call_nested",
            results=RESULTS,
            looks_at=("kl",),
        ),
        Case(
            "gradients",
            1,
            "gradients of context, condition and latent must reach all inputs, gates, scales and weights",
            (layer(evidence=3), layer()),
            kind="gradient",
            harness="call_nested",
            results=RESULTS,
            gradients=INPUTS,
            gradients_of=("context", "condition", "latent"),
        ),
        Case(
            "gradients of kl, precision kept, inputs left alone",
            1,
            "a result or a gradient of kl is wrong, for float32 or float64 inputs or for one example of one pixel",
            (
                layer(evidence=2, dtype=torch.float64),
                layer(evidence=1, single=True, dtype=torch.float64),
                layer(evidence=3),
            ),
            kind="form",
            harness="call_nested",
            results=RESULTS,
            gradients=INPUTS,
            gradients_of=("kl",),
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
