"""``onnx``: the embedded model, and exported diffusers folders, run by ONNX Runtime."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difftest.errors import DifftestError, GeneratorError, MissingDependencyError
from difftest.generators import Options, options, recipe_names
from difftest.generators.adapter import Adapter
from difftest.generators.calls import settings
from difftest.nearest import suggestion
from difftest.onnx_runtime import PROVIDERS, GraphOptimization, Runtime
from difftest.recipe import Recipe

if TYPE_CHECKING:
    from difftest.generators.protocol import Image
    from difftest.shapes.pipeline import ShapesPipeline

NAME = "onnx"
MODELS = ("shapes",)
#: Where nobody says, as the pipeline has it by itself.
_BATCH_SIZE = 8
#: The engine has cut the batches already.
_ANY = 1 << 20
#: What a device is called elsewhere.
_ALSO = {"mps": "coreml", "gpu": "cuda"}


@dataclass(frozen=True)
class OnnxOptions:
    """The table ``[options]``."""

    #: ``cpu``, ``cuda``, ``tensorrt`` or ``coreml``, or ONNX Runtime's own name; unless given, the device says it.
    provider: str | None = None
    graph_optimization: GraphOptimization = "all"
    #: Within an operator. One thread gives equal bytes wherever it runs; unless given, the embedded model takes one and
    #: an exported folder as many as there are cores.
    threads: int | None = None
    #: Between operators.
    inter_op_threads: int = 1


def load(asked: Options) -> Adapter:
    """The embedded model of this name, or the exported folder. Raises ``GeneratorError`` with what there is."""
    chosen = options.read(OnnxOptions, asked.options, generator=NAME)
    for name in ("threads", "inter_op_threads"):
        value = getattr(chosen, name)
        if value is not None and value < 1:
            raise GeneratorError(
                f"the option `{name}` of the generator `{NAME}` is {value}; an integer from 1 was expected"
            )
    folder = Path(asked.root, asked.model).expanduser()
    if asked.model not in MODELS and not folder.is_dir():
        raise GeneratorError(
            f"there is no embedded model `{asked.model}`, nor a folder of that name; "
            f"{suggestion(asked.model, MODELS)} (for a model of your own, export it to a diffusers ONNX folder, or "
            'name a factory in this repository: generator = "module:factory")'
        )
    try:
        runtime = _runtime(chosen, asked.device, embedded=asked.model in MODELS)
        target: Any
        if asked.model in MODELS:
            from difftest.shapes.pipeline import ShapesPipeline

            target = EmbeddedModel(ShapesPipeline(batch_size=_ANY, runtime=runtime))
        else:
            from difftest.generators.onnx_folder import OnnxFolder

            target = OnnxFolder(folder, runtime)
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            missing.name or "onnxruntime", f"the model {asked.model}"
        ) from missing
    except DifftestError:
        raise
    except (OSError, ValueError) as broken:
        raise GeneratorError(f"the model {asked.model} did not load: {broken}") from broken
    return Adapter(NAME, target, device=asked.device)


def _runtime(chosen: OnnxOptions, device: str, *, embedded: bool) -> Runtime:
    import onnxruntime

    kind, _, card = device.partition(":")
    wanted = chosen.provider or _ALSO.get(kind, kind)
    provider = PROVIDERS.get(wanted.lower(), wanted)
    available = onnxruntime.get_available_providers()
    if provider not in available:
        by_name = {full: short for short, full in PROVIDERS.items()}
        known = [*PROVIDERS, *(name for name in available if name not in by_name)]
        what = f"the provider is `{wanted}`" if chosen.provider else f"the device is `{device}`"
        if provider not in {*PROVIDERS.values(), *onnxruntime.get_all_providers()}:
            raise GeneratorError(
                f"{what}, which ONNX Runtime does not know; {suggestion(wanted, known)}"
            )
        here = ", ".join(by_name.get(name, name) for name in available)
        raise GeneratorError(
            f"{what}, but this onnxruntime has no {provider}; it has {here}. Install the onnxruntime that has it "
            "(onnxruntime-gpu for cuda and tensorrt), or choose `cpu`"
        )
    if card and not card.isdecimal():
        raise GeneratorError(f"the device is `{device}`; a card is named by its number: `cuda:0`")
    threads = chosen.threads
    if threads is None:
        from difftest.generators import environment

        threads = 1 if embedded else environment.cores()
    return Runtime(
        provider=provider,
        threads=threads,
        inter_op_threads=chosen.inter_op_threads,
        graph_optimization=chosen.graph_optimization,
        device_id=int(card or 0),
    )


class EmbeddedModel:
    """The model of the shapes world: its size and its sampler are fixed, its steps and guidance are not."""

    def __init__(self, pipeline: ShapesPipeline) -> None:
        self._pipeline = pipeline
        self.batch_size = _BATCH_SIZE
        self.fingerprint = pipeline.fingerprint
        self.description = pipeline.description

    def generate(self, recipes: Sequence[Recipe]) -> Iterator[Image]:
        """One image for each; recipes of equal settings are made together."""
        for _, group in itertools.groupby(recipes, key=settings):
            alike = list(group)
            named = recipe_names.of_embedded(self._without_what_is_so(alike[0]))
            yield from self._pipeline.generate(
                [recipe.prompt for recipe in alike],
                [recipe.seed for recipe in alike],
                [recipe.negative_prompt for recipe in alike],
                steps=named.get("steps"),
                guidance=named.get("guidance"),
            )

    def _without_what_is_so(self, recipe: Recipe) -> Recipe:
        """To ask for the size and the sampler that this model has is no error."""
        fixed: dict[str, Any] = {
            "width": self._pipeline.width,
            "height": self._pipeline.height,
            "scheduler": "ddim",
            "clip_skip": 1,
            "denoise": 1.0,
        }
        asked: dict[str, Any] = {
            field: None for field, value in fixed.items() if getattr(recipe, field) == value
        }
        return dataclasses.replace(recipe, **asked)
