"""How far a set of images lies from a set of references: the Fréchet inception distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from difftest.metrics.inception_pool import InceptionMetric
from difftest.metrics.protocol import BatchScore

if TYPE_CHECKING:
    from difftest.metrics.backbone import Features

#: From here on the bias is not worth a word: what FID's authors ask for at least (github.com/bioinf-jku/TTUR).
_ENOUGH = 10_000
#: A replicate's time grows with the cube of the count; 200 of 2,000 images take about a minute of one core.
_MOST_FOR_REPLICATES = 2_000


class Fid(InceptionMetric):
    """Heusel et al., arXiv 1706.08500, with clean-fid's resizing (Parmar et al., arXiv 2104.11222)."""

    name = "fid"

    def score(self, found: Features, reference: Features, prompts: Sequence[str]) -> BatchScore:
        from difftest.metrics import bootstrap, frechet

        value, notes = frechet.distance(found, reference), []
        if len(found) < _ENOUGH:
            unbiased = frechet.at_infinity(found, reference)
            notes.append(
                f"of {len(found)} images FID is too high by about {max(value - unbiased, 0.0):.1f}: extrapolated "
                f"to infinitely many it is {unbiased:.1f} (Chong and Forsyth, arXiv 1911.07023); "
                f"{len(reference)} reference images add a bias of their own. Compare only values of the same counts"
            )
        replicates, refusal = bootstrap.replicates(
            prompts,
            _MOST_FOR_REPLICATES,
            lambda weights: frechet.reweighted(found, reference, weights),
        )
        notes += [refusal] if refusal else []
        return BatchScore(value, len(found), "; ".join(notes) or None, replicates)
