"""What a component is judged by, as a digest of source text: it changes when its check does, not when another's does.

Checks lie several to a file. So what counts is read from the source statement by statement: the one that makes the
component's check, those that define the names in it, and so on through all files of checks. Nothing is imported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from autograder.course.grader_version import GRADER, digest, digest_of_files

__all__ = ["digest_of_check", "digest_of_judging"]

_CHECKS = GRADER / "checks"
_BEHIND_ALL_CHECKS = {_CHECKS / "case.py", _CHECKS / "judge_component.py"}
_WITHOUT_A_SAY = "variants"  # right solutions, which guard the check


@cache
def digest_of_judging() -> str:
    """Of all that has a say in grading but the checks themselves, which are told apart by component."""
    start = GRADER / "judging" / "grade_submission.py"
    files = {*_imported_files(start), *(GRADER / "sandbox").rglob("*.py"), *_BEHIND_ALL_CHECKS}
    return digest_of_files(GRADER, files)


@cache
def digest_of_check(component: str) -> str:
    """Of the cases of one component, and of the mistakes that its diagnoses are recognised by.

    Where no statement makes a check of that name, it is that of all checks.
    """
    for path in sorted(_CHECKS.glob("*.py")):
        for statement in _tree(path).body:
            if _makes_check(statement, component):
                return _digest_from(path, statement)
    return digest_of_files(GRADER, _CHECKS.rglob("*.py"))


def _makes_check(statement: ast.stmt, component: str) -> bool:
    call = statement.value if isinstance(statement, ast.Assign) else None
    return (
        isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "ComponentCheck"
        and any(isinstance(argument, ast.Constant) and argument.value == component for argument in call.args[:1])
    )


def _digest_from(path: Path, statement: ast.stmt) -> str:
    """Of a statement and everything that it stands on."""
    seen: dict[tuple[Path, str], None] = {}
    waiting = [(path, statement)]
    while waiting:
        path, statement = waiting.pop()
        if (key := (path, ast.dump(statement))) not in seen:
            seen[key] = None
            waiting += _definitions_of(_names_in(statement), path)
    return digest(*(part for path, text in sorted(seen) for part in (path.relative_to(GRADER).as_posix(), text)))


def _names_in(statement: ast.stmt) -> set[str]:
    unused = {
        node
        for call in ast.walk(statement)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == _WITHOUT_A_SAY
        for node in ast.walk(keyword)
    }
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and node not in unused}


def _definitions_of(names: set[str], path: Path) -> Iterator[tuple[Path, ast.stmt]]:
    """The statements of a file, or of those it imports from, that have to do with the names."""
    for statement in _tree(path).body:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) in names:
                    yield from _behind_import(statement.module or "", alias.name)
        elif names & _bound_by(statement):
            yield path, statement


def _behind_import(module: str, name: str) -> Iterator[tuple[Path, ast.stmt]]:
    if (whole := _file_of(f"{module}.{name}")) is not None:
        yield from ((whole, statement) for statement in _tree(whole).body)
    elif (path := _file_of(module)) is not None and path not in _BEHIND_ALL_CHECKS:
        yield from _definitions_of({name}, path)


def _bound_by(statement: ast.stmt) -> set[str]:
    """The names a statement gives a meaning to; of what is neither definition nor import, all that occur in it."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _imported_files(start: Path) -> set[Path]:
    """The grader's files that one file imports, directly or through others, but for checks."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        if (path := waiting.pop()) not in found and not path.is_relative_to(_CHECKS):
            found.add(path)
            waiting += filter(None, map(_file_of, _modules_imported_by(_tree(path))))
    return found


def _modules_imported_by(tree: ast.Module) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _file_of(module: str) -> Path | None:
    """The grader's file that holds a module; None if it is no module of the grader."""
    top, *parts = module.split(".")
    place = GRADER.joinpath(*parts)
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in files if top == GRADER.name and path.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())
