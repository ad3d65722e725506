"""The comment as a page, in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difftest import _native

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


def screenshot(page: Path, out: Path, profile: Path) -> np.ndarray:
    assert CHROMIUM is not None
    subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--disable-quic", "--hide-scrollbars", f"--user-data-dir={profile}"),
            *("--window-size=900,1400", f"--screenshot={out}", page.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return np.asarray(Image.open(out).convert("RGB")).astype(int)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_the_images_and_runs_no_script(tmp_path: Path) -> None:
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
    pixels = screenshot(page, tmp_path / "page.png", tmp_path / "profile")

    def area(color: tuple[int, int, int]) -> int:
        return int((np.abs(pixels - np.array(color)).max(axis=2) < 12).sum())

    assert area((220, 35, 35)) > 0.9 * 160 * 160
    assert area((45, 80, 225)) > 0.9 * 160 * 160
    assert area((0, 255, 0)) == 0
