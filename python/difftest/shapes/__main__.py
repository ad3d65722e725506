"""``python -m difftest.shapes``: train, export and measure the embedded model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m difftest.shapes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the diffusion model (needs torch)")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    train.add_argument("--processes", type=int, default=2, choices=(1, 2))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    if chosen.command == "train":
        from difftest.shapes.train import train

        train(chosen.out, processes=chosen.processes, resume=chosen.resume)
    return 0


if __name__ == "__main__":
    sys.exit(main())
