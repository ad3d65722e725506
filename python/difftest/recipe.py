"""What decides one image, in difftest's own words: the same as ``core::recipe`` in Rust."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Lora:
    """A low-rank adaptation, and how much of it is applied."""

    #: A file, a hub id, or the name that the back end knows it by.
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """Everything that decides one image, beside the model itself. ``None`` is the back end's own default."""

    prompt: str
    seed: int
    negative_prompt: str | None = None
    #: In pixels.
    width: int | None = None
    height: int | None = None
    #: Denoising steps.
    steps: int | None = None
    #: The weight of classifier-free guidance; 1 is none.
    guidance: float | None = None
    #: A scheduler by its canonical id, for instance ``dpmpp_2m_karras``.
    scheduler: str | None = None
    #: Applied in this order.
    loras: tuple[Lora, ...] = ()
    #: How many of the text encoder's last layers are left out, counted as A1111 does: 1 is none.
    clip_skip: int | None = None
    #: How much of the initial image is replaced, 0 to 1.
    denoise: float | None = None

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """From the JSON that Rust writes. Raises ``TypeError`` for a field that a recipe does not have."""
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Recipe:
        """From the fields by their names; LoRAs as ``{"name", "weight"}``."""
        loras = tuple(Lora(**lora) for lora in content.get("loras", ()))
        return cls(**{**content, "loras": loras})

    def to_json(self) -> str:
        """What is set, as the JSON that Rust reads."""
        content: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "loras":
                value = [{"name": lora.name, "weight": lora.weight} for lora in value]
            if value is not None and value != []:
                content[field.name] = value
        return json.dumps(content, ensure_ascii=False)
