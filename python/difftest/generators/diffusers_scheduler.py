"""A pipeline's scheduler, as the registry (``core::scheduler``) has it for diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from difftest.errors import GeneratorError, MissingDependencyError


class Schedulers:
    """Puts a scheduler into a pipeline, made from the configuration of the model's own."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._own: Any = getattr(pipeline, "scheduler", None)
        self._is_own = True

    def apply(self, wanted: Mapping[str, Any] | None) -> None:
        """Let the pipeline step by ``{"id", "class", "config"}``; ``None`` is the model's own scheduler.

        Raises ``GeneratorError`` where it does not suit the model.
        """
        if wanted is None:
            if not self._is_own:
                self._pipeline.scheduler, self._is_own = self._own, True
            return
        kind = self._class(wanted)
        try:
            # Anew for every batch: some keep what they saw of the last one.
            self._pipeline.scheduler = kind.from_config(self._own.config, **wanted["config"])
        except ImportError as missing:
            raise MissingDependencyError(
                _package(missing), f"the scheduler `{wanted['id']}` of diffusers"
            ) from missing
        self._is_own = False

    def _class(self, wanted: Mapping[str, Any]) -> Any:
        import diffusers

        name, word = wanted["id"], wanted["class"]
        pipeline = type(self._pipeline).__name__
        if self._own is None:
            raise GeneratorError(
                f"the recipe sets the scheduler `{name}`, and {pipeline} of diffusers has none to set"
            )
        own = _flows(type(self._own).__name__, self._own.config)
        if own != _flows(word, wanted["config"]):
            made_for = "rectified flow" if own else "denoising diffusion"
            raise GeneratorError(
                f"the scheduler `{name}` ({word}) does not suit {pipeline}, a model of {made_for}: it would make noise"
            )
        kind = getattr(diffusers, word, None)
        if kind is None:
            raise GeneratorError(
                f"the scheduler `{name}` is {word}, which diffusers {diffusers.__version__} does not have"
            )
        return kind

    def alone(self, wanted: Mapping[str, Any] | None) -> bool:
        """Whether images must be made one at a time by it, each with the process's own random numbers seeded.

        It draws noise from a seed in its configuration, or, in a pipeline of rectified flow, which hands no generator
        on, from the process's; neither can be shared by images of several seeds.
        """
        kind = wanted["class"] if wanted else type(self._own).__name__
        config = wanted["config"] if wanted else getattr(self._own, "config", {})
        seeded = wanted is not None and "noise_sampler_seed" in config
        return seeded or kind == "FlowMatchLCMScheduler" or bool(config.get("stochastic_sampling"))


def _flows(kind: str, config: Mapping[str, Any]) -> bool:
    """Whether a scheduler is one of rectified flow; a model of the one kind makes noise by steps of the other."""
    return (
        kind.startswith("FlowMatch")
        or bool(config.get("use_flow_sigmas"))
        or config.get("prediction_type") == "flow_prediction"
    )


def _package(missing: ImportError) -> str:
    return next(
        (word for word in ("torchsde", "scipy") if word in str(missing)), missing.name or "?"
    )
