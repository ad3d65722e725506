"""ImageReward on a small network: the rewards that its authors' own code gave for the same weights."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difftest import MetricError, metrics

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

_FILE = Path(__file__).parent / "reference" / "image_reward.py"
_spec = importlib.util.spec_from_file_location("image_reward_reference", _FILE)
assert _spec is not None
assert _spec.loader is not None
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)
RECORDED = json.loads(reference.FILE.read_text(encoding="utf-8"))
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "blue", "circle", "cross")


def published(folder: Path, change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
    """The files as the authors publish them, the network being the small one."""
    import torch

    state = reference.drawn(
        {n: s for n, s in RECORDED["shapes"].items() if not n.endswith("position_ids")}
    )
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(40)[None]
    if change is not None:
        change(state)
    home = folder / "THUDM" / "ImageReward"
    home.mkdir(parents=True)
    torch.save(state, home / "ImageReward.pt")
    (home / "med_config.json").write_text(json.dumps({**RECORDED["text"], "encoder_width": 768}))
    tokenizer = folder / "google-bert" / "bert-base-uncased"
    tokenizer.mkdir(parents=True)
    (tokenizer / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    (tokenizer / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    return home


def test_the_raw_rewards_are_those_of_image_rewards_own_code(weights_dir: Path) -> None:
    import torch

    from difftest.metrics import blip

    home = published(weights_dir)
    network = blip.load("image_reward", home / "med_config.json", home / "ImageReward.pt")
    with torch.inference_mode():
        rewards = network(*reference.inputs())
    assert rewards.tolist() == pytest.approx(RECORDED["rewards"], rel=1e-4)


def test_a_score_is_the_standardised_reward_of_image_and_prompt(
    weights_dir: Path, images: Any
) -> None:
    import torch
    from torchvision import transforms

    home = published(weights_dir)
    from difftest.metrics import blip

    prompts, made = ["a red circle", "a blue cross"], images(2)
    metric = metrics.load("image_reward", device="cpu")
    scores = metric.compute_batch(made, prompts, [None] * 2)

    prepare = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.Resize(32, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize(
                (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
            ),
        ]
    )
    ids = torch.zeros((2, 35), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        words = ["[CLS]", *prompt.split(), "[SEP]"]
        ids[row, : len(words)] = torch.tensor([WORDS.index(word) for word in words])
    network = blip.load("image_reward", home / "med_config.json", home / "ImageReward.pt")
    with torch.inference_mode():
        raw = network(ids, (ids > 0).long(), torch.stack([prepare(image) for image in made]))
    assert scores == pytest.approx([(float(r) - MEAN) / DEVIATION for r in raw], abs=1e-4)
    assert scores[0] != pytest.approx(metric.compute_batch(made[:1], prompts[1:], [None])[0])
    assert metric.weights is not None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: state.pop("blip.text_encoder.encoder.layer.1.output.dense.bias"),
            r"lacks `text\.encoder\.layer\.1\.output\.dense\.bias`",
        ),
        (
            lambda state: state.update({"blip.adapter": state["mlp.layers.0.bias"]}),
            r"has `blip\.adapter`",
        ),
        (
            lambda state: state.update(
                {"mlp.layers.7.weight": state["mlp.layers.7.weight"][:, :8]}
            ),
            r"`mlp\.layers\.7\.weight` has the shape \(1, 8\); \(1, 16\) was expected",
        ),
        (lambda state: state.pop("blip.visual_encoder.pos_embed"), "do not describe"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(weights_dir: Path, change: Any, said: str) -> None:
    published(weights_dir, change)
    with pytest.raises(MetricError, match=f"image_reward: .*{said}"):
        metrics.load("image_reward", device="cpu")
