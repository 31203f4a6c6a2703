"""Models of other packages: how their modules are named, and which classes a stored configuration may therefore use.

A *plugin* is a module outside this library with a tuple ``PRESETS``. It is named in one of three ways:

* by an entry point of the group ``avae.presets`` in the ``pyproject.toml`` of an installed package,
* by the environment variable ``AVAE_PLUGINS``, a comma-separated list of modules,
* by ``avae --import MODULE …``, which adds the module to that variable for one command.

Nothing is imported until a preset or a run folder needs it.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from avae_lib.errors import InvalidInput, UserError

__all__ = [
    "GROUP",
    "VARIABLE",
    "Plugin",
    "PluginError",
    "add_plugin",
    "class_of_plugin",
    "import_plugin",
    "named_plugins",
    "register_class",
    "typed_imports",
]

GROUP = "avae.presets"
"""Group of the entry points that name plugins."""
VARIABLE = "AVAE_PLUGINS"
"""Environment variable with the modules of plugins, separated by commas."""
_REGISTERED: dict[str, type] = {}
_IMPORTED: list[str] = []  # modules that add_plugin added


class PluginError(UserError, ValueError):
    """A plugin that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True)
class Plugin:
    """The module of a plugin, and where it was named.

    >>> str(Plugin("my_models.presets", "AVAE_PLUGINS"))
    'plugin my_models.presets (AVAE_PLUGINS)'
    """

    module: str
    """Dotted name of the module with ``PRESETS``."""
    named_by: str
    """The distribution whose entry point names the module, or ``AVAE_PLUGINS``."""

    def __str__(self) -> str:
        return f"plugin {self.module} ({self.named_by})"

    @property
    def package(self) -> str:
        """The top-level package of the module, all of whose configurations may be stored and read."""
        return self.module.partition(".")[0]


def named_plugins() -> tuple[Plugin, ...]:
    """All plugins, none of them imported: first those of entry points in alphabetical order, then ``AVAE_PLUGINS``.

    >>> import os
    >>> os.environ["AVAE_PLUGINS"] = "my_models, more_models.presets"
    >>> [plugin.module for plugin in named_plugins() if plugin.named_by == "AVAE_PLUGINS"]
    ['my_models', 'more_models.presets']
    >>> del os.environ["AVAE_PLUGINS"]
    """
    installed = sorted((Plugin(point.value, _distribution(point)) for point in entry_points(group=GROUP)), key=str)
    listed = [Plugin(name.strip(), VARIABLE) for name in os.environ.get(VARIABLE, "").split(",") if name.strip()]
    first_of_each_module = {plugin.module: plugin for plugin in reversed([*installed, *listed])}
    return tuple(reversed(first_of_each_module.values()))


def add_plugin(module: str) -> None:
    """Add a module to ``AVAE_PLUGINS``, for this process and for those that it starts.

    Raises:
        InvalidInput: the module cannot be imported; the message says why.

    >>> add_plugin("no_such_models")
    Traceback (most recent call last):
    avae_lib.errors.InvalidInput: --import must name a module: plugin no_such_models (--import) cannot be imported: ...
    """
    if not module:
        raise InvalidInput("--import must name a module, for example: avae --import my_models presets")
    try:
        import_plugin(Plugin(module, "--import"))
    except PluginError as problem:
        raise InvalidInput(f"--import must name a module: {problem}") from problem
    _IMPORTED.append(module)
    os.environ[VARIABLE] = ",".join([*filter(None, [os.environ.get(VARIABLE)]), module])


def typed_imports() -> str:
    """The options --import of this command, which the next one needs again: " --import MODULE", or nothing.

    >>> f"avae{typed_imports()} sample runs/digits-vae"
    'avae sample runs/digits-vae'
    """
    listed = os.environ.get(VARIABLE, "").split(",")
    return "".join(f" --import {module}" for module in dict.fromkeys(_IMPORTED) if module in listed)


def import_plugin(plugin: Plugin) -> ModuleType:
    """Import the module of a plugin. One named without an entry point may lie in the current folder.

    Raises:
        PluginError: it cannot be imported, for whatever reason; the message is one line.

    >>> import_plugin(Plugin("json", "AVAE_PLUGINS")).__name__
    'json'
    """
    if not all(part.isidentifier() for part in plugin.module.split(".")):
        raise PluginError(f"{plugin} must be the dotted name of a module, such as my_models.presets")
    _look_in_current_folder_for(plugin)
    try:
        return importlib.import_module(plugin.module)
    except (Exception, SystemExit) as problem:  # code of others may raise anything
        raise PluginError(f"{plugin} cannot be imported: {_in_one_line(problem)}{_where(plugin, problem)}") from problem


def register_class(kind: type) -> None:
    """Let stored configurations use a class, such as one of a notebook, for as long as this process lives.

    >>> class MyConfig: ...
    >>> register_class(MyConfig)
    >>> class_of_plugin(f"{MyConfig.__module__}.MyConfig") is MyConfig
    True
    """
    _REGISTERED[f"{kind.__module__}.{kind.__qualname__}"] = kind


def class_of_plugin(dotted: str) -> type:
    """The class of this name, if it is registered or defined in the package of a plugin.

    Args:
        dotted: module and name, for example ``my_models.flow.FlowConfig``.

    Raises:
        PluginError: its package is no plugin, or has no such class; the message says what to do.

    >>> class_of_plugin("os.system")
    Traceback (most recent call last):
    avae_lib.plugins.PluginError: os.system belongs to the package os, which is not registered as a plugin...
    """
    if dotted in _REGISTERED:
        return _REGISTERED[dotted]
    module, _, name = dotted.rpartition(".")
    package = dotted.partition(".")[0]
    plugin = next((plugin for plugin in named_plugins() if plugin.package == package), None)
    if plugin is None:
        raise PluginError(_how_to_register(dotted, package))
    found = getattr(import_plugin(Plugin(module, plugin.named_by)), name, None)
    # What the package has merely imported is not its own.
    if not isinstance(found, type) or found.__module__.partition(".")[0] != package:
        raise PluginError(f"{plugin} defines no class {dotted}: install the version that the run was trained with")
    return found


def _distribution(point: Any) -> str:
    """Of an entry point, which is of another class where the package importlib_metadata is imported, too."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"entry point {point.name}"


def _look_in_current_folder_for(plugin: Plugin) -> None:
    # The program avae, unlike python -m avae_lib, does not look there by itself.
    if plugin.named_by in (VARIABLE, "--import") and not _is_installed(plugin.package):
        sys.path.append(os.getcwd())
        importlib.invalidate_caches()


def _where(plugin: Plugin, problem: BaseException) -> str:
    """What to do if the module of a plugin is in none of the folders in which Python looks."""
    if not isinstance(problem, ModuleNotFoundError) or problem.name != plugin.package:
        return ""
    return (
        f": Python looks for it in the installed packages, in the current folder {os.getcwd()} and in the folders that "
        "PYTHONPATH names; change to the folder of the module, or put that folder into PYTHONPATH"
    )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # __main__ has no spec
        return False


def _how_to_register(dotted: str, package: str) -> str:
    if package == "__main__":
        return (
            f"{dotted} is defined in a script or notebook, where no other program finds it: move it into a module that "
            "AVAE_PLUGINS names, or call avae_lib.register(preset) in this process; in others, load_run(…, config=…) "
            "opens the run"
        )
    found = "is not registered as a plugin" if _is_installed(package) else "is neither registered as a plugin nor found"
    install = "" if _is_installed(package) else "Install it or change to its folder, then register it: "
    return (
        f"{dotted} belongs to the package {package}, which {found}. {install}`avae --import {package} …`, "
        f"AVAE_PLUGINS={package}, or an entry point of the group {GROUP}; in Python: load_run(…, config=…)"
    )


def _in_one_line(problem: BaseException) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())
