"""The benchmark of the update: what it counts, what it times, and how it survives what fails."""

import doctest
import importlib
import json
import sys
import time
from pathlib import Path

import pytest
import torch
import train_step
from training_steps import arithmetic, jobs, profile, suites, timing, variants
from training_steps.jobs import Job, Runner
from training_steps.variants import Variant, experiment_of, state_of, stepping

from avae_lib.presets import PRESETS
from avae_lib.training.memory import model_without_numbers

PARTS = sorted(path.stem for path in Path(variants.__file__).parent.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("name", PARTS)
def test_examples_in_docstrings_run(name):
    module = importlib.import_module(f"training_steps.{name}")
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize(("preset", "gflop"), [("cifar10-vdvae", 134), ("cifar10-attentive-16", 210)])
def test_the_arithmetic_of_an_image_is_what_the_floors_of_speed_are_computed_from(preset, gflop):
    experiment = experiment_of(preset, Variant(bfloat16=True), batch=2, device="cpu")
    flop, memory = arithmetic.flop_and_memory(model_without_numbers(experiment), experiment.training)
    assert flop / 1e9 == pytest.approx(gflop, rel=0.03)
    assert memory.total > 1e8


def test_the_arithmetic_of_an_image_depends_on_neither_batch_nor_number_format():
    chosen = [(Variant(), 2), (Variant(bfloat16=True, channels_last=True), 3)]
    experiments = [experiment_of("photos32-vdvae", variant, batch, device="cpu") for variant, batch in chosen]
    counts = {arithmetic.flop_and_memory(model_without_numbers(one), one.training)[0] for one in experiments}
    assert len(counts) == 1 and counts.pop() > 1e8


@pytest.mark.parametrize("name", ["eager", "compiled+bfloat16+channels-last+graphs", "plain+bfloat16"])
def test_a_variant_has_one_name(name):
    assert Variant.named(name).name == name.replace("plain+bfloat16", "bfloat16+plain")


def test_a_word_that_names_no_variant_is_refused_before_anything_is_measured(capsys, tmp_path):
    with pytest.raises(SystemExit):
        train_step.main(["--variants", "bfloat17", "--out", str(tmp_path)])
    assert "bfloat17" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_random_images_stand_in_for_data_that_are_not_there(monkeypatch):
    monkeypatch.delenv("AVAE_DATA", raising=False)
    state = state_of(experiment_of("digits-conditional-vae", Variant(), batch=5, device="cpu"))
    with stepping(state, Variant()) as step:
        step()
    assert state.step == 1 and state.sampler.last_labels.shape == (5,)


def test_the_update_is_hardly_slower_than_the_best_plain_loop():
    """Processor time in turn, so that busy neighbours count little; the benchmark has the exact number."""
    found = timing.against_plain("photos32-vdvae", "eager", batch=4, device="cpu", repeats=9)
    assert found["processor_speed_ratio"] > 1 / 1.25


def test_the_plain_loop_descends_the_same_loss():
    state = state_of(experiment_of("digits-vae", Variant(), batch=50, device="cpu"))
    before = [parameter.detach().clone() for parameter in state.model.parameters()]
    losses = []
    with stepping(state, Variant(plain=True)) as loop:
        images = loop._images[:50]
        for _ in range(2):
            losses.append(-state.model(images).log_likelihood.mean().item())
            for _ in range(30):
                loop()
    assert losses[1] < losses[0]
    assert not any(torch.equal(*pair) for pair in zip(before, loop._averages, strict=True))


def test_the_parts_of_a_profile_make_up_the_update():
    found = profile.profile_update("digits-attentive", "eager", batch=4, device="cpu", steps=10)
    parts = found["ms_of_parts"]
    assert list(parts) == list(profile.GROUPS)
    for name in ("convolution, forward", "convolution, backward", "attention over depth", "likelihood", "optimizer"):
        assert parts[name] > 0, name
    assert parts["moving average"] > 0 and parts["clipping and skipping"] > 0 and parts["data"] > 0
    assert parts["convolution, backward"] > 0.5 * parts["convolution, forward"]


def python(code):
    return [sys.executable, "-u", "-c", code]


def test_a_job_that_fails_or_hangs_does_not_stop_the_others():
    rows = []
    lane = [
        Job("fails", python("print('about to fail'); 1 / 0"), seconds=60),
        Job("hangs", python("import time; print('{\"row\": 1}'); time.sleep(600)"), seconds=5),
        Job("works", python("print('{\"row\": 2}')"), seconds=60),
    ]
    Runner(time.monotonic() + 300, rows.append).run_lanes([lane])
    failed = {row["job"]: row for row in rows if "failed" in row}
    assert failed.keys() == {"fails", "hangs"}
    assert "ZeroDivisionError" in failed["fails"]["last_lines"][-1]
    assert "limit of 5 s" in failed["hangs"]["failed"]
    assert [row["row"] for row in rows if "row" in row] == [1, 2]


def test_nothing_runs_after_the_deadline():
    rows = []
    start = time.monotonic()
    lane = [Job(name, python("import time; time.sleep(600)"), seconds=500) for name in ("first", "second")]
    Runner(start + 2, rows.append).run_lanes([lane])
    assert time.monotonic() - start < 60
    assert [row["job"] for row in rows] == ["first"]


def test_everything_else_stands_still_while_a_job_takes_times(tmp_path):
    """A neighbour counts up in a file; its count does not change between two looks of the job that asked for quiet."""
    count = tmp_path / "count"
    neighbour = f"import time\nfor i in range(10**6): open({str(count)!r}, 'a').write('.'); time.sleep(0.01)"
    measuring = f"""
import json, sys, time
sys.path.insert(0, {str(Path(jobs.__file__).parents[1])!r})
from training_steps.jobs import ask_for_quiet, write_row
from pathlib import Path
count = Path({str(count)!r})
while not count.exists(): time.sleep(0.05)
with ask_for_quiet():
    time.sleep(0.2)
    before = len(count.read_text()); time.sleep(1); after = len(count.read_text())
time.sleep(3)
write_row({{"before": before, "after": after, "later": len(count.read_text())}})
"""
    rows = []
    runner = Runner(time.monotonic() + 60, rows.append)
    pool = runner.run_pool([Job("neighbour", python(neighbour), seconds=30)], workers=1)
    runner.run_lanes([[Job("measuring", python(measuring), seconds=50)]])
    runner._deadline = 0  # the neighbour need not go on
    for thread in pool:
        thread.join()
    (seen,) = [row for row in rows if "before" in row]
    assert seen["before"] == seen["after"] < seen["later"]


def test_the_suite_for_a_gpu_tries_every_preset_and_names_variants_that_exist():
    args = train_step.parsed(["--suite", "gpu"])
    suite = suites.gpu(args)
    tried = {task["preset"] for task in suite.pool}
    assert tried == PRESETS.keys()
    for task in [*suite.pool, *(task for lane in suite.lanes for task in lane)]:
        for name in [task.get("variant"), *task.get("variants", [])]:
            assert name is None or Variant.named(name)
        if "script" in task:
            assert (Path(train_step.__file__).parent / task["script"]).exists()
        else:
            json.dumps(task)
    assert {task["preset"] for lane in suite.lanes for task in lane if "preset" in task} == suites.LARGE.keys()


def test_the_memory_of_a_gpu_is_asked_by_names_that_pytorch_has(monkeypatch):
    asked = []
    for name in ("reset_peak_memory_stats", "memory_allocated", "max_memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda device, name=name: asked.append(name) or 7)  # refuses other names
    assert timing.memory_now("cuda") == timing.peak_memory("cuda") == 7
    assert asked == ["reset_peak_memory_stats", "memory_allocated", "max_memory_allocated"]
