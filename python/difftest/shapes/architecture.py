"""The two networks of the embedded diffusion model, as diffusers and transformers build them (needs
torch).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from difftest.shapes.diffusion import LATENT_CHANNELS, LATENT_SIZE
from difftest.shapes.tokenizer import BOS_ID, EOS_ID, MAX_TOKENS, PAD_ID
from difftest.shapes.world import VOCABULARY

if TYPE_CHECKING:
    import torch

TEXT_WIDTH = 64
_CHANNELS = (48, 80)
_HEAD_WIDTH = 16


def build_text_encoder() -> torch.nn.Module:
    """A one-layer CLIP text model of width 64 with fresh weights."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
    )
    model: torch.nn.Module = CLIPTextModel(config)
    # CLIP's own 0.02 suits 49,408 words; with 28 it leaves every caption nearly the same for
    # thousands of steps.
    with torch.no_grad():
        embeddings: Any = getattr(model, "text_model", model).embeddings
        embeddings.token_embedding.weight.normal_(0, 0.5)
        embeddings.position_embedding.weight.normal_(0, 0.25)
    return model


def build_unet() -> torch.nn.Module:
    """The denoiser with fresh weights: a plain outer level, a cross-attending inner one.

    ``addition_embed_type="text"`` adds the pooled caption to the time embedding; without it colour
    and place hardly learn.
    """
    import diffusers

    build: Any = diffusers.UNet2DConditionModel
    unet: torch.nn.Module = build(
        sample_size=LATENT_SIZE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=_CHANNELS,
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        # In diffusers this argument is the number of heads (huggingface/diffusers#2011).
        attention_head_dim=_CHANNELS[-1] // _HEAD_WIDTH,
        norm_num_groups=8,
        resnet_time_scale_shift="scale_shift",
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
    )
    return unet
