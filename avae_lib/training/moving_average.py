"""The moving average of the weights, and of buffers that are themselves running means, such as a codebook."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avae_lib.training.distributed import Team

__all__ = ["MovingAverage", "RunningStatistics", "averaged_and_copied", "running_statistics"]


def running_statistics(model: nn.Module) -> list[Tensor]:
    r"""The buffers that modules name in their class attribute ``running_statistics``.

    Each buffer holds floating-point numbers, and a forward pass changes it linearly in a sum over the batch, as in
    :math:`m \leftarrow \gamma m + (1 - \gamma) \sum_b e_b`.

    >>> class Centred(nn.Module):
    ...     running_statistics = ("mean",)
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.register_buffer("mean", torch.zeros(3))
    >>> running_statistics(nn.Sequential(nn.Linear(3, 3), Centred()))
    [tensor([0., 0., 0.])]
    """
    return [module.get_buffer(name) for module in model.modules() for name in getattr(module, "running_statistics", ())]


class RunningStatistics:
    """Keeps the running statistics of a model equal in all processes.

    In a forward pass each process moves the statistics according to its share of the batch. The mean of these changes
    is the change for the whole batch, because the statistics are linear in the batch. With a single process this class
    does nothing.

    >>> from avae_lib.training.distributed import ALONE
    >>> statistics = RunningStatistics(nn.Linear(1, 1), ALONE)
    >>> statistics.remember()
    >>> statistics.average()  # nothing to average with a single process
    """

    def __init__(self, model: nn.Module, team: Team) -> None:
        self._team = team
        self._statistics = running_statistics(model) if team.size > 1 else []
        self._before: list[Tensor] = []

    @torch.no_grad()
    def remember(self) -> None:
        """Copy the statistics before a forward pass, after setting those of all processes to the leader's."""
        for statistic in self._statistics:
            self._team.follow_leader(statistic)
        self._before = [statistic.clone() for statistic in self._statistics]

    @torch.no_grad()
    def average(self) -> None:
        """Replace the change since :meth:`remember` by its mean over all processes."""
        for statistic, before in zip(self._statistics, self._before, strict=True):
            statistic.copy_(before + self._team.mean(statistic - before))


class MovingAverage(AveragedModel):
    r"""An exponential moving average of a model's weights that follows them closely at first.

    .. math:: \bar\theta \leftarrow d_n \bar\theta + (1 - d_n)\,\theta, \qquad
              d_n = \min\Bigl(\text{decay}, \frac{1 + n}{10 + n}\Bigr), \qquad d_0 = 0

    after :math:`n` updates. With a constant decay, the average of a short run would mostly be its initial weights.
    Buffers, such as the statistics of batch normalisation, are those of the model, except what a module declares as
    ``running_statistics`` (:func:`running_statistics`), which is averaged like a weight: so the codebook of a VQ-VAE
    stays in step with the averaged encoder and decoder. The averaged model is ``.module``.

    >>> model = nn.Linear(1, 1)
    >>> average = MovingAverage(model, decay=0.9)
    >>> for weight in (1.0, 2.0):
    ...     _ = model.weight.data.fill_(weight)
    ...     average.update_parameters(model)
    >>> average.module.weight.item()  # d₁ = 2/11 of the first weight, the rest of the second
    1.818...
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__(model, device=next(model.parameters()).device)
        self._decay = decay
        self._averages, self._copies = averaged_and_copied(self.module)
        # Found once: to walk through the modules of a deep model at each update would take milliseconds.
        self._followed = (model, *averaged_and_copied(model))

    @torch.no_grad()
    def update_parameters(self, model: nn.Module, taken: Tensor | bool = True) -> None:
        """Move towards the weights of ``model`` if the update that led to them was ``taken``.

        The parent's method would wait for the device at every update, to see whether it is the first.
        """
        if model is not self._followed[0]:
            self._followed = (model, *averaged_and_copied(model))
        _, weights, buffers = self._followed
        differences = torch._foreach_sub(weights, self._averages)
        torch._foreach_mul_(differences, self._step_length() * taken)
        torch._foreach_add_(self._averages, differences)
        if buffers:
            torch._foreach_copy_(self._copies, buffers)
        self.n_averaged += taken

    def gather(self) -> None:
        """Bring ``.module`` up to date; all processes call it together. It always is, unless weights are sharded."""

    def _step_length(self) -> Tensor:
        decay = ((1 + self.n_averaged) / (10 + self.n_averaged)).clamp(max=self._decay)
        return 1 - torch.where(self.n_averaged == 0, 0.0, decay)


def averaged_and_copied(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors that are averaged, weights first, and the buffers that follow the model as they are.

    >>> [len(tensors) for tensors in averaged_and_copied(nn.BatchNorm1d(3))]
    [2, 3]
    """
    statistics = running_statistics(model)
    already = {id(statistic) for statistic in statistics}
    return [*model.parameters(), *statistics], [buffer for buffer in model.buffers() if id(buffer) not in already]
