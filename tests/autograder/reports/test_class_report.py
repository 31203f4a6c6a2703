"""The class report: its numbers are those of the class, and nothing of a student's runs in the instructor's browser."""

import base64
import csv
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from autograder import cli
from autograder.course.course import CourseError
from autograder.reports.class_report import write_report
from autograder.reports.stumbling import cases, components, diagnoses, flags, follow_ups
from autograder.results import CaseResult, ComponentScore, SubmissionResult

UNIT = "03_vae"


def result(student, points, diagnosis="", flags=()):
    passed = points == 2
    score = ComponentScore(points, 2.0, (CaseResult("values", passed, diagnosis, points, 2.0),))
    return SubmissionResult(student, "graded", "", flags, 2.0, {"kl": score}, 1.0)


def test_components_count_all_some_and_none():
    (record,) = components([result("a", 2.0), result("b", 2.0), result("c", 0.5), result("d", 0.0)])
    assert (record.full, record.some, record.none, record.count) == (2, 1, 1, 4)
    assert record.mean_share == pytest.approx((1 + 1 + 0.25 + 0) / 4)


def test_cases_come_the_hardest_first():
    easy, hard = CaseResult("easy", True, "", 1, 1), CaseResult("hard", False, "no", 0, 1)
    score = ComponentScore(1.0, 2.0, (easy, hard))
    (first, second) = cases([SubmissionResult("a", "graded", components={"kl": score})])
    assert (first.name, first.share, second.name, second.share) == ("hard", 0.0, "easy", 1.0)


def test_diagnoses_that_differ_in_a_number_are_one_and_names_with_digits_stay_apart():
    said = ["divided by 3", "divided by 64", "divided by 64", "uses log2 of x", "uses log1 of x"]
    groups = diagnoses([result(f"s{i}", 0.0, text) for i, text in enumerate(said)])
    assert [(group.text, len(group.students)) for group in groups] == [
        ("divided by 64", 3),
        ("uses log1 of x", 1),
        ("uses log2 of x", 1),
    ]


def test_a_flag_counts_each_student_once():
    (group,) = flags([result("a", 2.0, flags=("x", "x")), result("b", 2.0, flags=("x",))])
    assert group.students == ("a", "b")


@pytest.fixture(scope="module")
def graded(tmp_path_factory, new_course, recorder):
    course = new_course(tmp_path_factory.mktemp("graded") / "course")
    record = recorder(course)
    record("ada")
    record("<b>ben", halve=1.5, diagnosis="<script>alert(1)</script> `halve`", flags=("=flagged <img src=x>",))
    record("cleo", halve=0.0, diagnosis="divided by four")
    record("=lea", reason="not <i>JSON</i>")
    return course


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_page_is_self_contained_and_shows_what_students_wrote_as_text(graded, tmp_path):
    page, _ = write_report(graded, graded.unit(UNIT), tmp_path)
    html = Page(page.read_text(encoding="utf-8"))
    assert not {"script", "b", "i", "iframe", "link"} & {tag for tag, _ in html.tags}
    images = [attributes for tag, attributes in html.tags if tag == "img"]
    assert len(images) == 3
    for image in images:
        assert image["src"].startswith("data:image/svg+xml;base64,") and len(image["alt"]) > 40
        ElementTree.fromstring(base64.b64decode(image["src"].partition(",")[2]))
    assert all(not re.match(r"https?:", value or "") for _, attributes in html.tags for value in attributes.values())
    assert "<script>alert(1)</script>" in html.text and "not <i>JSON</i>" in html.text


def test_the_table_says_the_same_and_can_be_opened_in_a_spreadsheet(graded, tmp_path):
    _, table = write_report(graded, graded.unit(UNIT), tmp_path)
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    numbers = {row["what"]: row["count"] for row in rows if row["kind"] == "number"}
    assert numbers == {
        "graded": "3",
        "quarantined": "1",
        "handed in, not graded yet": "0",
        "missing": "0",
        "late": "0",
        "handed in at an unknown time": "3",
        "flagged": "1",
        "to grade by hand": "3",
        "open regrade requests": "0",
        "median points": "3.5",
        "maximum points": "8",
    }
    assert ("case passed", "halve", "1", "3") in {(r["kind"], r["component"], r["count"], r["of"]) for r in rows}
    assert {r["students"] for r in rows if r["kind"] == "quarantined"} == {"'=lea"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_the_command_names_both_files_and_an_ungraded_unit_is_refused(graded, monkeypatch, capsys):
    monkeypatch.chdir(graded.root)
    assert cli.main(["report", "03"]) == 0
    html, table = capsys.readouterr().out.split()
    assert html.endswith(f"report-{UNIT}.html") and table.endswith(f"report-{UNIT}.csv")
    with pytest.raises(CourseError, match="course grade"):
        write_report(graded, graded.unit("01"), graded.root)


def test_a_class_in_which_nothing_could_be_graded_still_gets_a_report(course, record, tmp_path):
    record("lea", reason="not JSON")
    page, _ = write_report(course, course.unit(UNIT), tmp_path)
    assert "not JSON" in page.read_text(encoding="utf-8")


def test_work_in_wrong_places_and_students_without_any_are_named(course, record, hand_in, tmp_path):
    course.roster.parent.mkdir()
    course.roster.write_text("id\nada\n007\nleo\n")
    for student in ("ada", "7"):
        record(student)
        hand_in(student, b"{}")
    (course.submitted / "=<b>leo" / "Unit 3").mkdir(parents=True)
    (course.submitted / "=<b>leo" / "Unit 3" / "03_vae.ipynb").touch()
    page, table = write_report(course, course.unit(UNIT), tmp_path)
    html = Page(page.read_text(encoding="utf-8"))
    assert "=<b>leo/Unit 3/03_vae.ipynb" in html.text and "b" not in {tag for tag, _ in html.tags}
    assert "'7' is probably '007'" in html.text
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = [(row["kind"], row["what"], row["students"]) for row in csv.DictReader(file)]
    assert ("in the wrong place", "'=<b>leo/Unit 3/03_vae.ipynb", "") in rows
    assert ("handed in nothing", "", "leo") in rows and ("not in the roster", "", "7") in rows
    assert any(kind == "probably another id" and who == "7" for kind, _, who in rows)


def judged_cases(function):
    """Cases as the judge leaves them for a wrong answer to a real component."""
    from autograder.checks import checks_of
    from autograder.checks.judge_component import judge_component
    from avae_lib.checking.harnesses import observe

    check = next(check for check in checks_of("01_kl_divergence") if check.component == "kl_diagonal_gaussian")
    return judge_component(check.trials(1), check, lambda request: observe(function, request)).cases


def test_the_commonest_mistakes_are_causes_and_not_what_only_points_to_them():
    def reversed_kl(q_mean, q_log_std, p_mean, p_log_std):
        precision = (-2 * q_log_std).exp()
        terms = q_log_std - p_log_std + ((2 * p_log_std).exp() + (q_mean - p_mean) ** 2) * precision / 2 - 0.5
        return terms.sum(-1)

    failed = [case for case in judged_cases(reversed_kl) if not case.passed]
    judged = [CaseResult(case.name, False, case.diagnosis, 0.0, case.max_points) for case in failed]
    score = ComponentScore(0.0, 5.0, tuple(judged))
    results = [SubmissionResult(name, "graded", components={"kl": score}) for name in ("ada", "ben")]
    causes, pointers = diagnoses(results), follow_ups(results)
    assert pointers, "later cases fail for the first one's reason"
    assert "KL(p‖q)" in causes[0].text.replace("KL(p ‖ q)", "KL(p‖q)") and causes[0].students == ("ada", "ben")
    assert not [group.text for group in causes if re.search("counts once|see to “|not run any more", group.text)]


def test_what_is_said_besides_a_pointer_is_a_cause():
    said = ["counts once “values” passes; besides, it changed its input", "see to “values” first", "divided by 3"]
    groups = diagnoses([result(f"s{i}", 0.0, text) for i, text in enumerate(said)])
    assert {group.text for group in groups} == {"it changed its input", "divided by 3"}


def test_flags_of_one_kind_are_one_row_with_names_and_their_words():
    said = {
        "ada": ("the answer to 'kl' was in a cell of the student's own and was taken from there",),
        "ben": ("the answer to 'elbo' was in a cell of the student's own and was taken from there", "2 code cells"),
        "cleo": ("3 code cells", "cells with unknown labels were ignored: foo, bar"),
        "dan": ("cells with unknown labels were ignored: extra",),
    }
    groups = flags([result(student, 2.0, flags=texts) for student, texts in said.items()])
    assert [(group.text, group.students) for group in groups] == [
        ("cells with unknown labels were ignored: …", ("cleo", "dan")),
        ("the answer to … was in a cell of the student's own and was taken from there", ("ada", "ben")),
        ("… code cells", ("ben", "cleo")),
    ]
    assert groups[2].notes == (("ben", "2 code cells"), ("cleo", "3 code cells"))


def test_flags_of_the_repairs_that_differ_in_names_only_are_one_kind():
    flag = "the answer to '{0}' uses {0}_helper, scale from other cells of the student's; added to it, please check"
    results = [result(name, 2.0, flags=(flag.format(name),)) for name in ("add", "halve")]
    (group,) = flags(results)
    assert len(group.notes) == 2
