"""How ONNX Runtime runs a graph: on which execution provider, with how many threads, optimised how far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: By the name that people have for it. https://onnxruntime.ai/docs/execution-providers/
PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
CPU = PROVIDERS["cpu"]
#: Those that choose among several cards by a number.
_WITH_CARDS = frozenset({PROVIDERS["cuda"], PROVIDERS["tensorrt"]})
#: GraphOptimizationLevel, by the words of ONNX Runtime's documentation.
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
GraphOptimization = Literal["disabled", "basic", "extended", "all"]
_ERRORS_ONLY = 3


@dataclass(frozen=True)
class Runtime:
    """Everything about a session that could move a bit."""

    provider: str = CPU
    #: Within an operator; more than one sums in another order.
    threads: int = 1
    #: Between operators.
    inter_op_threads: int = 1
    graph_optimization: GraphOptimization = "all"
    #: Of several cards, which one.
    device_id: int = 0

    def session(self, path: Path) -> InferenceSession:
        """Raises ``ValueError`` where the provider is missing, or does not work and ONNX Runtime would silently take
        the CPU instead.
        """
        import onnxruntime

        available = onnxruntime.get_available_providers()
        if self.provider not in available:
            raise ValueError(
                f"onnxruntime has no provider {self.provider!r}; it has {', '.join(available)}"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = self.inter_op_threads
        if self.inter_op_threads > 1:
            options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        options.graph_optimization_level = getattr(
            onnxruntime.GraphOptimizationLevel, _LEVELS[self.graph_optimization]
        )
        options.log_severity_level = _ERRORS_ONLY
        chosen: list[Any] = [self.provider]
        if self.provider in _WITH_CARDS:
            chosen = [(self.provider, {"device_id": self.device_id})]
        if self.provider != CPU:
            chosen.append(CPU)  # for the operators that the provider does not have
        session = onnxruntime.InferenceSession(str(path), options, providers=chosen)
        if self.provider not in session.get_providers():
            raise ValueError(
                f"onnxruntime could not start {self.provider} for {path.name} (its libraries or its device are "
                f"missing) and would have run on {', '.join(session.get_providers())}"
            )
        return session
