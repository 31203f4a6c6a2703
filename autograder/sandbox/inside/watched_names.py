"""Lists the settings and functions that cells are watched for changing, for the sandbox and the judge.

This file is mounted into the sandbox. Only names in these lists are shown to people.
"""

from __future__ import annotations

import pkgutil

__all__ = ["HOLDERS", "SETTINGS", "is_known"]

SETTINGS = (
    "AST transformers",
    "input transformers",
    "sys.displayhook",
    "sys.stdout",
    "sys.settrace",
    "sys.modules",
    "recursion limit",
    "torch's default dtype",
    "torch's gradient mode",
    "torch's deterministic mode",
    "torch's function modes",
    "NumPy's handling of errors",
    "warning filters",
    "signal handlers",
    "ways of observing",
    "threads left running",
)
HOLDERS = {
    "builtins": "builtins",
    "torch": "torch",
    "torch.Tensor": "torch:Tensor",
    "torch.nn.functional": "torch.nn.functional",
    "torch.nn.Module": "torch.nn:Module",
    "torch.autograd": "torch.autograd",
    "torch.distributions.Normal": "torch.distributions:Normal",
    "numpy": "numpy",
    "json": "json",
    "functools": "functools",
    "components": "avae_lib.components",
    "harnesses": "avae_lib.checking.harnesses",
    "records": "avae_lib.checking.records",
    "Recorded": "avae_lib.checking.records:Recorded",
    "Observation": "avae_lib.checking.records:Observation",
}
"""The watched modules and classes: name in a report → name for :func:`pkgutil.resolve_name`."""


def is_known(name: object) -> bool:
    """Whether a reported name is a watched setting, or a function of a watched module or class.

    It is looked up without :func:`getattr`, because torch imports parts of itself on access, and a student's code may
    have chosen the name.
    """
    if not isinstance(name, str) or len(name) > 100:
        return False
    holder, _, function = name.rpartition(".")
    return name in SETTINGS or (
        holder in HOLDERS and callable(vars(pkgutil.resolve_name(HOLDERS[holder])).get(function))
    )
