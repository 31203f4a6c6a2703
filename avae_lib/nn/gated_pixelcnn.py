"""The gated PixelCNN: a distribution over grids of codes, each code given those before it.

A. van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", NeurIPS 2016.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from avae_lib.likelihoods import draw_component
from avae_lib.nn.precision import at_least_float32

__all__ = ["GatedLayer", "GatedPixelCNN"]


class GatedLayer(nn.Module):
    r"""One layer of the two stacks.

    .. math:: v' = g\bigl(W_v * v + U_v c\bigr), \qquad
              h' = h + V g\bigl(W_h * h + W \,\mathrm{down}(W_v * v) + U_h c\bigr), \qquad
              g(a, b) = \tanh(a) \odot \sigma(b)

    The vertical stack v at a position sees all columns within reach, in its own row and above. Moved down by one row
    it tells the horizontal stack h about the rows above; h itself looks to the left. Together they see every earlier
    position, while masked square kernels leave a blind spot to the upper right (van den Oord et al., 2016, section
    2.2).

    Args:
        channels: of both stacks.
        kernel_size: width of the vertical kernel, odd and at least 3; :class:`GatedPixelCNN` checks it.
        condition_channels: of c; 0 for none.
        is_first: h is the input itself. Then the layer looks strictly to the left, and has no shortcut.

    >>> layer = GatedLayer(channels=4, kernel_size=3, condition_channels=0, is_first=True)
    >>> vertical, horizontal = layer(torch.randn(1, 4, 5, 5), torch.randn(1, 4, 5, 5), condition=None)
    >>> vertical.shape, horizontal.shape
    (torch.Size([1, 4, 5, 5]), torch.Size([1, 4, 5, 5]))
    """

    def __init__(self, channels: int, kernel_size: int, condition_channels: int, is_first: bool) -> None:
        super().__init__()
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 3, got {kernel_size}")
        self.reach = kernel_size // 2
        self.is_first = is_first
        self.vertical = nn.Conv2d(channels, 2 * channels, (self.reach + 1, kernel_size))
        self.horizontal = nn.Conv2d(channels, 2 * channels, (1, self.reach + (not is_first)))
        self.across = nn.Conv2d(2 * channels, 2 * channels, kernel_size=1)
        self.shortcut_map = nn.Conv2d(channels, channels, kernel_size=1)
        self.condition = nn.Conv2d(condition_channels, 4 * channels, kernel_size=1) if condition_channels else None

    def forward(self, vertical: Tensor, horizontal: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """The next v and h, each ``(batch, channels, height, width)``."""
        width = horizontal.shape[-1]
        reach = self.reach
        seen_above = self.vertical(pad(vertical, (reach, reach, reach, 0)))
        seen_left = self.horizontal(pad(horizontal, (reach, 0)))[..., :width]
        seen_left = seen_left + self.across(pad(seen_above, (0, 0, 1, 0))[:, :, :-1])  # moved down by one row
        if self.condition is not None:
            for_vertical, for_horizontal = self.condition(condition).chunk(2, dim=1)
            seen_above, seen_left = seen_above + for_vertical, seen_left + for_horizontal
        correction = self.shortcut_map(_gate(seen_left))
        return _gate(seen_above), correction if self.is_first else horizontal + correction


class GatedPixelCNN(nn.Module):
    r"""The probability of a grid of codes, row by row and from left to right in each row.

    .. math:: p(k) = \prod_i p(k_i \mid k_1, \dots, k_{i-1}, c)

    The last layer starts at zero, so that before any training all codes are equally probable.

    Args:
        codes: number of different codes K.
        channels: of the embedding and of both stacks.
        layers: gated layers.
        kernel_size: width of the vertical kernels, odd and at least 3.
        condition_channels: channels of a feature map c that each position may look at, of the same height and width;
            0 for none.

    Raises:
        ValueError: a count below 1, or a kernel size that is even or below 3.

    The logits at row 2, column 1 depend on the earlier positions, all of them and no others:

    >>> _ = torch.manual_seed(0)
    >>> network = GatedPixelCNN(codes=3, channels=4, layers=2, kernel_size=5)
    >>> _ = nn.init.normal_(network.readout[-1].weight)
    >>> embedded = torch.randn(1, 4, 4, 4, requires_grad=True)
    >>> network.logits(embedded)[0, :, 2, 1].sum().backward()
    >>> embedded.grad.abs().sum(dim=1)[0].sign().int()
    tensor([[1, 1, 1, 1],
            [1, 1, 1, 1],
            [1, 0, 0, 0],
            [0, 0, 0, 0]], dtype=torch.int32)
    """

    def __init__(
        self, codes: int, channels: int, layers: int, kernel_size: int = 5, condition_channels: int = 0
    ) -> None:
        super().__init__()
        if min(codes, channels, layers) < 1 or kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(
                "codes, channels and layers must be at least 1, and kernel_size odd and at least 3, "
                f"got {codes}, {channels}, {layers} and {kernel_size}"
            )
        self.condition_channels = condition_channels
        self.embedding = nn.Embedding(codes, channels)
        self.layers = nn.ModuleList(
            GatedLayer(channels, kernel_size, condition_channels, is_first=index == 0) for index in range(layers)
        )
        self.readout = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=1),
            nn.ReLU(),
            nn.Conv2d(channels, codes, kernel_size=1),
        )
        for parameter in self.readout[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        codes: Int64[Tensor, "batch height width"],
        condition: Float[Tensor, "batch condition height width"] | None = None,
    ) -> Float[Tensor, "batch codes height width"]:
        """Unnormalised log-probabilities of the code at each position, given the codes before it."""
        return self.logits(self.embedding(codes).movedim(-1, 1), condition)

    def logits(
        self,
        embedded: Float[Tensor, "batch channels height width"],
        condition: Float[Tensor, "batch condition height width"] | None = None,
    ) -> Float[Tensor, "batch codes height width"]:
        """The same from embedded codes, for those who want the gradient with respect to them.

        Raises:
            ValueError: a condition is missing, or given to a network without, or has another shape.
        """
        self._require_condition(embedded, condition)
        vertical = horizontal = embedded
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal, condition)
        return at_least_float32(self.readout(horizontal))

    def log_prob(
        self,
        codes: Int64[Tensor, "batch height width"],
        condition: Float[Tensor, "batch condition height width"] | None = None,
    ) -> Float[Tensor, "batch"]:
        """log p of each grid of codes, nats."""
        log_probs = self(codes, condition).log_softmax(dim=1)
        return log_probs.gather(1, codes.unsqueeze(1)).flatten(start_dim=1).sum(dim=1)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        height: int,
        width: int,
        condition: Float[Tensor, "n condition height width"] | None = None,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> Int64[Tensor, "n height width"]:
        """Grids drawn code by code: one pass through the network for each position.

        Args:
            temperature: what the logits are divided by; 0 takes the most probable code at each position.
        """
        codes = torch.zeros(n, height, width, dtype=torch.int64, device=self.embedding.weight.device)
        for row in range(height):
            above = None if condition is None else condition[:, :, : row + 1]  # rows further down are never looked at
            for column in range(width):
                logits = self(codes[:, : row + 1], above)[:, :, row, column]
                codes[:, row, column] = _draw(logits, temperature, generator)
        return codes

    def _require_condition(self, embedded: Tensor, condition: Tensor | None) -> None:
        batch, _, height, width = embedded.shape
        wanted = (batch, self.condition_channels, height, width) if self.condition_channels else None
        got = None if condition is None else tuple(condition.shape)
        if wanted != got:
            raise ValueError(f"condition must be {wanted or 'None: the network has condition_channels=0'}, got {got}")


def _gate(features: Tensor) -> Tensor:
    values, gates = features.chunk(2, dim=1)
    return torch.tanh(values) * torch.sigmoid(gates)


def _draw(logits: Float[Tensor, "n codes"], temperature: float, generator: Generator | None) -> Int64[Tensor, "n"]:
    if temperature == 0:
        return logits.argmax(dim=1)
    return draw_component(logits / temperature, generator).squeeze(1)
