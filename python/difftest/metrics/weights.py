"""Where the weights of metrics come from. They are found, or the metric says what is missing: never made up.

One folder holds them, ``DIFFTEST_WEIGHTS_DIR`` (else ``~/.cache/difftest/weights``): single files by their published
names, models of the Hugging Face hub as ``ORGANISATION/NAME/``. The caches that PyTorch and Hugging Face keep are
looked into as well. What is in none of them is downloaded, unless ``HF_HUB_OFFLINE`` is set.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difftest.errors import MetricError
from difftest.traces import describe

FOLDER_VARIABLE = "DIFFTEST_WEIGHTS_DIR"
#: The weights of a hub's model, whole or sharded. Some keep those of other programs beside them.
SAFETENSORS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
_PATHS = ("/", "~", "./", "../")
#: Seconds without an answer after which a download is given up.
_PATIENCE = 20.0
_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """A file of weights that its authors published under one name."""

    metric: str
    name: str
    url: str
    #: How the SHA-256 of the published file begins, where its authors say so.
    sha256_prefix: str = ""


@dataclass(frozen=True)
class Repository:
    """A model on the Hugging Face hub."""

    metric: str
    name: str
    #: Every file that is needed, as glob patterns.
    patterns: tuple[str, ...]


def folder() -> Path:
    """Where weights are looked for first, and where downloads go."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "difftest" / "weights"


def find(file: File) -> Path:
    """The file on this machine. Raises ``MetricError`` with its address and its place where it cannot be had."""
    places = [folder() / file.name, _torch_hub() / file.name]
    for place in places:
        if place.is_file():
            _check_published(place, file)
            return place
    target = places[0]
    try:
        if _offline():
            raise OSError("HF_HUB_OFFLINE is set")
        _download(file, target)
    except OSError as failed:
        raise MetricError(
            f"{file.metric} needs the weights {file.name}, which are not on this machine and could not be "
            f"downloaded ({describe(failed)}); download {file.url} and put it at {target} (or set "
            f"{FOLDER_VARIABLE} to the folder that holds it)"
        ) from failed
    return target


def find_repository(repository: Repository) -> Path:
    """The folder of a model of the hub, or of a local path. Raises ``MetricError`` as ``find`` does.

    A path begins with ``/``, ``~``, ``./`` or ``../``: a folder of the repository under test that has the name of a
    hub's model never takes its place.
    """
    if repository.name.startswith(_PATHS):
        named = Path(repository.name).expanduser()
        if not named.is_dir():
            raise MetricError(f"{repository.metric} needs the model in {named}, which is no folder")
        return named
    own = folder() / repository.name
    if own.is_dir():
        return own
    from huggingface_hub import snapshot_download

    wanted = list(repository.patterns)
    try:
        return Path(
            snapshot_download(repository.name, allow_patterns=wanted, local_files_only=True)
        )
    except Exception:  # noqa: BLE001  (whatever kept it from being in the cache, the hub is asked next)
        pass
    try:
        if _offline():
            raise OSError("HF_HUB_OFFLINE is set")
        return Path(
            snapshot_download(repository.name, allow_patterns=wanted, etag_timeout=_PATIENCE)
        )
    except Exception as failed:
        raise MetricError(
            f"{repository.metric} needs the model {repository.name}, which is not on this machine and could "
            f"not be downloaded ({describe(failed)}); run `hf download {repository.name}` where there is a "
            f"network, or put its files ({', '.join(wanted)}) into {own} (or set {FOLDER_VARIABLE})"
        ) from failed


def digest(files: Iterable[Path]) -> str:
    """``sha256:…`` of one file; of several, over their digests in the order of their names."""
    named = sorted(files, key=lambda file: file.name)
    each = [f"sha256:{_sha256(str(file.resolve()), *_state(file))}" for file in named]
    return each[0] if len(each) == 1 else combined(each)


def combined(digests: Iterable[str]) -> str:
    """One ``sha256:…`` of several, in the order given."""
    total = hashlib.sha256()
    for one in digests:
        total.update(bytes.fromhex(one.removeprefix("sha256:")))
    return f"sha256:{total.hexdigest()}"


def safetensors_files(metric: str, model: Path) -> list[Path]:
    """The weights of a model folder, in one file or sharded. Pickles are refused: they run code."""
    found = {file for pattern in SAFETENSORS[:2] for file in model.glob(pattern)}
    if not found:
        raise MetricError(
            f"{metric}: {model} holds no {SAFETENSORS[0]}; other formats are not loaded"
        )
    return sorted(found)


def tensors(metric: str, file: Path) -> dict[str, Any]:
    """The tensors of a ``.pt`` or ``.pth`` file. One cut short, or holding anything else, is a ``MetricError``."""
    import torch

    try:
        # `weights_only`: tensors and plain containers, no code.
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as broken:
        raise MetricError(
            f"{metric}: the weights {file} cannot be read ({describe(broken)}); the file is incomplete or "
            "no file of tensors: delete it and download it again"
        ) from broken
    if not isinstance(loaded, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        raise MetricError(f"{metric}: {file} holds no tensors by name")
    return dict(loaded)


def fill(metric: str, module: Any, state: Mapping[str, Any], source: Path) -> None:
    """Load a module's every tensor by name and shape, none left out and none left over; then freeze it."""
    own = module.state_dict()
    _check_keys(
        metric, source, missing=own.keys() - state.keys(), surplus=state.keys() - own.keys()
    )
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise MetricError(
                f"{metric}: in {source}, `{name}` has the shape {tuple(state[name].shape)}; "
                f"{tuple(tensor.shape)} was expected: these are the weights of another model"
            )
    module.load_state_dict(state, strict=True)
    module.eval().requires_grad_(False)


def from_folder(metric: str, model_class: Any, model: Path, **options: Any) -> Any:
    """A transformers model of a folder, every tensor from its files, in float32 and frozen.

    ``from_pretrained`` alone fills what is missing with random numbers and a warning.
    """
    safetensors_files(metric, model)
    from transformers.utils import logging as transformers_logging

    # Standard error belongs to the run's own progress; what is wrong is said below.
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        loaded, report = model_class.from_pretrained(
            model,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # not ignored: refused below, by name
            **options,
        )
    except Exception as broken:
        raise MetricError(
            f"{metric}: the model in {model} cannot be loaded ({describe(broken)})"
        ) from broken
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    # Old checkpoints carry the position ids, which are not weights: 0, 1, 2 …
    surplus = {name for name in report["unexpected_keys"] if not str(name).endswith("position_ids")}
    _check_keys(metric, model, missing=set(report["missing_keys"]), surplus=surplus)
    for name, found, expected in report.get("mismatched_keys", ()):
        raise MetricError(
            f"{metric}: in {model}, `{name}` has the shape {tuple(found)}; {tuple(expected)} was expected: "
            "these are the weights of another model"
        )
    return loaded.float().eval().requires_grad_(False)


def _check_keys(metric: str, source: Path, missing: set[str], surplus: set[str]) -> None:
    faults = [
        f"{what} {_some(names)}" for what, names in (("lacks", missing), ("has", surplus)) if names
    ]
    if faults:
        raise MetricError(
            f"{metric}: {source} {' and '.join(faults)}: these are the weights of another model"
        )


def _some(names: Iterable[str], shown: int = 3) -> str:
    every = sorted(names)
    more = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(f"`{name}`" for name in every[:shown]) + more


def _torch_hub() -> Path:
    """Where ``torch.hub`` keeps checkpoints, by its documented rule; torch need not be imported for it."""
    home = os.environ.get("TORCH_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home or f"{cache}/torch").expanduser() / "hub" / "checkpoints"


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _check_published(place: Path, file: File) -> None:
    if file.sha256_prefix and not digest([place]).startswith(f"sha256:{file.sha256_prefix}"):
        raise MetricError(
            f"{file.metric}: {place} is not the published {file.name}: its SHA-256 begins with "
            f"{digest([place])[7:15]}, {file.sha256_prefix} was expected; delete it and download it again"
        )


def _download(file: File, target: Path) -> None:
    """To a name of its own first: a download that breaks off leaves no half file under the true name."""
    import tempfile
    import urllib.request

    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        urllib.request.urlopen(file.url, timeout=_PATIENCE) as answer,
        tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part,
    ):
        try:
            expected = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                part.write(chunk)
            part.flush()
            written = part.tell()
            if expected is not None and written != int(expected):
                raise OSError(f"{written} of {expected} bytes came")
            _check_published(Path(part.name), file)
            Path(part.name).chmod(0o644)
            Path(part.name).replace(target)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _state(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_size, about.st_mtime_ns


@functools.lru_cache(maxsize=256)
def _sha256(path: str, size: int, changed_ns: int) -> str:  # noqa: ARG001  (they decide what is remembered)
    total = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()
