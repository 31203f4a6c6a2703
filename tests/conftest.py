"""What all tests share: threads, settings of Hypothesis, and the rule for tests that need the full data sets."""

import os
import shutil
from pathlib import Path

import annotation_checks
import pytest
import torch
from hypothesis import HealthCheck, settings
from playwright.sync_api import sync_playwright

annotation_checks.install()
from avae_lib import components  # noqa: E402, the checks reach only what is imported after they are installed

LIBRARY = Path(__file__).parent / "avae_lib"
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
# No limits in seconds, which a busy machine breaks, and the same examples on every machine.
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


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


@pytest.fixture(autouse=True)
def validated_distributions():
    """torch.compile turns off the validation of distributions for the whole process; tests of errors need it."""
    yield
    torch.distributions.Distribution.set_default_validate_args(__debug__)


@pytest.fixture(autouse=True)
def annotation_checks_of_the_library(request):
    """The library's own tests hold it to its annotations; those of the grader hand it whatever students might."""
    with annotation_checks.switched(on=LIBRARY in request.path.parents):
        yield


@pytest.fixture
def without_annotation_checks():
    """For tests of compiled code: the checks of annotations cannot be compiled."""
    with annotation_checks.taken_off():
        yield


@pytest.fixture
def generator():
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def chromium():
    """A real browser. Each module starts its own, because two of playwright's loops cannot be nested."""
    program = shutil.which("chromium")
    assert program, "Chromium is missing, which tests of pages need: make chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()
