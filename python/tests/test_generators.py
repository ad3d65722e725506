"""Generators that a repository makes itself, and the embedded one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import difftest
from difftest.generators.adapter import Adapter
from difftest.generators.pixels import to_rgb

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


def adapter(target: Any) -> Adapter:
    return Adapter("pipeline:make", target, device="cpu")


# The factory


def test_a_factory_of_the_repository_makes_the_generator(repository: Repository) -> None:
    repository.write("pipeline.py", PIPELINE)
    generator = repository.generator("pipeline:make")
    assert (generator.name, generator.batch_size) == ("pipeline:make", 3)
    images = generator.generate(["a", "b"], [1, 2], [None, "blur"])
    assert [int(image[0, 0, 0]) for image in images] == [11, 12]


def test_a_function_of_prompt_and_seed_is_a_generator_itself(repository: Repository) -> None:
    repository.write("pipeline.py", PIPELINE)
    generator = repository.generator("pipeline:draw")
    assert generator.batch_size == 1
    (image,) = generator.generate(["a"], [9], [None])
    assert image.tolist() == [[[9] * 3] * 2] * 2


@pytest.mark.parametrize(
    "source",
    [
        "def make(): return lambda prompt, seed: PICTURE",
        "class make:\n    def generate(self, prompts, seeds): return [PICTURE for _ in prompts]",
        "class Any:\n    def generate(self, *a, **k): return [PICTURE for _ in a[0]]\nmake = Any()",
    ],
)
def test_a_factory_may_give_any_of_these(repository: Repository, source: str) -> None:
    repository.write(
        "pipeline.py", f"from PIL import Image\nPICTURE = Image.new('L', (4, 2))\n{source}"
    )
    (image,) = repository.generator("pipeline:make").generate(["a"], [1], [None])
    assert (image.shape, image.dtype) == ((2, 4, 3), np.uint8)


def test_a_factory_is_told_the_device_if_it_asks(repository: Repository) -> None:
    repository.write(
        "models/flux.py",
        """
        def make(device):
            def draw(prompt, seed):
                raise RuntimeError(f"no {device} here")
            return draw
        """,
    )
    generator = repository.generator("models.flux:make", device="cuda")
    assert generator.describe()["device"] == "cuda"
    with pytest.raises(difftest.GeneratorError) as failed:
        generator.generate(["a cat"], [7], [None])
    assert str(failed.value) == (
        "models.flux:make failed on prompt 'a cat', seed 7: RuntimeError: no cuda here "
        "(models/flux.py:3)"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipelin:make", "names the module `pipelin`, which is not in .*; did you mean `pipeline`"),
        ("pipeline:mak", "names `mak`, which .*pipeline.py does not have; did you mean `make`"),
        ("pipeline:", "write `module:factory`"),
        ("pipeline", "there is no generator `pipeline`; there is: onnx"),
        ("onx", "there is no generator `onx`; did you mean `onnx`"),
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


def test_a_diffusers_pipeline_is_refused_with_the_function_to_write() -> None:
    def call(self: Any, prompt: str = "", height: int = 0, negative_prompt: str = "") -> Any: ...

    pipeline = type("StableDiffusionPipeline", (), {"__call__": call})
    pipeline.__module__ = "diffusers.pipelines.stable_diffusion"
    with pytest.raises(difftest.GeneratorError, match="manual_seed"):
        adapter(pipeline())


def test_an_object_may_generate_one_image_at_a_time() -> None:
    class Single:
        def generate(self, prompt: str, seed: int) -> Any:
            return np.full((1, 1, 3), len(prompt) + seed, np.uint8)

    generator = adapter(Single())
    assert generator.batch_size == 1
    images = generator.generate(["a", "ab"], [1, 2], [None, None])
    assert [int(image.max()) for image in images] == [2, 4]


# What it is asked and what it answers


def test_the_count_of_images_is_that_of_the_prompts() -> None:
    class Lazy:
        def generate(self, prompts: Any, seeds: Any, negative_prompts: Any) -> Any:
            return [np.zeros((2, 2, 3), np.uint8)]

    with pytest.raises(difftest.GeneratorError, match="gave 1 images for 2 prompts"):
        adapter(Lazy()).generate(["a", "b"], [1, 2], [None, None])


def test_a_negative_prompt_is_never_dropped_in_silence() -> None:
    def without(prompt: str, seed: int) -> Any:
        return np.zeros((2, 2, 3), np.uint8)

    def with_one(prompt: str, seed: int, negative_prompt: str | None) -> Any:
        return np.full((2, 2, 3), len(negative_prompt or ""), np.uint8)

    assert len(adapter(without).generate(["a"], [1], [None])) == 1
    with pytest.raises(difftest.GeneratorError, match="takes no negative prompt"):
        adapter(without).generate(["a"], [1], ["blur"])
    (image,) = adapter(with_one).generate(["a"], [1], ["blur"])
    assert image[0, 0, 0] == 4


def test_what_a_pipeline_prints_does_not_reach_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def noisy(prompt: str, seed: int) -> Any:
        print('{"event": "run_finished", "status": "passed"}')
        return np.zeros((2, 2, 3), np.uint8)

    adapter(noisy).generate(["a"], [1], [None])
    assert capsys.readouterr().out == ""


def test_the_traceback_of_a_failure_leads_into_the_repositorys_code(repository: Repository) -> None:
    repository.write("pipeline.py", "def draw(prompt, seed):\n    return 1 / 0\n")
    with pytest.raises(difftest.GeneratorError) as failed:
        repository.generator("pipeline:draw").generate(["a"], [1], [None])
    trace, files = failed.value.__traceback__, []
    while trace is not None:
        files.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    assert files[-1].endswith("pipeline.py")


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


def test_a_refused_image_is_named_by_its_prompt_and_seed() -> None:
    class Broken:
        def generate(self, prompts: Any, seeds: Any, negative_prompts: Any) -> Any:
            return [np.full((1, 1, 3), value) for value in (0.5, np.nan)]

    with pytest.raises(difftest.GeneratorError, match="for prompt 'b', seed 2 has 3 values"):
        adapter(Broken()).generate(["a", "b"], [1, 2], [None, None])


# What it says of itself


def test_a_fingerprint_is_the_objects_own_or_that_of_its_sources(repository: Repository) -> None:
    class Own:
        fingerprint = "abc"

        def generate(self, prompts: Any, seeds: Any, negative_prompts: Any) -> Any: ...

    assert adapter(Own()).fingerprint == "abc"
    repository.write("shades.py", "DARK = 10\n")
    repository.write("pipeline.py", "import shades" + PIPELINE.replace("\n    ", "\n"))
    first = repository.generator("pipeline:make").fingerprint
    assert first == repository.generator("pipeline:make").fingerprint
    assert len(first) == 64
    repository.write("shades.py", "DARK = 11\n")
    assert first != repository.generator("pipeline:make").fingerprint


def test_a_generator_describes_what_could_move_a_bit() -> None:
    class Described:
        batch_size = 2

        def describe(self) -> dict[str, Any]:
            return {"steps": 10, "threads": 3, "versions": {"own": "1"}, "device": "tpu"}

        def generate(self, prompts: Any, seeds: Any, negative_prompts: Any) -> Any: ...

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


# The embedded model


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "shaeps"}, "no embedded model `shaeps`; did you mean `shapes`"),
        ({"model": "flux"}, 'there is: shapes .for a model of your own, .*"module:factory"'),
        ({"device": "tpu"}, "the device is `tpu`; the embedded models run on cpu or cuda"),
        ({"device": "cuda"}, "this onnxruntime has only .*CPUExecutionProvider"),
    ],
)
def test_what_the_embedded_back_end_cannot_do_is_said(
    repository: Repository, options: dict[str, str], message: str
) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        repository.generator(None, **options)


@pytest.mark.parametrize("name", [None, "onnx"])
def test_the_embedded_model_is_a_generator(repository: Repository, name: str | None) -> None:
    generator = repository.generator(name)
    prompt = "a small red circle, center, on a white background"
    images = generator.generate([prompt] * 2, [1, 2], [None, "blue"])
    assert [(image.shape, image.dtype) for image in images] == [((32, 32, 3), np.uint8)] * 2
    again = generator.generate([prompt], [1], [None])
    assert np.abs(again[0].astype(int) - images[0]).max() <= 1
    described = generator.describe()
    assert (generator.name, described["device"], described["model"]) == ("onnx", "cpu", "shapes")
    assert {"onnxruntime", "numpy", "tokenizers"} <= set(described["versions"])


def test_a_seed_that_a_pipeline_refuses_is_named(repository: Repository) -> None:
    with pytest.raises(difftest.GeneratorError, match="seed -1: ValueError: seeds must not be"):
        repository.generator(None).generate(["a red circle"], [-1], [None])
