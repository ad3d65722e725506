"""Torch modules to ONNX graphs whose weights stay in a safetensors file (needs torch and onnx)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from difftest.shapes import safetensors_file

if TYPE_CHECKING:
    import onnx
    import torch

_OPSET = 18
#: The file format version that came with opset 18: onnxruntime 1.17 reads no newer than 9.
_IR_VERSION = 8


def export_graph(
    module: torch.nn.Module,
    example: Sequence[torch.Tensor],
    path: Path,
    *,
    inputs: Sequence[str],
    output: str,
    weights: Path,
    names: Mapping[str, str],
) -> None:
    """Write ``module`` as ``path``, batch dimension free, weights read from the float16 file
    ``weights`` beside it.

    ``names`` maps the module's parameter names to those in ``weights``; each is cast to float32
    once, when the session loads.
    """
    import torch

    batch = torch.export.Dim("batch", min=1, max=4096)
    with torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            tuple(example),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            opset_version=_OPSET,
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f"torch exported nothing for {path.name}")
    model = program.model_proto
    _point_at_weights(model, weights, names)
    _forget_origin(model)
    model.ir_version = _IR_VERSION
    path.write_bytes(model.SerializeToString(deterministic=True))


def _point_at_weights(model: onnx.ModelProto, weights: Path, names: Mapping[str, str]) -> None:
    import onnx

    header, start = safetensors_file.read_header(weights)
    shipped = safetensors_file.read(weights)
    kept, casts = [], []
    for tensor in model.graph.initializer:
        stored = names.get(tensor.name)
        if stored is None:
            kept.append(tensor)
            continue
        array = onnx.numpy_helper.to_array(tensor)
        if array.shape != shipped[stored].shape:
            raise ValueError(f"{tensor.name}: {array.shape} in the graph, {shipped[stored].shape}")
        if not np.array_equal(array, shipped[stored].astype(np.float32)):
            raise ValueError(f"{tensor.name}: the graph and {weights.name} hold different weights")
        first, last = header[stored]["data_offsets"]
        half = onnx.TensorProto(
            name=stored,
            dims=tensor.dims,
            data_type=onnx.TensorProto.FLOAT16,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        for key, value in (
            ("location", weights.name),
            ("offset", str(start + first)),
            ("length", str(last - first)),
        ):
            half.external_data.add(key=key, value=value)
        single = f"{stored}.float32"
        casts.append(onnx.helper.make_node("Cast", [stored], [single], to=onnx.TensorProto.FLOAT))
        kept.append(half)
        _rename(model.graph, tensor.name, single)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    inline = sum(len(tensor.raw_data) for tensor in kept)
    if inline > 100_000:
        raise ValueError(f"{inline} bytes of weights did not move to {weights.name}")


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop what torch notes about the exporting machine: paths of source files, stack traces."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
