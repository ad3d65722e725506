"""LPIPS with random trunks: the distances that the authors' package computes, and no trunk but the published one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difftest import MetricError, metrics

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

PROMPTS = ["p", "q", "r"]


@pytest.fixture
def trunk(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes an AlexNet under the published name, and lets another digest than the published one pass."""

    def write(change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
        import torch
        import torchvision

        from difftest.metrics import lpips

        monkeypatch.setattr(lpips, "TRUNK", dataclasses.replace(lpips.TRUNK, sha256_prefix=""))
        torch.manual_seed(0)
        state = torchvision.models.alexnet(weights=None).state_dict()
        if change is not None:
            change(state)
        file = weights_dir / lpips.TRUNK.name
        torch.save(state, file)
        return file

    return write


def packages_own(trunk: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package's network as it loads itself, its trunk coming from our file in place of a download."""
    import lpips
    import torch
    from lpips import pretrained_networks

    def alexnet(pretrained: bool) -> Any:
        assert pretrained
        network = torchvision_alexnet(weights=None)
        network.load_state_dict(torch.load(trunk))
        return network

    torchvision_alexnet = pretrained_networks.tv.alexnet
    with monkeypatch.context() as patched:
        patched.setattr(pretrained_networks.tv, "alexnet", alexnet)
        return lpips.LPIPS(net="alex", verbose=False)


def test_distances_are_the_packages_own(
    trunk: Any, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lpips
    import torch

    file = trunk()
    one, other = images(3, 64, 80), images(3, 64, 80, seed=1)
    one[2], other[2] = images(1, 33, 40, seed=2)[0], images(1, 33, 40, seed=3)[0]
    network = packages_own(file, monkeypatch)
    with torch.no_grad():
        expected = [
            float(network(lpips.im2tensor(a), lpips.im2tensor(b)))
            for a, b in zip(one, other, strict=True)
        ]
    metric = metrics.load("lpips", device="cpu")
    assert metric.compute_batch(one, PROMPTS, other) == pytest.approx(expected, abs=1e-5)
    assert min(expected) > 1e-4
    assert metric.compute_batch(one, PROMPTS, one) == [0.0] * 3
    assert (metric.direction, metric.category) == ("lower_is_better", "reference")


def test_a_trunk_that_is_not_the_published_one_is_refused(trunk: Any, monkeypatch: Any) -> None:
    from difftest.metrics import lpips

    published = lpips.TRUNK
    file = trunk()
    monkeypatch.setattr(lpips, "TRUNK", published)
    with pytest.raises(
        MetricError, match=rf"{file.name} is not the published .* begins with \w{{8}}, 7be5be79"
    ):
        metrics.load("lpips", device="cpu")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("features.10.weight"), r"lacks `features\.10\.weight`"),
        (
            lambda state: state.update({"features.0.bias": state["features.0.bias"][:8]}),
            r"`features\.0\.bias` has the shape \(8,\); \(64,\) was expected",
        ),
    ],
)
def test_a_trunk_that_does_not_fit_is_refused(trunk: Any, change: Any, said: str) -> None:
    trunk(change)
    with pytest.raises(MetricError, match=said):
        metrics.load("lpips", device="cpu")


def test_a_trunk_that_is_nowhere_is_named_with_its_address(weights_dir: Path) -> None:
    with pytest.raises(
        MetricError, match=r"download https://download\.pytorch\.org/models/alexnet.* and put it at"
    ):
        metrics.load("lpips", device="cpu")


def test_what_cannot_be_compared_is_named(trunk: Any, images: Any) -> None:
    trunk()
    metric, made = metrics.load("lpips", device="cpu"), images(3)
    for references, said in (
        (
            [made[0], None, made[2]],
            r"image 2 of 3 \(prompt 'q'\) has none; give the test a reference",
        ),
        ([made[0], made[1][:40], made[2]], r"image 2 of 3 .* is 48x48, its reference 48x40"),
    ):
        with pytest.raises(MetricError, match=said) as refused:
            metric.compute_batch(made, PROMPTS, references)
        assert refused.value.index == 1
    small = images(1, 20, 60)
    with pytest.raises(MetricError, match="at least 31x31; image 1 is 60x20"):
        metric.compute_batch(small, ["p"], small)
