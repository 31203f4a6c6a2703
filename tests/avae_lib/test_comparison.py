"""Runs beside each other: order, numbers, settings, warnings, the picture, and how often held-out images were seen."""

import json
import shutil

import pytest
from PIL import Image

from avae_lib import plotting
from avae_lib.cli import main
from avae_lib.presets import find_preset
from avae_lib.presets.derivation import derive
from avae_lib.report import compare_runs, write_report
from avae_lib.report.text_tables import settings_table
from avae_lib.training.looks import Looks
from avae_lib.training.runs import train_run, write_run

SMALL = derive(
    find_preset("digits-vae"),
    model={"hidden_sizes": (8,)},
    training={
        "steps": 6,
        "batch_size": 20,
        "device": "cpu",
        "learning_rate": {"warmup_steps": 1},
        "logging": {"metrics_every": 2, "evaluate_every": 2, "checkpoint_every": 3, "evaluation_images": 20},
    },
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of three runs: with a learning rate that is too low, a usual one, and of another number of latents."""
    folder = tmp_path_factory.mktemp("runs")
    train_run(derive(SMALL, training={"learning_rate": {"peak": 1e-6}}), folder / "slow", progress_bar=False)
    train_run(SMALL, folder / "usual", progress_bar=False)
    train_run(derive(SMALL, model={"latent_dim": 3}), folder / "three", progress_bar=False)
    return folder


@pytest.fixture
def runs(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "runs")


def validation_bounds(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["bits_per_dim"] for row in rows if row["split"] == "valid"}


def test_runs_are_ordered_by_their_lowest_validation_bound(runs):
    comparison = compare_runs([runs / "slow", runs / "usual", runs / "three"])
    lowest = [min(validation_bounds(run.run).values()) for run in comparison.runs]
    assert lowest == sorted(lowest) and comparison.runs[-1].run == runs / "slow"
    for run in comparison.runs:
        bounds = validation_bounds(run.run)
        assert run.best == min(bounds.items(), key=lambda point: point[1])
        assert run.nats == pytest.approx(run.best[1] * 64 * 0.6931471805599453)
        assert run.parameters == sum(parameter.numel() for parameter in run.experiment.build_model().parameters())


def test_settings_that_differ_are_listed_for_every_run_and_no_others(runs):
    comparison = compare_runs([runs / "slow", runs / "usual", runs / "three"])
    names = [run.run.name for run in comparison.runs]
    differing = {field: dict(zip(names, values, strict=True)) for field, values in comparison.differing.items()}
    peak = SMALL.training.learning_rate.peak
    assert differing == {
        "model.latent-dim": {"slow": 8, "usual": 8, "three": 3},
        "training.learning-rate.peak": {"slow": 1e-6, "usual": peak, "three": peak},
    }


def test_the_command_prints_tables_and_draws_the_curves(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "runs/slow", "runs/usual"]) == 0
    said = capsys.readouterr().out
    first, second = said.splitlines()[1:3]
    assert first.startswith("runs/usual") and second.startswith("runs/slow")
    assert "training.learning-rate.peak" in said and "learning curves: compare.png" in said
    assert "warning" not in said
    assert Image.open(tmp_path / "compare.png").width > 700


def test_as_json_it_is_one_object_and_no_picture(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "runs/slow", "runs/usual", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in compared["runs"]] == ["runs/usual", "runs/slow"]
    assert compared["runs"][0]["looks"] == {"valid": 3, "test": 0} and compared["warnings"] == []
    assert not (tmp_path / "compare.png").exists()


def test_results_on_test_images_are_shown_where_there_are_any(runs, capsys):
    assert main(["evaluate", str(runs / "usual"), "--importance-samples", "2", "--weights", "best.safetensors"]) == 0
    capsys.readouterr()
    found = json.loads((runs / "usual/evaluation.best.json").read_text())
    usual = next(run for run in compare_runs([runs / "slow", runs / "usual"]).runs if run.tests)
    assert usual.run == runs / "usual" and list(usual.tests) == ["best.safetensors"]
    assert usual.tests["best.safetensors"].negative_elbo.mean == found["negative_elbo"]["mean"]


def edit(run, *path, value):
    config = json.loads((run / "config.json").read_text())
    *groups, field = path
    place = config
    for group in groups:
        place = place[group]
    place[field] = value
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("data", "name"), "mnist"),
        (("data", "validation"), 200),
        (("training", "logging", "evaluation_images"), 30),
    ],
)
def test_other_validation_images_are_warned_of_by_the_field(runs, path, value):
    edit(runs / "slow", *path, value=value)
    (warning,) = compare_runs([runs / "slow", runs / "usual"]).warnings
    assert f"the validation examples are not the same ({'.'.join(path).replace('_', '-')} differ)" in warning


def test_unequal_tests_and_many_looks_at_test_images_are_warned_of(runs):
    for samples, run in ((1, "slow"), (2, "usual"), (2, "usual"), (2, "usual")):
        main(["evaluate", str(runs / run), "--importance-samples", str(samples)])
    record = json.loads((runs / "slow/evaluation.json").read_text()) | {"dataset": "digits (second edition)"}
    (runs / "slow/evaluation.json").write_text(json.dumps(record))
    assert compare_runs([runs / "slow", runs / "usual"]).warnings == (
        "the tests are of different editions of the data set: digits, digits (second edition)",
        "the tests are of different numbers of importance samples: 1, 2",
        f"{runs / 'usual'} was evaluated on test examples 3 times: the best of several is too good",
    )


def test_an_imported_run_and_a_model_without_density_stand_last_with_a_warning(runs):
    write_run(SMALL, SMALL.build_model(), runs / "imported")
    wae = derive(find_preset("digits-wae"), model={"hidden_sizes": (8,)}, training={"steps": 2, "device": "cpu"})
    train_run(wae, runs / "wae", progress_bar=False)
    comparison = compare_runs([runs / "imported", runs / "wae", runs / "usual"])
    assert [run.run.name for run in comparison.runs] == ["usual", "imported", "wae"]
    assert comparison.runs[1].best is None and comparison.runs[1].parameters > 1000
    assert any("define no density" in warning for warning in comparison.warnings)
    assert f"{runs / 'imported'} has no evaluation on validation examples" in comparison.warnings
    assert "—" in comparison.table()


def test_bounds_of_sentences_are_in_bits_per_token(tmp_path):
    text = derive(find_preset("sentences-text-vae"), training={"steps": 2, "batch_size": 4, "device": "cpu"})
    text = derive(text, training={"logging": {"evaluation_images": 4}})
    train_run(text, tmp_path, progress_bar=False)
    (run,) = compare_runs([tmp_path]).runs
    assert run.unit == "bits/token" and run.best is not None


def test_a_folder_that_is_no_run_and_no_folder_at_all_are_one_clear_line(tmp_path, capsys):
    assert main(["compare", str(tmp_path)]) == 1
    assert "is no run folder" in capsys.readouterr().err
    assert main(["compare"]) == 1
    assert "avae compare needs the folders of the runs" in capsys.readouterr().err


def test_every_evaluation_on_held_out_images_is_counted_and_the_report_says_so(runs, capsys):
    run = runs / "usual"
    assert Looks.count(run) == Looks(valid=3, test=0)
    main(["evaluate", str(run), "--importance-samples", "1"])
    main(["evaluate", str(run), "--importance-samples", "1", "--split", "valid"])
    assert Looks.count(run) == Looks(valid=4, test=1)
    page = write_report(run, importance_samples=1).read_text()
    assert "validation images 5 times; test images once" in page
    with (run / "looks.jsonl").open("a") as file:
        file.write('{"split": "te')  # as a full disk leaves it
    assert Looks.count(run) == Looks(valid=5, test=1)


def test_the_report_of_an_unfinished_and_of_an_imported_run_can_be_written(runs, tmp_path, capsys):
    def stop(row, model):
        if row["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(SMALL, tmp_path / "killed", [stop], progress_bar=False)
    write_run(SMALL, SMALL.build_model(), tmp_path / "imported")
    for name in ("killed", "imported"):
        capsys.readouterr()
        assert main(["report", str(tmp_path / name), "--importance-samples", "1", "--images", "10"]) == 0
        assert capsys.readouterr().out.strip() == str(tmp_path / name / "report.html")
        assert "10 of 150 validation images" in (tmp_path / name / "report.html").read_text()


def test_the_report_of_a_run_without_weights_says_what_is_missing(tmp_path, capsys):
    def stop(row, model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(SMALL, tmp_path, [stop], progress_bar=False)
    assert main(["report", str(tmp_path)]) == 1
    assert (
        "holds no weights.safetensors yet: it holds best.safetensors (weights appear with the first checkpoint)"
        in capsys.readouterr().err
    )
    assert main(["report", str(tmp_path), "--images", "0"]) == 1
    assert "must be at least 1" in capsys.readouterr().err


def test_the_legend_of_many_runs_stands_beside_the_curves_and_names_each():
    curves = {f"run {number}": [(step, number + 10 / step) for step in range(1, 9)] for number in range(12)}
    figure = plotting.runs_compared(curves, "bits per dimension")
    (axes,) = figure.axes
    figure.canvas.draw()
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(curves)
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    looks = {(line.get_color(), str(line.get_linestyle())) for line in legend.get_lines()}
    assert len(looks) > 6


def test_every_curve_with_a_value_is_in_the_picture_in_a_colour_of_its_own():
    curves = {f"run {number}": [(step, 0.4 + number / 50 + 1 / step) for step in range(5, 99)] for number in range(12)}
    curves |= {"stopped early": [(5, 4.0), (7, 3.5)], "diverging": [(5, 1.0), (60, 90.0)], "failed": []}
    (axes,) = plotting.runs_compared(curves, "bits per dimension").axes
    named = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    assert "failed" not in named and len({str(line.get_color()) for line in named.values()}) == len(curves) - 1
    low, high = axes.get_ylim()
    for name, line in named.items():
        assert low < line.get_ydata()[-1] < high, name


def test_settings_of_many_runs_fit_a_terminal_and_their_names_can_be_typed():
    names = [f"peak={peak},latent-dim={size}" for peak in ("1e-3", "2e-3") for size in (2, 4, 8, 16)]
    settings = {"training.learning-rate.peak": [0.001] * 4 + [0.002] * 4, "model.latent-dim": [2, 4, 8, 16] * 2}
    rows = settings_table(names, settings).splitlines()
    assert rows[0].split() == ["run", *settings] and max(map(len, rows)) <= 100
    assert rows[3].split() == ["peak=1e-3,latent-dim=8", "0.001", "8"]
    many = settings_table(names, {f"training.group.setting-{index}": [1] * 7 + [2] for index in range(9)})
    assert max(map(len, many.splitlines())) <= 100 and f"2: {names[7]}" in many


def test_the_report_is_made_on_the_device_that_is_asked_for(runs, capsys):
    assert main(["report", str(runs / "usual"), "--importance-samples", "1", "--device", "nowhere"]) == 1
    assert "got 'nowhere'" in capsys.readouterr().err
