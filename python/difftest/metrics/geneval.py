"""Whether an image shows the objects, counts, colours and places that its prompt names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from difftest.errors import ConfigurationError, MetricError
from difftest.metrics import faults, weights
from difftest.metrics.facts import Stated
from difftest.metrics.geneval_judge import Detection, judge
from difftest.metrics.geneval_prompt import COLORS, Request, parse_lines, parse_prompt

if TYPE_CHECKING:
    from difftest.metrics.clip_model import ClipModel
    from difftest.metrics.protocol import Image

#: A file in GenEval's JSONL schema. Prompts that are not in it must be sentences of the benchmark.
PROMPTS_VARIABLE = "DIFFTEST_GENEVAL_PROMPTS"
EXTRA = "geneval"
_SENTENCES = ("a photo of a {} {}", "a photo of a {}-colored {}", "a photo of a {} object")
#: Behind a cut-out object, so that its surroundings do not lend it their colour.
_GRAY = (0x99, 0x99, 0x99)


class GenEval(Stated):
    """1 where everything is as asked, else 0 (Ghosh et al., arXiv 2310.11513): the benchmark's score is the mean.

    The detector is the authors' network in its own publishers' release, not mmdetection's retraining of it: scores
    are comparable with each other, and within a few points of published ones.
    """

    name = "geneval"

    def __init__(self, device: str | None = None) -> None:
        self._requests = _listed()
        with faults.loading(self.name, EXTRA):
            from difftest.metrics import clip_model, detector

            self._objects = detector.OBJECTS
            self._detector = detector.load(self.name, device)
            self._colors = Colors(clip_model.load(self.name, clip_model.VIT_L_14, device))
        self.weights = weights.combined([self._detector.weights, self._colors.weights])

    def compute_batch(
        self,
        images: Sequence[Image],
        prompts: Sequence[str],
        references: Sequence[Image | None],  # noqa: ARG002  (a metric's signature)
    ) -> list[float]:
        requests = [self._request(prompt, index) for index, prompt in enumerate(prompts)]
        with faults.computing(self.name, EXTRA):
            return [
                float(self._holds(image, request))
                for image, request in zip(images, requests, strict=True)
            ]

    def _holds(self, image: Image, request: Request) -> bool:
        found = self._detector.detect(image)
        correct, _ = judge(request, found, lambda chosen: self._colors.of(image, chosen))
        return correct

    def _request(self, prompt: str, index: int) -> Request:
        request = self._requests.get(prompt) or parse_prompt(prompt, self._objects)
        if request is None:
            raise MetricError(
                f"geneval does not know what {prompt!r} asks for: it is no sentence of the benchmark (`a photo of "
                f"a red cup and a blue dog`); list it with what it includes in a JSONL file of GenEval's schema "
                f"and set {PROMPTS_VARIABLE} to that file",
                index=index,
            )
        return request


class Colors:
    """The colour of a cut-out object, by CLIP and sentences that name one."""

    def __init__(self, clip: ClipModel) -> None:
        self._clip = clip
        self.weights = clip.weights

    def of(self, image: Image, objects: Sequence[Detection]) -> list[str]:
        """One of ``COLORS`` for each object."""
        if not objects:
            return []
        crops = self._clip.embed_images([cut_out(image, one) for one in objects])
        nearest = (crops @ self._classes(objects[0].object).T).argmax(1)
        return [COLORS[index] for index in nearest]

    def _classes(self, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """``(10, D)``: of each colour the mean of its sentences, of length 1."""
        texts = [sentence.format(color, name) for color in COLORS for sentence in _SENTENCES]
        # The last sentence names no object: `format` leaves the name unused.
        embedded = self._clip.embed_texts(texts).reshape(len(COLORS), len(_SENTENCES), -1).mean(1)
        classes: np.ndarray[Any, np.dtype[np.float32]] = embedded / np.linalg.norm(
            embedded, axis=1, keepdims=True
        )
        return classes


def cut_out(image: Image, found: Detection) -> Image:
    """The object before gray, cropped to its box."""
    shown = image
    if found.mask is not None:
        shown = np.where(found.mask[..., None], image, np.array(_GRAY, np.uint8))
    left, top, right, bottom = (round(side) for side in found.box)
    cropped: Image = np.ascontiguousarray(shown[top:bottom, left:right])
    return cropped


def _listed() -> dict[str, Request]:
    named = os.environ.get(PROMPTS_VARIABLE)
    if not named:
        return {}
    from difftest.metrics.detector import OBJECTS

    try:
        text = Path(named).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as unread:
        raise ConfigurationError(f"{PROMPTS_VARIABLE} names {named}: {unread}") from unread
    return parse_lines(text, named, OBJECTS)
