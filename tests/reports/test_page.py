"""The HTML report in a real browser."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.reports.chromium import CHROMIUM, Chromium
from tests.reports.conftest import HOSTILE, Reported

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

PAIR = "[data-outcome=failed] .both"
AT = f"getComputedStyle(document.querySelector('{PAIR}')).getPropertyValue('--at')"


@pytest.fixture
def browser(tmp_path: Path, reported: Reported) -> Iterator[Chromium]:
    with Chromium(tmp_path / "profile") as chromium:
        chromium.scheme("light")
        chromium.open(reported.html)
        yield chromium
        # Whatever a test does to the page, it asks for nothing and runs nothing of the prompts.
        assert set(chromium.requests()) == {reported.html.as_uri()}
        assert chromium.complaints() == []
        assert chromium.run("typeof window.hacked") == "undefined"


def shade(browser: Chromium, selector: str, out: Path) -> npt.NDArray[np.int64]:
    """The pixels that the browser draws of an element."""
    left, top, width, height = (round(v) for v in browser.box(selector))
    picture = Image.open(io.BytesIO(browser.picture(out).read_bytes())).convert("RGB")
    return np.asarray(picture.crop((left, top, left + width, top + height))).astype(np.int64)


def share(pixels: npt.NDArray[np.int64], color: tuple[int, int, int], within: int = 14) -> float:
    """Which part of the pixels has this colour."""
    return float((np.abs(pixels - np.array(color)).max(axis=2) < within).mean())


BASE, HEAD = (200, 40, 60), (200, 120, 60)


def test_nothing_of_a_prompt_runs_and_everything_of_it_is_shown(
    browser: Chromium, reported: Reported
) -> None:
    shown = browser.run("[...document.querySelectorAll('h4')].map((h) => h.textContent)")
    assert HOSTILE in shown
    assert "no picture: <script>" in browser.run("document.body.textContent")
    assert browser.run("document.scripts.length") == 1
    # Without its escaping the policy would still hold: here is the same text, put in by hand.
    html = reported.html.read_text(encoding="utf-8")
    spoiled = reported.html.with_name("spoiled.html")
    injected = f"<body>{HOSTILE}<style>body {{ display: none }}</style>"
    spoiled.write_text(html.replace("<body>", injected, 1), encoding="utf-8")
    kept = list(browser.events)
    browser.open(spoiled)
    assert browser.run("typeof window.hacked") == "undefined"
    assert browser.run("getComputedStyle(document.body).display") == "block"
    blocked = " ".join(browser.complaints())
    assert "Content Security Policy" in blocked
    browser.open(reported.html)
    browser.events = kept


def test_the_slider_follows_mouse_touch_and_keyboard(browser: Chromium, tmp_path: Path) -> None:
    left, top, width, height = browser.box(f"{PAIR} .slide")
    half = shade(browser, f"{PAIR} .stack", tmp_path / "half.png")
    assert share(half, BASE) > 0.03
    assert share(half, HEAD) > 0.03
    y = top + height / 2
    browser.mouse("mouseMoved", left + width / 2, y)
    browser.mouse("mousePressed", left + width / 2, y, down=True)
    for part in (0.4, 0.2, 0.02):
        browser.mouse("mouseMoved", left + width * part, y, down=True)
    browser.mouse("mouseReleased", left + width * 0.02, y, down=True)
    assert float(browser.run(AT).strip("%")) < 5
    pixels = shade(browser, f"{PAIR} .stack", tmp_path / "head.png")
    assert share(pixels, HEAD) > 0.08
    assert share(pixels, BASE) < 0.005

    for _ in range(3):
        browser.key("ArrowRight", 39)
    assert 3 <= float(browser.run(AT).strip("%")) <= 8
    browser.key("End", 35)
    assert browser.run(AT) == "100%"
    pixels = shade(browser, f"{PAIR} .stack", tmp_path / "base.png")
    assert share(pixels, BASE) > 0.08
    assert share(pixels, HEAD) < 0.005

    browser("Emulation.setTouchEmulationEnabled", enabled=True)
    left, top, width, height = browser.box(f"{PAIR} .slide")
    for kind, parts in (("touchStart", [0.9]), ("touchMove", [0.6]), ("touchMove", [0.3])):
        points = [{"x": left + width * part, "y": top + height / 2} for part in parts]
        browser("Input.dispatchTouchEvent", type=kind, touchPoints=points)
    browser("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert abs(float(browser.run(AT).strip("%")) - 30) < 6


def test_a_difference_is_dark_where_nothing_changed(browser: Chromium, tmp_path: Path) -> None:
    browser.run("document.querySelector('[name=mode-all][value=difference]').click()")
    pixels = shade(browser, f"{PAIR} .stack", tmp_path / "difference.png")
    # The disc is a seventh of the image; its green channel moved by 80, shown three times as strong.
    assert share(pixels, (0, 0, 0), within=20) > 0.7
    assert 0.08 < share(pixels, (0, 240, 0), within=30) < 0.25
    browser.run("document.querySelector('[name=mode-all][value=side]').click()")
    pixels = shade(browser, f"{PAIR} .stack", tmp_path / "side.png")
    half = pixels.shape[1] // 2
    assert share(pixels[:, :half], BASE) > 0.08
    assert share(pixels[:, half:], HEAD) > 0.08


def test_the_filter_shows_what_was_asked_for(browser: Chromium) -> None:
    shown = (
        "[...document.querySelectorAll('.test')].filter((t) => !t.hidden)"
        ".map((t) => t.querySelector('h2').textContent)"
    )
    assert browser.run(shown) == ["the_same_as_before", "breaks", "bright_enough"]
    browser.click("#find")
    browser.type("a disc")
    assert browser.run(shown) == ["the_same_as_before", "breaks"]
    rows = "[...document.querySelectorAll('[data-outcome=failed] .prompt')].map((r) => r.hidden)"
    assert sorted(browser.run(rows)) == [False, True]
    assert browser.run("document.getElementById('count').textContent") == "2 of 3 tests shown"
    browser.run("document.querySelector('[name=outcome][value=failed]').click()")
    assert browser.run(shown) == ["breaks"]
    browser.type(" of which nobody speaks")
    assert browser.run(shown) == []
    assert browser.run("document.getElementById('nothing').checkVisibility()")


def test_a_cell_is_enlarged_and_put_back(browser: Chromium) -> None:
    cells = "document.querySelectorAll('main .cell img').length"
    before = browser.run(cells)
    browser.click(f"{PAIR} .enlarge")
    assert browser.run("document.getElementById('viewer').open")
    assert browser.run("document.querySelectorAll('#stage .cell').length") == 1
    first = browser.run("document.getElementById('viewer-name').textContent")
    browser.key("n", 78)
    assert browser.run("document.getElementById('viewer-name').textContent") != first
    browser.key("p", 80)
    assert browser.run("document.getElementById('viewer-name').textContent") == first
    assert browser.run("document.getElementById('previous').disabled")
    browser.key("Escape", 27)
    assert not browser.run("document.getElementById('viewer').open")
    browser.until(f"{cells} === {before}")
    assert browser.run("document.activeElement.className") == "enlarge"


def test_a_phone_shows_it_without_scrolling_sideways(browser: Chromium, reported: Reported) -> None:
    browser.size(360, 740, phone=True)
    browser.open(reported.html, 360, 740)
    browser.size(360, 740, phone=True)
    for details in (False, True):
        if details:
            browser.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        width = browser.run("document.scrollingElement.scrollWidth")
        assert width <= 360, details


def test_without_script_both_images_stand_side_by_side(
    browser: Chromium, reported: Reported, tmp_path: Path
) -> None:
    browser("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(reported.html)
    assert browser.run("document.getElementById('toolbar').checkVisibility()") is False
    pixels = shade(browser, f"{PAIR} .stack", tmp_path / "still.png")
    half = pixels.shape[1] // 2
    assert share(pixels[:, :half], BASE) > 0.08
    assert share(pixels[:, half:], HEAD) > 0.08


#: WCAG 2.2, relative luminance and contrast (1.4.3), of every element that has text of its own.
CONTRAST = """
(() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a > 0.6) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility({ opacityProperty: true }) || element.closest(".sr, svg")) continue;
    if (element.matches(".single .enlarge")) continue; // its sign is not drawn
    const pair = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => a - b);
    const ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
    if (ratio < 4.5) poor.push([element.className || element.tagName, element.textContent.slice(0, 30), ratio]);
  }
  return poor;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Chromium, scheme: str) -> None:
    browser.scheme(scheme)
    browser.run("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert browser.run(CONTRAST) == []


def test_a_screen_reader_finds_every_control_by_name(browser: Chromium) -> None:
    nodes = browser("Accessibility.getFullAXTree")["nodes"]
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
        and node.get("role", {}).get("value")
        in ("slider", "button", "checkbox", "radio", "searchbox", "image", "img")
    ]
    assert [role for role, name in controls if not name.strip()] == []
    sliders = [name for role, name in controls if role == "slider"]
    assert len(sliders) == 6
    assert len(set(sliders)) == 6


def test_paper_has_every_test_open(browser: Chromium) -> None:
    closed = "document.querySelectorAll('details:not([open])').length"
    before = browser.run(closed)
    assert before > 0
    browser.run(f"addEventListener('beforeprint', () => (window.folded = {closed}))")
    pdf = browser("Page.printToPDF", transferMode="ReturnAsBase64")["data"]
    assert len(pdf) > 10_000
    assert browser.run("window.folded") == 0
    assert browser.run(closed) == before


def test_the_trend_is_drawn(browser: Chromium) -> None:
    label = browser.run("document.querySelector('.history .trend').getAttribute('aria-label')")
    assert re.match(r"ssim over the last 2 runs: \d", label)
    assert browser.run("document.querySelector('.history').textContent").endswith("in the last run")
