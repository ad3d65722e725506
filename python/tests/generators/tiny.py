"""Pipelines of diffusers small enough to be made on the spot: real architectures, weights of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from difftest.shapes.diffusers_folder import write_diffusers_folder

#: Pixels a side.
SIZE = 16


def tokenizer(folder: Path) -> Any:
    """A tokenizer of 28 words."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(
        write_diffusers_folder(folder / "words") / "tokenizer"
    )


def _text_encoder(words: Any, *, projection: bool = False) -> Any:
    import transformers

    kind = transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=37,
        projection_dim=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=16,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    return kind(config).eval()


def _vae(**config: Any) -> Any:
    import diffusers

    return diffusers.AutoencoderKL(
        block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=8,
        **config,
    ).eval()


def _unet(**config: Any) -> Any:
    import diffusers

    return diffusers.UNet2DConditionModel(
        **{
            "block_out_channels": (8, 16),
            "layers_per_block": 1,
            "sample_size": SIZE // 2,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "cross_attention_dim": 32,
            "norm_num_groups": 4,
            "attention_head_dim": 2,
            **config,
        }
    ).eval()


_BETAS: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def stable_diffusion(folder: Path, **others: Any) -> Any:
    """A ``StableDiffusionPipeline``: the same weights at every call."""
    import diffusers
    import torch

    torch.manual_seed(1)
    words = tokenizer(folder)
    return diffusers.StableDiffusionPipeline(
        **{
            "vae": _vae(),
            "text_encoder": _text_encoder(words),
            "tokenizer": words,
            "unet": _unet(),
            "scheduler": diffusers.PNDMScheduler(skip_prk_steps=True, **_BETAS),
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
            **others,
        }
    )


def stable_diffusion_xl(folder: Path) -> Any:
    """A ``StableDiffusionXLPipeline``, with two text encoders."""
    import diffusers
    import torch

    torch.manual_seed(2)
    words = tokenizer(folder)
    unet = _unet(
        cross_attention_dim=64,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(words),
        text_encoder_2=_text_encoder(words, projection=True),
        tokenizer=words,
        tokenizer_2=words,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="leading", **_BETAS),
        add_watermarker=False,
    )


def stable_diffusion_3(folder: Path) -> Any:
    """A ``StableDiffusion3Pipeline``: rectified flow, without its T5."""
    import diffusers
    import torch

    torch.manual_seed(3)
    words = tokenizer(folder)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIZE // 2,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=64,
    )
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=_vae(
            shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False
        ),
        text_encoder=_text_encoder(words, projection=True),
        tokenizer=words,
        text_encoder_2=_text_encoder(words, projection=True),
        tokenizer_2=words,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def lora(pipeline: Any, file: Path, *, seed: int = 7) -> Path:
    """A LoRA of rank 2 for the pipeline's denoiser, written as diffusers writes one."""
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    denoiser = pipeline.unet
    denoiser.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"]), "made")
    generator = torch.Generator().manual_seed(seed)
    state = {
        key: torch.randn(tensor.shape, generator=generator)
        for key, tensor in get_peft_model_state_dict(denoiser, adapter_name="made").items()
    }
    pipeline.save_lora_weights(file.parent, unet_lora_layers=state, weight_name=file.name)
    denoiser.delete_adapters("made")
    return file
