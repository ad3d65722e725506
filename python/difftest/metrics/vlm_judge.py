"""A vision language model's judgement of an image and its prompt. The judge is brought by another.

Whoever has one registers it, in code or as an installed package::

    from difftest.metrics import vlm_judge

    @vlm_judge.register
    def judge(images, prompts):      # arrays uint8 (H, W, 3), texts
        return [0.8 for _ in images]  # 0 to 1 each

    # or in a package's pyproject.toml
    [project.entry-points."difftest.judges"]
    mine = "my_package:judge"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from difftest import plugins
from difftest.errors import ConfigurationError, MetricError
from difftest.metrics import faults
from difftest.metrics.facts import Stated

if TYPE_CHECKING:
    from difftest.metrics.protocol import Image

    Judge = Callable[[Sequence[Image], Sequence[str]], Sequence[float]]

Registered = TypeVar("Registered", bound=Callable[..., Any])

JUDGES = "difftest.judges"
_registered: Judge | None = None


def register(judge: Registered) -> Registered:
    """Let ``judge(images, prompts)`` be the judge of this process; the last one counts."""
    global _registered
    if not callable(judge):
        raise ConfigurationError(
            f"the judge is {judge!r}; a callable (images, prompts) was expected"
        )
    _registered = judge
    return judge


def forget() -> None:
    """Have no registered judge."""
    global _registered
    _registered = None


class VlmJudge(Stated):
    """What the judge says: 0 to 1, higher is better. Its ``weights`` attribute, if it has one, names its version."""

    name = "vlm_judge"

    def __init__(self, device: str | None = None) -> None:  # noqa: ARG002  (every metric is made so)
        self._judge = _registered or _installed()
        self.weights: str | None = getattr(self._judge, "weights", None)

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        with faults.computing(self.name):
            scores = [float(score) for score in self._judge(list(images), list(prompts))]
        if len(scores) != len(images):
            raise MetricError(f"the judge gave {len(scores)} scores for {len(images)} images")
        for index, score in enumerate(scores):
            if not 0 <= score <= 1:
                raise MetricError(
                    f"the judge gave {score!r} for image {index + 1} of {len(images)} (prompt "
                    f"{prompts[index]!r}); a number from 0 to 1 was expected",
                    index=index,
                )
        return scores


def _installed() -> Judge:
    found = plugins.names(JUDGES)
    if len(found) > 1:
        raise ConfigurationError(
            f"vlm_judge has {len(found)} judges to choose from, {', '.join(found)} (entry points `{JUDGES}`); "
            "register the one to use with difftest.metrics.vlm_judge.register"
        )
    entry = plugins.find(JUDGES, found[0], own=(), error=MetricError) if found else None
    if entry is None:
        raise ConfigurationError(
            "vlm_judge has no judge: difftest brings none itself. Register one with "
            "`@difftest.metrics.vlm_judge.register` on `def judge(images, prompts)`, which answers a number from "
            f"0 to 1 for each image, or install a package with an entry point in the group `{JUDGES}`"
        )
    judge: Judge = plugins.load(entry, error=MetricError)
    return judge
