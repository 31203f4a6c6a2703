"""What cells are watched for changing: names that both the program in the sandbox and the judge know.

This file is mounted into the sandbox. What is reported from there is shown to people only where it is one of these.
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
"""Modules and classes by the names they are given in a report, and where :func:`pkgutil.resolve_name` finds them."""


def is_known(name: object) -> bool:
    """Whether a reported name is a setting, or a function of a holder.

    Not by :func:`getattr`: torch imports parts of itself when it is asked for them, and the name is a stranger's.
    """
    if not isinstance(name, str) or len(name) > 100:
        return False
    holder, _, function = name.rpartition(".")
    return name in SETTINGS or (
        holder in HOLDERS and callable(vars(pkgutil.resolve_name(HOLDERS[holder])).get(function))
    )
