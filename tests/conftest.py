"""What all tests share: one thread for torch, and the rule for tests that need the full data sets."""

import os

import pytest
import torch

from avae_lib import components

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    if os.environ.get("AVAE_DATA"):
        return
    without_data = pytest.mark.skip(reason="set AVAE_DATA to the folder of the full data sets")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(without_data)


@pytest.fixture(autouse=True)
def reference_components():
    """Each test starts and ends with the library's own components."""
    yield
    components.restore()


@pytest.fixture
def generator():
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)
