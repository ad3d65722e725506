"""A recipe in a back end's own names: ``core::recipe`` has them for all back ends, difftest's own in Python too."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from difftest import _native
from difftest.errors import GeneratorError
from difftest.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a test says, and no setting.
_OF_THE_TEST = ("prompt", "negative_prompt", "seed")


def of_diffusers(recipe: Recipe) -> dict[str, Any]:
    """``{"call": arguments, "scheduler": {"id", "class", "config"} or None, …}``. Raises ``GeneratorError``."""
    return _named(_native.recipe_to_diffusers, recipe)


def of_embedded(recipe: Recipe) -> dict[str, Any]:
    """Arguments of the embedded model. Raises ``GeneratorError`` for a field that it cannot take."""
    return _named(_native.recipe_to_onnx, recipe)


def parameters() -> dict[str, tuple[str, ...]]:
    """The settings of a recipe, each with the names that a parameter for it may have: ours, then diffusers'."""
    theirs: dict[str, str] = json.loads(_native.diffusers_names())
    own = [field.name for field in fields(Recipe) if field.name not in _OF_THE_TEST]
    return {name: tuple(dict.fromkeys((name, theirs.get(name, name)))) for name in own}


def _named(mapping: Callable[[str], str], recipe: Recipe) -> dict[str, Any]:
    try:
        named: dict[str, Any] = json.loads(mapping(recipe.to_json()))
    except ValueError as refused:
        raise GeneratorError(str(refused)) from refused
    return named
