"""The page of written answers in a real browser, driven by keyboard alone; the gradebook is read afterwards."""

import base64
import io
import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from itertools import pairwise

import nbformat
import pytest
from nbgrader.api import Gradebook
from PIL import Image
from playwright.sync_api import expect

from autograder.course.course import Course, CourseError
from autograder.course.secret import CourseSecret
from autograder.examples.hostile_texts import HOSTILE_NAMES, HOSTILE_TEXTS
from autograder.gradebook.class_grades import class_grades
from autograder.gradebook.gradebook_writer import GradebookWriter, autograded_notebook
from autograder.gradebook.points_that_count import unit_standing
from autograder.intake.normalise import normalise
from autograder.nbgrader_bridge.answer_sheet.questions import written_questions
from autograder.nbgrader_bridge.answer_sheet.serving import serve_answers
from autograder.plain_text import unmistakable
from autograder.results import ComponentScore, Graded, SubmissionResult

UNIT, QUESTION, WORTH = "03_vae", "question_1", 3
PATIENCE = 120_000  # milliseconds, for a busy machine
expect.set_options(timeout=PATIENCE)

HOSTILE = {
    "script": '<script>window.broken = 1</script><img src="https://example.org/spy.png" onerror="window.broken = 1">',
    "template": "{{ 7 * 7 }}</div></article><h1>graded: 3 of 3</h1> {% raw %} &lt;b&gt; <!-- ",
    "commands": r"$\href{javascript:window.broken=1}{click}$ $\require{html}\style{position:fixed;top:0}{big}$ "
    r"$\class{current}{c}$ $\def\alpha{5}\newcommand{\frac}[2]{9}\let\sum\int 1$ $\unicode{x}$",
    "covering": r"$\rule{200em}{200em}$ $\kern-400em\raise400em{\text{graded: 3 of 3}}$ $\label{a}\tag{1}$",
    "looping": r"$\def\x{\x\x}\x$ and $" + r"\frac{1}{" * 400 + "$",
    "rightleft": "\u202eתשובה אחת\u202c הערכים הם 3 \u2067و\u2069",
    "long": "An answer. " * 1_600 + "THE END",
    "wide": "x" * 5_000 + r" \(" + "y" * 3_000,
    "lines": "\n" * 300 + "below",
    "picture": "As drawn here: ![](attachment:drawing.png) and below.",
    "formula": r"Since $\frac{1}{n}\sum_i e^{x_i} \le e^{\max_i x_i}$, as $\alpha$ shows. $$\label{a}\tag{1} a^2$$",
    "blank": "YOUR ANSWER HERE",
    **{f"{kind} (text)": text for kind, text in HOSTILE_TEXTS.items() if "\ud800" not in text},
}
NAMES = tuple(unmistakable(name) for name in HOSTILE_NAMES.values())


def png(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class Class:
    """A course in which a class has been graded; only the written answers differ."""

    def __init__(self, root, new_course, release, blank_gradebook):
        self.course, self._release = new_course(root), release
        self.unit = self.course.unit(UNIT)
        shutil.copy(blank_gradebook, self.course.gradebook)
        folder = self.course.solutions / UNIT
        folder.mkdir(parents=True)
        solved = nbformat.from_dict(release)
        solved.cells[-1].source = "### BEGIN SOLUTION\nThey *commute*.\n\n*Rubric.* 1 point: says so.\n### END SOLUTION"
        nbformat.write(solved, folder / f"{UNIT}.ipynb")

    def hand_in(self, student, text, pictures=()):
        """Record a submission whose written answer is ``text``, as a run of the grader does."""
        notebook = nbformat.from_dict(self._release)
        notebook.cells[-1].source = text
        if pictures:
            attached = {f"drawing{n or ''}.png": {"image/png": data} for n, data in enumerate(pictures)}
            notebook.cells[-1].attachments = attached
        rebuilt = normalise(nbformat.writes(notebook).encode(), self._release).notebook
        scores = {"add": ComponentScore(2.0, 2.0), "halve": ComponentScore(3.0, 3.0)}
        result = SubmissionResult(student, "graded", "", (), 5.0, scores, 1.0)
        GradebookWriter(self.course, self.unit, self._release).record(Graded(result, rebuilt))

    def grade_of(self, student):
        with Gradebook(f"sqlite:///{self.course.gradebook}") as gradebook:
            grade = gradebook.find_grade(QUESTION, UNIT, UNIT, student)
            comment = gradebook.find_comment(QUESTION, UNIT, UNIT, student)
            return grade.manual_score, comment.manual_comment, grade.needs_manual_grade, grade.extra_credit

    def change(self, student, **values):
        """What a person does in formgrader meanwhile."""
        with Gradebook(f"sqlite:///{self.course.gradebook}") as gradebook:
            grade = gradebook.find_grade(QUESTION, UNIT, UNIT, student)
            for name, value in values.items():
                setattr(grade, name, value)
            gradebook.db.commit()


@pytest.fixture
def small(tmp_path, new_course, release, blank_gradebook):
    """Three students who answered in a line each."""
    group = Class(tmp_path / "course", new_course, release, blank_gradebook)
    for student in ("ada", "ben", "cleo"):
        group.hand_in(student, f"{student} says that sums commute.")
    return group


@contextmanager
def served(course, *arguments):
    """The address that ``course answers`` prints, while it runs."""
    command = [sys.executable, "-m", "autograder.cli", "answers", UNIT, "--no-browser", *arguments]
    with subprocess.Popen(command, cwd=course.root, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().removeprefix("answers: ").strip()
        finally:
            server.terminate()


class Visit:
    """A browser's page, and what happened on it."""

    def __init__(self, chromium, address, width=1280):
        self.page = chromium.new_page(viewport={"width": width, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.errors, self.sent, self.refused = [], set(), set()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.sent.add(request.url))
        self.page.on("requestfailed", lambda request: request.failure == "csp" and self.refused.add(request.url))
        self.address = address
        self.page.goto(address)
        self.answers = self.page.locator(".answer")
        self.current = self.page.locator(".answer.current")
        self.message = self.page.locator("#message")

    def of(self, student):
        return self.page.get_by_role("article", name=student, exact=True)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def give(self, *keys):
        """Press keys that save something, and wait until it is."""
        with self.page.expect_response(lambda reply: reply.url.endswith("/give")):
            self.press(*keys)
        expect(self.page.locator(".answer.busy")).to_have_count(0)


def test_a_class_is_graded_by_keyboard_alone(small, chromium):
    small.change("cleo", extra_credit=0.5)
    with served(small.course) as address:
        visit = Visit(chromium, address)
        expect(visit.current).to_have_attribute("aria-label", "ada")
        expect(visit.page.locator(".rubric")).to_contain_text("1 point: says so.")
        visit.give("2")
        visit.press("ArrowDown")
        visit.give("1")
        visit.give(".", "5")
        visit.press("Enter")
        visit.page.keyboard.type("Say why, <b>not</b> that.")
        visit.press("Shift+Enter")
        visit.page.keyboard.type("$x$ & so on")
        visit.give("Enter")
        visit.press("n")
        expect(visit.current).to_have_attribute("aria-label", "cleo")
        visit.give("0")
        expect(visit.page.locator("#graded")).to_have_text("3 of 3 graded")
        assert not visit.errors
    assert small.grade_of("ada") == (2.0, None, False, None)
    assert small.grade_of("ben") == (1.5, "Say why, <b>not</b> that.\n$x$ & so on", False, None)
    assert small.grade_of("cleo") == (0.0, None, False, 0.5)


def test_what_is_given_reaches_exports_feedback_and_the_log_and_outlives_a_regrade(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
        visit.give("3")
        visit.press("Enter")
        visit.page.keyboard.type("Right.")
        visit.give("Enter")
    small.hand_in("ada", "ada says that sums commute.")
    standing = unit_standing(small.course, small.unit).of("ada")
    [score] = [question for question in standing.questions if question.name == QUESTION]
    assert (score.manual, score.comment, score.waits) == (3.0, "Right.", False)
    assert class_grades(small.course, [small.unit]).grades["ada", UNIT].points == standing.points == 8.0
    lines = (small.course.records / "audit.jsonl").read_text().splitlines()
    logged = [entry for entry in map(json.loads, lines) if entry.get("event") == "answer graded"]
    assert [entry["after"]["points"] for entry in logged] == [3.0, 3.0]
    assert all(entry["student"] == "ada" and entry["by"] for entry in logged)


def test_every_change_can_be_undone_down_to_ungraded(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
        visit.give("2")
        visit.press("j")
        visit.give("1")
        visit.give("u")
        visit.give("u")
        assert [small.grade_of(student)[0] for student in ("ada", "ben")] == [None, None]
        assert small.grade_of("ada")[2]
        expect(visit.current).to_have_attribute("aria-label", "ada")
        visit.press("u")
        expect(visit.message).to_have_text("Nothing to undo on this page.")
        visit.give("2")
        visit.give("Backspace")
        assert small.grade_of("ada") == (None, None, True, None)


def test_points_beyond_what_the_question_is_worth_are_not_given(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
        visit.press("7")
        expect(visit.message).to_contain_text("worth 3 points")
        visit.give("2")
        visit.give("3")  # 23 is too much, so that this begins another number
    assert small.grade_of("ada")[0] == 3.0


def test_two_people_at_once_never_overwrite_each_other_unseen(small, chromium):
    with served(small.course) as address:
        one, other = Visit(chromium, address), Visit(chromium, address)
        one.give("3")
        other.give("1")
        expect(other.message).to_contain_text("somebody else has graded this answer")
        expect(other.of("ada").locator(".points output")).to_have_text("3")
        assert small.grade_of("ada")[0] == 3.0
        other.give("1")
        assert small.grade_of("ada")[0] == 1.0
        small.change("ben", manual_score=2.5, needs_manual_grade=False)  # in formgrader
        other.press("ArrowDown", "Enter")
        other.page.keyboard.type("My words.")
        other.give("Enter")
        expect(other.of("ben").locator("textarea")).to_have_value("My words.")
        expect(other.of("ben").locator(".points output")).to_have_text("2.5")
    assert small.grade_of("ben") == (2.5, None, False, None)


def test_an_answer_that_was_handed_in_anew_is_not_graded_unread(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
        small.hand_in("ada", "On second thoughts, they don't.")
        visit.give("3")
        expect(visit.message).to_contain_text("Reload the page")
        visit.give("3")
        assert small.grade_of("ada")[0] is None
        visit.page.reload()
        expect(visit.of("ada")).to_contain_text("On second thoughts")
        visit.give("3")
    assert small.grade_of("ada")[0] == 3.0


def test_a_changed_answer_waits_until_its_points_are_given_again_be_they_the_same(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
        visit.give("2")
        small.hand_in("ada", "On second thoughts, they don't.")
        visit.page.reload()
        expect(visit.of("ada")).to_contain_text("changed since")
        assert small.grade_of("ada")[2]
        visit.give("2")
        expect(visit.of("ada")).not_to_contain_text("changed since")
    assert small.grade_of("ada") == (2.0, None, False, None)


def test_a_student_who_was_removed_meanwhile_is_named_as_gone(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
        with Gradebook(f"sqlite:///{small.course.gradebook}") as gradebook:
            gradebook.remove_student("ada")
        visit.give("3")
        expect(visit.message).to_contain_text("not in the gradebook any more")
        visit.press("ArrowDown")
        visit.give("2")
    assert small.grade_of("ben")[0] == 2.0


def test_when_the_server_has_ended_the_page_says_so_and_keeps_the_words(small, chromium):
    with served(small.course) as address:
        visit = Visit(chromium, address)
    visit.press("Enter")
    visit.page.keyboard.type("Long thoughts.")
    visit.press("Enter")
    expect(visit.message).to_contain_text("Not saved")
    expect(visit.of("ada").locator("textarea")).to_have_value("Long thoughts.")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, new_course, blank_gradebook, hostile_release):
    group = Class(tmp_path_factory.mktemp("hostile") / "course", new_course, hostile_release, blank_gradebook)
    for name in NAMES:
        group.hand_in(name, "An answer.")
    for student, text in HOSTILE.items():
        group.hand_in(student, text, [png(900, 600), png(40, 40)] if student == "picture" else ())
    return group


@pytest.fixture(scope="module")
def hostile_release(new_course, tmp_path_factory):
    course = new_course(tmp_path_factory.mktemp("release") / "course")
    return nbformat.read(course.released_notebook(course.unit(UNIT)), as_version=4)


@pytest.fixture(scope="module")
def hostile_visit(hostile, chromium):
    with served(hostile.course) as address:
        visit = Visit(chromium, address)
        visit.page.wait_for_selector("body.drawn", state="attached")
        yield visit


def test_nothing_that_students_wrote_runs_or_calls_home(hostile_visit):
    expect(hostile_visit.answers).to_have_count(len(HOSTILE) + len(NAMES))
    page = hostile_visit.page
    assert page.evaluate("window.broken") is None
    assert not hostile_visit.errors
    home = hostile_visit.address.rsplit("/", 2)[0]
    elsewhere = hostile_visit.sent - hostile_visit.refused
    assert not [url for url in elsewhere if not url.startswith((home, "data:", "about:blank"))]
    assert page.locator(".answer a, .answer script:not([type^=math]), .answer iframe, .answer h1").count() == 0
    for student, words in (("script", "<script>window.broken = 1"), ("template", "{{ 7 * 7 }}</div></article>")):
        shown = hostile_visit.of(student).locator(".text").text_content()
        assert words in shown.replace("\u2060", "")  # the joiner that keeps marks from being read as one


def test_names_with_markup_are_shown_as_they_are(hostile_visit):
    shown = hostile_visit.page.locator(".answer bdi").all_text_contents()
    assert set(NAMES) <= set(shown)


def test_no_answer_changes_or_covers_another_one(hostile_visit):
    page, formula = hostile_visit.page, hostile_visit.of("formula")
    expect(formula.locator(".MathJax .mfrac").first).to_be_visible()
    assert formula.locator(".MathJax_Error, .merror").count() == 0
    assert "\N{MATHEMATICAL ITALIC SMALL ALPHA}" in formula.inner_text() and "5" not in formula.inner_text()
    boxes = [box.bounding_box() for box in hostile_visit.answers.all()]
    assert all(one["y"] + one["height"] <= other["y"] for one, other in pairwise(boxes))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for box in hostile_visit.answers.locator(".work").all():
        assert box.evaluate("box => getComputedStyle(box).contain") == "paint"


def test_a_long_answer_is_there_to_its_end(hostile_visit):
    assert "THE END" in hostile_visit.of("long").locator(".text").text_content()
    work = hostile_visit.of("long").locator(".work")
    hostile_visit.of("long").click(position={"x": 5, "y": 5})
    low = work.bounding_box()["height"]
    expect(hostile_visit.of("long")).to_have_class(re.compile(r"\bmore\b"))
    hostile_visit.press("e")
    assert work.bounding_box()["height"] > 2 * low
    assert "THE END" in hostile_visit.of("long").inner_text()
    hostile_visit.press("e")


def test_pictures_are_small_until_they_are_asked_for(hostile_visit):
    pictures = hostile_visit.of("picture").locator(".picture")
    expect(pictures).to_have_count(2)
    expect(hostile_visit.of("picture").locator(".text").first).to_have_text("As drawn here:")
    expect(hostile_visit.of("picture").locator(".text").nth(1)).to_contain_text("and below.")
    pictures.first.scroll_into_view_if_needed()
    expect(pictures.first).to_be_visible()
    assert pictures.first.bounding_box()["width"] < 250
    hostile_visit.of("picture").click(position={"x": 5, "y": 5})
    hostile_visit.press("e")
    assert pictures.first.bounding_box()["width"] > 500
    hostile_visit.press("e")


def test_hostile_answers_can_be_graded_like_all_others(hostile, hostile_visit):
    for student in list(HOSTILE)[:16]:
        hostile_visit.of(student).click(position={"x": 5, "y": 5})
        hostile_visit.give("1")
    assert {hostile.grade_of(student)[0] for student in list(HOSTILE)[:16]} == {1.0}


def test_what_nobody_answered_is_not_asked_for(hostile, chromium):
    hostile.change("blank", manual_score=None, auto_score=0, needs_manual_grade=False)
    with served(hostile.course) as address:
        visit = Visit(chromium, address)
        expect(visit.of("blank")).to_contain_text("no response")
        expect(visit.of("blank").locator(".points output")).to_have_text("0")


def test_what_of_an_answer_is_not_shown_is_said_above_it_but_no_file_names_where_names_are_hidden(small, chromium):
    folder = small.course.results_of(small.unit)
    folder.mkdir(parents=True)
    flags = (f"the answer to '{QUESTION}' points at <b>ben.jpg</b>", "files next to the notebook: ben.pdf", "renamed")
    result = SubmissionResult("ben", "graded", "", flags)
    (folder / "ben.json").write_text(json.dumps(result.to_record()))
    with served(small.course) as address:
        visit = Visit(chromium, address)
        assert visit.of("ben").locator(".flag").all_text_contents() == [f"⚑ {flag}" for flag in flags[:2]]
        assert visit.of("ada").locator(".flag").count() == 0
    with served(small.course, "--anonymous") as address:
        visit = Visit(chromium, address)
        expect(visit.page.locator(".flag")).to_contain_text("without --anonymous")
        assert "ben.jpg" not in visit.page.content() and "ben.pdf" not in visit.page.content()


def test_names_are_hidden_on_request_and_the_order_stays(small, chromium):
    orders = []
    for _ in range(2):
        with served(small.course, "--anonymous") as address:
            visit = Visit(chromium, address)
            assert [one.get_attribute("aria-label") for one in visit.answers.all()] == [
                "answer 1",
                "answer 2",
                "answer 3",
            ]
            texts = visit.page.locator(".text").all_inner_texts()
            source = visit.page.content()
            assert not any(f'"{student}"' in source or f">{student}<" in source for student in ("ada", "ben", "cleo"))
            orders.append([text.split()[0] for text in texts])
            visit.give("2")
            first = orders[-1][0]
    assert orders[0] == orders[1]
    seed = CourseSecret.of(small.course).seed
    assert orders[0] == sorted(orders[0], key=lambda student: seed("order of answers", UNIT, QUESTION, student))
    assert small.grade_of(first)[0] == 2.0


def asked(url, method="GET", body=None, **headers):
    request = urllib.request.Request(url, body, {name.replace("_", "-"): value for name, value in headers.items()})
    request.method = method
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, reply.headers
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers


def test_only_who_has_the_address_and_comes_from_the_page_gets_in(small):
    with served(small.course) as address:
        origin = address.rsplit("/", 2)[0]
        change = json.dumps({"key": "k", "revision": "r", "points": 1, "comment": ""}).encode()
        own = {"Origin": origin, "Content_Type": "application/json"}
        assert asked(address)[0] == 200
        assert asked(f"{address}give", "POST", change, **own)[0] == 410  # let in, and no such answer
        assert asked(origin)[0] == asked(f"{origin}/sheet.js")[0] == asked(f"{origin}/{'x' * 43}/")[0] == 404
        assert asked(address, Host="evil.example")[0] == asked(address, Host="127.0.0.1")[0] == 403
        assert asked(address, Sec_Fetch_Site="cross-site")[0] == 403
        assert asked(address, Origin="https://evil.example")[0] == 403
        assert asked(f"{address}give", "POST", change, **own | {"Origin": "null"})[0] == 403
        assert asked(f"{address}give", "POST", change, Content_Type="application/json")[0] == 403
        assert asked(f"{address}give", "POST", change, **own | {"Content_Type": "text/plain"})[0] == 415
        assert asked(f"{address}MathJax/../../x")[0] in (403, 404)


@pytest.mark.parametrize(
    "change",
    [b"", b"[]", b"{", b"null", {"points": "3"}, {"points": True}, {"points": 1e999}, {"key": 1}, {"comment": None}],
)
def test_a_change_of_another_form_is_refused_in_a_line(small, change):
    whole = {"key": "k", "revision": "r", "points": 1, "comment": ""}
    body = change if isinstance(change, bytes) else json.dumps(whole | change).encode()
    with served(small.course) as address:
        own = {"Origin": address.rsplit("/", 2)[0], "Content_Type": "application/json"}
        assert asked(f"{address}give", "POST", body, **own)[0] in (400, 410)


def test_the_page_says_to_the_browser_what_it_may_do(small):
    with served(small.course) as address:
        headers = asked(address)[1]
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self';" in policy
    assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Frame-Options"] == "DENY"
    assert "Set-Cookie" not in headers


def test_points_out_of_range_are_refused_by_the_server_too(small):
    with served(small.course) as address:
        own = {"Origin": address.rsplit("/", 2)[0], "Content_Type": "application/json"}
        with Gradebook(f"sqlite:///{small.course.gradebook}") as gradebook:
            key = gradebook.find_grade(QUESTION, UNIT, UNIT, "ada").id
        page = urllib.request.urlopen(address).read().decode()
        revision = page.split(f'data-key="{key}"')[1].split("revision&#34;: &#34;")[1].split("&#34;")[0]
        for points in (-1, WORTH + 1):
            change = {"key": key, "revision": revision, "points": points, "comment": ""}
            assert asked(f"{address}give", "POST", json.dumps(change).encode(), **own)[0] == 400
    assert small.grade_of("ada")[0] is None


def test_a_notebook_that_is_gone_is_named_and_the_others_can_be_graded(small, chromium):
    autograded_notebook(small.course, small.unit, "ada").unlink()
    with served(small.course) as address:
        visit = Visit(chromium, address)
        expect(visit.of("ada")).to_contain_text("cannot be read: grade it again")
        visit.press("ArrowDown")
        visit.give("2")
    assert small.grade_of("ben")[0] == 2.0


def test_the_other_question_is_an_arrow_away(tmp_path, new_course, release, blank_gradebook, chromium):
    second = nbformat.from_dict(release.cells[-1])
    second.id = second.metadata.nbgrader.grade_id = "question_2"
    release.cells += [nbformat.v4.new_markdown_cell("## Question 2", id="heading_2"), second]
    group = Class(tmp_path / "course", new_course, release, blank_gradebook)
    nbformat.write(release, group.course.released_notebook(group.unit))
    group.hand_in("ada", "My second answer.")
    with served(group.course) as address:
        visit = Visit(chromium, address)
        visit.give("3")
        visit.press("ArrowRight")
        expect(visit.page.locator("nav a[aria-current]")).to_have_text("question_2")
        expect(visit.of("ada")).to_contain_text("My second answer.")
        visit.give("1")
        visit.press("ArrowRight")
        visit.press("ArrowLeft")
        expect(visit.page.locator("nav a[aria-current]")).to_have_text(QUESTION)
        expect(visit.of("ada").locator(".points output")).to_have_text("3")
    assert group.grade_of("ada")[0] == 3.0
    with Gradebook(f"sqlite:///{group.course.gradebook}") as gradebook:
        assert gradebook.find_grade("question_2", UNIT, UNIT, "ada").manual_score == 1.0


def test_a_port_that_is_taken_is_named(small):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CourseError, match=f"port {port} cannot be used"):
            serve_answers(small.course, small.unit, port, browser=False, anonymous=False)


def test_units_that_cannot_be_served_are_refused_in_words(small, tmp_path, new_course):
    course = new_course(tmp_path / "ungraded")
    for asked_course, unit, port, words in (
        (small.course, "02", 0, "course release"),
        (course, UNIT, 0, "course grade"),
        (small.course, UNIT, 70_000, "0 to 65535"),
    ):
        with pytest.raises(CourseError, match=words):
            serve_answers(asked_course, asked_course.unit(unit), port, browser=False, anonymous=False)


def test_every_written_question_of_the_course_comes_with_its_rubric():
    course = Course.find()
    for unit in course.units:
        for question in written_questions(course, unit):
            assert question.text.startswith("## Question"), unit.name
            assert "point" in question.rubric and "SOLUTION" not in question.rubric, unit.name
