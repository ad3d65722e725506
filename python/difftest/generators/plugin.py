"""A generator that another distribution brings: an entry point of the group ``difftest.generators``."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from difftest import plugins
from difftest.errors import DifftestError, GeneratorError
from difftest.generators.adapter import Adapter
from difftest.generators.options import SECRETS
from difftest.prints import to_stderr
from difftest.traces import describe

if TYPE_CHECKING:
    from difftest.generators import Options


def load(entry: EntryPoint, options: Options) -> Adapter:
    """Call what the entry point names with the run's ``Options``; what it gives is adapted as a repository's own is.

    Raises ``GeneratorError`` with the distribution's name where it breaks.
    """
    make = plugins.load(entry, error=GeneratorError)
    if not callable(make):
        raise GeneratorError(
            f"the generator {plugins.origin(entry)} is {make!r}; a function of `options` was expected"
        )
    try:
        with to_stderr():
            target = make(options)
    except DifftestError:
        raise
    except (Exception, SystemExit) as broken:
        raise GeneratorError(
            f"the generator {plugins.origin(entry)} did not load: {describe(broken)}"
        ).with_traceback(broken.__traceback__) from broken
    told = {key: value for key, value in options.options.items() if key not in SECRETS}
    version = plugins.origin(entry)
    return Adapter(
        entry.name,
        target,
        device=options.device,
        made_with={"options": told, "model": options.model, "plugin": version},
    )
