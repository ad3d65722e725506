"""Samplers in numpy against the classes of diffusers that they are named after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import difftest
from difftest.generators.samplers import SAMPLERS, sampler

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
CASES: list[tuple[str, dict[str, Any]]] = [
    *[
        (kind, {**SD, **config})
        for kind in ("DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler")
        for config in (
            {"timestep_spacing": "leading", "steps_offset": 1},
            {"timestep_spacing": "trailing"},
            {"timestep_spacing": "linspace", "prediction_type": "v_prediction"},
            {"timestep_spacing": "trailing", "prediction_type": "sample", "clip_sample": False},
        )
    ],
    ("DDIMScheduler", {**SD, "set_alpha_to_one": False, "clip_sample": False, "steps_offset": 1}),
    ("DDIMScheduler", {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"}),
    ("DDIMScheduler", {}),
    ("PNDMScheduler", {**SD, "skip_prk_steps": True, "steps_offset": 1}),
    ("PNDMScheduler", {**SD, "skip_prk_steps": True, "prediction_type": "v_prediction"}),
    ("EulerAncestralDiscreteScheduler", {**SD, "timestep_spacing": "leading", "steps_offset": 1}),
    ("EulerAncestralDiscreteScheduler", SD),
    ("EulerDiscreteScheduler", {**SD, "use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", {**SD, "use_karras_sigmas": True}),
]


def model(latents: Any, t: float) -> Any:
    """Stands for a network: smooth in the latents and in time."""
    return np.sin(3 * latents + t / 300) * 0.7 + latents * 0.1


@pytest.mark.torch
@pytest.mark.usefixtures("torch_required")
@pytest.mark.parametrize(
    ("kind", "config", "steps"),
    [
        (kind, config, steps)
        for kind, config in CASES
        for steps in (1, 2, 5, 20)
        # diffusers' own class breaks at one step.
        if (kind, steps) != ("PNDMScheduler", 1)
    ],
)
def test_a_sampler_walks_as_diffusers_does(kind: str, config: dict[str, Any], steps: int) -> None:
    import diffusers
    import torch

    ours, theirs = sampler(kind, config, steps), getattr(diffusers, kind).from_config(config)
    theirs.set_timesteps(steps)
    assert np.allclose(ours.timesteps, theirs.timesteps.numpy(), atol=1e-3)
    assert ours.start == pytest.approx(float(theirs.init_noise_sigma), rel=1e-4)
    random = np.random.default_rng(3)
    start = random.standard_normal((2, 4, 8, 8)).astype(np.float32)
    fresh = [random.standard_normal(start.shape).astype(np.float32) for _ in range(steps + 1)]
    x, drawn = start * np.float32(ours.start), iter(fresh)
    for index, t in enumerate(ours.timesteps):
        output = model(ours.scaled(index, x), t).astype(np.float32)
        x = ours.step(index, output, x, lambda: next(drawn))
    y, drawn = torch.from_numpy(start) * theirs.init_noise_sigma, iter(fresh)
    with pytest.MonkeyPatch.context() as patch:
        place = f"diffusers.schedulers.{type(theirs).__module__.rpartition('.')[2]}.randn_tensor"
        if "Ancestral" in kind:
            patch.setattr(place, lambda *a, **k: torch.from_numpy(next(drawn)))
        for t in theirs.timesteps:
            seen = theirs.scale_model_input(y, t).numpy()
            output = torch.from_numpy(model(seen, float(t)).astype(np.float32))
            y = theirs.step(output, t, y).prev_sample
    assert x.dtype == np.float32
    assert np.abs(x - y.numpy()).max() <= 2e-3 * max(1.0, float(y.abs().max()))


@pytest.mark.parametrize(
    ("kind", "config", "steps", "message"),
    [
        (
            "UniPCMultistepScheduler",
            {},
            2,
            "which the generator `onnx` does not have; did you mean `DPMSolverM",
        ),
        ("DDIMScheduler", {"rescale_betas_zero_snr": True}, 2, "rescale_betas_zero_snr is set"),
        ("DDIMScheduler", {"beta_schedule": "sigmoid"}, 2, "beta_schedule is `sigmoid`"),
        ("DDIMScheduler", {"timestep_spacing": "log"}, 2, "timestep_spacing is `log`"),
        ("DDIMScheduler", {}, 0, "`steps` is 0; it must lie between 1 and 1000"),
        ("PNDMScheduler", {}, 2, "Runge-Kutta"),
        (
            "DPMSolverMultistepScheduler",
            {"solver_order": 3},
            2,
            "solver_order = 3, and `onnx` has 2 alone",
        ),
    ],
)
def test_what_no_sampler_can_do_is_refused(
    kind: str, config: dict[str, Any], steps: int, message: str
) -> None:
    with pytest.raises(difftest.GeneratorError, match=message):
        sampler(kind, config, steps)


# PNDM predicts slopes alone.
@pytest.mark.parametrize("kind", [kind for kind in SAMPLERS if kind != "PNDMScheduler"])
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_a_perfect_model_is_walked_to_its_image(kind: str, steps: int) -> None:
    """A model that knows x0 leads every sampler without noise to it, whatever the schedule."""
    goal = np.linspace(-0.9, 0.9, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    config = {**SD, "prediction_type": "sample", "timestep_spacing": "trailing"}
    walk = sampler(kind, config, steps)
    x = np.full(goal.shape, walk.start, np.float32)
    for index in range(len(walk.timesteps)):
        x = walk.step(index, goal, x, lambda: np.zeros_like(goal))
    assert np.abs(x - goal).max() < 0.1
