"""Finds docker or podman, and builds the image in which students' code runs.

The image's name is computed from the packages that students may use and their versions in this environment. So an image
that was built for other versions is never used by mistake.
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
_BESIDE = ("ipython",)  # runs the cells of a notebook
_INSTALL = "install Docker (docs.docker.com/get-docker) or podman (podman.io) and start it"


@functools.cache
def container_runtime() -> str:
    """The path of the first program that can run containers here.

    Raises:
        SandboxUnavailable: none can; the message gives the reason for each.
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
    """The name of the image for this environment."""
    recipe = _RECIPE.read_text(encoding="utf-8") + " ".join([_python(), *_packages()])
    return f"course-sandbox:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


@functools.cache
def require_image() -> None:
    """Check that the image has been built.

    Raises:
        SandboxUnavailable: it has not, or neither docker nor podman works.
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
        SandboxUnavailable: neither docker nor podman works, or the build failed.
    """
    facts = {"PYTHON": _python(), "PACKAGES": " ".join(_packages())}
    arguments = [part for name, value in facts.items() for part in ("--build-arg", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as empty:
        command = [container_runtime(), "build", "--tag", image_name(), "--file", str(_RECIPE), *arguments, empty]
        if subprocess.run(command, check=False).returncode != 0:
            raise SandboxUnavailable(
                "the image could not be built: mend what the output above complains of, then try again"
            )
    require_image.cache_clear()
    return image_name()


def _complaint(command: Sequence[str]) -> str:
    """The error output of a command that fails; empty if it succeeds."""
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
    """The library's requirements at the versions installed here, and IPython."""
    wanted = [need for need in requires("avae") or () if "extra ==" not in need]
    names = [*(re.split(r"[^\w.-]", need)[0] for need in wanted), *_BESIDE]
    return [f"{name}=={version(name).partition('+')[0]}" for name in names if _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
