"""What the decorators record, and what they refuse."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest

import difftest
from difftest.registry import ATTRIBUTE, Quality, TestDefinition, VisualRegression

RED = "a red circle"


def definition(decorator: Callable[[Any], Any]) -> TestDefinition:
    def test_it() -> None: ...

    found: TestDefinition = getattr(decorator(test_it), ATTRIBUTE)
    return found


@pytest.fixture(autouse=True)
def _registry() -> Any:
    difftest.clear_registry()
    yield
    difftest.clear_registry()


def test_a_decorated_function_stays_what_it_was() -> None:
    @difftest.test([RED], ["clip_score"], 0.3)
    def test_red(model: str) -> str:
        """What it is about."""
        return f"called with {model}"

    assert test_red("m") == "called with m"
    assert (test_red.__name__, test_red.__doc__) == ("test_red", "What it is about.")
    assert [test.name for test in difftest.get_registry().tests] == ["test_red"]


def test_the_positional_order_is_prompts_metrics_threshold_seeds_reference_suite_variables_negative() -> (
    None
):
    test = definition(
        difftest.test(
            ["a {color} circle"],
            ["m"],
            {"m": 1},
            [7],
            "references",
            None,
            {"color": ["red"]},
            "blur",
        )
    )
    assert test.kind == Quality(("m",), {"m": 1.0}, "references")
    assert (test.prompts, test.seeds) == (("a {color} circle",), (7,))
    assert (test.variables, test.negative_prompt) == ({"color": ("red",)}, "blur")
    visual = definition(difftest.visual_regression([RED], [1, 2], "base/", 0.9, None, None, "blur"))
    assert visual.kind == VisualRegression("base/", 0.9)
    assert (visual.seeds, visual.negative_prompt) == ((1, 2), "blur")


def test_what_is_left_out() -> None:
    test = definition(difftest.test([RED], ["clip_score"]))
    assert test.seeds == (42, 123, 456)
    assert test.kind == Quality(("clip_score",), {}, None), "a missing threshold is none"
    visual = definition(difftest.visual_regression([RED]))
    assert visual.kind == VisualRegression("baselines/", 0.85)


def test_one_number_is_the_threshold_of_the_one_metric() -> None:
    assert definition(difftest.test([RED], ["a"], 0.5)).kind == Quality(("a",), {"a": 0.5}, None)


def test_the_suites_prompts_come_first() -> None:
    test = definition(difftest.test([RED], ["clip_score"], suite="shapes"))
    assert test.prompts == (*difftest.get_suite("shapes").texts, RED)
    assert definition(difftest.test(metrics=["a"], suite="shapes")).suite == "shapes"


def test_what_is_new_is_given_by_its_name() -> None:
    assert definition(difftest.test([RED], ["a"])).combine == "product"
    assert definition(difftest.test([RED], ["a"], combine="zip")).combine == "zip"
    assert definition(difftest.visual_regression([RED], combine="zip")).combine == "zip"
    with pytest.raises(TypeError, match="positional"):
        difftest.test([RED], ["a"], None, [1], None, None, None, None, "zip")  # type: ignore[misc]


def test_a_long_list_is_checked_in_no_time() -> None:
    """Comparing each value with all before it would be 5·10⁹ comparisons."""
    numbers = list(range(100_000))
    test = definition(difftest.test(["{n}"], ["a"], seeds=numbers, variables={"n": numbers}))
    assert (len(test.seeds), len(test.variables["n"])) == (100_000, 100_000)


def test_numbers_among_variables_are_written_out() -> None:
    test = definition(difftest.test(["{n} cats"], ["a"], variables={"n": [1, 2.5, "ten"]}))
    assert test.variables == {"n": ("1", "2.5", "ten")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": "a red circle"}, "prompts is 'a red circle'; write a list"),
        ({"prompts": []}, "prompts is []; give at least one prompt, or name a prompt suite"),
        ({"prompts": [RED, 3]}, "prompts[1] is 3; write a string"),
        ({"prompts": [RED, "  "]}, "prompts[1] is '  '; write a text"),
        ({"prompts": ["\ud800"]}, "prompts[0] is '\\ud800'; it has half a character"),
        ({"prompts": {RED}}, "write a list, which has an order"),
        ({"metrics": []}, "metrics is []; name at least one metric"),
        ({"metrics": "clip_score"}, "metrics is 'clip_score'; write a list"),
        ({"metrics": ["a", "a"]}, "'a' is there twice"),
        ({"threshold": float("nan")}, "threshold is nan; write a finite number"),
        ({"threshold": "0.5"}, "threshold is '0.5'; write a number"),
        ({"threshold": True}, "threshold is True; write a number"),
        (
            {"threshold": {"clip_scor": 0.3}},
            "`clip_scor` is not among the metrics; did you mean `clip_score`?",
        ),
        (
            {"threshold": {"clip_score": float("inf")}},
            'threshold["clip_score"] is inf; write a finite',
        ),
        (
            {"metrics": ["clip_score", "sharpness"], "threshold": 0.3},
            'threshold is 0.3; one number for 2 metrics does not say whose it is: threshold={"clip_score": ...',
        ),
        ({"seeds": []}, "seeds is []; give at least one seed"),
        ({"seeds": 42}, "seeds is 42; write a list"),
        ({"seeds": [1, 1.5]}, "seeds[1] is 1.5; write an integer"),
        ({"seeds": [True]}, "seeds[0] is True; write an integer"),
        ({"seeds": [-1]}, "seeds[0] is -1; write an integer from 0"),
        ({"seeds": [2**63]}, "write an integer from 0 to 2**63 - 1"),
        ({"seeds": [1, 2, 1]}, "seeds is [1, 2, 1]; 1 is there twice"),
        ({"reference_dir": 3}, "reference_dir is 3; write a folder's path"),
        ({"suite": "shape"}, "there is no prompt suite `shape`; did you mean `shapes`?"),
        ({"suite": 3}, "suite is 3; write the name of a prompt suite, or the path of its file"),
        ({"combine": "zipped"}, "combine is 'zipped'; did you mean `zip`?"),
        ({"variables": ["red"]}, "variables is ['red']; write a dictionary"),
        ({"variables": {"color": "red"}}, "variables[\"color\"] is 'red'; write a list"),
        ({"variables": {"color": []}}, 'variables["color"] is []; give at least one value'),
        (
            {"variables": {"color": [None]}},
            'variables["color"][0] is None; write a string or a number',
        ),
        ({"variables": {"two words": ["x"]}}, "'two words' cannot be a placeholder's name"),
        ({"negative_prompt": 3}, "negative_prompt is 3; write a string"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named_with_its_value_and_the_mend(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(difftest.ConfigurationError) as refused:
        difftest.test(**{"prompts": [RED], "metrics": ["clip_score"], **arguments})
    assert message in str(refused.value)


@pytest.mark.parametrize("threshold", [2, float("nan"), "high", None])
def test_an_ssim_threshold_lies_between_minus_one_and_one(threshold: Any) -> None:
    with pytest.raises(difftest.ConfigurationError, match="ssim_threshold is"):
        difftest.visual_regression([RED], ssim_threshold=threshold)


def test_a_decorator_stands_on_a_plain_function_of_the_module() -> None:
    def refused(what: Any) -> str:
        with pytest.raises(difftest.ConfigurationError) as error:
            difftest.test([RED], ["a"])(what)
        return str(error.value)

    async def test_async() -> None: ...

    def test_many(model: Any, tmp_path: Any) -> None: ...

    class Group:
        def test_method(self) -> None: ...

    twice = difftest.test([RED], ["a"])(lambda: None)

    def test_yields() -> Any:
        yield

    assert "async" in refused(test_async)
    assert "yields" in refused(test_yields)
    assert "takes model, tmp_path" in refused(test_many)
    assert "is a method" in refused(type("G", (), {"f": _method()}).f)
    assert "put it on a function" in refused(Group)
    assert "two difftest decorators" in refused(twice)


def _method() -> Callable[..., None]:
    def f(self: Any) -> None: ...

    f.__qualname__ = "Group.f"
    return f


def other(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped() -> Any:
        return function()

    return wrapped


def ours(function: Any) -> Any:
    """A project's own shorthand around difftest's decorator."""
    return difftest.test([RED], ["clip_score"])(function)


def test_the_line_is_that_of_the_decorator_among_several() -> None:
    here = test_the_line_is_that_of_the_decorator_among_several.__code__.co_firstlineno

    @other
    @difftest.test(
        [RED],
        ["clip_score"],
    )
    @other
    def test_wrapped() -> None: ...

    @ours
    def test_by_shorthand() -> None: ...

    first, second = difftest.get_registry().tests
    assert (first.file, first.line) == (__file__, here + 4)
    applied = 11 if sys.version_info >= (3, 11) else 12  # before, at the line of `def`
    assert (second.name, second.line) == ("test_by_shorthand", here + applied)
