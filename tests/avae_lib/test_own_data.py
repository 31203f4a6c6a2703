"""Arrays of one's own that are not what they should be: each message says what to write, for a file or for a folder."""

import numpy as np
import pytest

from avae_lib.data import DataConfig, DatasetError, load

DARK = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
LIGHT = DARK + 200
LABELS = np.arange(3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def save(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def save_file(folder, **arrays):
    folder.rmdir()
    np.savez(folder.with_suffix(".npz"), **arrays)


def test_how_to_give_bits_depends_on_file_or_folder_and_works(folder):
    save(folder, train=DARK, test=DARK)
    with pytest.raises(DatasetError, match=r"images of 4 bits: .*numpy\.save\(\".*mine/bits\.npy\", 4\)"):
        load("mine")
    np.save(folder / "bits.npy", 4)
    assert load("mine").bits == 4


def test_in_a_file_bits_are_one_more_array(folder):
    save_file(folder, train=DARK, test=DARK)
    with pytest.raises(DatasetError, match=r"numpy\.savez\(…, bits=4\)"):
        load("mine")


@pytest.mark.parametrize("write", [save, save_file])
def test_an_array_of_an_unknown_name_is_named_with_the_known_ones(folder, capsys, write):
    write(folder, train=LIGHT, test=LIGHT, labels=LABELS)
    assert load("mine").train_labels is None
    (note,) = capsys.readouterr().err.splitlines()
    assert "labels" in note.partition("; known are ")[0] and "train_labels" in note.partition("; known are ")[2]


def test_known_arrays_give_no_note(folder, capsys):
    (folder / "README.txt").write_text("how the images were made")
    save(folder, train=LIGHT, test=LIGHT, train_labels=LABELS, test_labels=LABELS, version="2", bits=np.int64(8))
    assert len(load("mine").train_labels) == 3 and not capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "its train, test and valid images: .*: train_labels, test_labels, valid_labels, each with"),
        ({"train_labels": LABELS}, "its test and valid images: .*: test_labels, valid_labels, each"),
        ({"train_labels": LABELS, "test_labels": LABELS}, "its valid images: .*: valid_labels, each"),
    ],
)
def test_missing_labels_are_named_as_arrays(folder, given, message):
    save(folder, train=LIGHT, test=LIGHT, valid=LIGHT, **given)
    with pytest.raises(DatasetError, match=message):
        DataConfig("mine", labels=True).load()


def test_a_folder_without_training_images_is_found_and_says_what_it_holds(folder):
    with pytest.raises(DatasetError, match=r"the folder .*mine holds no train\.npy"):
        load("mine")
    save(folder, test=LIGHT)
    with pytest.raises(DatasetError, match=r'mine has no array train; it holds test\.npy.*numpy\.save\(".*train\.npy"'):
        load("mine")


@pytest.mark.parametrize("name", ["train", "train_labels"])
def test_arrays_of_objects_get_a_cure_that_helps(folder, name):
    save(folder, **{"train": LIGHT, "test": LIGHT, name: np.array([[1], [1, 2]], dtype=object)})
    with pytest.raises(DatasetError, match=r"Python objects.*numpy\.stack") as caught:
        load("mine")
    assert "pickle" not in str(caught.value) and "ascontiguousarray" not in str(caught.value)


def test_no_file_makes_us_propose_unpickling(folder):
    file = folder.with_suffix(".npz")
    folder.rmdir()
    file.write_text("1,2,3\n")
    with pytest.raises(DatasetError, match="it is a file of another kind") as caught:
        load("mine")
    assert "pickle" not in str(caught.value)
    np.savez(file, train=np.array([[1], [1, 2]], dtype=object), test=LIGHT)
    with pytest.raises(DatasetError, match="Python objects") as caught:
        load("mine")
    assert "pickle" not in str(caught.value)


def test_one_bit_is_no_bits(folder):
    save(folder, train=LIGHT * 0 + np.array([0, 1, 1, 0], dtype=np.uint8).reshape(1, 1, 2, 2), test=LIGHT)
    with pytest.raises(DatasetError, match="images of 1 bit: "):
        load("mine")
