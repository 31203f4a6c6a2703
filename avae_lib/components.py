"""Components: the functions that students write, and the seam through which the library calls them.

A component is marked once, at its definition in the library::

    @component(unit="03_vae")
    def reparameterize(mean, log_std, noise): ...

Everything else follows from that mark. Callers inside the library go through the mark, so that
``@implements("reparameterize")`` above a student's function, or ``using("reparameterize", function)``
around a block, replaces it everywhere at once.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avae_lib.errors import UserError

__all__ = [
    "Component",
    "ComponentError",
    "component",
    "find",
    "implementation",
    "implements",
    "is_available",
    "listing",
    "load",
    "report",
    "restore",
    "using",
]

_PACKAGE = Path(__file__).parent


class ComponentError(UserError, ValueError):
    """A component that does not exist, or a function that cannot stand in for one."""


class Component:
    """One marked function: its reference body, and whatever implementation is in use now.

    ``kept_in`` is the file that :func:`load` took the implementation from, None if it came another way. In a student
    edition the reference of a unit that is still to be written has no body: ``has_reference`` is false, and
    ``is_written`` stays false until a function of the student's is in use.
    """

    def __init__(self, reference: Callable, unit: str) -> None:
        self.name = reference.__name__
        self.unit = unit
        self.reference = reference
        self.has_reference = _is_written(reference)
        self.use(reference)

    def use(self, function: Callable, kept_in: Path | None = None) -> None:
        """Put an implementation to use from now on."""
        self.current, self.kept_in = function, kept_in
        self.is_written = _is_written(function)

    @property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.reference)

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.reference) or ""

    @property
    def place(self) -> tuple[str, int]:
        """Module and line of the definition."""
        return self.reference.__module__, self.reference.__code__.co_firstlineno

    @property
    def is_replaced(self) -> bool:
        return self.current is not self.reference


_registry: dict[str, Component] = {}


def component(*, unit: str) -> Callable[[Callable], Callable]:
    """Mark a library function as one that students write in ``unit`` (for example ``"03_vae"``).

    The returned function calls whichever implementation is in use. The look-up is one attribute of one
    object, which ``torch.compile`` traces through and guards on.
    """

    def mark(reference: Callable) -> Callable:
        entry = _registry[reference.__name__] = Component(reference, unit)

        @functools.wraps(reference)
        def dispatch(*args, **kwargs):
            return entry.current(*args, **kwargs)

        return dispatch

    return mark


def implements(name: str) -> Callable[[Callable], Callable]:
    """Make the decorated function the implementation of component ``name`` for the whole library.

    Raises:
        ComponentError: no component has that name, or the parameters differ from the component's.
    """

    def replace(function: Callable) -> Callable:
        entry = find(name)
        _require_same_parameters(entry, function)
        entry.use(function)
        return function

    return replace


@contextlib.contextmanager
def using(name: str, function: Callable) -> Iterator[None]:
    """Use ``function`` as component ``name`` inside a ``with`` block, then put back what was there.

    Raises:
        ComponentError: as for :func:`implements`.
    """
    entry = find(name)
    _require_same_parameters(entry, function)
    before = entry.current, entry.kept_in
    entry.use(function)
    try:
        yield
    finally:
        entry.use(*before)


def restore(*names: str) -> None:
    """Put the library's own body back for the named components, or for all of them."""
    for entry in map(find, names) if names else listing():
        entry.use(entry.reference)


def find(name: str) -> Component:
    """The component of that name.

    Raises:
        ComponentError: there is none.
    """
    if name not in _registry:
        _load_marked_modules()
    if name not in _registry:
        raise ComponentError(f"no component is called {name!r}; there are: {', '.join(sorted(_registry))}")
    return _registry[name]


def implementation(name: str) -> Callable:
    """The function now in use for component ``name``: a student's, or the library's own."""
    return find(name).current


def is_available(name: str) -> bool:
    """Whether component ``name`` can be called: a student's function or the library's own body is in use.

    False where the body is still to be written. Code that has to work before that asks here, and does without:

    >>> is_available("reparameterize")
    True

    Raises:
        ComponentError: no component has that name.
    """
    return find(name).is_written


def listing(unit: str | None = None) -> tuple[Component, ...]:
    """All components by unit, then by module and line; or those of one unit."""
    _load_marked_modules()
    entries = sorted(_registry.values(), key=lambda entry: (entry.unit, *entry.place))
    return tuple(entry for entry in entries if unit in (None, entry.unit))


def report(model: Any = None) -> str:
    """A table of components: unit, name, and whose implementation is in use.

    Args:
        model: without one, all components are listed with their signatures. With a model, those that it calls when
            it is trained, evaluated and sampled from, each with the parts of the model that call it; then functions of
            yours that it does not call, and parts that are wired in another way than an exercise. The model and the
            random state are left as they are.
    """
    return _report_of_library() if model is None else _report_of_model(model)


def _report_of_library() -> str:
    signatures = [entry.name + str(_bare(entry.signature)) for entry in listing()]
    width = max(map(len, signatures))
    return "\n".join(
        f"{entry.unit:<20} {signature:<{width}}  {_owner(entry)}"
        for entry, signature in zip(listing(), signatures, strict=True)
    )


def _report_of_model(model: Any) -> str:
    from avae_lib.component_usage import usage  # imports torch, which this file does without

    found = usage(model, listing())
    width = max(map(len, found.callers), default=0)
    called = [
        f"{entry.unit:<20} {entry.name:<{width}}  {_owner(entry):<7}  {', '.join(found.callers[entry.name])}"
        for entry in listing()
        if entry.name in found.callers
    ]
    idle = ", ".join(entry.name for entry in listing() if entry.is_replaced and entry.name not in found.callers)
    unused = [f"yours, but not called by this model: {idle}"] if idle else []
    return "\n".join([*called, *unused, *found.own_wirings, *found.stopped])


def _owner(entry: Component) -> str:
    return "yours" if entry.is_replaced else "library"


def load(path: str | Path = "my_components.py") -> tuple[str, ...]:
    """Bring back the components saved in an earlier unit; returns the names that were found.

    A file that does not exist holds none. The file is the student's own Python and is run as such.
    """
    path = Path(path)
    if not path.exists():
        return ()
    before = {entry.name: entry.current for entry in listing()}
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    try:
        exec(code, {"__name__": path.stem})
    finally:  # also of what came before an error
        found = [entry for entry in listing() if entry.current is not before[entry.name]]
        for entry in found:
            entry.kept_in = path
    return tuple(entry.name for entry in found)


@dataclass(frozen=True)
class Mark:
    """A component mark found in source text, without importing it."""

    name: str
    unit: str
    definition: ast.FunctionDef | ast.ClassDef


def marks_in(source: str) -> tuple[Mark, ...]:
    """The component marks in a piece of library source, in the order of definition."""
    found = []
    for node in ast.parse(source).body if "component(" in source else ():  # parsing takes time
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "component":
                (unit,) = (keyword.value.value for keyword in decorator.keywords if keyword.arg == "unit")
                found.append(Mark(node.name, unit, node))
    return tuple(found)


@functools.cache
def _load_marked_modules() -> None:
    for path in sorted(_PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "\n@component(" in source and marks_in(source):
            dotted = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
            importlib.import_module(dotted.removesuffix(".__init__"))


def _bare(signature: inspect.Signature) -> inspect.Signature:
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return inspect.Signature(parameters)


def _is_written(function: Callable) -> bool:
    """Whether a function does anything but raise ``NotImplementedError``, as stubs and unsolved exercises do."""
    code = getattr(function, "__code__", None)
    return code is None or code.co_names != ("NotImplementedError",)


def _require_same_parameters(entry: Component, function: Callable) -> None:
    wanted, got = _bare(entry.signature), _bare(inspect.signature(function))
    if str(wanted) != str(got):
        raise ComponentError(
            f"{entry.name} must take the parameters {wanted}, but yours takes {got}: "
            "keep names, order and defaults as they are given in the exercise"
        )
