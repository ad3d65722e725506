"""From noise to clean latents: deterministic DDIM with classifier-free guidance."""

import math

import numpy as np

TRAINED = 1000


def betas():
    """Noise added at each timestep of the training: a squared cosine's steps."""

    def level(time):
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    times = np.arange(TRAINED + 1) / TRAINED
    levels = np.array([level(time) for time in times])
    return np.minimum(1 - levels[1:] / levels[:-1], 0.999)


def signal_levels():
    """Power of the signal that is left at each timestep."""
    return np.cumprod(1 - betas())


def visited(steps):
    """Timesteps, the noisiest first; the last one trained is the first."""
    return [round(TRAINED - step * TRAINED / steps) - 1 for step in range(steps)]


def guided(denoise, x, timestep, given, empty, guidance):
    """The prediction, led away from what the empty caption gives."""
    if guidance <= 1:
        return denoise(x, timestep, given)
    both = denoise(np.concatenate([x, x]), timestep, np.concatenate([empty, given]))
    without, with_caption = both[: len(x)], both[len(x) :]
    return without + np.float32(guidance) * (with_caption - without)


def sample(denoise, start, given, empty, *, steps, guidance):
    """Clean latents from noise."""
    levels, times, x = signal_levels(), visited(steps), start
    for step, time in enumerate(times):
        level = levels[time]
        following = levels[times[step + 1]] if step + 1 < steps else 1.0
        clean = guided(denoise, x, time, given, empty, guidance)
        rest = (x - np.float32(level**0.5) * clean) / np.float32((1 - level) ** 0.5)
        x = np.float32(following**0.5) * clean + np.float32((1 - following) ** 0.5) * rest
    return x
