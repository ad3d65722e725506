"""The training loop both models share: seeded, resumable, data-parallel (needs torch).

Every step's data is a function of (seed, step, shard) alone, there are always two shards a step,
and gradients are summed in shard order: so an interrupted run resumed from its checkpoint, and a
run in one process or in two, all end in the same weights, bit by bit.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch

SHARDS = 2
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, but for the task's own settings in its subclasses."""

    seed: int = 0
    steps: int = 1000
    #: Samples a shard sees in a step.
    batch: int = 40
    learning_rate: float = 2e-3
    final_learning_rate: float = 1e-5
    warmup: int = 100
    weight_decay: float = 0.01
    #: Decay of the moving average of the weights, which is what is kept at the end.
    ema: float = 0.998

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then half a cosine."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * step / self.steps)
        warm = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * warm * cosine + self.final_learning_rate


class Task(Protocol):
    """What is trained: named networks, and the loss of one shard drawn with ``rng``."""

    modules: dict[str, torch.nn.Module]

    def loss(self, rng: np.random.Generator) -> torch.Tensor: ...

    def save(self, out: Path) -> None:
        """Write the networks, which hold the final weights by then, below ``out``."""


class Trainer:
    """Weights, optimiser and moving average; rank ``r`` of ``world`` works on the shards r, r +
    world, …
    """

    def __init__(
        self, recipe: Recipe, build: Callable[[], Task], rank: int = 0, world: int = 1
    ) -> None:
        import torch

        torch.set_flush_denormal(True)
        torch.manual_seed(recipe.seed)
        self.recipe, self.rank, self.world, self.step = recipe, rank, world, 0
        self.task = build()
        self.parameters = [p for module in self.task.modules.values() for p in module.parameters()]
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.average = [p.detach().clone() for p in self.parameters]

    def advance(self) -> float:
        """One optimiser step over all shards; answers the mean loss of this process's shards."""
        import torch

        sizes = [p.numel() for p in self.parameters]
        total, losses = torch.zeros(sum(sizes)), list[float]()
        for shard in range(self.rank, SHARDS, self.world):
            rng = np.random.Generator(np.random.PCG64([self.recipe.seed, self.step, shard]))
            loss = self.task.loss(rng)
            gradients = torch.autograd.grad(
                loss, self.parameters, allow_unused=True, materialize_grads=True
            )
            total += torch.cat([gradient.reshape(-1) for gradient in gradients])
            losses.append(loss.item())
        if self.world > 1:
            torch.distributed.all_reduce(total)
        total /= SHARDS
        for parameter, part in zip(self.parameters, torch.split(total, sizes), strict=True):
            parameter.grad = torch.empty_like(parameter)
            parameter.grad.copy_(part.view(parameter.shape))
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list[torch.Tensor](self.parameters), 1 - decay)
        return sum(losses) / len(losses)

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs to go on as if nothing had happened."""
        networks = {name: module.state_dict() for name, module in self.task.modules.items()}
        return {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            **networks,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state``; a checkpoint of another recipe is a ``ValueError``."""
        if state["recipe"] != asdict(self.recipe):
            raise ValueError(f"the checkpoint was made by another recipe: {state['recipe']}")
        self.step = state["step"]
        for name, module in self.task.modules.items():
            module.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        for mine, saved in zip(self.average, state["average"], strict=True):
            mine.copy_(saved)

    def adopt_average(self) -> None:
        """Replace the weights by their moving average."""
        import torch

        with torch.no_grad():
            for parameter, averaged in zip(self.parameters, self.average, strict=True):
                parameter.copy_(averaged)


@dataclass(frozen=True)
class _Run:
    recipe: Recipe
    build: Callable[[], Task]
    out: Path
    processes: int
    resume: bool
    every: int


def _work(rank: int, run: _Run, meeting: str) -> None:
    import torch

    torch.set_num_threads(1)
    world, recipe = run.processes, run.recipe
    if world > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=world
        )
    trainer = Trainer(recipe, run.build, rank, world)
    checkpoint, seconds = run.out / CHECKPOINT, 0.0
    if run.resume and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        seconds = saved["seconds"]
        trainer.restore(saved)
    started, losses = time.monotonic() - seconds, list[float]()
    while trainer.step < recipe.steps:
        losses.append(trainer.advance())
        last = trainer.step == recipe.steps
        if rank == 0 and (last or trainer.step % 100 == 0):
            spent, mean = time.monotonic() - started, np.mean(losses[-100:])
            print(f"step {trainer.step}/{recipe.steps}  loss {mean:.4f}  {spent:.0f} s", flush=True)
        if rank == 0 and (last or trainer.step % run.every == 0):
            fresh = checkpoint.with_suffix(".new")
            torch.save({**trainer.state(), "seconds": time.monotonic() - started}, fresh)
            fresh.replace(checkpoint)
    if rank == 0:
        trainer.adopt_average()
        trainer.task.save(run.out)
    if world > 1:
        torch.distributed.destroy_process_group()


def run(
    recipe: Recipe,
    build: Callable[[], Task],
    out: Path,
    *,
    processes: int = 2,
    resume: bool = False,
    every: int = 250,
) -> None:
    """Train into ``out``: a checkpoint every ``every`` steps, the averaged networks at the end.

    ``build`` must be picklable: with two processes it is called in both.
    """
    from torch.multiprocessing.spawn import spawn

    if processes not in (1, SHARDS):
        raise ValueError(f"processes is {processes}; a step has {SHARDS} shards, so 1 or {SHARDS}")
    out.mkdir(parents=True, exist_ok=True)
    plan = _Run(recipe, build, out, processes, resume, every)
    with tempfile.TemporaryDirectory() as scratch:
        if processes == 1:
            _work(0, plan, "")
        else:
            spawn(_work, (plan, f"{scratch}/meeting"), nprocs=processes)
