"""``@difftest.test``, ``@difftest.visual_regression`` and ``@difftest.metric``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from difftest import arguments, place
from difftest.errors import ConfigurationError
from difftest.metrics import signature
from difftest.registry import (
    ATTRIBUTE,
    CATEGORIES,
    COMBINES,
    DIRECTIONS,
    Category,
    Combine,
    Direction,
    MetricDefinition,
    Quality,
    TestDefinition,
    VisualRegression,
    get_registry,
)

Function = TypeVar("Function", bound=Callable[..., Any])
Target = TypeVar("Target", bound=Callable[..., Any])

DEFAULT_SEEDS = (42, 123, 456)
#: The loss a reviewer accepts where a metric says nothing else, as a share of its range.
DEFAULT_MARGIN = 0.02


def test(
    prompts: Sequence[str] | None = None,
    metrics: Sequence[str] = (),
    threshold: Mapping[str, float] | float | None = None,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    reference_dir: str | os.PathLike[str] | None = None,
    suite: str | os.PathLike[str] | None = None,
    variables: Mapping[str, Sequence[str | float]] | None = None,
    negative_prompt: str | None = None,
    *,
    combine: Combine = "product",
) -> Callable[[Function], Function]:
    """Declare a test that scores generated images.

    One image is made for every prompt and seed. ``prompts`` are templates: ``{name}`` takes every value of
    ``variables["name"]``, and ``{name=text}`` is ``text`` where there are none. ``combine`` says how the values of
    several variables come together: every one with every other ("product"), or the first values of all of them, then
    the second ones ("zip").

    The prompts of ``suite`` come first: it is the name of a prompt suite (``difftest.list_suites()``), or the path of a
    JSON, YAML or text file, relative to the file of the test or to the repository's root.

    ``threshold`` is a number for each metric that shall hold one on its mean (or one number where there is one
    metric): at least that, or at most that where lower is better. A metric without a threshold is measured and
    compared with the base commit, nothing more. ``reference_dir`` holds the images that reference metrics compare
    with, relative to the repository's root: docs/writing-tests.md says which file belongs to which image.

    Raises ``ConfigurationError`` where an argument cannot be used.
    """
    templates = arguments.prompts(prompts, suite)
    names = arguments.metrics(metrics)
    limits = arguments.thresholds(threshold, names)
    folder = None if reference_dir is None else arguments.folder("reference_dir", reference_dir)
    return _decorator(
        Quality(names, limits, folder),
        templates,
        arguments.seeds(seeds),
        None if suite is None else os.fspath(suite),
        arguments.variables(variables),
        arguments.one_of("combine", combine, COMBINES),
        arguments.optional_text("negative_prompt", negative_prompt),
    )


test.__test__ = False  # type: ignore[attr-defined]  # pytest collects what is named test


def visual_regression(
    prompts: Sequence[str] | None = None,
    seeds: Sequence[int] = DEFAULT_SEEDS,
    baseline_dir: str | os.PathLike[str] = "baselines/",
    ssim_threshold: float = 0.85,
    suite: str | os.PathLike[str] | None = None,
    variables: Mapping[str, Sequence[str | float]] | None = None,
    negative_prompt: str | None = None,
    *,
    combine: Combine = "product",
) -> Callable[[Function], Function]:
    """Declare a test that compares every image with the stored one of the same prompt and seed.

    ``difftest baseline save`` stores them under ``baseline_dir``. The mean SSIM of the pairs must be at least
    ``ssim_threshold``. The other arguments are those of ``test``.
    """
    templates = arguments.prompts(prompts, suite)
    return _decorator(
        VisualRegression(
            arguments.folder("baseline_dir", baseline_dir), arguments.similarity(ssim_threshold)
        ),
        templates,
        arguments.seeds(seeds),
        None if suite is None else os.fspath(suite),
        arguments.variables(variables),
        arguments.one_of("combine", combine, COMBINES),
        arguments.optional_text("negative_prompt", negative_prompt),
    )


def _decorator(
    kind: Quality | VisualRegression,
    prompts: tuple[str, ...],
    seeds: tuple[int, ...],
    suite: str | None,
    variables: Mapping[str, tuple[str, ...]],
    combine: Combine,
    negative_prompt: str | None,
) -> Callable[[Function], Function]:
    called = place.running()

    def declare(function: Function) -> Function:
        _check_test_function(function)
        file, line = place.of_decorator(function, called)
        definition = TestDefinition(
            name=function.__name__,
            function=function,
            kind=kind,
            prompts=prompts,
            variables=variables,
            combine=combine,
            negative_prompt=negative_prompt,
            seeds=seeds,
            suite=suite,
            file=file,
            line=line,
        )
        setattr(function, ATTRIBUTE, definition)
        get_registry().tests.append(definition)
        return function

    return declare


def _check_test_function(function: Any) -> None:
    if not inspect.isfunction(function):
        raise ConfigurationError(
            f"the decorator stands on {function!r}; put it on a function: def test_name(): ..."
        )
    name, qualified = function.__name__, function.__qualname__
    if hasattr(function, ATTRIBUTE):
        raise ConfigurationError(
            f"{name} has two difftest decorators; write two functions, one for each"
        )
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{name} is async; write a plain function: def {name}(model): ...")
    if inspect.isgeneratorfunction(function):
        raise ConfigurationError(
            f"{name} yields, so calling it would run nothing; take the yield out"
        )
    owner = qualified.rpartition(".")[0]
    if owner and not owner.endswith("<locals>"):
        raise ConfigurationError(
            f"{qualified} is a method; write a function of the module: def {name}(model): ..."
        )
    code = function.__code__
    if not (code.co_argcount or code.co_kwonlyargcount or hasattr(function, "__wrapped__")):
        return  # it takes nothing, which most do: a signature costs more than the rest of this
    required = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(required) > 1:
        raise ConfigurationError(
            f"{name} takes {', '.join(required)}; a test takes nothing, or the model: "
            f"def {name}(model): ..."
        )


def metric(
    name: str,
    *,
    direction: Direction | None = None,
    category: Category | None = None,
    range: tuple[float, float] | None = None,
    margin: float | None = None,
) -> Callable[[Target], Target]:
    """Declare a metric that tests can then name.

    On a function: its first parameter is the image, as a path, a PIL image or an array (``uint8 (H, W, 3)``) by its
    annotation or else by its name (``image_path``, ``image``, ``array``); it may also take ``prompt`` and
    ``reference``, and returns a number. On a class: ``compute_from_path(image_path, prompt=None,
    reference_path=None)`` or ``compute_batch(images, prompts, references)``; it is instantiated once in a run.

    ``direction``, ``category``, ``range`` and ``margin`` are taken from the class's attributes where not given here;
    else higher is better, a metric that requires a reference is a reference metric, and the margin is 2% of the range.
    """
    from difftest.metrics import facts

    arguments.metric_name(name)
    if name in facts.table():
        raise ConfigurationError(f"the metric `{name}` comes with difftest; choose another name")
    called = place.running()

    def declare(target: Target) -> Target:
        def stated(argument: str, value: Any) -> Any:
            return getattr(target, argument, None) if value is None else value

        call = signature.read(name, target)
        bounds = arguments.score_range(stated("range", range))
        loss = stated("margin", margin)
        if loss is None:
            loss = DEFAULT_MARGIN * (bounds[1] - bounds[0]) if bounds else 0.0
        if arguments.number("margin", loss) < 0:
            raise ConfigurationError(f"margin is {loss!r}; write the loss that is accepted, from 0")
        file, line = place.of_decorator(target, called)
        get_registry().add_metric(
            MetricDefinition(
                name=name,
                target=target,
                direction=arguments.one_of(
                    "direction", stated("direction", direction) or DIRECTIONS[0], DIRECTIONS
                ),
                category=arguments.one_of(
                    "category", stated("category", category) or call.category, CATEGORIES
                ),
                range=bounds,
                margin=float(loss),
                file=file,
                line=line,
            )
        )
        return target

    return declare
