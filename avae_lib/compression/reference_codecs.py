"""Ordinary codecs to compare with: gzip, bzip2, PNG, WebP and JPEG, and pixels coded one by one.

All images go into one file, so that its header counts once. In picture formats they are stacked below one another.
"""

from __future__ import annotations

import bz2
import gzip
import io

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, features
from torch import Tensor

__all__ = ["independent_pixel_bits", "lossless_bits", "lossy_bits"]


def lossless_bits(images: UInt8[Tensor, "examples channels height width"], bits: int = 8) -> dict[str, int]:
    """Size of a file that holds all images, in bits: gzip and bzip2 of the packed pixels, PNG, and WebP for 8 bits.

    Args:
        bits: bits of a pixel value, 1, 2, 4 or 8; pixels of fewer than 8 bits are packed.

    >>> lossless_bits(torch.zeros(100, 1, 8, 8, dtype=torch.uint8), bits=1)["gzip"] < 6400
    True
    """
    packed = _packed(images, bits)
    sizes = {"gzip": len(gzip.compress(packed, 9, mtime=0)), "bzip2": len(bz2.compress(packed, 9))}
    sizes["PNG"] = len(_file(_tall_picture(images, bits), "PNG", optimize=True, bits=bits))
    if bits == 8 and features.check("webp"):
        sizes["WebP"] = len(_file(_tall_picture(images, bits), "WEBP", lossless=True, quality=100, method=6))
    return {name: 8 * size for name, size in sizes.items()}


def lossy_bits(
    images: UInt8[Tensor, "examples 3 height width"], codec: str, quality: int
) -> tuple[int, UInt8[Tensor, "examples 3 height width"]]:
    """Size of one file with all images, in bits, and the images that it holds.

    Args:
        codec: ``"JPEG"`` or ``"WEBP"``.
        quality: quality setting of the codec, 1 to 100.

    Raises:
        ValueError: another codec, a quality out of range, or images that are not uint8 with three colours.

    >>> size, decoded = lossy_bits(torch.full((2, 3, 32, 32), 80, dtype=torch.uint8), "JPEG", quality=50)
    >>> decoded.shape
    torch.Size([2, 3, 32, 32])
    """
    if codec not in ("JPEG", "WEBP"):
        raise ValueError(f"codec must be 'JPEG' or 'WEBP', got {codec!r}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must be 1 to 100, got {quality}")
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        raise ValueError(f"images must be uint8 (examples, 3, height, width), got {images.dtype} {tuple(images.shape)}")
    content = _file(_tall_picture(images, 8), codec, quality=quality)
    rows = torch.from_numpy(np.array(Image.open(io.BytesIO(content)).convert("RGB")))
    return 8 * len(content), rows.unflatten(0, (len(images), -1)).permute(0, 3, 1, 2).contiguous()


def independent_pixel_bits(
    training_images: UInt8[Tensor, "n channels height width"],
    images: UInt8[Tensor, "examples channels height width"],
    bits: int,
) -> float:
    """Ideal length of all images if each pixel is coded with the frequencies of its levels in training images.

    Counts start at 1. It is the best code for independent pixels that can be estimated from the training images.

    >>> zeros = torch.zeros(30, 1, 1, 1, dtype=torch.uint8)
    >>> round(independent_pixel_bits(zeros, zeros[:1], bits=1), 4)  # log2(32/31)
    0.0458
    """
    levels = torch.arange(2**bits)
    counts = (training_images.flatten(1)[:, :, None] == levels).sum(0) + 1.0
    log_frequencies = torch.log2(counts / counts.sum(1, keepdim=True))
    return -log_frequencies.gather(1, images.flatten(1).T.long()).sum().item()


def _packed(images: Tensor, bits: int) -> bytes:
    """Pixels row after row, as many in a byte as fit."""
    if bits not in (1, 2, 4, 8):
        raise ValueError(f"bits must be 1, 2, 4 or 8, got {bits!r}")
    single = np.unpackbits(images.numpy().reshape(-1, 1), axis=1)[:, 8 - bits :]
    return np.packbits(single).tobytes()


def _tall_picture(images: Tensor, bits: int) -> Image.Image:
    if images.shape[1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got shape {tuple(images.shape)}")
    rows = images.permute(0, 2, 3, 1).flatten(0, 1).numpy()
    if images.shape[1] == 3:
        return Image.fromarray(rows, "RGB")
    if bits == 8:
        return Image.fromarray(rows[..., 0], "L")
    grey = Image.fromarray(rows[..., 0], "P")  # a palette, because PNG by Pillow has no grey of fewer bits
    grey.putpalette([value for level in range(2**bits) for value in [level * 255 // (2**bits - 1)] * 3])
    return grey


def _file(picture: Image.Image, codec: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, codec, **options)
    return buffer.getvalue()
