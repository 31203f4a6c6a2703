"""Unit 03: how ``vae_training_step`` is judged, on a toy model that contains no component."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.mistakes import vae_training_step as mistakes
from autograder.checks.random_inputs import normal, sizes
from autograder.checks.variants import vae_training_step as variants

__all__ = ["VAE_TRAINING_STEP"]


def run(
    optimizer: str,
    calls: int = 1,
    stale_gradient: float = 0.0,
    smallest: bool = False,
    scale: float = 0.5,
    log_scale: float = 0.0,
    training: bool = True,
):
    """A toy model's weights, its optimizer, and one batch of grey images for each call.

    The weights are float64, so rounding cannot change the sign of a small gradient, which Adam would amplify.
    ``smallest`` asks for batches of one example and a model of one layer; ``scale`` is that of the weights,
    ``log_scale`` is added to the log-likelihoods, and ``training`` is the mode that the model is in.
    """

    def inputs(generator: Generator) -> dict[str, Any]:
        batch, layers, height = sizes(generator, 3, smallest=3)
        width = 2
        batch, layers = (1, 1) if smallest else (batch, layers)
        batches = torch.randint(4, (calls, batch, 1, height, width), generator=generator, dtype=torch.uint8)
        batches[:, 0, :, 0, 0] = 1  # no batch is completely black
        return {
            "encoder": normal(generator, height * width, layers, scale=scale, dtype=torch.float64),
            "decoder": normal(generator, layers, height * width, scale=scale, dtype=torch.float64),
            "optimizer": optimizer,
            "learning_rates": [0.003, 0.011],
            "batches": batches,
            "log_scale": log_scale,
            "stale_gradient": stale_gradient,
            "training": training,
        }

    return inputs


UPDATE = ("change of the encoder", "change of the decoder", "number of optimizer steps")
SETTINGS = (
    "training mode of the model",
    "requires_grad of the parameters",
    "grad mode of torch",
    "list of the optimizer's settings",
)

VAE_TRAINING_STEP = ComponentCheck(
    "vae_training_step",
    cases=(
        Case(
            "one step of SGD",
            2,
            "the parameters after one call differ from those after one step on the mean negative ELBO",
            (run("SGD"), run("SGD", scale=2.0), run("SGD", log_scale=5000.0)),
            harness="training_step",
            looks_at=UPDATE,
            rtol=1e-6,
            atol=1e-8,
            draws=2,
        ),
        Case(
            "gradients left over from before",
            2,
            "the update must not depend on gradients that were there before the call",
            (run("SGD", stale_gradient=50.0),),
            harness="training_step",
            looks_at=UPDATE,
            atol=1e-7,
        ),
        Case(
            "several steps of Adam",
            1,
            "the parameters after several calls are wrong",
            (run("Adam", calls=4), run("Adam", calls=2, training=False)),
            harness="training_step",
            looks_at=UPDATE + SETTINGS,
            atol=1e-7,
        ),
        Case(
            "one example, one layer",
            1,
            "a batch of one and a model with a single layer must work as well",
            (run("SGD", smallest=True),),
            kind="form",
            harness="training_step",
            looks_at=UPDATE,
            atol=1e-7,
        ),
        Case(
            "loss",
            1,
            "return the loss of the batch before the update, in nats per example",
            (run("SGD", calls=3), run("Adam", calls=3), run("SGD", log_scale=5000.0)),
            harness="training_step",
            looks_at=("loss of call 1", "loss of call 2", "loss of call 3", "number of calls of the model"),
            rtol=1e-7,  # a loss near 100 that is rounded to four digits is noticed
            atol=1e-7,
        ),
        Case(
            "a Python float",
            1,
            "return the loss as a Python float",
            (run("SGD"),),
            kind="form",
            harness="training_step",
            looks_at=("loss of call 1",),
            atol=1e12,  # this case tests the type of the number, not its value
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
