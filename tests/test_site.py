"""The course's site: links that lead somewhere, no answers, and pages that work in a browser and on a phone."""

import functools
import html
import http.server
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe

from autograder.course.course import Course
from autograder.releasing.leaks import leaks

ROOT = Path(__file__).parents[1]
PART = ("lectures/06_attentive_vae", "assignments/03_vae", "assignments/06_attentive_vae", "experiments")
EVERYTHING = ("lectures", "assignments", "experiments", "teaching", "reference")
PAGES = (
    "index.html",
    "course/index.html",
    "lectures/06_attentive_vae.html",
    "assignments/03_vae.html",
    "experiments/digits_twins.html",
    "experiments/results.html",
    "search.html",
)
PAGES_OF_ALL = (*PAGES, "lectures/07_evaluation.html", "reference/gaussians.html", "teaching/components.html")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice")  # of axe-core; landmarks are best practice

pytestmark = pytest.mark.xdist_group("site")


def built(output, *words):
    command = [sys.executable, "docs/site/build_site.py", "--output", str(output), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return output


@pytest.fixture(
    scope="module", params=[pytest.param(False, id="part"), pytest.param(True, id="all", marks=pytest.mark.slow)]
)
def site(request, tmp_path_factory):
    """The folder of a site: a part of it, or in slow tests all."""
    folder = tmp_path_factory.mktemp("site") / "site"
    return built(folder) if request.param else built(folder, "--only", *PART)


def is_whole(site):
    return (site / "reference").is_dir()


class Page(HTMLParser):
    """What a page refers to, its pictures without a description, and its texts: whole, and of each block of code."""

    def __init__(self, path):
        super().__init__()
        self.addresses, self.ids, self.undescribed, self.blocks, self.words = [], set(), [], [], []
        self._depth = 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.addresses += [facts[name] for name in ("href", "src") if facts.get(name)]
        self.ids |= {facts[name] for name in ("id", "name") if facts.get(name)}
        if tag == "img" and not facts.get("alt", "").strip():
            self.undescribed.append(facts.get("src", "")[:80])
        if tag == "pre":
            self._depth += 1
            self.blocks.append("")

    def handle_endtag(self, tag):
        self._depth -= tag == "pre"

    def handle_data(self, data):
        self.words.append(data)
        if self._depth:
            self.blocks[-1] += data


@functools.cache
def page(path):
    return Page(path)


def pages_of(site):
    return sorted(site.rglob("*.html"))


def is_own(address):
    return not urlsplit(address).scheme and not address.startswith("//")


def dead_links(site):
    for path in pages_of(site):
        if path.name == "webpack-macros.html":
            continue
        for address in filter(is_own, page(path).addresses):
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            names_place = parts.fragment and target.suffix == ".html"
            if not target.exists() or (names_place and unquote(parts.fragment) not in page(target).ids):
                yield path.relative_to(site).as_posix(), address


def test_every_link_leads_somewhere(site):
    missing = list(dead_links(site))
    if not is_whole(site):  # the front page and the lists also lead to parts that were not built
        folders = {path.name for path in site.iterdir()}
        missing = [
            (path, address)
            for path, address in missing
            if not path.endswith("index.html") and address.split("/")[-2:-1] and address.split("/")[-2] in folders
        ]
    assert missing == []


def test_every_picture_is_described(site):
    assert not {path.name: page(path).undescribed for path in pages_of(site) if page(path).undescribed}


def test_no_page_is_loaded_from_another_host(site):
    loaded = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\ssrc=\"(?:https?:)?//|<link\b[^>]*\shref=\"(?:https?:)?//"
    )
    assert not [path.name for path in pages_of(site) if loaded.search(path.read_text(encoding="utf-8"))]


def answers_on(site, folder):
    """What a search for answers finds in the texts of a site, written as files into a folder."""
    folder.mkdir()
    for number, path in enumerate(pages_of(site)):
        (folder / f"{number}.txt").write_text(html.unescape("".join(page(path).words)), encoding="utf-8")
        for place, block in enumerate(page(path).blocks):
            (folder / f"{number}-{place}.py").write_text(block, encoding="utf-8")
    for path in (site / "downloads").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return leaks(Course.load(ROOT), folder)


def test_no_answer_is_on_the_site(site, tmp_path):
    assert answers_on(site, tmp_path / "texts") == ()


def test_an_answer_on_a_page_would_be_found(tmp_path):
    (tmp_path / "site" / "downloads").mkdir(parents=True)
    body = "def reparameterize(mean, log_std, noise):\n    return mean + log_std.exp() * noise"
    coloured = body.replace("return", '<span class="k">return</span>')
    (tmp_path / "site" / "page.html").write_text(f"<pre>{coloured}</pre>", encoding="utf-8")
    assert any("reparameterize" in found for found in answers_on(tmp_path / "site", tmp_path / "texts"))


def test_pages_follow_each_other_and_offer_their_notebook(site):
    text = (site / "assignments/03_vae.html").read_text(encoding="utf-8")
    assert "next-next" in text or 'title="next page"' in text
    assert "../downloads/assignment_03_vae.ipynb" in text
    assert (site / "downloads/assignment_03_vae.ipynb").is_file()


@pytest.fixture(scope="module")
def address(site):
    """The address of a server of the site on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def opened(chromium, address):
    """A function that opens a page; what goes wrong in the browser is collected in ``opened.faults``."""
    contexts, faults = [], []

    def open_page(path, width=1280, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(120_000)
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda request: faults.append(request.url) if is_foreign(request.url) else None)
        tab.goto(f"{address}/{path}")
        tab.wait_for_function("!window.MathJax || (MathJax.startup && MathJax.startup.promise)")
        tab.evaluate("window.MathJax ? MathJax.startup.promise.then(() => 0) : 0")
        return tab

    def is_foreign(url):
        return not url.startswith((address, "data:", "blob:"))

    open_page.faults = faults
    yield open_page
    for context in contexts:
        context.close()


def paths_of(site):
    return PAGES_OF_ALL if is_whole(site) else PAGES


def test_pages_open_without_errors_and_without_another_host(site, opened):
    for path in paths_of(site):
        opened(path)
    assert opened.faults == []


def test_nothing_is_wider_than_a_phone(site, opened):
    widths = {path: opened(path, width=390).evaluate("document.documentElement.scrollWidth") for path in paths_of(site)}
    assert {path: width for path, width in widths.items() if width > 390} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anybody_out(site, opened, scheme):
    axe = Axe()
    found = {}
    # Axe takes long: of a part of the site it looks at one page of each kind, and the front page alone once more.
    some = PAGES_OF_ALL if is_whole(site) else PAGES[:4] if scheme == "light" else PAGES[:1]
    for path in some:
        rules = {"runOnly": list(RULES), "preload": False}
        violations = axe.run(opened(path, scheme=scheme), options=rules).response["violations"]
        found |= {(path, fault["id"]): fault["nodes"][0]["html"][:200] for fault in violations}
    assert found == {}


def test_equations_are_set_with_their_numbers(opened):
    tab = opened("lectures/06_attentive_vae.html")
    assert tab.locator("mjx-container").count() > 100
    assert tab.locator("mjx-merror").count() == 0
    assert tab.locator("mjx-mlabeledtr").count() > 10


def test_search_finds_a_lecture(opened):
    tab = opened("search.html?q=attention")
    tab.wait_for_selector("#search-results li")
    assert "06_attentive_vae" in tab.locator("#search-results").inner_html()


def test_first_tab_leads_past_the_menu(opened):
    tab = opened("lectures/06_attentive_vae.html")
    tab.keyboard.press("Tab")
    assert "Skip to main content" in tab.evaluate("document.activeElement.innerText")
