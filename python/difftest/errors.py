"""What can go wrong, by whose hand. Every message names the input, the place and the mend."""

from __future__ import annotations

import builtins


class DifftestError(Exception):
    """The root of all errors that difftest raises on purpose."""


class ConfigurationError(DifftestError, ValueError):
    """A test, a metric or an option was declared in a way that cannot be used."""


class GeneratorError(DifftestError):
    """The model did not load, or did not make the images it was asked for."""


class MetricError(DifftestError):
    """A metric is unknown, did not load, or did not give a finite score."""

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        #: Which image of the batch it was, where one can be blamed: the others are worth another try.
        self.index = index


class TimeoutError(DifftestError, builtins.TimeoutError):
    """A limit of time passed."""


class MissingDependencyError(DifftestError, ImportError):
    """A package is needed that is not installed."""

    def __init__(self, package: str, purpose: str, *, extra: str | None = None) -> None:
        wanted = f"'difftest[{extra}]'" if extra else package
        super().__init__(
            f"{purpose} needs the package `{package}`, which is not installed here: "
            f"pip install {wanted}",
            name=package,
        )
