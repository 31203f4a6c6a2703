"""Capstones: an honest model gets all points; a claim that is not true loses its own and says by how much it is off."""

import json
import re
from dataclasses import replace
from importlib.resources import files as files_of_package
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from autograder.authoring.notebook_fillings import filled_in
from autograder.authoring.student_edition import write_student_edition
from autograder.capstone import files, held_out
from autograder.capstone import measure_in_sandbox as sandboxed
from autograder.capstone.files import CapstoneWork, read_capstone
from autograder.capstone.held_out import draw_held_out, private_held_out
from autograder.capstone.judge_capstone import judge_capstone
from autograder.checks.capstone import BETTER, CASES, ELSEWHERE, POINTS, REBUILT, REPRODUCES, TABLE, WITHIN_BUDGET
from autograder.course.course import Course, CourseError
from autograder.judging.jobs import Batch
from autograder.releasing.release import require_points_of_checks
from avae_lib import capstone
from avae_lib.capstone import BUDGET, Claims, findings
from avae_lib.capstone.rebuilding import weights_bytes
from avae_lib.data import load, recorded_model
from avae_lib.evaluation import Estimate
from avae_lib.models.vae import VAEConfig

ROOT = Path(__file__).parents[3]
CONFIG = VAEConfig((3, 32, 32), 8, latent_dim=4, hidden_sizes=(16,), likelihood="discretized_logistic")


# --- held-out images --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos():
    return load("photos32")


def test_held_out_crops_are_given_out_by_no_loader(photos):
    """Not as they are and not mirrored, in training, validation or test."""
    known = {image.numpy().tobytes() for split in (photos.train, photos.test) for image in split}
    known |= {image.numpy().tobytes() for image in load("photos32", validation=500).valid}
    drawn = draw_held_out(seed=1)
    assert len(drawn.images) == held_out.COUNT
    for image in drawn.images:
        assert image.numpy().tobytes() not in known and image.flip(-1).numpy().tobytes() not in known


def test_each_held_out_crop_is_its_parent_moved(photos):
    """Most of its pixels are in the public crop it comes from, as it is or mirrored."""
    drawn = draw_held_out(seed=2)
    for image, parent in zip(drawn.images[:20], photos.test[drawn.parents[:20]], strict=True):
        assert any(_overlaps(candidate, parent) for candidate in (image, image.flip(-1)))


def _overlaps(one, other) -> bool:
    moves = [(dy, dx) for dy in range(-15, 16) for dx in range(-15, 16) if dy and dx]
    return any(torch.equal(_part(one, dy, dx), _part(other, -dy, -dx)) for dy, dx in moves)


def _part(image, dy, dx):
    rows, columns = (slice(max(0, -move), 32 - max(0, move)) for move in (dy, dx))
    return image[:, rows, columns]


def test_the_secret_decides_which_crops_and_half_of_them_are_mirrored():
    first, again, other = (draw_held_out(seed) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images) and torch.equal(first.parents, again.parents)
    assert len({image.numpy().tobytes() for image in torch.cat([first.images, other.images])}) > 200
    assert len(set(first.parents.tolist())) == held_out.COUNT


def test_some_held_out_crops_show_rows_that_no_loader_gives_out():
    band = slice(384, 512)
    from sklearn.datasets import load_sample_images

    unseen = [photo[416:, band].transpose(2, 0, 1) for photo in load_sample_images().images]
    rows = {
        row[:, column : column + 32].tobytes()
        for part in unseen
        for row in part.transpose(1, 0, 2)
        for column in range(97)
    }
    images = torch.cat([draw_held_out(seed).images for seed in range(4)]).numpy()
    last_rows = [np.ascontiguousarray(way[:, -1]).tobytes() for image in images for way in (image, image[:, :, ::-1])]
    assert any(row in rows for row in last_rows)


def test_of_a_public_set_the_secret_draws_test_images_beyond_the_public_ones(tmp_path, monkeypatch):
    test = np.arange(60, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    np.savez(tmp_path / "grey.npz", train=test, test=test)
    monkeypatch.setenv("AVAE_DATA", str(tmp_path))
    budget = replace(BUDGET, data_set="grey", public_images=20)
    drawn = draw_held_out(5, budget, count=16)
    assert len(drawn.images) == 16 and int(drawn.images.min()) >= 20
    assert not torch.equal(drawn.images, draw_held_out(6, budget, count=16).images)
    with pytest.raises(CourseError, match="no test images beyond"):
        draw_held_out(5, replace(budget, public_images=60))


def test_a_model_that_is_just_fast_enough_at_home_is_fast_enough_for_the_grader():
    """At home the public images are measured, by the grader the held-out ones too."""
    images = (BUDGET.public_images + held_out.COUNT) / BUDGET.public_images
    at_least = 60 * BUDGET.max_measuring_minutes * images
    assert min(sandboxed.LIMITS.ask_seconds, sandboxed.LIMITS.cpu_seconds) >= at_least


def test_differences_to_parents_say_more_than_images_alone():
    torch.manual_seed(0)
    public = 5 + torch.randn(350, dtype=torch.float64)
    drawn = draw_held_out(seed=7)
    elsewhere = public[drawn.parents] + 0.3 + 0.1 * torch.randn(held_out.COUNT, dtype=torch.float64)
    estimate = drawn.estimate(public, elsewhere, "bound", 1)
    assert estimate.mean == pytest.approx(float(public.mean()) + 0.3, abs=4 * estimate.standard_error)
    assert estimate.standard_error < 0.2 * Estimate.over(elsewhere).standard_error


def test_private_images_are_as_hard_as_the_baseline_finds_them(tmp_path, monkeypatch, photos):
    np.savez(tmp_path / "private.npz", images=photos.test[:6].numpy())
    private = private_held_out((tmp_path / "private.npz").read_bytes())
    before = torch.tensor([5.0, 6.0, 7.0, 8.0, 9.0, 10.0], dtype=torch.float64)
    monkeypatch.setattr(held_out, "_baseline_on", lambda *_: {"bound": before})
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": Estimate(5.5, 0.1))
    assert private.estimate(before, before - 0.4, "bound", 1) == Estimate(pytest.approx(5.1), pytest.approx(0.0))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text"])
def test_a_private_file_of_another_form_is_an_error_of_the_course(content):
    with pytest.raises(CourseError, match="private images cannot be read"):
        private_held_out(content)


@pytest.mark.parametrize("count", [1, held_out.COUNT + 1])
def test_more_private_images_than_there_is_time_for_are_an_error_of_the_course(tmp_path, count):
    np.savez(tmp_path / "private.npz", images=np.zeros((count, 3, 32, 32), np.uint8))
    with pytest.raises(CourseError, match=f"2 to {held_out.COUNT} of them"):
        private_held_out((tmp_path / "private.npz").read_bytes())


def test_private_images_of_another_shape_are_an_error_of_the_course(tmp_path):
    np.savez(tmp_path / "private.npz", images=np.zeros((4, 1, 8, 8), np.uint8))
    with pytest.raises(CourseError, match="must be uint8"):
        private_held_out((tmp_path / "private.npz").read_bytes())


def test_limits_on_files_are_those_that_students_read():
    limits = {
        "config.json": BUDGET.max_config_bytes,
        "weights.safetensors": BUDGET.max_weights_bytes,
        "report.md": BUDGET.max_report_bytes,
    }
    assert limits == files._LARGEST and tuple(limits) == capstone.FILES


# --- judging ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def edition(tmp_path_factory):
    """The library as students of the capstone have it."""
    folder = tmp_path_factory.mktemp("edition")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    write_student_edition(folder, [unit.name for unit in Course.load(ROOT).units])
    return folder


@pytest.fixture(scope="module")
def trained():
    """A model that has learned a little, and its numbers on the public test images."""
    torch.manual_seed(0)
    model = CONFIG.build()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    images = load("photos32").train[::40]
    for _ in range(60):
        optimizer.zero_grad()
        loss = -model(images).log_likelihood.mean() + model(images).kl.sum(dim=1).mean()
        loss.backward()
        optimizer.step()
    return model.eval(), capstone.measure(model, samples=2)


@pytest.fixture(scope="module")
def claims(trained):
    model, measured = trained
    reached = measured.importance_weighted
    numbers = round(reached.mean, 4), round(reached.standard_error, 4)
    return Claims("photos32", "embedded", "importance-weighted", *numbers, 2, capstone.trained_numbers(model), 60, 0.01)


@pytest.fixture
def baseline(monkeypatch, claims):
    """A baseline that the model beats by more than all bands."""
    poor = Estimate(claims.bits_per_dim + BUDGET.bands_bpd[-1] + 0.3, 0.05)
    with_baseline(monkeypatch, poor)


def with_baseline(monkeypatch, estimate):
    """Let the baseline have this number on the public images and on every held-out one."""
    everywhere = {"bound": torch.full((held_out.COUNT,), estimate.mean, dtype=torch.float64)}
    monkeypatch.setattr(findings, "baseline", lambda quantity="bound": estimate)
    monkeypatch.setattr(held_out, "_baseline_on", lambda *_: everywhere)


@pytest.fixture
def judged(tmp_path, edition, trained, baseline):
    """Hand in the model with some claims, read the files as the grader does, and judge them in a sandbox."""

    def judged(claims, report=None):
        capstone.hand_in(tmp_path / "work", trained[0], replace(claims, error=min(claims.error, 0.1)), "# Mine", CONFIG)
        if report is not None or claims.error > 0.1:
            (tmp_path / "work" / "report.md").write_text(report or claims.table())
        verdict = judge_capstone(read_capstone(tmp_path / "work", seed=8), edition)
        return {case.name: case for component in verdict.components for case in component.cases}

    return judged


def test_an_honest_model_gets_all_points(judged, claims):
    cases = judged(claims)
    assert [case.name for case in cases.values() if not case.passed] == []
    assert sum(case.points for case in cases.values()) == sum(POINTS.values()) == 30


def test_a_bound_is_compared_with_the_bound(judged, claims, trained):
    bound = round(trained[1].bound.mean, 4)
    cases = judged(replace(claims, quantity="bound", samples=1, bits_per_dim=bound))
    assert all(case.passed for case in cases.values())


def test_an_overstated_claim_loses_its_points_says_by_how_much_and_costs_no_others(judged, claims):
    cases = judged(replace(claims, bits_per_dim=claims.bits_per_dim - 0.7))
    lost = {name: case for name, case in cases.items() if not case.passed}
    assert list(lost) == [REPRODUCES, ELSEWHERE]
    assert re.search(r"0\.(7|70|69)\d? bits per dimension better than the model", lost[REPRODUCES].diagnosis)
    assert "too good by 0." in lost[ELSEWHERE].diagnosis


def test_a_huge_error_earns_nothing_for_a_claim(judged, claims):
    cases = judged(replace(claims, error=50.0, bits_per_dim=0.1))
    assert {name for name, case in cases.items() if not case.passed} == {
        TABLE,
        REPRODUCES,
        ELSEWHERE,
    }
    assert "nearly every claim is true" in cases[TABLE].diagnosis


def test_a_report_without_a_table_keeps_the_points_of_the_model_alone(judged, claims):
    cases = judged(claims, report="# Mine\n\nIt is very good.")
    assert [name for name, case in cases.items() if case.passed] == [REBUILT]
    assert "no row 'bits per dimension'" in cases[TABLE].diagnosis
    assert "needs a table of claims" in cases[BETTER].diagnosis


def test_over_the_declared_budget_no_improvement_counts(judged, claims):
    cases = judged(replace(claims, updates=10**6))
    lost = [name for name, case in cases.items() if not case.passed]
    assert lost == [WITHIN_BUDGET, *CASES["baseline"]]


def test_what_is_claimed_has_no_say_in_the_improvement(judged, claims, monkeypatch):
    with_baseline(monkeypatch, Estimate(claims.bits_per_dim - 0.2, 0.05))
    cases = judged(replace(claims, bits_per_dim=0.5))
    assert not any(cases[name].passed for name in CASES["baseline"])
    assert "worse than the baseline" in cases[BETTER].diagnosis


def test_the_baseline_itself_is_no_improvement_on_any_draw_and_is_flagged(tmp_path, edition):
    model = recorded_model("capstone-baseline")
    reached = capstone.baseline("bound")
    claims = Claims("photos32", "embedded", "bound", round(reached.mean, 4), 0.05, 1, 32_860, 3_000, 0.05)
    record = files_of_package("avae_lib").joinpath("data/records/weights/capstone-baseline.json")
    (tmp_path / "config.json").write_text(json.dumps(json.loads(record.read_text())["config"]))
    (tmp_path / "weights.safetensors").write_bytes(weights_bytes(model))
    (tmp_path / "report.md").write_text(claims.table())
    for seed in (1, 2):
        verdict = judge_capstone(read_capstone(tmp_path, seed), edition)
        _, budget, better = verdict.components
        assert (budget.points, better.points) == (6, 0)
        assert better.cases[0].diagnosis.startswith("the bound is 0.0")
        assert verdict.flags == ("the weights are those of capstone-baseline, a model that came with the library",)


def test_claims_without_weights_earn_nothing(edition, claims, baseline):
    contents = {"report.md": claims.table().encode(), "config.json": b"{}"}
    verdict = judge_capstone(CapstoneWork(contents, {"weights.safetensors": "weights.safetensors is missing"}), edition)
    assert [component.points for component in verdict.components] == [0, 0, 0]
    (first, *others) = verdict.components[0].cases
    assert first.diagnosis == "weights.safetensors is missing"
    assert all("needs a model" in case.diagnosis for case in others)


# --- course grade -----------------------------------------------------------------------------------------------

UNIT = "08_capstone"


def label(grade_id, **facts):
    nbgrader = {"grade_id": grade_id, "schema_version": 3, "grade": False, "solution": False, "locked": False, **facts}
    return {"nbgrader": nbgrader}


def released():
    checks = [
        nbformat.v4.new_code_cell(
            f'capstone.check("{name}")',
            id=f"check_{name}",
            metadata=label(f"check_{name}", grade=True, locked=True, points=points),
        )
        for name, points in POINTS.items()
    ]
    written = label("question_1", solution=True, grade=True, points=4)
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Capstone", id="title"),
            nbformat.v4.new_code_cell(
                "from avae_lib import capstone", id="setup", metadata=label("setup", locked=True)
            ),
            nbformat.v4.new_code_cell("# YOUR CODE HERE", id="train", metadata=label("train", solution=True)),
            *checks,
            nbformat.v4.new_markdown_cell("YOUR ANSWER HERE", id="question_1", metadata=written),
        ]
    )
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.nbformat_minor = 5
    return notebook


@pytest.fixture
def course(tmp_path):
    """A course whose last unit is a capstone."""
    root = tmp_path / "course"
    (root / "assignments" / UNIT).mkdir(parents=True)
    facts = 'title = "C"\nbranch = "main"\n[[units]]\nname = "07_evaluation"\ntitle = "E"\nweight = 50\n'
    facts += f'[[units]]\nname = "{UNIT}"\ntitle = "Capstone"\nweight = 50\nkind = "capstone"\n'
    (root / "course.toml").write_text(facts)
    nbformat.write(released(), root / "assignments" / UNIT / f"{UNIT}.ipynb")
    return Course.load(root)


def submission(course, student, answer="I chose a small model.", code="raise SystemExit"):
    """A folder with the filled-in notebook; its code must never run."""
    notebook = released()
    by_id = {cell.id: cell for cell in notebook.cells}
    by_id["question_1"].source, by_id["train"].source = answer, code
    folder = course.submitted / student / UNIT
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{UNIT}.ipynb")
    return folder


def test_the_kind_of_a_unit_is_read_from_the_course_and_must_be_known(course):
    assert [unit.kind for unit in course.units] == ["components", "capstone"]
    facts = (course.root / "course.toml").read_text().replace('"capstone"', '"essay"')
    (course.root / "course.toml").write_text(facts)
    with pytest.raises(
        CourseError, match='kind in the unit 08_capstone must be "components" or "capstone", got "essay"'
    ):
        Course.load(course.root)


def test_private_images_that_are_not_there_stop_the_run_and_say_so(course):
    with (course.root / "course.toml").open("a") as file:
        file.write('[capstone]\nprivate_images = "private/photos.npz"\n')
    course = Course.load(course.root)
    with pytest.raises(CourseError, match=r"the private_images of course\.toml cannot be used"):
        Batch.of(course, course.unit(UNIT))


def test_every_file_that_is_handed_in_counts_for_the_digest(course, claims):
    folder = submission(course, "ada")
    for name in capstone.FILES:
        (folder / name).write_bytes(b"first")
    batch = Batch.of(course, course.unit(UNIT))
    prepared = [batch.prepare(found) for found in _found(course)]
    digests = {job.sha256 for job in prepared}
    for name in capstone.FILES:
        (folder / name).write_bytes(b"second")
        digests |= {batch.prepare(found).sha256 for found in _found(course)}
        (folder / name).unlink()
        digests |= {batch.prepare(found).sha256 for found in _found(course)}
    assert len(digests) == 7


def _found(course):
    from autograder.intake.submissions import find_submissions

    return find_submissions(course.submitted, UNIT)


def test_a_change_of_how_capstones_are_judged_counts_for_kept_results():
    from autograder.course.grader_version import GRADER
    from autograder.judging.check_digests import _imported_files

    counted = _imported_files(GRADER / "judging" / "grade_submission.py")
    assert set((GRADER / "capstone").glob("*.py")) - {GRADER / "capstone" / "__init__.py"} <= counted


def test_without_a_baseline_nothing_is_graded_and_the_run_says_why(edition, monkeypatch):
    def none_recorded(quantity="bound"):
        raise ValueError("no record is called capstone_baseline")

    monkeypatch.setattr(findings, "baseline", none_recorded)
    with pytest.raises(CourseError, match="capstones cannot be graded: no record"):
        judge_capstone(CapstoneWork({}, {}), edition)


def test_the_baseline_of_the_course_is_that_of_the_library(edition, course):
    assert Course.load(ROOT).baseline_bpd == pytest.approx(capstone.baseline("bound").mean, abs=6e-4)
    with pytest.raises(CourseError, match=r"states baseline_bpd = 4\.5, and the library's baseline has 4\.863"):
        judge_capstone(CapstoneWork({}, {}, baseline_bpd=4.5), edition)
    with (course.root / "course.toml").open("a") as file:
        file.write('[capstone]\nbaseline_bpd = "low"\n')
    with pytest.raises(CourseError, match=r"baseline_bpd in \[capstone\] must be bits per dimension, a number above 0"):
        Course.load(course.root)


def test_a_capstone_is_released_only_with_the_points_of_its_cases(course):
    unit, notebook = course.unit(UNIT), released()
    require_points_of_checks(notebook, unit)
    notebook.cells[3].metadata.nbgrader.points += 1
    with pytest.raises(CourseError, match="check cells of 08_capstone must be worth"):
        require_points_of_checks(notebook, unit)


def test_the_notebook_can_show_what_each_case_is_worth(course):
    shown = filled_in("{{cases of budget}}", course, course.solutions / UNIT / f"{UNIT}.py", exercises=True)
    assert shown.splitlines()[2:] == [f"| {name} | {points:g} |" for name, points in CASES["budget"].items()]
