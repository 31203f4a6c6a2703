"""docker or podman, whichever works, and the image that is built with it."""

import json
import sys
from pathlib import Path

import pytest
import torch

from autograder import cli
from autograder.batch.class_run import ClassRun
from autograder.sandbox import container_image
from autograder.sandbox.bubblewrap import SandboxUnavailable
from autograder.sandbox.sandbox_kinds import require_kind


def test_missing_image_is_said_with_the_command_that_builds_it(fake):
    (fake / "image").unlink()
    with pytest.raises(SandboxUnavailable, match=r"docker has no image .*course sandbox-image"):
        require_kind("container")


def test_image_is_built_once_from_the_packages_of_this_environment(fake, monkeypatch, capfd):
    (fake / "image").unlink()
    assert cli.main(["sandbox-image"]) == 0
    assert container_image.image_name() in capfd.readouterr().out
    (build,) = [call for call in map(json.loads, (fake / "calls").read_text().splitlines()) if call[0] == "build"]
    (packages,) = [part.removeprefix("PACKAGES=") for part in build if part.startswith("PACKAGES=")]
    assert {f"torch=={torch.__version__.partition('+')[0]}"} < set(packages.split())
    assert {"numpy", "ipython", "matplotlib"} < {package.partition("==")[0] for package in packages.split()}
    assert f"PYTHON={sys.version_info.major}.{sys.version_info.minor}" in build
    require_kind("container")


def test_image_of_other_packages_has_another_name(monkeypatch, forget):
    before = container_image.image_name()
    monkeypatch.setattr(container_image, "_packages", lambda: ["torch==0.1"])
    forget()
    assert container_image.image_name() != before


def test_docker_that_does_not_answer_is_passed_over(tmp_path, monkeypatch, forget):
    for name, content in {"docker": "echo cannot connect >&2; exit 1", "podman": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    forget()
    assert Path(container_image.container_runtime()).name == "podman"
    (tmp_path / "podman").unlink()
    forget()
    with pytest.raises(SandboxUnavailable, match=r"docker does not work \(cannot connect\), podman is not installed"):
        require_kind("container")


def test_container_is_used_where_it_is_asked_for(fake, course, monkeypatch):
    seen = []
    monkeypatch.chdir(course.root)
    monkeypatch.setattr(ClassRun, "grade", lambda self: seen.append(self.sandbox))
    assert cli.main(["grade", "03", "--sandbox", "container", "--submitted", "submitted"]) == 0
    assert seen == ["container"]
