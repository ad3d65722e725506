"""A Stable Diffusion pipeline exported to ONNX, in the layout that optimum writes (``text_encoder/model.onnx`` …).

optimum's own pipeline would need torch, and pins an older transformers; this needs ONNX Runtime and numpy.
https://huggingface.co/docs/optimum-onnx/onnx/usage_guides/export_a_model
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from difftest.errors import GeneratorError
from difftest.generators import recipe_names, weights
from difftest.generators.calls import cell, settings
from difftest.generators.diffusers_pixels import fold_of, to_bytes
from difftest.generators.onnx_text import ClipTokenizer
from difftest.generators.samplers import Latents, sampler
from difftest.onnx_runtime import Runtime

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from difftest.generators.protocol import Image
    from difftest.recipe import Recipe

Array = npt.NDArray[Any]
#: What diffusers takes where nobody says: steps and guidance, by pipeline.
_DEFAULTS = {"StableDiffusionPipeline": (50, 7.5), "StableDiffusionXLPipeline": (50, 5.0)}
#: The names of their classes in diffusers' own and optimum's exports.
_PREFIXES = ("ORT", "Onnx")
_READ = (".json", ".onnx", ".onnx_data", ".pb", ".data", ".safetensors", ".txt")
_DTYPES = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


class Part:
    """One graph of the folder, with its configuration."""

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        self._file, self._runtime = folder / "model.onnx", runtime
        self.name, self.config = folder.name, read_json(folder / "config.json")

    @functools.cached_property
    def _session(self) -> InferenceSession:
        return self._runtime.session(self._file)

    @functools.cached_property
    def inputs(self) -> dict[str, Any]:
        return {given.name: given for given in self._session.get_inputs()}

    def __call__(self, **given: Array) -> dict[str, npt.NDArray[np.float32]]:
        """Its outputs by name, as ``float32``; every input in the type that the graph has for it."""
        for name in self.inputs:
            if name not in given:
                raise GeneratorError(
                    f"{self.name}/model.onnx has an input `{name}`, which the generator `onnx` does not know; the "
                    "generator `diffusers` takes the model as it was before it was exported"
                )
        feed = {name: given[name].astype(_DTYPES[put.type]) for name, put in self.inputs.items()}
        names = [out.name for out in self._session.get_outputs()]
        outputs = self._session.run(names, feed)
        return {name: np.asarray(out, np.float32) for name, out in zip(names, outputs, strict=True)}


class OnnxFolder:
    """``generate(recipes)`` of an exported folder. The noise of an image is drawn from its seed alone, by numpy."""

    #: Where nobody says: its threads are busy with one.
    batch_size = 1

    def __init__(self, folder: Path, runtime: Runtime) -> None:
        self._folder, self._runtime = folder, runtime
        index = read_json(folder / "model_index.json")
        kind = str(index.get("_class_name", ""))
        self._kind = next((kind.removeprefix(p) for p in _PREFIXES if kind.startswith(p)), kind)
        if self._kind not in _DEFAULTS:
            raise GeneratorError(
                f"the model {folder} is a {kind or 'folder without a model_index.json'}; the generator `onnx` runs "
                f"exported {' and '.join(_DEFAULTS)}, `diffusers` any other that was not exported"
            )
        self._tokenizers = [ClipTokenizer(place) for place in self._all("tokenizer")]
        self._encoders = [Part(place, runtime) for place in self._all("text_encoder")]
        if not self._encoders or len(self._tokenizers) != len(self._encoders):
            raise GeneratorError(
                f"{folder} has {len(self._tokenizers)} tokenizers and {len(self._encoders)} text encoders; one for "
                "each was expected"
            )
        self._unet = Part(self._need("unet"), runtime)
        self._decoder = self._vae()
        self._scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
        self._zeroes = bool(index.get("force_zeros_for_empty_prompt", False))
        self._steps, self._guidance = _DEFAULTS[self._kind]

    def _all(self, name: str) -> list[Path]:
        places = [self._folder / name, self._folder / f"{name}_2"]
        return [place for place in places if place.is_dir()]

    def _need(self, name: str) -> Path:
        if not (self._folder / name / "model.onnx").is_file():
            raise GeneratorError(
                f"{self._folder} has no {name}/model.onnx: it is no exported pipeline"
            )
        return self._folder / name

    def _vae(self) -> Part | None:
        """``None`` for a model whose latents are pixels, folded into channels."""
        if (self._folder / "vae_decoder").is_dir():
            return Part(self._need("vae_decoder"), self._runtime)
        if not fold_of(self._channels):
            self._need("vae_decoder")
        return None

    @property
    def _channels(self) -> int:
        return int(self._unet.config.get("in_channels", 4))

    @property
    def _scale(self) -> int:
        """Pixels a side for one of the latents."""
        if self._decoder is None:
            return fold_of(self._channels)
        blocks = self._decoder.config.get("block_out_channels", [0] * 4)
        return int(2 ** (len(blocks) - 1))

    @functools.cached_property
    def fingerprint(self) -> str:
        files = [
            file
            for file in self._folder.rglob("*")
            if file.is_file()
            and (file.suffix in _READ or "model.onnx" in file.name)
            and not any(part.startswith(".") for part in file.relative_to(self._folder).parts)
        ]
        moved = [self._runtime.provider, self._runtime.graph_optimization]
        return weights.of_json([weights.of_files(self._folder, files), moved])

    def describe(self) -> dict[str, Any]:
        """What a run records about how its images were made."""
        return {
            "backend": "onnxruntime",
            "pipeline": self._kind,
            "scheduler": self._scheduler.get("_class_name"),
            "device": self._runtime.provider,
            "threads": self._runtime.threads,
            "inter_op_threads": self._runtime.inter_op_threads,
            "graph_optimization": self._runtime.graph_optimization,
        }

    def generate(self, recipes: Sequence[Recipe]) -> Iterator[Image | Exception]:
        """One item for each; recipes of equal settings are made together."""
        for _, group in itertools.groupby(recipes, key=_alike):
            yield from self._batch(list(group))

    def _batch(self, recipes: Sequence[Recipe]) -> Iterator[Image | Exception]:
        first = recipes[0]
        said = recipe_names.of_diffusers(first)
        self._refuse(first)
        steps = self._steps if first.steps is None else first.steps
        guidance = self._guidance if first.guidance is None else first.guidance
        side = int(self._unet.config.get("sample_size", 64)) * self._scale
        height, width = first.height or side, first.width or side
        wanted = said["scheduler"] or {"class": self._scheduler.get("_class_name"), "config": {}}
        walk = sampler(wanted["class"], {**self._scheduler, **wanted["config"]}, steps)
        texts = self._embedded(recipes, guided=guidance > 1)
        if len(self._encoders) > 1:
            size = [height, width, 0, 0, height, width]
            texts["time_ids"] = np.tile(np.array(size, np.float32), (len(texts["text_embeds"]), 1))
        draws = [np.random.Generator(np.random.PCG64(recipe.seed)) for recipe in recipes]
        shape = (self._channels, height // self._scale, width // self._scale)

        def noise() -> Latents:
            return np.stack([draw.standard_normal(shape, np.float32) for draw in draws])

        latents = noise() * np.float32(walk.start)
        for index, t in enumerate(walk.timesteps):
            seen = walk.scaled(index, latents)
            output = self._denoised(seen, t, texts, guidance)
            latents = walk.step(index, output, latents, noise)
        for image, recipe in zip(self._decoded(latents), recipes, strict=True):
            bad = int((~np.isfinite(image)).sum())
            if bad:
                yield GeneratorError(
                    f"the image of {self._folder.name} for {cell(recipe)} has {bad} values that are NaN or infinite of "
                    f"{image.size}; a graph of half precision overflows easily: export it in float32"
                )
            else:
                yield to_bytes(image)

    def _refuse(self, recipe: Recipe) -> None:
        """What an exported graph cannot do."""
        fixed = {"loras": (), "clip_skip": 1, "denoise": 1.0}
        for field, nothing in fixed.items():
            value = getattr(recipe, field)
            if value not in (None, nothing):
                raise GeneratorError(
                    f"the recipe of {cell(recipe)} sets `{field}`, which an exported graph cannot take; leave it out, "
                    "export the model with it, or choose the generator `diffusers`"
                )
        for side in ("width", "height"):
            value = getattr(recipe, side)
            if value is not None and (value < self._scale or value % self._scale):
                raise GeneratorError(
                    f"the recipe's `{side}` is {value}; for this model it must be a multiple of {self._scale}"
                )

    def _embedded(self, recipes: Sequence[Recipe], *, guided: bool) -> dict[str, Array]:
        """What the model reads of the prompts; with guidance, of the negative ones before them."""
        texts = self._encoded([recipe.prompt for recipe in recipes])
        if not guided:
            return texts
        negatives = [recipe.negative_prompt or "" for recipe in recipes]
        zeroed = recipes[0].negative_prompt is None and self._zeroes
        without = self._encoded(negatives)
        return {
            name: np.concatenate([np.zeros_like(value) if zeroed else without[name], value])
            for name, value in texts.items()
        }

    def _encoded(self, prompts: Sequence[str]) -> dict[str, Array]:
        outputs = [
            encoder(input_ids=tokenizer(prompts))
            for tokenizer, encoder in zip(self._tokenizers, self._encoders, strict=True)
        ]
        if len(outputs) == 1:
            return {"encoder_hidden_states": outputs[0]["last_hidden_state"]}
        # SDXL reads the layer before the last of both, and the second's pooled text (arXiv 2307.01952).
        try:
            hidden = [out[_before_last(out)] for out in outputs]
            pooled = outputs[1]["text_embeds"]
        except KeyError as missing:
            raise GeneratorError(
                f"the text encoders of {self._folder} were exported without {missing}; export the pipeline again with "
                "optimum"
            ) from missing
        return {"encoder_hidden_states": np.concatenate(hidden, axis=-1), "text_embeds": pooled}

    def _denoised(
        self, seen: Latents, t: float, texts: Mapping[str, Array], guidance: float
    ) -> Latents:
        """The model's prediction under classifier-free guidance (arXiv 2207.12598)."""
        doubled = len(texts["encoder_hidden_states"]) // len(seen)
        batch = np.concatenate([seen] * doubled)
        shape = self._unet.inputs["timestep"].shape
        # Some exports take one timestep for all images, others one for each.
        times = np.full([1 if size in (1, "steps") else len(batch) for size in shape], t)
        outputs = self._unet(sample=batch, timestep=times, **self._known(texts))
        output = next(iter(outputs.values()))
        if doubled == 1:
            return output
        without, given = output[: len(seen)], output[len(seen) :]
        guided: Latents = without + np.float32(guidance) * (given - without)
        return guided

    def _known(self, texts: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value for name, value in texts.items() if name in self._unet.inputs}

    def _decoded(self, latents: Latents) -> Array:
        """Images from 0 to 1, ``(N, H, W, 3)``."""
        if self._decoder is None:
            fold, (count, channels, height, width) = self._scale, latents.shape
            blocks = latents.reshape(count, channels // fold**2, fold, fold, height, width)
            pixels = blocks.transpose(0, 1, 4, 2, 5, 3)
            images = pixels.reshape(count, -1, height * fold, width * fold)
        else:
            config = self._decoder.config
            shift = config.get("shift_factor") or 0.0
            unscaled = latents / np.float32(config.get("scaling_factor", 0.18215)) + np.float32(
                shift
            )
            # One at a time: the decoder needs more memory than all the rest.
            parts = [self._decoder(latent_sample=one[None]) for one in unscaled]
            images = np.concatenate([next(iter(part.values())) for part in parts])
        scaled: Array = np.clip(images / 2 + 0.5, 0, 1)
        images_last: Array = scaled.transpose(0, 2, 3, 1)
        return images_last


def _alike(recipe: Recipe) -> tuple[dict[str, Any], bool]:
    return settings(recipe), recipe.negative_prompt is None


def _before_last(outputs: Mapping[str, Any]) -> str:
    """``hidden_states.11`` of ``hidden_states.0`` to ``hidden_states.12``."""
    layers = [name for name in outputs if name.startswith("hidden_states.")]
    if len(layers) < 2:
        raise KeyError("hidden_states")
    return sorted(layers, key=lambda name: int(name.rpartition(".")[2]))[-2]


def read_json(file: Path) -> dict[str, Any]:
    """The table in the file; an empty one where there is no file."""
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as broken:
        raise GeneratorError(f"{file} is no JSON: {broken}") from broken
