r"""Lossless coding of images with a latent-variable model: bits back on a stack.

To send x, the sender

1. pops z from the stack with q(z | x): the stack gets shorter by :math:`\log_2 1/q(z \mid x)`,
2. pushes x with p(x | z): longer by :math:`\log_2 1/p(x \mid z)`,
3. pushes z with p(z): longer by :math:`\log_2 1/p(z)`.

In expectation the stack has grown by −ELBO(x) in bits. The receiver undoes the steps from the last to the first, and
so gets back the bits that step 1 took. They are whatever was on the stack before: the code of the images so far.

Step 1 needs bits that look random ("clean bits", Townsend et al.). Those on top are the latents of the image before, so
without further care a latent would be a function of the same latent there. The top of the stack is therefore masked
with pseudo-random bits before each image, and the receiver takes the mask off again.

J. Townsend, T. Bird and D. Barber, "Practical lossless compression with latent variables using bits back coding", ICLR
2019; for hierarchies J. Townsend, T. Bird, J. Kunze and D. Barber, "HiLLoC: lossless image compression with
hierarchical latent variable models", ICLR 2020. The idea goes back to C. Wallace (1990), and to
G. Hinton and D. van Camp (1993).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from scipy.special import ndtri
from torch import Tensor, nn

from avae_lib.compression.asymmetric_numeral_systems import (
    PRECISION,
    AnsStack,
    FrequencyTable,
    Uniform,
    frequency_tables,
)
from avae_lib.compression.latent_walk import LatentWalk, latent_walk
from avae_lib.models.requirements import require_pixels

__all__ = ["Account", "BitsBack", "Coded", "GaussianBins"]

_MOST_LATENT_BITS = 16


@dataclass(frozen=True)
class Account:
    """The bits that one image took from the stack and put on it.

    >>> Account(returned=20.0, pixels=90.0, latents=26.0).net
    96.0
    """

    returned: float
    """Popped to choose the latents: log2 1/q(z | x). The receiver gets it back."""
    pixels: float
    """Pushed for the image given its latents: log2 1/p(x | z)."""
    latents: float
    """Pushed for the latents: log2 1/p(z)."""

    @property
    def net(self) -> float:
        """Growth of the stack, in bits."""
        return self.pixels + self.latents - self.returned


@dataclass(frozen=True)
class Coded:
    """Images as bytes, with the bits of each image.

    >>> Coded(b"", accounts=(Account(20.0, 90.0, 26.0), Account(18.0, 80.0, 22.0)), bits_borrowed=32).net_bits
    180.0
    """

    code: bytes
    accounts: tuple[Account, ...]
    """One for each image, in the order of coding."""
    bits_borrowed: int
    """Random bits that the first images popped before the stack held enough; part of the code."""

    @property
    def net_bits(self) -> float:
        """Sum over images. The code has the borrowed bits too, and 64 to 96 more for its head, give or take a bit for
        each mask."""
        return sum(account.net for account in self.accounts)


class GaussianBins:
    r"""A normal distribution over :math:`2^b` bins that all have the same mass under the standard normal.

    .. math:: F_k = \Phi\Bigl(\frac{\Phi^{-1}(k / 2^b) - \text{shift}}{\text{ratio}}\Bigr), \qquad
              c_k = \lfloor F_k \, (2^r - 2^b) \rfloor + k

    It is a posterior in units of its prior. Cumulative counts are computed only where the bisection needs them.

    Args:
        shift, ratio: mean and standard deviation.
        edges: edges of the bins, :math:`\Phi^{-1}(k / 2^b)` for k = 0 … 2**b, from −∞ to ∞.

    A posterior equal to the prior gives all of the four bins a quarter of the frequencies, to within rounding:

    >>> bins = GaussianBins(shift=0.0, ratio=1.0, edges=[-math.inf, -0.6745, 0.0, 0.6745, math.inf])
    >>> [round(bins.interval(k)[1] / 2**PRECISION, 3) for k in range(4)]
    [0.25, 0.25, 0.25, 0.25]
    """

    def __init__(self, shift: float, ratio: float, edges: Sequence[float]) -> None:
        if not (math.isfinite(shift) and 0 < ratio < math.inf):
            raise ValueError(f"shift must be finite and ratio above 0, got {shift} and {ratio}")
        self._shift, self._inverse, self._edges = shift, -math.sqrt(0.5) / ratio, edges
        self._mass = (1 << PRECISION) - (len(edges) - 1)

    def interval(self, symbol: int) -> tuple[int, int]:
        """Start and frequency of a bin."""
        start = self._cumulative(symbol)
        return start, self._cumulative(symbol + 1) - start

    def symbol_at(self, slot: int) -> int:
        """The bin whose interval holds ``slot``."""
        low, high = 0, len(self._edges) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._cumulative(middle) <= slot else (low, middle)
        return low

    def _cumulative(self, k: int) -> int:
        below = 0.5 * math.erfc((self._edges[k] - self._shift) * self._inverse)
        return math.floor(below * self._mass) + k


class BitsBack:
    """A lossless code of images for one model.

    Latents are rounded to the middle of one of 2**latent_bits bins of equal prior mass. All probabilities become
    integers from float64 on the CPU, image by image, so that the receiver computes the same ones. That holds on one
    machine with one number of threads; floats of another processor may differ in the last digit, and then the code
    cannot be read.

    Args:
        model: see :func:`~avae_lib.compression.latent_walk.latent_walk`; it is copied.
        latent_bits: b, 1 to 16. More bits round less, and are borrowed for the first image.
        seed: seed of the mask and of the bits that the first images borrow, 0 or more; the receiver needs the same.
        masked: whether the stack is masked before each image. False shows what happens without; codes are shorter or
            longer than they should be where images are alike.

    >>> from avae_lib.models.vae import VAEConfig
    >>> model = VAEConfig(image_shape=(1, 4, 4), latent_dim=2, hidden_sizes=(8,)).build()
    >>> images = torch.randint(2, (3, 1, 4, 4), dtype=torch.uint8)
    >>> codec = BitsBack(model)
    >>> bool((codec.decode(codec.encode(images).code, 3) == images).all())
    True
    """

    def __init__(self, model: nn.Module, latent_bits: int = 12, seed: int = 0, masked: bool = True) -> None:
        if not 1 <= latent_bits <= _MOST_LATENT_BITS:
            raise ValueError(f"latent_bits must be 1 … {_MOST_LATENT_BITS}, got {latent_bits!r}")
        self._walk: LatentWalk = latent_walk(model)
        self._seed, self._latent_bits, self._prior = seed, latent_bits, Uniform(latent_bits)
        self._masked = masked
        bins = 1 << latent_bits
        self._edges = ndtri(np.arange(bins + 1) / bins).tolist()
        self._middles = torch.from_numpy(ndtri((np.arange(bins) + 0.5) / bins))

    @torch.no_grad()
    def encode(self, images: UInt8[Tensor, "examples channels height width"]) -> Coded:
        """All images on one stack, the first one at the bottom.

        Raises:
            TypeError, ValueError: not images of the model's shape and bits.
        """
        require_pixels(images, self._walk.image_shape, self._walk.bits)
        stack = AnsStack(random.Random(self._seed))
        accounts = []
        for place, image in enumerate(images.cpu()):
            self._mask(stack, place)
            accounts.append(self._push_image(stack, image.unsqueeze(0)))
        return Coded(stack.to_bytes(), tuple(accounts), stack.bits_borrowed)

    @torch.no_grad()
    def decode(self, code: bytes, count: int) -> UInt8[Tensor, "examples channels height width"]:
        """The images of a code, in the order in which they were encoded.

        Args:
            count: number of images, at least 1.

        Raises:
            BrokenCode: the code is truncated or changed, or was made with another model, count or settings.
        """
        if count < 1:
            raise ValueError(f"count must be at least 1 image, got {count!r}")
        stack = AnsStack.from_bytes(code)
        images = []
        for place in reversed(range(count)):
            images.append(self._pop_image(stack))
            self._mask(stack, place)
        stack.require_only_borrowed(random.Random(self._seed))
        return torch.cat(images[::-1])

    def _mask(self, stack: AnsStack, place: int) -> None:
        """Make the bits that choose the latents of the image at this place look random, or undo it."""
        if not self._masked:
            return
        latents = sum(shape.numel() for shape in self._walk.latent_shapes)
        stack.mask(key=self._seed << 32 | place + 1, words=math.ceil(latents * self._latent_bits / 32))

    def _push_image(self, stack: AnsStack, x: Tensor) -> Account:
        before = stack.bits
        latents, state = self._pop_latents(stack, x)
        chosen = stack.bits
        for symbol, table in reversed(list(self._pixels(state, x))):
            stack.push(symbol, table)
        described = stack.bits
        for bins in reversed(latents):
            for k in reversed(bins):
                stack.push(k, self._prior)
        return Account(before - chosen, described - chosen, stack.bits - described)

    def _pop_latents(self, stack: AnsStack, x: Tensor) -> tuple[list[list[int]], Any]:
        """Bins of every layer drawn from the posterior, and the state below the last one."""
        evidence, state, latents = self._walk.evidence(x), self._walk.start(1), []
        for layer in range(len(self._walk.latent_shapes)):
            posterior = self._posterior(state, layer, evidence)
            latents.append([stack.pop(bins) for bins in posterior])
            state = self._walk.descend(state, layer, self._middles[latents[-1]])
        return latents, state

    def _pop_image(self, stack: AnsStack) -> Tensor:
        states, latents = [self._walk.start(1)], []
        for layer, shape in enumerate(self._walk.latent_shapes):
            latents.append([stack.pop(self._prior) for _ in range(shape.numel())])
            states.append(self._walk.descend(states[-1], layer, self._middles[latents[-1]]))
        x = self._pop_pixels(stack, states[-1])
        evidence = self._walk.evidence(x)
        for layer in reversed(range(len(latents))):
            posterior = self._posterior(states[layer], layer, evidence)
            for k, bins in reversed(list(zip(latents[layer], posterior, strict=True))):
                stack.push(k, bins)
        return x

    def _posterior(self, state: Any, layer: int, evidence: Any) -> list[GaussianBins]:
        relative = self._walk.posterior(state, layer, evidence)
        elements = zip(relative.shift.flatten().tolist(), relative.ratio.flatten().tolist(), strict=True)
        return [GaussianBins(shift, ratio, self._edges) for shift, ratio in elements]

    def _pixels(self, state: Any, x: Tensor) -> Iterator[tuple[int, FrequencyTable]]:
        """Levels and their tables, in the order in which the receiver reads them."""
        known = x[:, :0]
        while known.shape[1] < x.shape[1]:
            tables = self._tables(state, known)
            following = x[:, known.shape[1] :][:, : len(tables) // x[0, 0].numel()]
            yield from zip(following.flatten().tolist(), tables, strict=True)
            known = x[:, : known.shape[1] + following.shape[1]]

    def _pop_pixels(self, stack: AnsStack, state: Any) -> Tensor:
        channels, height, width = self._walk.image_shape
        known = torch.zeros(1, 0, height, width, dtype=torch.uint8)
        while known.shape[1] < channels:
            levels = [stack.pop(table) for table in self._tables(state, known)]
            following = torch.tensor(levels, dtype=torch.uint8).reshape(1, -1, height, width)
            known = torch.cat([known, following], dim=1)
        return known

    def _tables(self, state: Any, known: Tensor) -> list[FrequencyTable]:
        return frequency_tables(self._walk.level_probabilities(state, known).flatten(0, -2).numpy())
