"""Tiny pipelines of diffusers as optimum exports them: its folders, its names of inputs and outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def export(pipeline: Any, folder: Path) -> Path:
    """Write the pipeline's networks as ONNX graphs, beside its tokenizers, scheduler and configurations."""
    import torch

    batch = torch.export.Dim("batch", min=1, max=64)
    pipeline.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()

    def write(name: str, module: Any, example: dict[str, Any], outputs: list[str]) -> None:
        (folder / name).mkdir(exist_ok=True)
        free = {key: ({0: batch} if value.dim() else None) for key, value in example.items()}
        with torch.no_grad():
            torch.onnx.export(
                module.eval(),
                tuple(example.values()),
                folder / name / "model.onnx",
                input_names=list(example),
                output_names=outputs,
                dynamic_shapes=tuple(free.values()),
                dynamo=True,
                external_data=False,
                verbose=False,
            )

    wide = hasattr(pipeline, "text_encoder_2")
    ids = torch.ones((2, 16), dtype=torch.int64)
    hidden, pooled = pipeline.unet.config.cross_attention_dim, 32
    for name in ("text_encoder", "text_encoder_2"):
        encoder = getattr(pipeline, name, None)
        if encoder is None:
            continue
        projected = hasattr(encoder, "text_projection")
        first = "text_embeds" if projected else "last_hidden_state"
        layers = [f"hidden_states.{index}" for index in range(3)] if wide else []
        write(
            name,
            text_module(encoder, first, layers=bool(layers)),
            {"input_ids": ids},
            [first, *layers],
        )
    size = pipeline.unet.config.sample_size
    example = {
        "sample": torch.randn(2, 4, size, size),
        "timestep": torch.tensor(10, dtype=torch.int64),
        "encoder_hidden_states": torch.randn(2, 16, hidden),
    }
    if wide:
        example |= {"text_embeds": torch.randn(2, pooled), "time_ids": torch.randn(2, 6)}
    write("unet", unet_module(pipeline.unet, wide=wide), example, ["out_sample"])
    vae = folder / "vae"
    config = json.loads((vae / "config.json").read_text())
    write(
        "vae_decoder",
        decoder_module(pipeline.vae),
        {"latent_sample": torch.randn(2, 4, size, size)},
        ["sample"],
    )
    (folder / "vae_decoder" / "config.json").write_text(json.dumps(config))
    return folder


def _module() -> Any:
    import torch

    return torch.nn.Module


def text_module(encoder: Any, first: str, *, layers: bool) -> Any:
    class Text(_module()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any) -> Any:
            found = self.encoder(input_ids, output_hidden_states=layers)
            return (getattr(found, first), *(found.hidden_states if layers else ()))

    return Text()


def unet_module(unet: Any, *, wide: bool) -> Any:
    class Plain(_module()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.unet = unet

        def forward(self, sample: Any, timestep: Any, encoder_hidden_states: Any) -> Any:
            return self.unet(sample, timestep, encoder_hidden_states).sample

    class Wide(Plain):
        def forward(
            self,
            sample: Any,
            timestep: Any,
            encoder_hidden_states: Any,
            text_embeds: Any,
            time_ids: Any,
        ) -> Any:
            added = {"text_embeds": text_embeds, "time_ids": time_ids}
            return self.unet(
                sample, timestep, encoder_hidden_states, added_cond_kwargs=added
            ).sample

    return Wide() if wide else Plain()


def decoder_module(vae: Any) -> Any:
    class Decoder(_module()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.vae = vae

        def forward(self, latent_sample: Any) -> Any:
            return self.vae.decode(latent_sample).sample

    return Decoder()
