"""The room that a run takes on its disk: said before it begins, kept to, and refused where the disk has less."""

import dataclasses
import errno
import os
import shutil
from collections import namedtuple

import pytest
import torch

from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.disk_space import expected_disk_space
from avae_lib.training.memory import expected_memory
from avae_lib.training.runs import train_run
from avae_lib.training.training_config import LoggingConfig

SMALL = derive(
    find_preset("digits-vae"),
    training={"steps": 30, "batch_size": 20, "device": "cpu", "logging": {"metrics_every": 2, "evaluation_images": 20}},
)
WITH_MILESTONES = derive(
    SMALL,
    training={
        "logging": {"milestone_every": 2, "milestones_kept": 3, "milestones": (5, 10), "evaluate_every": 3}
        | {"checkpoint_every": 4}
    },
)


def size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def expected(experiment):
    model = experiment.build_model()
    return expected_disk_space(experiment.training, expected_memory(model, experiment.training, 0), model.num_layers)


@pytest.mark.parametrize("name", ["digits-vae", "digits-vdvae", "digits-attentive"])
def test_the_files_of_a_run_take_no_more_than_was_said_and_not_much_less(tmp_path, name, monkeypatch, capsys):
    changes = dataclasses.asdict(WITH_MILESTONES.training.logging)
    experiment = derive(find_preset(name), training={"steps": 12, "batch_size": 8, "device": "cpu", "logging": changes})
    most, replace = [0], os.replace

    def watched(*paths):
        most[0] = max(most[0], size(tmp_path))
        replace(*paths)

    monkeypatch.setattr(os, "replace", watched)
    train_run(experiment, tmp_path, progress_bar=False)
    space = expected(experiment)
    tensors = space.total - 3 * 2**20 - 2**22
    assert 0.5 * tensors < most[0] <= space.total
    assert str(space) in capsys.readouterr().out


def test_only_the_newest_milestones_stay_and_the_listed_ones(tmp_path):
    train_run(WITH_MILESTONES, tmp_path, progress_bar=False)
    kept = sorted(int(file.stem) for file in (tmp_path / "milestones").iterdir())
    assert kept == [5, 10, 26, 28, 30]


def test_fewer_milestones_may_be_kept_when_a_run_goes_on(tmp_path):
    train_run(derive(WITH_MILESTONES, training={"logging": {"milestones_kept": None}}), tmp_path, progress_bar=False)
    longer = derive(WITH_MILESTONES, training={"steps": 32, "logging": {"milestones_kept": 2}})
    train_run(longer, tmp_path, progress_bar=False)
    kept = sorted(int(file.stem) for file in (tmp_path / "milestones").iterdir())
    assert kept == [5, 10, 30, 32]


@pytest.fixture
def little_room(monkeypatch):
    room = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room(2**40, 2**40 - 2**20, 2**20))


def command(folder, *options):
    return ["train", "digits-vae", "--run-dir", str(folder), "--no-report", "--training.steps", "2", *options]


def test_a_disk_with_too_little_room_is_refused_before_anything_is_written(tmp_path, little_room, capsys):
    assert main(command(tmp_path / "run", "--training.logging.milestone-every", "1")) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"the run in {tmp_path / 'run'} may take at most" in said and "but the disk has room for 1.0 MiB" in said
    for remedy in ("--training.logging.milestones-kept 3", "--run-dir", "--training.no-disk-check"):
        assert remedy in said
    assert list(tmp_path.iterdir()) == []


def test_the_check_can_be_left_out_and_counts_what_the_folder_holds_already(tmp_path, little_room):
    assert main(command(tmp_path, "--training.no-disk-check")) == 0
    (tmp_path / "large").write_bytes(bytes(expected(SMALL).total))
    assert main(command(tmp_path, "--training.steps", "4")) == 0


@pytest.mark.parametrize(("kept", "complaint"), [(0, "must be None or at least 1"), (2, "has no effect without")])
def test_a_number_of_milestones_that_means_nothing_is_refused(kept, complaint):
    with pytest.raises(ValueError, match=rf"training\.logging\.milestones_kept .*{complaint}"):
        LoggingConfig(milestones_kept=kept)


def test_a_disk_that_becomes_read_only_is_named_with_a_remedy_and_the_copy_goes_on(tmp_path, monkeypatch, capsys):
    alone = train_run(SMALL, tmp_path / "alone", progress_bar=False)
    run, opened, written = tmp_path / "run", os.open, []

    def read_only_from_the_third_checkpoint(path, flags, *more, **options):
        writes = flags & (os.O_WRONLY | os.O_RDWR)
        if writes and str(path).startswith(str(run)):
            written.extend([path] * ("checkpoint.new" in str(path)))
            if len(written) > 2:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, *more, **options)

    options = "--training.steps 30 --training.batch-size 20 --training.logging.checkpoint-every 10"
    options += " --training.logging.metrics-every 2 --training.logging.evaluation-images 20 --training.device cpu"
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only_from_the_third_checkpoint)
        assert main(["train", "digits-vae", "--run-dir", str(run), "--no-report", *options.split()]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"cannot use {run}/checkpoint.new.pt: Read-only file system" in said
    assert "Mount that disk for writing, or copy the folder to another disk and go on with the copy" in said
    copy = shutil.copytree(run, tmp_path / "copy")
    assert Checkpoints(copy).load()["step"] == 20
    assert main(["train", str(copy), "--no-report"]) == 0
    found, wanted = Checkpoints(copy).load()["averaged"], alone.model.state_dict()
    assert all(torch.equal(found[f"module.{name}"], value) for name, value in wanted.items())


def test_a_folder_on_a_read_only_disk_is_refused_by_name(tmp_path, monkeypatch, capsys):
    def refuse(path, *arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert main(command(tmp_path / "run")) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"cannot write into {tmp_path / 'run'} (Read-only file system): choose another run folder" in said
