"""Tests hold the library to its annotations: an argument or a result of another shape or type raises an error.

The hook must be installed before anything imports the library. It does not reach the processes that tests start, nor
functions of students.
"""

import ast
import contextlib
import inspect
import sys
from typing import Any, get_args

import jaxtyping
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import _decorator, _import_hook

_AS_STATIC_CHECKERS_DO = BeartypeConf(is_pep484_tower=True)  # an int is a float


class _OuterFunctionsOnly(_import_hook.JaxtypingTransformer):
    """Leaves out functions within functions, which would be wrapped in each call, and those that look at their caller.

    A wrapper costs milliseconds to make; and it would be the caller of the function within.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        is_inner = any(isinstance(parent, ast.FunctionDef) for parent in self._parents)
        looks_at_caller = any(isinstance(part, ast.Attribute) and part.attr == "_getframe" for part in ast.walk(node))
        return node if is_inner or looks_at_caller else super().visit_FunctionDef(node)


def install() -> None:
    """Prepare every function and dataclass of the library for checks, from its import on."""
    _import_hook.JaxtypingTransformer = _OuterFunctionsOnly
    jaxtyping.install_import_hook("avae_lib", "annotation_checks.checked")
    jaxtyping.config.update("jaxtyping_disable", True)
    pytest.raises = _without_checks(pytest.raises)


def checked(function):
    """What the hook puts around a function that has the annotations of one of the library's.

    It does this twice: once with the parameters alone, once with the result added, where they need no second check.
    """
    hints = function.__annotations__
    has_result = hints.get("return", Any) is not Any
    for name, hint in hints.items():
        if _is_uncheckable(hint) or (has_result and name != "return"):
            hints[name] = Any
    return beartype(conf=_AS_STATIC_CHECKERS_DO)(function)


@contextlib.contextmanager
def switched(on: bool):
    """Check calls, or leave them alone, in a block; afterwards it is as it was before."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", not on)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


@contextlib.contextmanager
def taken_off():
    """For code that is compiled: switched off, and all methods are their own ones again."""
    modules = [module for name, module in sys.modules.items() if name.startswith("avae_lib.")]
    classes = {thing for module in modules for thing in vars(module).values() if isinstance(thing, type)}
    # Setting __class__, which some classes define, would change their metaclass.
    methods = [(made, name, method) for made in classes for name, method in vars(made).items() if name != "__class__"]
    checked_methods = [entry for entry in methods if _unchecked(entry[2]) is not None]
    for made, name, method in checked_methods:
        setattr(made, name, _unchecked(method))
    try:
        with switched(on=False):
            yield
    finally:
        for made, name, method in checked_methods:
            setattr(made, name, method)


def _unchecked(method):
    """A method or property of a class as it was before the hook; None for whatever the hook has not changed."""
    if isinstance(method, property):
        getter = _unchecked(method.fget)
        return getter and property(getter)
    is_checked = inspect.isfunction(method) and method.__code__.co_filename == _decorator.__file__
    return method.__wrapped__ if is_checked else None


def _without_checks(raises):
    """A test that expects an error asks for the one that users see, who run without these checks."""

    def raises_without_checks(expected=None, *args, **options):
        if expected is jaxtyping.TypeCheckError:
            return raises(expected, *args, **options)
        return _off_within(raises(expected, *args, **options) if expected else raises(**options))

    @contextlib.contextmanager
    def _off_within(context):
        with context as caught, switched(on=False):
            yield caught

    return raises_without_checks


def _is_uncheckable(hint) -> bool:
    """A protocol that isinstance cannot see: submodules of a module are no attributes to it, from Python 3.12 on."""
    return any(
        getattr(part, "_is_protocol", False) and not getattr(part, "_is_runtime_protocol", False)
        for part in (hint, *get_args(hint))
    )
