"""What a generator can be told is known before it is loaded."""

from __future__ import annotations

from typing import Any

import pytest

from difftest import generators
from difftest.errors import GeneratorError


def offered(generator: str | None, model: str = "shapes", root: str = ".") -> dict[str, Any]:
    return generators.offered(generators.Options(generator, model, "cpu", root))


def test_ours_say_their_options_with_default_and_words() -> None:
    onnx = offered(None)
    assert onnx["remote"] is False
    assert onnx["options"]["threads"] == {"default": None, "values": []}
    assert onnx["options"]["graph_optimization"]["default"] == "all"
    diffusers = offered("diffusers", "owner/name")["options"]
    assert diffusers["dtype"] == {
        "default": "float32",
        "values": ["float32", "float16", "bfloat16"],
    }
    assert diffusers["attention_slicing"] == {"default": None, "values": ["auto", "max"]}
    assert "call" not in diffusers


def test_a_factorys_and_a_servers_options_are_their_own() -> None:
    assert offered("pipeline:make") == {"remote": False, "options": None}
    assert offered("comfyui") == {"remote": True, "options": None}


def test_a_model_without_a_generator_is_an_error(tmp_path: Any) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(GeneratorError, match="holds no model"):
        offered(None, "empty", str(tmp_path))
