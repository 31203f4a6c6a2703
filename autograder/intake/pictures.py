"""Pictures from submitted notebooks: PNG only, limited in size and number, drawn anew."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator

__all__ = ["MAX_PICTURES", "moderate_pictures", "reencoded"]

MAX_PICTURES = 24
MAX_CHARACTERS_TOGETHER = 12 * 2**20
MAX_ENCODED_CHARACTERS = 4 * 2**20
MAX_PIXELS = 16_000_000
LONGEST_SIDE = 1_600


def moderate_pictures(candidates: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Of numbered base64 pictures the first ones, drawn anew, until they are as many or as large as a page can hold."""
    room = MAX_CHARACTERS_TOGETHER
    for _, (number, encoded) in zip(range(MAX_PICTURES), candidates, strict=False):
        png = reencoded(encoded)
        room -= len(png or "")
        if room < 0:
            return
        if png:
            yield number, png


def reencoded(encoded: str) -> str | None:
    """A base64 PNG decoded and encoded again by Pillow, so that only pixels pass; None if it is no such picture."""
    from PIL import Image

    if len(encoded) > MAX_ENCODED_CHARACTERS:
        return None
    try:
        data = base64.b64decode("".join(encoded.split()), validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            pixels = image.convert("RGBA")
    except Exception:  # Pillow raises a dozen kinds of error on damaged files; each means: no picture
        return None
    pixels.info = {}
    pixels.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
