"""DreamSim on a small transformer in place of ViT-B/32, in files laid out as the published archive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difftest import MetricError, metrics

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

WIDTH, EMBEDDED = 32, 16
ADAPTER = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.1,
    "bias": "none",
    "target_modules": ["qkv"],
}


@pytest.fixture
def archive(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the trunk and the adapter of a small network, and has the package build that one."""

    def write(change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
        import torch
        from dreamsim.feature_extraction import load_open_clip_as_dino
        from dreamsim.feature_extraction.vision_transformer import VisionTransformer
        from safetensors.torch import save_file

        def small(patch_size: int) -> Any:
            return VisionTransformer(
                patch_size=patch_size, embed_dim=WIDTH, depth=12, num_heads=2, qkv_bias=True
            )

        monkeypatch.setattr(load_open_clip_as_dino, "vit_base", small)
        torch.manual_seed(0)
        trunk = small(32)
        trunk.pos_drop = torch.nn.LayerNorm(WIDTH)
        state = {**trunk.state_dict(), "proj": torch.randn(WIDTH, EMBEDDED)}
        folder = weights_dir / "dreamsim"
        lora = folder / "open_clip_vitb32_single_lora"
        lora.mkdir(parents=True)
        torch.save({"state_dict": state}, folder / "open_clip_vitb32_pretrain.pth.tar")
        prefix = "base_model.model.extractor_list.0.model.blocks"
        adapter = {}
        for block in range(12):
            adapter[f"{prefix}.{block}.attn.qkv.lora_A.weight"] = torch.randn(4, WIDTH) * 0.2
            adapter[f"{prefix}.{block}.attn.qkv.lora_B.weight"] = torch.randn(3 * WIDTH, 4) * 0.2
        if change is not None:
            change(adapter)
        save_file(adapter, lora / "adapter_model.safetensors")
        (lora / "adapter_config.json").write_text(json.dumps(ADAPTER))
        return folder

    return write


def test_distances_are_the_packages_own(archive: Any, images: Any) -> None:
    import torch
    from dreamsim import dreamsim
    from PIL import Image

    folder = archive()
    one, other = images(3, 60, 80), images(3, 60, 80, seed=1)
    network, prepare = dreamsim(
        True, device="cpu", cache_dir=str(folder), dreamsim_type="open_clip_vitb32"
    )
    with torch.no_grad():
        expected = [
            float(network(prepare(Image.fromarray(a)), prepare(Image.fromarray(b))))
            for a, b in zip(one, other, strict=True)
        ]
    metric = metrics.load("dreamsim", device="cpu")
    assert metric.compute_batch(one, ["p"] * 3, other) == pytest.approx(expected, abs=1e-5)
    assert min(expected) > 1e-4
    assert metric.compute_batch(one, ["p"] * 3, one) == pytest.approx([0.0] * 3, abs=1e-6)
    assert metric.compute_batch(one[:1], ["p"], other[:1]) == pytest.approx(expected[:1], abs=1e-5)
    assert metric.weights is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: state.pop(
                "base_model.model.extractor_list.0.model.blocks.3.attn.qkv.lora_B.weight"
            ),
            "does not hold every tensor of the network's adapter",
        ),
        (
            lambda state: state.update(
                {"base_model.model.mlp.lora_A.weight": next(iter(state.values())).clone()}
            ),
            "`base_model.model.mlp.lora_A.weight` of .* did not reach the network",
        ),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(archive: Any, change: Any, said: str) -> None:
    archive(change)
    with pytest.raises(MetricError, match=said):
        metrics.load("dreamsim", device="cpu")


def test_a_trunk_that_is_cut_short_is_refused(archive: Any) -> None:
    file = archive() / "open_clip_vitb32_pretrain.pth.tar"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(MetricError, match=r"cannot be loaded .* unpack https://github\.com"):
        metrics.load("dreamsim", device="cpu")


def test_an_archive_that_is_not_there_is_named_with_its_address(weights_dir: Path) -> None:
    with pytest.raises(
        MetricError, match=r"download https://.*\.zip and unpack it into .*/dreamsim"
    ):
        metrics.load("dreamsim", device="cpu")
