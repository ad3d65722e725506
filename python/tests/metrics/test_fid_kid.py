"""FID and KID through a random Inception: the values of clean-fid's own functions on the same weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difftest import MetricError, metrics
from difftest.metrics.protocol import BatchScore

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("torch_required")]

#: Images on each side: the real minimum has a test of its own, and a pass takes half a second an image.
COUNT = 5


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published network's 90 MB of tensors, drawn at random; made once, it is only read."""
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.inception_v3(
        weights=None, num_classes=1008, aux_logits=False, init_weights=False
    )
    file = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), file)
    return file


@pytest.fixture
def inception(
    random_inception: Path, weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Puts the network under its published name, and lets another digest than the published one pass."""

    def write(change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
        import torch

        from difftest.metrics import inception

        monkeypatch.setattr(
            inception, "NETWORK", dataclasses.replace(inception.NETWORK, sha256_prefix="")
        )
        file = weights_dir / inception.NETWORK.name
        if change is None:
            file.symlink_to(random_inception)
        else:
            state = torch.load(random_inception)
            change(state)
            torch.save(state, file)
        return file

    return write


@pytest.fixture
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    from difftest.metrics.facts import Stated

    monkeypatch.setattr(Stated, "min_samples", COUNT)


@pytest.fixture
def reference_dir(tmp_path: Path, images: Any) -> Path:
    from PIL import Image

    folder = tmp_path / "references" / "deeper"
    folder.mkdir(parents=True)
    for index, image in enumerate(images(COUNT, 40, 56, seed=5)):
        Image.fromarray(image).save(folder / f"{index}.png")
    (folder / "notes.txt").write_text("no image")
    return folder.parent


def clean_fids_features(file: Path, images: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """By clean-fid's network and resizing. Its PyTorch form scales 0..255 to -1..1, the TensorFlow one that it is
    converted from, and that its «clean» mode runs, takes (x - 128) / 128."""
    import torch
    from cleanfid import inception_pytorch
    from cleanfid.resize import build_resizer

    monkeypatch.setattr(
        inception_pytorch, "load_state_dict_from_url", lambda *_, **__: torch.load(file)
    )
    network = inception_pytorch.InceptionV3(resize_input=False, normalize_input=False).eval()
    resize = build_resizer("clean")
    rows = []
    with torch.no_grad():
        for image in images:
            pixels = torch.from_numpy(resize(image).transpose(2, 0, 1))[None]
            rows.append(network((pixels - 128) / 128)[0].flatten().numpy())
    return np.stack(rows)


def scored(metric: Any, reference_dir: Path, images: Any, batch: int = 16) -> BatchScore:
    pool = metric.begin(str(reference_dir))
    for first in range(0, len(images), batch):
        part = images[first : first + batch]
        pool.update(part, ["p"] * len(part), [None] * len(part))
    score = pool.value()
    assert isinstance(score, BatchScore)
    return score


@pytest.mark.usefixtures("few_are_enough")
def test_fid_and_kid_are_clean_fids(
    inception: Any, reference_dir: Path, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cleanfid.fid import kernel_distance

    file = inception()
    made = images(COUNT, 48, 32)
    found = clean_fids_features(file, made, monkeypatch)
    reference = clean_fids_features(file, images(COUNT, 40, 56, seed=5), monkeypatch)
    fid, kid = (metrics.load(name, device="cpu") for name in ("fid", "kid"))
    assert fid._inception is kid._inception
    passed = []
    compute = fid._inception._features
    monkeypatch.setattr(
        fid._inception, "_features", lambda batch: passed.append(len(batch)) or compute(batch)
    )
    one, other = scored(fid, reference_dir, made), scored(kid, reference_dir, made)
    assert sum(passed) == 2 * COUNT, "the images and the references once, for both metrics"

    # cleanfid.fid.frechet_distance takes minutes over 2048 x 2048. The eigenvalues of Σ₁Σ₂ that are not 0 are those of
    # a 5 x 5 matrix.
    a, b = ((rows - rows.mean(0)) / np.sqrt(COUNT - 1) for rows in (found, reference))
    eigenvalues = np.linalg.eigvals(a @ b.T @ b @ a.T)
    apart = found.mean(0) - reference.mean(0)
    roots = np.sqrt(eigenvalues.astype(complex)).real.sum()
    expected = apart @ apart + (a**2).sum() + (b**2).sum() - 2 * roots
    assert one.value == pytest.approx(expected, rel=1e-3)
    assert other.value == pytest.approx(kernel_distance(found, reference, num_subsets=1), rel=1e-4)
    assert (one.samples, other.samples) == (COUNT, COUNT)
    assert one.note is not None
    assert f"of {COUNT} images FID is too high by about" in one.note
    assert "1911.07023" in one.note
    assert other.note is not None
    assert "unbiased" in other.note
    assert fid.weights == kid.weights
    assert (fid.category, fid.direction) == ("batch", "lower_is_better")


@pytest.mark.usefixtures("few_are_enough")
def test_the_score_does_not_depend_on_how_the_images_come(
    inception: Any, reference_dir: Path, images: Any
) -> None:
    inception()
    made = images(COUNT)
    metric = metrics.load("kid", device="cpu")
    assert scored(metric, reference_dir, made, batch=COUNT).value == pytest.approx(
        scored(metric, reference_dir, images(COUNT), batch=3).value, rel=1e-5
    )


def test_too_few_references_are_refused_before_anything_is_computed(
    inception: Any, reference_dir: Path
) -> None:
    inception()
    metric = metrics.load("fid", device="cpu")
    assert metric.min_samples == 50
    with pytest.raises(
        MetricError, match=r"at least 50 .* there are 5 reference images in .*refer"
    ):
        metric.begin(str(reference_dir))
    with pytest.raises(MetricError, match="give the test a reference_dir"):
        metric.begin(None)


@pytest.mark.usefixtures("few_are_enough")
def test_too_few_images_are_refused(inception: Any, reference_dir: Path, images: Any) -> None:
    inception()
    metric = metrics.load("kid", device="cpu")
    with pytest.raises(MetricError, match=r"kid needs at least 5 .* there are 3 generated images"):
        scored(metric, reference_dir, images(3))
    (reference_dir / "broken.png").write_bytes(b"no picture")
    with pytest.raises(MetricError, match=r"broken\.png cannot be read"):
        metric.begin(str(reference_dir))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda state: state.pop("Mixed_7c.branch_pool.conv.weight"),
            r"lacks `Mixed_7c\.branch_pool",
        ),
        (
            lambda state: state.update({"fc.weight": state["fc.weight"][:1000].clone()}),
            r"`fc\.weight` has the shape \(1000, 2048\); \(1008, 2048\) was expected",
        ),
    ],
)
def test_a_network_that_does_not_fit_is_refused(inception: Any, change: Any, said: str) -> None:
    inception(change)
    with pytest.raises(MetricError, match=said):
        metrics.load("fid", device="cpu")


def test_another_file_under_the_published_name_is_refused(
    inception: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from difftest.metrics import inception as module

    published = module.NETWORK
    inception()
    monkeypatch.setattr(module, "NETWORK", published)
    with pytest.raises(MetricError, match="is not the published pt_inception-2015-12-05-6726825d"):
        metrics.load("kid", device="cpu")
