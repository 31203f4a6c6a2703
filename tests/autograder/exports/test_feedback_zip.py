"""Feedback on its way back: Moodle and Canvas must find each student by the names in the archive.

The readers follow the systems' own importers, not our writer.
"""

import io
import json
import zipfile

import nbformat
import pytest

from autograder import cli
from autograder.collecting.collect import collect
from autograder.course.course import CourseError
from autograder.exports.feedback_zip import write_feedback_zip
from autograder.feedback.class_feedback import write_feedback

UNIT = "03_vae"
ROSTER = "id,name,canvas_id\nada,Ada Lovelace,101\nzoe,Zoë Ångström,102\nben,Ben,103\n"
MOODLE = {
    "Ada Lovelace_7_assignsubmission_file/03_vae.ipynb": "a",
    "Zoë Ångström_8_assignsubmission_file_/03_vae.ipynb": "z",
}
CANVAS = {
    "lovelaceada_101_9001_03_vae.ipynb": "a",
    "ångströmzoë_LATE_102_9002_all my_files.zip": "placeholder",
}


@pytest.fixture
def graded(course, record, tmp_path):
    """Three graded students, of whom two were collected from a download with the given files; and their pages."""
    course.roster.parent.mkdir()
    course.roster.write_text(ROSTER, encoding="utf-8")

    def with_download(files):
        with zipfile.ZipFile(tmp_path / "download.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        collect(course, course.unit(UNIT), tmp_path / "download.zip")
        record("ada", halve=1.5, diagnosis="half is missing <b>here</b> ![](http://x)")
        record("zoe")
        record("ben")
        return {page.parents[1].name: page for page in write_feedback(course, course.unit(UNIT))}

    return with_download


def zipped_notebook():
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("03_vae.ipynb", "z")
    return inner.getvalue()


def moodle_finds(path, participants):
    """The number and the file's name that Moodle makes of each path in an archive.

    https://github.com/moodle/moodle/blob/main/mod/assign/feedback/file/importziplib.php, is_valid_filename_for_import
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert not name.rpartition("/")[2].startswith((".", "~"))
            parts = name.split("/")
            while parts:
                info = parts.pop(0).split("_", 4)
                if len(info) >= 4 and info[1].isdigit() and int(info[1]) in participants:
                    assert info[2:4] == ["assignsubmission", "file"]
                    rest = [*([info[4]] if len(info) > 4 and info[4] else []), *parts]
                    yield participants[int(info[1])], "/".join(rest), archive.read(name)
                    break


def canvas_finds(path, attachments):
    """The student and the content that Canvas attaches, for each name that it understands.

    https://github.com/instructure/canvas-lms/blob/master/app/models/abstract_assignment.rb,
    infer_comment_context_from_filename; ``attachments``: (user, file handed in) by their numbers.
    """
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            parts = [part for part in name.rpartition("/")[2].split("_") if part != "LATE"]
            user, attachment = [part for part in parts if part.isdigit()][:2]
            yield attachments[user, attachment], archive.read(name)


def test_moodle_finds_each_students_page_by_its_folder(course, graded, tmp_path):
    pages = graded(MOODLE)
    path, remarks = write_feedback_zip(course, course.unit(UNIT), "moodle", pages, tmp_path / "out")
    found = {student: (name, content) for student, name, content in moodle_finds(path, {7: "ada", 8: "zoe"})}
    assert found == {student: ("03_vae.html", pages[student].read_bytes()) for student in ("ada", "zoe")}
    assert remarks == ("1 left out, because their work was not collected from Moodle: ben",)
    assert path.stat().st_mode & 0o777 == 0o600


def test_canvas_gets_back_what_opens_under_the_name_of_the_file_that_was_handed_in(course, graded, tmp_path):
    pages = graded({**CANVAS, "ångströmzoë_LATE_102_9002_all my_files.zip": zipped_notebook()})
    path, remarks = write_feedback_zip(course, course.unit(UNIT), "canvas", pages, tmp_path / "out")
    attachments = {("101", "9001"): "03_vae.ipynb", ("102", "9002"): "all my_files.zip"}
    found = dict(canvas_finds(path, attachments))
    assert set(found) == set(attachments.values()) and "ben" in remarks[0]
    notebook = nbformat.reads(found["03_vae.ipynb"].decode("utf-8"), as_version=4)
    nbformat.validate(notebook)
    (cell,) = notebook.cells
    assert cell.cell_type == "markdown" and "3.5 points of 8" in cell.source
    assert "**halve: halves** 1.5/3: half is missing" in cell.source
    assert "<b>" not in cell.source and "](" not in cell.source, "what students wrote opens no markup"
    (tmp_path / "inner.zip").write_bytes(found["all my_files.zip"])
    with zipfile.ZipFile(tmp_path / "inner.zip") as inner:
        assert inner.read("03_vae.html") == pages["zoe"].read_bytes()


def test_the_same_pages_give_the_same_archive(course, graded, tmp_path):
    pages = graded(MOODLE)
    first, _ = write_feedback_zip(course, course.unit(UNIT), "moodle", pages, tmp_path / "first")
    second, _ = write_feedback_zip(course, course.unit(UNIT), "moodle", pages, tmp_path / "second")
    assert first.read_bytes() == second.read_bytes()


def test_a_system_that_work_was_not_collected_from_cannot_be_answered(course, graded, tmp_path):
    pages = graded(MOODLE)
    with pytest.raises(CourseError, match=r"no submission was collected from Canvas.*run course collect"):
        write_feedback_zip(course, course.unit(UNIT), "canvas", pages, tmp_path)
    with pytest.raises(CourseError, match="Gradescope accepts no feedback files"):
        write_feedback_zip(course, course.unit(UNIT), "gradescope", pages, tmp_path)


def test_the_command_writes_pages_and_archive_and_logs_it(course, graded, monkeypatch, capsys):
    graded(MOODLE)
    monkeypatch.chdir(course.root)
    assert cli.main(["feedback", "03", "--zip", "moodle"]) == 0
    said = capsys.readouterr().out
    assert (
        "exports/feedback-03_vae-moodle.zip" in said
        and "1 left out, because their work was not collected from Moodle: ben" in said
    )
    events = [json.loads(line).get("event") for line in (course.records / "audit.jsonl").read_text().splitlines()]
    assert events.count("feedback zip") == 1
