"""A full disk: every file of a run names itself and what to do, and nothing that was there before is lost."""

import errno
import io
import os
import shutil
import subprocess
import sys

import pytest

from avae_lib.atomic_write import write_atomically
from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.runs import load_run, train_run

FULL = OSError(errno.ENOSPC, "No space left on device")
SMALL = derive(
    find_preset("digits-vae"),
    model={"hidden_sizes": (8,)},
    training={"steps": 4, "batch_size": 20, "device": "cpu", "logging": {"metrics_every": 2, "evaluation_images": 20}},
)


def can_mount():
    command = ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_run(SMALL, folder, progress_bar=False)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def full(monkeypatch):
    """Whatever is written reaches the disk only when it is flushed there, and then there is no room for it."""

    def refuse(descriptor):
        raise OSError(FULL.errno, FULL.strerror)

    return lambda: monkeypatch.setattr("os.fsync", refuse)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["train", "{run}", "--training.steps", "6", "--no-report"], "config.json"),
        (["report", "{run}", "--importance-samples", "1"], "report.html"),
        (["evaluate", "{run}", "--importance-samples", "1"], "evaluation.json"),
        (["sample", "{run}", "--count", "4"], "samples.png"),
        (["compare", "{run}", "--picture", "{run}/compare.png"], "compare.png"),
    ],
)
def test_each_command_names_the_file_that_it_could_not_write_and_says_what_to_do(run, full, arguments, name, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    full()
    assert main([argument.format(run=run) for argument in arguments]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "No space left on device" in said and str(run if name == "config.json" else run / name) in said
    assert "Free some space there and run the same command again, or choose another disk" in said
    after = {path.name: path.read_bytes() for path in run.iterdir()}
    assert {key: after[key] for key in before if key != "looks.jsonl"} == before
    assert not any(key.endswith(".partial") for key in after)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_in_a_folder_that_may_not_be_written_the_result_is_printed_and_files_have_their_names(
    run, monkeypatch, capsys, code
):
    real_open, real_io_open = os.open, io.open

    def refuse(path):
        if str(path).startswith(str(run)):
            raise OSError(code, os.strerror(code), str(path))

    def low(path, flags, *more, **options):
        if flags & (os.O_WRONLY | os.O_RDWR):
            refuse(path)
        return real_open(path, flags, *more, **options)

    def high(path, mode="r", *more, **options):
        if "a" in mode:
            refuse(path)
        return real_io_open(path, mode, *more, **options)

    monkeypatch.setattr(os, "open", low)
    monkeypatch.setattr(io, "open", high)
    assert main(["evaluate", str(run), "--importance-samples", "1"]) == 1
    said = capsys.readouterr()
    assert "−ELBO" in said.out and "looks.jsonl cannot be written" in said.err
    remedy = {errno.EACCES: "Change the permissions there", errno.EROFS: "Mount that disk for writing"}[code]
    assert f"avae: cannot use {run}/evaluation.json: {os.strerror(code)}. {remedy}" in said.err.splitlines()[-1]
    for command, name in (("report", "report.html"), ("sample", "samples.png"), ("interpolate", "interpolation.png")):
        assert main([command, str(run)]) == 1
        assert f"cannot use {run / name}: {os.strerror(code)}. {remedy}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(not sys.platform.startswith("linux") or not can_mount(), reason="needs a disk of its own")
@pytest.mark.parametrize("kilobytes", [200, 700, 1500])
def test_training_on_a_disk_that_is_too_small_names_the_file_and_resumes_when_there_is_room(tmp_path, kilobytes):
    """Wherever the disk fills up: in a milestone, a checkpoint, the weights or the metrics."""
    place, saved = tmp_path / "disk", tmp_path / "saved"
    place.mkdir()
    training = f"{sys.executable} -m avae_lib train digits-vae --run-dir {place}/run --no-report --training.steps 40"
    options = "--training.logging.checkpoint-every 5 --training.logging.milestone-every 5 --training.device cpu"
    options += " --training.no-disk-check"
    script = f"mount -t tmpfs -o size={kilobytes}k tmpfs {place}; {training} {options}; echo status $?; "
    script += f"cp -r {place} {saved}"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=120)
    assert "status 1" in done.stdout, done.stderr[-2000:]
    said = done.stderr.strip().splitlines()[-1]
    assert f"avae: cannot write {place}/run/" in said or f"avae: cannot write into {place}/run" in said
    assert "No space left on device" in said and "Traceback" not in done.stderr
    run = saved / "run"
    if (run / "checkpoint.pt").exists():
        load_run(run)
    assert main(["train", str(run), "--no-report"]) == 0


def test_what_a_function_could_not_write_names_the_file(tmp_path):
    def fail(file):
        raise OSError(FULL.errno, FULL.strerror)

    with pytest.raises(OSError, match=r"No space left on device: '.*notes\.txt'"):
        write_atomically(tmp_path / "notes.txt", fail)
    assert list(tmp_path.iterdir()) == []
