"""difftest: CI for models that make images.

``import difftest`` imports nothing heavy: every name below is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know it by its name; the real one costs an import of typing

if TYPE_CHECKING:
    from difftest.decorators import metric, test, visual_regression
    from difftest.errors import (
        ConfigurationError,
        DifftestError,
        GeneratorError,
        MetricError,
        MissingDependencyError,
        TimeoutError,
    )
    from difftest.registry import clear_registry, get_registry
    from difftest.subscribers import subscribe
    from difftest.suites import get_suite, list_suites

#: The workspace's version, in Cargo.toml.
__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "DifftestError",
    "GeneratorError",
    "MetricError",
    "MissingDependencyError",
    "TimeoutError",
    "__version__",
    "clear_registry",
    "get_registry",
    "get_suite",
    "list_suites",
    "metric",
    "subscribe",
    "test",
    "visual_regression",
]

_HOMES = {
    "metric": "decorators",
    "test": "decorators",
    "visual_regression": "decorators",
    "clear_registry": "registry",
    "get_registry": "registry",
    "get_suite": "suites",
    "list_suites": "suites",
    "subscribe": "subscribers",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        import importlib

        if name not in __all__:
            raise AttributeError(f"module 'difftest' has no attribute {name!r}")
        home = importlib.import_module(f"difftest.{_HOMES.get(name, 'errors')}")
        value = globals()[name] = getattr(home, name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
