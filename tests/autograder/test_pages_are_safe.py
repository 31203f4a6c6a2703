"""Every page made from our records in a browser, with hostile texts wherever a student or an LMS can put one."""

import json
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import nbformat
import pytest
from jinja2 import Environment
from nbgrader.api import Gradebook
from playwright.sync_api import expect

from autograder.examples.hostile_texts import HOSTILE_NAMES, HOSTILE_TEXTS
from autograder.feedback.class_feedback import write_feedback
from autograder.feedback.page import write_page
from autograder.gradebook.gradebook_writer import GradebookWriter, autograded_notebook
from autograder.gradebook.points_that_count import unit_standing
from autograder.intake.normalise import normalise
from autograder.nbgrader_bridge.drawn_markdown import drawn_markdown
from autograder.plain_text import harmless_markdown, legible, moderate, unmistakable
from autograder.reports.class_report import write_report
from autograder.reports.similarity_report import write_similarity
from autograder.results import CaseResult, ComponentScore, Graded, SubmissionResult

ROOT = Path(__file__).parents[2]
UNIT = "03_vae"
JOINER = "\u2060"
PATIENCE = 120_000  # milliseconds, for a busy machine
WHOLE_TEXTS = {kind: text for kind, text in HOSTILE_TEXTS.items() if "\ud800" not in text}
STUDENTS = tuple(unmistakable(name) for name in HOSTILE_NAMES.values())
LONG = "\n\n".join(WHOLE_TEXTS.values())

pytestmark = pytest.mark.xdist_group("formgrader")
expect.set_options(timeout=PATIENCE)


def submission_of(release, text) -> bytes:
    """A notebook with a text in its answers, its title, its metadata and cells of the student's own."""
    notebook = json.loads(nbformat.writes(release))
    notebook["metadata"] |= {"title": text, "widgets": {text: text}, "kernelspec": {"name": text, "display_name": text}}
    for cell in notebook["cells"]:
        cell["metadata"] |= {"tags": [text[:40]], "name": text}
        if cell["id"] in ("add", "halve"):
            comment = "\n".join(f"    # {line}" for line in text.splitlines())
            cell["source"] += f"\n{comment}\n    label = {text!r}\n{text if cell['id'] == 'halve' else ''}"
        if cell["id"] == "question_1":
            cell["source"] = text
    own = {"cell_type": "markdown", "id": "own", "metadata": {}, "source": text}
    return json.dumps({**notebook, "cells": [*notebook["cells"], own]}).encode()


def graded(student, release, text) -> Graded:
    """What a grader would record that let every text through as it is."""
    case = CaseResult(text, False, text, 0.0, 3.0)
    scores = {"add": ComponentScore(2.0, 2.0), "halve": ComponentScore(0.0, 3.0, (case,))}
    result = SubmissionResult(student, "graded", "", (text,), 5.0, scores, 1.5)
    return Graded(result, normalise(submission_of(release, text), release).notebook)


def keep(course, result) -> None:
    folder = course.results_of(course.unit(UNIT))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.student}.json").write_text(json.dumps(result.to_record()), encoding="utf-8")


def comment_on(course, student, text) -> None:
    """A person's comments, on code and on a written answer, and points that make the answer count as graded."""
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        for cell in ("question_1", "halve"):
            gradebook.find_comment(cell, UNIT, UNIT, student).manual_comment = text
        gradebook.find_grade("question_1", UNIT, UNIT, student).manual_score = 1
        gradebook.db.commit()


@pytest.fixture(scope="module")
def hostile_class(tmp_path_factory, new_course, blank_gradebook):
    """A course in which every record holds every text, of students who are called as badly as they can be."""
    course = new_course(tmp_path_factory.mktemp("safe") / "course")
    shutil.copy(ROOT / "nbgrader_config.py", course.root)
    shutil.copy(blank_gradebook, course.gradebook)
    release = nbformat.read(course.released_notebook(course.unit(UNIT)), as_version=4)
    writer = GradebookWriter(course, course.unit(UNIT), release)
    for student in STUDENTS:
        work = graded(student, release, LONG)
        writer.record(work)
        keep(course, work.result)
        comment_on(course, student, LONG)
    _record_without_care(course, STUDENTS[1])
    for number, text in enumerate(WHOLE_TEXTS.values()):
        keep(course, SubmissionResult(f"quarantined{number}", "quarantined", text, (), 5.0, {}, 0.1))
    return course


def _record_without_care(course, student) -> None:
    """A notebook as it would lie there if answers had not been made harmless when they were recorded."""
    path = autograded_notebook(course, course.unit(UNIT), student)
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.id == "question_1").source = moderate(LONG)
    nbformat.write(notebook, path)


class Watched:
    """A page in the browser, and what it tried to do."""

    def __init__(self, chromium, home):
        self.page = chromium.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.home, self.errors, self.sent, self.refused, self.opened = home, [], set(), set(), []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.sent.add(request.url))
        self.page.on("requestfailed", lambda request: request.failure == "csp" and self.refused.add(request.url))
        self.page.on("dialog", lambda dialog: (self.opened.append(dialog.message), dialog.dismiss()))
        self.page.on("popup", lambda popup: self.opened.append(popup.url))

    def open(self, address):
        self.sent.clear()
        self.page.goto(address)
        return self

    def assert_nothing_happened(self):
        assert self.page.evaluate("window.broken") is None
        self.assert_nothing_left()
        assert not self.opened and not self.errors
        assert self.page.evaluate("document.title.includes('evil') || document.body.innerText.length > 40")

    def wait_until(self, condition):
        """Playwright's own way is to evaluate text in the page, which the policy forbids."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(f"() => {{ try {{ return {condition}; }} catch {{ return false; }} }}"):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(50)

    def assert_nothing_left(self):
        assert not [url for url in self.sent - self.refused if not url.startswith((self.home, "data:", "about:"))]

    def found(self, selector):
        """The elements of a kind, written out."""
        return self.page.eval_on_selector_all(selector, "all => all.map(one => one.outerHTML.slice(0, 300))")

    def assert_policy_holds(self):
        """Text that got into the page as markup after all would still run nothing and load nothing."""
        self.page.evaluate(
            """async () => {
            const box = document.createElement("div");
            box.innerHTML = "<img src=x onerror=window.broken=2><a href='javascript:window.broken=3'>x</a>"
                + "<iframe srcdoc='<script>parent.broken=4</script>'></iframe><svg onload=window.broken=5></svg>"
                + "<img src=https://evil.invalid/p.png><style>@import url(https://evil.invalid/x.css)</style>"
                + "<form action=https://evil.invalid target=_blank><button>x</button></form><base href=//evil.invalid>";
            document.body.append(box);
            const script = document.createElement("div");
            script.innerHTML = "<script>window.broken=6</script>";
            document.body.append(script);
            box.querySelector("a").click();
            box.querySelector("button").click();
            await new Promise(done => setTimeout(done, 200));
        }"""
        )
        assert self.page.evaluate("window.broken") is None and not self.opened
        assert self.page.evaluate("document.baseURI") == self.page.url
        self.assert_nothing_left()


STATIC = "script, iframe, frame, object, embed, form, input, button, base, link, audio, video, svg, math, marquee"
ACTIVE = f"{STATIC}, meta[http-equiv=refresh], [style*=url], area[href]"


def assert_still(watched: Watched) -> None:
    """What every page of ours without scripts promises."""
    watched.assert_nothing_happened()
    assert not watched.found(ACTIVE)
    assert not watched.page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames()).filter(name => /^on/.test(name))"
    )
    assert all(link.startswith('<a href="#') for link in watched.found("[href]"))
    (policy,) = watched.page.eval_on_selector_all(
        "meta[http-equiv=Content-Security-Policy]", "all => all.map(one => one.content)"
    )
    assert "default-src 'none'" in policy and "base-uri 'none'" in policy and "form-action 'none'" in policy
    assert "script-src" not in policy and "unsafe-eval" not in policy


def text_of(watched, selector="body") -> str:
    return "".join(watched.page.eval_on_selector_all(selector, "all => all.map(one => one.textContent)"))


def assert_shown(text, page_text) -> None:
    """Whether a text stands in a page as it was written, except for signs that cannot be seen."""
    page_text = page_text.replace(JOINER, "")
    for line in filter(None, map(str.strip, legible(text).replace(JOINER, "").split("\n"))):
        assert line in page_text, line


@pytest.fixture(scope="module")
def watched(chromium, hostile_class):
    return Watched(chromium, "file:///")


@pytest.mark.parametrize("student", STUDENTS)
def test_feedback_shows_what_stands_in_the_records_and_nothing_acts(hostile_class, watched, student):
    page = hostile_class.root / "feedback" / student / UNIT / f"{UNIT}.html"
    if not page.exists():
        write_feedback(hostile_class, hostile_class.unit(UNIT))
    assert_still(watched.open(page.as_uri()))
    shown = text_of(watched)
    assert student in shown
    for text in WHOLE_TEXTS.values():
        assert_shown(text, shown)
    watched.assert_policy_holds()


def test_the_page_that_grading_writes_at_once_is_the_same_kind(hostile_class, watched, tmp_path):
    """Before anything is recorded, and so before recording makes it harmless."""
    unit = hostile_class.unit(UNIT)
    release = nbformat.read(hostile_class.released_notebook(unit), as_version=4)
    standing = unit_standing(hostile_class, unit).students[STUDENTS[0]]
    page = write_page(tmp_path, hostile_class, unit, graded(STUDENTS[0], release, LONG), standing)
    assert_still(watched.open(page.as_uri()))
    answers = text_of(watched, ".text, .source")
    assert HOSTILE_TEXTS["script"] in answers
    assert not set(answers) & set("\x1b\x9b\x08\u202e\u2067\ufeff")


def test_the_page_of_a_quarantined_submission_shows_the_reason_and_nothing_acts(hostile_class, watched):
    pages = write_feedback(hostile_class, hostile_class.unit(UNIT))
    quarantined = [page for page in pages if "quarantined" in str(page)]
    assert len(quarantined) == len(WHOLE_TEXTS)
    for page in quarantined:
        assert_still(watched.open(page.as_uri()))


def test_nbgraders_own_feedback_is_as_safe(hostile_class, watched):
    shutil.rmtree(hostile_class.root / "feedback", ignore_errors=True)
    command = [sys.executable, "-m", "nbgrader", "generate_feedback", UNIT]
    subprocess.run(command, cwd=hostile_class.root, check=True, capture_output=True)
    pages = sorted((hostile_class.root / "feedback").rglob("*.html"))
    assert pages
    for page in pages:
        assert_still(watched.open(page.as_uri()))
        assert_shown(HOSTILE_TEXTS["script"], text_of(watched))


@pytest.mark.parametrize("write", [write_report, write_similarity], ids=["report", "similarity"])
def test_instructors_pages_show_the_texts_and_nothing_acts(hostile_class, watched, tmp_path, write):
    write(hostile_class, hostile_class.unit(UNIT), tmp_path)
    (page,) = tmp_path.glob("*.html")
    assert_still(watched.open(page.as_uri()))
    watched.assert_policy_holds()


@pytest.fixture(scope="module")
def drawing():
    environment = Environment()
    environment.filters["markdown2html"] = drawn_markdown
    template = environment.from_string("{{ text | markdown2html }}")
    return lambda text: template.render(text=text)


@pytest.mark.parametrize("kind", HOSTILE_TEXTS)
@pytest.mark.parametrize("is_recorded", [True, False], ids=["recorded", "not made harmless"])
def test_drawn_markdown_holds_nothing_that_acts_with_either_wall_alone(drawing, watched, kind, is_recorded):
    text = moderate(HOSTILE_TEXTS[kind])
    drawn = drawing(harmless_markdown(text) if is_recorded else text)
    watched.open("about:blank")
    watched.page.set_content(f"<title>x</title><main>{drawn}</main><p>{'a long line at the end ' * 3}</p>")
    watched.assert_nothing_happened()
    assert not watched.found(f"main :is({ACTIVE}, a, [style], [id])")
    if is_recorded:
        assert not watched.found("main :is(img, details)")


@contextmanager
def formgrader(course):
    command = [sys.executable, "-m", "autograder.cli", "formgrader", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, cwd=course.root, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().removeprefix("formgrader: ").strip()
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def served(hostile_class, chromium):
    with formgrader(hostile_class) as address:
        watched = Watched(chromium, address.split("/formgrader")[0])
        watched.open(address)
        with Gradebook(f"sqlite:///{hostile_class.gradebook}") as gradebook:
            ids = {
                row.student.id: row.notebooks[0].id
                for row in gradebook.assignment_submissions(UNIT)
            }  # fmt: skip
        yield SimpleNamespace(watched=watched, home=watched.home, submissions=ids)


LISTS = (
    "manage_assignments",
    f"manage_submissions/{UNIT}",
    "gradebook",
    f"gradebook/{UNIT}",
    f"gradebook/{UNIT}/{UNIT}",
)


def assert_sealed(watched: Watched) -> None:
    watched.assert_nothing_happened()
    hosts = watched.page.evaluate("[...document.querySelectorAll('[href]')].map(one => new URL(one.href).host)")
    assert set(hosts) <= {urlsplit(watched.home).netloc, "nbgrader.readthedocs.io"}  # nbgrader's own instructions
    watched.assert_policy_holds()


@pytest.mark.parametrize("page", LISTS)
def test_lists_of_formgrader_work_and_nothing_else_does(served, page):
    served.watched.open(f"{served.home}/formgrader/{page}")
    expect(served.watched.page.locator("#main-table")).not_to_contain_text("Loading")
    if not page.startswith("manage_assignments"):
        expect(served.watched.page.locator("#main-table td").first).to_be_visible()
    assert_sealed(served.watched)


def test_every_button_of_formgraders_lists_still_works(served):
    page = served.watched.open(f"{served.home}/formgrader/gradebook/{UNIT}/{UNIT}").page
    expect(page.get_by_role("link", name="Submission #1", exact=True)).to_be_visible()
    page.get_by_role("button", name="Show All Names").click()
    expect(page.get_by_role("link", name="kim [resit]")).to_be_visible()
    served.watched.open(f"{served.home}/formgrader/manage_students")
    page.get_by_text("Add new student...").click()
    expect(page.locator(".modal-title")).to_be_visible()


@pytest.mark.parametrize("student", STUDENTS[:2])
def test_a_submission_in_formgrader_shows_the_texts_and_nothing_acts(served, student):
    watched = served.watched.open(f"{served.home}/formgrader/submissions/{served.submissions[student]}/")
    watched.wait_until("[formgrader, formgrader.grades, formgrader.comments, MathJax].every(one => one?.loaded)")
    expect(watched.page.locator("#question_1-comment")).to_have_value(LONG.replace("\r\n", "\n").replace("\r", "\n"))
    shown = text_of(watched, "#notebook").replace(JOINER, "")
    if student != STUDENTS[1]:
        for kind in ("script", "picture that tracks", "link", "bare address", "frame", "form"):
            assert HOSTILE_TEXTS[kind] in shown
    answers = watched.page.locator(".nbgrader_cell .panel-body")
    assert answers.locator(".MathJax").count() > 3
    drawn_by_mathjax = ".MathJax *, .MathJax_Preview, [type^='math/']"
    assert not answers.locator(f":is({ACTIVE}, a, [href], [onclick], .btn):not({drawn_by_mathjax})").count()
    assert not answers.locator(".MathJax :is(a, [href], [onclick], [class=btn], #statusmessage)").count()
    assert_sealed(watched)
