"""`difftest` for tests of the action: it notes how it was called and ends as it is told to.

It is installed by pip from a wheel as the real one is; everything the action does around it is real.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> int:
    arguments = sys.argv[1:]
    Path(os.environ["STAND_IN_CALLS"]).write_text(json.dumps(arguments))
    told = json.loads(os.environ.get("STAND_IN", "{}"))
    real = told.get("exec")
    if real:
        os.execv(real, [real, *arguments])
    named = dict(word.split("=", 1) for word in arguments if word.startswith("--") and "=" in word)
    sys.stdout.write(told.get("prints", "4 cells\n"))
    sys.stdout.flush()
    if "repeats" in told:
        line, times = told["repeats"]
        told["markdown"] = line * times
    if "markdown" in told:
        Path(named["--markdown"]).write_text(told["markdown"])
        Path(named["--output"]).write_text('{"results": []}')
    return int(told.get("exits", 0))
