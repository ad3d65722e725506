"""`module:factory`: a generator that the repository under test makes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import difftest
from difftest.recipe import Recipe

if TYPE_CHECKING:
    from conftest import Repository


PIPELINE = """
    import numpy as np

    class Pipeline:
        batch_size = 3
        def __init__(self, shade=10):
            self.shade = shade
        def generate(self, prompts, seeds, negative_prompts):
            return [np.full((2, 2, 3), self.shade + seed, np.uint8) for seed in seeds]

    def make():
        return Pipeline()

    def draw(prompt, seed):
        return np.full((2, 2, 3), seed, np.uint8)
"""


def test_a_factory_of_the_repository_makes_the_generator(repository: Repository) -> None:
    repository.write("pipeline.py", PIPELINE)
    made = repository.generator("pipeline:make")
    assert (made.name, made.batch_size) == ("pipeline:make", 3)
    images = made.generate([Recipe("a", 1), Recipe("b", 2, "blur")])
    assert [int(image[0, 0, 0]) for image in images] == [11, 12]


def test_a_function_of_prompt_and_seed_is_a_generator_itself(repository: Repository) -> None:
    repository.write("pipeline.py", PIPELINE)
    made = repository.generator("pipeline:draw")
    assert made.batch_size == 1
    (image,) = made.generate([Recipe("a", 9)])
    assert image.tolist() == [[[9] * 3] * 2] * 2


@pytest.mark.parametrize(
    "source",
    [
        "def make(): return lambda prompt, seed: PICTURE",
        "class make:\n    def generate(self, prompts, seeds): return [PICTURE for _ in prompts]",
        "class Any:\n    def generate(self, *a, **k): return [PICTURE for _ in a[0]]\nmake = Any()",
        "class make:\n    def generate(self, recipes): yield from [PICTURE for _ in recipes]",
        "def make(recipes): return [PICTURE for _ in recipes]",
    ],
)
def test_a_factory_may_give_any_of_these(repository: Repository, source: str) -> None:
    repository.write(
        "pipeline.py", f"from PIL import Image\nPICTURE = Image.new('L', (4, 2))\n{source}"
    )
    (image,) = repository.generator("pipeline:make").generate([Recipe("a", 1)])
    assert (image.shape, image.dtype) == ((2, 4, 3), np.uint8)


def test_a_factory_is_told_what_it_asks_for_by_name(repository: Repository) -> None:
    repository.write(
        "models/flux.py",
        """
        def make(device, options, recipe):
            def draw(prompt, seed):
                raise RuntimeError(f"no {device}, {options['strength']} at {recipe['width']}")
            return draw
        """,
    )
    made = repository.generator(
        "models.flux:make", device="cuda", options={"strength": 3}, recipe={"width": 64}
    )
    assert made.describe()["device"] == "cuda"
    (failed,) = made.generate([Recipe("a cat", 7)])
    assert str(failed) == (
        "models.flux:make failed on prompt 'a cat', seed 7: RuntimeError: no cuda, 3 at 64 "
        "(models/flux.py:3)"
    )


def test_what_a_factory_was_told_is_in_the_fingerprint(repository: Repository) -> None:
    repository.write(
        "pipeline.py",
        "def make(options):\n    return lambda prompt, seed: options['weights']\n",
    )

    def fingerprint(**options: Any) -> str:
        return str(repository.generator("pipeline:make", options=options).fingerprint)

    assert fingerprint(weights="a") == fingerprint(weights="a", api_key="secret")
    assert fingerprint(weights="a") != fingerprint(weights="b")


def test_options_that_no_factory_takes_are_refused(repository: Repository) -> None:
    repository.write("pipeline.py", PIPELINE)
    for name in ("pipeline:make", "pipeline:draw"):
        with pytest.raises(
            difftest.GeneratorError, match=r"option `strength` is set, and .* takes none"
        ):
            repository.generator(name, options={"strength": 3})
    repository.generator("pipeline:make", options={"api_key": "of another generator"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipelin:make", "names the module `pipelin`, which is not in .*; did you mean `pipeline`"),
        ("pipeline:mak", "names `mak`, which .*pipeline.py does not have; did you mean `make`"),
        ("pipeline:", "write `module:factory`"),
        ("json:loads", "names a module outside of the repository .*no pull request could change"),
        ("broken:make", r"cannot be imported: KeyError: 'x' \(broken.py:1\)"),
        ("pipeline:fails", r"did not load: OSError: no weights \(pipeline.py:\d+\)"),
        ("pipeline:nothing", "gave None, which makes no images"),
        ("pipeline:strange", r"is called as \(prompt, seed\), but its parameters are \(text\)"),
    ],
)
def test_a_generator_that_does_not_load_says_why(
    repository: Repository, name: str, message: str
) -> None:
    repository.write("broken.py", "{}['x']")
    repository.write(
        "pipeline.py",
        "def make(): ...\n"
        "def nothing(): return None\n"
        "def strange(): return lambda text: text\n"
        "def fails(): raise OSError('no weights')\n",
    )
    with pytest.raises(difftest.GeneratorError, match=message):
        repository.generator(name)


def test_a_package_that_the_factory_needs_is_named(repository: Repository) -> None:
    repository.write("pipeline.py", "import no_such_package")
    with pytest.raises(difftest.GeneratorError) as missing:
        repository.generator("pipeline:make")
    assert str(missing.value) == (
        "the generator `pipeline:make` needs the module `no_such_package`, which is neither in the "
        "repository nor installed where difftest runs"
    )


def test_a_pipeline_with_a_generate_of_its_own_is_called_by_that() -> None:
    from difftest.generators.adapter import is_pipeline

    class Derived:
        def generate(self, recipes: Any) -> Any: ...

    Derived.__module__ = "diffusers.pipelines.stable_diffusion"
    assert not is_pipeline(Derived())
    Derived.generate = None  # type: ignore[assignment]
    assert is_pipeline(Derived())
