"""Objects of the repository under test: the forms they may have, what they are asked, what they may answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import difftest
from difftest.generators import Generated
from difftest.generators.adapter import Adapter
from difftest.generators.pixels import to_rgb
from difftest.recipe import Lora, Recipe

if TYPE_CHECKING:
    from conftest import Repository

BLACK = np.zeros((2, 2, 3), np.uint8)


def adapter(target: Any) -> Adapter:
    return Adapter("pipeline:make", target, device="cpu")


def only(target: Any, recipe: Recipe) -> Any:
    """The one item for the recipe; an exception in its place is raised."""
    (item,) = adapter(target).generate([recipe])
    if isinstance(item, Exception):
        raise item
    return item


class Batch:
    """`generate(prompts, seeds, negative_prompts)` and some settings; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def generate(
        self,
        prompts: Any,
        seeds: Any,
        negative_prompts: Any = None,
        *,
        steps: int = 50,
        guidance_scale: float = 7.5,
        loras: Any = (),
    ) -> Any:
        self.asked.append({k: v for k, v in locals().items() if k != "self"})
        return [np.full((2, 2, 3), seed, np.uint8) for seed in seeds]


# Forms


def test_an_object_may_take_recipes_and_give_items_lazily() -> None:
    drawn = []

    class Lazy:
        def generate(self, recipes: Any) -> Any:
            for recipe in recipes:
                drawn.append(recipe.seed)
                if recipe.seed == 2:
                    yield ValueError("two is odd")
                elif recipe.seed == 3:
                    yield Generated(
                        Image.new("L", (2, 2)), cost_usd=0.5, retries=1, text={"parameters": "a"}
                    )
                else:
                    yield np.full((2, 2, 3), recipe.seed, np.uint8)

    items = iter(adapter(Lazy()).generate([Recipe("a", seed) for seed in (1, 2, 3, 4)]))
    assert int(next(items)[0, 0, 0]) == 1  # type: ignore[index, arg-type]
    assert drawn == [1], "images are taken as they come"
    failed, paid, last = items
    assert "failed on prompt 'a', seed 2: ValueError: two is odd" in str(failed)
    assert isinstance(paid, Generated)
    assert (paid.image.shape, paid.cost_usd, paid.retries) == ((2, 2, 3), 0.5, 1)
    assert paid.text == {"parameters": "a"}
    assert int(last[0, 0, 0]) == 4  # type: ignore[index]


def test_a_function_may_take_recipes() -> None:
    def generate(recipes: Any) -> Any:
        return [np.full((1, 1, 3), len(recipes), np.uint8) for _ in recipes]

    made = adapter(generate)
    assert made.batch_size == 8
    assert [int(i.max()) for i in made.generate([Recipe("a", 1)] * 3)] == [3, 3, 3]  # type: ignore[union-attr]


def test_a_batch_is_asked_in_lists_with_its_settings_by_name() -> None:
    target = Batch()
    stack = (Lora("ink.safetensors", 0.5),)
    recipes = [
        Recipe("a", 1, "blur", steps=4, guidance=2.0, loras=stack),
        Recipe("b", 2, steps=4, guidance=2.0, loras=stack),
        Recipe("c", 3),
    ]
    images = [int(image.max()) for image in adapter(target).generate(recipes)]  # type: ignore[union-attr]
    assert images == [1, 2, 3]
    assert target.asked == [
        {
            "prompts": ["a", "b"],
            "seeds": [1, 2],
            "negative_prompts": ["blur", None],
            "steps": 4,
            "guidance_scale": 2.0,
            "loras": stack,
        },
        {
            "prompts": ["c"],
            "seeds": [3],
            "negative_prompts": [None],
            "steps": 50,
            "guidance_scale": 7.5,
            "loras": (),
        },
    ], "recipes of other settings are another call; what is not set is the object's own"


def test_a_function_is_asked_for_one_image_with_its_settings_by_name() -> None:
    def draw(prompt: str, seed: int, width: int, height: int = 3, **others: Any) -> Any:
        assert others == {"negative_prompt": None, "clip_skip": 2}
        return np.full((height, width, 3), len(prompt) + seed, np.uint8)

    image = only(draw, Recipe("ab", 5, width=4, clip_skip=2))
    assert (image.shape, int(image.max())) == ((3, 4, 3), 7)
    assert adapter(draw).batch_size == 1


def test_negative_prompts_go_where_the_signature_has_them() -> None:
    def named(prompts: Any, seeds: Any, steps: int = 1, negative_prompts: Any = None) -> Any:
        assert (steps, negative_prompts) == (9, ["n"])
        return [BLACK]

    def third(prompts: Any, seeds: Any, unwanted: Any) -> Any:
        assert unwanted == ["n"]
        return [BLACK]

    class Named:
        generate = staticmethod(named)

    class Third:
        generate = staticmethod(third)

    only(Named(), Recipe("a", 1, "n", steps=9))
    only(Third(), Recipe("a", 1, "n"))


def test_an_object_may_generate_one_image_at_a_time() -> None:
    class Single:
        def generate(self, prompt: str, seed: int) -> Any:
            return np.full((1, 1, 3), len(prompt) + seed, np.uint8)

    made = adapter(Single())
    assert made.batch_size == 1
    images = made.generate([Recipe("a", 1), Recipe("ab", 2)])
    assert [int(image.max()) for image in images] == [2, 4]  # type: ignore[union-attr]


# What a recipe asks for is done, or it is an error


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (
            Recipe("a", 1, steps=4),
            "pipeline:make takes no `steps`, and the recipe of prompt 'a', seed 1 sets it to 4; let .* take",
        ),
        (Recipe("a", 1, loras=(Lora("x"),)), "takes no `loras`"),
        (Recipe("a", 1, scheduler="ddim"), "takes no `scheduler`"),
        (Recipe("a", 1, "blur"), "takes no negative prompt, and prompt 'a', seed 1 has one"),
    ],
)
def test_a_field_that_is_set_and_not_taken_is_an_error(recipe: Recipe, message: str) -> None:
    class Pair:
        def generate(self, prompts: Any, seeds: Any) -> Any:
            return [BLACK for _ in prompts]

    for target in (Pair(), lambda prompt, seed: BLACK):
        assert only(target, Recipe("a", 1)).shape == (2, 2, 3)
        with pytest.raises(difftest.GeneratorError, match=message):
            only(target, recipe)


def test_a_parameter_that_the_recipe_does_not_set_needs_a_default() -> None:
    def draw(prompt: str, seed: int, steps: int) -> Any:
        return np.full((1, 1, 3), steps, np.uint8)

    assert int(only(draw, Recipe("a", 1, steps=7)).max()) == 7
    with pytest.raises(
        difftest.GeneratorError,
        match="needs `steps`, and the recipe of prompt 'a', seed 1 does not",
    ):
        only(draw, Recipe("a", 1))


# What it answers


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda recipes: [BLACK], "gave 1 images for 2 prompts"),
        (lambda recipes: iter([BLACK]), "gave 1 images for 2 prompts"),
        (lambda recipes: iter([BLACK] * 3), "gave more than 2 images for 2 prompts"),
        (lambda recipes: None, "gave NoneType for 2 prompts; a list of as many"),
    ],
)
def test_the_count_of_images_is_that_of_the_recipes(answer: Any, message: str) -> None:
    class Miscounts:
        def generate(self, recipes: Any) -> Any:
            return answer(recipes)

    with pytest.raises(difftest.GeneratorError, match=message):
        list(adapter(Miscounts()).generate([Recipe("a", 1), Recipe("b", 2)]))


def test_one_bad_image_takes_no_other_with_it() -> None:
    def draw(prompt: str, seed: int) -> Any:
        if seed == 2:
            raise RuntimeError("no two")
        return np.full((1, 1, 3), np.nan if seed == 3 else 0.5)

    class Broken:
        def generate(self, prompts: Any, seeds: Any, negative_prompts: Any) -> Any:
            return [np.full((1, 1, 3), value) for value in (0.5, np.nan)]

    good, failed, bad = adapter(draw).generate([Recipe("a", seed) for seed in (1, 2, 3)])
    assert good.shape == (1, 1, 3)  # type: ignore[union-attr]
    assert "failed on prompt 'a', seed 2: RuntimeError: no two" in str(failed)
    assert "for prompt 'a', seed 3 has 3 values that are NaN" in str(bad)
    _, bad = adapter(Broken()).generate([Recipe("a", 1), Recipe("b", 2)])
    assert "for prompt 'b', seed 2 has 3 values" in str(bad)


def test_what_a_pipeline_prints_does_not_reach_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Noisy:
        def generate(self, recipes: Any) -> Any:
            print('{"event": "run_started"}')
            for _ in recipes:
                print('{"event": "run_finished", "status": "passed"}')
                yield BLACK

    list(adapter(Noisy()).generate([Recipe("a", 1)]))
    assert capsys.readouterr().out == ""


def test_the_traceback_of_a_failure_leads_into_the_repositorys_code(repository: Repository) -> None:
    repository.write("pipeline.py", "def draw(prompt, seed):\n    return 1 / 0\n")
    (failed,) = repository.generator("pipeline:draw").generate([Recipe("a", 1)])
    trace, files = failed.__traceback__, []
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    assert files[-1].endswith("pipeline.py")


def test_what_an_object_holds_is_freed_if_it_says_how() -> None:
    freed = []

    class Holds(Batch):
        def unload(self) -> None:
            freed.append(True)

    adapter(Holds()).unload()
    adapter(Batch()).unload()
    assert freed == [True]


# Images


def test_images_in_many_forms_are_rgb_bytes() -> None:
    ramp = np.array([[[0.0, 0.5, 1.0]]], np.float32)
    assert to_rgb(ramp, "it").tolist() == [[[0, 128, 255]]]
    assert to_rgb(ramp.astype(np.float16), "it").tolist() == [[[0, 128, 255]]]
    assert to_rgb(Image.new("RGBA", (3, 2), (1, 2, 3, 0)), "it").tolist() == [[[1, 2, 3]] * 3] * 2
    sliced = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[::2, ::2]
    assert to_rgb(sliced, "it").flags["C_CONTIGUOUS"]
    drawn = np.zeros((2, 2, 3), np.uint8)
    assert to_rgb(drawn, "it") is not drawn, "a pipeline may reuse its buffer"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((2, 2, 3), np.nan), "the image has 12 values that are NaN or infinite of 12"),
        (
            np.full((2, 2, 3), 200.0),
            "the image has floats from 200 to 200; floats count from 0 to 1",
        ),
        (np.full((2, 2, 3), -1.0), "has floats from -1 to -1"),
        (np.zeros((2, 2), np.uint8), r"is ndarray of shape \(2, 2\); a PIL image, or an array"),
        (np.zeros((3, 2, 2), np.uint8), r"shape \(3, 2, 2\)"),
        (np.zeros((2, 2, 4), np.uint8), r"shape \(2, 2, 4\)"),
        (np.zeros((0, 2, 3), np.uint8), r"shape \(0, 2, 3\)"),
        (np.zeros((2, 2, 3), np.int64), "has the dtype int64"),
        (None, "is None; a PIL image"),
        ("image.png", "is 'image.png'; a PIL image"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, message: str) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        to_rgb(image, "the image")


# What it says of itself


def test_a_fingerprint_is_the_objects_own_or_that_of_its_sources(repository: Repository) -> None:
    class Own(Batch):
        fingerprint = "abc"

    assert adapter(Own()).fingerprint == "abc"
    repository.write("shades.py", "DARK = 10\n")
    repository.write("pipeline.py", "import shades\n\ndef draw(prompt, seed): ...\n")
    first = repository.generator("pipeline:draw").fingerprint
    assert first == repository.generator("pipeline:draw").fingerprint
    assert len(first) == 64
    repository.write("shades.py", "DARK = 11\n")
    assert first != repository.generator("pipeline:draw").fingerprint


def test_a_generator_describes_what_could_move_a_bit() -> None:
    class Described(Batch):
        batch_size = 2

        def describe(self) -> dict[str, Any]:
            return {"steps": 10, "threads": 3, "versions": {"own": "1"}, "device": "tpu"}

    described = adapter(Described()).describe()
    assert (described["device"], described["threads"], described["batch_size"]) == ("tpu", 3, 2)
    assert described["steps"] == 10
    assert described["versions"]["own"] == "1"
    assert described["versions"]["numpy"] == np.__version__
    assert described["versions"]["difftest"] == difftest.__version__
    json.dumps(described)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"batch_size": 0}, "has the batch_size 0"),
        ({"batch_size": "8"}, "has the batch_size '8'"),
        ({"fingerprint": 5}, "has the fingerprint 5"),
        ({"describe": lambda self: {"steps": object()}}, "JSON cannot say"),
        ({"describe": lambda self: 1 / 0}, "failed to say its describe: ZeroDivisionError"),
    ],
)
def test_what_a_generator_says_wrongly_of_itself_is_refused(
    attributes: dict[str, Any], message: str
) -> None:
    body = {"generate": lambda self, prompts, seeds, negative_prompts: [], **attributes}

    def asked() -> Any:
        wrong = adapter(type("Wrong", (), body)())
        return wrong.fingerprint, wrong.describe()

    with pytest.raises(difftest.GeneratorError, match=message):
        asked()
