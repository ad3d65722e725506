"""``diffusers``: any text-to-image pipeline of diffusers, by hub id or folder."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from difftest.errors import DifftestError, GeneratorError, MissingDependencyError
from difftest.generators import options, weights
from difftest.generators.adapter import Adapter
from difftest.generators.environment import versions
from difftest.nearest import suggestion
from difftest.traces import describe

if TYPE_CHECKING:
    from difftest.generators import Options

NAME = "diffusers"
EXTRA = "diffusers"
#: What decides an image besides the weights; another version is another recipe.
_LIBRARIES = ("accelerate", "diffusers", "peft", "torch", "transformers")
#: Files of a diffusers folder that are read; of weights in other formats only where pickles are allowed.
_READ = (".json", ".model", ".py", ".safetensors", ".txt")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class DiffusersOptions:
    """The table ``[options]``."""

    #: A branch, a tag or a commit of the hub.
    revision: str | None = None
    #: Which files of several, for instance ``fp16``.
    variant: str | None = None
    #: Class of diffusers, where it shall be another than the model says.
    pipeline: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    #: As in diffusers: ``balanced``, ``cpu`` or the card's kind. It takes the place of the device.
    device_map: str | None = None
    #: ``model`` moves whole components to the card and back, ``sequential`` layer by layer.
    cpu_offload: Literal["model", "sequential"] | None = None
    #: ``auto`` and ``max`` as in diffusers, or how many heads at a time.
    attention_slicing: int | Literal["auto", "max"] | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False
    #: Of Stable Diffusion 1 and 2: images that it withholds are failures. ``false`` leaves it out.
    safety_checker: bool = True
    #: Weights that are Python pickles run code when they are read.
    allow_pickle: bool = False
    #: Python code that comes with the model.
    trust_remote_code: bool = False
    #: Nothing is downloaded.
    local_files_only: bool = False
    #: Further arguments of the pipeline's call, for instance ``max_sequence_length``.
    call: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AdaptedOptions:
    """The table ``[options]`` for a pipeline that the repository under test made itself."""

    allow_pickle: bool = False
    local_files_only: bool = False
    call: dict[str, Any] = field(default_factory=dict)


def load(asked: Options) -> Adapter:
    """The pipeline, its weights on the device. Raises ``GeneratorError``."""
    chosen = options.read(DiffusersOptions, asked.options, generator=NAME)
    _check(chosen)
    try:
        import diffusers
        import torch
        import transformers  # noqa: F401  nearly every pipeline has a text encoder of it
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(
            missing.name or "diffusers", f"the generator `{NAME}`", extra=EXTRA
        ) from missing
    from difftest.generators.diffusers_loras import Loras
    from difftest.generators.diffusers_pipeline import DiffusersPipeline

    check_device(torch, asked.device)
    kind = _class(diffusers, chosen.pipeline)
    folder, commit = _folder(kind, asked, chosen)
    arguments: dict[str, Any] = {
        "torch_dtype": getattr(torch, chosen.dtype),
        "variant": chosen.variant,
        "trust_remote_code": chosen.trust_remote_code,
        "local_files_only": True,
    }
    if not chosen.allow_pickle:
        arguments["use_safetensors"] = True
    if chosen.device_map is not None:
        arguments["device_map"] = chosen.device_map
    # What the model says it does without, diffusers wants to be told.
    arguments |= dict.fromkeys(_absent(folder))
    if not chosen.safety_checker:
        arguments |= {"safety_checker": None, "requires_safety_checker": False}
    with _explained(asked, chosen):
        pipeline = kind.from_pretrained(str(folder), **arguments)
        place(pipeline, chosen, asked.device)
    loras = Loras(
        pipeline,
        root=Path(asked.root),
        allow_pickle=chosen.allow_pickle,
        local_files_only=chosen.local_files_only,
    )
    said = {
        "backend": "diffusers",
        "model": asked.model,
        "revision": commit,
        "pipeline": type(pipeline).__name__,
        **{name: value for name, value in asdict(chosen).items() if name != "revision"},
    }

    def fingerprint() -> str:
        libraries = {name: found for name, found in versions().items() if name in _LIBRARIES}
        return weights.of_json(
            {
                "weights": weights.of_files(folder, _files(folder, chosen)),
                "loras": loras.digests(asked.recipe.get("loras") or ()),
                "said": {**said, "model": None, "revision": None},
                "versions": libraries,
            }
        )

    target = DiffusersPipeline(
        pipeline,
        asked.model,
        loras=loras,
        call=chosen.call,
        fingerprint=fingerprint,
        said=said,
        device=asked.device,
        moves=chosen.device_map is None and chosen.cpu_offload is None,
    )
    return Adapter(NAME, target, device=asked.device)


def adapt(
    name: str,
    pipeline: Any,
    asked: Options,
    *,
    sources: Callable[[], Sequence[Path]],
    shared_options: bool,
) -> Adapter:
    """A pipeline that the repository's factory made, left where the factory put it. ``sources`` are its files.

    ``shared_options`` says that the factory has read the options too: those that are not ours are its own.
    """
    from difftest.generators.diffusers_loras import Loras
    from difftest.generators.diffusers_pipeline import DiffusersPipeline

    ours = AdaptedOptions.__dataclass_fields__
    given = {
        key: value for key, value in asked.options.items() if key in ours or not shared_options
    }
    chosen = options.read(AdaptedOptions, given, generator=name)
    loras = Loras(
        pipeline,
        root=Path(asked.root),
        allow_pickle=chosen.allow_pickle,
        local_files_only=chosen.local_files_only,
    )
    said = {
        "backend": "diffusers",
        "pipeline": type(pipeline).__name__,
        "dtype": str(getattr(pipeline, "dtype", "")).removeprefix("torch."),
        "call": chosen.call,
    }

    def fingerprint() -> str:
        import torch

        parts = getattr(pipeline, "components", {})
        modules = {key: part for key, part in parts.items() if isinstance(part, torch.nn.Module)}
        configs = {key: dict(part.config) for key, part in parts.items() if _has_config(part)}
        libraries = {found: at for found, at in versions().items() if found in _LIBRARIES}
        return weights.of_json(
            {
                "sources": [weights.of_file(file) for file in sources()],
                "weights": weights.of_modules(modules),
                "configs": configs,
                "loras": loras.digests(asked.recipe.get("loras") or ()),
                "said": said,
                "versions": libraries,
            }
        )

    target = DiffusersPipeline(
        pipeline,
        name,
        loras=loras,
        call=chosen.call,
        fingerprint=fingerprint,
        said=said,
        device=str(getattr(pipeline, "device", asked.device)),
        moves=False,
    )
    return Adapter(name, target, device=asked.device)


def _has_config(part: Any) -> bool:
    return hasattr(getattr(part, "config", None), "keys") and not hasattr(part, "state_dict")


def _check(chosen: DiffusersOptions) -> None:
    if chosen.device_map is not None and chosen.cpu_offload is not None:
        raise GeneratorError(
            "the options `device_map` and `cpu_offload` are both set, and both say where the weights lie; leave one out"
        )


def check_device(torch: Any, device: str) -> None:
    """Raises ``GeneratorError`` for a device that torch does not know or that is not here."""
    try:
        kind = torch.device(device).type
    except RuntimeError as unknown:
        known = ["cpu", "cuda", "mps", "xpu"]
        raise GeneratorError(
            f"the device is `{device}`, which torch does not know; {suggestion(device.partition(':')[0], known)}"
        ) from unknown
    backend = getattr(torch, kind, None) if kind != "mps" else torch.backends.mps
    if kind == "cpu" or (backend is not None and backend.is_available()):
        index = torch.device(device).index or 0
        if kind == "cuda" and index >= torch.cuda.device_count():
            count = torch.cuda.device_count()
            raise GeneratorError(
                f"the device is `{device}`, but there are {count} cards here, from `cuda:0` on"
            )
        return
    raise GeneratorError(
        f"the device is `{device}`, but this torch ({torch.__version__}) finds none here; install the torch that is "
        "built for it, look at the driver, or choose the device `cpu`"
    )


def _class(diffusers: Any, name: str | None) -> Any:
    if name is None:
        return diffusers.DiffusionPipeline
    known = [word for word in dir(diffusers) if word.endswith("Pipeline")]
    if name not in known:
        raise GeneratorError(
            f"the option `pipeline` is `{name}`, which diffusers {diffusers.__version__} does not have; "
            f"{suggestion(name, known)}"
        )
    return getattr(diffusers, name)


def _folder(kind: Any, asked: Options, chosen: DiffusersOptions) -> tuple[Path, str | None]:
    """Where the model's files lie, and of which commit of the hub they are."""
    folder = Path(asked.root) / Path(asked.model).expanduser()
    if folder.is_dir():
        if chosen.revision is not None:
            raise GeneratorError(
                f"the option `revision` is `{chosen.revision}`, and the model {asked.model} is a folder, which has "
                "none; leave it out, or name the model by its hub id"
            )
        if not (folder / "model_index.json").is_file():
            raise GeneratorError(
                f"the model is the folder {asked.model}, which is no diffusers folder: it has no model_index.json"
            )
        return folder, None
    if asked.model.count("/") != 1 or asked.model.startswith((".", "/", "~")):
        raise GeneratorError(
            f"the model is `{asked.model}`, which is neither a folder in {asked.root} nor a hub id (`owner/name`)"
        )
    with _explained(asked, chosen):
        # Without this, safetensors are preferred and pickles taken in their absence.
        only = {} if chosen.allow_pickle else {"use_safetensors": True}
        snapshot = Path(
            kind.download(
                asked.model,
                revision=chosen.revision,
                variant=chosen.variant,
                trust_remote_code=chosen.trust_remote_code,
                local_files_only=chosen.local_files_only,
                **only,
            )
        )
    return snapshot, snapshot.name


def place(pipeline: Any, chosen: DiffusersOptions, device: str) -> None:
    """Where its weights lie, and how it saves memory."""
    if chosen.attention_slicing is not None:
        pipeline.enable_attention_slicing(chosen.attention_slicing)
    for wanted, name in ((chosen.vae_slicing, "slicing"), (chosen.vae_tiling, "tiling")):
        if not wanted:
            continue
        enable = getattr(getattr(pipeline, "vae", None), f"enable_{name}", None)
        if enable is None:
            raise GeneratorError(
                f"the option `vae_{name}` is set, and the VAE of {type(pipeline).__name__} knows no {name}"
            )
        enable()
    if chosen.cpu_offload is None:
        if chosen.device_map is None:
            pipeline.to(device)
    elif device == "cpu":
        raise GeneratorError(
            f"the option `cpu_offload` is `{chosen.cpu_offload}`, and the device is `cpu` already; choose a card, or "
            "leave it out"
        )
    else:
        getattr(pipeline, f"enable_{chosen.cpu_offload}_cpu_offload")(device=device)


def _absent(folder: Path) -> list[str]:
    """Components that the model does without."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    return [name for name, of in index.items() if isinstance(of, list) and of == [None, None]]


def _files(folder: Path, chosen: DiffusersOptions) -> Iterator[Path]:
    """The files that the pipeline may have been read from."""
    wanted = (*_READ, *_PICKLES) if chosen.allow_pickle else _READ
    for file in folder.rglob("*"):
        inside = file.relative_to(folder).parts
        if file.suffix in wanted and file.is_file() and not any(p.startswith(".") for p in inside):
            yield file


@contextlib.contextmanager
def _explained(asked: Options, chosen: DiffusersOptions) -> Iterator[None]:
    """What the libraries say when a model does not load, with what to do about it."""
    try:
        with _quiet():
            yield
    except DifftestError:
        raise
    except ModuleNotFoundError as missing:
        raise MissingDependencyError(missing.name or "?", f"the model {asked.model}") from missing
    except Exception as broken:
        what = f"{asked.model} at {chosen.revision}" if chosen.revision else asked.model
        raise GeneratorError(
            f"the model {what} did not load: {describe(broken)}{_mend(broken, chosen)}"
        ).with_traceback(broken.__traceback__) from broken


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Progress bars, and warnings of what one library thinks of another, are nothing for a run's log."""
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _mend(broken: Exception, chosen: DiffusersOptions) -> str:
    kind, said = type(broken).__name__, str(broken)
    if "safetensors" in said and not chosen.allow_pickle:
        return (
            ". Only safetensors are read: have the model converted, or, if you trust whoever made it with running "
            "code on this machine, set allow_pickle = true in [options]"
        )
    if "remote code" in said or "custom code" in said or "trust_remote_code" in said:
        return (
            ". It comes with code of its own, which is not run: if you have read it, set trust_remote_code = true in "
            "[options], with the `revision` that you have read"
        )
    if kind == "RevisionNotFoundError":
        return ". The option `revision` is a branch, a tag or a whole commit of that repository"
    if kind in ("RepositoryNotFoundError", "GatedRepoError"):
        return ". Is the name right? For a private or a gated model, log in: `hf auth login`, or set HF_TOKEN"
    if kind == "LocalEntryNotFoundError" or "offline" in said or "cached" in said:
        return ". It is not in the hub's cache on this machine, and the hub was not asked or not reached"
    return ""
