"""Errors meant for people: which they are, what they still can be caught as, and how they are shown."""

import builtins
import pkgutil
import re
from pathlib import Path

import pytest

from avae_lib.errors import InvalidInput, UserError, one_line

ROOT = Path(__file__).parents[2]
DEFINITION = re.compile(r"^class (\w+)\(([\w, ]+)\):", re.MULTILINE)
EXCEPTIONS = [kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, Exception)]
NOT_FOR_PEOPLE = {
    "AskFailed",
    "BrokenCode",
    "ChangedMeanwhile",
    "CheckFailed",
    "ChannelClosed",
    "LostDuring",
    "MalformedFile",
    "MalformedFrame",
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
    assert one_line(PermissionError(13, "Permission denied", "a.json")) == (
        "cannot use a.json: Permission denied. Change the permissions there, or use a copy elsewhere"
    )
    assert one_line(OSError("no space left")) == "no space left"


def test_wrong_arguments_end_with_2_and_other_errors_with_1():
    from avae_lib.presets import UnknownPreset

    assert UnknownPreset.exit_status == 2 and InvalidInput.exit_status == UserError.exit_status == 1


def test_each_error_of_ours_is_for_people_or_known_to_be_caught_inside():
    """Read from the source: importing everything takes long."""
    found = set()
    for package in ("avae_lib", "autograder"):
        for path in (ROOT / package).rglob("*.py"):
            for name, bases in DEFINITION.findall(path.read_text(encoding="utf-8")):
                is_builtin = any(getattr(builtins, base, None) in EXCEPTIONS for base in bases.split(", "))
                if is_builtin and "UserError" not in bases and not name.startswith(("_", "UserError")):
                    found.add(name)
    assert found == NOT_FOR_PEOPLE
