"""Unit 05: how ``top_down_step`` is judged. Its ``parts`` contain no component."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import top_down_step as mistakes
from autograder.checks.random_inputs import map_weight, normal, sizes
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import top_down_step as variants
from avae_lib.checking.nested_inputs import Map, Record

__all__ = ["TOP_DOWN_STEP"]

RESULTS = ("new stream", "latent", "kl")
GAUSSIAN = ("mean", "log_std")
SIZES = (3, 2, 2)  # examples, height, width; fixed, to keep the stored public requests small
INPUTS = ("stream", "evidence", "parts", "noise")


def step(
    with_evidence: bool = True,
    equal_widths: bool = False,
    settled_latent: bool = False,
    posterior_of_evidence: bool = False,
    single: bool = False,
    dtype: torch.dtype = torch.float32,
):
    """A step with random parts.

    Args:
        equal_widths: latent, stream and evidence have the same number of channels, so mixing them up raises no error.
        settled_latent: posterior and prior have the same constant mean, and the noise is zero: z is right however it
            is drawn, so the new stream is judged separately.
        posterior_of_evidence: the posterior ignores the stream, so it does not matter which stream it gets.
        single: one example of one pixel.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        latent, width, evidence_width = [3] * 3 if equal_widths else sizes(generator, 4)[:3]
        batch, *size = (1, 1, 1) if single else SIZES
        posterior = map_weight(generator, width + evidence_width, 2 * latent, dtype)
        prior = map_weight(generator, width, 2 * latent + width, dtype)
        if posterior_of_evidence:
            posterior[:, :width] = 0.0
        if settled_latent:
            _settle(posterior, prior, latent, normal(generator, latent, dtype=dtype))
        noise = normal(generator, batch, latent, *size, dtype=dtype)
        evidence = normal(generator, batch, evidence_width, *size, dtype=dtype)
        return {
            "stream": normal(generator, batch, width, *size, dtype=dtype),
            "evidence": evidence if with_evidence else None,
            "parts": Record(
                {
                    "posterior": Map(
                        posterior, (width + evidence_width,), _gaussian(latent), "tuple", bounded=("log_std",)
                    ),
                    "prior": Map(prior, (width,), (*_gaussian(latent), ("h", width)), "tuple", bounded=("log_std",)),
                    "project": Map(map_weight(generator, latent, width, dtype), (latent,), (("stream", width),)),
                    "refine": Map(
                        map_weight(generator, width, width, dtype), (width,), (("stream", width),), residual=True
                    ),
                }
            ),
            "noise": torch.zeros_like(noise) if settled_latent else noise,
        }

    return inputs


def _gaussian(latent: int) -> tuple[tuple[str, int], ...]:
    return tuple((name, latent) for name in GAUSSIAN)


def _settle(posterior: Tensor, prior: Tensor, latent: int, constants: Tensor) -> None:
    """Give both maps the same constant means, the sines of the same numbers."""
    for weight in (posterior, prior):
        linear, inner = weight.chunk(2)
        linear[:latent] = inner[:latent] = 0.0
        inner[:latent, -1] = constants


TOP_DOWN_STEP = ComponentCheck(
    "top_down_step",
    cases=(
        Case(
            "latent with evidence",
            2,
            "z = mean + exp(log_std)·noise of the posterior, which takes stream and evidence as they came in",
            (step(), step(equal_widths=True)),
            harness="call_nested",
            results=RESULTS,
            looks_at=("latent",),
            draws=2,
        ),
        Case(
            "latent without evidence",
            1,
            "without evidence, z = mean + exp(log_std)·noise of the prior, and the posterior is not called",
            (step(with_evidence=False, equal_widths=True), step(with_evidence=False)),
            harness="call_nested",
            results=RESULTS,
            looks_at=("latent", "call of parts.posterior"),
            watch=("calls",),
        ),
        Case(
            "new stream",
            2,
            "the new stream is refine(stream + h + project(z))",
            (
                step(settled_latent=True, equal_widths=True),
                step(settled_latent=True, with_evidence=False, equal_widths=True),
                step(settled_latent=True),
            ),
            harness="call_nested",
            results=RESULTS,
            looks_at=("new stream",),
        ),
        Case(
            "kl",
            2,
            "kl is KL(posterior‖prior) of each example, summed over channels and pixels",
            (step(posterior_of_evidence=True, equal_widths=True), step(posterior_of_evidence=True)),
            harness="call_nested",
            results=RESULTS,
            looks_at=("kl",),
            draws=2,
        ),
        Case(
            "kl without evidence",
            1,
            "without evidence, kl is zeros, one per example, of the stream's dtype",
            (
                step(with_evidence=False, equal_widths=True, dtype=torch.float64),
                step(with_evidence=False, equal_widths=True),
            ),
            kind="form",
            harness="call_nested",
            results=RESULTS,
            looks_at=("kl",),
        ),
        Case(
            "gradients",
            1,
            "gradients of the new stream and the latent must reach stream, evidence, noise and the weights of "
            "the parts",
            (step(), step(with_evidence=False, equal_widths=True)),
            kind="gradient",
            harness="call_nested",
            results=RESULTS,
            gradients=INPUTS,
            gradients_of=("new stream", "latent"),
        ),
        Case(
            "gradients of kl, precision kept, inputs left alone",
            1,
            "a result or a gradient of kl is wrong, for float32 or float64 inputs or for one example of one pixel",
            (step(dtype=torch.float64), step(single=True, dtype=torch.float64), step()),
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
