"""docker or podman, whichever works here, and the image in which students' code runs.

The image's name follows from the packages of this environment that students may use, and their versions: one that was
built for others is not taken by mistake.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from autograder.sandbox.bubblewrap import SandboxUnavailable

__all__ = ["build_image", "container_runtime", "image_name", "require_image"]

_RUNTIMES = ("docker", "podman")
_SECONDS_TO_ANSWER = 60
_RECIPE = Path(__file__).with_name("Containerfile")
_BESIDE = ("ipython",)  # in which the cells of a notebook run
_INSTALL = "install Docker (docs.docker.com/get-docker) or podman (podman.io) and start it"


@functools.cache
def container_runtime() -> str:
    """The path of the first program that can run containers here.

    Raises:
        SandboxUnavailable: none can; the message says what each of them answered.
    """
    refusals = []
    for name in _RUNTIMES:
        if not (program := shutil.which(name)):
            refusals.append(f"{name} is not installed")
        elif complaint := _complaint([program, "info"]):
            refusals.append(f"{name} does not work ({complaint})")
        else:
            return program
    raise SandboxUnavailable(f"no containers here: {', '.join(refusals)}; {_INSTALL}")


@functools.cache
def image_name() -> str:
    """The image for this environment."""
    recipe = _RECIPE.read_text(encoding="utf-8") + " ".join([_python(), *_packages()])
    return f"course-sandbox:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


@functools.cache
def require_image() -> None:
    """Find out whether the image is there.

    Raises:
        SandboxUnavailable: it is not, or there is nothing to run it.
    """
    runtime = container_runtime()
    if _complaint([runtime, "image", "inspect", image_name()]):
        raise SandboxUnavailable(
            f"{Path(runtime).name} has no image {image_name()}: build it once with course sandbox-image "
            "(it downloads PyTorch and takes some minutes)"
        )


def build_image() -> str:
    """Build the image, showing what the runtime prints; returns its name.

    Raises:
        SandboxUnavailable: there is nothing to build it with, or building failed.
    """
    facts = {"PYTHON": _python(), "PACKAGES": " ".join(_packages())}
    arguments = [part for name, value in facts.items() for part in ("--build-arg", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as empty:
        command = [container_runtime(), "build", "--tag", image_name(), "--file", str(_RECIPE), *arguments, empty]
        if subprocess.run(command, check=False).returncode != 0:
            raise SandboxUnavailable("the image could not be built; what went wrong stands above")
    require_image.cache_clear()
    return image_name()


def _complaint(command: Sequence[str]) -> str:
    """What a command says when it fails; nothing if it does not."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS_TO_ANSWER, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {_SECONDS_TO_ANSWER} s"
    if done.returncode == 0:
        return ""
    said = done.stderr.decode("utf-8", "replace").split()
    return " ".join(said)[-200:] or f"status {done.returncode}"


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _packages() -> list[str]:
    """What the library needs, as it is installed here, and IPython."""
    wanted = [need for need in requires("avae") or () if "extra ==" not in need]
    names = [*(re.split(r"[^\w.-]", need)[0] for need in wanted), *_BESIDE]
    return [f"{name}=={version(name).partition('+')[0]}" for name in names if _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
