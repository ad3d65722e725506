"""A pipeline's scheduler, by the canonical name of ``core::scheduler``."""

from __future__ import annotations

import inspect
import json
from typing import Any

from difftest.errors import GeneratorError, MissingDependencyError


def flows(kind: str, config: Any) -> bool:
    """Whether a scheduler is one of rectified flow; models of one kind make noise of the other's steps."""
    return (
        kind.startswith("FlowMatch")
        or bool(config.get("use_flow_sigmas"))
        or config.get("prediction_type") == "flow_prediction"
    )


class Schedulers:
    """Puts a scheduler into a pipeline, made from the configuration of the model's own."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._own: Any = getattr(pipeline, "scheduler", None)
        self._is_own = True

    def one_at_a_time(self, name: str | None) -> bool:
        """Whether it draws noise from a seed of its own, which a batch of several seeds could not share."""
        return name is not None and _draws_itself(self._class(name)[0])

    def apply(self, name: str | None, seed: int) -> None:
        """Let the pipeline step by this scheduler; ``None`` is the model's own. Raises ``GeneratorError``."""
        if name is None:
            if not self._is_own:
                self._pipeline.scheduler, self._is_own = self._own, True
            return
        kind, config = self._class(name)
        if _draws_itself(kind):
            config = {**config, "noise_sampler_seed": seed & 0x7FFF_FFFF}
        try:
            # Anew for every batch: some keep what they saw of the last one.
            self._pipeline.scheduler = kind.from_config(self._own.config, **config)
        except ImportError as missing:
            raise MissingDependencyError(
                _package(missing), f"the scheduler `{name}` of diffusers"
            ) from missing
        self._is_own = False

    def _class(self, name: str) -> tuple[Any, dict[str, Any]]:
        import diffusers

        from difftest import _native

        pipeline = type(self._pipeline).__name__
        if self._own is None:
            raise GeneratorError(
                f"the recipe sets the scheduler `{name}`, and {pipeline} of diffusers has none to set"
            )
        found = json.loads(_native.diffusers_scheduler(name))
        word, config = found["class"], found["config"]
        own, wanted = flows(type(self._own).__name__, self._own.config), flows(word, config)
        if own != wanted:
            made_for = "rectified flow" if own else "denoising diffusion"
            raise GeneratorError(
                f"the scheduler `{name}` ({word}) does not suit {pipeline}, a model of {made_for}; it would make noise"
            )
        kind = getattr(diffusers, word, None)
        if kind is None:
            raise GeneratorError(
                f"the scheduler `{name}` is {word}, which diffusers {diffusers.__version__} does not have"
            )
        return kind, config


def _draws_itself(kind: Any) -> bool:
    return "noise_sampler_seed" in inspect.signature(kind.__init__).parameters


def _package(missing: ImportError) -> str:
    return next(
        (word for word in ("torchsde", "scipy") if word in str(missing)), missing.name or "?"
    )
