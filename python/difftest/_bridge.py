"""All that the native engine calls. It imports this module and no other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest import alarm, body, discovery
from difftest import subscribers as _subscribers
from difftest.discovery import CollectedTest
from difftest.errors import DifftestError
from difftest.imports import importing_from
from difftest.prints import to_stderr
from difftest.recipe import Recipe
from difftest.registry import Quality, clear_registry

if TYPE_CHECKING:
    from difftest.generators.protocol import Generator
    from difftest.metrics.protocol import BatchMetric, ImageMetric

_root = Path()
#: The settings of the run's recipe, which a test's body generates with too.
_settings: Mapping[str, Any] = {}
_collected: dict[str, CollectedTest] = {}


def collect(test_dir: str, root: str) -> str:
    """JSON ``{"tests": [TestSpec...], "errors": [CollectionError...]}``, as in core/src/suite.rs."""
    global _root
    clear_registry()
    _collected.clear()
    _root = Path(root).resolve()
    with to_stderr():
        collection = discovery.collect(Path(test_dir), _root)
    _collected.update({test.id: test for test in collection.tests})
    answer = json.dumps(
        {
            "tests": [_spec(test) for test in collection.tests],
            "errors": [
                {"place": {"file": error.file, "line": error.line}, "message": error.message}
                for error in collection.errors
            ],
        },
        ensure_ascii=False,
    )
    # File names and messages may hold what UTF-8 cannot say; prompts have been checked.
    return answer.encode("utf-8", "replace").decode("utf-8")


def load_generator(options_json: str) -> Generator:
    """``options_json`` holds the fields of ``difftest.generators.Options``."""
    from difftest import generators, memory

    global _settings
    options = generators.Options(**json.loads(options_json))
    _settings = options.recipe
    # Metrics that were loaded before count as well.
    memory.configure(options.vram_budget_bytes)
    with to_stderr():
        return generators.load(options)


def generator_options(options_json: str) -> str:
    """What the generator can be told, without loading it: JSON ``{"remote": bool, "options": {name: {"default": ...,
    "values": [...]}}}``, ``options`` being ``null`` where only the generator itself knows.
    """
    from difftest import generators

    options = generators.Options(**json.loads(options_json))
    with to_stderr():
        return json.dumps(generators.offered(options))


def recipes(text: str) -> list[Recipe]:
    """A JSON list of recipes, as in core/src/recipe/mod.rs, for ``Generator.generate``."""
    return [Recipe.from_dict(one) for one in json.loads(text)]


def unload(model: Generator) -> None:
    """No more images are wanted of it."""
    free = getattr(model, "unload", None)
    if callable(free):
        with to_stderr():
            free()


def load_metric(name: str, device: str | None = None) -> ImageMetric | BatchMetric:
    """A metric by the name that tests use; ``device`` is where its network computes, if it has one."""
    from difftest import metrics

    with to_stderr():
        return metrics.load(name, device)


def run_body(test_id: str, model: Generator) -> None:
    """Call the function of a collected test with a handle to ``model``, if its body is not empty."""
    test = _collected.get(test_id)
    if test is None:
        raise DifftestError(f"no test `{test_id}` was collected in this process")
    try:
        with to_stderr(), importing_from(test.source.parent):
            body.run(test.definition, model, _settings)
    except (AssertionError, DifftestError) as failed:
        raise failed.with_traceback(
            None
        ) from failed.__cause__  # its message has the place; the rest is our own frames


#: How many functions want to be told the events.
subscribers = _subscribers.count


def publish(lines: Sequence[str]) -> list[str]:
    """Lines of the stream, to everyone who subscribed. Answers warnings."""
    with to_stderr():
        return _subscribers.publish(lines)


watch = alarm.watch
unwatch = alarm.unwatch


def _spec(test: CollectedTest) -> dict[str, Any]:
    definition = test.definition
    kind: dict[str, Any]
    if isinstance(definition.kind, Quality):
        kind = {
            "kind": "quality",
            "metrics": list(definition.kind.metrics),
            "thresholds": dict(definition.kind.thresholds),
            "reference_dir": definition.kind.reference_dir,
        }
    else:
        kind = {
            "kind": "visual_regression",
            "baseline_dir": definition.kind.baseline_dir,
            "ssim_threshold": definition.kind.ssim_threshold,
        }
    return {
        "id": test.id,
        "place": {
            "file": discovery.relative(definition.file, _root),
            "line": definition.line,
        },
        **kind,
        "prompts": list(definition.prompts),
        "variables": {name: list(values) for name, values in definition.variables.items()},
        "combine": definition.combine,
        "negative_prompt": definition.negative_prompt,
        "seeds": list(definition.seeds),
        "suite": definition.suite,
    }
