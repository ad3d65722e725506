"""How a batch metric's score would vary with other prompts: a bootstrap whose replicates are pairs across runs. Pure.

The Poisson bootstrap (Chamandy, Muralidharan, Najmi and Naidu 2012, "Estimating Uncertainty for Massive Data
Streams") gives every unit an independent count from Poisson(1) in place of drawing a whole set with replacement. A
unit here is a prompt: all its images have its count. The count depends on the replicate and on the prompt's text
alone, so replicate b of one run and replicate b of another are of the same prompts, though the runs have never met:
the spread of their differences is that of the difference.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.int64]

REPLICATES = 200
#: Of fewer prompts the interval is much too narrow, and a replicate might be of none at all.
FEWEST_PROMPTS = 20

#: It is part of what two runs must have in common: another text is another bootstrap.
_PURPOSE = b"difftest bootstrap of prompts, 1\0"
#: P(X ≤ k) of Poisson(1) in units of 2⁻³². P(X > 12) is less than one of them. No call of the machine's libm.
_UP_TO = np.array(
    [
        int(probability * 2**32)
        for probability in itertools.accumulate(1 / math.factorial(k) / math.e for k in range(13))
    ],
    np.uint64,
)


def weights(prompts: Sequence[str], count: int = REPLICATES) -> Weights:
    """Counts ``(count, len(prompts))``: how often each image is in each replicate.

    A column depends on its prompt's text alone, exactly as it is written, on no other prompt, and on no order: equal
    prompts have equal columns. Word b of SHAKE-128 (FIPS 202) over the text is a uniform number; Poisson(1) of it is
    by inversion. The first replicates are the same however many are asked for, on every machine.
    """
    columns: dict[str, npt.NDArray[np.intp]] = {}
    for prompt in prompts:
        if prompt not in columns:
            text = _PURPOSE + prompt.encode("utf-8", "surrogatepass")
            words = np.frombuffer(hashlib.shake_128(text).digest(4 * count), "<u4")
            columns[prompt] = np.searchsorted(_UP_TO, words, side="right")
    found = np.empty((count, len(prompts)), np.int64)
    for index, prompt in enumerate(prompts):
        found[:, index] = columns[prompt]
    return found


def replicates(
    prompts: Sequence[str], most: int, reweighted: Callable[[Weights], Iterable[float]]
) -> tuple[tuple[float, ...], str | None]:
    """What a score answers to the weights of its images, each with its prompt; or none, and why.

    ``most`` is how many images the score can be reweighted of in reasonable time. A replicate that is no number
    discards all: the other run's twin of it would be left alone.
    """
    different = len(set(prompts))
    if different < FEWEST_PROMPTS:
        return (), f"no interval of fewer than {FEWEST_PROMPTS} prompts, and there are {different}"
    if len(prompts) > most:
        return (), f"no interval of more than {most:,} images: it would take too long"
    found = tuple(float(value) for value in reweighted(weights(prompts)))
    if not all(map(math.isfinite, found)):
        return (), "no interval: a bootstrap replicate is no number"
    return found, None
