"""Prepares a sandbox with rights that the sandbox itself must not have, before its walls are built.

An outer bubblewrap provides a private ``/tmp``, in which two things are prepared:

* Folders in memory that hold a limited number of files. Bubblewrap limits only the bytes of its own, and a million
  empty files take a gigabyte of the kernel's memory.
* If root grades, a place where the source of every mount is bound, because this Python may lie in root's home, which is
  closed to others. Then root becomes user 65534 for good.

An ordinary user can make the folders in a user namespace of their own. If the machine refuses them to
programs that bubblewrap starts, the walls are built without an entrance, and the watchdog counts the files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autograder.sandbox.mounts import Mount

__all__ = ["NOBODY", "NO_ENTRANCE", "Entrance", "can_become_nobody", "entrance"]

NOBODY = 65534
_BYTES_PER_FILE = 4096  # of a folder in memory: it holds a file for each page
_ROOM = Path("/tmp")
# Mounts the folders that come first, with the options that come before them, and becomes the program after "--".
_FURNISH = (
    'mount=$1 options=$2; shift 2; while [ "$1" != -- ]; '
    'do "$mount" -n -t tmpfs -o "$options" none "$1" || exit 125; shift; done; shift; exec "$@"'
)


@dataclass(frozen=True)
class Entrance:
    """The commands to run before the inner bubblewrap, which builds the walls, and the places that they prepare.

    Attributes:
        arguments: the outer bubblewrap's arguments.
        steps: the commands that the outer bubblewrap runs before the inner one.
        doors: where the source of each mount is bound; a mount that is not listed stays where it is.
        folders: the prepared folders in memory: path inside → where each lies.
    """

    arguments: Sequence[str] = ()
    steps: Sequence[str] = ()
    doors: Mapping[Mount, Path] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)


NO_ENTRANCE = Entrance()


def entrance(mounts: Sequence[Mount], folders: Sequence[str], size: int) -> Entrance:
    """Make the entrance to a sandbox with these mounts.

    Args:
        folders: the folders to prepare in memory with a limited number of files.
        size: the size of each folder in bytes.
    """
    doors = {mount: _ROOM / str(number) for number, mount in enumerate(mounts)}
    made = {folder: _ROOM / f"in-memory-{number}" for number, folder in enumerate(folders)}
    bound = [part for mount, door in doors.items() for part in ("--ro-bind", str(mount.source), str(door))]
    empty = [part for place in made.values() for part in ("--dir", str(place))]
    # A process tree dies with its first process. "Die with parent" alone is not enough: the kernel forgets it if a
    # process changes its rights, and the inner bubblewrap does.
    outside = ["--unshare-pid", "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", str(_ROOM)]
    rights = [] if can_become_nobody() else _rights_of_its_own()
    steps = [*_furnishing(list(made.values()), size), *(_stepping_down() if can_become_nobody() else [])]
    return Entrance([*rights, *outside, *bound, *empty], steps, doors, made)


def can_become_nobody() -> bool:
    """Whether this is root and can become user 65534 (in a rootless container root is already somebody else)."""
    return os.geteuid() == 0 and any(
        first <= NOBODY < first + count
        for first, _, count in (map(int, line.split()) for line in Path("/proc/self/uid_map").open())
    )


def _rights_of_its_own() -> list[str]:
    """Arguments for the rights to mount, and to map this namespace's root to the user of the inner namespace."""
    return ["--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SETFCAP"]


def _furnishing(places: Sequence[Path], size: int) -> list[str]:
    if not places:
        return []
    owner = f",uid={NOBODY},gid={NOBODY}" if can_become_nobody() else ""
    options = f"size={size},nr_inodes={size // _BYTES_PER_FILE},mode=0755,nosuid,nodev{owner}"
    mount = shutil.which("mount") or "/bin/mount"
    return ["/bin/sh", "-c", _FURNISH, "sh", mount, options, *map(str, places), "--"]


def _stepping_down() -> list[str]:
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    rights = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--pdeathsig=KILL"]
    return [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights, "--"]
