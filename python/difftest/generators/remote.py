"""``comfyui``, ``a1111`` and ``api``: spoken to by the native module."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difftest.generators import Options
    from difftest.generators.protocol import Generator


def load(options: Options) -> Generator:
    """The back end's client. Raises ``GeneratorError`` for options it cannot use."""
    from difftest._native import RemoteGenerator

    return RemoteGenerator(json.dumps(dataclasses.asdict(options)))
