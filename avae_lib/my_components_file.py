"""``my_components.py``: the file that a student's finished functions are saved to, and that later units load.

:func:`keep` writes to it, :func:`run_as_module` loads it. What loading changes among the components is up to
:func:`avae_lib.components.load`.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import linecache
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from avae_lib.atomic_write import write_atomically
from avae_lib.errors import UserError

__all__ = ["KeptFileError", "keep", "kept_file", "run_as_module"]

FILE = "my_components.py"
DRIVE = Path("/content/drive/MyDrive")  # a student's Google Drive, where Colab mounts it
OPENING = '"""My components that passed their check. `avae_lib.components.load()` brings them back."""\n'
LAZY_ANNOTATIONS = "from __future__ import annotations\n"
MODULE = "my_components"  # name of the loaded module; a second file gets a number

_module_names: dict[Path, str] = {}


class KeptFileError(UserError, ImportError):
    """A file of kept functions that cannot be loaded: the message names the file, the line and what to do."""


def kept_file() -> Path:
    """The file that finished functions are saved to.

    In a course folder all units share one file, beside ``avae_lib``. On Colab it lies in the folder ``avae`` of the
    student's Drive if that is mounted. Elsewhere it lies in the current folder.

    >>> kept_file().name
    'my_components.py'
    """
    here = Path.cwd()
    course = next((folder for folder in here.parents if (folder / "avae_lib").is_dir()), None)
    if course is None and DRIVE.is_dir():
        return DRIVE / "avae" / FILE
    return Path(os.path.relpath((course or here) / FILE))


def run_as_module(path: Path) -> ModuleType:
    """Run a file of kept functions as a module of its own, so that all of Python works in it.

    The module stands in ``sys.modules``: dataclasses, type hints, pickling, ``inspect.getsource`` and tracebacks find
    it there. A second call runs the file as it is by then.

    Raises:
        KeptFileError: the file cannot be read or run. ``sys.modules`` then holds what it held before under this name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "my_components.py")
    ...     _ = path.write_text("def twice(x):\\n    return 2 * x\\n", encoding="utf-8")
    ...     module = run_as_module(path)
    ...     module.twice(3), module is sys.modules.pop(module.__name__)
    (6, True)
    """
    place = path.resolve()
    name = _module_name(place)
    spec = importlib.util.spec_from_file_location(name, place, loader=SourceFileLoader(name, str(place)))
    assert spec is not None, "a loader is given"
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        # Not by the loader of the spec: its cache takes an edit within the same second for the old file.
        code = compile(place.read_bytes(), str(place), "exec", dont_inherit=True)
        linecache.checkcache(str(place))
        exec(code, vars(module))
    except BaseException as error:
        _put_back(name, before)
        if isinstance(error, Exception | SystemExit):
            raise KeptFileError(_complaint(path, place, error)) from error
        raise
    _module_names[place] = name
    return module


def _module_name(place: Path) -> str:
    """The name under which a file is or will be loaded: one that no other file's module has."""
    if place in _module_names:
        return _module_names[place]
    name, number = MODULE, 1
    while name in sys.modules and not _is_of_file(sys.modules[name], place):
        number += 1
        name = f"{MODULE}_{number}"
    return name


def _is_of_file(module: ModuleType, place: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve() == place


def _put_back(name: str, module: ModuleType | None) -> None:
    if module is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = module


def _complaint(path: Path, place: Path, error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename == str(place):
        return f"{path} cannot be read ({error.strerror}): make it readable or delete it"
    line = _line_of(place, error)
    where = f"line {line} of {path}" if line else str(path)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{where} gave {message}, so none of its functions are in use: mend that line or delete the file"


def _line_of(place: Path, error: BaseException) -> int | None:
    """The last line of the file that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename == str(place):
        return error.lineno
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(place):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return lines[-1] if lines else None


def keep(name: str, function: Callable) -> list[str]:
    """Save the cell that defines ``function`` to ``my_components.py`` (see :func:`kept_file`).

    Returns:
        Lines for the student: the file it was saved to, and names that it uses from other cells, which are not saved.

    A function without source, typed into no cell and no file, cannot be kept:

    >>> keep("log_mean_exp", len)
    ["log_mean_exp is not kept: its source can't be found"]
    """
    function = inspect.unwrap(function)
    try:
        code = _definitions(_cell_of(function))
    except (AttributeError, OSError, SyntaxError, TypeError):
        return [f"{name} is not kept: its source can't be found"]
    file = kept_file()
    imports, unknown = _names_from_elsewhere(code, function.__globals__)
    is_lazy = bool(function.__code__.co_flags & annotations.compiler_flag)
    try:
        _write_section(file, name, "\n".join([*imports, "", code]), is_lazy)
        comes_along = _defined_in(file)
    except OSError as error:
        return [f"{name} is not kept: {file} can't be written ({error.strerror})"]
    except SyntaxError:  # the file is the student's, who may have edited it
        return [f"{name} is kept in {file}, but Python can no longer read this file: mend it or delete it"]
    return [f"{name} is kept in {file}", *_warnings(unknown - comes_along)]


def _cell_of(function: Callable) -> str:
    """The whole notebook cell that defines a function, or the function's own lines if it comes from a file."""
    file = function.__code__.co_filename
    is_cell = file in linecache.cache and not Path(file).exists()
    return "".join(linecache.getlines(file)) if is_cell else textwrap.dedent(inspect.getsource(function))


def _definitions(cell: str) -> str:
    """The cell without docstring, calls and prints, and without imports from ``__future__``, which open a file."""
    lines = cell.splitlines()
    for node in ast.parse(cell).body:
        is_of_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if isinstance(node, ast.Expr) or is_of_future:
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [""] * (end - node.lineno + 1)
    code = "\n".join(lines).strip() + "\n"
    ast.parse(code)
    return code


def _names_from_elsewhere(code: str, namespace: Mapping[str, Any]) -> tuple[list[str], set[str]]:
    """Imports for names that the cell uses without defining them, and names that no import can stand in for."""
    used, bound = _names(ast.parse(code))
    outside = sorted(used - bound - set(dir(builtins)))
    imports = {name: _import_of(name, namespace.get(name)) for name in outside}
    unknown = {name for name, line in imports.items() if not line}
    return [line for line in imports.values() if line], unknown


def _names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names that are read anywhere in a piece of code, and names that are bound anywhere in it."""
    used: set[str] = set()
    bound: set[str] = set()
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
    """The line of source that imports ``value`` under ``name``; nothing if a notebook or a kept file defined it."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__} as {name}" if value.__name__ != name else f"import {name}"
    home = getattr(value, "__module__", None)
    if home in (None, "__main__", *_module_names.values()):
        return ""
    inner_name = getattr(value, "__qualname__", "")
    if getattr(sys.modules.get(home), inner_name, None) is not value:
        return ""
    return f"from {home} import {inner_name}" + ("" if inner_name == name else f" as {name}")


def _warnings(names: set[str]) -> list[str]:
    if not names:
        return []
    taken = ", ".join(sorted(names))
    return [f"careful: it uses {taken} from another cell, but only this cell is kept for later units"]


def _defined_in(file: Path) -> set[str]:
    """The names that a file defines: its sections share one namespace when it is loaded."""
    text = file.read_text(encoding="utf-8")
    compile(text, str(file), "exec", dont_inherit=True)  # finds more errors than parsing does
    tree = ast.parse(text)
    definitions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return {*definitions, *(target.id for target in assigned if isinstance(target, ast.Name))}


def _write_section(file: Path, name: str, section: str, is_lazy: bool = False) -> None:
    """Write the section of one component in place of its earlier one; a reader never sees half a file.

    Args:
        is_lazy: whether the section needs annotations that are not evaluated. The whole file then has them.
    """
    before = file.read_text(encoding="utf-8") if file.exists() else OPENING
    opening, *parts = re.split(r"^# component: (\w+)\n", before, flags=re.MULTILINE)
    if is_lazy and LAZY_ANNOTATIONS not in opening:
        opening = f"{opening.rstrip()}\n\n{LAZY_ANNOTATIONS}"
    sections = dict(zip(parts[::2], parts[1::2], strict=True)) | {name: f"{section.strip()}\n\n"}
    text = opening.rstrip() + "\n\n" + "".join(f"# component: {key}\n{body}" for key, body in sections.items())
    file.parent.mkdir(exist_ok=True)
    write_atomically(file, text)
