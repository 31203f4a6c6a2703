"""A VAE trained as in the textbook: Algorithm 1 of Kingma & Welling (2014) and the loop around it.

Real runs, with checkpoints, metrics and skipped updates, are trained by :mod:`avae_lib.training.fit`.
"""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor, nn

from avae_lib.components import component
from avae_lib.objectives import negative_elbo
from avae_lib.training.devices import threads_for

__all__ = ["train_vae", "vae_training_step"]


@component(unit="03_vae")
def vae_training_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> float:
    r"""One step of stochastic gradient descent on the negative evidence lower bound of a batch.

    .. math:: \theta \leftarrow \mathrm{update}\Bigl(\theta,\ \nabla_\theta \frac{1}{B}\sum_b
              \bigl[-\log p(x_b \mid z_b) + \mathrm{KL}_b\bigr]\Bigr)

    Gradients left over from earlier steps do not count. The model is called once, on the whole batch, and its mode, its
    ``requires_grad`` and the settings of the optimizer stay as they are. Algorithm 1 of Kingma & Welling (2014).

    Args:
        model: ``model(x)`` returns an :class:`avae_lib.objectives.ELBO`.
        optimizer: holds the parameters of ``model``; it is stepped exactly once.
        x: a batch of whatever the model takes, not empty.

    Returns:
        The loss before the update, in nats per example, as a Python float.

    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(hidden_sizes=(32,)).build()
    >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    >>> x = torch.randint(2, (50, 1, 8, 8), dtype=torch.uint8)
    >>> losses = [vae_training_step(model, optimizer, x) for _ in range(30)]
    >>> losses[-1] < losses[0]
    True
    """
    optimizer.zero_grad()
    elbo = model(x)
    loss = negative_elbo(elbo.log_likelihood, elbo.kl)
    loss.backward()
    optimizer.step()
    return loss.item()


def train_vae(
    model: nn.Module,
    x: UInt8[Tensor, "examples channels height width"],
    epochs: int,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    generator: Generator | None = None,
) -> list[float]:
    """Train by :func:`vae_training_step` with Adam, printing about ten lines of progress.

    A small model is trained on one processor thread, which is faster (:func:`avae_lib.training.devices.threads_for`).

    Args:
        x: training images, on the model's device.
        generator: orders the examples; the noise of the latents comes from torch's global one.

    Returns:
        The mean loss of each epoch, in nats per example.

    >>> from avae_lib.data import load
    >>> from avae_lib.models.vae import VAEConfig
    >>> x = load("digits").binarized("threshold").pixels("train")
    >>> losses = train_vae(VAEConfig(hidden_sizes=(32,)).build(), x, epochs=2)
    epoch   1 of 2: ... nats per image
    epoch   2 of 2: ... nats per image
    >>> losses[1] < losses[0]
    True
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    losses = []
    for epoch in range(1, epochs + 1):
        batches = x[torch.randperm(len(x), generator=generator)].split(batch_size)
        with threads_for(model):
            total = sum(len(batch) * vae_training_step(model, optimizer, batch) for batch in batches)
        losses.append(total / len(x))
        if epoch % max(1, epochs // 10) == 0:
            print(f"epoch {epoch:3d} of {epochs}: {losses[-1]:.2f} nats per image")
    return losses
