"""How a metric wants to be called, read from its signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from difftest.errors import ConfigurationError
from difftest.registry import Category

Form = Literal["path", "pil", "array"]

# In this order: `image_path` is a path, not an image.
_BY_ANNOTATION: tuple[tuple[Form, re.Pattern[str]], ...] = (
    ("path", re.compile(r"\b(str|Path|PathLike)\b")),
    ("pil", re.compile(r"\bImage\b")),
    ("array", re.compile(r"\b(ndarray|NDArray|ArrayLike)\b")),
)
_BY_NAME: tuple[tuple[Form, re.Pattern[str]], ...] = (
    ("path", re.compile(r"path|file")),
    ("array", re.compile(r"arr|pixel")),
    ("pil", re.compile(r"image|img|pil|reference|ref")),
)
_PROMPT = re.compile(r"prompts?")
_REFERENCE = re.compile(r"ref(erence)?s?(_.*)?")

#: The methods of a metric class, the better one first.
BATCH_METHOD, PATH_METHOD = "compute_batch", "compute_from_path"
#: Those of a class that takes a whole test in as it comes, and then answers one number.
STREAM_METHOD, VALUE_METHOD = "update", "value"
#: Of a batch metric: where the images lie that the test's are compared with.
REFERENCE_DIR = "reference_dir"


@dataclass(frozen=True)
class Slot:
    """A parameter that takes an image."""

    parameter: str
    form: Form
    #: Of a path: it is asked for as ``str``.
    text: bool = False

    def path(self, path: Path) -> Path | str:
        """The path as the parameter asks for it."""
        return str(path) if self.text else path


@dataclass(frozen=True)
class Call:
    """How to call a metric."""

    #: The method of a metric class, ``None`` for a function.
    method: str | None
    #: Passed by position.
    image: Slot
    prompt: str | None
    reference: Slot | None
    requires_reference: bool

    @property
    def batched(self) -> bool:
        return self.method == BATCH_METHOD

    @property
    def streamed(self) -> bool:
        return self.method == STREAM_METHOD

    @property
    def category(self) -> Category:
        if self.streamed:
            return "batch"
        return "reference" if self.requires_reference else "per_sample"


def read(metric: str, target: Any) -> Call:
    """Raises ``ConfigurationError`` where the signature does not say what to pass."""
    if not isinstance(target, type):
        if not inspect.isfunction(target):
            raise ConfigurationError(
                f"the metric `{metric}` is {target!r}; put @difftest.metric on a function or a class"
            )
        return _read(metric, target, None, list(inspect.signature(target).parameters.values()))
    methods: tuple[str, ...] = (BATCH_METHOD, PATH_METHOD)
    if callable(getattr(target, VALUE_METHOD, None)):
        methods = (STREAM_METHOD, *methods)
    for method in methods:
        function = getattr(target, method, None)
        if function is not None:
            attribute = inspect.getattr_static(target, method)
            bound = isinstance(attribute, (staticmethod, classmethod))
            parameters = list(inspect.signature(function).parameters.values())
            return _read(metric, function, method, parameters[0 if bound else 1 :])
    raise ConfigurationError(
        f"the class of the metric `{metric}` has neither `{BATCH_METHOD}(self, images, prompts, "
        f"references)` nor `{PATH_METHOD}(self, image_path, prompt=None, reference_path=None)` nor, for all "
        f"images of a test, `{STREAM_METHOD}(self, images)` and `{VALUE_METHOD}(self)`"
    )


def _read(
    metric: str,
    function: Callable[..., Any],
    method: str | None,
    parameters: list[inspect.Parameter],
) -> Call:
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ConfigurationError(
            f"the metric `{metric}` takes no image; its first parameter is the image: "
            "`def metric(image): ...`"
        )
    annotations = _annotations(function)
    first, *others = parameters
    form = "path" if method == PATH_METHOD else _form(first.name, annotations.get(first.name))
    if form is None:
        raise ConfigurationError(
            f"the metric `{metric}` does not say what its parameter `{first.name}` is; name it "
            "`image` (PIL), `array` (uint8, height x width x 3) or `image_path`, or annotate it"
        )
    image = Slot(first.name, form, _as_text(annotations.get(first.name)))
    prompt, reference, requires_reference = None, None, False
    for other in others:
        if other.kind in (other.VAR_POSITIONAL, other.VAR_KEYWORD):
            continue
        by_name = other.kind is not other.POSITIONAL_ONLY
        required = other.default is other.empty
        if by_name and _PROMPT.fullmatch(other.name):
            prompt = other.name
        elif by_name and _REFERENCE.fullmatch(other.name):
            requires_reference = required
            own = _BY_NAME[:2] if annotations.get(other.name) is None else _BY_NAME
            chosen = _form(other.name, annotations.get(other.name), own) or form
            reference = Slot(
                other.name,
                "path" if method == PATH_METHOD else chosen,
                _as_text(annotations.get(other.name)),
            )
        elif required:
            raise ConfigurationError(
                f"the metric `{metric}` needs `{other.name}`, which difftest does not know; a "
                "metric takes the image, and `prompt` and `reference` if it wants them"
            )
    if method in (BATCH_METHOD, STREAM_METHOD):
        requires_reference = False  # it takes the three lists, whatever it does with them
    return Call(method, image, prompt, reference, requires_reference)


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """Evaluated where possible; names that exist for the type checker alone stay text."""
    try:
        return inspect.get_annotations(function, eval_str=True)
    except Exception:  # noqa: BLE001  (annotations are any expression, and may fail in any way)
        return inspect.get_annotations(function)


def _as_text(annotation: Any) -> bool:
    """Whether a path is to be a ``str``: annotated as one, and not as ``Path`` or ``PathLike[str]``."""
    text = annotation if isinstance(annotation, str) else repr(annotation)
    return bool(re.search(r"\bstr\b", text)) and not re.search(r"Path", text)


def _form(
    name: str, annotation: Any, by_name: tuple[tuple[Form, re.Pattern[str]], ...] = _BY_NAME
) -> Form | None:
    if annotation is not None:
        text = annotation if isinstance(annotation, str) else repr(annotation)
        for form, pattern in _BY_ANNOTATION:
            if pattern.search(text):
                return form
    for form, pattern in by_name:
        if pattern.search(name.lower()):
            return form
    return None
