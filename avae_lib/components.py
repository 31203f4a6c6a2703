"""Components: the functions that students write, and how the library calls a student's function in place of its own.

A component is marked once, where the library defines it::

    @component(unit="03_vae")
    def reparameterize(mean, log_std, noise): ...

The library calls the marked function. ``@implements("reparameterize")`` above a student's function, or
``using("reparameterize", function)`` around a block, therefore replaces it everywhere at once. Exercises, stubs and
checks follow from the same mark.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

from avae_lib.component_marks import marks_in
from avae_lib.errors import UserError
from avae_lib.my_components_file import run_as_module

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
    """A component that does not exist or exists already, or a function that cannot replace one."""


class Component:
    """One marked function: the library's own body, and the implementation in use.

    Attributes:
        reference: the library's own function. In a student edition it has no body until its unit is handed back.
        has_reference: whether the library's own function has a body.
        current: the implementation in use.
        is_written: whether the implementation in use has a body.
        kept_in: the file that :func:`load` took the implementation in use from; None if it came another way.
    """

    def __init__(self, reference: Callable, unit: str, defined_by: CodeType) -> None:
        self.name = reference.__name__
        self._define(reference, unit, defined_by)
        self.use(reference)

    def _define(self, reference: Callable, unit: str, defined_by: CodeType) -> None:
        self.reference = reference
        self.unit = unit
        self.has_reference = _is_written(reference)
        self._defined_by = defined_by

    def redefine(self, reference: Callable, unit: str, defined_by: CodeType) -> None:
        """Take over a definition that has run again, as after a reload; a student's function stays in use.

        Args:
            defined_by: the code of the module or notebook cell that the definition stands in.

        Raises:
            ComponentError: it is a second definition, not the same one again.
        """
        if not self._is_same_definition(reference, defined_by):
            raise ComponentError(
                f"two components are called {self.name!r}, one in {_where(self.reference)}, the other in "
                f"{_where(reference)}: give one of them another name"
            )
        was_replaced = self.is_replaced
        self._define(reference, unit, defined_by)
        if not was_replaced:
            self.use(reference)

    def _is_same_definition(self, reference: Callable, defined_by: CodeType) -> bool:
        own, other = self._code, inspect.unwrap(reference).__code__
        if reference.__module__ != self.reference.__module__ and own.co_filename != other.co_filename:
            return False
        # Within one run of a module, only one line defines the component; after an edit the line may be another.
        return defined_by is not self._defined_by or own.co_firstlineno == other.co_firstlineno

    def use(self, function: Callable, kept_in: Path | None = None) -> None:
        """Make ``function`` the implementation in use."""
        self.current = function
        self.kept_in = kept_in
        self.is_written = _is_written(function)

    @property
    def _code(self) -> CodeType:
        return inspect.unwrap(self.reference).__code__

    @property
    def signature(self) -> inspect.Signature:
        """Parameters of the library's own function."""
        return inspect.signature(self.reference)

    @property
    def doc(self) -> str:
        """Docstring of the library's own function, which is the text of the exercise."""
        return inspect.getdoc(self.reference) or ""

    @property
    def place(self) -> tuple[str, int]:
        """Module and line of the definition."""
        return self.reference.__module__, self._code.co_firstlineno

    @property
    def is_replaced(self) -> bool:
        """Whether another function than the library's own is in use."""
        return self.current is not self.reference


def _where(reference: Callable) -> str:
    code = inspect.unwrap(reference).__code__
    return f"{reference.__module__} ({code.co_filename}, line {code.co_firstlineno})"


_registry: dict[str, Component] = {}


def component(*, unit: str) -> Callable[[Callable], Callable]:
    """Mark a library function as one that students write in ``unit`` (for example ``"03_vae"``).

    The returned function calls the implementation in use. It looks it up as one attribute of one object, which
    ``torch.compile`` traces through and guards on.

    Raises:
        ComponentError: another component has the function's name. Running the same definition again is fine.
    """
    defined_by = sys._getframe(1).f_code  # of the module or cell that is being run, to tell a reload from a clash

    def mark(reference: Callable) -> Callable:
        entry = _registry.get(reference.__name__)
        if entry is None:
            entry = _registry[reference.__name__] = Component(reference, unit, defined_by)
        else:
            entry.redefine(reference, unit, defined_by)

        @functools.wraps(reference)
        def dispatch(*args, **kwargs):
            return entry.current(*args, **kwargs)

        return dispatch

    return mark


def implements(name: str) -> Callable[[Callable], Callable]:
    """Make the decorated function the implementation of component ``name`` for the whole library.

    It silently replaces an earlier one, so that a notebook cell can be run again.

    >>> from avae_lib.logarithms import log_mean_exp
    >>> @implements("log_mean_exp")
    ... def always_seven(x, dim):
    ...     return 7.0
    >>> log_mean_exp(None, 0)
    7.0
    >>> restore("log_mean_exp")

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
    """Use ``function`` as component ``name`` inside a ``with`` block, then put the earlier one back.

    >>> from avae_lib.logarithms import log_mean_exp
    >>> with using("log_mean_exp", lambda x, dim: 7.0):
    ...     log_mean_exp(None, 0)
    7.0

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
    """Use the library's own function again for the named components, or for all of them if none is named.

    >>> implements("log_mean_exp")(lambda x, dim: 7.0) is implementation("log_mean_exp")
    True
    >>> restore("log_mean_exp")
    >>> find("log_mean_exp").is_replaced
    False
    """
    entries = [find(name) for name in names] if names else listing()
    for entry in entries:
        entry.use(entry.reference)


def find(name: str) -> Component:
    """The component of that name.

    >>> find("reparameterize").unit
    '03_vae'

    Raises:
        ComponentError: there is none; the message lists all names.
    """
    if name not in _registry:
        _load_marked_modules()
    if name not in _registry:
        raise ComponentError(f"no component is called {name!r}; there are: {', '.join(sorted(_registry))}")
    return _registry[name]


def implementation(name: str) -> Callable:
    """The function in use for component ``name``: a student's, or the library's own.

    >>> implementation("log_mean_exp").__module__
    'avae_lib.logarithms'
    """
    return find(name).current


def is_available(name: str) -> bool:
    """Whether the function in use for component ``name`` has a body, a student's or the library's own.

    Where it has none yet, the library avoids the component if there is another way:

    >>> is_available("reparameterize")
    True

    Raises:
        ComponentError: no component has that name.
    """
    return find(name).is_written


def listing(unit: str | None = None) -> tuple[Component, ...]:
    """All components, or those of one unit, ordered by unit, module and line.

    >>> [entry.name for entry in listing("00_start_here")]
    ['log_mean_exp']
    """
    _load_marked_modules()
    entries = sorted(_registry.values(), key=lambda entry: (entry.unit, *entry.place))
    return tuple(entry for entry in entries if unit is None or entry.unit == unit)


def report(model: Any = None) -> str:
    """A table of components: unit, name, and whether your function or the library's is in use.

    Without a model, the table lists all components with their parameters.

    With a model, it lists only the components that the model calls in training, evaluation and sampling, each with the
    parts of the model that call it. Below the table it names your functions that the model does not call, and parts of
    the model that compute a component's result without calling it. Model and random state stay as they were.

    >>> report().splitlines()[0].split()
    ['00_start_here', 'log_mean_exp(x,', 'dim)', 'library']
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
    """Use the functions that were saved to a file in earlier units; returns the names of their components.

    The file is run as a module. If it does not exist, there is nothing to load. If it fails half-way, none of its
    functions are used and all components stay as they were.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "my_components.py"
    ...     lines = ["from avae_lib.components import implements", "@implements('log_mean_exp')"]
    ...     _ = file.write_text("\\n".join([*lines, "def log_mean_exp(x, dim): return 7.0"]))
    ...     load(file)
    ('log_mean_exp',)
    >>> restore("log_mean_exp")

    Raises:
        KeptFileError: the file cannot be read or run; the message names the line (:mod:`avae_lib.my_components_file`).
    """
    path = Path(path)
    if not path.exists():
        return ()
    before = {entry.name: entry.current for entry in listing()}
    with _all_or_nothing():
        run_as_module(path)
    found = [entry for entry in listing() if entry.current is not before.get(entry.name)]
    for entry in found:
        entry.kept_in = path
    return tuple(entry.name for entry in found)


@contextlib.contextmanager
def _all_or_nothing() -> Iterator[None]:
    """If the block raises, restore all components and the implementations they had."""
    before = [(entry, entry.current, entry.kept_in) for entry in _registry.values()]
    try:
        yield
    except BaseException:
        _registry.clear()
        for entry, function, kept_in in before:
            _registry[entry.name] = entry
            entry.use(function, kept_in)
        raise


@functools.cache
def _load_marked_modules() -> None:
    """Import every module of the library that defines components, so that the registry is complete."""
    for path in sorted(_PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "\n@component(" in source and marks_in(source):
            dotted = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
            importlib.import_module(dotted.removesuffix(".__init__"))


def _bare(signature: inspect.Signature) -> inspect.Signature:
    """The signature without annotations: names, order and defaults."""
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return inspect.Signature(parameters)


def _is_written(function: Callable) -> bool:
    """Whether a function does anything but raise ``NotImplementedError``, as stubs and unsolved exercises do."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or code.co_names != ("NotImplementedError",)


def _require_same_parameters(entry: Component, function: Callable) -> None:
    wanted, got = _bare(entry.signature), _bare(inspect.signature(function))
    if str(wanted) != str(got):
        raise ComponentError(
            f"{entry.name} must take the parameters {wanted}, but yours takes {got}: "
            "keep names, order and defaults as they are given in the exercise"
        )
