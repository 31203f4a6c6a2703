"""Computes a digest of the source that judges a component; it changes with the component's check, not with others.

A file contains several checks. So the digest covers single statements: the one that makes the component's check, those
that define the names in it, and so on through all files of checks. Nothing is imported.
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
    """The digest of all code that judges submissions, except the checks, which have digests of their own."""
    start = GRADER / "judging" / "grade_submission.py"
    files = {*_imported_files(start), *(GRADER / "sandbox").rglob("*.py"), *_BEHIND_ALL_CHECKS}
    return digest_of_files(GRADER, files)


@cache
def digest_of_check(component: str) -> str:
    """The digest of one component's cases and of the known mistakes that its diagnoses compare with.

    If no statement makes a check of that name, the digest of all checks.
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
    """The digest of a statement and of everything that it uses."""
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
    """The statements of a file, or of files that it imports from, that define the names."""
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
    """The names that a statement defines; for a statement of another type, all names in it."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement]
    return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}


def _imported_files(start: Path) -> set[Path]:
    """The grader's files, except checks, that a file imports directly or indirectly."""
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
    """The file of a module; None if it is not a module of the grader."""
    top, *parts = module.split(".")
    place = GRADER.joinpath(*parts)
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in files if top == GRADER.name and path.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())
