"""``python -m difftest.shapes``: train, export and measure the embedded models."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from difftest.shapes.layout import WEIGHTS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m difftest.shapes", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (("train", "the diffusion model"), ("train-clip", "the CLIP")):
        command = commands.add_parser(name, help=f"train {what} (needs torch)")
        command.add_argument("--out", type=Path, required=True)
        command.add_argument("--resume", action="store_true", help="go on from --out's checkpoint")
        command.add_argument("--processes", type=int, default=2, choices=(1, 2))
    export = commands.add_parser("export", help="trained networks to weights/ (needs torch, onnx)")
    export.add_argument("--diffusion", type=Path, help="folder that `train` wrote")
    export.add_argument("--clip", type=Path, help="folder that `train-clip` wrote")
    export.add_argument("--weights", type=Path, default=WEIGHTS)
    folder = commands.add_parser("diffusers", help="write the weights in diffusers format")
    folder.add_argument("out", type=Path)
    evaluate = commands.add_parser(
        "evaluate", help="measure the shipped weights; 1 if a bar is missed"
    )
    evaluate.add_argument("--faults", action="store_true", help="how each fault moves the metrics")
    evaluate.add_argument("--json", action="store_true", help="numbers instead of tables")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    if chosen.command == "train":
        from difftest.shapes.train import train

        train(chosen.out, processes=chosen.processes, resume=chosen.resume)
    elif chosen.command == "train-clip":
        from difftest.shapes.train_clip import train_clip

        train_clip(chosen.out, processes=chosen.processes, resume=chosen.resume)
    elif chosen.command == "export":
        _export(chosen.diffusion, chosen.clip, chosen.weights)
    elif chosen.command == "diffusers":
        from difftest.shapes.diffusers_folder import write_clip_folder, write_diffusers_folder

        write_diffusers_folder(chosen.out)
        write_clip_folder(chosen.out / "clip")
        print(f"StableDiffusionPipeline.from_pretrained({str(chosen.out)!r}, vae=None)")
        print(f"CLIPModel.from_pretrained({str(chosen.out / 'clip')!r})")
    elif chosen.faults:
        return _evaluate_faults(as_json=chosen.json)
    else:
        return _evaluate(as_json=chosen.json)
    return 0


def _export(diffusion: Path | None, clip: Path | None, weights: Path) -> None:
    from difftest.shapes.export import export_clip, export_diffusion

    if diffusion is not None:
        export_diffusion(diffusion, weights)
    if clip is not None:
        export_clip(clip, weights)


def _evaluate(*, as_json: bool) -> int:
    from difftest.shapes.evaluate import evaluate, format_evaluation

    result = evaluate()
    missed = result.missed()
    print(
        json.dumps({**asdict(result), "missed": missed}) if as_json else format_evaluation(result)
    )
    return 1 if missed else 0


def _evaluate_faults(*, as_json: bool) -> int:
    from difftest.shapes.evaluate import evaluate_faults, format_faults

    effects = evaluate_faults()
    plain = {name: asdict(effect) for name, effect in effects.items()}
    print(json.dumps(plain) if as_json else format_faults(effects))
    return 0


if __name__ == "__main__":
    sys.exit(main())
