"""Efficient-VDVAE against VDVAE: what an update costs, the arms, the record, and a tiny run from end to end."""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from avae_lib.preset_summaries import recorded_summaries
from avae_lib.presets import find_preset
from avae_lib.training.experiment import differing_fields

FOLDER = Path(__file__).parents[2] / "experiments/efficient_vdvae"
README = FOLDER / "README.md"
MODULES = ("arms", "costs", "pictures_and_tables", "run")


@pytest.fixture
def modules(monkeypatch):
    """The experiment's modules by name; their names are free again afterwards."""
    monkeypatch.setattr(sys, "path", [str(FOLDER), str(FOLDER.parent), *sys.path])
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def record():
    return json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("preset", "parameters", "gigaflops"),
    [
        ("cifar10-vdvae", 39_145_700, 134),
        ("cifar10-efficient-vdvae", 12_657_732, 26.9),
        ("photos32-vdvae", 118_240, 0.129),
        ("photos32-efficient-vdvae", 71_456, 0.0302),
    ],
)
def test_parameters_and_operations_of_an_image_stand_in_the_readme(modules, preset, parameters, gigaflops):
    config = find_preset(preset).model
    assert modules["costs"].parameters_of(config) == parameters
    counted = modules["costs"].flops_per_image(config) / 1e9
    assert counted == pytest.approx(gigaflops, rel=5e-3)
    (memory,) = [entry.memory["total"] for entry in recorded_summaries() if entry.name == preset]
    (row,) = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{preset}` |")]
    assert f"| {parameters:,} | {counted:.3g} |" in row
    assert float(row.removesuffix(" GB |").split("| ")[-1]) == pytest.approx(memory / 1e9, rel=0.1)


def test_operations_of_the_output_projection_are_those_counted_by_hand(modules):
    """The output projection is a 1×1 convolution, and a backward pass costs twice a forward pass."""
    config = find_preset("digits-vdvae").model
    with_twice_the_mixtures = replace(config, mixtures=2 * config.mixtures)
    more = modules["costs"].flops_per_image(with_twice_the_mixtures) - modules["costs"].flops_per_image(config)
    numbers_per_mixture = 3  # weight, mean and log-scale of a grey pixel
    assert more == 3 * 2 * 8 * 8 * config.width * numbers_per_mixture * config.mixtures


def test_each_single_change_is_one_of_those_of_efficient_vdvae(modules):
    arms = {arm.name: arm for arm in modules["arms"].ARMS}
    base = arms["vdvae"]
    changed = {
        name: (set(differing_fields(base.model, arm.model)), arm.optimizer != base.optimizer)
        for name, arm in arms.items()
    }
    shape = {"custom_width_str", "custom_middle_width_str", "dec_blocks"}
    assert changed == {
        "vdvae": (set(), False),
        "efficient": (shape | {"standard_deviation"}, True),
        "narrow": (shape, False),
        "softplus": ({"standard_deviation"}, False),
        "adamax": (set(), True),
    }


def test_all_arms_have_the_same_number_of_latent_layers_as_their_base(modules):
    assert {len(arm.model.decoder) for arm in modules["arms"].ARMS} == {11}
    assert {arm.model.layers for arm in modules["arms"].ATTENTIVE} == {4}


def test_training_differs_in_optimizer_and_learning_rate_alone(modules):
    first, *others = (modules["arms"].experiment(arm, 1e-2, 0, 500).training for arm in modules["arms"].ARMS)
    assert {name for other in others for name in differing_fields(first, other)} == {
        "optimizer.kind",
        "optimizer.betas",
    }


def test_a_tiny_run_is_resumed_evaluated_and_recorded(modules, tmp_path, monkeypatch):
    run, arms = modules["run"], modules["arms"]
    monkeypatch.setattr(run, "EARLY", 1)
    monkeypatch.setattr(run, "TEST_IMAGES", 4)
    monkeypatch.setattr(run, "_last_bits", lambda each: float(each.experiment.training.learning_rate.peak))
    bench = run.Bench(tmp_path, run.Clock(time.monotonic() + 1000))
    arm = arms.ARMS[1]
    assert bench.tuned_rate(arm) == 1e-3  # the lowest is best here; the middle two were tried before it
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [
        f"efficient-{rate}-3" for rate in (0.001, 0.003, 0.01)
    ]
    for steps in (1, 2):
        bench.evaluated(arm, 1e-3, 0, steps)
    tests = json.loads((tmp_path / "efficient-0.001-0/tests.json").read_text())
    assert list(tests) == ["1", "2"] and all(5 < test["bits_per_dim"] < 20 for test in tests.values())
    run.Bench(tmp_path, run.Clock(0.0)).evaluated(arm, 1e-3, 0, 2)  # nothing is left to do, so no time is needed
    with pytest.raises(run.TimeIsUp):
        run.Bench(tmp_path, run.Clock(0.0)).evaluated(arm, 1e-3, 0, 3)


def test_the_record_is_of_these_arms_and_these_costs(modules, record):
    arms = {arm.name: arm for arm in (*modules["arms"].ARMS, *modules["arms"].ATTENTIVE)}
    assert [arm["name"] for arm in record["arms"]] == list(arms)
    for arm in record["arms"]:
        config = arms[arm["name"]].model
        assert arm["parameters"] == modules["costs"].parameters_of(config)
        assert arm["megaflops_per_image"] == round(modules["costs"].flops_per_image(config) / 1e6, 1)


def test_both_models_have_three_seeds_and_every_arm_its_best_learning_rate(record):
    for arm in record["arms"]:
        judged = {float(rate): bits for rate, bits in arm["sweep"].items() if bits is not None}
        if arm["runs"]:
            assert len(arm["sweep"]) == 3 and arm["rate"] == min(judged, key=judged.__getitem__)
    assert all(len(arm["runs"]) == 3 for arm in record["arms"] if arm["name"] in ("vdvae", "efficient"))


def test_the_readme_holds_the_tables_of_the_record_and_describes_its_pictures(modules, record):
    readme, tables = README.read_text(encoding="utf-8"), modules["pictures_and_tables"]
    for table in (tables.arms_table, tables.equal_compute_table, tables.sweep_table):
        assert table(record) in readme
    for picture in ("curves.png", "results.png"):
        (alt,) = [line.partition("](")[0] for line in readme.splitlines() if line.endswith(f"]({picture})")]
        assert len(alt) > 60 and (FOLDER / picture).is_file()


def test_means_in_the_tables_are_those_of_the_seeds(modules, record):
    (vdvae,) = [arm for arm in record["arms"] if arm["name"] == "vdvae"]
    bits = [run["tests"][str(record["updates"])]["bits_per_dim"] for run in vdvae["runs"]]
    row = modules["pictures_and_tables"].arms_table(record).splitlines()[2]
    assert f"{statistics.mean(bits):.3f} ± {statistics.stdev(bits):.3f}" in row


def test_differences_in_the_text_are_those_of_the_tables(modules, record):
    text, tables = " ".join(README.read_text(encoding="utf-8").split()), modules["pictures_and_tables"]
    on, equal = (_rows(table(record)) for table in (tables.arms_table, tables.equal_compute_table))
    on = {name: [float(cell.split(" ")[0] or "nan") for cell in cells[-4:]] for name, cells in on.items()}
    behind = {name: float(cells[-1].split(" ")[0]) for name, cells in equal.items()}
    assert (
        f"by {behind['updates']:.2f} bits/dim on validation images and {on['Efficient-VDVAE'][3]:.2f} on test" in text
    )
    assert f"At equal time it is behind by {behind['seconds']:.2f} ±" in text
    assert f"ahead in all seeds, by {-behind['operations']:.2f} bits/dim" in text
    assert f"narrow and shallow model is worse by {on['narrow and shallow'][1]:.2f}" in text
    assert (
        f"that of Adamax by {on['Adamax'][1]:.2f}, and that of the softplus is better by {-on['softplus'][1]:.2f}"
        in text
    )
    early, late = on["attentive, softplus"][1::2]
    assert f"after 200 updates, by {-early:.2f} ±" in text and f"after 500, by {-late:.2f} ±" in text


def _rows(table: str) -> dict[str, list[str]]:
    """Cells of the rows of a Markdown table, by the first cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {name: cells for name, *cells in rows}
