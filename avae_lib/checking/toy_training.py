"""A small model and optimizers for judging one training step. The model holds no piece that students write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from avae_lib.objectives import ELBO

__all__ = ["ToyAdam", "ToyModel", "ToySGD"]


class ToyModel(nn.Module):
    """Linear codes of an image, with squared distances in place of the terms of an ELBO.

    In training mode the codes depend on the mean of the batch, as with batch statistics, so a step in the wrong mode,
    or example by example, gives other numbers. Each call draws noise from torch's global generator, like a VAE, and is
    counted, so a second call is noticed too.

    Args:
        encoder: ``(pixels, layers)``; each layer's code is one number.
        decoder: ``(layers, pixels)``.
        log_scale: added to every log-likelihood, so that it can be positive.

    >>> elbo = ToyModel(encoder=torch.ones(4, 1), decoder=torch.ones(1, 4))(torch.ones(2, 1, 2, 2))
    >>> elbo.log_likelihood.shape, elbo.kl.shape
    (torch.Size([2]), torch.Size([2, 1]))
    """

    def __init__(self, encoder: Tensor, decoder: Tensor, log_scale: float = 0.0) -> None:
        super().__init__()
        self.log_scale = log_scale
        self.calls = 0
        self.encoder = nn.Parameter(encoder.clone())
        self.decoder = nn.Parameter(decoder.clone())

    def forward(self, x: Tensor) -> ELBO:
        self.calls += 1
        if x.ndim != 4:
            raise ValueError(f"the model takes images (batch, channels, height, width), got shape {tuple(x.shape)}")
        pixels = x.flatten(1).to(self.encoder.dtype)  # (batch, pixels)
        codes = pixels @ self.encoder  # (batch, layers)
        codes = codes - 0.3 * codes.mean(dim=0) if self.training else 0.5 * codes
        draws = codes + 0.3 * torch.randn(codes.shape, dtype=codes.dtype)
        distances = (pixels - draws @ self.decoder).square().sum(dim=1)  # (batch,)
        return ELBO(log_likelihood=self.log_scale - distances, kl=codes.square())


class ToySGD(torch.optim.Optimizer):
    """Gradient descent with Nesterov's momentum and a learning rate for each parameter.

    An update by any other optimizer, or by hand as learning rate times gradient, therefore differs from the first step
    on. It has the methods of ``torch.optim.SGD``. ``Optimizer.__init__`` is not called, because it loads torch's
    compiler, which takes longer than a whole ``check`` may.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> weight.grad = torch.ones(2)
    >>> _ = ToySGD([weight], learning_rates=[0.1]).step()
    >>> weight.data  # Nesterov's first step: rate · (gradient + ½ gradient)
    tensor([-0.1500, -0.1500])
    """

    constants: ClassVar[dict[str, float]] = {"momentum": 0.5}

    def __init__(self, parameters: Iterable[Tensor], learning_rates: Sequence[float]) -> None:
        pairs = zip(parameters, learning_rates, strict=True)
        self.param_groups = [{"params": [parameter], "lr": rate, **self.constants} for parameter, rate in pairs]
        self.state = defaultdict(dict)
        self.defaults = {"lr": learning_rates[0], **self.constants}
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        """The state by number of the parameter, and the settings of each group."""
        numbers = {parameter: number for number, (parameter, _) in enumerate(self._parameters())}
        groups = [
            {**group, "params": [numbers[parameter] for parameter in group["params"]]} for group in self.param_groups
        ]
        return {
            "state": {numbers[parameter]: dict(state) for parameter, state in self.state.items()},
            "param_groups": groups,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        parameters = [parameter for parameter, _ in self._parameters()]
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({name: value for name, value in saved.items() if name != "params"})
        self.state = defaultdict(dict, {parameters[n]: dict(state) for n, state in state_dict["state"].items()})

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter, _ in self._parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = torch.zeros_like(parameter.grad)

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = closure() if closure is not None else None
        with torch.no_grad():
            for parameter, rate in self._parameters():
                if parameter.grad is not None:
                    parameter -= rate * self._direction(parameter)
        self.steps += 1
        return loss

    def _direction(self, parameter: Tensor) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        state["momentum_buffer"] = 0.5 * state.get("momentum_buffer", 0.0) + gradient
        return gradient + 0.5 * state["momentum_buffer"]

    def _parameters(self) -> list[tuple[Tensor, float]]:
        return [(parameter, group["lr"]) for group in self.param_groups for parameter in group["params"]]


class ToyAdam(ToySGD):
    """Adam (Kingma & Ba, 2015, algorithm 1) with its usual constants and the same methods.

    >>> weight = torch.zeros(2, requires_grad=True)
    >>> weight.grad = torch.tensor([1.0, 100.0])
    >>> _ = ToyAdam([weight], learning_rates=[0.1]).step()
    >>> weight.data  # the first step does not depend on the size of the gradient
    tensor([-0.1000, -0.1000])
    """

    constants: ClassVar[dict[str, float]] = {"eps": 1e-8}

    def _direction(self, parameter: Tensor) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        state["step"] = state.get("step", 0) + 1
        state["mean"] = 0.9 * state.get("mean", 0.0) + 0.1 * gradient
        state["square"] = 0.999 * state.get("square", 0.0) + 0.001 * gradient.square()
        mean = state["mean"] / (1 - 0.9 ** state["step"])
        square = state["square"] / (1 - 0.999 ** state["step"])
        return mean / (square.sqrt() + 1e-8)
