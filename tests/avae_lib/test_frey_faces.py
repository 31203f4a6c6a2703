"""Frey faces from a file in the form in which they were published, written here with other pixels."""

import numpy as np
import pytest
import scipy.io
import torch

from avae_lib.data import DatasetError, load


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def write_faces(place, images=410, **changes):
    """MATLAB's version 5, one face in each column, its 28 lines of 20 pixels one after the other."""
    place.mkdir(exist_ok=True)
    faces = np.random.default_rng(0).integers(0, 256, (images, 28, 20), dtype=np.uint8)
    scipy.io.savemat(place / "frey_rawface.mat", {"ff": faces.reshape(images, -1).T} | changes, format="5")
    return faces


@pytest.mark.parametrize("place", ["freyfaces", "."])
def test_every_face_stands_upright_in_exactly_one_split(data_folder, place):
    faces = write_faces(data_folder / place)
    dataset = load("freyfaces")
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [10, 200, 200]
    assert dataset.image_shape == (1, 28, 20) and dataset.bits == 8
    found = torch.cat([dataset.train, dataset.valid, dataset.test])[:, 0].numpy()
    assert sorted(face.tobytes() for face in found) == sorted(face.tobytes() for face in faces)


def test_the_split_is_the_same_every_time(data_folder):
    write_faces(data_folder / "freyfaces")
    assert torch.equal(load("freyfaces").test, load("freyfaces").test)


@pytest.mark.parametrize(
    "changes",
    [{"ff": np.zeros((410, 560), np.uint8)}, {"ff": np.zeros((560, 410))}, {"ff": np.zeros((560, 400), np.uint8)}],
    ids=["rows", "dtype", "too_few"],
)
def test_other_arrays_are_refused_with_what_was_wanted(data_folder, changes):
    write_faces(data_folder / "freyfaces", **changes)
    with pytest.raises(DatasetError, match=r"frey_rawface\.mat cannot be read.*wanted"):
        load("freyfaces")


def test_missing_faces_say_where_they_were_looked_for_where_to_get_them_and_what_to_use_instead(data_folder):
    with pytest.raises(DatasetError) as error:
        load("freyfaces")
    looked_for = (f"{data_folder}/freyfaces.npz", f"{data_folder}/freyfaces/frey_rawface.mat")
    for fact in (*looked_for, "roweis", "not offered for automatic download", "'digits'"):
        assert fact in str(error.value)
