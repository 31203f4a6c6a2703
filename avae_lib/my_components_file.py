"""Keep a student's finished functions in ``my_components.py``, where the next unit finds them."""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from avae_lib.atomic_write import write_atomically

__all__ = ["keep", "kept_file"]

FILE = "my_components.py"
DRIVE = Path("/content/drive/MyDrive")  # a student's Google Drive, where Colab mounts it
OPENING = '"""My components that passed their check. `avae_lib.components.load()` brings them back."""\n'


def kept_file() -> Path:
    """Where finished functions are kept.

    In a course folder all units share one file, beside ``avae_lib``. On Colab it lies in the folder ``avae`` of the
    student's Drive if that is mounted. Elsewhere it lies in the current folder.
    """
    here = Path.cwd()
    course = next((folder for folder in here.parents if (folder / "avae_lib").is_dir()), None)
    if course is None and DRIVE.is_dir():
        return DRIVE / "avae" / FILE
    return Path(os.path.relpath((course or here) / FILE))


def keep(name: str, function: Callable) -> list[str]:
    """Write the cell that defines ``function`` into ``my_components.py`` (see :func:`kept_file`).

    Returns:
        Lines for the student: where it went, and which names it takes from other cells, which are not kept.
    """
    try:
        code = _definitions(_cell_of(function))
    except (AttributeError, OSError, SyntaxError, TypeError):
        return [f"{name} is not kept: its source can't be found"]
    file = kept_file()
    imports, unknown = _names_from_elsewhere(code, inspect.unwrap(function).__globals__)
    try:
        _write_section(file, name, "\n".join([*imports, "", code]))
        comes_along = _defined_in(file)
    except OSError as error:
        return [f"{name} is not kept: {file} can't be written ({error.strerror})"]
    except SyntaxError:  # the file is the student's, who may have edited it
        return [f"{name} is kept in {file}, which Python cannot read any more: mend it or delete it"]
    return [f"{name} is kept in {file}", *_warnings(unknown - comes_along)]


def _cell_of(function: Callable) -> str:
    """The whole notebook cell that defines a function, or the function's own lines if it comes from a file."""
    file = inspect.unwrap(function).__code__.co_filename
    is_cell = file in linecache.cache and not Path(file).exists()
    return "".join(linecache.getlines(file)) if is_cell else textwrap.dedent(inspect.getsource(function))


def _definitions(cell: str) -> str:
    """The cell without its docstring, calls and prints, which are not wanted again when it is brought back."""
    lines = cell.splitlines()
    for node in ast.parse(cell).body:
        if isinstance(node, ast.Expr):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    code = "\n".join(lines).strip() + "\n"
    ast.parse(code)
    return code


def _names_from_elsewhere(code: str, namespace: Mapping[str, Any]) -> tuple[list[str], set[str]]:
    """Imports that stand in for names the cell doesn't define, and names that nothing can stand in for."""
    used, bound = _names(ast.parse(code))
    outside = sorted(used - bound - set(dir(builtins)))
    imports = {name: _import_of(name, namespace.get(name)) for name in outside}
    unknown = {name for name, line in imports.items() if not line}
    return [line for line in imports.values() if line], unknown


def _names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names that are read anywhere in a piece of code, and names that are bound anywhere in it."""
    used, bound = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
    return used, bound


def _import_of(name: str, value: Any) -> str:
    """The line of source that imports ``value`` under ``name``, or nothing if it was made in the notebook."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"
    home, inner_name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if home in (None, "__main__") or getattr(sys.modules.get(home), inner_name, None) is not value:
        return ""
    return f"from {home} import {inner_name}" + ("" if inner_name == name else f" as {name}")


def _warnings(names: set[str]) -> list[str]:
    if not names:
        return []
    taken = ", ".join(sorted(names))
    return [f"careful: it takes {taken} from another cell, but only this cell is kept for later units"]


def _defined_in(file: Path) -> set[str]:
    """The names that come along with what is kept: all of it is brought back into one namespace."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    definitions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return {*definitions, *(target.id for target in assigned if isinstance(target, ast.Name))}


def _write_section(file: Path, name: str, section: str) -> None:
    """Put the section in the place of an earlier one of the same component; a reader never sees half a file."""
    before = file.read_text(encoding="utf-8") if file.exists() else OPENING
    opening, *parts = re.split(r"^# component: (\w+)\n", before, flags=re.MULTILINE)
    sections = dict(zip(parts[::2], parts[1::2], strict=True)) | {name: f"{section.strip()}\n\n"}
    text = opening.rstrip() + "\n\n" + "".join(f"# component: {key}\n{body}" for key, body in sections.items())
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, text)
