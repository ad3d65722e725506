"""Anything that can make an image, as the generator that the engine asks for."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import DifftestError, GeneratorError
from difftest.generators import environment
from difftest.generators.pixels import to_rgb
from difftest.prints import to_stderr
from difftest.traces import innermost

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

#: Where an object says nothing of its own.
DEFAULT_BATCH_SIZE = 8


class Adapter:
    """Wraps an object with ``generate(prompts, seeds, negative_prompts)``, or a ``callable(prompt, seed)``.

    What the object says of itself is kept: ``fingerprint``, ``batch_size``, ``describe()`` or ``description``.
    """

    def __init__(
        self, name: str, target: Any, *, device: str, sources: Callable[[], Sequence[Path]] = list
    ) -> None:
        """``sources`` are the files that stand for an object without a fingerprint of its own."""
        self.name, self._target, self._device, self._sources = name, target, device, sources
        method = getattr(target, "generate", None)
        self._call: Callable[..., Any] = method if callable(method) else target
        if any(base.__module__.startswith("diffusers.") for base in type(target).__mro__):
            # Called with (prompt, seed), it would take the seed for its second parameter: the height.
            raise GeneratorError(
                f"{name} gave a diffusers pipeline, which takes its seed as a torch.Generator; give a function: "
                "`lambda prompt, seed: pipe(prompt, generator=torch.Generator().manual_seed(seed)).images[0]`"
            )
        if not callable(self._call):
            raise GeneratorError(
                f"{name} gave {target!r}, which makes no images; give an object with "
                "generate(prompts, seeds, negative_prompts), or a function of (prompt, seed)"
            )
        self._batched = callable(method) and not _takes_one_prompt(self._call)
        self._takes_negatives = self._accepts_negatives()
        size = getattr(target, "batch_size", DEFAULT_BATCH_SIZE) if self._batched else 1
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise GeneratorError(
                f"{name} has the batch_size {size!r}; an integer from 1 was expected"
            )
        self.batch_size = size

    def _accepts_negatives(self) -> bool:
        """Refuses a signature that the engine cannot call."""
        wanted = "generate(prompts, seeds, negative_prompts)" if self._batched else "(prompt, seed)"
        try:
            signature = inspect.signature(self._call)
        except (TypeError, ValueError):  # written in C: only a call can tell
            return self._batched
        for negatives in (True, False):
            one: list[Any] = [["p"], [0], [None]] if self._batched else ["p", 0]
            extra = {"negative_prompt": "n"} if negatives and not self._batched else {}
            positional = one if negatives else one[:2]
            try:
                signature.bind(*positional, **extra)
            except TypeError:
                continue
            return negatives
        raise GeneratorError(
            f"{self.name} is called as {wanted}, but its parameters are {signature}"
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        own = self._said("fingerprint")
        if own is not None:
            if not isinstance(own, str) or not own:
                raise GeneratorError(
                    f"{self.name} has the fingerprint {own!r}; a text was expected"
                )
            return own
        total = hashlib.sha256()
        for source in self._sources():
            total.update(hashlib.sha256(source.read_bytes()).digest())
        total.update(json.dumps(self.describe(), sort_keys=True).encode())
        return total.hexdigest()

    def describe(self) -> dict[str, Any]:
        said = self._said("describe") or self._said("description")
        own = dict(said) if isinstance(said, dict) else {}
        described = {
            **own,
            "generator": self.name,
            "device": environment.device(own.get("device"), self._device),
            "threads": environment.threads(
                own.get("threads", getattr(self._target, "threads", None))
            ),
            "batch_size": self.batch_size,
            "versions": {**environment.versions(), **own.get("versions", {})},
        }
        try:
            return dict(json.loads(json.dumps(described, allow_nan=False)))
        except (TypeError, ValueError) as broken:
            raise GeneratorError(
                f"{self.name} describes itself with something that JSON cannot say: {broken}"
            ) from broken

    def _said(self, attribute: str) -> Any:
        """What the object says of itself under this name, as an attribute or as a method; else ``None``."""
        try:
            said = getattr(self._target, attribute, None)
            return said() if callable(said) else said
        except DifftestError:
            raise
        except Exception as broken:
            raise GeneratorError(
                f"{self.name} failed to say its {attribute}: {innermost(broken, self.name)}"
            ).with_traceback(broken.__traceback__) from broken

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        negative_prompts: Sequence[str | None],
    ) -> list[Image]:
        if not len(prompts) == len(seeds) == len(negative_prompts):
            raise GeneratorError(
                f"{len(prompts)} prompts, {len(seeds)} seeds and {len(negative_prompts)} negative "
                "prompts; there must be as many of each"
            )
        if not prompts:
            return []
        if not self._takes_negatives and any(negative_prompts):
            raise GeneratorError(
                f"{self.name} takes no negative prompt, and {_cell(prompts, seeds, 0)} has one; let "
                "it take `negative_prompts` (of a function, `negative_prompt`), or leave it out of the test"
            )
        images = (
            self._generate_batch(prompts, seeds, negative_prompts)
            if self._batched
            else self._generate_singly(prompts, seeds, negative_prompts)
        )
        return [
            to_rgb(image, f"the image of {self.name} for {_cell(prompts, seeds, index)}")
            for index, image in enumerate(images)
        ]

    def _generate_batch(
        self, prompts: Sequence[str], seeds: Sequence[int], negatives: Sequence[str | None]
    ) -> list[Any]:
        arguments = [list(prompts), list(seeds)]
        answer = self._guarded(
            f"{len(prompts)} images from {_cell(prompts, seeds, 0)} on"
            if len(prompts) > 1
            else _cell(prompts, seeds, 0),
            *arguments,
            *([list(negatives)] if self._takes_negatives else []),
        )
        try:
            images = list(answer)
        except TypeError:
            raise GeneratorError(
                f"{self.name} gave {type(answer).__name__} for {len(prompts)} prompts; a list of "
                "as many images was expected"
            ) from None
        if len(images) != len(prompts):
            raise GeneratorError(
                f"{self.name} gave {len(images)} images for {len(prompts)} prompts; one for each was "
                "expected, in their order"
            )
        return images

    def _generate_singly(
        self, prompts: Sequence[str], seeds: Sequence[int], negatives: Sequence[str | None]
    ) -> list[Any]:
        images = []
        for index, (prompt, seed, negative) in enumerate(
            zip(prompts, seeds, negatives, strict=True)
        ):
            extra = {"negative_prompt": negative} if self._takes_negatives else {}
            images.append(self._guarded(_cell(prompts, seeds, index), prompt, seed, **extra))
        return images

    def _guarded(self, what: str, *arguments: Any, **extra: Any) -> Any:
        try:
            with to_stderr():
                return self._call(*arguments, **extra)
        except DifftestError:
            raise
        except ModuleNotFoundError as missing:
            raise GeneratorError(missing_module(self.name, missing)) from missing
        except (Exception, SystemExit) as broken:
            raise GeneratorError(
                f"{self.name} failed on {what}: {innermost(broken, self.name)}"
            ).with_traceback(broken.__traceback__) from broken


def missing_module(what: str, missing: ModuleNotFoundError) -> str:
    """Whether it should be installed or be in the repository is not for us to guess."""
    return (
        f"{what} needs the module `{missing.name}`, which is neither in the repository nor installed "
        "where difftest runs"
    )


def _takes_one_prompt(method: Callable[..., Any]) -> bool:
    try:
        return next(iter(inspect.signature(method).parameters), None) == "prompt"
    except (TypeError, ValueError):
        return False


def _cell(prompts: Sequence[str], seeds: Sequence[int], index: int) -> str:
    return f"prompt {prompts[index]!r}, seed {seeds[index]}"
