"""What run.sh writes to the job summary, and how it reads `args`. Needs nothing but Python.

summary.py words TEXT          TEXT's words as a shell would split them, each ended by NUL
summary.py report FILE         the run's Markdown, within GitHub's limit
summary.py failed TITLE LOG    why there is no report, with the end of the log
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

#: GitHub drops a step's summary that is larger than 1 MiB, all of it.
#: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits
LIMIT = 1024 * 1024
TAIL = 40
#: Colours and cursor movements, which a terminal reads and a page shows.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def words(text: str) -> bytes:
    """Raises ValueError where a quotation is not closed."""
    return b"".join(word.encode() + b"\0" for word in shlex.split(text))


def report(markdown: str) -> str:
    """The Markdown, cut at a line's end where GitHub would not take it whole."""
    note = "\n\n*The report is longer than a job summary may be; the rest is cut.*\n"
    room = LIMIT - len(note.encode()) - 1
    encoded = markdown.encode()
    if len(encoded) <= room:
        return markdown + "\n"
    kept = encoded[:room].decode(errors="ignore")
    return kept.rpartition("\n")[0] + note


def failed(title: str, log: str) -> str:
    """The log is shown as it is: its fence is longer than any run of backticks in it."""
    # Of a progress bar, which overwrites its line, only the last state is of interest.
    lines = [CONTROL.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in log.split("\n")]
    tail = "\n".join(lines).strip("\n").split("\n")[-TAIL:]
    page = f"## difftest\n\n**{title}**\n"
    if tail == [""]:
        return page
    longest = max((len(run) for line in tail for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{page}\n{fence}text\n" + "\n".join(tail) + f"\n{fence}\n"


def main(arguments: list[str]) -> int:
    out = sys.stdout.buffer

    def read(file: str) -> str:
        return Path(file).read_bytes().decode(errors="replace")

    match arguments:
        case ["words", text]:
            try:
                out.write(words(text))
            except ValueError:
                return 2
        case ["report", file]:
            out.write(report(read(file)).encode())
        case ["failed", title, log]:
            out.write(failed(title, read(log) if log else "").encode())
        case _:
            sys.stderr.write(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
