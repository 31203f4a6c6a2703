"""Tests hold the library to its annotations: an argument or a result of another shape or type raises an error.

The hook must be installed before anything imports the library. It does not reach the processes that tests start, nor
functions of students.
"""

import contextlib
from typing import Any, get_args

import jaxtyping
import pytest
from beartype import BeartypeConf, beartype

_AS_STATIC_CHECKERS_DO = BeartypeConf(is_pep484_tower=True)  # an int is a float


def install() -> None:
    """Check every function and dataclass of the library from its import on, except where a test expects an error."""
    jaxtyping.install_import_hook("avae_lib", "annotation_checks.checked")
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
def switched_off():
    """For code that the checks would change: they cannot be compiled, and they come before the library's own errors."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def _without_checks(raises):
    """A test that expects an error asks for the one that users see, who run without these checks."""

    def raises_without_checks(expected=None, *args, **options):
        if expected is jaxtyping.TypeCheckError:
            return raises(expected, *args, **options)
        return _off_within(raises(expected, *args, **options) if expected else raises(**options))

    @contextlib.contextmanager
    def _off_within(context):
        with context as caught, switched_off():
            yield caught

    return raises_without_checks


def _is_uncheckable(hint) -> bool:
    """A protocol that isinstance cannot see: submodules of a module are no attributes to it, from Python 3.12 on."""
    return any(
        getattr(part, "_is_protocol", False) and not getattr(part, "_is_runtime_protocol", False)
        for part in (hint, *get_args(hint))
    )
