"""Crops of scikit-learn's photographs."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from avae_lib.data import DatasetError, load


@pytest.fixture(scope="module")
def photos():
    return load("photos32")


@pytest.fixture(scope="module")
def places():
    """Where each 32×32 window of the photographs lies: (photograph, row, column) by its bytes."""
    found = {}
    for photo, picture in enumerate(load_sample_images().images):
        windows = np.lib.stride_tricks.sliding_window_view(picture, (32, 32), axis=(0, 1))
        for row in range(0, windows.shape[0], 8):
            for column in range(0, windows.shape[1], 8):
                found.setdefault(windows[row, column].tobytes(), []).append((photo, row, column))
    return found


def columns_touched(images, places):
    touched = set()
    for image in images.numpy():
        for photo, _, column in places[image.tobytes()]:
            touched |= {(photo, at) for at in range(column, column + 32)}
    return touched


def test_crops_are_8_bit_colour_images_of_the_documented_number(photos):
    assert (photos.train.shape, photos.test.shape) == ((5800, 3, 32, 32), (350, 3, 32, 32))
    assert photos.bits == 8 and photos.title == "photos32"


def test_training_and_test_crops_share_no_pixel(photos, places):
    train, test = columns_touched(photos.train, places), columns_touched(photos.test, places)
    assert not train & test
    assert {photo for photo, _ in train} == {photo for photo, _ in test} == {0, 1}


def test_crops_come_in_the_same_mixed_order_each_time(photos):
    again = load("photos32")
    assert (again.train == photos.train).all() and (again.test == photos.test).all()
    halves = photos.test[:175].double().mean(), photos.test[175:].double().mean()
    assert abs(halves[0] - halves[1]) < 15, "both photographs are in each half"


@pytest.mark.parametrize("count", [1, 100, 500])
def test_crops_for_validation_share_no_pixel_with_those_for_training_and_test(places, count):
    photos = load("photos32", validation=count)
    assert (len(photos.train), len(photos.valid), len(photos.test)) == (5000, count, 350)
    train, valid, test = (columns_touched(images, places) for images in (photos.train, photos.valid, photos.test))
    assert not valid & train and not valid & test and not train & test


def test_both_photographs_are_among_the_crops_for_validation(places):
    valid = load("photos32", validation=100).valid
    assert {photo for photo, _ in columns_touched(valid, places)} == {0, 1}


@pytest.mark.parametrize("count", [-1, 501])
def test_more_crops_for_validation_than_there_are_is_refused(count):
    with pytest.raises(DatasetError, match=rf"0 to 500 crops for validation, got data\.validation = {count}"):
        load("photos32", validation=count)


def test_a_file_of_that_name_takes_the_place_of_the_photographs(tmp_path, monkeypatch):
    images = np.zeros((9, 3, 32, 32), np.uint8)
    np.savez(tmp_path / "photos32.npz", train=images, test=images, bits=8)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    assert len(load("photos32", validation=2).train) == 7
