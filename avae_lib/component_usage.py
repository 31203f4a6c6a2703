"""Finds out which components a model calls, and from which of its parts, by running it on noise."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules import module as hooks

from avae_lib.observations import AnyModel, observed_by

__all__ = ["Usage", "usage"]


@dataclass(frozen=True)
class Usage:
    """What a model called while it ran."""

    callers: Mapping[str, tuple[str, ...]]
    """For each component that was called, the names of the parts of the model that called it."""
    own_wirings: tuple[str, ...]
    """One line from each part of the model that computes something in its own way instead of calling a component."""
    stopped: tuple[str, ...] = ()
    """One line if the run ended with an error."""


def usage(model: AnyModel, components: Sequence[Any]) -> Usage:
    """Run a model on noise and record which components it calls.

    The run covers training (loss, skipped updates), evaluation (importance-weighted bound), reconstruction from the
    upper half of the layers, and sampling at a temperature below 1. The model is in evaluation mode, without gradients;
    afterwards its mode and the random state are as before.

    >>> from avae_lib.components import listing
    >>> from avae_lib.models.vae import VAEConfig
    >>> usage(VAEConfig().build(), listing()).callers["reparameterize"]
    ('VAE',)

    Args:
        model: meets :class:`avae_lib.models.contract.LatentVariableModel`.
        components: entries of the registry, see :class:`avae_lib.components.Component`.
    """
    journal = _Journal(type(model).__name__)
    wirings = {part.own_wiring for part in model.modules() if getattr(part, "own_wiring", None)}
    stopped = ()
    with _as_it_was(model), journal.open(components):
        try:
            _try(model, {entry.name: entry for entry in components}, journal)
        except Exception as error:  # a student's function may raise anything
            stopped = (f"stopped by {type(error).__name__}: {error}",)
    callers = {name: tuple(sorted(parts)) for name, parts in journal.callers.items()}
    return Usage(callers, tuple(sorted(map(str, wirings))), stopped)


class _Journal:
    """Records for each call of a component the innermost module or activity that is running."""

    def __init__(self, model_name: str) -> None:
        self.callers: dict[str, set[str]] = {}
        self._running = [model_name]

    @contextlib.contextmanager
    def open(self, components: Sequence[Any]) -> Iterator[None]:
        before = [(entry, entry.current, entry.kept_in) for entry in components if entry.is_written]
        for entry, function, _ in before:
            entry.use(self._noting(entry.name, function))
        enter = hooks.register_module_forward_pre_hook(lambda part, _: self._running.append(type(part).__name__))
        leave = hooks.register_module_forward_hook(self._leave, always_call=True)
        try:
            yield
        finally:
            enter.remove()
            leave.remove()
            for entry, function, kept_in in before:
                entry.use(function, kept_in)

    def _leave(self, *_: Any) -> None:
        self._running.pop()

    @contextlib.contextmanager
    def during(self, activity: str) -> Iterator[None]:
        """Inside this block, calls are recorded as coming from ``activity``."""
        self._running.append(activity)
        yield
        self._running.pop()

    def _noting(self, name: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.callers.setdefault(name, set()).add(self._running[-1])
            return function(*args, **kwargs)

        return noted


def _try(model: AnyModel, components: Mapping[str, Any], journal: _Journal) -> None:
    x = observed_by(model).random(2, next(model.parameters()).device)
    elbo = model(x)
    with journal.during("training"):
        loss = components["negative_elbo"].current(elbo.log_likelihood, elbo.kl)
        if components["should_skip_update"].is_written:
            components["should_skip_update"].current(loss, loss.abs(), None)
    if getattr(model, "no_density", None) is None:
        _evaluate(model, x, loss, components, journal)
    model.reconstruct(x, keep_layers=model.num_layers // 2)
    model.sample(1, temperature=0.5)


def _evaluate(model: AnyModel, x: Tensor, loss: Tensor, components: Mapping[str, Any], journal: _Journal) -> None:
    """Call the components that evaluation uses. Those of later units are left out while they are stubs."""
    log_weights = torch.stack([model.log_weight(x), model.log_weight(x)])
    means = [posterior.mean for posterior in model.latents(x)]
    with journal.during("evaluation"):
        if components["marginal_log_likelihood"].is_written:
            components["marginal_log_likelihood"].current([log_weights])
        else:
            components["importance_weighted_bound"].current(log_weights)
        for name, arguments in (
            ("effective_sample_size", (log_weights,)),
            ("active_units", (means[0], 0.01)),
            ("bits_per_dim", (loss.item(), 1)),
        ):
            if components[name].is_written:
                components[name].current(*arguments)


@contextlib.contextmanager
def _as_it_was(model: AnyModel) -> Iterator[None]:
    was_training = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            yield
    finally:
        for part, training in was_training.items():
            part.training = training
