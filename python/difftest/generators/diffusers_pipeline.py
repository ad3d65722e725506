"""A text-to-image pipeline of diffusers, called with recipes."""

from __future__ import annotations

import functools
import gc
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from difftest import memory
from difftest.errors import GeneratorError
from difftest.generators import recipe_names
from difftest.generators.calls import cell, settings
from difftest.generators.diffusers_pixels import fold_of, to_bytes
from difftest.generators.diffusers_scheduler import Schedulers
from difftest.nearest import suggestion

if TYPE_CHECKING:
    from difftest.generators.diffusers_loras import Loras
    from difftest.generators.protocol import Image
    from difftest.recipe import Recipe

#: Parameters that only pipelines have which need more than a text.
_NEEDS_AN_IMAGE = ("strength", "mask_image", "controlnet_conditioning_scale", "num_frames")
#: Set for every image, never by the options.
_OURS = (
    "prompt",
    "negative_prompt",
    "generator",
    "output_type",
    "return_dict",
    "num_images_per_prompt",
)
#: Room for activations beside the weights, as a share of them: an estimate, since it grows with the image's size.
_WORK_SPACE = 1.25


#: Where nobody says: a card is not busy with one image, and a core is.
_BATCH_SIZE = {"cpu": 1}
_BATCH_SIZE_OF_A_CARD = 4


class DiffusersPipeline:
    """``generate(recipes)``: recipes of equal settings are made together, in one call.

    Every image has a generator of its own on the CPU, seeded with its seed: ``pipe(prompt, generator=torch.Generator(
    "cpu").manual_seed(seed))``. So the noise of an image depends neither on its neighbours nor on the card.
    """

    def __init__(
        self,
        pipeline: Any,
        name: str,
        *,
        loras: Loras,
        call: Mapping[str, Any],
        fingerprint: Callable[[], str],
        said: Mapping[str, Any],
        device: str,
        moves: bool,
    ) -> None:
        """``moves`` says that its weights may be moved off the card while others need the room."""
        self._pipeline, self._name, self._loras, self._extra = pipeline, name, loras, dict(call)
        self._digest, self._said, self._device = fingerprint, dict(said), device
        self._kind = type(pipeline).__name__
        self.batch_size = _BATCH_SIZE.get(device.partition(":")[0], _BATCH_SIZE_OF_A_CARD)
        self._parameters = inspect.signature(pipeline.__call__).parameters
        self._check()
        self._schedulers = Schedulers(pipeline)
        self._handle = self._register() if moves and device.partition(":")[0] != "cpu" else None
        if hasattr(pipeline, "set_progress_bar_config"):
            pipeline.set_progress_bar_config(disable=True)

    def _check(self) -> None:
        """Refuses what makes no images from a text alone, and arguments it does not have."""
        missing = [word for word in ("prompt", "generator") if word not in self._parameters]
        if missing:
            raise GeneratorError(
                f"{self._name} is a {self._kind}, whose call takes no `{missing[0]}`; a pipeline that makes images "
                "from a text was expected"
            )
        more = next((word for word in _NEEDS_AN_IMAGE if word in self._parameters), None)
        if more is not None:
            raise GeneratorError(
                f"{self._name} is a {self._kind}, which needs more than a text (it takes `{more}`); difftest makes "
                "images from prompts: choose a text-to-image pipeline, or wrap it in a factory of this repository: "
                'generator = "module:factory"'
            )
        for key in self._extra:
            if key in _OURS:
                raise GeneratorError(
                    f"the option `call` sets `{key}`, which difftest sets for every image"
                )
            if key not in self._parameters:
                raise GeneratorError(
                    f"the option `call` sets `{key}`, which {self._kind} does not take; "
                    f"{suggestion(key, [name for name in self._parameters if name not in _OURS])}"
                )

    @functools.cached_property
    def fingerprint(self) -> str:
        return self._digest()

    def describe(self) -> dict[str, Any]:
        """What a run records about how its images were made."""
        scheduler = getattr(self._pipeline, "scheduler", None)
        return {**self._said, "scheduler": type(scheduler).__name__, "device": self._device}

    def unload(self) -> None:
        """Give the memory back."""
        if self._handle is not None:
            memory.forget(self._handle)
        self._pipeline = None
        gc.collect()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def generate(self, recipes: Sequence[Recipe]) -> Iterator[Image | Exception]:
        """One item for each recipe, a batch at a time."""
        for _, group in itertools.groupby(recipes, key=_alike):
            alike = list(group)
            scheduler = recipe_names.of_diffusers(alike[0])["scheduler"]
            size = 1 if self._schedulers.alone(scheduler) else len(alike)
            for first in range(0, len(alike), size):
                yield from self._batch(alike[first : first + size])

    def _batch(self, recipes: Sequence[Recipe]) -> list[Image | Exception]:
        if self._handle is None:
            return self._made(recipes)
        with memory.resident(self._handle):
            return self._made(recipes)

    def _made(self, recipes: Sequence[Recipe]) -> list[Image | Exception]:
        import torch

        first = recipes[0]
        said = recipe_names.of_diffusers(first)
        arguments = {**self._extra, **self._words(first, said["call"])}
        self._loras.apply(first.loras)
        self._schedulers.apply(said["scheduler"])
        device = getattr(self._pipeline, "device", None)
        cards = [device] if device is not None and device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=cards):
                # What a component draws beside the generators shall be the same every time.
                torch.manual_seed(first.seed)
                output = self._pipeline(
                    prompt=[recipe.prompt for recipe in recipes],
                    generator=[
                        torch.Generator("cpu").manual_seed(recipe.seed) for recipe in recipes
                    ],
                    **arguments,
                    **self._negatives(recipes),
                    **(
                        {"output_type": self._output_type}
                        if "output_type" in self._parameters
                        else {}
                    ),
                )
        except torch.cuda.OutOfMemoryError as full:
            raise GeneratorError(
                f"{self._name} ran out of the card's memory at {len(recipes)} images at a time; lower "
                "batch_size, or in [options] set vae_slicing, vae_tiling, attention_slicing or cpu_offload"
            ) from full
        images = getattr(output, "images", None)
        if images is None:
            raise GeneratorError(
                f"{self._kind} gave {type(output).__name__}, which has no images; a text-to-image pipeline was expected"
            )
        pixels = self._pixels(images)
        if len(pixels) != len(recipes):
            raise GeneratorError(
                f"{self._kind} gave {len(pixels)} images for {len(recipes)} prompts"
            )
        withheld = getattr(output, "nsfw_content_detected", None) or [False] * len(recipes)
        return [
            self._checked(image, bool(hidden), recipe)
            for image, hidden, recipe in zip(pixels, withheld, recipes, strict=True)
        ]

    @property
    def _output_type(self) -> str:
        return "latent" if self._pixel_fold else "np"

    @functools.cached_property
    def _pixel_fold(self) -> int:
        """Of a model that has no VAE because its latents are pixels, folded ``k × k`` into channels: k; else 0."""
        if "vae" not in self._pipeline.components or self._pipeline.vae is not None:
            return 0
        denoiser = getattr(self._pipeline, "unet", None) or getattr(
            self._pipeline, "transformer", None
        )
        channels = int(denoiser.config.in_channels) if denoiser is not None else 0
        fold = fold_of(channels)
        if not fold:
            raise GeneratorError(
                f"{self._name} has no VAE, and latents of {channels} channels, which are no folded pixels; its images "
                "cannot be decoded"
            )
        return fold

    def _pixels(self, images: Any) -> Any:
        if not self._pixel_fold:
            return images
        import torch

        unfolded = torch.pixel_shuffle(images, self._pixel_fold)
        scaled = (unfolded / 2 + 0.5).clamp(0, 1)
        return scaled.permute(0, 2, 3, 1).float().cpu().numpy()

    def _checked(self, image: Any, withheld: bool, recipe: Recipe) -> Image | Exception:
        what = f"the image of {self._name} for {cell(recipe)}"
        if withheld:
            return GeneratorError(
                f"{what} was withheld by the model's safety checker, which put a black one in its place; change the "
                "prompt, or set safety_checker = false in [options]"
            )
        if not isinstance(image, np.ndarray):
            image = np.asarray(image.convert("RGB"), np.float32) / 255
        height, width = image.shape[:2]
        if (recipe.width or width, recipe.height or height) != (width, height):
            return GeneratorError(
                f"{what} is {width} × {height}, and the recipe asks for {recipe.width or width} × "
                f"{recipe.height or height}: {self._kind} makes sizes of its own; ask for a multiple of "
                f"{getattr(self._pipeline, 'vae_scale_factor', 8)}"
            )
        bad = int((~np.isfinite(image)).sum())
        if bad:
            return GeneratorError(
                f"{what} has {bad} values that are NaN or infinite of {image.size}: {self._kind} overflowed; "
                'set dtype = "bfloat16" or "float32" in [options], or choose another scheduler in the recipe'
            )
        return to_bytes(image)

    def _words(self, recipe: Recipe, call: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments beside prompts and seeds. What the pipeline does not take is an error."""
        words = {key: value for key, value in call.items() if key not in _OURS}
        if words.pop("strength", 1.0) != 1.0:
            raise GeneratorError(
                f"{self._name} starts from noise alone, and the recipe of {cell(recipe)} sets `denoise` to "
                f"{recipe.denoise}; leave it out of the recipe"
            )
        for parameter in words:
            self._need(parameter, recipe)
        return {**words, **self._size(recipe, words)}

    def _size(self, recipe: Recipe, words: Mapping[str, Any]) -> dict[str, int]:
        """Both sides, where one is asked for: with one alone, many pipelines take their own size for both."""
        asked = {side for side in ("width", "height") if side in words}
        if not asked:
            return {}
        scale = getattr(self._pipeline, "vae_scale_factor", 1)
        sides = {}
        for side in ("width", "height"):
            own = self._own_side(side)
            if side not in asked and own is None:
                raise GeneratorError(
                    f"the recipe of {cell(recipe)} sets `{asked.pop()}` alone, and {self._kind} does not say its own "
                    f"{side}; set both"
                )
            sides[side] = int(words.get(side) or own or 0)
            if self._pixel_fold and side in asked:
                # The pipeline counts in pixels of the VAE that this model does without.
                sides[side] = sides[side] // self._pixel_fold * scale
        return sides

    def _own_side(self, side: str) -> int | None:
        """In pixels as the pipeline counts them."""
        denoiser = getattr(self._pipeline, "unet", None) or getattr(
            self._pipeline, "transformer", None
        )
        size = getattr(self._pipeline, "default_sample_size", None)
        if size is None:
            size = getattr(getattr(denoiser, "config", None), "sample_size", None)
        if isinstance(size, (tuple, list)) and len(size) == 2:
            size = size[side == "width"]
        scale = getattr(self._pipeline, "vae_scale_factor", None)
        return size * scale if isinstance(size, int) and isinstance(scale, int) else None

    def _need(self, parameter: str, recipe: Recipe) -> None:
        if parameter not in self._parameters:
            raise GeneratorError(
                f"{self._kind} takes no `{parameter}`, and the recipe of {cell(recipe)} sets it; leave it out of the "
                "recipe, or choose another model"
            )

    def _negatives(self, recipes: Sequence[Recipe]) -> dict[str, list[str]]:
        first = recipes[0]
        if first.negative_prompt is None:
            return {}
        self._need("negative_prompt", first)
        true_guidance = self._extra.get(
            "true_cfg_scale", _default(self._parameters, "true_cfg_scale")
        )
        if first.negative_prompt and true_guidance is not None and true_guidance <= 1:
            raise GeneratorError(
                f"{self._kind} ignores a negative prompt while true_cfg_scale is {true_guidance}, and {cell(first)} "
                "has one; set true_cfg_scale above 1 under [options.call], or leave the negative prompt out"
            )
        return {"negative_prompt": [recipe.negative_prompt or "" for recipe in recipes]}

    def _register(self) -> memory.Handle:
        parts = [part for part in self._pipeline.components.values() if hasattr(part, "parameters")]
        size = sum(
            tensor.numel() * tensor.element_size()
            for part in parts
            for tensor in itertools.chain(part.parameters(), part.buffers())
        )
        self._pipeline.to("cpu")
        return memory.register(
            f"{self._name} (diffusers)",
            int(size * _WORK_SPACE),
            lambda: self._pipeline.to(self._device),
            lambda: self._pipeline.to("cpu"),
        )


def _alike(recipe: Recipe) -> tuple[dict[str, Any], bool]:
    """What must be equal for one call. No negative prompt is another thing than an empty one: SDXL zeroes it."""
    return settings(recipe), recipe.negative_prompt is None


def _default(parameters: Mapping[str, inspect.Parameter], name: str) -> Any:
    found = parameters.get(name)
    return None if found is None or found.default is inspect.Parameter.empty else found.default
