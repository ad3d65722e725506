"""A recipe in a back end's own names: ``core::recipe`` has them for all back ends, difftest's own in Python too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from difftest import _native
from difftest.errors import GeneratorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from difftest.recipe import Recipe


def of_diffusers(recipe: Recipe) -> dict[str, Any]:
    """``{"call": arguments, "scheduler": {"id", "class", "config"} or None, …}``. Raises ``GeneratorError``."""
    return _named(_native.recipe_to_diffusers, recipe)


def of_embedded(recipe: Recipe) -> dict[str, Any]:
    """Arguments of the embedded model. Raises ``GeneratorError`` for a field that it cannot take."""
    return _named(_native.recipe_to_onnx, recipe)


def _named(mapping: Callable[[str], str], recipe: Recipe) -> dict[str, Any]:
    try:
        named: dict[str, Any] = json.loads(mapping(recipe.to_json()))
    except ValueError as refused:
        raise GeneratorError(str(refused)) from refused
    return named
