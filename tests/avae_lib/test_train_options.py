"""The options of ``avae train``: they change what they name and explain themselves; errors name the right option."""

import re
from pathlib import Path

import pytest

from avae_lib.cli import main
from avae_lib.presets import PRESETS, find_preset
from avae_lib.presets.derivation import derive
from avae_lib.train_options import TrainOptions, WrongOption, parse_train_options
from avae_lib.training.older_configs import PLACES
from avae_lib.training.runs import read_experiment

OLDER_RUNS = sorted((Path(__file__).parent / "older_runs").glob("*/config.json"))


def help_of(preset, capsys):
    with pytest.raises(SystemExit):
        main(["train", preset, "--help"])
    return capsys.readouterr().out


@pytest.mark.parametrize("name", PRESETS)
def test_without_options_a_preset_stays_as_it_is(name):
    assert parse_train_options(PRESETS[name], []) == TrainOptions(PRESETS[name], Path("runs") / name)


@pytest.mark.parametrize("folder", OLDER_RUNS, ids=lambda path: path.parent.name)
def test_without_options_a_run_folder_keeps_its_stored_configuration(folder):
    stored = read_experiment(folder.parent)
    assert parse_train_options(stored, [], folder.parent) == TrainOptions(stored, folder.parent)


def test_options_change_the_fields_that_they_name():
    arguments = "--run-dir elsewhere --data.validation 9 --model.hidden-sizes 3 4 --training.seed 7"
    nested = "--training.optimizer.kind adamw --training.optimizer.betas 0.5 0.6 --training.logging.milestones 1 2"
    changes = {
        "data": {"validation": 9},
        "model": {"hidden_sizes": (3, 4)},
        "training": {
            "seed": 7,
            "optimizer": {"kind": "adamw", "betas": (0.5, 0.6)},
            "logging": {"milestones": (1, 2)},
        },
    }
    preset = find_preset("digits-vae")
    asked = parse_train_options(preset, f"{arguments} {nested}".split())
    assert asked == TrainOptions(derive(preset, **changes), Path("elsewhere"))


@pytest.mark.parametrize("flat", PLACES)
@pytest.mark.parametrize("form", ["--training.{} 3", "--training.{}=3"])
def test_a_flag_from_before_there_were_groups_is_answered_with_its_place(flat, form, capsys):
    arguments = form.format(flat.replace("_", "-")).split()
    assert main(["train", "digits-vae", *arguments]) == 2
    assert f" is called --training.{PLACES[flat].replace('_', '-')}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("--training.learning-rate.peek", "--training.learning-rate.peak"),
        ("--training.kl-weight.warmup", "--training.kl-weight.warmup-steps"),
        ("--training.stpes", "--training.steps"),
        ("--data.validaton", "--data.validation"),
    ],
)
def test_a_misspelt_flag_is_answered_with_the_nearest_one(misspelt, meant, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "digits-vae", misspelt, "3"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert misspelt in said and "Perhaps you meant" in said and re.search(rf"{re.escape(meant)}\s", said)


@pytest.mark.parametrize("preset", ["digits-vae", "photos32-nvae"])
def test_every_option_has_a_help_text_and_no_example_of_code(preset, capsys):
    said = help_of(preset, capsys)
    assert ">>>" not in said
    lines = [line.strip("│ ") for line in said.splitlines()]
    options = [number for number, line in enumerate(lines) if re.match("--[a-z]", line)]
    assert len(options) > 40
    for number in options:
        assert re.match(r"[A-Z\d].{8,}", lines[number + 1]), lines[number]


@pytest.mark.parametrize("given", [["--init-weights", "best.safetensors"], ["--init_weights=weights.safetensors"]])
def test_weights_to_begin_from_need_the_run_that_holds_them(given):
    with pytest.raises(WrongOption, match=r"--init-weights \w+.safetensors needs --init-from RUN"):
        parse_train_options(find_preset("digits-vae"), given)
    assert parse_train_options(find_preset("digits-vae"), [*given, "--init-from", "old"]).init_from is not None
