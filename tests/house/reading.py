"""A comment's Markdown as plain text: what a person reads, without its markup."""

from __future__ import annotations

import html
import re
import textwrap

_IMAGE = re.compile(r"<img[^>]*>")
_BREAK = re.compile(r"<br\s*/?>")
_TAG = re.compile(r"<[^>]+>")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_RULE = re.compile(r"^\|[\s:|-]+\|$")


def as_text(markdown: str, width: int = 110) -> str:
    """Tables are aligned, images become `[image]`, long cells are wrapped away."""
    lines: list[str] = []
    table: list[list[str]] = []
    for line in _COMMENT.sub("", markdown).splitlines():
        if line.startswith("|"):
            if not _RULE.match(line):
                table.append([_plain(cell) for cell in line.strip().strip("|").split("|")])
            continue
        lines += _aligned(table, width)
        table = []
        text = _plain(line)
        lines += textwrap.wrap(text, width) or [""]
    lines += _aligned(table, width)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _plain(text: str) -> str:
    text = _IMAGE.sub("[image]", _BREAK.sub(" · ", text))
    text = html.unescape(_TAG.sub("", text)).replace("\u200d", "")
    return text.replace("**", "").replace("`", "").strip()


def _aligned(table: list[list[str]], width: int) -> list[str]:
    if not table:
        return []
    columns = len(table[0])
    widths = [max(len(row[i]) for row in table if i < len(row)) for i in range(columns)]
    # The widest column gives way until the table fits.
    while sum(widths) + 3 * columns > width and max(widths) > 24:
        widths[widths.index(max(widths))] -= 1
    out: list[str] = []
    for row in table:
        cells = [textwrap.wrap(cell, w) or [""] for cell, w in zip(row, widths, strict=False)]
        for i in range(max(len(cell) for cell in cells)):
            parts = [
                (cell[i] if i < len(cell) else "").ljust(w)
                for cell, w in zip(cells, widths, strict=False)
            ]
            out.append("  " + "   ".join(parts).rstrip())
    return [*out, ""]
