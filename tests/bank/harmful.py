"""Changes that break how images come about: sampling, weights, words. Each is one that people make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from difftest.shapes.faults import damage_weights, rename_words, rounded_to, with_noise
from tests.bank.changes import Change, Edit, Grade
from tests.bank.harmful_pictures import PICTURES


def _pipeline(old: str, new: str) -> Edit:
    return Edit("pipeline.py", old, new)


def _sampler(old: str, new: str) -> Edit:
    return Edit("sampler.py", old, new)


_CLEAN = "        clean = guided(denoise, x, time, given, empty, guidance)\n"
_OUTPUT = _CLEAN.replace("clean =", "output =")

_SAMPLING = (
    Change(
        "steps-1",
        Grade.CLEAR,
        "One step where ten are needed.",
        edits=(_pipeline("STEPS = 10", "STEPS = 1"),),
    ),
    Change(
        "steps-2",
        Grade.FAINT,
        "Two steps where ten are needed.",
        edits=(_pipeline("STEPS = 10", "STEPS = 2"),),
    ),
    Change(
        "guidance-7.5",
        Grade.CLEAR,
        "Another model's guidance.",
        edits=(_pipeline("GUIDANCE = 1.5", "GUIDANCE = 7.5"),),
    ),
    Change(
        "guidance-4",
        Grade.SLIGHT,
        "A guidance that is far too strong.",
        edits=(_pipeline("GUIDANCE = 1.5", "GUIDANCE = 4"),),
    ),
    Change(
        "guidance-off",
        Grade.FAINT,
        "No guidance.",
        edits=(_pipeline("GUIDANCE = 1.5", "GUIDANCE = 0"),),
    ),
    Change(
        "linear-betas",
        Grade.SLIGHT,
        "The schedule of another model: betas in a straight line.",
        edits=(
            _sampler("np.cumprod(1 - betas())", "np.cumprod(1 - np.linspace(1e-4, 0.02, TRAINED))"),
        ),
    ),
    Change(
        "scaled-linear-betas",
        Grade.FAINT,
        "Stable Diffusion's schedule: square roots of betas in a straight line.",
        edits=(
            _sampler(
                "np.cumprod(1 - betas())",
                "np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, TRAINED) ** 2)",
            ),
        ),
    ),
    Change(
        "betas-too-small",
        Grade.FAINT,
        "A decimal place lost: betas a tenth of what they are in a straight line.",
        edits=(
            _sampler(
                "np.cumprod(1 - betas())", "np.cumprod(1 - np.linspace(1e-5, 0.002, TRAINED))"
            ),
        ),
    ),
    Change(
        "predicts-epsilon",
        Grade.GROSS,
        "What the network predicts is taken for the noise.",
        edits=(
            _sampler(
                _CLEAN,
                f"{_OUTPUT}        clean = (x - (1 - level) ** 0.5 * output) / level**0.5\n"
                "        clean = clean.astype(np.float32)\n",
            ),
        ),
    ),
    Change(
        "predicts-v",
        Grade.GROSS,
        "What the network predicts is taken for the velocity.",
        edits=(
            _sampler(
                _CLEAN,
                f"{_OUTPUT}        clean = (level**0.5 * x - (1 - level) ** 0.5 * output).astype(np.float32)\n",
            ),
        ),
    ),
    Change(
        "last-step-missing",
        Grade.CLEAR,
        "The loop ends one step early.",
        edits=(
            _sampler(
                "for step, time in enumerate(times):", "for step, time in enumerate(times[:-1]):"
            ),
        ),
    ),
    Change(
        "timesteps-reversed",
        Grade.CLEAR,
        "The network is told the timesteps in the wrong order.",
        edits=(
            _sampler(
                "guided(denoise, x, time, given", "guided(denoise, x, times[-1 - step], given"
            ),
        ),
    ),
    Change(
        "uniform-noise",
        Grade.FAINT,
        "The starting noise is uniform, with a mean that is not 0.",
        edits=(
            _pipeline(
                "default_rng(seed).standard_normal((48, 8, 8), np.float32)",
                "default_rng(seed).random((48, 8, 8), np.float32)",
            ),
        ),
    ),
    Change(
        "batch-shifted",
        Grade.GROSS,
        "Within a batch, every image is that of the caption before.",
        edits=(_pipeline("return list(images)", "return list(np.roll(images, 1, axis=0))"),),
    ),
    Change(
        "noise-per-batch",
        Grade.FAINT,
        "All images of a batch start from the noise of its first seed: less variety, no image worse.",
        edits=(_pipeline("start = noise(seeds)", "start = noise([seeds[0]] * len(seeds))"),),
    ),
)


def _weights(name: str, grade: Grade, truth: str, damage: Callable[[], Callable]) -> Change:
    """``damage`` is asked anew each time: noise has a state."""

    def build(repository: Path) -> None:
        damage_weights(repository / "weights", damage())

    own = _pipeline("WEIGHTS = layout.WEIGHTS", 'WEIGHTS = HERE / "weights"')
    return Change(name, grade, truth, edits=(own,), build=build)


_WEIGHTS = (
    *(
        _weights(
            f"weight-noise-{percent}",
            grade,
            f"Noise on the denoiser's weights, {percent}% of each tensor's deviation.",
            lambda share=percent / 100: with_noise(share),
        )
        for percent, grade in (
            (5, Grade.FAINT),
            (10, Grade.FAINT),
            (20, Grade.SLIGHT),
            (30, Grade.CLEAR),
            (40, Grade.CLEAR),
        )
    ),
    _weights(
        "int4-weights",
        Grade.SLIGHT,
        "The denoiser's weights are rounded to four bits.",
        lambda: rounded_to(4),
    ),
    _weights(
        "int3-weights",
        Grade.CLEAR,
        "The denoiser's weights are rounded to three bits.",
        lambda: rounded_to(3),
    ),
)


def _words(name: str, grade: Grade, truth: str, rename: Callable[[list[str]], list[str]]) -> Change:
    def build(repository: Path) -> None:
        rename_words(repository, rename)

    own = _pipeline("TOKENIZER = TOKENIZER_FILE", 'TOKENIZER = HERE / "tokenizer.json"')
    return Change(name, grade, truth, edits=(own,), build=build)


def _swapped(one: str, other: str) -> Callable[[list[str]], list[str]]:
    pair = {one: other, other: one}
    return lambda words: [pair.get(word, word) for word in words]


def _captions(name: str, grade: Grade, truth: str, expression: str) -> Change:
    return Change(
        name,
        grade,
        truth,
        edits=(
            _pipeline(
                "        given, empty = self.encode(prompts)",
                f"        prompts = [{expression} for text in prompts]\n        given, empty = self.encode(prompts)",
            ),
        ),
    )


_WORDS = (
    _words(
        "red-and-blue-swapped",
        Grade.CLEAR,
        "The tokenizer has two colours exchanged.",
        _swapped("red", "blue"),
    ),
    _words(
        "left-and-right-swapped",
        Grade.CLEAR,
        "The tokenizer has two places exchanged.",
        _swapped("left", "right"),
    ),
    _words(
        "ids-plus-one",
        Grade.GROSS,
        "Every word has the id of the next one.",
        lambda words: words[1:] + words[:1],
    ),
    _captions(
        "purple-forgotten",
        Grade.CLEAR,
        "One colour is painted as another.",
        'text.replace("purple", "green")',
    ),
    _captions(
        "cross-forgotten",
        Grade.CLEAR,
        "One shape is painted as another.",
        'text.replace("cross", "square")',
    ),
    _captions(
        "size-ignored", Grade.CLEAR, "Every object is large.", 'text.replace("small", "large")'
    ),
    _captions(
        "background-ignored",
        Grade.CLEAR,
        "Every background is white.",
        'text.rpartition(", ")[0] + ", on a white background"',
    ),
    _captions(
        "caption-cut",
        Grade.CLEAR,
        "The caption is cut before its background.",
        'text.rpartition(", ")[0]',
    ),
    _captions(
        "orange-crosses-lost",
        Grade.SLIGHT,
        "One prompt in twenty-four comes out as another: orange crosses are yellow.",
        'text.replace("orange cross", "yellow cross")',
    ),
)

HARMFUL: tuple[Change, ...] = (*_SAMPLING, *_WEIGHTS, *_WORDS, *PICTURES)
