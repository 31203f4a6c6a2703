"""Adamax with a step that the device can turn into nothing, as PyTorch's fused Adam and AdamW can."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from avae_lib.training.skipped_updates import bits_of

__all__ = ["SkippableAdamax"]


class SkippableAdamax(torch.optim.Adamax):
    r"""``torch.optim.Adamax``, which reads ``found_inf`` as the fused optimizers of PyTorch do.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad u \leftarrow \max(\beta_2 u, |g| + \epsilon), \qquad
              \theta \leftarrow \theta - \frac{\eta}{1 - \beta_1^t} \frac{m}{u}

    Kingma and Ba (2015), section 7.1. ``found_inf`` is a scalar on the device of the parameters. Where it is 1, the
    step changes no parameter, no moment and no count, whatever the gradient is. The host never reads it. The gradients
    are used up: their memory holds other numbers afterwards. Without ``found_inf`` this is PyTorch's own step.

    Args: those of ``torch.optim.Adamax``; weight decay is not supported. Before the first step with ``found_inf`` the
    state must be there, with u at least ε (:func:`avae_lib.training.optimizers_and_schedules.make_optimizer`).

    The second gradient is not finite and its step is skipped:

    >>> weight = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = SkippableAdamax([weight], lr=0.1)
    >>> for gradient, skipped in ((2.0, None), (math.nan, torch.tensor(1.0))):
    ...     weight.grad, optimizer.found_inf = torch.tensor([gradient]), skipped
    ...     optimizer.step()
    >>> round(weight.item(), 3), optimizer.state[weight]["step"].item()
    (0.9, 1.0)
    """

    found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step for all parameters that have a gradient."""
        if self.found_inf is None:
            return super().step(closure)
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                self._step_unless_skipped(group, parameters, self.found_inf)

    def _step_unless_skipped(self, group: dict[str, Any], parameters: list[Tensor], found_inf: Tensor) -> None:
        gradients: list[Any] = [parameter.grad for parameter in parameters]
        counts, means, sizes = (
            [self.state[parameter][name] for parameter in parameters] for name in ("step", "exp_avg", "exp_inf")
        )
        beta1, beta2 = group["betas"]
        taken = 1 - found_inf
        clear_unless(taken, gradients)
        torch._foreach_add_(counts, [taken] * len(counts))

        torch._foreach_mul_(means, _decay(beta1, taken, parameters[0].dtype))
        torch._foreach_add_(means, gradients, alpha=1 - beta1)

        torch._foreach_abs_(gradients)  # in place: new memory would take longer than all of the arithmetic
        torch._foreach_add_(gradients, group["eps"])
        torch._foreach_mul_(sizes, _decay(beta2, taken, parameters[0].dtype))
        torch._foreach_maximum_(sizes, gradients)  # u is at least ε, so a cleared gradient changes nothing

        negative_rates = torch._foreach_pow(beta1, counts)
        torch._foreach_sub_(negative_rates, 1)
        torch._foreach_div_(negative_rates, group["lr"])  # −(1 − β₁^t) / η
        torch._foreach_add_(negative_rates, [torch.where(taken > 0, 0.0, -math.inf)] * len(counts))  # m / ∞ is 0
        divisors = torch._foreach_mul(sizes, negative_rates)
        torch._foreach_addcdiv_(parameters, means, divisors)


def _decay(beta: float, taken: Tensor, dtype: torch.dtype) -> Tensor:
    """β of a step that is taken, else 1; rounded once, to the format of the parameters."""
    return (1 + (beta - 1) * taken.double()).to(dtype)


@torch.no_grad()
def clear_unless(taken: Tensor, tensors: list[Tensor]) -> None:
    """Set tensors to zero, NaN and infinity included, unless ``taken``, a scalar on their device, is true or 1.

    >>> gradients = [torch.tensor([1.0, math.nan])]
    >>> clear_unless(torch.tensor(False), gradients)
    >>> gradients
    [tensor([0., 0.])]
    """
    as_integers = [bits_of(tensor) for tensor in tensors]  # NaN · 0 is NaN, but as an integer it is 0
    torch._foreach_mul_(as_integers, taken.to(as_integers[0].dtype))
