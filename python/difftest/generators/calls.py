"""How an object of the user's is called: which fields of a recipe it takes, and under which names."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from difftest.errors import GeneratorError
from difftest.generators import recipe_names

if TYPE_CHECKING:
    from difftest.recipe import Recipe

#: Fields that are passed by keyword, with the names under which a parameter may ask for each: ours, then diffusers'.
SETTINGS: Mapping[str, tuple[str, ...]] = recipe_names.parameters()
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Form(enum.Enum):
    """What an object is called with."""

    RECIPES = "generate(recipes)"
    BATCH = "generate(prompts, seeds, negative_prompts)"
    SINGLE = "(prompt, seed)"


class Negatives(enum.Enum):
    """How negative prompts are passed."""

    THIRD = "the third argument"
    KEYWORD = "by name"


def settings(recipe: Recipe) -> dict[str, Any]:
    """The recipe's fields beside its prompts and its seed, where they are set."""
    return {name: value for name in SETTINGS if (value := getattr(recipe, name)) not in (None, ())}


@dataclass(frozen=True)
class Call:
    """A callable, and how a recipe becomes its arguments."""

    #: Of whom, for messages.
    name: str
    target: Callable[..., Any]
    form: Form
    negatives: Negatives | None
    #: Parameter by field, of the settings that it takes.
    _parameters: Mapping[str, str]
    #: Fields whose parameters have no default.
    _required: frozenset[str]
    #: It has ``**others``.
    _takes_any: bool

    @classmethod
    def of(cls, name: str, target: Any) -> Call:
        """How ``target`` makes images. Raises ``GeneratorError`` for a signature that nobody could call."""
        method = getattr(target, "generate", None)
        function = method if callable(method) else target
        if not callable(function):
            raise GeneratorError(
                f"{name} gave {target!r}, which makes no images; give an object with {Form.RECIPES.value} or "
                f"{Form.BATCH.value}, or a function of {Form.SINGLE.value}"
            )
        is_method = callable(method)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # written in C: only a call can tell
            form = Form.BATCH if is_method else Form.SINGLE
            negatives = Negatives.THIRD if is_method else None
            return cls(name, function, form, negatives, {}, frozenset(), False)
        form = _form(signature, is_method=is_method)
        parameters = {
            field: found
            for field, names in SETTINGS.items()
            if (found := next((n for n in names if n in signature.parameters), None))
        }
        required = frozenset(
            field
            for field, parameter in parameters.items()
            if signature.parameters[parameter].default is inspect.Parameter.empty
        )
        negatives = _negatives(name, signature, form, [parameters[field] for field in required])
        takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
        return cls(name, function, form, negatives, parameters, required, takes_any)

    def keywords(self, recipe: Recipe) -> dict[str, Any]:
        """The settings of the recipe by the callable's own names; a set field that it cannot take is an error."""
        given = settings(recipe)
        for field in sorted(self._required - given.keys()):
            raise GeneratorError(
                f"{self.name} needs `{self._parameters[field]}`, and the recipe of {cell(recipe)} does not set it; "
                f"set `{field}` under [recipe] in difftest.toml, or give the parameter a default"
            )
        unknown = [field for field in given if field not in self._parameters]
        if unknown and not self._takes_any:
            field = unknown[0]
            raise GeneratorError(
                f"{self.name} takes no `{field}`, and the recipe of {cell(recipe)} sets it to {given[field]!r}; "
                f"let {self.form.value} take a parameter `{field}`, or leave it out of the recipe"
            )
        return {self._parameters.get(field, field): value for field, value in given.items()}

    def refuse_negative(self, recipe: Recipe) -> None:
        """A negative prompt that is not taken is an error, never dropped in silence."""
        if recipe.negative_prompt and self.negatives is None:
            raise GeneratorError(
                f"{self.name} takes no negative prompt, and {cell(recipe)} has one; let it take "
                "`negative_prompts` (of a function, `negative_prompt`), or leave it out of the test"
            )


def _form(signature: inspect.Signature, *, is_method: bool) -> Form:
    positional = [p for p in signature.parameters.values() if p.kind in _POSITIONAL]
    first = positional[0].name if positional else None
    if first == "recipes":
        return Form.RECIPES
    if not is_method or first == "prompt":
        return Form.SINGLE
    return Form.BATCH


def _negatives(
    name: str, signature: inspect.Signature, form: Form, required: Sequence[str]
) -> Negatives | None:
    """How it takes negative prompts, if it does. Refuses a signature that cannot be called with what it is to get."""
    attempts: list[tuple[Negatives | None, list[Any], dict[str, Any]]]
    if form is Form.RECIPES:
        attempts = [(Negatives.KEYWORD, [[]], {})]
    elif form is Form.SINGLE:
        attempts = [
            (Negatives.KEYWORD, ["p", 0], {"negative_prompt": "n"}),
            (None, ["p", 0], {}),
        ]
    else:
        attempts = [(None, [["p"], [0]], {})]
        positional = [p.name for p in signature.parameters.values() if p.kind in _POSITIONAL]
        known = {parameter for names in SETTINGS.values() for parameter in names}
        if "negative_prompts" in signature.parameters:
            attempts.insert(0, (Negatives.KEYWORD, [["p"], [0]], {"negative_prompts": [None]}))
        elif not known & set(positional[2:3]):
            attempts.insert(0, (Negatives.THIRD, [["p"], [0], [None]], {}))
    for negatives, arguments, keywords in attempts:
        try:
            signature.bind(*arguments, **keywords, **dict.fromkeys(required))
        except TypeError:
            continue
        return negatives
    raise GeneratorError(f"{name} is called as {form.value}, but its parameters are {signature}")


def cell(recipe: Recipe) -> str:
    """Which image, for messages."""
    return f"prompt {recipe.prompt!r}, seed {recipe.seed}"
