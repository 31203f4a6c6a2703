"""Pictures in written answers are drawn anew and stay in their place; the text around them is always shown."""

import base64
import io
import random
import struct
import time
import zlib

import pytest
from nbformat import NotebookNode
from PIL import Image

from autograder.intake import pictures as limits
from autograder.intake.notebook_cells import Cell
from autograder.intake.pictured_text import PicturedText, attachment_name, parts_of_answer, picture_places
from autograder.intake.pictures import Album, NotDrawn
from autograder.nbgrader_bridge.drawn_markdown import drawn_markdown
from autograder.plain_text import LONGEST_SHOWN, harmless_markdown

PLACE = "![picture 1](attachment:picture-1.png)"
AFTER = "THE TEXT AFTER"


def picture(kind="PNG", colour="teal", size=(8, 6), **settings) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, **settings)
    return base64.b64encode(buffer.getvalue()).decode()


def answer_with(source, attachments=None):
    text = PicturedText("question_1", Album())
    text.add(source, attachments)
    return (*text.finished(), text.pictures)


def pixels_of(png) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png)))


def cell_with(source, pictures) -> NotebookNode:
    attached = {attachment_name(number): {"image/png": png} for number, png in enumerate(pictures, 1)}
    return NotebookNode(source=source, attachments=attached, cell_type="markdown")


def drawn(source, pictures) -> str:
    """An answer as formgrader draws it."""
    harmless = harmless_markdown(source, keep=picture_places(len(pictures)))
    return drawn_markdown({"cell": cell_with(harmless, pictures)}, harmless)


DATA = f"data:image/png;base64,{picture()}"
BROKEN_IN_LINES = "\n".join([DATA[:60], DATA[60:100], DATA[100:]])
ATTACHED = {"image.png": ("image/png", picture()), "my photo (1).png": ("image/png", picture())}

WAYS = {
    "attached": "Before ![image.png](attachment:image.png) " + AFTER,
    "attached under a name with blanks": "Before ![x](attachment:my%20photo%20(1).png) " + AFTER,
    "attached, with a title": 'Before ![x](attachment:image.png "a title") ' + AFTER,
    "attached, as HTML": 'Before <img src="attachment:image.png" width=200> ' + AFTER,
    "attached, with brackets in its description": "Before ![a[0]](attachment:image.png) " + AFTER,
    "attached, behind a backslash": "Before \\![x](attachment:image.png) " + AFTER,
    "pasted": f"Before ![image.png]({DATA}) {AFTER}",
    "pasted, as HTML": f'Before <img alt="x" src="{DATA}"/> {AFTER}',
    "pasted, as HTML, in lines": f"Before <img src='{BROKEN_IN_LINES}'> {AFTER}",
    "pasted, as a link": f"Before [photo]({DATA}) {AFTER}",
    "pasted, without any mark": f"Before {DATA} {AFTER}",
    "pasted below, and referred to": f"Before ![][image1] {AFTER}\n\n[image1]: <{DATA}>\n",
    "pasted below, and referred to by a word": f"Before ![Photo] {AFTER}\n\n[photo]: {DATA}\n",
    "inside a link to the web": f"Before [![x]({DATA})](https://example.org) {AFTER}",
    "in a table": f"Before\n\n| a | b |\n|---|---|\n| ![x]({DATA}) | {AFTER} |",
    "in a list": f"Before\n\n* one\n    * ![x]({DATA})\n* {AFTER}",
    "in a line of code": f"Before `![x]({DATA})` {AFTER}",
    "in a block of code": f"Before\n```\n![x]({DATA})\n```\n{AFTER}",
    "in a block of code that never ends": f"Before\n```\n![x]({DATA})\n{AFTER}",
    "in a quoted block of code": f"Before\n> ```\n> ![x]({DATA})\n\n{AFTER}",
    "in a block of code in a list": f"Before\n- ```\n  ![x]({DATA})\n  ```\n\n{AFTER}",
    "indented like code": f"Before\n\n    ![x]({DATA})\n\n{AFTER}",
    "among dollars": f"Before 5 $ ![x]({DATA}) and 6 $ {AFTER}",
    "in a comment of HTML": f"Before <!-- ![x]({DATA}) --> {AFTER}",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_is_seen_and_so_is_the_text_around_it(way):
    attachments = {name: ATTACHED[name] for name in ATTACHED if f"attachment:{name.split()[0]}" in WAYS[way]}
    source, flags, pictures = answer_with(WAYS[way], attachments)
    assert len(pictures) == 1 and flags == ()
    assert pixels_of(pictures[0]).size == (8, 6)
    page = drawn(source, pictures)
    assert f'src="data:image/png;base64,{pictures[0]}"' in page
    assert page.count("<img") == 1 and "Before" in page and AFTER in page
    kinds = [kind for kind, _ in parts_of_answer(cell_with(source, pictures))]
    assert kinds.count("picture") == 1
    assert AFTER in parts_of_answer(cell_with(source, pictures))[-1][1]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_pictures_of_the_usual_kinds_become_png(kind):
    source, flags, pictures = answer_with(f"![x](data:image/{kind.lower()};base64,{picture(kind)})")
    assert (source, flags) == (PLACE, ())
    assert pixels_of(pictures[0]).format == "PNG"


def png_of_size(width, height) -> str:
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


SVG = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>').decode()
NOT_DRAWN = {
    "a drawing in SVG": ("image/svg+xml", SVG, "of an unknown type"),
    "a PDF": ("application/pdf", "JVBERi0=", "not a picture but application/pdf"),
    "a web page": ("text/html", "PHNjcmlwdD4=", "not a picture but text/html"),
    "broken": ("image/png", "AAAA", "damaged"),
    "no base64": ("image/png", "====", "damaged"),
    "cut off": ("image/png", picture(size=(400, 400), colour="red")[:-60], "damaged"),
    "of 81 million pixels": ("image/png", png_of_size(9_000, 9_000), "81,000,000 pixels, more than"),
    "of a billion pixels": ("image/png", png_of_size(40_000, 40_000), "more than 64,000,000 pixels"),
    "nothing": ("image/png", "", "damaged"),
}


@pytest.mark.parametrize("what", NOT_DRAWN)
def test_what_is_not_drawn_is_said_in_its_place_and_in_a_flag(what):
    kind, content, why = NOT_DRAWN[what]
    source, (flag,), pictures = answer_with(f"Before ![](attachment:x) {AFTER}", {"x": (kind, content)})
    assert source == f"Before (picture that is not shown: x) {AFTER}"
    assert "has 1 picture that cannot be shown" in flag and why in flag
    assert pictures == []


def test_a_picture_that_is_named_and_not_there_is_flagged():
    _, (flag,), _ = answer_with("![photo](attachment:gone.png)")
    assert "photo (it is not in the notebook)" in flag


def test_pictures_on_the_web_and_in_files_are_named_and_not_loaded():
    text = '![a](https://example.org/a.png) ![b](derivation.jpg) <img src="//example.org/c.png"> [link](https://d.org)'
    source, (flag,), pictures = answer_with(text)
    assert source == text and pictures == []
    assert flag.endswith("which were not loaded: https://example.org/a.png, derivation.jpg, //example.org/c.png")
    assert "<img" not in drawn(source, []) and "href" not in drawn(source, [])


def test_an_attachment_that_no_text_names_is_shown_behind_the_text():
    source, _, pictures = answer_with("See below.", {"a.png": ("image/png", picture())})
    assert (source, len(pictures)) == (f"See below.\n\n{PLACE}", 1)


def test_a_picture_named_twice_is_drawn_once():
    source, _, pictures = answer_with("![a](attachment:a) and ![a](attachment:a)", {"a": ("image/png", picture())})
    assert (source.count(PLACE), len(pictures)) == (2, 1)


def test_of_1000_pictures_as_many_are_shown_as_a_page_can_hold_and_all_of_the_text():
    colours = [(number % 256, number // 256, 0) for number in range(1000)]
    attached = {f"p{number}": ("image/png", picture(colour=colour)) for number, colour in enumerate(colours)}
    text = " ".join(f"w{number} ![](attachment:p{number})" for number in range(1000))
    source, (flag,), pictures = answer_with(text, attached)
    assert len(pictures) == limits.MAX_PICTURES
    assert {f"w{number}" for number in range(1000)} <= set(source.split())
    assert "has 976 pictures that cannot be shown" in flag
    assert source.endswith("(not shown: 976 more pictures)")
    assert len(source) < LONGEST_SHOWN


def test_bytes_use_up_nothing_of_the_text_that_is_shown():
    noise = Image.frombytes("RGB", (300, 300), random.Random(0).randbytes(270_000))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    assert len(data) > 10 * LONGEST_SHOWN
    source, flags, _ = answer_with(f"![x](data:image/png;base64,{data}) {AFTER}")
    assert (source, flags) == (f"{PLACE}\n\n {AFTER}", ())


def test_pictures_in_text_that_is_cut_are_shown_above_it():
    source, (flag,), pictures = answer_with("word " * 30_000 + "![x](attachment:x)", {"x": ("image/png", picture())})
    assert source.startswith(PLACE) and len(pictures) == 1
    assert "was cut" in flag and len(source) < LONGEST_SHOWN


def test_code_keeps_its_back_ticks_and_shows_what_it_drew():
    text = PicturedText("question_1", Album())
    text.add_code(Cell(0, "code", "# see ```this```", pictures=(picture("JPEG"),)))
    assert text.finished() == (f"````python\n# see ```this```\n````\n\n{PLACE}", ())
    assert len(text.pictures) == 1


def test_a_photograph_is_turned_as_the_camera_was_held_and_says_nothing_else_about_it():
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turned by a quarter
    exif[0x010E] = "where it was taken"
    data = picture("JPEG", size=(80, 40), exif=exif)
    png = Album().add(data)
    assert pixels_of(png).size == (40, 80)
    assert b"taken" in base64.b64decode(data) and b"taken" not in base64.b64decode(png)


def test_a_large_photograph_is_made_small_enough_to_show_several():
    noise = Image.frombytes("RGB", (500, 500), random.Random(0).randbytes(750_000)).resize((3000, 2000))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=95)
    png = Album().add(base64.b64encode(buffer.getvalue()).decode())
    assert len(png) <= limits.MAX_CHARACTERS
    assert max(pixels_of(png).size) > 600


def test_what_is_transparent_is_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(buffer, "PNG")
    png = Album().add(base64.b64encode(buffer.getvalue()).decode())
    assert pixels_of(png).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_pixels_of_all_pictures_together_are_limited(monkeypatch):
    monkeypatch.setattr(limits, "MAX_PIXELS_TOGETHER", 100)
    album = Album()
    for colour in ("red", "green", "blue"):
        album.add(picture(colour=colour))  # 48 pixels each
    with pytest.raises(NotDrawn, match="more pictures than a page can hold"):
        album.add(picture())


HOSTILE = {
    "a place of ours that is not there": "![picture 7](attachment:picture-7.png)",
    "script": f"<script>alert(1)</script> ![x]({DATA})",
    "a link around a picture": f"[![x]({DATA})](javascript:alert(1))",
    "a place behind a backslash": "\\![picture 1](attachment:picture-1.png)",
    "a handler in a picture's tag": f'<img src="{DATA}" onerror="alert(1)">',
    "a description that breaks out": f'![x" onerror="alert(1)]({DATA})',
    "a name that breaks out": '![x](attachment:a"onerror="alert(1))',
    "a type that breaks out": f'![x](data:image/png"onload="alert(1);base64,{picture()})',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_of_a_students_acts_in_what_is_drawn(what):
    source, _, pictures = answer_with(HOSTILE[what])
    page = drawn(source, pictures)
    assert "<script" not in page and "href" not in page
    tags = page.split("<img")[1:]
    assert all("onerror" not in tag.split(">")[0] and "onload" not in tag.split(">")[0] for tag in tags)


ENDLESS = {
    "openings": "![" * 200_000,
    "brackets": "![" + "[" * 300_000,
    "targets": "![a](" * 100_000,
    "tags": "<img " * 100_000,
    "quotes": "'data:image/png;base64," * 30_000,
    "fences": "```\n" * 100_000,
    "definitions": "[a]: attachment:b\n" * 30_000,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_no_text_takes_long_to_read(what):
    started = time.process_time()
    answer_with(ENDLESS[what])
    assert time.process_time() - started < 10
