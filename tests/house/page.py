"""The comment as a page of its own, and a browser's picture of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from difftest import _native

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


def save_page(markdown: str, folder: Path, fetch: Callable[[str], bytes]) -> Path:
    """Writes the comment as HTML with its images beside it, so that it outlives the App."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    for url in sorted(set(re.findall(r'src="([^"]+)"', markdown))):
        name = url.split("?")[0].rsplit("/", 1)[1]
        (images / name).write_bytes(fetch(url.replace("&amp;", "&")))
        markdown = markdown.replace(f'src="{url}"', f'src="images/{name}"')
    page = folder / "comment.html"
    page.write_text(_native.report_page("difftest: the comment", markdown), encoding="utf-8")
    return page


def screenshot(page: Path, out: Path, *, height: int = 1400) -> npt.NDArray[np.int64]:
    """What Chromium shows of a page, RGB, 900 pixels wide."""
    assert CHROMIUM is not None
    subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *("--disable-quic", "--hide-scrollbars", f"--user-data-dir={out.parent / 'profile'}"),
            *(f"--window-size=900,{height}", f"--screenshot={out}", page.as_uri()),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return np.asarray(Image.open(out).convert("RGB")).astype(np.int64)


def area(pixels: npt.NDArray[np.int64], color: tuple[int, int, int], *, within: int = 12) -> int:
    """How many pixels have this colour, to `within` in every channel."""
    return int((np.abs(pixels - np.array(color)).max(axis=2) < within).sum())
