"""The generator of a repository that was written out, in this process and without the command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from difftest.generators import Options, factory
from difftest.generators.adapter import Adapter
from difftest.recipe import Recipe

Images = npt.NDArray[np.uint8]
_GENERATOR = re.compile(r'^generator = "(.+)"$', re.MULTILINE)


def load(repository: Path) -> Adapter:
    """What difftest itself would load. Its modules are forgotten, so that the next one's may have
    the same names.
    """
    root = repository.resolve()
    found = _GENERATOR.search((root / "difftest.toml").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{root}/difftest.toml names no generator")
    path = list(sys.path)
    try:
        asked = Options(generator=found[1], model="shapes", device="cpu", root=str(root))
        return factory.load(found[1], asked)
    finally:
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(root):
                del sys.modules[name]


def draw(generator: Adapter, prompts: Sequence[str], seeds: Sequence[int]) -> Images:
    """``(N, 32, 32, 3)``, in batches of the generator's own size, as a run makes them."""
    recipes = [Recipe(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    size, images = generator.batch_size, []
    for first in range(0, len(recipes), size):
        for image in generator.generate(recipes[first : first + size]):
            if not isinstance(image, np.ndarray):
                raise TypeError(f"no image: {image}")
            images.append(image)
    return np.stack(images)
