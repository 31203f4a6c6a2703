"""Crops of scikit-learn's photographs."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from avae_lib.data import load


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
