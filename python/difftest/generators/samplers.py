"""Samplers in numpy, for exported models: each equals the class of diffusers that it is named after.

A latent is ``√ᾱ · x0 + √(1-ᾱ) · ε``, with ᾱ of its timestep (DDPM, arXiv 2006.11239). Samplers of sigma work on that
divided by ``√ᾱ``, where ``σ = √((1-ᾱ)/ᾱ)`` (Karras et al., arXiv 2206.00364).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from difftest.errors import GeneratorError
from difftest.nearest import suggestion

Latents = npt.NDArray[np.float32]
Schedule = npt.NDArray[np.floating[Any]]
#: Fresh noise for every image, shaped as the latents.
Noise = Callable[[], Latents]


class Sampler(Protocol):
    """One walk from noise to a latent; it remembers, so every batch has its own."""

    #: What the model is told, in the order of its calls: more than the steps where some take two.
    timesteps: Sequence[float]
    #: The standard deviation of the noise to begin with.
    start: float

    def scaled(self, index: int, latents: Latents, /) -> Latents:
        """What the model sees at its call ``index``."""

    def step(self, index: int, output: Latents, latents: Latents, noise: Noise, /) -> Latents:
        """The latents after the model's call ``index``."""


def alphas_cumprod(config: Mapping[str, Any]) -> Schedule:
    """ᾱ at each training timestep, falling from 1 to 0."""
    count = int(config.get("num_train_timesteps", 1000))
    first, last = config.get("beta_start", 0.0001), config.get("beta_end", 0.02)
    kind = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        betas = np.asarray(config["trained_betas"], np.float64)
    elif kind == "linear":
        betas = np.linspace(first, last, count)
    elif kind == "scaled_linear":
        betas = np.linspace(first**0.5, last**0.5, count) ** 2
    elif kind == "squaredcos_cap_v2":

        def signal(time: float) -> float:
            return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

        betas = np.array(
            [min(1 - signal((i + 1) / count) / signal(i / count), 0.999) for i in range(count)]
        )
    else:
        raise GeneratorError(
            f"the scheduler's beta_schedule is `{kind}`, which `onnx` does not have"
        )
    return np.cumprod(1 - np.asarray(betas, np.float64))


def spaced(config: Mapping[str, Any], steps: int, *, of: str) -> Schedule:
    """Timesteps, noisiest first, as ``timestep_spacing`` says (table 2 of arXiv 2305.08891). ``of`` is its default."""
    count = int(config.get("num_train_timesteps", 1000))
    offset = int(config.get("steps_offset", 0))
    spacing = config.get("timestep_spacing", of)
    if not 1 <= steps <= count:
        raise GeneratorError(f"the recipe's `steps` is {steps}; it must lie between 1 and {count}")
    if spacing == "leading":
        leading: Schedule = np.arange(steps, dtype=np.float64)[::-1] * (count // steps) + offset
        return leading
    if spacing == "trailing":
        trailing: Schedule = np.round(np.arange(count, 0, -count / steps))[:steps] - 1.0
        return trailing
    if spacing == "linspace":
        even: Schedule = np.linspace(0, count - 1, steps)[::-1].copy()
        return even
    raise GeneratorError(
        f"the scheduler's timestep_spacing is `{spacing}`, which `onnx` does not have"
    )


def _clean(
    output: Latents, latents: Latents, signal: float, noise: float, prediction: str
) -> Latents:
    """x0 from what the model predicts, of latents ``signal · x0 + noise · ε``."""
    if prediction == "epsilon":
        return _f32((latents - noise * output) / signal)
    if prediction == "v_prediction":  # arXiv 2202.00512, appendix D
        return _f32(signal * latents - noise * output)
    if prediction == "sample":
        return output
    raise GeneratorError(
        f"the scheduler's prediction_type is `{prediction}`, which `onnx` does not have"
    )


def _f32(latents: npt.NDArray[Any]) -> Latents:
    return latents.astype(np.float32, copy=False)


class Ddim:
    """DDIMScheduler without noise of its own (arXiv 2010.02502, η = 0)."""

    start = 1.0

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        self._alphas, self._config = alphas_cumprod(config), config
        self.timesteps = np.round(spaced(config, steps, of="leading")).astype(int).tolist()
        self._stride = len(self._alphas) // steps
        self._last = 1.0 if config.get("set_alpha_to_one", True) else float(self._alphas[0])

    def scaled(self, _index: int, latents: Latents, /) -> Latents:
        return latents

    def step(self, index: int, output: Latents, latents: Latents, _noise: Noise, /) -> Latents:
        t = int(self.timesteps[index])
        now, before = float(self._alphas[t]), t - self._stride
        then = float(self._alphas[before]) if before >= 0 else self._last
        signal, sigma = now**0.5, (1 - now) ** 0.5
        clean = _clean(
            output, latents, signal, sigma, self._config.get("prediction_type", "epsilon")
        )
        rest = (latents - signal * clean) / sigma
        if self._config.get("clip_sample", True):
            limit = float(self._config.get("clip_sample_range", 1.0))
            clean = np.clip(clean, -limit, limit)
        return _f32(then**0.5 * clean + (1 - then) ** 0.5 * rest)


class Pndm:
    """PNDMScheduler with ``skip_prk_steps``: the linear multistep of arXiv 2202.09778, its second step taken twice."""

    start = 1.0

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        if not config.get("skip_prk_steps", False):
            raise GeneratorError(
                "the scheduler is PNDMScheduler with Runge-Kutta steps, which `onnx` does not have; set skip_prk_steps "
                "in scheduler_config.json, or choose another scheduler in the recipe"
            )
        self._alphas, self._config = alphas_cumprod(config), config
        plain = np.round(spaced(config, steps, of="leading")).astype(int).tolist()
        self.timesteps = plain if steps == 1 else [plain[0], plain[1], *plain[1:]]
        self._stride = len(self._alphas) // steps
        self._last = 1.0 if config.get("set_alpha_to_one", False) else float(self._alphas[0])
        self._seen: list[Latents] = []
        self._held: Latents | None = None

    def scaled(self, _index: int, latents: Latents, /) -> Latents:
        return latents

    def step(self, index: int, output: Latents, latents: Latents, _noise: Noise, /) -> Latents:
        t = int(self.timesteps[index])
        before = t - self._stride
        if index == 1:  # the second call repeats the first step with the mean of two slopes
            before, t = t, t + self._stride
        else:
            self._seen = [*self._seen[-3:], output]
        seen = self._seen
        slope: npt.NDArray[Any]
        if index == 0:
            slope, self._held = output, latents
        elif index == 1 and self._held is not None:
            slope, latents, self._held = (output + seen[-1]) / 2, self._held, None
        elif len(seen) == 2:
            slope = (3 * seen[-1] - seen[-2]) / 2
        elif len(seen) == 3:
            slope = (23 * seen[-1] - 16 * seen[-2] + 5 * seen[-3]) / 12
        else:
            slope = (55 * seen[-1] - 59 * seen[-2] + 37 * seen[-3] - 9 * seen[-4]) / 24
        return self._moved(slope, latents, t, before)

    def _moved(self, slope: npt.NDArray[Any], latents: Latents, t: int, before: int) -> Latents:
        now = float(self._alphas[min(t, len(self._alphas) - 1)])
        then = float(self._alphas[before]) if before >= 0 else self._last
        if self._config.get("prediction_type", "epsilon") == "v_prediction":
            slope = now**0.5 * slope + (1 - now) ** 0.5 * latents
        # Equation (9) of arXiv 2202.09778.
        below = now * (1 - then) ** 0.5 + (now * (1 - now) * then) ** 0.5
        return _f32((then / now) ** 0.5 * latents - (then - now) / below * slope)


class _Sigmas:
    """What the samplers of sigma share: where their steps lie."""

    def __init__(self, config: Mapping[str, Any], steps: int, spaced_by: str) -> None:
        self._prediction = config.get("prediction_type", "epsilon")
        alphas = alphas_cumprod(config)
        training = np.sqrt((1 - alphas) / alphas)
        times = spaced(config, steps, of=spaced_by)
        sigmas = np.interp(times, np.arange(len(training)), training)
        if config.get("use_karras_sigmas", False):
            # Equation (5) of arXiv 2206.00364 with ρ = 7.
            low, high = sigmas[-1] ** (1 / 7), sigmas[0] ** (1 / 7)
            sigmas = (high + np.linspace(0, 1, steps) * (low - high)) ** 7
            times = np.interp(np.log(sigmas), np.log(training), np.arange(len(training)))
        self.timesteps: Sequence[float] = times.tolist()
        self._sigmas = [*sigmas.tolist(), 0.0]
        leading = config.get("timestep_spacing", spaced_by) == "leading"
        self.start = (self._sigmas[0] ** 2 + 1) ** 0.5 if leading else float(self._sigmas[0])

    def scaled(self, index: int, latents: Latents, /) -> Latents:
        return _f32(latents / (self._sigmas[index] ** 2 + 1) ** 0.5)

    def _slope(self, index: int, output: Latents, latents: Latents) -> npt.NDArray[Any]:
        """dx/dσ, the direction away from x0."""
        sigma = self._sigmas[index]
        signal = 1 / (sigma**2 + 1) ** 0.5
        clean = _clean(output, _f32(latents * signal), signal, sigma * signal, self._prediction)
        slope: npt.NDArray[Any] = (latents - clean) / sigma
        return slope


class Euler(_Sigmas):
    """EulerDiscreteScheduler (algorithm 2 of arXiv 2206.00364 without its noise)."""

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        super().__init__(config, steps, "linspace")

    def step(self, index: int, output: Latents, latents: Latents, _noise: Noise, /) -> Latents:
        slope = self._slope(index, output, latents)
        return _f32(latents + slope * (self._sigmas[index + 1] - self._sigmas[index]))


class EulerAncestral(_Sigmas):
    """EulerAncestralDiscreteScheduler: too far down, and noise back up."""

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        super().__init__(config, steps, "linspace")

    def step(self, index: int, output: Latents, latents: Latents, noise: Noise, /) -> Latents:
        now, then = self._sigmas[index], self._sigmas[index + 1]
        up = (then**2 * (now**2 - then**2) / now**2) ** 0.5
        down = (then**2 - up**2) ** 0.5
        moved = latents + self._slope(index, output, latents) * (down - now)
        return _f32(moved + noise() * up)


class DpmSolver2M:
    """DPMSolverMultistepScheduler: DPM-Solver++ of second order, two steps remembered (arXiv 2211.01095)."""

    start = 1.0

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        expected = {
            "algorithm_type": "dpmsolver++",
            "solver_order": 2,
            "solver_type": "midpoint",
            "final_sigmas_type": "zero",
            "euler_at_final": False,
            "thresholding": False,
        }
        for key, value in expected.items():
            if config.get(key, value) != value:
                raise GeneratorError(
                    f"the scheduler is DPMSolverMultistepScheduler with {key} = {config[key]!r}, and `onnx` has "
                    f"{value!r} alone; choose another scheduler in the recipe"
                )
        self._prediction = config.get("prediction_type", "epsilon")
        alphas = alphas_cumprod(config)
        training = np.sqrt((1 - alphas) / alphas)
        times = np.round(self._spaced(config, steps, len(alphas)))
        sigmas = np.interp(times, np.arange(len(training)), training)
        if config.get("use_karras_sigmas", False):
            low, high = training[0] ** (1 / 7), training[-1] ** (1 / 7)
            sigmas = (high + np.linspace(0, 1, steps) * (low - high)) ** 7
            times = np.round(np.interp(np.log(sigmas), np.log(training), np.arange(len(training))))
        self.timesteps: Sequence[float] = times.astype(int).tolist()
        self._sigmas = [*sigmas.tolist(), 0.0]
        self._before: Latents | None = None

    @staticmethod
    def _spaced(config: Mapping[str, Any], steps: int, count: int) -> Schedule:
        """As ``spaced``, but without the last of one timestep more where they are even."""
        spacing = config.get("timestep_spacing", "linspace")
        if spacing == "linspace":
            return np.linspace(0, count - 1, steps + 1, dtype=np.float64)[::-1][:-1]
        if spacing == "leading":
            offset = int(config.get("steps_offset", 0))
            return (np.arange(steps + 1) * (count // (steps + 1)))[::-1][:-1] + float(offset)
        return spaced(config, steps, of="trailing")

    def scaled(self, _index: int, latents: Latents, /) -> Latents:
        return latents

    def step(self, index: int, output: Latents, latents: Latents, _noise: Noise, /) -> Latents:
        signal, sigma = _parts(self._sigmas[index])
        clean = _clean(output, latents, signal, sigma, self._prediction)
        then = self._sigmas[index + 1]
        if then == 0.0:
            return clean
        signal_then, sigma_then = _parts(then)
        # λ = log(α/σ), so that h = log σ_now - log σ_then of the variance-exploding sigmas.
        h = math.log(self._sigmas[index]) - math.log(then)
        guess: npt.NDArray[Any] = clean
        if self._before is not None:
            ratio = (math.log(self._sigmas[index - 1]) - math.log(self._sigmas[index])) / h
            guess = clean + (clean - self._before) / (2 * ratio)
        self._before = clean
        return _f32(sigma_then / sigma * latents - signal_then * math.expm1(-h) * guess)


def _parts(sigma: float) -> tuple[float, float]:
    """√ᾱ and √(1-ᾱ) of a sigma."""
    signal = 1 / (sigma**2 + 1) ** 0.5
    return signal, sigma * signal


SAMPLERS: Mapping[str, Callable[[Mapping[str, Any], int], Sampler]] = {
    "DDIMScheduler": Ddim,
    "DPMSolverMultistepScheduler": DpmSolver2M,
    "EulerAncestralDiscreteScheduler": EulerAncestral,
    "EulerDiscreteScheduler": Euler,
    "PNDMScheduler": Pndm,
}
#: Settings of diffusers' schedulers that change where the steps lie, and that no sampler here knows.
_UNKNOWN = (
    "rescale_betas_zero_snr",
    "use_beta_sigmas",
    "use_exponential_sigmas",
    "use_flow_sigmas",
    "use_lu_lambdas",
)


def sampler(kind: str, config: Mapping[str, Any], steps: int) -> Sampler:
    """The sampler of a class of diffusers and its configuration. Raises ``GeneratorError`` with what there is."""
    if kind not in SAMPLERS:
        raise GeneratorError(
            f"the scheduler is {kind}, which the generator `onnx` does not have; {suggestion(kind, SAMPLERS)} Set "
            "the recipe's scheduler to `ddim`, `pndm`, `euler`, `euler_a`, `dpmpp_2m` or `dpmpp_2m_karras`, or choose "
            "the generator `diffusers`"
        )
    for key in _UNKNOWN:
        if config.get(key):
            raise GeneratorError(
                f"the scheduler's {key} is set, which the generator `onnx` does not have; choose another scheduler in "
                "the recipe, or the generator `diffusers`"
            )
    return SAMPLERS[kind](config, steps)
