"""The statistics behind a verdict: base against head, pair by pair, at a known error rate.

The same code decides on pull requests. ``docs/verdict.md`` has the method, its formulas and their sources.

>>> from difftest import verdict
>>> found = verdict.paired(
...     base=[0.50, 0.61, 0.58], head=[0.49, 0.62, 0.58], prompts=["a cat", "a dog", "a hat"], margin=0.02
... )
>>> found.decision
'inconclusive'
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence as _Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from difftest import _native

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Evidence",
    "Ranked",
    "Sequence",
    "Verdict",
    "Welch",
    "boundaries",
    "e_bh",
    "paired",
    "rank",
    "welch",
]

Direction = Literal["higher_is_better", "lower_is_better"]
Units = Literal["prompts", "images"]
Method = Literal["anytime", "group-sequential"]

#: A loss in one image of this many margins counts as ruined, where nothing else is said.
DROP_MARGINS = 10.0


@dataclass(frozen=True)
class Verdict:
    """What the pairs of one metric decide."""

    #: ``pass``, ``improved``, ``regressed``, ``inconclusive``, or ``error`` for a score that cannot be compared.
    decision: str
    #: The mean improvement of head over base: positive is better, whatever the metric's direction.
    estimate: float
    #: One-sided bounds on it, each at level alpha; none for a handful of units.
    lower: float | None
    upper: float | None
    margin: float
    pairs: int
    prompts: int
    planned: int
    #: ln of the e-value behind the decision; ln(1/alpha) is enough for one claim.
    ln_e: float
    #: One sentence a person understands.
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """ln of e-values: 0 or less is no evidence, ln(1/alpha) is enough for one claim at level alpha."""

    units: int
    mean: float
    #: The mean is worse by more than the margin, or a share of the units is ruined.
    worse: float
    #: The mean is better by more than the margin, and few units are ruined.
    improved: float
    #: The two halves of a pass: the mean is not worse by more than the margin, and few units are ruined.
    not_worse: float
    no_disasters: float

    def regressed(self, alpha: float = 0.05) -> bool:
        """Whether it stands alone as a regression."""
        return self.worse >= -math.log(alpha)

    def passes(self, alpha: float = 0.05) -> bool:
        """Whether both halves of a pass stand."""
        return min(self.not_worse, self.no_disasters) >= -math.log(alpha)


class Sequence:
    """Evidence about a mean improvement that may be looked at after any unit, as often as one likes.

    A unit is a prompt with the improvements of its seeds. ``bound`` is the largest absolute difference that two
    scores can have (the width of the metric's range), ``None`` for a metric without one. ``drop`` is the loss in one
    image that counts as ruined, ``share`` the share of ruined units that a pass rules out. ``planned`` is the number
    of units the evidence is tuned to be strongest at; it is valid at every other.
    """

    def __init__(
        self,
        margin: float,
        *,
        bound: float | None = None,
        drop: float | None = None,
        share: float = 0.02,
        alpha: float = 0.05,
        planned: int = 100,
    ) -> None:
        drop = _drop(margin, drop)
        self._core = _native.Sequence(margin, bound, drop, share, alpha, planned)

    def push(self, improvements: _Sequence[float]) -> None:
        """Add a unit: the improvements of its images, positive where the head is better.

        Raises ``ValueError`` for a number that is not finite or beyond the bound, and is then as it was before.
        """
        self._core.push(list(improvements))

    def evidence(self) -> Evidence:
        """What the units say so far."""
        units, mean, (worse, improved, not_worse, no_disasters) = self._core.evidence()
        return Evidence(units, mean, worse, improved, not_worse, no_disasters)

    def interval(self, alpha: float = 0.05) -> tuple[float, float] | None:
        """One-sided bounds on the mean improvement, each at level ``alpha`` at every number of units at once."""
        return self._core.interval(alpha)

    def units_needed(self, alpha: float = 0.05) -> float | None:
        """About how many more units will decide; ``None`` where no number of them seems enough."""
        return self._core.units_needed(alpha)


def paired(
    base: _Sequence[float],
    head: _Sequence[float],
    prompts: _Sequence[str],
    *,
    margin: float,
    seeds: _Sequence[int] | None = None,
    direction: Direction = "higher_is_better",
    range: tuple[float, float] | None = None,
    drop: float | None = None,
    share: float = 0.02,
    alpha: float = 0.05,
    units: Units = "prompts",
    method: Method = "anytime",
    planned: int | None = None,
    looks: _Sequence[int] = (),
) -> Verdict:
    """Decide one metric from scores of the same prompts and seeds, image by image.

    ``base``, ``head``, ``prompts`` (and ``seeds``) have one length, the number of pairs. ``margin`` is the mean loss
    that is still accepted, in the metric's own unit. Seeds of one prompt are averaged, since they are not independent;
    with ``units="images"`` each pair counts, and the claim is about these prompts alone. ``group-sequential`` uses
    O'Brien-Fleming boundaries and needs ``planned``, the number of units at the most, and ``looks``, after how many
    the data were looked at, this time the last.
    """
    if not len(base) == len(head) == len(prompts):
        raise ValueError(
            f"base, head and prompts are pairs, and have {len(base)}, {len(head)} and {len(prompts)} entries"
        )
    of_seed = list(seeds) if seeds is not None else [0] * len(base)
    if len(of_seed) != len(base):
        raise ValueError(f"there are {len(of_seed)} seeds for {len(base)} pairs")
    pairs = [
        (prompt, seed, float(before), float(after))
        for prompt, seed, before, after in zip(prompts, of_seed, base, head, strict=True)
    ]
    count = len(set(prompts)) if units == "prompts" else len(pairs)
    said = _native.paired_verdict(
        pairs,
        margin,
        direction == "higher_is_better",
        range,
        _drop(margin, drop),
        share,
        alpha,
        units == "images",
        method == "group-sequential",
        planned if planned is not None else count,
        list(looks) or [count],
    )
    return Verdict(**json.loads(said))


def _drop(margin: float, drop: float | None) -> float:
    if drop is not None:
        return drop
    return DROP_MARGINS * margin if margin > 0 else math.ulp(0.0)


def e_bh(ln_e: _Sequence[float], alpha: float = 0.05) -> list[bool]:
    """Which of many claims stand, by e-Benjamini-Hochberg on logarithms of stopped e-values (arXiv 2009.02824)."""
    return _native.e_bh_stand(list(ln_e), alpha)


def boundaries(fractions: _Sequence[float], alpha: float = 0.05) -> list[float]:
    """One-sided z boundaries of O'Brien and Fleming's type at rising information fractions (Lan and DeMets 1983)."""
    return _native.obrien_fleming(list(fractions), alpha)


@dataclass(frozen=True)
class Welch:
    """Welch's t-test of two independent samples, head - base."""

    estimate: float
    standard_error: float
    #: Welch and Satterthwaite's degrees of freedom.
    df: float
    t: float
    #: Two-sided.
    p: float
    #: Cohen's d, by the pooled standard deviation.
    d: float | None


def welch(base: _Sequence[float], head: _Sequence[float]) -> Welch | None:
    """``None`` for fewer than two values a side, or without any variance."""
    found = _native.welch_test([float(v) for v in base], [float(v) for v in head])
    return None if found is None else Welch(*found)


@dataclass(frozen=True)
class Ranked:
    """How one model stands among others."""

    mean: float
    #: 1 is the best.
    rank: int
    #: The middle 95% of its ranks over resampled prompts.
    rank_lower: int
    rank_upper: int
    #: The share of resamples in which it is the best.
    p_best: float
    prompts: int


def rank(scores: Mapping[str, Mapping[str, float]], seed: int = 1) -> dict[str, Ranked]:
    """Rank models by their scores, more being better: ``scores[model][prompt]`` is a prompt's mean over its seeds.

    Only prompts that every model has count. The best comes first.
    """
    prompts = sorted({prompt for of in scores.values() for prompt in of})
    rows = [[of.get(prompt) for prompt in prompts] for of in scores.values()]
    found = zip(scores, _native.rank_models(rows, seed), strict=True)
    ranked = {model: Ranked(*row) for model, row in found if row is not None}
    return dict(sorted(ranked.items(), key=lambda item: item[1].rank))
