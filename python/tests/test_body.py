"""A test's own body: when it runs, with what, and how it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import difftest
from difftest import _bridge, body
from difftest.recipe import Lora, Recipe

if TYPE_CHECKING:
    from conftest import Repository


class Recorder:
    """A generator that draws one colour and remembers what it was asked."""

    name = "recorder"
    batch_size = 4

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def generate(self, *request: Any) -> list[Any]:
        self.asked.append(request)
        return [np.full((4, 4, 3), 200, np.uint8) for _ in request[0]]


def run(repository: Repository, function: str) -> Recorder:
    repository.write(
        "tests/test_a.py",
        "import difftest\n\n@difftest.test(['a red circle'], ['clip_score'], seeds=[7, 8], "
        f"negative_prompt='blur')\n{function}\n",
    )
    model = Recorder()
    _bridge.run_body(repository.collect_one()["id"], model)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize(
    "function",
    [
        "def test_a(): pass",
        "def test_a(model): ...",
        'def test_a(): "What it is about."',
        "def test_a():\n    '''What it is about.'''\n    return",
        "def test_a():\n    # a comment\n    return None",
    ],
)
def test_an_empty_body_is_not_called(repository: Repository, function: str) -> None:
    repository.write(
        "tests/test_a.py",
        f"import difftest\n@difftest.test(['a'], ['clip_score'])\n{function}\n",
    )
    repository.collect_one()
    (definition,) = difftest.get_registry().tests
    assert body.is_empty(definition.function)


def test_a_body_generates_with_the_model(repository: Repository) -> None:
    model = run(
        repository,
        "def test_a(model):\n"
        "    image = model.generate('a blue square', seed=3)\n"
        "    assert (image.size, image.getpixel((0, 0))) == ((4, 4), (200, 200, 200))\n"
        "    model.generate('a blue square', negative_prompt='')\n",
    )
    assert model.asked == [
        ([Recipe("a blue square", 3, "blur")],),
        ([Recipe("a blue square", 7, "")],),
    ], "the test's first seed and its negative prompt, unless others are given"


def test_a_body_generates_with_the_runs_recipe_unless_it_says_otherwise(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    ink = {"name": "ink.safetensors", "weight": 0.5}
    monkeypatch.setattr(_bridge, "_settings", {"steps": 4, "guidance": 2.0, "loras": [ink]})
    model = run(
        repository,
        "def test_a(model):\n    model.generate('a')\n    model.generate('a', steps=9, loras=())\n",
    )
    assert [request for ((request,),) in model.asked] == [
        Recipe("a", 7, "blur", steps=4, guidance=2.0, loras=(Lora("ink.safetensors", 0.5),)),
        Recipe("a", 7, "blur", steps=9, guidance=2.0),
    ]
    with pytest.raises(
        difftest.GeneratorError, match="a recipe has no `step`; did you mean `steps`"
    ):
        run(repository, "def test_a(model):\n    model.generate('a', step=9)\n")


def test_an_image_that_fails_is_an_error_of_the_body(repository: Repository) -> None:
    class Fails(Recorder):
        def generate(self, *request: Any) -> list[Any]:
            return [difftest.GeneratorError("no picture of it")]

    repository.write(
        "tests/test_a.py",
        "import difftest\n\n@difftest.test(['a'], ['clip_score'])\n"
        "def test_a(model):\n    model.generate('a')\n",
    )
    test = repository.collect_one()["id"]
    with pytest.raises(difftest.GeneratorError, match="no picture of it"):
        _bridge.run_body(test, Fails())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "function",
    [
        "def test_a():\n    assert True",
        "def test_a(model, retries=3):\n    assert retries == 3 and model.name == 'recorder'",
        "def test_a(*, model):\n    assert model.name == 'recorder'",
    ],
)
def test_a_body_takes_the_model_or_nothing(repository: Repository, function: str) -> None:
    run(repository, function)


def test_a_failed_assertion_says_where_what_and_which_values(repository: Repository) -> None:
    with pytest.raises(AssertionError) as failed:
        run(
            repository,
            "def test_a(model):\n"
            "    import numpy as np\n"
            "    brightness = np.asarray(model.generate('a'), float).mean()\n"
            "    limit = 150\n"
            "    assert brightness < limit, 'too bright'\n",
        )
    assert str(failed.value) == (
        "tests/test_a.py:8: assert brightness < limit: too bright "
        "(where brightness = 200.0, limit = 150)"
    )


def test_an_assertion_in_a_module_that_the_test_uses_is_shown_at_the_tests_line(
    repository: Repository,
) -> None:
    repository.write(
        "tests/checks.py", "def bright(value):\n    assert value > 250, f'{value} is dark'"
    )
    with pytest.raises(AssertionError, match=r"^tests/test_a.py:6: 200 is dark$"):
        run(repository, "def test_a(model):\n    from checks import bright\n    bright(200)")


def test_any_other_exception_is_an_error_with_its_place(repository: Repository) -> None:
    with pytest.raises(difftest.DifftestError) as broken:
        run(repository, "def test_a(model):\n    image = None\n    image.size\n")
    assert str(broken.value) == (
        "the body of test_a broke at tests/test_a.py:6: "
        "AttributeError: 'NoneType' object has no attribute 'size'"
    )


def test_an_unknown_test_is_an_error() -> None:
    with pytest.raises(difftest.DifftestError, match="no test `a::b` was collected"):
        _bridge.run_body("a::b", Recorder())  # type: ignore[arg-type]
