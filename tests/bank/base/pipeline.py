"""The pipeline this repository ships: a caption and a seed to a picture of 32 x 32 pixels."""

from pathlib import Path

import numpy as np
from pictures import draw
from sampler import sample

from difftest.onnx_runtime import Runtime
from difftest.shapes import layout
from difftest.shapes.session import Graph
from difftest.shapes.tokenizer import TOKENIZER_FILE, Words

HERE = Path(__file__).parent
WEIGHTS = layout.WEIGHTS
TOKENIZER = TOKENIZER_FILE

STEPS = 10
GUIDANCE = 1.5
BATCH_SIZE = 8
THREADS = 1


def noise(seeds):
    """Where denoising starts, one for each seed."""
    drawn = [np.random.default_rng(seed).standard_normal((48, 8, 8), np.float32) for seed in seeds]
    return np.stack(drawn)


class Pipeline:
    batch_size = BATCH_SIZE
    threads = THREADS

    def __init__(self):
        runtime = Runtime(threads=THREADS)
        self.words = Words(TOKENIZER)
        self.text_encoder = Graph(WEIGHTS / layout.TEXT_ENCODER_GRAPH, runtime)
        self.unet = Graph(WEIGHTS / layout.UNET_GRAPH, runtime)

    def encode(self, texts):
        """Captions to one vector for each of their words."""
        ids = self.words.tokenize(texts)
        return self.text_encoder({"input_ids": ids})

    def denoise(self, latents, timestep, context):
        """The clean latents that the network sees in noisy ones."""
        timesteps = np.full(len(latents), timestep, np.int64)
        return self.unet(
            {"sample": latents, "timestep": timesteps, "encoder_hidden_states": context}
        )

    def generate(self, prompts, seeds, negative_prompts=None):
        negatives = [text or "" for text in negative_prompts or [None] * len(prompts)]
        given, empty = self.encode(prompts), self.encode(negatives)
        start = noise(seeds)
        latents = sample(self.denoise, start, given, empty, steps=STEPS, guidance=GUIDANCE)
        images = draw(latents)
        return list(images)


def make():
    return Pipeline()
