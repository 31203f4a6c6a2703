"""Computes the fingerprint of everything that a component's audit depends on; the same fingerprint, the same outcome.

Any change of the library, the judge or the cases changes the fingerprints of all components. Only mistakes and
variants, which are edited most, count for their own component alone.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

__all__ = ["fingerprint", "sources"]

_ROOT = Path(__file__).parents[2]  # the folder of both packages
_SHARED = (
    "avae_lib/**/*.py",
    "autograder/__init__.py",
    "autograder/audit/*.py",
    "autograder/checks/*.py",
    "autograder/checks/*/__init__.py",
    "autograder/checks/mistakes/precision.py",
    "autograder/authoring/__init__.py",
    "autograder/authoring/public_cases.py",
)

_GUARDS = ("mistakes", "variants")
_COMPUTES = ("numpy", "scipy", "torch")  # the packages whose numbers are judged


def fingerprint(component: str, root: Path = _ROOT) -> str:
    """The fingerprint of one component's audit, computed from the files on disk."""
    digest = hashlib.sha256(repr(_machinery()).encode())
    for path in sources(component, root):
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def sources(component: str, root: Path = _ROOT) -> Iterator[Path]:
    """The files that the audit of one component can depend on, in a fixed order.

    Args:
        root: the folder that holds ``autograder`` and ``avae_lib``.
    """
    for pattern in _SHARED:
        yield from sorted(root.glob(pattern))
    for guards in _GUARDS:
        yield root / "autograder" / "checks" / guards / f"{component}.py"


def _machinery() -> tuple[str, ...]:
    packages = (f"{name} {version(name)}" for name in _COMPUTES)
    return (platform.python_version(), platform.machine(), *packages)
