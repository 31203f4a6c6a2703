"""Decodes pictures from submitted notebooks and encodes them again as PNG, limited in size and number."""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageOps, WebPImagePlugin

__all__ = ["MAX_PICTURES", "Album", "NotDrawn"]

MAX_PICTURES = 24
MAX_CHARACTERS_TOGETHER = 12 * 2**20
MAX_CHARACTERS = 2**20
"""Maximum length of one encoded picture; larger photographs are scaled down until they fit."""

MAX_ENCODED_CHARACTERS = 16 * 2**20
MAX_PIXELS = 64_000_000
"""Maximum number of pixels, more than a phone's camera has. Decoding that many takes seconds."""

MAX_PIXELS_TOGETHER = 4 * MAX_PIXELS
LONGEST_SIDE = 1_600

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", str(WebPImagePlugin.WebPImageFile.format))
Image.preinit()  # reads Pillow's files now, not in the process that reads a submission


class NotDrawn(Exception):
    """A picture cannot be shown; the message says why, as a clause: "it is damaged"."""


class Album:
    """Encodes the pictures of one submission again, limiting their number and total size."""

    def __init__(self) -> None:
        self._pictures = MAX_PICTURES
        self._characters = MAX_CHARACTERS_TOGETHER
        self._pixels = MAX_PIXELS_TOGETHER

    @property
    def is_full(self) -> bool:
        return self._pictures <= 0 or self._characters <= 0 or self._pixels <= 0

    def add(self, encoded: str) -> str:
        """Decode a base64 picture and encode it again as base64 PNG, so that nothing but pixels remains.

        Raises:
            NotDrawn: the picture is damaged, of an unknown type or too large, or the album is full.
        """
        if self.is_full:
            raise NotDrawn("there are more pictures than a page can hold")
        if len(encoded) > MAX_ENCODED_CHARACTERS:
            raise NotDrawn(f"it has more than {MAX_ENCODED_CHARACTERS * 3 // 4 // 2**20} MB")
        png = _png_of(self._pixels_of(encoded))
        self._characters -= len(png)
        if self._characters < 0:
            raise NotDrawn("there are more pictures than a page can hold")
        self._pictures -= 1
        return png

    def _pixels_of(self, encoded: str) -> Image.Image:
        try:
            data = base64.b64decode("".join(encoded.split()), validate=True)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        except Image.DecompressionBombError:
            raise NotDrawn(f"it has more than {MAX_PIXELS:,} pixels") from None
        except Exception:  # Pillow raises a dozen types of errors for damaged files
            raise NotDrawn("it is damaged or of an unknown type") from None
        with image:
            if (size := image.width * image.height) > MAX_PIXELS:
                raise NotDrawn(f"it has {size:,} pixels, more than {MAX_PIXELS:,}")
            self._pixels -= size
            try:
                return _upright(image)
            except Exception:  # Pillow notices a truncated file only now
                raise NotDrawn("it is damaged") from None


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned upright, on a white background, scaled to at most ``LONGEST_SIDE`` pixels."""
    image.draft(None, (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))  # decode a JPEG no larger than needed
    turned = ImageOps.exif_transpose(image).convert("RGBA")
    turned.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    white = Image.new("RGB", turned.size, "white")
    white.paste(turned, mask=turned)
    return white


def _png_of(pixels: Image.Image) -> str:
    png = _encoded(pixels)
    while len(png) > MAX_CHARACTERS:
        png = _encoded(pixels.quantize(128, dither=Image.Dither.NONE))
        pixels = pixels.resize((pixels.width * 3 // 4, pixels.height * 3 // 4))
    return png


def _encoded(pixels: Image.Image) -> str:
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
