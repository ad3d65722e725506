"""The embedded models, run by ONNX Runtime."""

from __future__ import annotations

from difftest.errors import GeneratorError, MissingDependencyError
from difftest.generators.adapter import Adapter
from difftest.nearest import suggestion

NAME = "onnx"
MODELS = ("shapes",)
#: By the name of a device as people say it.
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def load(model: str, device: str) -> Adapter:
    """The embedded model of this name. Raises ``GeneratorError`` with what there is."""
    if model not in MODELS:
        raise GeneratorError(
            f"there is no embedded model `{model}`; {suggestion(model, MODELS)} (for a model "
            'of your own, name a factory in this repository: generator = "module:factory")'
        )
    if device not in PROVIDERS:
        raise GeneratorError(
            f"the device is `{device}`; the embedded models run on {' or '.join(PROVIDERS)}"
        )
    try:
        import onnxruntime

        from difftest.shapes.pipeline import ShapesPipeline
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            missing.name or "onnxruntime", f"the model {model}"
        ) from missing
    provider, available = PROVIDERS[device], onnxruntime.get_available_providers()
    if provider not in available:
        raise GeneratorError(
            f"the device is `{device}`, but this onnxruntime has only {', '.join(available)}; "
            "install onnxruntime-gpu, or choose the device `cpu`"
        )
    try:
        pipeline = ShapesPipeline(provider=provider)
    except (OSError, ValueError) as broken:
        raise GeneratorError(f"the model {model} did not load: {broken}") from broken
    return Adapter(NAME, pipeline, device=device)
