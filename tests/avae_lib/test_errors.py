"""Errors meant for people: which they are, what they still can be caught as, and how they are shown."""

import importlib
import pkgutil

import pytest

import autograder
import avae_lib
from avae_lib.errors import InvalidInput, UserError, one_line

NOT_FOR_PEOPLE = {
    "AskFailed",
    "BrokenCode",
    "ChangedMeanwhile",
    "CheckFailed",
    "LineClosed",
    "LostIn",
    "MalformedFile",
    "MalformedObservation",
    "NoGroup",
    "NoNumbers",
    "NoSuchAnswer",
    "NoWarmStart",
    "NotDefined",
    "NotDrawn",
    "Quarantined",
    "SessionLost",
    "SetupFailed",
}
"""Errors that are always caught inside: on the way to a person they become a verdict, a reason or another error."""
CAUGHT_BEFORE = {
    "avae_lib.components:ComponentError": ValueError,
    "avae_lib.presets:UnknownPreset": ValueError,
    "avae_lib.training.experiment:ConfigError": ValueError,
    "avae_lib.training.runs:RunError": RuntimeError,
    "avae_lib.data.image_dataset:DatasetError": RuntimeError,
    "avae_lib.capstone.rebuilding:CapstoneRefused": ValueError,
    "autograder.sandbox.bubblewrap:SandboxUnavailable": RuntimeError,
}


@pytest.mark.parametrize("place", CAUGHT_BEFORE)
def test_an_error_for_people_is_still_the_builtin_one_that_callers_catch(place):
    kind = pkgutil.resolve_name(place)
    assert issubclass(kind, UserError) and issubclass(kind, CAUGHT_BEFORE[place])


def test_one_line_is_one_line_and_names_the_file():
    assert one_line(InvalidInput("first\nsecond")) == "first second"
    assert one_line(PermissionError(13, "Permission denied", "a.json")) == "cannot use a.json: Permission denied"
    assert one_line(OSError("no space left")) == "no space left"


def test_wrong_arguments_end_with_2_and_other_errors_with_1():
    from avae_lib.presets import UnknownPreset

    assert UnknownPreset.exit_status == 2 and InvalidInput.exit_status == UserError.exit_status == 1


def test_each_error_of_ours_is_for_people_or_known_to_be_caught_inside():
    found = set()
    for package in (avae_lib, autograder):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".inside." in module.name or ".mistakes." in module.name or ".variants." in module.name:
                continue
            if module.name.rpartition(".")[2] in ("__main__", "nbgrader_config") or ".examples." in module.name:
                continue
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == module.name:
                    found.add(value)
    strangers = {kind.__name__ for kind in found if not issubclass(kind, UserError) and kind.__name__[0] != "_"}
    assert strangers == NOT_FOR_PEOPLE
