"""Publishing week after week: no answers while a unit is open, no student's work overwritten, nothing private along."""

import json
import os
import shutil
import signal
import subprocess
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from autograder import cli
from autograder.course.course import Course, CourseError
from autograder.course.extensions import extensions_file, grant
from autograder.course.late_policy import LatePolicy
from autograder.gradebook.open_gradebook import opened_gradebook
from autograder.releasing import published_files
from autograder.releasing.leaks import leaks, leaks_in_history
from autograder.releasing.publication import publish
from autograder.releasing.published_files import DRAFT, RECORD
from autograder.releasing.units_to_publish import Edition, closing_of, edition_for

ROOT = Path(__file__).parents[3]
UNIT = "00_start_here"
NOTEBOOK = f"assignments/{UNIT}/{UNIT}.ipynb"
WEEK = timedelta(days=7)
START = datetime(2027, 3, 1, 22, 59, tzinfo=UTC)  # unit 00 is due then, unit 01 a week later, and so on


@pytest.fixture
def course(tmp_path) -> Course:
    """Three units of this course, released and without due dates, with late work accepted for five days."""
    root = tmp_path / "course"
    for name in (UNIT, "01_kl_divergence", "02_mean_field"):
        shutil.copytree(ROOT / "solutions" / name, root / "solutions" / name)
        shutil.copytree(ROOT / "assignments" / name, root / "assignments" / name)
    for name in ("course.toml", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, root)
    return Course.load(root)


@pytest.fixture
def dated(course) -> Course:
    """The same, one unit due each week."""
    units = (replace(unit, due=START + number * WEEK) for number, unit in enumerate(course.units))
    return replace(course, units=tuple(units))


def names(units) -> list[str]:
    return [unit.name for unit in units]


def days(count: float) -> timedelta:
    return timedelta(days=count)


# Which answers an edition may hold


@pytest.mark.parametrize(
    ("now", "through", "answered"),
    [
        (START - days(1), "00_start_here", []),
        (START + days(4.9), "00_start_here", []),
        (START + days(5.1), "01_kl_divergence", ["00_start_here"]),
        (START + 2 * WEEK + days(5.1), "03_vae", ["00_start_here", "01_kl_divergence", "02_mean_field"]),
    ],
)
def test_an_edition_goes_by_default_to_the_first_unit_that_can_still_be_handed_in(dated, now, through, answered):
    edition = edition_for(dated, now=now)
    assert edition.through.name == through and names(edition.answers_of) == answered


def test_when_all_units_are_over_the_edition_goes_to_the_last(dated):
    edition = edition_for(dated, now=START + 52 * WEEK)
    assert edition.through == dated.units[-1] and edition.answers_of == dated.units[:-1]


def test_without_due_dates_every_unit_counts_as_open_and_that_is_said(course):
    edition = edition_for(course)
    assert edition.through.name == UNIT and edition.answers_of == ()
    assert "00_start_here, it has no due date in course.toml" in edition.remarks[0]
    with pytest.raises(CourseError, match="00_start_here: it has no due date"):
        edition_for(course, course.unit("01"))


def test_where_late_work_is_accepted_without_end_no_unit_closes(dated):
    endless = replace(dated, late_policy=LatePolicy())
    assert edition_for(endless, now=START + 52 * WEEK).through.name == UNIT
    assert "late work is accepted without limit" in closing_of(endless, endless.units[0]).reason


def test_answers_of_open_units_are_refused_with_dates_and_choices(dated):
    with pytest.raises(CourseError) as refusal:
        edition_for(dated, dated.unit("02"), now=START + days(6))
    said = str(refusal.value)
    assert "01_kl_divergence: until 2027-03-13 22:59 UTC (due 2027-03-08 22:59 UTC, 5 days for late work)" in said
    assert "--with-answers-of 01" in said and "--without-answers-of 01" in said and "00_start_here" not in said


def test_answers_of_open_units_are_handed_out_or_kept_back_by_name(dated):
    last, first = dated.unit("02"), dated.unit("01")
    out = edition_for(dated, last, with_answers_of=[first], now=START + days(6))
    assert names(out.answers_of) == ["00_start_here", "01_kl_divergence"] and out.kept_back == ()
    back = edition_for(dated, last, without_answers_of=[first], now=START + days(6))
    assert names(back.answers_of) == ["00_start_here"] and names(back.kept_back) == ["01_kl_divergence"]
    assert back.summary == (
        "units up to 02_mean_field; answers of 00_start_here included, those of 01_kl_divergence left out"
    )


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ({"with_answers_of": ["02"]}, "does not come before"),
        ({"with_answers_of": ["01"], "without_answers_of": ["01"]}, "both"),
    ],
)
def test_names_that_make_no_sense_are_refused(dated, named, complaint):
    units = {option: [dated.unit(name) for name in choice] for option, choice in named.items()}
    with pytest.raises(CourseError, match=complaint):
        edition_for(dated, dated.unit("02"), **units, now=START)


def test_an_extension_keeps_a_unit_open(dated):
    (dated.submitted / "ada").mkdir(parents=True)
    grant(dated, dated.unit(UNIT), "ada", 10, "ill")
    assert edition_for(dated, now=START + days(14.9)).through.name == UNIT
    assert edition_for(dated, now=START + days(15.1)).through.name == "02_mean_field"
    assert "an extension of 10 days" in closing_of(dated, dated.unit(UNIT)).reason
    extensions_file(dated).write_text("student,unit\nada,00\n")
    with pytest.raises(CourseError, match="has no column"):
        edition_for(dated)


def test_an_extension_that_only_the_gradebook_knows_keeps_a_unit_open(dated, blank_gradebook):
    shutil.copy(blank_gradebook, dated.gradebook)
    with opened_gradebook(dated) as gradebook:
        gradebook.add_assignment(UNIT)
        gradebook.add_student("ada")
        gradebook.add_submission(UNIT, "ada").extension = days(10)
        gradebook.db.commit()
    assert edition_for(dated, now=START + days(14)).through.name == UNIT


def test_a_day_in_which_the_clocks_change_is_a_day(course):
    course.root.joinpath("course.toml").write_text(
        (ROOT / "course.toml")
        .read_text(encoding="utf-8")
        .replace('"UTC"', '"Europe/Berlin"')
        .replace('name = "00_start_here"', 'name = "00_start_here"\ndue = 2027-03-27T23:59:00')
    )
    course = Course.load(course.root)
    closing = closing_of(course, course.unit(UNIT))
    assert (
        closing.moment == datetime(2027, 4, 1, 21, 59, tzinfo=UTC) and "until 2027-04-01 23:59 CEST" in closing.reason
    )


def test_the_command_says_what_is_included_and_refuses_the_rest(course, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(course.root)
    place = str(tmp_path / "repository")
    assert cli.main(["publish", place, "--through", "01"]) == 1
    assert "--with-answers-of 00" in capsys.readouterr().err and not Path(place).exists()
    assert cli.main(["publish", place]) == 0
    assert "units up to 00_start_here; answers of no unit included" in capsys.readouterr().out
    assert leaks(course, Path(place)) == ()
    assert cli.main(["publish", place, "--through", "02", "--with-answers-of", "00", "--without-answers-of", "01"]) == 0
    said = capsys.readouterr().out
    assert "answers of 00_start_here included, those of 01_kl_divergence left out" in said
    assert leaks(course, Path(place), [UNIT]) == () and leaks(course, Path(place)) != ()


# What lies in the folder already


@pytest.fixture
def publishing(course, tmp_path):
    """Publish unit 00 into the students' repository; returns what was kept."""

    def act(*overwrite: str, through: str = UNIT) -> tuple[str, ...]:
        edition = Edition(course.unit(through), course.before(course.unit(through)))
        return publish(course, tmp_path / "repository", edition, overwrite)

    return act


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "repository"


def answer(path: Path) -> bytes:
    """A student's work in a notebook."""
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "log_mean_exp").source = "my_answer = 1"
    nbformat.write(notebook, path)
    return path.read_bytes()


def mend_typo(course) -> None:
    path = course.assignments / UNIT / f"{UNIT}.ipynb"
    path.write_text(path.read_text(encoding="utf-8").replace("Start here", "Begin here"), encoding="utf-8")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_publishing_again_without_a_change_changes_no_byte(publishing, place):
    publishing()
    before = files_of(place)
    assert publishing() == () and files_of(place) == before


def test_an_answered_notebook_is_kept_and_named(course, publishing, place, monkeypatch, capsys):
    publishing()
    written = answer(place / NOTEBOOK)
    mend_typo(course)
    assert publishing() == (NOTEBOOK,)
    assert (place / NOTEBOOK).read_bytes() == written
    monkeypatch.chdir(course.root)
    assert cli.main(["publish", str(place)]) == 0
    assert f"kept, because they were changed after they were published: {NOTEBOOK}" in capsys.readouterr().out
    assert (place / NOTEBOOK).read_bytes() == written


def test_an_untouched_notebook_gets_the_correction(course, publishing, place):
    publishing()
    mend_typo(course)
    assert publishing() == ()
    assert "Begin here" in (place / NOTEBOOK).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [NOTEBOOK, f"./{NOTEBOOK}", "assignments"])
def test_a_changed_file_is_overwritten_when_it_is_named(course, publishing, place, name):
    publishing()
    answer(place / NOTEBOOK)
    (place / "README.md").write_text("Ours.")
    mend_typo(course)
    assert publishing(name) == ("README.md",)
    assert "Begin here" in (place / NOTEBOOK).read_text(encoding="utf-8")
    assert (place / "README.md").read_text() == "Ours."
    assert publishing("README.md") == ()


def test_a_name_that_fits_nothing_changed_is_refused(publishing, place):
    publishing()
    before = files_of(place)
    with pytest.raises(CourseError, match=r"--overwrite names READNE\.md"):
        publishing("READNE.md")
    assert files_of(place) == before


def test_what_an_earlier_edition_held_goes_unless_somebody_has_changed_it(publishing, place):
    publishing(through="02_mean_field")
    answered = place / "assignments/01_kl_divergence/01_kl_divergence.ipynb"
    answered.write_bytes(answered.read_bytes() + b"\n")
    (place / "notes.txt").write_text("Mine.")
    assert publishing() == ("assignments/01_kl_divergence/01_kl_divergence.ipynb",)
    assert answered.exists() and not (place / "assignments/02_mean_field").exists()
    assert (place / "notes.txt").read_text() == "Mine."


def test_an_earlier_publication_without_a_record_is_not_overwritten_without_a_word(course, publishing, place):
    publishing()
    (place / RECORD).unlink()
    assert publishing() == ()  # nothing differs, and from now on there is a record
    (place / RECORD).unlink()
    mend_typo(course)
    before = files_of(place)
    with pytest.raises(CourseError, match=r"does not record what was published.*--overwrite assignments"):
        publishing()
    assert files_of(place) == before
    assert publishing("assignments") == ()


def test_a_record_that_cannot_be_read_is_named(publishing, place):
    publishing()
    for content in ("{", "[]", '{"files": {"../x": ["1"]}}', '{"files": {"/x": ["1"]}}'):
        (place / RECORD).write_text(content)
        with pytest.raises(CourseError, match=r"\.published\.json cannot be read"):
            publishing()


def test_nothing_is_written_through_a_link(publishing, place, tmp_path):
    publishing()
    library = tmp_path / "library"
    (place / "avae_lib").rename(library)
    (place / "avae_lib").symlink_to(library)
    before = files_of(library)
    with pytest.raises(CourseError, match="avae_lib is a link"):
        publishing(through="01_kl_divergence")
    assert files_of(library) == before


@pytest.mark.parametrize(
    "folder", ["students", "students/repository", "solutions/new", "assignments", ".", "submitted"]
)
def test_no_folder_of_the_course_itself_is_published_into(course, folder):
    with pytest.raises(CourseError, match=r"not for students|contains other files"):
        publish(course, course.root / folder, Edition(course.unit(UNIT), ()))
    assert not (course.root / "students").exists()


def test_publishing_that_is_killed_loses_nothing_and_goes_well_the_next_time(course, publishing, place):
    publishing()
    written = answer(place / NOTEBOOK)
    mend_typo(course)
    for steps in (0, 1, 2):
        child = os.fork()
        if child == 0:
            moved = []

            def move(draft, target, steps=steps, moved=moved):
                if len(moved) == steps:
                    os.kill(os.getpid(), signal.SIGKILL)
                moved.append(target)
                os.replace(draft, target)

            published_files.move = move
            try:
                publishing(through="01_kl_divergence")
            finally:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert (place / NOTEBOOK).read_bytes() == written
        assert publishing() == (NOTEBOOK,)
        assert not (place / DRAFT).exists() and leaks(course, place) == ()


# What must not come along


def test_students_are_told_the_facts_of_the_course_and_nothing_private(course, publishing, place):
    toml = course.root / "course.toml"
    text = toml.read_text(encoding="utf-8").replace(
        'name = "00_start_here"', 'name = "00_start_here"\ncanvas_id = 4711'
    )
    text = text.replace("# private_images", "private_images").replace(
        "[late_policy]", "# the password is 12345\n[late_policy]"
    )
    toml.write_text(text.replace('name = "01_kl', 'due = 2027-03-12T23:59:00\nname = "01_kl'), encoding="utf-8")
    course = Course.load(course.root)
    publish(course, place, Edition(course.unit(UNIT), ()))
    told = (place / "course.toml").read_text(encoding="utf-8")
    for private in ("4711", "12345", "private_images", "roster", "students/"):
        assert private not in told
    read = Course.load(place)
    assert names(read.units) == names(course.units) and read.late_policy == course.late_policy
    assert read.unit("01").due == datetime(2027, 3, 12, 23, 59, tzinfo=UTC)
    assert tomllib.loads(told)["title"] == course.title


def test_checkpoints_and_hidden_files_stay_at_home(course, publishing, place):
    data = course.assignments / UNIT / "data"
    (data / ".ipynb_checkpoints").mkdir(parents=True)
    (data / ".ipynb_checkpoints" / "solved-checkpoint.ipynb").write_text("{}")
    (data / "numbers.csv").write_text("1,2\n")
    publishing()
    assert [path.name for path in (place / "assignments" / UNIT / "data").rglob("*")] == ["numbers.csv"]
    assert not list(place.rglob(".ipynb_checkpoints"))


def test_the_package_holds_arrays_and_sentences_and_no_code_of_answers(course, publishing, place):
    publishing()
    library = place / "avae_lib"
    assert {path.suffix for path in library.rglob("*") if path.is_file()} <= {
        ".py",
        ".json",
        ".html",
        ".png",
        ".safetensors",
        ".npz",
        ".txt",
        ".md",
        ".gz",
        ".typed",
    }
    for path in library.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "BEGIN SOLUTION" not in text and "@implements(" not in text, path


def test_answers_in_the_git_history_of_the_folder_are_warned_of(course, place, monkeypatch, capsys):
    library = place / "avae_lib"
    library.mkdir(parents=True)
    shutil.copy(ROOT / "avae_lib" / "logarithms.py", library)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "week 1"]):
        subprocess.run([*git, *arguments], cwd=place, check=True)
    shutil.rmtree(library)
    (place / RECORD).write_text('{"files": {}}')
    monkeypatch.chdir(course.root)
    assert cli.main(["publish", str(place)]) == 0
    said = capsys.readouterr().err
    assert "logarithms.py contains the library's body of log_mean_exp" in said and "new repository" in said
    assert leaks_in_history(course, place, [UNIT]) == ()
    assert leaks_in_history(course, place / "avae_lib") == ()


def test_files_of_students_are_ignored_by_git(publishing, place):
    publishing()
    ignored = (place / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"my_components.py", ".ipynb_checkpoints/", f"/{DRAFT}/"} <= set(ignored)


@pytest.mark.parametrize("content", ["[]", "{}", '{"worksheets": [{"cells": [{"input": "x = 1"}]}]}', "no json"])
def test_a_file_that_is_no_notebook_does_not_stop_the_search_for_answers(course, tmp_path, content):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "odd.ipynb").write_text(content)
    assert leaks(course, tmp_path / "odd") == ()


def test_an_answer_in_a_notebook_of_an_old_version_is_found(course, tmp_path):
    body = (
        "largest = x.amax(dim=dim, keepdim=True)\nreturn (x - largest).exp().mean(dim=dim).log() + largest.squeeze(dim)"
    )
    cell = {"input": f"def f(x, dim):\n    {body}".replace("\nreturn", "\n    return"), "cell_type": "code"}
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "old.ipynb").write_text(json.dumps({"worksheets": [{"cells": [cell]}]}))
    assert leaks(course, tmp_path / "odd")
