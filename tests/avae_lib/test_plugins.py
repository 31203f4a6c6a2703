"""Models of other packages: found, trained, opened again, and refused in one clear line where something is wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from avae_lib import plugins
from avae_lib.cli import main
from avae_lib.models.families import FAMILIES
from avae_lib.models.vae import VAEConfig
from avae_lib.presets import PRESETS, UnknownPreset, find_preset, foreign_presets, register
from avae_lib.presets.derivation import derive
from avae_lib.training.checkpoints import Checkpoints
from avae_lib.training.experiment import ConfigError
from avae_lib.training.runs import RunError, load_run, train_run

ROOT = Path(__file__).parents[2]
ONE_PRESET = """
from dataclasses import dataclass
from avae_lib.models.vae import VAEConfig
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive

@dataclass(frozen=True)
class MyConfig(VAEConfig):
    "My VAE."

PRESETS = (derive(find_preset("digits-vae"), name="my-vae", model=MyConfig(hidden_sizes=(8,))),)
"""
MELTING = (
    ONE_PRESET.replace("@dataclass(frozen=True)", "@dataclass")
    .replace("MyConfig(VAEConfig)", "MyConfig")
    .replace('"My VAE."', "hidden_sizes: tuple = ()\n    def build(self): ...")
)


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    """Each test begins without presets of one's own, and leaves none."""
    monkeypatch.setattr("avae_lib.presets._REGISTERED", {})
    monkeypatch.setattr("avae_lib.plugins._REGISTERED", {})


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder in which pip has installed the package of ``foreign_package``."""
    source, site = tmp_path_factory.mktemp("source") / "package", tmp_path_factory.mktemp("site")
    shutil.copytree(Path(__file__).parent / "foreign_package", source)
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(site), str(source)], check=True)
    return site


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A function that writes modules of plugins and names them in AVAE_PLUGINS."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def write(**contents):
        for name, content in contents.items():
            (folder / f"{name}.py").write_text(content)
        monkeypatch.setenv("AVAE_PLUGINS", ",".join(contents))

    yield write
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(folder):
            del sys.modules[name]


def started(*commands, site, folder):
    """A process in which the package is installed, and which runs these commands one after the other."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)]), "OMP_NUM_THREADS": "1"}
    code = f"from avae_lib.cli import main\nfor words in {commands!r}:\n    assert main(words) == 0, words"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process):
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output


def test_models_of_an_installed_package_go_through_all_commands_and_a_kill(installed, tmp_path):
    def run(*commands):
        return started(*(command.split() for command in commands), site=installed, folder=tmp_path)

    listed = json.loads(output_of(run("presets --json")))
    assert [entry["name"] for entry in listed] == [*PRESETS, "digits-line", "digits-narrow-line"]
    assert listed[-1]["parameters"] == 64 * 2 + 2 + 64 + 64  # one latent: encoder 64 → 2, decoder 1 → 64
    assert listed[-1]["memory"]["weights"] == 4 * listed[-1]["parameters"]

    training = "train digits-line --training.logging.checkpoint-every 5 --training.steps"
    killed, line = run(f"{training} 100000"), tmp_path / "runs/digits-line"
    while not (line / "checkpoint.previous.pt").exists() and killed.poll() is None:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    reached = Checkpoints(line).load()["step"]
    output = output_of(
        run(
            f"{training} {reached + 5}",
            f"train runs/digits-line --training.steps {reached + 7}",
            "evaluate runs/digits-line --importance-samples 2",
            "sample runs/digits-line --count 9",
            "interpolate runs/digits-line",
            "report runs/digits-line --importance-samples 2",
            "train digits-line --run-dir runs/tuned --init-from runs/digits-line --training.steps 2",
            "compare runs/digits-line runs/tuned",
        )
    )
    assert f"resuming from step {reached} of {reached + 5}" in output
    assert f"resuming from step {reached + 5} of {reached + 7}" in output
    assert "bits per dimension" in output
    for name in ("report.html", "samples.png", "reconstructions.png", "interpolation.png", "evaluation.json"):
        assert (line / name).stat().st_size > 500
    assert (tmp_path / "compare.png").exists() and (tmp_path / "runs/tuned/weights.safetensors").exists()


def test_the_module_that_the_guide_shows_is_a_plugin(modules):
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(# my_models.py\n.*?)^```", guide, re.MULTILINE | re.DOTALL)
    modules(my_models=example)
    assert foreign_presets().problems == ()
    assert find_preset("digits-mine").model.my_setting == 1.0


def test_a_run_whose_package_is_missing_says_so_and_opens_with_a_configuration(modules, tmp_path, monkeypatch):
    modules(my_models=ONE_PRESET)
    run = tmp_path / "run"
    trained = train_run(derive(find_preset("my-vae"), training={"steps": 2}), run)
    monkeypatch.delenv("AVAE_PLUGINS")
    with pytest.raises(RunError, match="belongs to the package my_models, which is not registered as a plugin"):
        load_run(run)
    model, experiment = load_run(run, config=VAEConfig(hidden_sizes=(8,)))
    assert type(experiment.model) is VAEConfig and experiment.training.steps == 2
    for found, wanted in zip(model.parameters(), trained.model.parameters(), strict=True):
        assert torch.equal(found, wanted)
    with pytest.raises(RunError, match=r"config.hidden_sizes must be \[8\], as it was in training, got \[9\]"):
        load_run(run, config=VAEConfig(hidden_sizes=(9,)))


def test_import_on_the_command_line_is_the_environment_variable_for_one_command(modules, tmp_path, monkeypatch, capsys):
    modules(my_models=ONE_PRESET)
    monkeypatch.setenv("AVAE_PLUGINS", "")
    monkeypatch.setattr("avae_lib.report.write_report", lambda run_dir, progress=False: run_dir / "report.html")
    train = ["train", "my-vae", "--training.steps", "2", "--run-dir", str(tmp_path / "run")]
    assert main(train) == 2
    assert "no preset is called 'my-vae'" in capsys.readouterr().err
    assert main(["--import", "my_models", *train]) == 0
    assert ": avae --import my_models sample " in capsys.readouterr().out
    monkeypatch.setenv("AVAE_PLUGINS", "")
    assert main(["--import=my_models", *train]) == 0
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["model"]["type"] == "my_models.MyConfig"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("import no_such_package", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("raise SystemExit('bye')", "cannot be imported: SystemExit: bye"),
        ("", "must have a tuple PRESETS of experiments"),
        ("PRESETS = 3", "must have a tuple PRESETS of experiments, got 3"),
        ("PRESETS = ('digits-vae',)", "PRESETS must hold objects of avae_lib.Experiment, got str"),
        (ONE_PRESET + "PRESETS *= 2", "'my-vae' is left out, because another preset has this name"),
        (ONE_PRESET.replace("my-vae", "mnist-vae"), "'mnist-vae' is left out, because another preset has this name"),
        (ONE_PRESET.replace("(8,)", "[8]"), "my-vae.model.hidden_sizes cannot be stored: [8] would be read as (8,)"),
        (
            MELTING,
            "the preset 'my-vae' is left out: my-vae.model cannot be stored: MyConfig must be a frozen dataclass",
        ),
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_line_and_the_others_remain(modules, content, complaint, capsys):
    modules(broken=content, sound=ONE_PRESET.replace("my-vae", "sound-vae"))
    assert main(["presets"]) == 0
    listed, errors = capsys.readouterr()
    assert "sound-vae" in listed and "digits-vae" in listed
    assert errors.startswith("avae: plugin broken (AVAE_PLUGINS)") and errors.count("\n") == 1
    assert complaint in errors
    with pytest.raises(UnknownPreset, match="Left out: plugin broken"):
        find_preset("nothing-of-this-name")


def test_an_entry_point_that_names_no_module_is_one_line_and_the_others_remain(tmp_path, monkeypatch, capsys):
    record = tmp_path / "broken_models-2.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-models\nVersion: 2.0\n")
    (record / "entry_points.txt").write_text("[avae.presets]\none = broken_models:PRESETS\ntwo = sound_models\n")
    (tmp_path / "sound_models.py").write_text(ONE_PRESET)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["presets"]) == 0
    listed, errors = capsys.readouterr()
    assert "my-vae" in listed
    said = "plugin broken_models:PRESETS (broken-models 2.0) must be the dotted name of a module"
    assert errors == f"avae: {said}, such as my_models.presets\n"


def test_a_model_that_cannot_be_built_is_one_line_and_the_others_remain(modules, capsys):
    unbuildable = ONE_PRESET.replace('"My VAE."', "def build(self):\n        return 1 / 0")
    modules(broken=unbuildable, sound=ONE_PRESET.replace("my-vae", "sound-vae"))
    assert main(["presets"]) == 0
    listed, errors = capsys.readouterr()
    assert "sound-vae" in listed
    assert errors == "avae: the model of my-vae cannot be built: ZeroDivisionError: division by zero\n"


def test_a_model_that_computes_with_numbers_when_it_is_built_is_counted_all_the_same(modules, capsys):
    parts = '"My VAE."\n    def build(self):\n        assert sum(super().build().decoder[0].bias.tolist()) < 99'
    modules(counting=ONE_PRESET.replace('"My VAE."', parts + "\n        return super().build()"))
    assert main(["presets", "--json"]) == 0
    (listed,) = [entry for entry in json.loads(capsys.readouterr().out) if entry["name"] == "my-vae"]
    model = VAEConfig(hidden_sizes=(8,)).build()
    assert listed["parameters"] == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", ["no_such_models", "models/my.py", ""])
def test_a_module_that_cannot_be_imported_is_refused_on_the_command_line(name, capsys):
    assert main(["--import", *filter(None, [name])]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("avae: --import must name a module") and errors.count("\n") == 1


@dataclass(frozen=True)
class LocalConfig(VAEConfig):
    """A configuration of this file, which no other program can import."""


def test_a_class_that_no_run_could_be_read_with_is_refused_before_training_unless_it_is_registered(tmp_path):
    experiment = derive(PRESETS["digits-vae"], name="local", model=LocalConfig(), training={"steps": 2})
    with pytest.raises(ConfigError, match=r"is not registered as a plugin|is neither registered as a plugin nor found"):
        train_run(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    register(experiment)
    assert find_preset("local") is experiment
    train_run(experiment, tmp_path / "run")
    assert load_run(tmp_path / "run")[1] == experiment


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (VAEConfig(likelihood=Path("8")), "model.likelihood cannot be stored: fields must be numbers"),
        (VAEConfig(hidden_sizes=[8]), r"model.hidden_sizes cannot be stored: \[8\] would be read as \(8,\)"),
        (VAEConfig(likelihood={"a": 1}), "model.likelihood cannot be stored: every configuration must have a type"),
    ],
)
@pytest.mark.usefixtures("without_annotation_checks")
def test_a_value_that_cannot_be_stored_is_refused_by_the_name_of_its_field(model, complaint, tmp_path):
    experiment = derive(PRESETS["digits-vae"], model=model)
    with pytest.raises(ConfigError, match=complaint):
        train_run(experiment, tmp_path)


@pytest.mark.parametrize(
    "dotted", ["my_models.OrderedDict", "my_models.run", "my_models.CompletedProcess", "my_models.x"]
)
def test_only_classes_that_a_plugin_itself_defines_are_built_from_files(modules, dotted):
    modules(
        my_models="from collections import OrderedDict\nfrom subprocess import CompletedProcess, run\n" + ONE_PRESET
    )
    with pytest.raises(plugins.PluginError, match=f"defines no class {dotted}"):
        plugins.class_of_plugin(dotted)


def test_presets_of_plugins_are_no_presets_of_the_library_and_no_families_of_it(modules):
    modules(my_models=ONE_PRESET)
    assert list(foreign_presets().presets) == ["my-vae"]
    assert "my-vae" not in PRESETS and "MyConfig" not in FAMILIES
