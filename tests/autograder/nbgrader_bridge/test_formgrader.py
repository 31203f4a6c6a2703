"""formgrader in a real browser that reaches nothing but this machine, on what ``course grade`` wrote."""

import base64
import io
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from PIL import Image
from playwright.sync_api import expect

from autograder.course.course import Course, CourseError
from autograder.nbgrader_bridge.formgrader import serve_formgrader

ROOT = Path(__file__).parents[3]
UNIT = "00_start_here"
ANSWER, QUESTION = "log_mean_exp", "question_1"
CODE_POINTS, WRITTEN_POINTS = 5, 3

ANSWERS = {
    "ada": "return torch.logsumexp(x, dim) - math.log(x.shape[dim])",
    "ben": "return torch.logsumexp(x, -1) - math.log(x.shape[-1])",
    "cleo": "return x.mean(dim)",
}
WRITTEN = (
    r"Since $\frac{1}{n}\sum_i e^{x_i} \le e^{\max_i x_i}$. <script>window.broken = 1</script>"
    ' <img src="https://example.org/spy.png" onerror="window.broken = 1"> ![](https://example.org/spy.png)'
)

PATIENCE = 120_000  # milliseconds, for a busy machine

pytestmark = pytest.mark.xdist_group("formgrader")
expect.set_options(timeout=PATIENCE)


def run(course, *arguments):
    subprocess.run([sys.executable, "-m", "autograder.cli", *arguments], cwd=course.root, check=True)


def photograph():
    buffer = io.BytesIO()
    Image.new("RGB", (1500, 500), "teal").save(buffer, "JPEG")
    return base64.b64encode(buffer.getvalue()).decode()


def hand_in(course, student, code):
    notebook = nbformat.read(course.assignments / UNIT / f"{UNIT}.ipynb", as_version=4)
    for cell in notebook.cells:
        label = cell.metadata.get("nbgrader", {}).get("grade_id")
        if label == ANSWER:
            cell.source = "import math\n" + cell.source.replace("raise NotImplementedError", code)
        elif label == QUESTION:
            cell.source = f"{WRITTEN}\n\n![photo](data:image/jpeg;base64,{photograph()})\n\nBelow the photograph."
    path = course.submitted / student / UNIT / f"{UNIT}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course in which a right, a half right and a wrong submission have been graded, in the sandbox."""
    root = tmp_path_factory.mktemp("formgrader") / "course"
    for folder in ("assignments", "solutions"):  # formgrader lists what has a source
        shutil.copytree(ROOT / folder / UNIT, root / folder / UNIT)
    for file in ("course.toml", "nbgrader_config.py"):
        shutil.copy(ROOT / file, root)
    course = Course.load(root)
    for student, code in ANSWERS.items():
        hand_in(course, student, code)
    run(course, "grade", UNIT)
    return course


@contextmanager
def served(course, unit):
    """The address that ``course formgrader`` prints for a unit, while it runs."""
    command = [sys.executable, "-m", "autograder.cli", "formgrader", unit, "--no-browser", "--port", "0"]
    with subprocess.Popen(command, cwd=course.root, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().removeprefix("formgrader: ").strip()
        finally:
            server.terminate()


class Visit:
    """A browser's page, and what happened on it."""

    def __init__(self, chromium, address):
        self.page = chromium.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.errors, self.sent, self.refused = [], set(), set()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.sent.add(request.url))
        self.page.on("requestfailed", lambda request: request.failure == "csp" and self.refused.add(request.url))
        self.home = address.split("/formgrader")[0]
        self.page.goto(address)

    @property
    def sent_elsewhere(self):
        return {url for url in self.sent - self.refused if not url.startswith((self.home, "data:"))}

    def open(self, path):
        self.page.goto(f"{self.home}/formgrader/{path}")

    def open_list(self):
        """The list of submissions, with the names of their students."""
        self.open(f"gradebook/{UNIT}/{UNIT}")
        expect(self.page.get_by_role("link", name="Submission #1").first).to_be_visible()
        self.page.get_by_role("button", name="Show All Names").click()

    def open_submission(self, student):
        self.open_list()
        self.page.get_by_role("link", name=student).click()
        self.wait_until("window.formgrader?.loaded && formgrader.grades?.loaded && window.MathJax?.loaded")

    def wait_until(self, condition):
        """Playwright's own way is to evaluate text in the page, which the page's policy forbids."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(f"() => {condition}"):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def visit(graded, chromium):
    with served(graded, UNIT) as address:
        yield Visit(chromium, address)


def totals(course):
    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        return {row["student"]: row["score"] for row in gradebook.submission_dicts(UNIT)}


def test_the_class_list_shows_everybody_and_their_points(graded, visit):
    visit.open_list()
    points = totals(graded)
    assert points["ada"] == CODE_POINTS > points["ben"] > points["cleo"] == 0
    for student, score in points.items():
        row = visit.page.get_by_role("row").filter(has_text=student)
        expect(row).to_contain_text(f"{score:g} / {CODE_POINTS + WRITTEN_POINTS}")


def test_the_list_of_units_counts_submissions(visit):
    visit.open("gradebook")
    row = visit.page.get_by_role("row").filter(has_text=UNIT)
    expect(row.get_by_role("gridcell").nth(2)).to_have_text(str(len(ANSWERS)))


def test_formulas_are_drawn_without_a_connection_to_the_web(visit):
    visit.open_submission("ada")
    written = visit.page.locator(".nbgrader_cell").filter(has=visit.page.locator(f"#{QUESTION}"))
    expect(written.locator(".MathJax .mfrac")).to_be_visible()
    assert visit.page.locator(".MathJax").count() > 5
    assert not visit.errors


def test_what_students_wrote_neither_runs_nor_calls_home(visit):
    visit.open_submission("ada")
    expect(visit.page.get_by_text("window.broken = 1").first).to_be_visible()
    assert visit.page.evaluate("window.broken") is None
    assert not visit.sent_elsewhere


def test_a_picture_in_a_written_answer_is_seen_whole_between_its_texts(visit):
    visit.open_submission("ada")
    written = visit.page.locator(".nbgrader_cell").filter(has=visit.page.locator(f"#{QUESTION}"))
    expect(written.get_by_text("Below the photograph.")).to_be_visible()
    picture = written.get_by_role("img", name="picture 1")
    assert picture.evaluate("picture => picture.naturalWidth") == 1500
    inner, outer = picture.bounding_box(), written.bounding_box()
    assert inner["x"] >= outer["x"] and inner["x"] + inner["width"] <= outer["x"] + outer["width"]


def test_keyboard_shortcuts_work(visit):
    visit.open_submission("ada")
    before = visit.page.url.split("?")[0]
    visit.page.locator(f"#{QUESTION}").focus()
    visit.page.keyboard.press("Tab")
    expect(visit.page.locator(f"#{QUESTION}_extra_credit")).to_be_focused()
    visit.page.keyboard.press("Control+Shift+F")
    expect(visit.page.get_by_text("Submission flagged")).to_be_visible()
    direction = "Control+Comma" if visit.page.get_by_text(f"Submission {len(ANSWERS)} /").count() else "Control+Period"
    visit.page.keyboard.press(direction)
    visit.page.wait_for_url(lambda url: url.split("?")[0] != before and "/submissions/" in url)


def give(visit, field, text, what):
    with visit.page.expect_response(lambda answer: f"/api/{what}/" in answer.url and answer.request.method == "PUT"):
        visit.page.locator(f"#{field}").fill(text)
        visit.page.locator(f"#{field}").press("Escape")


def test_points_and_a_comment_given_by_hand_outlive_a_regrade(graded, visit):
    visit.open_submission("ben")
    give(visit, QUESTION, "2.5", "grade")
    give(visit, f"{QUESTION}-comment", "Shown, <b>not</b> said.", "comment")
    before = totals(graded)
    hand_in(graded, "ben", ANSWERS["ada"])
    run(graded, "grade", UNIT)
    visit.open_submission("ben")
    expect(visit.page.locator(f"#{QUESTION}")).to_have_value("2.5")
    expect(visit.page.locator(f"#{QUESTION}-comment")).to_have_value("Shown, <b>not</b> said.")
    expect(visit.page.locator(f"#check_{ANSWER}")).to_have_attribute("placeholder", str(CODE_POINTS))
    after = totals(graded)
    assert 2.5 < before["ben"] < after["ben"] == CODE_POINTS + 2.5
    assert (after["ada"], after["cleo"]) == (before["ada"], before["cleo"])
    visit.open(f"gradebook/{UNIT}/{UNIT}")
    expect(visit.page.locator("#main-table")).to_contain_text(f"7.5 / {CODE_POINTS + WRITTEN_POINTS}")


def test_jupyter_lab_in_the_course_folder_serves_the_same_pages(graded):
    settings = "import nbgrader.apps as apps; app = apps.NbGrader(); app.initialize([]); print(app.config.HTMLExporter)"
    shown = subprocess.run(
        [sys.executable, "-c", settings], cwd=graded.root, capture_output=True, text=True, check=True
    )
    assert str(ROOT / "autograder" / "templates" / "formgrader") in shown.stdout


@pytest.mark.parametrize("size", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_the_list_of_a_large_class_opens(course, record, chromium, size):
    shutil.copy(ROOT / "nbgrader_config.py", course.root)
    for number in range(size):
        record(f"student{number}", halve=number % 4)
    with served(course, "03_vae") as address:
        page = Visit(chromium, address).page
        expect(page.get_by_role("link", name=f"Submission #{size}", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="Submission #")).to_have_count(size)


@pytest.mark.parametrize("unit, port, message", [("03_vae", 0, "course grade 03_vae"), (UNIT, 70_000, "0 to 65535")])
def test_what_cannot_be_served_is_refused_in_words(graded, unit, port, message):
    with pytest.raises(CourseError, match=message):
        serve_formgrader(graded, graded.unit(unit), port, browser=False)
