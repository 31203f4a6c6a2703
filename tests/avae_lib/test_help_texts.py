"""Every help text can be understood alone: no marks of the reference, every choice explained, lines that fit."""

import dataclasses
import importlib
import re
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from avae_lib import cli
from avae_lib.presets import PRESETS
from avae_lib.train_options import _help_texts

MARKS = re.compile(r":\w+:`|``|>>>|\bTODO\b|\bof which\b|\bsuch as it is\b")


def help_of(capsys, *words):
    try:
        cli.main([*words, "--help"])
    except SystemExit as stop:
        assert stop.code == 0
    return capsys.readouterr().out


def configurations(config):
    yield config
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(getattr(config, field.name)):
            yield from configurations(getattr(config, field.name))


CONFIGURATIONS = sorted(
    {
        type(config)
        for preset in PRESETS.values()
        for part in (preset.data, preset.model, preset.training)
        for config in configurations(part)
    },
    key=lambda kind: kind.__name__,
)


def choices(annotation):
    """The values of a Literal, also within Optional."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in choices(part))


@pytest.mark.parametrize("command", ["", *cli._COMMANDS])
def test_the_help_of_each_command_is_plain_and_fits_a_page(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    shown = help_of(capsys, *command.split())
    assert len(shown) > 200 and not MARKS.search(shown)
    assert max(map(len, shown.splitlines())) <= 120
    assert "│" not in shown or "(required)" in shown or "--help" in shown


def test_the_overview_names_every_command_once_with_what_it_does(capsys):
    overview = help_of(capsys).partition("Examples:")[0]
    for command in cli._COMMANDS:
        assert re.search(rf"^  {command} +\w", overview, re.MULTILINE)
        module = importlib.import_module(f"avae_lib.commands.{command.replace('-', '_')}")
        assert callable(getattr(module, command.replace("-", "_")))


def test_every_option_of_a_command_is_explained(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for command in cli._COMMANDS:
        options = help_of(capsys, command).partition("usage:")[2]
        shown = [line.strip("│ ") for line in options.splitlines()]
        for number, line in enumerate(shown):
            if re.match(r"--[a-z]", line):
                text = " ".join(shown[number : number + 3])
                assert re.search(r"[A-Z]\w+ \w+", text), f"{command}: {line}"


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_each_setting_has_a_plain_text_that_explains_all_its_choices(kind):
    texts, hints = _help_texts(kind), get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            continue
        text = texts.get(field.name, "")
        assert len(text) > 10 and not MARKS.search(text), field.name
        missing = [choice for choice in choices(hints[field.name]) if str(choice) not in text]
        assert missing == [], f"{kind.__name__}.{field.name} does not explain {missing}"


def test_the_likelihoods_that_a_model_can_have_stand_where_its_value_is_typed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert "--model.likelihood bernoulli|discretized_logistic " in help_of(capsys, "train", "digits-vae")
    assert "discretized_logistic_mixture|released_five_bits " in help_of(capsys, "train", "cifar10-vdvae")
