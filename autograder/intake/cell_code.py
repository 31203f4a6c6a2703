"""Analyses the Python code of one cell: which names it defines and which it needs from other cells."""

from __future__ import annotations

import ast
import builtins
import io
import re
import symtable
import textwrap
import tokenize
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property

__all__ = ["CellCode"]

_GIVEN = frozenset({*dir(builtins), "__name__", "__file__", "get_ipython", "display", "_"})
_RUNS_ITS_BODY = re.compile(r"%%(?:time|timeit|capture|prun)\b")
_COMMAND = re.compile(r"^([ \t]*)[%!?].*$", re.MULTILINE)
_LETTERS = re.compile(r"[^\W\d_]{2,}")
# From Python 3.12 on the text in an f-string is a token of its own.
_SAYING = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class CellCode:
    """A cell's source, parsed on first use and never run; text that is not Python defines and needs nothing.

    The name ``*`` stands for all names that ``from module import *`` imports.

    Attributes:
        source: the cell's source, IPython commands included.
    """

    def __init__(self, source: str) -> None:
        self.source = source

    @cached_property
    def _parts(self) -> tuple[list[str], ast.Module | None, symtable.SymbolTable | None]:
        return _read(self.source)

    @property
    def tree(self) -> ast.Module | None:
        """The syntax tree, without IPython commands; None if the cell is not Python."""
        return self._parts[1]

    @property
    def is_readable(self) -> bool:
        """Whether the cell is Python."""
        return self._parts[1] is not None

    @property
    def is_only_words(self) -> bool:
        """Whether the cell contains only text: comments, strings, printed strings, or text that is not Python."""
        _, tree, _ = self._parts
        is_idle = tree is None or all(map(_only_says, tree.body))
        return is_idle and any(_LETTERS.search(text) for text in self._texts)

    @property
    def has_sentences(self) -> bool:
        """Whether a comment or a string in the cell is more than a name."""
        return any(_is_sentence(text) for text in self._texts)

    @cached_property
    def _texts(self) -> list[str]:
        """Comments and strings; the whole source if it is not Python."""
        lines, tree, _ = self._parts
        if not (tree and any(map(str.strip, lines))):
            return [self.source]
        try:
            tokens = list(tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline))
        except (tokenize.TokenError, SyntaxError):
            return [self.source]
        return [token.string for token in tokens if token.type in _SAYING]

    @cached_property
    def defines(self) -> frozenset[str]:
        """The global names that running the cell would bind."""
        _, tree, table = self._parts
        symbols = table.get_symbols() if table else ()
        named = {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}
        imports = [node for node in (tree.body if tree else ()) if isinstance(node, ast.ImportFrom)]
        return frozenset(named | {"*" for node in imports if node.names[0].name == "*"})

    @cached_property
    def needs(self) -> frozenset[str]:
        """The global names that the cell, or a function in it, uses but does not define."""
        _, _, table = self._parts
        return frozenset(_global_names(table)) - self.defines - _GIVEN if table else frozenset()

    def definitions_of(self, names: Collection[str]) -> list[str]:
        """The statements outside functions that bind any of ``names``, in order, as text.

        A statement that may fail in its new place, for example an import of a missing module, is wrapped in ``try``.
        """
        lines, tree, _ = self._parts
        binding = [node for node in (tree.body if tree else ()) if not set(names).isdisjoint(_bound_by(node))]
        return [_as_written(node, lines) if _cannot_fail(node) else _tried(node, lines) for node in binding]

    def alone(self, component: str) -> str:
        """The statements that register a component, and the definitions that it needs, without all other statements.

        Missing modules are tolerated, whether they are imported or named in an annotation. The text is empty if no
        statement marks a function as this component, or if the cell contains nothing but functions.

        Example:
            >>> print(CellCode("drive.mount('/x')\\n@implements('half')\\ndef half(a): return a / 2").alone("half"))
            from __future__ import annotations
            @implements('half')
            def half(a): return a / 2
        """
        lines, tree, _ = self._parts
        body = tree.body if tree else []
        marked = [node for node in body if _marks(node, component)]
        if not marked or all(node in marked or _cannot_fail(node) for node in body):
            return ""
        names = self._needed_by("\n".join(_text_of(node, lines) for node in marked))
        kept = [node for node in body if node in marked or not names.isdisjoint(_bound_by(node))]
        plain = {node for node in kept if node in marked or _cannot_fail(node)}
        texts = [_text_of(node, lines) if node in plain else _tried(node, lines) for node in kept]
        return "\n".join(["from __future__ import annotations", *texts])

    def _needed_by(self, text: str) -> frozenset[str]:
        """The names that a part of this cell needs, directly or through definitions in this cell."""
        names: frozenset[str] = frozenset()
        while wanted := CellCode(text).needs - names:
            names |= wanted
            text = "\n".join(self.definitions_of(wanted))
        return names | ({"*"} & self.defines)


def _only_says(node: ast.stmt) -> bool:
    """Whether a statement is a string, or prints strings."""
    value = node.value if isinstance(node, ast.Expr) else None
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "print":
        return all(isinstance(argument, ast.Constant | ast.JoinedStr) for argument in value.args)
    return isinstance(value, ast.Constant | ast.JoinedStr)


def _is_sentence(text: str) -> bool:
    words = _LETTERS.findall(text)
    return len(words) > 2 or any(not word.isascii() for word in words)  # not all languages put spaces between words


def _read(source: str) -> tuple[list[str], ast.Module | None, symtable.SymbolTable | None]:
    if source.startswith("%%"):
        magic, _, body = source.partition("\n")
        source = f"\n{body}" if _RUNS_ITS_BODY.match(magic) else ""
    plain = _COMMAND.sub(r"\1pass", source)
    for python in (source, plain, textwrap.dedent(plain)):  # IPython accepts indented cells, too
        try:
            return python.split("\n"), ast.parse(python), symtable.symtable(python, "cell", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return [], None, None


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_module or symbol.is_global()):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _global_names(inner)


def _marks(node: ast.stmt, component: str) -> bool:
    """Whether a statement outside functions contains ``implements(component)``, as a decorator or a call."""
    runs = node.decorator_list if isinstance(node, _DEFINITION) else [node]
    calls = (part for run in runs for part in ast.walk(run) if isinstance(part, ast.Call) and part.args)
    return any(_is_mark(call) and getattr(call.args[0], "value", None) == component for call in calls)


def _is_mark(call: ast.Call) -> bool:
    return getattr(call.func, "attr", getattr(call.func, "id", "")) == "implements"


def _cannot_fail(node: ast.stmt) -> bool:
    """Whether a statement is a function definition that runs no other code: no decorators, no defaults."""
    if not isinstance(node, ast.FunctionDef) or node.decorator_list:
        return False
    return not node.args.defaults and not any(node.args.kw_defaults)


def _as_written(node: ast.stmt, lines: list[str]) -> str:
    decorators = getattr(node, "decorator_list", [])
    start = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(lines[start - 1 : node.end_lineno])


def _text_of(node: ast.stmt, lines: list[str]) -> str:
    """A definition as written, with its comments; of any other statement only itself, without the rest of its line."""
    return _as_written(node, lines) if isinstance(node, _DEFINITION) else _unparsed(node) or _as_written(node, lines)


def _unparsed(node: ast.stmt) -> str:
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError):  # too deeply nested, or a number with more digits than Python prints
        return ""


def _tried(node: ast.stmt, lines: list[str]) -> str:
    if isinstance(node, ast.Import) and len(node.names) > 1:  # one missing module must not prevent the other imports
        return "\n".join(_tried(ast.Import([module]), lines) for module in node.names)
    statement = _unparsed(node)  # not its lines: strings in them would change with the indentation
    if not statement:
        return _as_written(node, lines)
    return f"try:\n{textwrap.indent(statement, '    ')}\nexcept Exception:\n    pass"


def _bound_by(node: ast.stmt) -> Iterable[str]:
    if isinstance(node, ast.Expr):
        return
    for part in [node] if isinstance(node, _DEFINITION) else ast.walk(node):
        if isinstance(part, _DEFINITION):
            yield part.name
        elif isinstance(part, ast.alias):
            yield (part.asname or part.name).split(".")[0]
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
