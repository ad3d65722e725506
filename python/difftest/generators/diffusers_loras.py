"""The LoRA stack of a diffusers pipeline: each file is read once, and every recipe says which apply and how much."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from difftest.errors import GeneratorError, MissingDependencyError
from difftest.generators import weights
from difftest.nearest import suggestion
from difftest.recipe import Lora
from difftest.traces import describe

_SAFE = ".safetensors"
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+?))?(:(?P<file>[\w./ -]+))?")


class Loras:
    """``name`` of a LoRA is a ``.safetensors`` file or its folder, in the repository under test or absolute, or
    ``owner/name``, ``owner/name@revision`` or ``owner/name:file.safetensors`` of the hub.
    """

    def __init__(
        self, pipeline: Any, *, root: Path, allow_pickle: bool, local_files_only: bool
    ) -> None:
        self._pipeline, self._root = pipeline, root
        self._allow_pickle, self._local_files_only = allow_pickle, local_files_only
        #: The adapter's name in the pipeline, by that of the recipe.
        self._adapters: dict[str, str] = {}
        #: ``None`` where diffusers has activated what it loaded, beside or instead of what was asked for.
        self._active: tuple[Lora, ...] | None = ()

    def apply(self, stack: Sequence[Lora]) -> None:
        """Let exactly these be applied, with their weights. Raises ``GeneratorError``."""
        stack = tuple(stack)
        if stack == self._active:
            return
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise GeneratorError(
                f"the recipe has LoRAs, and {type(self._pipeline).__name__} of diffusers cannot load any"
            )
        if importlib.util.find_spec("peft") is None:
            raise MissingDependencyError("peft", "a recipe with LoRAs", extra="diffusers")
        for name in {lora.name for lora in stack}:
            if sum(lora.name == name for lora in stack) > 1:
                raise GeneratorError(
                    f"the LoRA `{name}` is in the recipe twice; add its weights up"
                )
            self._load(name)
        if stack:
            self._pipeline.enable_lora()
            self._pipeline.set_adapters(
                [self._adapters[lora.name] for lora in stack], [lora.weight for lora in stack]
            )
        else:
            self._pipeline.disable_lora()
        self._active = stack

    def digests(self, stack: Iterable[Mapping[str, Any] | Lora]) -> list[str]:
        """What the files of these LoRAs are, for the fingerprint: a changed file is another model."""
        names = [lora.name if isinstance(lora, Lora) else str(lora["name"]) for lora in stack]
        return [self._digest(name) for name in names]

    def _digest(self, name: str) -> str:
        folder, file, hub = self._find(name)
        if not hub:
            at = Path(folder)
            return weights.of_files(at, [at / file] if file else at.rglob(f"*{_SAFE}"))
        self._load(name)
        adapter = self._adapters[name]
        own = {
            key: _Own(module, adapter)
            for key, module in self._pipeline.components.items()
            if hasattr(module, "state_dict")
        }
        return weights.of_modules(own)

    def _load(self, name: str) -> None:
        if name in self._adapters:
            return
        source, file, hub = self._find(name)
        adapter = f"lora_{len(self._adapters)}"
        arguments: dict[str, Any] = {"adapter_name": adapter, "weight_name": file}
        if not self._allow_pickle:
            arguments["use_safetensors"] = True
        if hub:
            arguments |= {
                "revision": hub.get("revision"),
                "local_files_only": self._local_files_only,
            }
        try:
            self._pipeline.load_lora_weights(source, **arguments)
        except Exception as broken:
            raise GeneratorError(
                f"the LoRA `{name}` does not load into {type(self._pipeline).__name__}: {describe(broken)}"
            ).with_traceback(broken.__traceback__) from broken
        # diffusers warns and goes on where no layer of the file is one of the model's.
        loaded = {a for found in self._pipeline.get_list_adapters().values() for a in found}
        if adapter not in loaded:
            raise GeneratorError(
                f"the LoRA `{name}` changes no layer of {type(self._pipeline).__name__}: it was made for another model"
            )
        self._adapters[name], self._active = adapter, None

    def _find(self, name: str) -> tuple[str, str | None, dict[str, str | None] | None]:
        """Folder or repository, file in it, and what the hub is to be asked."""
        path = self._root / Path(name).expanduser()
        if path.is_file():
            if path.suffix != _SAFE and not self._allow_pickle:
                raise GeneratorError(
                    f"the LoRA `{name}` is no {_SAFE} file, and other formats may run code when they are read; convert "
                    "it, or set allow_pickle = true in [options] if you trust whoever made it"
                )
            return str(path.parent), path.name, None
        if path.is_dir():
            return str(path), None, None
        hub = _HUB_ID.fullmatch(name)
        if hub is None or (name.endswith(_SAFE) and hub["file"] is None):
            known = [str(file.relative_to(self._root)) for file in self._root.rglob(f"*{_SAFE}")]
            raise GeneratorError(
                f"there is no LoRA `{name}` in {self._root}; {suggestion(name, known)} (of the hub, write "
                "`owner/name`)"
            )
        return hub["repo"], hub["file"], hub.groupdict()


class _Own:
    """The tensors of one adapter in a module."""

    def __init__(self, module: Any, adapter: str) -> None:
        self._module, self._adapter = module, adapter

    def state_dict(self) -> dict[str, Any]:
        return {
            key.replace(self._adapter, "adapter"): tensor
            for key, tensor in self._module.state_dict().items()
            if f".{self._adapter}." in key
        }
