"""Pictures of a two-dimensional latent space and of densities in one and two dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from avae_lib.plotting.style import CLASSES, INK, SEQUENTIAL, Numbers, line_styles, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["density_contours", "density_curves", "latent_scatter", "posterior_price", "pushforward", "relative_density"]


@styled
def pushforward(before: Tensor, after: Tensor, titles: tuple[str, str]) -> Figure:
    """Points in the plane before and after a map, each in the colour of its first coordinate before.

    Args:
        before: ``(N, 2)``.
        after: ``(N, 2)``, point by point.
        titles: of the two panels.

    >>> noise = torch.randn(50, 2)
    >>> [axes.get_title("left") for axes in pushforward(noise, 2 * noise + 1, titles=("noise", "z")).axes]
    ['noise', 'z']
    """
    figure, panels = new_figure(6.6, 3.3, ncols=2)
    colours = before[:, 0].cpu().numpy()
    for axes, points, title in zip(panels, (before, after), titles, strict=True):
        axes.scatter(*points.detach().cpu().numpy().T, c=colours, cmap=SEQUENTIAL, s=6, linewidths=0)
        axes.set(aspect="equal", title=title)
        axes.grid(False)
    return figure


@styled
def latent_scatter(means: Tensor, labels: Tensor | Sequence[int], title: str | None = None) -> Figure:
    """Posterior means in a two-dimensional latent space, each drawn as the numeral of its class.

    The numeral says what the colour says, so that classes are told apart without seeing colour.

    Args:
        means: ``(N, 2)``.
        labels: one class for each point, small whole numbers.

    >>> (axes,) = latent_scatter(torch.tensor([[0.0, 1.0], [2.0, -1.0]]), labels=[3, 8]).axes
    >>> axes.get_xlabel()
    '$z_1$'
    """
    places, classes = means.detach().cpu().numpy(), np.asarray(labels)
    if means.ndim != 2 or means.shape[1] != 2:
        raise ValueError(f"means must be (N, 2), one point in the plane for each image, got {tuple(means.shape)}")
    figure, axes = new_figure(4.8, 4.6)
    for label in np.unique(classes):
        points, colour = places[classes == label], CLASSES[int(label) % len(CLASSES)]
        axes.scatter(*points.T, marker=f"${label}$", s=26, color=colour, linewidths=0.2, alpha=0.85)
    axes.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal", title=title or "")
    return figure


@styled
def density_curves(
    x: Numbers, densities: Mapping[str, Numbers], x_label: str = "z", y_label: str = "density"
) -> Figure:
    """Densities in one dimension over the same axis; the area under the first is tinted.

    >>> (axes,) = density_curves([-1.0, 0.0, 1.0], {"prior": [0.24, 0.40, 0.24], "posterior": [0.1, 0.8, 0.1]}).axes
    >>> axes.get_ylabel()
    'density'
    """
    figure, axes = new_figure(6.4, 2.8)
    for number, ((name, density), line) in enumerate(zip(densities.items(), line_styles(), strict=False)):
        axes.plot(x, density, label=name, **line)
        if number == 0:
            axes.fill_between(x, density, color=line["color"], alpha=0.12, linewidth=0)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.legend()
    return figure


@styled
def posterior_price(mean: float, std: float) -> Figure:
    """The prior and a Gaussian posterior of one latent variable, with the KL between them as the title.

    >>> posterior_price(mean=1.0, std=1.0).axes[0].get_title("left")
    'σ = 1: KL(q ‖ p) = 0.50 nats'
    """
    z = torch.linspace(-3.5, 3.5, 400)
    prior, posterior = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(mean, std)
    curves = {
        "prior p(z)": prior.log_prob(z).exp().tolist(),
        "posterior q(z | x)": posterior.log_prob(z).exp().tolist(),
    }
    figure = density_curves(z.tolist(), curves)
    price = torch.distributions.kl_divergence(posterior, prior).item()
    figure.axes[0].set(title=f"σ = {std:g}: KL(q ‖ p) = {price:.2f} nats", ylim=(0, 6.5))
    return figure


@styled
def density_contours(
    target: Callable[[Tensor], Tensor],
    approximations: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    extent: tuple[float, float, float, float] = (-3.0, 3.0, -3.0, 3.0),
    points: Tensor | None = None,
    axis_labels: tuple[str, str] = ("$z_1$", "$z_2$"),
    resolution: int = 120,
) -> Figure:
    """A two-dimensional density as shades, with approximations to it as contour lines.

    Args:
        target: log-density (up to a constant) of points ``(n, 2)`` → ``(n,)``.
        approximations: name → log-density, each drawn as contour lines of its own colour.
        extent: left, right, bottom, top.
        points: ``(n, 2)`` samples to draw on top.

    >>> normal = lambda z: -0.5 * z.square().sum(dim=1)
    >>> (axes,) = density_contours(normal, {"q": lambda z: normal(2 * z)}, resolution=20).axes
    >>> axes.get_xlabel()
    '$z_1$'
    """
    figure, axes = new_figure(4.8, 4.4)
    x, y, shade = relative_density(target, extent, resolution)
    axes.contourf(x, y, shade, levels=np.linspace(0.02, 1.0, 12), cmap="Greys", alpha=0.75, antialiased=True)
    for (name, log_density), line in zip((approximations or {}).items(), line_styles(), strict=False):
        axes.contour(*relative_density(log_density, extent, resolution), levels=(0.05, 0.3, 0.75), colors=line["color"])
        axes.plot([], [], color=line["color"], label=name)
    if points is not None:
        axes.scatter(*points.detach().cpu().numpy().T, s=5, color=INK, alpha=0.5, linewidths=0)
    axes.set(xlabel=axis_labels[0], ylabel=axis_labels[1], aspect="equal", xlim=extent[:2], ylim=extent[2:])
    axes.grid(False)
    if approximations:
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def relative_density(
    log_density: Callable[[Tensor], Tensor], extent: tuple[float, float, float, float], resolution: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two axes over the extent, and the density on their grid relative to its largest value there.

    >>> first, second, density = relative_density(lambda z: -0.5 * z.square().sum(dim=1), (-3, 3, -3, 3), resolution=21)
    >>> density.shape, float(density.max())
    ((21, 21), 1.0)
    """
    left, right, bottom, top = extent
    x, y = torch.linspace(left, right, resolution), torch.linspace(bottom, top, resolution)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
    with torch.no_grad():
        values = log_density(grid).reshape(resolution, resolution)
    return x.numpy(), y.numpy(), (values - values.max()).exp().numpy()
