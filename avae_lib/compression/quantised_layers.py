r"""Lossy coding of images with the top layers of a hierarchy, quantised around what the layers above expect.

.. math::
    n = \operatorname{round}\Bigl(\frac{\mu_q - \mu_p}{\Delta \, \sigma_p}\Bigr), \qquad
    z = \mu_p + \Delta \, \sigma_p \, n, \qquad \text{and } z = \mu_p \text{ in the layers that are not kept.}

Z. Duan, M. Lu, Z. Ma and F. Zhu, "Lossy image compression with quantized hierarchical VAEs", WACV 2023, quantise the
residual between the means of posterior and prior in this way. Their model is trained for it: its posterior is uniform
with the width of a quantiser's step, and its prior gives each whole number n a probability. Here quantisation comes
after the training of an ordinary Gaussian hierarchy. Its prior describes draws of the posterior and not their means:
where a latent carries nothing, the mean always equals the prior's, and the prior would still charge for that. So the
code measures how often each n occurs on training images, channel by channel, and uses these frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from avae_lib.compression.asymmetric_numeral_systems import AnsStack, FrequencyTable, frequency_tables
from avae_lib.compression.latent_walk import latent_walk
from avae_lib.models.requirements import require_pixels

__all__ = ["LossyResult", "QuantisedLayers"]

_REACH = 16.0
"""Farthest residual that has an index, in standard deviations of the prior."""
_SMALLEST_STEP = 0.01
_PSEUDO_COUNT = 0.1
"""Added to the count of every index, because an index that never occurred in training may still be needed."""


@dataclass(frozen=True)
class LossyResult:
    """Images after a lossy code, and the length of the code."""

    images: UInt8[Tensor, "examples channels height width"]
    """The images that the receiver gets."""
    bits: Float[Tensor, "examples keep"]
    """Length of each kept layer's code: −log2 of the measured frequencies."""
    bits_by_prior: Float[Tensor, "examples keep"]
    """Length of the same indices if coded with the model's own prior instead of the measured frequencies."""


class QuantisedLayers:
    """A lossy code of images for one hierarchy.

    Args:
        model: see :func:`~avae_lib.compression.latent_walk.latent_walk`; it is copied.
        step: Δ, in standard deviations of the prior, at least 0.01; for all layers or one for each, top first.
        training_images: images on which the frequencies are counted.
        keep: number of top layers to code; None for all. The others take their prior's mean.

    Raises:
        ValueError: a step is too small, or the model has fewer layers than ``keep``.

    >>> from avae_lib import data
    >>> photos = data.load("photos32")
    >>> codec = QuantisedLayers(data.recorded_model("local-photos32"), 1.0, photos.train[:20], keep=6)
    >>> code = codec.encode(photos.test[:2])
    >>> bool((codec.decode(code, 2) == codec.measure(photos.test[:2]).images).all())
    True
    """

    def __init__(
        self,
        model: nn.Module,
        step: float | Sequence[float],
        training_images: UInt8[Tensor, "examples channels height width"],
        keep: int | None = None,
    ) -> None:
        self._walk = latent_walk(model)
        layers = len(self._walk.latent_shapes)
        self.keep = layers if keep is None else keep
        self.steps = tuple(step) if isinstance(step, Sequence) else (step,) * layers
        if self.keep not in range(layers + 1):
            raise ValueError(f"keep must be None or 0 … {layers} (all layers), got {keep!r}")
        if len(self.steps) != layers or not all(_SMALLEST_STEP <= of_layer < math.inf for of_layer in self.steps):
            raise ValueError(f"step must be at least {_SMALLEST_STEP}, one number or {layers} of them, got {step!r}")
        counted = zip(self._indices(training_images), self.steps, strict=False)
        self._layers = [LayerCode(indices, _largest(of_layer)) for indices, of_layer in counted]

    def measure(self, images: UInt8[Tensor, "examples channels height width"]) -> LossyResult:
        """Images after the code, and its length, without writing it."""
        indices = self._indices(images)
        bits, by_prior = torch.zeros(2, len(images), self.keep, dtype=torch.float64)
        for layer, n in enumerate(indices):
            bits[:, layer] = self._layers[layer].bits(n)
            by_prior[:, layer] = _bits_by_prior(n, self.steps[layer])
        return LossyResult(self._decoded(indices, len(images)), bits, by_prior)

    def encode(self, images: UInt8[Tensor, "examples channels height width"]) -> bytes:
        """All images as one code, at the length that :meth:`measure` says and at most 16 bytes more."""
        stack = AnsStack()
        for layer, indices in reversed(list(zip(self._layers, self._indices(images), strict=True))):
            layer.push(stack, indices)
        return stack.to_bytes()

    def decode(self, code: bytes, count: int) -> UInt8[Tensor, "examples channels height width"]:
        """The images of a code.

        Args:
            count: number of images, at least 1.

        Raises:
            BrokenCode: the code is truncated or changed, or was made with another count or settings.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1 image, got {count!r}")
        stack = AnsStack.from_bytes(code)
        shapes = self._walk.latent_shapes[: self.keep]
        indices = [layer.pop(stack, (count, *shape)) for layer, shape in zip(self._layers, shapes, strict=True)]
        stack.require_only_borrowed()
        return self._decoded(indices, count)

    @torch.no_grad()
    def _indices(self, images: Tensor) -> list[Int[Tensor, "examples ..."]]:
        """n of the kept layers."""
        require_pixels(images, self._walk.image_shape, self._walk.bits)
        evidence, state, indices = self._walk.evidence(images), self._walk.start(len(images)), []
        for layer, step in enumerate(self.steps[: self.keep]):
            n = torch.round(self._walk.posterior(state, layer, evidence).shift / step)
            indices.append(n.clamp(-_largest(step), _largest(step)).long())
            state = self._walk.descend(state, layer, step * indices[-1].double())
        return indices

    @torch.no_grad()
    def _decoded(self, indices: list[Tensor], count: int) -> UInt8[Tensor, "examples channels height width"]:
        state = self._walk.start(count)
        for layer, (shape, step) in enumerate(zip(self._walk.latent_shapes, self.steps, strict=True)):
            n = indices[layer] if layer < self.keep else torch.zeros(count, *shape)
            state = self._walk.descend(state, layer, step * n.double())
        return self._walk.mean(state).round().clamp(0, 2**self._walk.bits - 1).to(torch.uint8)


class LayerCode:
    """Indices −largest … largest of one layer, with frequencies for each channel.

    Args:
        counted: indices that were seen, ``(examples, channels, …)``.
    """

    def __init__(self, counted: Int[Tensor, "examples channels *rest"], largest: int) -> None:
        self._largest = largest
        symbols = 2 * largest + 1
        channels = counted.transpose(0, 1).flatten(1) + largest
        counts = torch.stack([torch.bincount(of_channel, minlength=symbols) for of_channel in channels])
        smoothed = counts.double() + _PSEUDO_COUNT
        self._tables = frequency_tables((smoothed / smoothed.sum(1, keepdim=True)).numpy())
        self._bits = torch.tensor([[table.bits(symbol) for symbol in range(symbols)] for table in self._tables])

    def bits(self, indices: Int[Tensor, "examples channels *rest"]) -> Float[Tensor, "examples"]:
        """Length of the code of each example."""
        symbols = indices.transpose(0, 1).flatten(1) + self._largest
        lengths = self._bits.double().gather(1, symbols)
        return lengths.reshape(len(self._tables), len(indices), -1).sum(dim=(0, 2))

    def push(self, stack: AnsStack, indices: Int[Tensor, "examples channels *rest"]) -> None:
        """Put indices on the stack, so that the first one is on top."""
        symbols = (indices + self._largest).flatten().tolist()
        for symbol, table in reversed(list(zip(symbols, self._of_elements(indices.shape), strict=True))):
            stack.push(symbol, table)

    def pop(self, stack: AnsStack, shape: Sequence[int]) -> Int[Tensor, "examples channels *rest"]:
        """Take indices of that shape off the stack."""
        symbols = [stack.pop(table) for table in self._of_elements(shape)]
        return torch.tensor(symbols).reshape(*shape) - self._largest

    def _of_elements(self, shape: Sequence[int]) -> Iterator[FrequencyTable]:
        """The table of each element in turn."""
        for _ in range(shape[0]):
            for table in self._tables:
                yield from [table] * math.prod(shape[2:])


def _largest(step: float) -> int:
    return math.ceil(_REACH / step)


def _bits_by_prior(indices: Tensor, step: float) -> Float[Tensor, "examples"]:
    """−log2 of the standard normal's mass of each step."""
    away = indices.abs().double()  # differences in the lower tail keep their digits
    mass = torch.special.ndtr((0.5 - away) * step) - torch.special.ndtr((-0.5 - away) * step)
    return -mass.clamp(min=2.0**-32).log2().flatten(1).sum(1)
