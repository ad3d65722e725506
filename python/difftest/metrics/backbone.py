"""Networks that several metrics look through: each loaded once a run, each image passed through it once."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from difftest import memory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]
    Features = npt.NDArray[np.float32]

Loaded = TypeVar("Loaded")

#: Images and texts whose features are remembered; of CLIP ViT-L/14 that is 3 MB.
REMEMBERED = 1024
#: Activations beside the weights while a batch passes, as a share of the weights.
_WORK_SPACE = 1.25
_shared: dict[Hashable, Any] = {}
_loading = threading.RLock()


def shared(key: Hashable, load: Callable[[], Loaded]) -> Loaded:
    """What ``load`` made when this key was first asked for in this process."""
    with _loading:
        if key not in _shared:
            _shared[key] = load()
        found: Loaded = _shared[key]
        return found


def forget_all() -> None:
    """Drop every shared network, and its place on the device."""
    with _loading:
        for loaded in _shared.values():
            if isinstance(loaded, Placed):
                loaded.forget()
        _shared.clear()


def device_of(wanted: str | None) -> str:
    """The device that metrics compute on: the one asked for, else the first GPU where torch sees one."""
    if wanted is not None:
        return wanted
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Placed:
    """A torch module that comes to its device when it is used, and may have to leave for others."""

    def __init__(self, name: str, module: Any, device: str) -> None:
        self.module, self.device = module, device
        size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
        self._handle = (
            None
            if device == "cpu"
            else memory.register(
                name,
                int(size * _WORK_SPACE),
                lambda: module.to(device),
                lambda: module.to("cpu"),
            )
        )

    def resident(self) -> AbstractContextManager[None]:
        """Inside, the module is on its device."""
        if self._handle is None:
            import contextlib

            return contextlib.nullcontext()
        return memory.resident(self._handle)

    def forget(self) -> None:
        if self._handle is not None:
            memory.forget(self._handle)
            self._handle = None


def placed(name: str, digest: str, device: str | None, load: Callable[[], Any]) -> Placed:
    """The one module of these weights on a device; ``load`` makes it where it is the first time."""
    where = device_of(device)
    return shared((name, digest, where), lambda: Placed(name, load(), where))


class ImageFeatures:
    """The features of images by the image's identity. The images themselves are not kept."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._known: OrderedDict[int, tuple[weakref.ref[Image], Features]] = OrderedDict()
        self._turn = threading.Lock()

    def of(
        self, images: Sequence[Image], compute: Callable[[list[Image]], Features]
    ) -> list[Features]:
        """One row for each image; ``compute`` gets those that are new, once each, and answers ``(N, D)``."""
        found: dict[int, Features] = {}
        new: dict[int, Image] = {}
        with self._turn:
            for image in images:
                features = self._get(image)
                if features is not None:
                    found[id(image)] = features
                else:
                    new[id(image)] = image
        if new:
            rows = compute(list(new.values()))
            with self._turn:
                for (key, image), row in zip(new.items(), rows, strict=True):
                    found[key] = row
                    self._known[key] = weakref.ref(image), row
                while len(self._known) > self._limit:
                    self._known.popitem(last=False)
        return [found[id(image)] for image in images]

    def __len__(self) -> int:
        return len(self._known)

    def _get(self, image: Image) -> Features | None:
        entry = self._known.get(id(image))
        # An id is given anew once its image is gone.
        if entry is None or entry[0]() is not image:
            return None
        self._known.move_to_end(id(image))
        return entry[1]


class TextFeatures:
    """The features of texts."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Features] = OrderedDict()
        self._turn = threading.Lock()

    def of(self, texts: Sequence[str], compute: Callable[[list[str]], Features]) -> list[Features]:
        """One row for each text; ``compute`` gets those that are new, once each, and answers ``(N, D)``."""
        with self._turn:
            found = {text: self._known[text] for text in texts if text in self._known}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            found.update(zip(new, compute(new), strict=True))
        with self._turn:
            for text in dict.fromkeys(texts):
                self._known[text] = found[text]
                self._known.move_to_end(text)
            while len(self._known) > self._limit:
                self._known.popitem(last=False)
        return [found[text] for text in texts]
