"""Lists what a sandbox can see of the machine: the system and this Python, but nothing of the course.

The sandbox contains only what is listed here, and the student edition. If a listed folder contains something that must
stay hidden (the grader installed in ``site-packages``, a course folder below ``/usr``), an empty folder covers it.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import site
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mount", "installed_traces", "places_to_cover", "python_mounts", "system_mounts", "user_site_packages"]

COURSE = Path(__file__).resolve().parents[2]
"""The folder that holds the grader: a course folder, or the ``site-packages`` it is installed in."""

_PACKAGES = ("autograder", "avae_lib")
_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
# The loader's search path, Debian's choice among BLAS libraries, the time zone: no names of users or machines.
_SYSTEM_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime")


@dataclass(frozen=True)
class Mount:
    """A file or folder of the machine, and where it appears, read-only, in the sandbox."""

    source: Path
    destination: Path

    @classmethod
    def in_place(cls, path: str | Path) -> Mount:
        return cls(Path(path), Path(path))

    def places_of(self, real_path: Path) -> tuple[Path, ...]:
        """Where this mount shows a path that contains no links: in one place or in none."""
        source = self.source.resolve()
        return (self.destination / real_path.relative_to(source),) if real_path.is_relative_to(source) else ()


def system_mounts() -> tuple[Mount, ...]:
    """The system's folders and the few settings that programs need to start."""
    return tuple(Mount.in_place(name) for name in (*_SYSTEM_FOLDERS, *_SYSTEM_SETTINGS) if os.path.exists(name))


@functools.cache
def python_mounts() -> tuple[Mount, ...]:
    """Interpreter, standard library and installed packages of the Python that runs this, wherever they are.

    A virtual environment depends on the Python it was made from, perhaps through several links. The programs and
    libraries of each are mounted, never a whole prefix, which may be somebody's home folder.
    """
    parts = [prefix / part for prefix in _prefixes() for part in ("bin", "lib", "lib64", "pyvenv.cfg")]
    wanted = dict.fromkeys([*parts, *user_site_packages()])
    return tuple(Mount.in_place(path) for path in wanted if path.exists() and not _is_system(path))


def user_site_packages() -> tuple[Path, ...]:
    """The user's own ``site-packages``, if this Python reads it."""
    folder = Path(site.getusersitepackages())
    return (folder,) if site.ENABLE_USER_SITE and folder.is_dir() else ()


def places_to_cover(mounts: Iterable[Mount], hidden: Iterable[Path]) -> dict[Path, Path]:
    """The places in the sandbox where mounts would show something hidden, each with the path that it shows.

    Args:
        hidden: files and folders to hide, in addition to the course and every trace of its packages.
    """
    course = () if COURSE.name.endswith("-packages") else (COURSE,)
    unwanted = {path.resolve() for path in (*course, *hidden, *installed_traces()) if path.exists()}
    return {place: path for mount in mounts for path in sorted(unwanted) for place in mount.places_of(path)}


@functools.cache
def installed_traces() -> tuple[Path, ...]:
    """The course's packages among the installed packages, and the files there that mention them."""
    return tuple(dict.fromkeys(trace for folder in _package_folders() for trace in _traces_in(folder)))


def _prefixes() -> list[Path]:
    links = list(_links(Path(sys.executable)))
    named = [Path(sys.prefix), Path(sys.base_prefix), *(link.parent.parent for link in links)]
    return list(dict.fromkeys([*named, *(prefix.resolve() for prefix in named)]))


def _links(path: Path) -> Iterator[Path]:
    """The path, the target of the link it is, the target of that, and so on."""
    yield path
    while path.is_symlink():
        path = Path(os.path.normpath(path.parent / path.readlink()))
        yield path


def _is_system(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _SYSTEM_FOLDERS)


def _package_folders() -> Iterator[Path]:
    """Folders of installed packages: this Python's and its origin's, the user's, any other Python's below ``/usr``."""
    yield from user_site_packages()
    for prefix in (*_prefixes(), Path("/usr"), Path("/usr/local")):
        yield from prefix.glob("lib*/python3*/*-packages")


def _traces_in(folder: Path) -> Iterator[Path]:
    for package in _PACKAGES:
        yield folder / package
        yield from (folder / f"{package}{suffix}" for suffix in importlib.machinery.all_suffixes())
    for pattern in ("*.pth", "*.egg-link", "__editable__*", "__pycache__/__editable__*"):
        yield from (path for path in folder.glob(pattern) if _names_course(path))
    for record in folder.glob("*.dist-info/RECORD"):
        if _names_course(record) or _names_course(record.with_name("direct_url.json")):
            yield record.parent


def _names_course(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False
    needles = (str(COURSE), *(f"\n{package}/" for package in _PACKAGES), "__editable___avae")
    return any(needle.encode() in content for needle in needles)
