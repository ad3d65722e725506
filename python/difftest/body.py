"""The body of a test function: whether it says anything, and what happened when it ran."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import reprlib
import textwrap
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from difftest.errors import DifftestError, GeneratorError
from difftest.nearest import suggestion
from difftest.recipe import Lora, Recipe
from difftest.traces import describe, shown

if TYPE_CHECKING:
    from PIL.Image import Image

    from difftest.generators.protocol import Generator
    from difftest.registry import TestDefinition


class ModelHandle:
    """The model of the run, for a test's own assertions."""

    def __init__(
        self, generator: Generator, test: TestDefinition, settings: Mapping[str, Any]
    ) -> None:
        self._generator, self._test, self._settings = generator, test, settings

    @property
    def name(self) -> str:
        return self._generator.name

    def generate(
        self,
        prompt: str,
        seed: int | None = None,
        negative_prompt: str | None = None,
        **settings: Any,
    ) -> Image:
        """The image of a prompt: with the test's first seed and its negative prompt unless given here.

        ``settings`` are fields of the recipe (``steps=4``); they go before what the run sets for all images.
        Raises ``GeneratorError`` where the image fails.
        """
        from PIL import Image as Pil

        from difftest.generators.protocol import Generated

        recipe = self._recipe(
            {
                **self._settings,
                **settings,
                "prompt": prompt,
                "seed": self._test.seeds[0] if seed is None else seed,
                "negative_prompt": (
                    self._test.negative_prompt if negative_prompt is None else negative_prompt
                ),
            }
        )
        (item,) = self._generator.generate([recipe])
        if isinstance(item, Exception):
            raise item
        return Pil.fromarray(item.image if isinstance(item, Generated) else item)

    def _recipe(self, fields: dict[str, Any]) -> Recipe:
        known = {field.name for field in dataclasses.fields(Recipe)}
        for name in fields.keys() - known:
            raise GeneratorError(f"a recipe has no `{name}`; {suggestion(name, known)}")
        loras = tuple(
            lora if isinstance(lora, Lora) else Lora(**lora) for lora in fields.get("loras") or ()
        )
        return Recipe(**{**fields, "loras": loras})


def is_empty(function: Callable[..., Any]) -> bool:
    """Whether nothing would happen: a docstring, ``pass``, ``...`` and a bare ``return`` are nothing."""
    definition = _definition(inspect.unwrap(function))
    return definition is not None and all(_is_nothing(step) for step in definition.body)


def _definition(function: Callable[..., Any]) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None
    first = tree.body[0] if tree.body else None
    return first if isinstance(first, ast.FunctionDef) else None


def _is_nothing(step: ast.stmt) -> bool:
    if isinstance(step, ast.Return):
        return step.value is None or (
            isinstance(step.value, ast.Constant) and step.value.value is None
        )
    constant = isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
    return constant or isinstance(step, ast.Pass)


def run(
    test: TestDefinition, generator: Generator, settings: Mapping[str, Any] | None = None
) -> None:
    """Call the test's function, with the model if it takes one. Does nothing where its body is empty.

    ``settings`` are those of the run's recipe, by field.

    Raises ``AssertionError`` with the place, the assertion and the values in it, and ``DifftestError`` for anything
    else that the body raises.
    """
    if is_empty(test.function):
        return
    taken = inspect.signature(test.function).parameters.values()
    model = ModelHandle(generator, test, settings or {})
    try:
        if any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in taken):
            test.function(model)
        elif any(p.kind is p.KEYWORD_ONLY for p in taken):
            test.function(model=model)
        else:
            test.function()
    except AssertionError as failed:
        raise AssertionError(_explain(failed, test)) from failed
    except DifftestError:
        raise
    except (Exception, SystemExit) as broken:
        _, line = _last_line_of(broken, test)
        where = shown(Path(test.file), line)
        raise DifftestError(
            f"the body of {test.name} broke at {where}: {describe(broken)}"
        ) from broken


def _explain(failed: AssertionError, test: TestDefinition) -> str:
    frame, line = _last_line_of(failed, test)
    place = shown(Path(test.file), line)
    said = str(failed)
    statement = _assertion_at(frame, line) if frame else None
    if frame is None or statement is None:
        return f"{place}: {said or 'an assertion failed'}"
    text = f"{place}: assert {ast.unparse(statement.test)}"
    values = _values(statement.test, {**frame.f_globals, **frame.f_locals})
    if said:
        text += f": {said}"
    return f"{text} (where {', '.join(values)})" if values else text


def _last_line_of(error: BaseException, test: TestDefinition) -> tuple[FrameType | None, int]:
    """The innermost frame in the test's own file."""
    found: tuple[FrameType | None, int] = (None, test.line)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(Path(frame.f_code.co_filename).resolve()) == test.file:
            found = frame, line
    return found


def _assertion_at(frame: FrameType, line: int) -> ast.Assert | None:
    """The assertion that stands at ``line`` of the frame's file."""
    try:
        lines, _ = inspect.findsource(frame)
        tree = ast.parse("".join(lines))
    except (OSError, TypeError, SyntaxError):
        return None
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return around[-1] if around else None


def _values(expression: ast.expr, names: Mapping[str, Any]) -> list[str]:
    """``name = value`` for the numbers and texts the assertion reads; calls are not made again."""
    shown = {}
    for node in ast.walk(expression):
        if isinstance(node, ast.Name) and node.id in names:
            value = names[node.id]
            if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
                value = value.item()  # a scalar of numpy or torch
            if value is None or isinstance(value, (bool, int, float, str, list, tuple, dict)):
                shown[node.id] = f"{node.id} = {reprlib.repr(value)}"
    return list(shown.values())
