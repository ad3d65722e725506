"""Changes that no one should hear of."""

from __future__ import annotations

import shutil
from pathlib import Path

from difftest.shapes import layout, safetensors_file
from difftest.shapes.faults import damage_weights, rounded_to
from tests.bank.changes import TEST_FILE, Change, Edit, Grade


def _pipeline(old: str, new: str) -> Edit:
    return Edit("pipeline.py", old, new)


def _sampler(old: str, new: str) -> Edit:
    return Edit("sampler.py", old, new)


_OWN_WEIGHTS = _pipeline("WEIGHTS = layout.WEIGHTS", 'WEIGHTS = HERE / "weights"')
_LEVEL = "signal_levels(), visited(steps), start"
_CLEAN = "        clean = guided(denoise, x, time, given, empty, guidance)\n"
_REST = "        rest = (x - np.float32(level**0.5) * clean) / np.float32((1 - level) ** 0.5)\n"
_STEP = (
    "        x = np.float32(following**0.5) * clean + np.float32((1 - following) ** 0.5) * rest\n"
)
_BOTH = """    both = denoise(np.concatenate([x, x]), timestep, np.concatenate([empty, given]))
    without, with_caption = both[: len(x)], both[len(x) :]
"""
_GUIDED = '''def guided(denoise, x, timestep, given, empty, guidance):
    """The prediction, led away from what the empty caption gives."""
    if guidance <= 1:
        return denoise(x, timestep, given)
    both = denoise(np.concatenate([x, x]), timestep, np.concatenate([empty, given]))
    without, with_caption = both[: len(x)], both[len(x) :]
    return without + np.float32(guidance) * (with_caption - without)


'''


def _resave_weights(repository: Path) -> None:
    folder = repository / "weights"
    shutil.copytree(layout.WEIGHTS, folder, ignore=shutil.ignore_patterns("clip"))
    for name in (layout.UNET_FILE, layout.TEXT_ENCODER_FILE):
        safetensors_file.write(folder / name, safetensors_file.read(folder / name))


def _int8_weights(repository: Path) -> None:
    damage_weights(repository / "weights", rounded_to(8))


_CODE = (
    Change(
        "refactor-settings",
        Grade.IDENTICAL,
        "The settings move into a dataclass.",
        edits=(
            _pipeline(
                "from pathlib import Path\n",
                "from dataclasses import dataclass\nfrom pathlib import Path\n",
            ),
            _pipeline(
                "STEPS = 10\nGUIDANCE = 1.5\n",
                "\n@dataclass(frozen=True)\nclass Settings:\n    steps: int = 10\n"
                "    guidance: float = 1.5\n\n\nSETTINGS = Settings()\n",
            ),
            _pipeline(
                "steps=STEPS, guidance=GUIDANCE", "steps=SETTINGS.steps, guidance=SETTINGS.guidance"
            ),
        ),
    ),
    Change(
        "refactor-guidance",
        Grade.IDENTICAL,
        "A function moves into a module of its own.",
        files={
            "guidance.py": f'"""Classifier-free guidance."""\n\nimport numpy as np\n\n\n{_GUIDED}'
        },
        edits=(
            _sampler(_GUIDED, ""),
            _sampler("import numpy as np\n", "import numpy as np\nfrom guidance import guided\n"),
        ),
    ),
    Change(
        "refactor-loop",
        Grade.IDENTICAL,
        "The sampler's loop becomes a generator of pairs of levels.",
        edits=(
            _sampler(
                "    for step, time in enumerate(times):\n        level = levels[time]\n"
                "        following = levels[times[step + 1]] if step + 1 < steps else 1.0\n",
                "    ahead = [*(levels[time] for time in times[1:]), 1.0]\n"
                "    for time, following in zip(times, ahead, strict=True):\n        level = levels[time]\n",
            ),
        ),
    ),
    Change(
        "renamed-modules",
        Grade.IDENTICAL,
        "Two modules have other names.",
        renames={"sampler.py": "ddim.py", "pictures.py": "rendering.py"},
        edits=(
            _pipeline(
                "from pictures import draw\nfrom sampler import sample\n",
                "from ddim import sample\nfrom rendering import draw\n",
            ),
        ),
    ),
    Change(
        "renamed-pipeline",
        Grade.IDENTICAL,
        "The module and the factory that the configuration names have other names.",
        renames={"pipeline.py": "painter.py"},
        edits=(
            Edit("difftest.toml", '"pipeline:make"', '"painter:new"'),
            Edit("painter.py", "def make():", "def new():"),
        ),
    ),
    Change(
        "comments",
        Grade.IDENTICAL,
        "Comments and docstrings are added.",
        edits=(
            _pipeline("STEPS = 10\n", "# More are slower, and no better.\nSTEPS = 10\n"),
            _pipeline("class Pipeline:\n", 'class Pipeline:\n    """Captions to pictures."""\n\n'),
        ),
    ),
    Change(
        "log-lines",
        Grade.IDENTICAL,
        "It says what it is doing, by logging and on the standard output.",
        edits=(
            _pipeline("from pathlib import Path\n", "import logging\nfrom pathlib import Path\n"),
            _pipeline(
                "        start = noise(seeds)\n",
                '        logging.getLogger(__name__).info("%d captions", len(prompts))\n'
                '        print("making", len(prompts), "pictures")\n        start = noise(seeds)\n',
            ),
        ),
    ),
    Change(
        "lazy-loading",
        Grade.IDENTICAL,
        "The networks are loaded when they are first used.",
        edits=(
            _pipeline("from pathlib import Path\n", "import functools\nfrom pathlib import Path\n"),
            _pipeline(
                "    def __init__(self):\n        runtime = Runtime(threads=THREADS)\n"
                "        self.words = Words(TOKENIZER)\n"
                "        self.text_encoder = Graph(WEIGHTS / layout.TEXT_ENCODER_GRAPH, runtime)\n"
                "        self.unet = Graph(WEIGHTS / layout.UNET_GRAPH, runtime)\n",
                "    runtime = Runtime(threads=THREADS)\n\n"
                "    @functools.cached_property\n    def words(self):\n        return Words(TOKENIZER)\n\n"
                "    @functools.cached_property\n    def text_encoder(self):\n"
                "        return Graph(WEIGHTS / layout.TEXT_ENCODER_GRAPH, self.runtime)\n\n"
                "    @functools.cached_property\n    def unet(self):\n"
                "        return Graph(WEIGHTS / layout.UNET_GRAPH, self.runtime)\n",
            ),
        ),
    ),
    Change(
        "unused-option",
        Grade.IDENTICAL,
        "The factory takes an option that is off.",
        edits=(
            _pipeline(
                "def make():\n",
                'def make(options):\n    assert not options.get("upscale", False)\n',
            ),
        ),
    ),
    Change(
        "numpy-seeds",
        Grade.IDENTICAL,
        "Seeds are integers of NumPy.",
        edits=(_pipeline("start = noise(seeds)", "start = noise(np.asarray(seeds, np.int64))"),),
    ),
    Change(
        "negative-zero",
        Grade.IDENTICAL,
        "The starting noise is scaled by one and has negative zero added.",
        edits=(
            _pipeline(
                "start = noise(seeds)", "start = noise(seeds) * np.float32(1) + np.float32(-0.0)"
            ),
        ),
    ),
)

_PICTURES = (
    Change(
        "picture-copies",
        Grade.IDENTICAL,
        "Pictures are views in Fortran's order, and come one after the other.",
        edits=(
            _pipeline(
                "return list(images)", "yield from (np.asfortranarray(image) for image in images)"
            ),
        ),
    ),
    Change(
        "pil-pictures",
        Grade.IDENTICAL,
        "Pictures are Pillow's, with an opaque alpha channel.",
        edits=(
            _pipeline(
                "from pictures import draw\n", "from pictures import draw\nfrom PIL import Image\n"
            ),
            _pipeline(
                "return list(images)",
                'return [Image.fromarray(image).convert("RGBA") for image in images]',
            ),
        ),
    ),
    Change(
        "float-pictures",
        Grade.IDENTICAL,
        "Pictures are floats from 0 to 1.",
        edits=(
            _pipeline(
                "return list(images)", "return [image.astype(np.float32) / 255 for image in images]"
            ),
        ),
    ),
    Change(
        "no-op-filter",
        Grade.IDENTICAL,
        "A post-processing that mirrors twice and inverts twice.",
        edits=(
            _pipeline(
                "return list(images)", "return list(255 - (255 - images[:, :, ::-1])[:, :, ::-1])"
            ),
        ),
    ),
    Change(
        "png-round-trip",
        Grade.IDENTICAL,
        "Pictures are written as PNG with another compression and read again.",
        files={
            "png.py": '"""Through a file\'s bytes and back."""\n\n'
            "import io\n\nimport numpy as np\nfrom PIL import Image\n\n\n"
            "def through_png(image):\n    file = io.BytesIO()\n"
            '    Image.fromarray(image).save(file, "PNG", compress_level=1)\n'
            "    return np.asarray(Image.open(file))\n"
        },
        edits=(
            _pipeline(
                "from pictures import draw\n",
                "from pictures import draw\nfrom png import through_png\n",
            ),
            _pipeline("return list(images)", "return [through_png(image) for image in images]"),
        ),
    ),
)

_EXECUTION = (
    Change(
        "threads-2",
        Grade.ROUNDING,
        "Two threads within an operator.",
        edits=(_pipeline("THREADS = 1", "THREADS = 2"),),
    ),
    Change(
        "batch-size-1",
        Grade.ROUNDING,
        "One image at a time.",
        edits=(_pipeline("BATCH_SIZE = 8", "BATCH_SIZE = 1"),),
    ),
    Change(
        "batch-size-16",
        Grade.ROUNDING,
        "Sixteen images at a time.",
        edits=(_pipeline("BATCH_SIZE = 8", "BATCH_SIZE = 16"),),
    ),
    Change(
        "batch-sorted",
        Grade.ROUNDING,
        "A batch is made in the order of its captions.",
        edits=(
            _pipeline(
                "    def generate(self, prompts, seeds, negative_prompts=None):\n",
                "    def generate(self, prompts, seeds, negative_prompts=None):\n"
                "        order = sorted(range(len(prompts)), key=lambda index: prompts[index])\n"
                "        prompts, seeds = [[row[index] for index in order] for row in (prompts, seeds)]\n",
            ),
            _pipeline(
                "return list(images)",
                "return [image for _, image in sorted(zip(order, images, strict=True), key=lambda pair: pair[0])]",
            ),
        ),
    ),
    Change(
        "graph-optimisation",
        Grade.ROUNDING,
        "ONNX Runtime fuses no operators.",
        edits=(
            _pipeline(
                "Runtime(threads=THREADS)",
                'Runtime(threads=THREADS, graph_optimization="disabled")',
            ),
        ),
    ),
    Change(
        "guidance-in-two-calls",
        Grade.ROUNDING,
        "The network runs once with and once without the caption, where it ran on both at once.",
        edits=(
            _sampler(
                _BOTH,
                "    without = denoise(x, timestep, empty)\n    with_caption = denoise(x, timestep, given)\n",
            ),
        ),
    ),
    Change(
        "images-from-the-cache",
        Grade.IDENTICAL,
        "Images may come from the cache.",
        edits=(
            Edit(
                "difftest.toml",
                'model = "shapes"\n',
                'model = "shapes"\nincremental = true\ncache_limit = "1GiB"\n',
            ),
        ),
    ),
    Change(
        "one-job",
        Grade.IDENTICAL,
        "Metrics are computed by one thread.",
        edits=(Edit("difftest.toml", 'model = "shapes"\n', 'model = "shapes"\njobs = 1\n'),),
    ),
)

_ARITHMETIC = (
    Change(
        "ddim-in-one-line",
        Grade.ROUNDING,
        "The step of the sampler as a sum of two terms, solved for their factors.",
        edits=(
            _sampler(
                _REST + _STEP,
                "        kept = ((1 - following) / (1 - level)) ** 0.5\n"
                "        x = np.float32(kept) * x + np.float32(following**0.5 - kept * level**0.5) * clean\n",
            ),
        ),
    ),
    Change(
        "ddim-as-euler",
        Grade.ROUNDING,
        "The same trajectory by Euler's method in noise levels, as k-diffusion walks it.",
        edits=(
            _sampler(
                _REST + _STEP,
                "        sigma, target = ((1 - level) / level) ** 0.5, ((1 - following) / following) ** 0.5\n"
                "        scaled = x.astype(np.float64) / level**0.5\n"
                "        scaled += (scaled - clean) / sigma * (target - sigma)\n"
                "        x = (scaled * following**0.5).astype(np.float32)\n",
            ),
        ),
    ),
    Change(
        "ddim-in-float64",
        Grade.ROUNDING,
        "The sampler's own sums are made in double precision.",
        edits=(
            _sampler(_LEVEL, "signal_levels(), visited(steps), start.astype(np.float64)"),
            _sampler(
                _CLEAN,
                "        clean = guided(denoise, x.astype(np.float32), time, given, empty, guidance)\n",
            ),
            _sampler(_REST, "        rest = (x - level**0.5 * clean) / (1 - level) ** 0.5\n"),
            _sampler(_STEP, "        x = following**0.5 * clean + (1 - following) ** 0.5 * rest\n"),
        ),
    ),
    Change(
        "half-precision-text",
        Grade.ROUNDING,
        "The text encoder's output is rounded to float16.",
        edits=(
            _pipeline(
                'return self.text_encoder({"input_ids": ids})',
                'return self.text_encoder({"input_ids": ids}).astype(np.float16).astype(np.float32)',
            ),
        ),
    ),
    Change(
        "half-precision-latents",
        Grade.ROUNDING,
        "Latents are rounded to float16 after every step.",
        edits=(_sampler(_STEP, _STEP + "        x = x.astype(np.float16).astype(np.float32)\n"),),
    ),
    Change(
        "latent-jitter",
        Grade.ROUNDING,
        "The starting noise is off by a millionth.",
        edits=(_pipeline("start = noise(seeds)", "start = noise(seeds) * np.float32(1 + 1e-6)"),),
    ),
    Change(
        "weights-saved-again",
        Grade.IDENTICAL,
        "The weights lie in the repository, read and written once more.",
        edits=(_OWN_WEIGHTS,),
        build=_resave_weights,
    ),
)

_TESTS = (
    Change(
        "prompts-reordered",
        Grade.IDENTICAL,
        "The test names its words in another order.",
        edits=(
            Edit(
                TEST_FILE,
                '"red", "green", "blue", "yellow", "purple", "orange"',
                '"orange", "blue", "green", "purple", "red", "yellow"',
            ),
            Edit(TEST_FILE, '"white", "black", "gray"', '"gray", "white", "black"'),
        ),
    ),
    Change(
        "one-more-test",
        Grade.IDENTICAL,
        "A test is added, which the base does not have.",
        files={
            "tests/test_circles.py": '"""Circles."""\n\nimport difftest\n\n\n@difftest.test(\n'
            '    prompts=["a {size} {color} circle, center, on a white background"],\n'
            '    variables={"size": ["small", "large"], "color": ["red", "blue"]},\n'
            '    metrics=["clip_score"],\n    threshold=0.5,\n    seeds=[3],\n)\n'
            'def test_circles():\n    """Circles in the middle."""\n'
        },
    ),
)

_EQUAL = (
    Change(
        "other-noise",
        Grade.EQUAL,
        "Every seed gives another starting noise.",
        edits=(
            _pipeline("np.random.default_rng(seed)", "np.random.Generator(np.random.Philox(seed))"),
        ),
    ),
    Change(
        "twelve-steps",
        Grade.EQUAL,
        "Twelve steps where ten are enough.",
        edits=(_pipeline("STEPS = 10", "STEPS = 12"),),
    ),
    Change(
        "guidance-1.6",
        Grade.EQUAL,
        "A guidance that is a little stronger.",
        edits=(_pipeline("GUIDANCE = 1.5", "GUIDANCE = 1.6"),),
    ),
    Change(
        "int8-weights",
        Grade.EQUAL,
        "The denoiser's weights are rounded to eight bits, one scale for each output channel.",
        edits=(_OWN_WEIGHTS,),
        build=_int8_weights,
    ),
)

HARMLESS: tuple[Change, ...] = (*_CODE, *_PICTURES, *_EXECUTION, *_ARITHMETIC, *_TESTS, *_EQUAL)
