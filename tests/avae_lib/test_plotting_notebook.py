"""Figures as notebooks show them: described, legible, and moving where scripts run; looked at in a real browser."""

import base64
import io
import re

import IPython
import IPython.display
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.image import imread
from PIL import Image
from playwright.sync_api import expect

from avae_lib import plotting
from avae_lib.plotting.descriptions import described
from avae_lib.plotting.legibility import REQUIRED_BY, require_legible
from avae_lib.plotting.notebook import spread

pytestmark = pytest.mark.xdist_group("chromium")
expect.set_options(timeout=60_000)  # milliseconds, for a busy machine


@pytest.fixture
def outputs(monkeypatch):
    """What a notebook is given to show."""
    plt.switch_backend("agg")  # which asks for the shell, and wants a real one
    given = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: "a shell")
    monkeypatch.setattr(IPython.display, "display", lambda bundle, raw: given.append(bundle))
    return given


@pytest.fixture
def page(chromium, outputs):
    """A function that opens the one output shown so far, with scripts or without, and returns the page."""
    pages = []

    def opened(scripts=True, width=740):
        context = chromium.new_context(java_script_enabled=scripts, viewport={"width": width, "height": 800})
        context.route("**", lambda route: route.abort())  # nothing is fetched
        pages.append(context.new_page())
        (bundle,) = outputs
        pages[-1].set_content(f'<meta name="viewport" content="width=device-width"><body>{bundle["text/html"]}')
        return pages[-1]

    yield opened
    for page in pages:
        page.context.close()


def curve(level=1.0):
    return plotting.density_curves([0, 1], {"p": [level, 1]})


def curves(number):
    return [curve(1 + index) for index in range(number)]


def plane(rows=3, columns=5):
    """Images of one level each, which grows from left to right and from the bottom up."""
    levels = torch.arange(rows * columns).float() / (rows * columns - 1)
    pictures = levels.reshape(rows, columns, 1, 1, 1).expand(-1, -1, 1, 4, 6)
    return pictures, torch.linspace(-2, 2, columns), torch.linspace(-1, 1, rows)


def test_figure_is_a_small_picture_sharper_than_it_is_shown(outputs):
    plotting.show(curve())
    (bundle,) = outputs
    alt, width, picture = re.fullmatch(
        r'<img alt="(.*?)" width="(\d+)" style=".*?" src="data:image/png;base64,(.*)">', bundle["text/html"]
    ).groups()
    png = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert png.width == pytest.approx(1.5 * int(width), abs=1) and 300 < int(width) <= 700
    assert len(picture) < 60_000
    assert alt.startswith("Figure (automatic description)") and bundle["text/plain"] == f"[picture: {alt}]"


def test_in_a_script_the_description_is_printed_and_no_picture(capsys):
    plotting.show(curve())
    assert re.fullmatch(r"\[picture: Figure \(automatic description\).*\]\n", capsys.readouterr().out)


@pytest.mark.parametrize("show", [plotting.show, lambda figure: plotting.slider([figure], [1], "k")])
def test_figures_made_with_pyplot_are_closed_once_shown(outputs, show):
    figure = plt.figure()
    show(figure)
    assert figure.number not in plt.get_fignums()


def test_automatic_description_names_titles_axes_and_legends_of_every_panel():
    figure = plotting.learning_curves({"training": [3.0, 2.0], "test": [3.0, 2.5]}, size=(6, 3))
    figure.axes[0].set_title("two losses")
    words = described(figure)
    assert all(word in words for word in ("“two losses”", "“update”", "nats", "“training, test”")), words
    rows = described(plotting.image_rows({"data": torch.zeros(4, 1, 2, 2), "samples": torch.zeros(4, 1, 2, 2)}))
    assert "“data, samples”" in rows
    assert "without words" in described(plotting.image_grid(torch.zeros(4, 1, 2, 2)))


def test_figures_are_held_to_a_legible_size_where_a_notebook_is_built(outputs, monkeypatch):
    def small():
        figure = curve()
        figure.axes[0].annotate("too small", (0.5, 0.5), fontsize=5.5)
        return figure

    plotting.show(small())
    monkeypatch.setenv(REQUIRED_BY, "1")
    with pytest.raises(ValueError, match=r"at least 8 pixels high .* 'too small' is 7\.3"):
        plotting.show(small())
    with pytest.raises(ValueError, match="too small"):
        plotting.slider([curve(), small()], [0, 1], "k")


@pytest.mark.parametrize(("size", "legible"), [(7, False), (9, True)])
def test_exponents_count_at_the_size_they_are_drawn_at(size, legible):
    figure = curve()
    figure.axes[0].set_xlabel("$10^{-3}$", fontsize=size)
    if legible:
        require_legible(figure)
    else:
        with pytest.raises(ValueError, match=r"10\^"):
            require_legible(figure)


def test_figures_wider_than_a_page_are_refused():
    require_legible(plotting.learning_curves({"loss": [2.0, 1.0]}, size=(7.2, 2)))
    with pytest.raises(ValueError, match="may be 700 pixels wide"):
        require_legible(plotting.learning_curves({"loss": [2.0, 1.0]}, size=(8, 2)))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 12, 100])
def test_spread_holds_the_start_in_rising_order(number):
    for start in range(number):
        chosen = spread(number, start, 4)
        assert start in chosen and chosen == sorted(set(chosen)) and len(chosen) == min(4, number)


def test_slider_opens_on_its_telling_frame_without_the_still(outputs, page):
    plotting.slider(curves(6), [0.5, 1, 2, 4, 8, 16], "β", start=3)
    opened = page()
    slider, picture = opened.get_by_role("slider", name="β"), opened.get_by_role("img")
    expect(picture).to_have_count(1)
    expect(slider).to_have_attribute("aria-valuetext", "4")
    expect(picture).to_have_attribute("alt", re.compile("automatic description.*Shown: β = 4"))
    before = picture.get_attribute("src")
    slider.press("ArrowRight")
    expect(opened.locator("output")).to_have_text("β = 8")
    assert picture.get_attribute("src") != before
    assert picture.bounding_box()["width"] <= 700


def test_slider_keeps_the_description_that_the_build_gave_its_still(outputs, page):
    plotting.slider(curves(3), [1, 2, 3], "k")
    outputs[0]["text/html"] = re.sub('alt="[^"]*"', 'alt="Two &quot;bumps&quot;."', outputs[0]["text/html"], count=1)
    expect(page().get_by_role("img")).to_have_attribute("alt", 'Two "bumps". Shown: k = 1.')
    expect(page(scripts=False).get_by_role("img")).to_have_attribute("alt", 'Two "bumps".')


@pytest.mark.parametrize("moving", ["slider", "pad"])
def test_where_scripts_are_taken_out_a_still_remains(outputs, page, moving):
    if moving == "slider":
        plotting.slider(curves(6), range(6), "k")
    else:
        plotting.latent_pad(*plane(), start=(1, 2))
    opened = page(scripts=False)
    expect(opened.get_by_role("img")).to_have_count(1)
    assert 300 < opened.get_by_role("img").bounding_box()["width"] <= 700
    assert opened.locator("body").inner_text().strip() == ""


@pytest.mark.parametrize(
    ("size", "columns"), [((2, 2), 3), ((3.5, 2), 2), ((7, 2), 1)], ids=["small", "half a page wide", "wide"]
)
def test_stills_are_as_large_as_their_frames_and_stacked_where_the_page_ends(size, columns):
    picture = plotting.png_bytes(plotting.learning_curves({"loss": [2.0, 1.0]}, size=size))
    figure = plotting.stills([picture] * 9, range(9), "k", start=4)
    assert [axes.get_title() for axes in figure.axes] == ["k = 0", "k = 4", "k = 5", "k = 8"]
    for axes in figure.axes:
        place = axes.get_position()
        assert place.width * figure.get_figwidth() == pytest.approx(size[0], abs=0.02)
        assert place.height * figure.get_figheight() == pytest.approx(size[1], abs=0.02)
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == columns
    require_legible(figure)


@pytest.mark.parametrize("seconds", [None, 0.05])
def test_slider_plays_only_if_it_is_told_how_fast(outputs, page, seconds):
    plotting.slider(curves(3), ["a", "b", "c"], "x", seconds_per_frame=seconds)
    opened = page()
    if seconds is None:
        expect(opened.get_by_role("button")).to_have_count(0)
    else:
        opened.get_by_role("button", name="play").click()
        expect(opened.locator("output")).to_have_text("x = c")
        expect(opened.get_by_role("button", name="play")).to_have_count(1)


def test_slider_text_cannot_break_out_of_its_script(outputs, page):
    plotting.slider([curve()], [1], "</script><b>x</b>")
    assert outputs[0]["text/html"].count("</script>") == 1
    opened = page()
    expect(opened.locator("output")).to_have_text("</script><b>x</b> = 1")
    expect(opened.locator("b")).to_have_count(0)


@pytest.mark.parametrize(
    ("values", "start", "wanted"),
    [([1, 2], 0, "one value for each frame"), ([1], 1, "start must be the index of a frame, 0 to 0, got 1")],
)
def test_slider_that_cannot_be_is_refused(values, start, wanted):
    with pytest.raises(ValueError, match=wanted):
        plotting.slider([curve()], values, "β", start=start)


def shown_level(opened):
    """The grey level on the canvas, in 0 … 1."""
    return opened.evaluate("document.querySelector('canvas').getContext('2d').getImageData(0, 0, 1, 1).data[0] / 255")


def test_pad_shows_the_image_of_the_point_that_is_dragged(outputs, page):
    pictures, z1, z2 = plane()
    plotting.latent_pad(pictures, z1, z2, start=(1, 2))
    opened = page()
    pad = opened.get_by_role("slider")
    expect(opened.locator("output")).to_have_text("z = (0.0, 0.0)")
    assert shown_level(opened) == pytest.approx(0.5, abs=0.01)
    box = opened.locator("rect").bounding_box()
    point = opened.locator("circle").bounding_box()
    opened.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] - 1, box["y"] + 1)
    opened.mouse.up()
    expect(pad).to_have_attribute("aria-valuetext", "z = (2.0, 1.0)")
    assert shown_level(opened) == 1
    opened.mouse.move(box["x"], box["y"])
    expect(opened.locator("output")).to_have_text("z = (2.0, 1.0)")


def test_pad_is_moved_by_arrow_keys_and_ends_at_its_edges(outputs, page):
    plotting.latent_pad(*plane(), start=(0, 0))
    opened = page()
    pad = opened.get_by_role("slider")
    for key, place in [("ArrowLeft", "−2.0, −1.0"), ("ArrowRight", "−1.0, −1.0"), ("ArrowUp", "−1.0, 0.0")]:
        pad.press(key)
        expect(opened.locator("output")).to_have_text(f"z = ({place})")
    expect(opened.get_by_role("img")).to_have_attribute("aria-label", re.compile(r"3 × 5 images.*z = \(−1\.0, 0\.0\)"))


def test_pad_fits_a_telephone(outputs, page):
    plotting.latent_pad(*plane(), start=(0, 0))
    opened = page(width=375)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 375
    left, right = (opened.locator(part).bounding_box() for part in ("svg", "canvas"))
    assert left["x"] + left["width"] <= right["x"] and right["width"] > 100


def test_still_of_the_pad_draws_the_plane_upright_and_frames_the_start(outputs):
    pictures, z1, z2 = plane()
    figure = plotting.latent_pad_still(pictures, z1.tolist(), z2.tolist(), (2, 1))
    mosaic, (picture,) = (axes.get_images() for axes in figure.axes)
    levels = mosaic[0].get_array()[::4, ::6, 0] / 255
    assert levels.tolist() == pytest.approx(pictures[:, :, 0, 0, 0].flip(0).numpy(), abs=0.01)
    assert picture.get_array()[0, 0, 0] / 255 == pytest.approx(pictures[2, 1, 0, 0, 0].item(), abs=0.01)
    (frame,) = figure.axes[0].patches
    assert frame.get_xy() == (0.5, 1.5)
    assert figure.axes[1].get_xlabel() == "decoded at z = (−1.0, 1.0)"
    require_legible(figure)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda pictures, z1, z2: (pictures[..., 0], z1, z2, (0, 0)), "rows, columns, channels, height, width"),
        (lambda pictures, z1, z2: (pictures, z2, z1, (0, 0)), "z1_values must be 5 rising numbers"),
        (lambda pictures, z1, z2: (pictures, z1, z2.flip(0), (0, 0)), "z2_values must be 3 rising numbers"),
        (lambda pictures, z1, z2: (pictures, z1, z2, (3, 0)), "row below 3 and a column below 5"),
    ],
    ids=["shape", "exchanged", "falling", "start outside"],
)
def test_pad_of_something_else_says_what_it_wants(change, wanted):
    with pytest.raises(ValueError, match=wanted):
        plotting.latent_pad(*change(*plane()))


def test_sheet_holds_each_image_once(outputs):
    plotting.latent_pad(*plane(), start=(0, 0))
    (sheet,) = re.findall(r'sheet.src = "data:image/png;base64,(.*?)"', outputs[0]["text/html"])
    assert imread(io.BytesIO(base64.b64decode(sheet))).shape == (3 * 4, 5 * 6)
