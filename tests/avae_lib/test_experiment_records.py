"""Records are read as they are, unless the environment asks for the experiment to run first."""

import pytest

from avae_lib import data


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one experiment, which leaves a file where it ran."""
    program = tmp_path / "experiments/frey_faces/run.py"
    program.parent.mkdir(parents=True)
    program.write_text("open('ran', 'w').close()\n")
    monkeypatch.setattr(
        "avae_lib.data.experiment_records.__file__", str(tmp_path / "avae_lib/data/experiment_records.py")
    )
    return tmp_path


def test_a_record_is_read_without_running_anything(course, monkeypatch):
    monkeypatch.delenv("RUN_EXPERIMENTS", raising=False)
    assert data.experiment_record("frey_faces") == data.recorded("frey_faces")
    assert not (course / "ran").exists()


def test_the_experiment_runs_first_where_that_is_asked_for(course, monkeypatch):
    monkeypatch.setenv("RUN_EXPERIMENTS", "1")
    assert data.experiment_record("frey_faces") == data.recorded("frey_faces")
    assert (course / "ran").exists()


def test_an_experiment_that_is_not_there_is_named(course, monkeypatch):
    monkeypatch.setenv("RUN_EXPERIMENTS", "1")
    with pytest.raises(ValueError, match=r"asks to run 'three_learners' again, and there is no .*run\.py"):
        data.experiment_record("three_learners")
