"""One table of metrics: core/src/metric/table.rs. The classes take their facts from it, the page repeats them."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import difftest
from difftest import _native, metrics
from difftest.metrics import facts

ROWS = json.loads(_native.builtin_metrics())
PACKAGE = Path(difftest.__file__).parent
PAGE = PACKAGE.parents[1] / "docs" / "metrics.md"
NATIVE = {
    *("ssim", "ms_ssim", "psnr", "phash", "color_histogram", "edge_similarity", "sharpness"),
    *("centering", "white_background", "single_object", "blank_image"),
}
BETTER = {"higher_is_better": "higher", "lower_is_better": "lower"}
OF = {
    "per_sample": "one image",
    "reference": "image and reference",
    "batch": "all images of a test",
}


def test_every_metric_is_native_or_pythons() -> None:
    assert {row["name"] for row in ROWS} == NATIVE | metrics.BUILTIN.keys()
    assert not NATIVE & metrics.BUILTIN.keys()


@pytest.mark.parametrize("row", ROWS, ids=[row["name"] for row in ROWS])
def test_the_tables_rows_can_be_used(row: dict[str, Any]) -> None:
    known = facts.table()[row["name"]]
    assert known.direction in BETTER
    assert known.category in OF
    assert known.margin > 0
    assert (known.min_samples is not None) == (known.category == "batch")
    if known.range is not None:
        assert known.range[0] < known.range[1]


@pytest.mark.parametrize("name", metrics.BUILTIN)
def test_a_class_says_what_the_table_says(name: str) -> None:
    kind = getattr(importlib.import_module(f"difftest.metrics.{name}"), metrics.BUILTIN[name])
    metric = kind.__new__(kind)
    stated = facts.table()[name]
    for fact in ("name", "direction", "category", "range", "margin", "min_samples"):
        assert getattr(metric, fact) == getattr(stated, fact), fact
    assert callable(getattr(kind, "begin" if stated.category == "batch" else "compute_batch"))


def test_the_page_says_what_the_table_says() -> None:
    cells = [
        [cell.strip() for cell in line.strip("| \n").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").split("\n## ")[0].splitlines()
        if line.startswith("| `")
    ]
    found = {row[0].strip("`"): row[1:] for row in cells}
    assert list(found) == [row["name"] for row in ROWS]
    for row in ROWS:
        low_high = row.get("range")
        assert found[row["name"]][:-1] == [
            row["meaning"],
            BETTER[row["direction"]],
            "none" if low_high is None else f"{low_high[0]:g} … {low_high[1]:g}",
            OF[row["category"]],
            f"{row['margin']:g}",
            row["source"],
        ]
        assert len(found[row["name"]][-1]) > 20, "what it is blind to"


def test_the_page_says_what_to_install_and_where_weights_come_from() -> None:
    from difftest.metrics import (
        aesthetic_score,
        dreamsim,
        image_reward,
        inception,
        lpips,
        pick_score,
    )
    from difftest.metrics.clip_model import VIT_L_14
    from difftest.metrics.detector import MODEL

    page = PAGE.read_text(encoding="utf-8")
    for name in (
        *(aesthetic_score.HEAD.name, lpips.TRUNK.name, inception.NETWORK.name),
        *(image_reward.MODEL.name, image_reward.TOKENIZER.name, VIT_L_14, MODEL),
        *(pick_score.MODEL, pick_score.PROCESSOR, dreamsim.URL.rpartition("/")[2]),
        *("DIFFTEST_WEIGHTS_DIR", "DIFFTEST_CLIP_MODEL", "DIFFTEST_GENEVAL_PROMPTS"),
    ):
        assert name in page
    tomllib = pytest.importorskip("tomllib", reason="tomllib came with Python 3.11")
    declared = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())
    extras = declared["project"]["optional-dependencies"]
    for named in set(re.findall(r"`difftest\[(\w+)\]`", page)):
        assert named in extras


def test_the_pages_examples_work(tmp_path: Path) -> None:
    import numpy as np

    from difftest.metrics import vlm_judge
    from difftest.metrics.detector import OBJECTS
    from difftest.metrics.geneval_prompt import parse_lines

    page = PAGE.read_text(encoding="utf-8")
    (schema,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert len(parse_lines(schema, "page", OBJECTS)) == 1
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 3
    difftest.clear_registry()
    names: dict[str, Any] = {"np": np}
    try:
        for example in examples:
            exec(compile(example, "metrics.md", "exec"), names)
        images = [np.full((4, 4, 3), shade, np.uint8) for shade in (10, 20)]
        assert metrics.load("brightness").compute_batch(images, ["a"] * 2, [None] * 2) == [10, 20]
        pool = metrics.load("variety").begin(None)
        pool.update(images, ["a"] * 2, [None] * 2)
        assert pool.value().value == 5.0
        assert metrics.load("vlm_judge").compute_batch(images, ["a"] * 2, [None] * 2) == [0.8, 0.8]
    finally:
        difftest.clear_registry()
        vlm_judge.forget()


def test_no_metric_is_imported_before_it_is_asked_for() -> None:
    heavy = ("numpy", "torch", "transformers", "lpips", "cleanfid", "dreamsim", "torchvision")
    code = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        "from difftest import metrics, memory\n"
        "from difftest.metrics import facts, protocol, vlm_judge\n"
        "import difftest\n"
        "@difftest.metric('m')\n"
        "def m(image): ...\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("name", "extra", "package"),
    [
        ("lpips", "lpips", "lpips"),
        ("fid", "fid", "torch"),
        ("kid", "fid", "torch"),
        ("dreamsim", "dreamsim", "dreamsim"),
        ("pick_score", "clip", "torch"),
        ("aesthetic_score", "clip", "torch"),
        ("image_reward", "clip", "torch"),
        ("geneval", "geneval", "torch"),
    ],
)
def test_a_missing_package_names_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, name: str, extra: str, package: str
) -> None:
    for module in ("torch", "transformers", "lpips", "dreamsim", "cleanfid", "torchvision"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "difftest.metrics.blip", raising=False)
    with pytest.raises(difftest.MissingDependencyError) as missing:
        metrics.load(name)
    assert str(missing.value) == (
        f"{name} needs the package `{package}`, which is not installed here: "
        f"pip install 'difftest[{extra}]'"
    )
