"""A batch in pieces: the gradient of the whole batch in the memory of a piece."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avae_lib.objectives import ELBO
from avae_lib.training.moving_average import running_statistics
from avae_lib.training.sizes_of_pieces import sizes_of_pieces
from avae_lib.training.training_state import TrainingState

__all__ = ["StatisticsOfPieces", "autocast", "backward_in_pieces"]


def backward_in_pieces(
    state: TrainingState, forward: Callable[..., ELBO], images: Tensor, labels: Mapping[str, Tensor]
) -> tuple[ELBO, Tensor]:
    """Add the gradient of the loss of a batch to the parameters, at most ``micro_batch`` images at a time.

    The gradient is that of the whole batch up to rounding, given the same noise; but pieces draw other random numbers
    than a whole batch does. Where the loss is no mean over images
    (:meth:`~avae_lib.training.weighted_loss.Loss.is_mean_over_images`), a first pass without gradients finds the loss,
    and a second one repeats it with the same noise. Running statistics move once. Processes exchange gradients after
    the last piece only.

    Args:
        state: the training state; parameters and running statistics change.
        forward: the model, as it may be wrapped for several processes or compiled.
        images: this process's share of the batch.
        labels: labels of the images as keyword arguments, for a conditional model.

    Returns:
        The terms of the bound of all images, with the mean of each penalty, and the loss; both without gradients.

    Digits in two pieces of 25. Without noise, the gradient is that of all 50:

    >>> from avae_lib.data import load
    >>> from avae_lib.models.vae import VAEConfig
    >>> from avae_lib.training.training_config import TrainingConfig
    >>> model = VAEConfig((1, 8, 8), bits=4, likelihood="discretized_logistic", hidden_sizes=(8,)).build()
    >>> config = TrainingConfig(micro_batch=32, batch_size=50)
    >>> state = TrainingState(model, load("digits"), config, torch.device("cpu"))
    >>> images = load("digits").train[:50]
    >>> elbo, loss = backward_in_pieces(state, lambda x: model(x, posterior_temperature=0.0), images, {})
    >>> whole = torch.autograd.grad(state.loss(model(images, posterior_temperature=0.0), 0), model.parameters())
    >>> all(torch.allclose(p.grad, grad, atol=1e-4) for p, grad in zip(model.parameters(), whole))
    True
    """
    assert state.config.micro_batch is not None, "without pieces there is nothing to add up"
    of_weights = torch.zeros((), device=state.device) + state.loss.of_weights()  # no copy from the host
    if of_weights.requires_grad:
        of_weights.backward()
    pieces = _pieces(images, labels, state.config.micro_batch)
    statistics = StatisticsOfPieces(state.model)
    if state.loss.is_mean_over_images(state.step):
        terms = _backward_once(state, forward, pieces, statistics)
    else:
        terms = _backward_of_joint_loss(state, forward, pieces, statistics)
    statistics.move()
    state.statistics.average()  # over the processes
    whole = _joined(terms, pieces)
    return whole, state.loss.of_images(whole, state.step) + of_weights.detach()


@dataclass(frozen=True)
class _Piece:
    images: Tensor
    labels: dict[str, Tensor]
    share: float
    """Its fraction of the batch."""


def _pieces(images: Tensor, labels: Mapping[str, Tensor], size: int) -> list[_Piece]:
    sizes = sizes_of_pieces(len(images), size)
    labels_of_pieces = {name: value.split(sizes) for name, value in labels.items()}
    return [
        _Piece(
            piece,
            {name: values[index] for name, values in labels_of_pieces.items()},
            len(piece) / len(images),
        )
        for index, piece in enumerate(images.split(sizes))
    ]


def _backward_once(
    state: TrainingState, forward: Callable[..., ELBO], pieces: Sequence[_Piece], statistics: StatisticsOfPieces
) -> list[ELBO]:
    """For a loss that is a mean over images: each piece counts by its share of them."""
    terms = []
    for piece in pieces:
        with _exchanging_gradients(forward, piece is pieces[-1]):
            elbo = _terms(state, forward, piece)
            (piece.share * state.loss.of_images(elbo, state.step)).backward()
        statistics.after_piece(piece.share)
        terms.append(_detached(elbo))
    return terms


def _backward_of_joint_loss(
    state: TrainingState, forward: Callable[..., ELBO], pieces: Sequence[_Piece], statistics: StatisticsOfPieces
) -> list[ELBO]:
    """For a loss of all images together: its gradient in the terms of the bound first, then that of each piece."""
    noise = _random_states(state.device)
    terms = []
    for piece in pieces:
        with torch.no_grad():
            terms.append(_terms(state, forward, piece))
        statistics.forget_piece()
    whole = _joined(terms, pieces)
    in_terms = _gradient(whole, lambda elbo: state.loss.of_images(elbo, state.step))
    _set_random_states(noise, state.device)
    start = 0
    for piece in pieces:
        here = slice(start, start + len(piece.images))
        with _exchanging_gradients(forward, piece is pieces[-1]):
            elbo = _terms(state, forward, piece)
            # Linear in the terms, with the gradient of the joint loss.
            linear = (elbo.log_likelihood * in_terms.log_likelihood[here]).sum() + (elbo.kl * in_terms.kl[here]).sum()
            for name, penalty in elbo.penalties.items():
                linear = linear + piece.share * penalty.mean() * in_terms.penalties[name]
            linear.backward()
        statistics.after_piece(piece.share)
        start = here.stop
    return terms


def _gradient(elbo: ELBO, loss: Callable[[ELBO], Tensor]) -> ELBO:
    """The gradient of a loss in each term of the bound."""
    names = list(elbo.penalties)
    leaves = [term.detach().requires_grad_() for term in (elbo.log_likelihood, elbo.kl, *elbo.penalties.values())]
    with torch.enable_grad():
        value = loss(ELBO(leaves[0], leaves[1], dict(zip(names, leaves[2:], strict=True))))
    gradients = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    return ELBO(gradients[0], gradients[1], dict(zip(names, gradients[2:], strict=True)))


def _terms(state: TrainingState, forward: Callable[..., ELBO], piece: _Piece) -> ELBO:
    with autocast(state):
        return forward(piece.images, **piece.labels)


def _detached(elbo: ELBO) -> ELBO:
    penalties = {name: penalty.detach() for name, penalty in elbo.penalties.items()}
    return ELBO(elbo.log_likelihood.detach(), elbo.kl.detach(), penalties)


def _joined(terms: Sequence[ELBO], pieces: Sequence[_Piece]) -> ELBO:
    """The terms of all images; of each penalty the mean."""
    penalties = {
        name: torch.stack(
            [piece.share * elbo.penalties[name].mean() for piece, elbo in zip(pieces, terms, strict=True)]
        ).sum()
        for name in terms[0].penalties
    }
    return ELBO(torch.cat([elbo.log_likelihood for elbo in terms]), torch.cat([elbo.kl for elbo in terms]), penalties)


class StatisticsOfPieces:
    """Running statistics of a batch that is computed in pieces.

    Each piece starts from the statistics before the batch; afterwards they move by the mean of the pieces' changes.
    For statistics that are linear in the batch, such as those of a codebook, this is the change that the whole batch
    would make. Of a batch normalisation it is the same momentum, with variances within pieces.

    >>> norm = nn.BatchNorm1d(1, momentum=0.5)
    >>> statistics = StatisticsOfPieces(norm)
    >>> for piece in (torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [6.0]])):
    ...     _ = norm(piece)
    ...     statistics.after_piece(share=0.5)
    >>> statistics.move()
    >>> norm.running_mean, norm.num_batches_tracked  # half of the way from 0 to the mean of all, which is 3
    (tensor([1.5000]), tensor(1))
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self._statistics = [*running_statistics(model), *(buffer for norm in norms for buffer in norm.buffers())]
        self._before = [statistic.clone() for statistic in self._statistics]
        self._moved = [statistic.clone() for statistic in self._statistics]

    @torch.no_grad()
    def after_piece(self, share: float) -> None:
        """Note the change that a piece with this share of the images has made, and take it back."""
        for statistic, before, moved in zip(self._statistics, self._before, self._moved, strict=True):
            if statistic.is_floating_point():
                moved += share * (statistic - before)
            else:  # a count of batches
                moved.copy_(statistic)
        self.forget_piece()

    @torch.no_grad()
    def forget_piece(self) -> None:
        """Take back the change that a piece has made."""
        for statistic, before in zip(self._statistics, self._before, strict=True):
            statistic.copy_(before)

    @torch.no_grad()
    def move(self) -> None:
        """Make the change of the whole batch."""
        for statistic, moved in zip(self._statistics, self._moved, strict=True):
            statistic.copy_(moved)


def autocast(state: TrainingState) -> contextlib.AbstractContextManager:
    """The number format of the forward pass, as configured.

    >>> from avae_lib.presets import find_preset
    >>> preset = find_preset("digits-vae")
    >>> state = TrainingState(preset.build_model(), preset.data.load(), preset.training, torch.device("cpu"))
    >>> with autocast(state):
    ...     nn.Linear(1, 1)(torch.zeros(1)).dtype
    torch.float32
    """
    return torch.autocast(state.device.type, torch.bfloat16, enabled=state.config.precision == "bfloat16")


@contextlib.contextmanager
def _exchanging_gradients(forward: Callable[..., ELBO], now: bool) -> Iterator[None]:
    """Several processes add up their gradients in the backward pass of the last piece only."""
    without = getattr(forward, "no_sync", None)
    with contextlib.nullcontext() if now or without is None else without():
        yield


def _random_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_random_states(states: Sequence[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
