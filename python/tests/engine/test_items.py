"""What a generator may give for a recipe, and what the run makes of it."""

from __future__ import annotations

import json
from typing import Any

#: A generator that takes recipes; what it gives for one is decided by its prompt.
BASE = """
    import time

    import numpy as np

    import fake
    from difftest.errors import GeneratorError
    from difftest.generators import Generated

    batches = []


    class Refused(GeneratorError):
        retries = 3


    class Items:
        fingerprint = "items-1"
        batch_size = 4

        def picture(self, recipe):
            return fake.Fake().picture(recipe.prompt, recipe.seed, recipe.negative_prompt)

        def generate(self, recipes):
            batches.append(len(recipes))
            {body}


    def make():
        return Items()
"""

SUITE = """
@difftest.test(prompts={prompts!r}, metrics=["brightness"], seeds=[1])
def test_items():
    pass
"""


def items(repository: Any, body: str, prompts: list[str]) -> None:
    repository.write("items.py", BASE.replace("{body}", body.replace("\n", "\n            ")))
    repository.write("difftest.toml", 'generator = "items:make"\n')
    repository.write_test("tests/test_a.py", SUITE.format(prompts=prompts))


def test_each_item_of_a_batch_is_an_image_an_image_with_facts_or_a_failure(
    repository: Any, read_events: Any
) -> None:
    items(
        repository,
        """
for recipe in recipes:
    if "refused" in recipe.prompt:
        yield Refused(f"no {recipe.prompt}")
    elif "costs" in recipe.prompt:
        yield Generated(self.picture(recipe), cost_usd=0.25, retries=2, text={"workflow": "a b"})
    else:
        yield self.picture(recipe)
""",
        ["plain", "refused", "costs", "costs too"],
    )
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 1
    (result,) = report["results"]
    (failure,) = result["failures"]
    assert (failure["prompt"], failure["reason"], failure["retries"]) == (
        "refused",
        "no refused",
        3,
    )
    assert result["cost_usd"] == 0.5
    events = [e for e in read_events(repository.root / "run/events.jsonl") if "prompt" in e]
    generated = {e["prompt"]: e for e in events if e["event"] == "cell_generated"}
    assert generated.keys() == {"plain", "costs", "costs too"}
    assert (generated["costs"]["cost_usd"], generated["costs"]["retries"]) == (0.25, 2)
    assert "cost_usd" not in generated["plain"]
    file = repository.root / "run" / generated["costs"]["image"]["path"]
    assert b"workflow\0a b" in file.read_bytes()


def test_images_are_handed_on_as_they_come(repository: Any) -> None:
    """The second image is made only once the file of the first is there."""
    items(
        repository,
        """
from pathlib import Path
images = Path(__file__).parent / "run/images"
for index, recipe in enumerate(recipes):
    deadline = time.monotonic() + 20
    while len(list(images.glob("*.png"))) < index:
        assert time.monotonic() < deadline, "the image before is kept back"
        time.sleep(0.01)
    yield self.picture(recipe)
""",
        ["a", "b", "c", "d"],
    )
    finished, _ = repository.run("--run-dir", "run")
    assert finished.code == 0, finished.out


def test_images_of_any_other_form_are_their_cells_failures(repository: Any) -> None:
    items(
        repository,
        """
wrong = {
    "flat": np.zeros((8, 8), np.uint8),
    "four": np.zeros((8, 8, 4), np.uint8),
    "empty": np.zeros((0, 8, 3), np.uint8),
    "huge": np.zeros((1, 60000, 3), np.uint8),
    "text": "an image",
    "nothing": None,
    "nan": np.full((8, 8, 3), np.nan),
}
return [wrong[r.prompt] if r.prompt in wrong else self.picture(r) for r in recipes]
""",
        ["flat", "four", "empty", "huge", "text", "nothing", "nan", "good"],
    )
    finished, report = repository.run()
    assert finished.code == 1
    (result,) = report["results"]
    assert [image["prompt"] for image in result["images"]] == ["good"]
    assert {failure["prompt"] for failure in result["failures"]} == {
        "flat", "four", "empty", "huge", "text", "nothing", "nan",
    }  # fmt: skip
    for failure in result["failures"]:
        assert "items:make" in failure["reason"], failure


def test_too_few_and_too_many_images_are_never_given_to_the_wrong_prompt(repository: Any) -> None:
    items(repository, "return [self.picture(r) for r in recipes[:3]]", ["a", "b", "c", "d"])
    _, report = repository.run()
    # Alone, it has one for each but for none of one.
    assert {f["prompt"] for f in report["results"][0]["failures"]} == set()
    items(
        repository,
        "yield from (self.picture(r) for r in [*recipes, *recipes])",
        ["a", "b", "c", "d"],
    )
    finished, report = repository.run()
    assert finished.code == 1
    (failure,) = report["results"][0]["failures"]
    assert failure["prompt"] == "d"
    assert "more than 4 images" in failure["reason"]


def test_a_batch_that_breaks_in_the_middle_is_tried_image_by_image(repository: Any) -> None:
    items(
        repository,
        """
for index, recipe in enumerate(recipes):
    if index == 2 or recipe.prompt == "broken":
        raise RuntimeError("out of memory")
    yield self.picture(recipe)
""",
        ["a", "b", "c", "d", "broken"],
    )
    finished, report = repository.run()
    assert finished.code == 1
    (result,) = report["results"]
    assert {image["prompt"] for image in result["images"]} == {"a", "b", "c", "d"}
    (failure,) = result["failures"]
    assert failure["prompt"] == "broken"
    assert "out of memory" in failure["reason"]
    assert "RuntimeError" in failure["trace"]


def test_small_tests_share_batches_and_each_has_its_own_body_and_end(
    repository: Any, read_events: Any
) -> None:
    items(repository, "yield from (self.picture(r) for r in recipes)", ["unused"])
    tests = "\n\n".join(
        f"""
@difftest.test(prompts=["p{n}"], metrics=["brightness"], seeds=[{n}], negative_prompt="not {n}")
def test_{n:02}(model):
    assert model.generate("p{n}").size == (32, 32)
"""
        for n in range(10)
    )
    repository.write_test(
        "tests/test_a.py",
        f"""
import atexit, json, pathlib, items

atexit.register(lambda: pathlib.Path("batches.json").write_text(json.dumps(items.batches)))
{tests}
""",
    )
    finished, report = repository.run("--run-dir", "run")
    assert finished.code == 0, finished.out
    assert len(report["results"]) == 10
    # Bodies call it with one recipe.
    batches = json.loads((repository.root / "batches.json").read_text())
    assert sorted(batches) == [1] * 10 + [2, 4, 4]
    events = read_events(repository.root / "run/events.jsonl")
    for n in range(10):
        own = [e["event"] for e in events if e.get("test", "").endswith(f"test_{n:02}")]
        steps = [kind for kind in own if kind != "telemetry"]
        assert steps == ["test_started", "cell_generated", "cell_scored", "test_finished"]


def test_results_do_not_depend_on_the_number_of_threads(repository: Any) -> None:
    items(
        repository,
        "yield from (self.picture(r) for r in recipes)",
        [f"prompt {n}" for n in range(30)],
    )
    suite = SUITE.format(prompts=[f"prompt {n}" for n in range(30)])
    repository.write_test("tests/test_a.py", suite.replace("brightness", "sharpness"))
    streams = []
    for jobs in ("1", "4"):
        finished, _ = repository.run("--jobs", jobs, "--run-dir", f"run-{jobs}")
        assert finished.code == 0
        lines = (repository.root / f"run-{jobs}/events.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        for event in events:
            event.pop("duration_ms", None)
        streams.append([e for e in events if e["event"].startswith("cell_")])
    assert streams[0] == streams[1]
