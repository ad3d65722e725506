"""The bootstrap of batch metrics: its weights, the reweighted scores, and how often its interval is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from difftest.metrics import bootstrap, frechet, kernel_distance
from difftest.metrics.fid import Fid
from difftest.metrics.inception_pool import Pool
from difftest.metrics.kid import Kid

Floats = NDArray[np.float64]

#: Of three texts, the first twelve replicates: runs of two versions of difftest are compared.
GOLDEN = [
    [1, 0, 1, 2, 1, 0, 4, 1, 2, 1, 0, 0],
    [3, 1, 0, 3, 4, 1, 0, 2, 1, 2, 1, 3],
    [1, 2, 2, 1, 0, 0, 0, 1, 0, 0, 1, 1],
]


def drawn(count: int, width: int, seed: int, shift: float = 0.0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 1, (count, width)) @ np.diag(np.linspace(0.5, 1.5, width)) + shift


def prompts(count: int, images: int = 1) -> list[str]:
    return [f"prompt {index}" for index in range(count) for _ in range(images)]


class TestWeights:
    def test_they_are_the_same_on_every_machine_for_ever(self) -> None:
        found = bootstrap.weights(["a red cat", "ein rotes Kätzchen 🐈", ""], 12)
        assert found.T.tolist() == GOLDEN

    def test_a_column_depends_on_its_prompt_alone(self) -> None:
        many = bootstrap.weights([*prompts(50), "prompt 7"])
        assert (many[:, 7] == many[:, 50]).all(), "images of one prompt have one weight"
        assert (many[:, [7]] == bootstrap.weights(["prompt 7"])).all()
        backwards = bootstrap.weights(prompts(50)[::-1])
        assert (backwards[:, ::-1] == many[:, :50]).all()
        assert (bootstrap.weights(prompts(50), 30) == many[:30, :50]).all()

    def test_they_are_independent_counts_from_poisson_1(self) -> None:
        found = bootstrap.weights(prompts(600))
        count = found.size
        shares = np.bincount(found.ravel(), minlength=5)[:5] / count
        expected = np.exp(-1) / np.array([1, 1, 2, 6, 24])
        assert abs(shares - expected).max() < 4 * np.sqrt(0.25 / count)
        for axis in (0, 1):
            together = np.corrcoef(found, rowvar=bool(axis))
            others = together[~np.eye(len(together), dtype=bool)]
            per_pair = 1 / np.sqrt(found.shape[1 if axis else 0])
            assert others.std() == pytest.approx(per_pair, rel=0.05), "no more than chance"
            assert abs(others.mean()) < 0.1 * per_pair


class TestFrechet:
    #: Fewer images than references and features, fewer references than images, fewer features than either.
    SIZES = pytest.mark.parametrize(("n", "m", "width"), [(30, 50, 64), (60, 20, 64), (60, 50, 6)])

    @SIZES
    def test_weights_of_1_change_nothing(self, n: int, m: int, width: int) -> None:
        one, other = drawn(n, width, 1), drawn(m, width, 2, shift=0.3)
        [found] = frechet.reweighted(one, other, np.ones((1, n), int))
        assert found == pytest.approx(frechet.distance(one, other), rel=1e-6)

    @SIZES
    def test_a_weight_is_how_often_an_image_is_there(self, n: int, m: int, width: int) -> None:
        one, other = drawn(n, width, 1), drawn(m, width, 2, shift=0.3)
        weights = bootstrap.weights(prompts(n), 3)
        expected = [frechet.distance(one.repeat(row, axis=0), other) for row in weights]
        assert frechet.reweighted(one, other, weights) == pytest.approx(expected, rel=1e-6)

    def test_of_fewer_than_two_images_there_is_none(self) -> None:
        weights = np.array([[0, 0, 0], [0, 1, 0], [0, 2, 1]])
        found = frechet.reweighted(drawn(3, 4, 1), drawn(9, 4, 2), weights)
        assert np.isnan(found).tolist() == [True, True, False]

    def test_replicates_are_too_high_and_their_difference_hardly(self) -> None:
        reference, common = drawn(200, 8, 1), drawn(80, 8, 2)
        sides = [common + 0.5 * drawn(80, 8, seed) for seed in (3, 4)]
        weights = bootstrap.weights(prompts(80))
        values = [frechet.distance(side, reference) for side in sides]
        moved = [
            frechet.reweighted(side, reference, weights).mean() - value
            for side, value in zip(sides, values, strict=True)
        ]
        assert min(moved) > 0.1
        assert abs(moved[1] - moved[0]) < 0.15 * min(moved)


class TestKernel:
    def test_weights_of_1_change_nothing(self) -> None:
        one, other = drawn(40, 8, 1), drawn(40, 8, 2, shift=0.3)
        ones = np.ones((1, 40), int)
        for units in (prompts(40), prompts(10, images=4)):
            [found] = kernel_distance.reweighted(one, other, ones, units)
            assert found == pytest.approx(kernel_distance.distance(one, other)[0], rel=1e-9)

    def test_it_is_its_definition(self) -> None:
        x, y = drawn(12, 3, 1), drawn(7, 3, 2, shift=0.3)
        units = prompts(4, images=3)
        weights = bootstrap.weights(units, 5)

        def k(a: Floats, b: Floats) -> float:
            return float((a @ b / 3 + 1) ** 3)

        def slowly(w: NDArray[np.int64]) -> float:
            within = pairs = 0.0
            for i in range(12):
                for j in range(12):
                    if i != j:
                        times = w[i] if units[i] == units[j] else w[i] * w[j]
                        within += times * k(x[i], x[j])
                        pairs += times
            others = [k(y[i], y[j]) for i in range(7) for j in range(7) if i != j]
            across = sum(w[i] * k(x[i], b) for i in range(12) for b in y) / (7 * w.sum())
            return float(within / pairs + np.mean(others) - 2 * across)

        expected = [slowly(row) for row in weights]
        assert kernel_distance.reweighted(x, y, weights, units) == pytest.approx(expected)

    @pytest.mark.parametrize("images", [1, 4])
    def test_copies_do_not_raise_it(self, images: int) -> None:
        """Though images of one prompt are alike, and the kernel of an image with itself is the largest."""
        rng = np.random.default_rng(1)
        one = rng.normal(0, 1, (50, 4)).repeat(images, axis=0) + 0.5 * drawn(50 * images, 4, 2)
        other, units = drawn(300, 4, 3), prompts(50, images)
        value = kernel_distance.reweighted(one, other, np.ones((1, len(one)), int), units)[0]
        found = kernel_distance.reweighted(one, other, bootstrap.weights(units, 4000), units)
        assert found.mean() == pytest.approx(value, abs=0.1 * found.std())
        copied = [
            kernel_distance.reweighted(
                one.repeat(row, axis=0),
                other,
                np.ones((1, row.sum()), int),
                [str(index) for index in range(row.sum())],
            )[0]
            for row in bootstrap.weights(units, 40)
        ]
        assert np.mean(copied) > value + found.std(), "as independent images they would"

    def test_many_references_are_compared_with_each_other_in_blocks(self) -> None:
        one, other, ones = drawn(30, 4, 1), drawn(400, 4, 2), np.ones((1, 30), int)
        whole = kernel_distance.reweighted(one, other, ones, prompts(30))
        blocks = kernel_distance.reweighted(one, other, ones, prompts(30), largest=150)
        assert blocks == pytest.approx(whole, abs=0.2)
        assert blocks != pytest.approx(whole, abs=1e-9)
        moved = kernel_distance.reweighted(drawn(30, 4, 5), other, ones, prompts(30))
        again = kernel_distance.reweighted(drawn(30, 4, 5), other, ones, prompts(30), largest=150)
        assert moved - whole == pytest.approx(again - blocks), "all differ by the same"


class TestReplicates:
    @pytest.mark.parametrize("metric", [Fid, Kid])
    def test_a_score_brings_them(self, metric: type[Fid | Kid]) -> None:
        found, reference = drawn(60, 8, 1).astype(np.float32), drawn(60, 8, 2).astype(np.float32)
        unloaded = metric.__new__(metric)
        score = unloaded.score(found, reference, prompts(30, images=2))
        assert len(score.replicates) == bootstrap.REPLICATES
        assert all(type(value) is float for value in score.replicates)
        assert min(score.replicates) < score.value < max(score.replicates)
        assert "no interval" not in (score.note or "")
        few = unloaded.score(found, reference, prompts(15, images=4))
        assert (few.value, few.replicates) == (score.value, ())
        assert few.note == f"{score.note}; no interval of fewer than 20 prompts, and there are 15"

    def test_an_image_keeps_its_prompt_however_the_images_come(self, tmp_path: Path) -> None:
        class Looked:
            """Features that are the image's pixels."""

            def features(self, images: list[Floats]) -> Floats:
                return np.stack(images)

            def folder(self, files: list[Path], metric: str) -> Floats:
                return drawn(60, 8, 2)

        for index in range(2):
            (tmp_path / f"{index}.png").touch()
        found, texts = drawn(60, 8, 1), prompts(30, images=2)
        unloaded = Kid.__new__(Kid)
        scores = []
        for batch in (60, 7):
            pool = Pool("kid", 2, Looked(), str(tmp_path), unloaded.score)  # type: ignore[arg-type]
            for first in range(0, 60, batch):
                part = slice(first, first + batch)
                pool.update(list(found[part]), texts[part], [None] * len(texts[part]))  # type: ignore[arg-type]
            scores.append(pool.value())
        assert scores[0] == scores[1] == unloaded.score(found, drawn(60, 8, 2), texts)

    def test_there_are_none_where_it_would_take_too_long(self) -> None:
        def never(weights: bootstrap.Weights) -> Floats:
            raise AssertionError

        found, why = bootstrap.replicates(prompts(1001, images=2), 2000, never)
        assert found == ()
        assert why == "no interval of more than 2,000 images: it would take too long"

    def test_one_that_is_no_number_discards_all(self) -> None:
        found, why = bootstrap.replicates(prompts(20), 50, lambda weights: [1.0, float("nan")])
        assert found == ()
        assert why == "no interval: a bootstrap replicate is no number"


def fid(one: Floats, reference: Floats, weights: bootstrap.Weights) -> Floats:
    return frechet.reweighted(one, reference, weights)


def kid(one: Floats, reference: Floats, weights: bootstrap.Weights) -> Floats:
    units = [str(index) for index in range(len(one))]
    return kernel_distance.reweighted(one, reference, weights, units)


class TestIntervals:
    """Of pairs of runs: images of a prompt have its content in both, and noise of which half is common."""

    PROMPTS, REPLICATES, WIDTH = 120, 100, 3

    def covered(self, score: Callable[..., Floats], shift: float, pairs: int) -> float:
        """How often a 90% interval of the difference holds 0."""
        rng = np.random.default_rng(11)
        reference = rng.normal(0, 1, (300, self.WIDTH))
        size = (self.PROMPTS, self.WIDTH)
        holds = 0
        for pair in range(pairs):
            common = rng.normal(0, np.sqrt(0.75), size) + 0.5
            base, head = (common + rng.normal(0, 0.5, size) for _ in range(2))
            # Texts of their own, so that the pairs' weights are independent too.
            texts = [f"{pair} {index}" for index in range(self.PROMPTS)]
            weights = bootstrap.weights(texts, self.REPLICATES)
            head[:, 0] += shift
            spread = score(head, reference, weights) - score(base, reference, weights)
            low, high = np.quantile(spread, [0.05, 0.95])
            holds += low <= 0 <= high
        return holds / pairs

    @pytest.mark.parametrize("score", [fid, kid])
    def test_without_a_difference_they_hold_0_as_often_as_they_say(
        self, score: Callable[..., Floats]
    ) -> None:
        # Two standard errors of the simulation are 4 points.
        assert 0.85 <= self.covered(score, 0.0, 200) <= 0.96

    @pytest.mark.parametrize("score", [fid, kid])
    def test_a_shift_is_seen(self, score: Callable[..., Floats]) -> None:
        assert self.covered(score, 0.5, 60) <= 0.05
