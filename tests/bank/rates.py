"""What the outcomes of a bench say: rates with their intervals, images, misses. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from tests.bank.changes import Kind

#: In order of gravity, as the verdict has them.
DECISIONS = (
    *("pass", "improved", "inconclusive", "infra", "changed", "failed", "regressed", "error"),
)
LEAST_DETECTED = 0.95
#: 95%, two-sided.
_Z = 1.96
#: What leaves no verdict: a broken bench, not a miss.
_BROKEN = frozenset({"infra", "failed", "error"})


@dataclass(frozen=True)
class Outcome:
    """One comparison of a head with the base."""

    change: str
    repetition: int
    decision: str
    #: Of both sides.
    images: int
    pairs: int
    seconds: float
    #: What the verdict gives as its reason.
    reason: str

    @property
    def regressed(self) -> bool:
        return self.decision == "regressed"


@dataclass(frozen=True)
class Rate:
    hits: int
    of: int

    def interval(self) -> tuple[float, float]:
        """Wilson's, 95%: https://doi.org/10.1080/01621459.1927.10502953."""
        if self.of == 0:
            return 0.0, 1.0
        share, z2 = self.hits / self.of, _Z**2 / self.of
        middle = share + z2 / 2
        spread = (z2 * share * (1 - share) + z2**2 / 4) ** 0.5
        low, high = (middle - spread) / (1 + z2), (middle + spread) / (1 + z2)
        return max(low, 0.0), min(high, 1.0)

    def __str__(self) -> str:
        low, high = self.interval()
        share = f"{self.hits / self.of:.1%}" if self.of else "none"
        return f"{self.hits} of {self.of} = {share} (95%: {low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class Bench:
    """All outcomes beside the truth, which is truth.json."""

    outcomes: Sequence[Outcome]
    truth: Mapping[str, Any]
    #: What both sides make without stopping early.
    full_images: int

    def group(self, kind: Kind, *, seen: bool | None = None) -> list[Outcome]:
        return [
            outcome
            for outcome in self.outcomes
            if self._effect(outcome.change)["kind"] == kind.value
            and seen in (None, self._effect(outcome.change)["seen"])
        ]

    @property
    def groups(self) -> dict[str, list[Outcome]]:
        return {
            "harmless": self.group(Kind.HARMLESS),
            "harmful, seen by the oracle": self.group(Kind.HARMFUL, seen=True),
            "harmful, not seen": self.group(Kind.HARMFUL, seen=False),
        }

    @property
    def detected(self) -> Rate:
        return _regressed(self.group(Kind.HARMFUL, seen=True))

    @property
    def false_alarms(self) -> Rate:
        return _regressed(self.group(Kind.HARMLESS))

    def failures(self) -> list[str]:
        """The targets that are missed, in words."""
        found = []
        broken = [o for o in self.outcomes if o.decision in _BROKEN]
        if broken:
            found.append(f"{len(broken)} comparisons gave no verdict")
        if self.false_alarms.hits:
            found.append(f"{self.false_alarms.hits} false alarms; none was wanted")
        rate = self.detected
        if rate.of and rate.hits / rate.of < LEAST_DETECTED:
            found.append(f"detected {rate.hits / rate.of:.1%}, wanted {LEAST_DETECTED:.0%}")
        return found

    def report(self) -> str:
        return "\n".join(
            [
                *self._changes(),
                "",
                *self._outcomes(),
                "",
                f"detected, of what the oracle sees   {self.detected}",
                f"false alarms, of the harmless       {self.false_alarms}",
                *self._misses(),
                *(f"TARGET MISSED: {failure}" for failure in self.failures()),
            ]
        )

    def _effect(self, change: str) -> Mapping[str, Any]:
        effect: Mapping[str, Any] = self.truth["changes"][change]
        return effect

    def _changes(self) -> Iterator[str]:
        yield (
            f"{'change':26}{'grade':>11}{'true loss':>11}{'± s.e.':>9}{'seen':>6}{'images':>9}"
            "  decisions"
        )
        by_change: dict[str, list[Outcome]] = {}
        for outcome in self.outcomes:
            by_change.setdefault(outcome.change, []).append(outcome)
        for change, outcomes in by_change.items():
            effect = self._effect(change)
            counts = Counter(outcome.decision for outcome in outcomes)
            decisions = ", ".join(f"{counts[d]} {d}" for d in DECISIONS if counts[d])
            yield (
                f"{change:26}{effect['grade']:>11}{effect['loss']['shapes_oracle']:>11.4f}"
                f"{effect['standard_error']['shapes_oracle']:>9.4f}"
                f"{'yes' if effect['seen'] else 'no':>6}"
                f"{mean(o.images for o in outcomes):>9.0f}  {decisions}"
            )

    def _outcomes(self) -> Iterator[str]:
        present = [d for d in DECISIONS if any(o.decision == d for o in self.outcomes)]
        yield f"{'':30}{'images':>9}{'of full':>9}" + "".join(f"{d:>14}" for d in present)
        for name, outcomes in self.groups.items():
            if not outcomes:
                continue
            images = mean(outcome.images for outcome in outcomes)
            counts = Counter(outcome.decision for outcome in outcomes)
            yield f"{name:30}{images:>9.0f}{images / self.full_images:>9.0%}" + "".join(
                f"{counts[d]:>14}" for d in present
            )
        yield f"(the full suite: {self.full_images} images, both sides together)"

    def _misses(self) -> Iterator[str]:
        """Each with the reason that the truth's numbers are."""
        for outcome in self.group(Kind.HARMLESS):
            if outcome.regressed:
                yield self._line("FALSE ALARM", outcome)
        for outcome in self.group(Kind.HARMFUL, seen=True):
            if not outcome.regressed:
                yield self._line("MISSED", outcome)
        for outcome in self.group(Kind.HARMFUL, seen=False):
            if outcome.decision in ("pass", "improved"):
                yield self._line("passed", outcome)
        for outcome in self.outcomes:
            if outcome.decision in _BROKEN:
                yield self._line("NO VERDICT", outcome)

    def _line(self, what: str, outcome: Outcome) -> str:
        effect, margins = self._effect(outcome.change), self.truth["margins"]
        said = ", ".join(
            f"{name} {effect['loss'][name]:+.4f} ± {effect['standard_error'][name]:.4f} "
            f"(margin {margin:g})"
            for name, margin in margins.items()
        )
        return (
            f"{what}: {outcome.change}, repetition {outcome.repetition}: {outcome.decision} after "
            f"{outcome.pairs} pairs; true losses: {said}; {effect['worse_images']:.1%} of the images "
            f"worse; the verdict says: {outcome.reason}"
        )


def _regressed(outcomes: Sequence[Outcome]) -> Rate:
    return Rate(sum(outcome.regressed for outcome in outcomes), len(outcomes))
