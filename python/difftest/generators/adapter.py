"""Anything that can make an image, as the generator that the engine asks for."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import DifftestError, GeneratorError
from difftest.generators import environment
from difftest.generators.calls import Call, Form, Negatives, cell, settings
from difftest.generators.pixels import to_rgb
from difftest.generators.protocol import Generated
from difftest.prints import to_stderr
from difftest.traces import innermost

if TYPE_CHECKING:
    from difftest.generators.protocol import Image
    from difftest.recipe import Recipe

#: Where an object says nothing of its own.
DEFAULT_BATCH_SIZE = 8
_END = object()


class Adapter:
    """Wraps an object with ``generate(recipes)`` or ``generate(prompts, seeds, negative_prompts)``, or a
    ``callable(prompt, seed)``. The settings of a recipe are passed by keyword to the latter two.

    What the object says of itself is kept: ``fingerprint``, ``batch_size``, ``describe()`` or ``description``.
    """

    def __init__(
        self,
        name: str,
        target: Any,
        *,
        device: str,
        sources: Callable[[], Sequence[Path]] = list,
        made_with: Mapping[str, Any] | None = None,
    ) -> None:
        """``sources`` are the files, and ``made_with`` the options, that stand for an object without a fingerprint of
        its own.
        """
        self.name, self._target, self._device, self._sources = name, target, device, sources
        self._made_with = dict(made_with or {})
        self._call = Call.of(name, target)
        single = self._call.form is Form.SINGLE
        size = 1 if single else getattr(target, "batch_size", DEFAULT_BATCH_SIZE)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise GeneratorError(
                f"{name} has the batch_size {size!r}; an integer from 1 was expected"
            )
        self.batch_size = size

    @functools.cached_property
    def fingerprint(self) -> str:
        own = self._said("fingerprint")
        if own is not None:
            if not isinstance(own, str) or not own:
                raise GeneratorError(
                    f"{self.name} has the fingerprint {own!r}; a text was expected"
                )
            return own
        total = hashlib.sha256()
        for source in self._sources():
            total.update(hashlib.sha256(source.read_bytes()).digest())
        said = {**self.describe(), "made_with": self._made_with}
        total.update(json.dumps(said, sort_keys=True).encode())
        return total.hexdigest()

    def describe(self) -> dict[str, Any]:
        said = self._said("describe") or self._said("description")
        own = dict(said) if isinstance(said, dict) else {}
        described = {
            **own,
            "generator": self.name,
            "device": environment.device(own.get("device"), self._device),
            "threads": environment.threads(
                own.get("threads", getattr(self._target, "threads", None))
            ),
            "batch_size": self.batch_size,
            "versions": {**environment.versions(), **own.get("versions", {})},
        }
        try:
            return dict(json.loads(json.dumps(described, allow_nan=False)))
        except (TypeError, ValueError) as broken:
            raise GeneratorError(
                f"{self.name} describes itself with something that JSON cannot say: {broken}"
            ) from broken

    def _said(self, attribute: str) -> Any:
        """What the object says of itself under this name, as an attribute or as a method; else ``None``."""
        try:
            said = getattr(self._target, attribute, None)
            return said() if callable(said) else said
        except DifftestError:
            raise
        except Exception as broken:
            raise GeneratorError(
                f"{self.name} failed to say its {attribute}: {innermost(broken, self.name)}"
            ).with_traceback(broken.__traceback__) from broken

    def unload(self) -> None:
        """Free what the object holds, where it has a method for that."""
        unload = getattr(self._target, "unload", None)
        if callable(unload):
            unload()

    def generate(self, recipes: Sequence[Recipe]) -> Iterator[Image | Generated | Exception]:
        """As ``Generator.generate``: one item for each recipe, as early as the object gives it."""
        if self._call.form is Form.SINGLE:
            yield from map(self._single, recipes)
            return
        if self._call.form is Form.RECIPES:
            if recipes:
                yield from self._batch(recipes, list(recipes))
            return
        for _, group in itertools.groupby(recipes, key=settings):
            alike = list(group)
            for recipe in alike:
                self._call.refuse_negative(recipe)
            arguments: list[Any] = [
                [recipe.prompt for recipe in alike],
                [recipe.seed for recipe in alike],
            ]
            keywords = self._call.keywords(alike[0])
            negatives = [recipe.negative_prompt for recipe in alike]
            if self._call.negatives is Negatives.THIRD:
                arguments.append(negatives)
            elif self._call.negatives is Negatives.KEYWORD:
                keywords["negative_prompts"] = negatives
            yield from self._batch(alike, *arguments, **keywords)

    def _single(self, recipe: Recipe) -> Image | Generated | Exception:
        try:
            self._call.refuse_negative(recipe)
            keywords = self._call.keywords(recipe)
            if self._call.negatives is not None:
                keywords["negative_prompt"] = recipe.negative_prompt
            image = self._guarded(
                cell(recipe), self._call.target, recipe.prompt, recipe.seed, **keywords
            )
        except DifftestError as failed:
            return failed
        return self._item(image, recipe)

    def _batch(
        self, recipes: Sequence[Recipe], *arguments: Any, **keywords: Any
    ) -> Iterator[Image | Generated | Exception]:
        count, first = len(recipes), cell(recipes[0])
        what = first if count == 1 else f"{count} images from {first} on"
        answer = self._guarded(what, self._call.target, *arguments, **keywords)
        if hasattr(answer, "__len__") and len(answer) != count:
            raise self._miscounted(len(answer), count)
        try:
            items = iter(answer)
        except TypeError:
            raise GeneratorError(
                f"{self.name} gave {type(answer).__name__} for {count} prompts; a list of "
                "as many images was expected"
            ) from None
        for made, recipe in enumerate(recipes):
            item = self._guarded(what, next, items, _END)
            if item is _END:
                raise self._miscounted(made, count)
            yield self._item(item, recipe)
        if self._guarded(what, next, items, _END) is not _END:
            raise self._miscounted(f"more than {count}", count)

    def _miscounted(self, given: int | str, expected: int) -> GeneratorError:
        return GeneratorError(
            f"{self.name} gave {given} images for {expected} prompts; one for each was expected, in their order"
        )

    def _item(self, item: Any, recipe: Recipe) -> Image | Generated | Exception:
        if isinstance(item, DifftestError):
            return item
        if isinstance(item, Exception):
            return self._failure(cell(recipe), item)
        what = f"the image of {self.name} for {cell(recipe)}"
        try:
            if isinstance(item, Generated):
                return dataclasses.replace(item, image=to_rgb(item.image, what))
            return to_rgb(item, what)
        except GeneratorError as refused:
            return refused

    def _guarded(
        self, what: str, function: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> Any:
        try:
            with to_stderr():
                return function(*arguments, **keywords)
        except DifftestError:
            raise
        except ModuleNotFoundError as missing:
            raise GeneratorError(missing_module(self.name, missing)) from missing
        except (Exception, SystemExit) as broken:
            raise self._failure(what, broken) from broken

    def _failure(self, what: str, broken: BaseException) -> GeneratorError:
        return GeneratorError(
            f"{self.name} failed on {what}: {innermost(broken, self.name)}"
        ).with_traceback(broken.__traceback__)


def is_pipeline(target: Any) -> bool:
    """Whether it is a diffusers pipeline: no function of (prompt, seed), since it takes its seed as a generator."""
    if callable(getattr(target, "generate", None)):
        return False  # its author says how it is called
    return any(base.__module__.startswith("diffusers.") for base in type(target).__mro__)


def missing_module(what: str, missing: ModuleNotFoundError) -> str:
    """Whether it should be installed or be in the repository is not for us to guess."""
    return (
        f"{what} needs the module `{missing.name}`, which is neither in the repository nor installed "
        "where difftest runs"
    )
