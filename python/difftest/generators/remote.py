"""``comfyui``, ``a1111`` and ``api``: spoken to by the native module."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, cast

from difftest.errors import GeneratorError

if TYPE_CHECKING:
    from difftest.generators import Options
    from difftest.generators.protocol import Generator


def load(options: Options) -> Generator:
    """The back end's client. Raises ``GeneratorError`` for options it cannot use."""
    from difftest import _native

    make = getattr(_native, "RemoteGenerator", None)
    if make is None:
        raise GeneratorError(
            f"the native module of this difftest was built without the generator `{options.generator}`; "
            "install difftest anew"
        )
    return cast("Generator", make(json.dumps(dataclasses.asdict(options))))
