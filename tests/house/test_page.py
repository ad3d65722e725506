"""The comment as a page, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difftest import _native
from tests.house.changes import ONE_STEP
from tests.house.house import REPOSITORY, House
from tests.house.page import CHROMIUM, area, save_page, screenshot

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

REPO = "acme/imagegen"


def test_the_comment_of_a_regression_shows_its_images(tmp_path: Path) -> None:
    with House(tmp_path / "house") as house:
        base = house.github.create_repository(REPO, REPOSITORY)
        head = house.github.push(REPO, "one-step", ONE_STEP, parent=base)
        number = house.github.open_pull(REPO, "one-step", "one step")
        house.concluded(REPO, head)
        comment = house.comment_of(REPO, number, "regressed")["body"]
        page = save_page(comment, tmp_path / "page", house.fetch)
    shown = re.findall(r'src="images/([0-9a-f]{64}\.png)"', page.read_text())
    assert len(shown) >= 8
    pixels = screenshot(page, tmp_path / "page.png", height=6000)
    for name in shown:
        image = np.asarray(Image.open(page.parent / "images" / name).convert("RGB"))
        # Drawn at 160 pixels, each of 32 x 32 is 5 x 5, without smoothing.
        corner = tuple(int(c) for c in image[0, 0])
        assert area(pixels, corner, within=3) >= 25, f"{name} is not on the page"


def test_a_browser_runs_no_script_of_a_comment(tmp_path: Path) -> None:
    for name, color in (("base", (220, 35, 35)), ("head", (45, 80, 225))):
        Image.new("RGB", (32, 32), color).save(tmp_path / f"{name}.png")
    markdown = (
        "## difftest: ❌ regressed\n\n| prompt | base | head |\n|---|---|---|\n"
        '| <code>a</code> | <img src="base.png" width="160" alt="base">'
        ' | <img src="head.png" width="160" alt="head"> |\n\n'
        "<script>document.body.style.background = 'rgb(0, 255, 0)'</script>\n"
    )
    page = tmp_path / "comment.html"
    page.write_text(_native.report_page("difftest", markdown), encoding="utf-8")
    pixels = screenshot(page, tmp_path / "page.png")
    assert area(pixels, (220, 35, 35)) > 0.9 * 160 * 160
    assert area(pixels, (45, 80, 225)) > 0.9 * 160 * 160
    assert area(pixels, (0, 255, 0)) == 0
