r"""Converts written answers, whose pictures can be stored in five ways, to one form.

Jupyter attaches pictures to a cell and names them in its text. Colab and pasted documents write their bytes into the
text, in place or below it as ``[image1]: <data:…>``. Both may use HTML instead of Markdown. Each picture is decoded,
encoded again, attached, and put in a paragraph of its own::

    My derivation:

    ![picture 1](attachment:picture-1.png)

    So the bound holds.

Pictures that cannot be shown, for example on the web or in files, are flagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from nbformat import NotebookNode

from autograder.counts_and_lists import counted
from autograder.intake.notebook_cells import Cell
from autograder.intake.pictures import MAX_PICTURES, Album, NotDrawn
from autograder.plain_text import LONGEST_SHOWN, printable

__all__ = ["PicturedText", "attachment_name", "parts_of_answer", "picture_places"]

_LONGEST_TEXT = LONGEST_SHOWN - 2_000  # the places of all pictures fit into the rest
_MOST_NAMED = 4
_PASTED, _ATTACHED = "pasted:", "attachment:"

_BYTES = r"data:([\w-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,"
# In quotes the base64 text may contain line breaks; elsewhere the first white space ends it.
_DATA = re.compile(rf"""(["']){_BYTES}([\w+/=%\s-]*)\1|{_BYTES}([\w+/=%-]*)""", re.IGNORECASE | re.ASCII)
_DEFINITION = re.compile(r"^ {0,3}\[([^\]\n]{1,100})\]:[ \t]*<?(attachment:[^\s>]+)>?[^\n]*$", re.MULTILINE)
_PICTURE = re.compile(
    r"\\?!\[(?P<alt>(?:[^\[\]\n]|\[[^\[\]\n]*\]){0,500})\]"
    r"(?:\((?P<target>(?:[^()\n]|\([^()\n]*\)){1,1000})\)|\[(?P<reference>[^\]\n]{0,100})\])?"
    r"|<img\b[^<>]{0,3000}>"
    r"|(?:\[[^\[\]\n]{0,500}\]\()?attachment:pasted:(?P<pasted>\d+)\)?",
    re.IGNORECASE,
)
_SOURCE_OF_TAG = re.compile(r"""\bsrc\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
_TITLE = re.compile(r"""\s+(?:"[^"]*"|'[^']*')\s*\Z""")
_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_CUT_PLACE = re.compile(r"!\[picture [^)]*\Z")
_PLACE = re.compile(r"\s*!\[picture (\d+)\]\(attachment:picture-\1\.png\)\s*")


def attachment_name(number: int) -> str:
    """The name of the picture with this number among the attachments of its cell."""
    return f"picture-{number}.png"


def picture_places(count: int) -> list[str]:
    """The Markdown that shows each of ``count`` pictures in an answer's text.

    >>> picture_places(1)
    ['![picture 1](attachment:picture-1.png)']
    """
    return [f"![picture {number}]({_ATTACHED}{attachment_name(number)})" for number in range(1, count + 1)]


def parts_of_answer(cell: NotebookNode) -> list[tuple[str, str]]:
    """The parts of a rebuilt cell in their order: texts as ("text", …), pictures in base64 as ("picture", …)."""
    attached = cell.get("attachments", {})
    parts: list[tuple[str, str]] = []
    end = 0
    for place in _PLACE.finditer(cell.source):
        if picture := attached.get(attachment_name(int(place[1]))):
            parts += [("text", cell.source[end : place.start()]), ("picture", picture["image/png"])]
            end = place.end()
    return [part for part in (*parts, ("text", cell.source[end:])) if part[1].strip()]


class PicturedText:
    """Collects the text and pictures of one written answer from its cells.

    Attributes:
        pictures: the pictures, encoded again, in base64, in the order of their numbers.
    """

    def __init__(self, name: str, album: Album) -> None:
        self.pictures: list[str] = []
        self._name = name
        self._album = album
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}  # by content, so that a picture used twice is stored once
        self._on_top: set[int] = set()  # pictures inside code blocks, which must be shown above the text
        self._room = MAX_PICTURES
        self._left_out = 0
        self._not_shown: list[str] = []
        self._elsewhere: dict[str, None] = {}

    def add(self, text: str, attachments: Mapping[str, tuple[str, str]] | None = None) -> None:
        """Add Markdown and its attachments; attachments that the text does not name follow it."""
        reading = _Reading(self, text, attachments or {})
        self._texts.append(reading.text)

    def add_code(self, cell: Cell) -> None:
        """Add a code cell as a block of code, followed by the pictures in its outputs."""
        longest = max(map(len, re.findall("`+", cell.source)), default=0)
        marks = "`" * max(3, longest + 1)
        outputs = {f"output {number}": ("image/png", png) for number, png in enumerate(cell.pictures, 1)}
        self.add(f"{marks}python\n{cell.source}\n{marks}", outputs)

    def finished(self) -> tuple[str, tuple[str, ...]]:
        """The text, cut to the length that is shown, and flags about what is not shown."""
        whole = "\n\n".join(self._texts)
        text = _CUT_PLACE.sub("", whole[:_LONGEST_TEXT])
        flags = list(self._flags())
        if len(whole) > _LONGEST_TEXT:
            text += "\n\n… (the rest is not shown)"
            flags.append(
                f"the answer to '{self._name}' was cut: it has {len(whole):,} characters, and only the first "
                f"{_LONGEST_TEXT:,} are shown; the rest is in the notebook that was handed in"
            )
        if self._left_out:
            text += f"\n\n(not shown: {counted(self._left_out, 'more picture')})"
        places = enumerate(picture_places(len(self.pictures)), 1)
        hidden = [place for number, place in places if number in self._on_top or place not in text]
        return "\n\n".join([*hidden, text.strip()]).strip(), tuple(flags)

    def _flags(self) -> Iterable[str]:
        if count := len(self._not_shown) + self._left_out:
            named = self._not_shown[:_MOST_NAMED] or ["more than a page can hold"]
            yield (
                f"the answer to '{self._name}' has {counted(count, 'picture')} that cannot be shown "
                f"({'; '.join(named)}{' …' if count > _MOST_NAMED else ''}): please check"
            )
        if self._elsewhere:
            named = list(self._elsewhere)[:_MOST_NAMED]
            yield (
                f"the answer to '{self._name}' refers to pictures outside the notebook, which were not loaded: "
                f"{', '.join(named)}{' …' if len(self._elsewhere) > _MOST_NAMED else ''}"
            )

    def picture(self, label: str, attached: tuple[str, str] | None) -> str:
        """Encode a picture, given as type and content, again; return the Markdown for its place in the text."""
        if self._room <= 0:
            self._left_out += 1
            return ""
        self._room -= 1
        try:
            return picture_places(self._number_of(attached))[-1]
        except NotDrawn as reason:
            label = printable(label, 60)
            self._not_shown.append(f"{label} ({reason})")
            return f"(picture that is not shown: {label})"

    def points_at(self, target: str) -> None:
        """Note a picture that is not in the notebook."""
        self._elsewhere[printable(target, 120)] = None

    def put_on_top(self, place: str) -> str:
        """Show the picture of a place above the text instead; return the words that refer to it."""
        found = _PLACE.fullmatch(place)
        if not found:
            return place
        self._on_top.add(int(found[1]))
        return f"(picture {found[1]})"

    def _number_of(self, attached: tuple[str, str] | None) -> int:
        if attached is None:
            raise NotDrawn("it is not in the notebook")
        kind, encoded = attached
        if encoded not in self._numbers:
            if not kind.lower().startswith("image/"):
                raise NotDrawn(f"it is not a picture but {printable(kind, 40)}")
            self.pictures.append(self._album.add(encoded))
            self._numbers[encoded] = len(self.pictures)
        return self._numbers[encoded]


class _Reading:
    """Converts one text: first pictures written into it become attachments, then each picture gets its place."""

    def __init__(self, whole: PicturedText, text: str, attachments: Mapping[str, tuple[str, str]]) -> None:
        self._whole = whole
        self._attached = dict(attachments)
        self._named: set[str] = set()
        text = _DATA.sub(self._taken_out, text)
        self._targets = {name.lower(): target for name, target in _DEFINITION.findall(text)}
        text = _DEFINITION.sub("", text)
        self._fences = [fence.span() for fence in _FENCED.finditer(text)]
        text = _PICTURE.sub(self._put_in_place, text).strip()
        rest = [self._picture(name) for name in self._attached if name not in self._named]
        self.text = re.sub(r"\n{4,}", "\n\n\n", "\n\n".join(filter(None, [text, *rest])))

    def _taken_out(self, found: re.Match[str]) -> str:
        quote = found[1] or ""
        kind = found[2] or found[4]
        content = found[3] or found[5] or ""
        name = f"{_PASTED}{len(self._attached)}"
        self._attached[name] = (kind, content)
        return f"{quote}{_ATTACHED}{name}{quote}"

    def _put_in_place(self, found: re.Match[str]) -> str:
        target = self._target_of(found)
        if not target.startswith(_ATTACHED):
            if target:
                self._whole.points_at(target)
            return found.group()
        place = self._picture(unquote(target.removeprefix(_ATTACHED)), found["alt"])
        if any(start <= found.start() < end for start, end in self._fences):
            return self._whole.put_on_top(place)
        return f"\n\n{place}\n\n" if place.startswith("!") else place

    def _target_of(self, found: re.Match[str]) -> str:
        if found["pasted"]:
            return f"{_ATTACHED}{_PASTED}{found['pasted']}"
        if found.group().startswith("<"):
            source = _SOURCE_OF_TAG.search(found.group())
            return next(filter(None, source.groups()), "") if source else ""
        if found["target"] is None:
            return self._targets.get((found["reference"] or found["alt"]).lower(), "")
        return _TITLE.sub("", found["target"].strip()).strip("<>")

    def _picture(self, name: str, label: str | None = None) -> str:
        self._named.add(name)
        label = label or ("a pasted picture" if name.startswith(_PASTED) else name)
        return self._whole.picture(label, self._attached.get(name))
