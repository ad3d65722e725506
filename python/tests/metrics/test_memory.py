"""Models under one budget of device memory: who is in, who leaves, who waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from difftest import ConfigurationError, memory
from difftest.memory import Handle, Residency


class Device:
    """Counts the moves, and knows what lies on it."""

    def __init__(self, budget: int | None) -> None:
        self.residency = Residency(budget)
        self.inside: dict[str, int] = {}
        self.most = 0
        self.moves: list[str] = []

    def model(self, name: str, size: int) -> Handle:
        def load() -> None:
            self.inside[name] = size
            self.moves.append(f"+{name}")
            self.most = max(self.most, sum(self.inside.values()))

        def unload() -> None:
            self.inside.pop(name, None)
            self.moves.append(f"-{name}")

        return self.residency.register(name, size, load, unload)

    def use(self, *handles: Handle) -> None:
        for handle in handles:
            with self.residency.resident(handle):
                assert handle.name in self.inside


def test_without_a_budget_everything_stays() -> None:
    device = Device(None)
    a, b = device.model("a", 10**12), device.model("b", 10**12)
    device.use(a, b, a, b)
    assert device.moves == ["+a", "+b"]
    assert device.residency.bytes_inside() == 2 * 10**12


def test_what_fits_together_stays_together() -> None:
    device = Device(10)
    a, b = device.model("a", 6), device.model("b", 4)
    device.use(a, b, a, b)
    assert device.moves == ["+a", "+b"]


def test_the_one_idle_for_longest_leaves_first() -> None:
    device = Device(10)
    a, b, c = device.model("a", 4), device.model("b", 4), device.model("c", 4)
    device.use(a, b, a, c)
    assert device.moves == ["+a", "+b", "-b", "+c"]
    device.use(b)
    assert device.moves[4:] == ["-a", "+b"]
    assert device.most <= 10


def test_only_as_many_leave_as_must() -> None:
    device = Device(10)
    small = [device.model(name, 2) for name in "abcde"]
    device.use(*small)
    device.use(device.model("large", 5))
    assert device.moves[5:] == ["-a", "-b", "-c", "+large"]


def test_a_model_in_use_never_leaves() -> None:
    device = Device(10)
    a, b, c = device.model("a", 4), device.model("b", 4), device.model("c", 4)
    device.use(a, b)
    with device.residency.resident(a):
        device.use(c)
        assert "a" in device.inside
    assert device.moves == ["+a", "+b", "-b", "+c"]


def test_a_model_may_be_entered_again_while_it_is_in_use() -> None:
    device = Device(4)
    a = device.model("a", 4)
    with device.residency.resident(a), device.residency.resident(a):
        pass
    device.use(device.model("b", 3))
    assert device.moves == ["+a", "-a", "+b"]


def test_a_model_larger_than_the_budget_is_refused_with_both_sizes() -> None:
    device = Device(4_000_000_000)
    with pytest.raises(
        ConfigurationError,
        match=r"`unet` takes 6\.90 GB .* budget is 4\.00 GB; raise --vram-budget",
    ):
        device.model("unet", 6_900_000_000)
    fits = device.model("vae", 3_000_000_000)
    with pytest.raises(ConfigurationError, match=r"`vae` takes 3\.00 GB .* 1\.00 GB"):
        device.residency.configure(1_000_000_000)
    device.use(fits)


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_of_nothing_is_refused(budget: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{budget} bytes; a number above 0"):
        Residency(budget)


def test_two_that_are_needed_together_and_do_not_fit_are_an_error_and_no_deadlock() -> None:
    device = Device(10)
    a, b = device.model("a", 6), device.model("b", 6)
    with (
        device.residency.resident(a),
        pytest.raises(ConfigurationError, match="`a` and `b` are needed together"),
        device.residency.resident(b),
    ):
        pass
    device.use(b)


def test_a_smaller_budget_moves_the_idle_off_at_once() -> None:
    device = Device(None)
    a, b = device.model("a", 6), device.model("b", 6)
    device.use(a, b)
    device.residency.configure(8)
    assert device.inside == {"b": 6}


def test_a_move_that_fails_leaves_nothing_counted() -> None:
    residency = Residency(10)
    moved: list[str] = []

    def out_of_memory() -> None:
        raise MemoryError("the card is full")

    broken = residency.register("broken", 8, out_of_memory, lambda: moved.append("off"))
    with pytest.raises(MemoryError), residency.resident(broken):
        pass
    assert (residency.bytes_inside(), moved) == (0, ["off"])


def test_a_forgotten_model_leaves_and_gives_its_room() -> None:
    device = Device(10)
    a = device.model("a", 8)
    device.use(a)
    with (
        device.residency.resident(a),
        pytest.raises(ConfigurationError, match="`a` is in use and cannot leave"),
    ):
        device.residency.forget(a)
    device.residency.forget(a)
    assert device.inside == {}
    with pytest.raises(ConfigurationError, match="`a` is not registered any more"):
        device.use(a)


def test_a_thread_waits_for_the_room_that_another_uses() -> None:
    device = Device(10)
    a, b = device.model("a", 6), device.model("b", 6)
    inside, leave, order = threading.Event(), threading.Event(), []

    def holder() -> None:
        with device.residency.resident(a):
            inside.set()
            leave.wait(10)
            order.append("a left")

    def waiter() -> None:
        inside.wait(10)
        with device.residency.resident(b):
            order.append("b came")

    threads = [threading.Thread(target=run) for run in (holder, waiter)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    threads[1].join(0.1)
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["a left", "b came"]


def test_many_threads_never_exceed_the_budget() -> None:
    device = Device(10)
    handles = [device.model(str(index), 2 + index % 4) for index in range(8)]
    failed: list[BaseException] = []

    def work(seed: int) -> Callable[[], None]:
        def run() -> None:
            try:
                for step in range(200):
                    device.use(handles[(seed * 3 + step * (seed + 1)) % len(handles)])
            except BaseException as broken:
                failed.append(broken)
                raise

        return run

    threads = [threading.Thread(target=work(seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert not any(thread.is_alive() for thread in threads)
    assert device.most <= 10


def test_the_process_has_one_budget() -> None:
    moves: list[str] = []
    handle = memory.register("m", 5, lambda: moves.append("+"), lambda: moves.append("-"))
    try:
        memory.configure(5)
        with memory.resident(handle):
            assert memory.bytes_inside() == 5
        memory.forget(handle)
        assert moves == ["+", "-"]
    finally:
        memory.configure(None)


@pytest.mark.torch
@pytest.mark.usefixtures("torch_required")
def test_torch_modules_move_under_the_budget() -> None:
    import torch

    from difftest.metrics.backbone import Placed

    class Counted(torch.nn.Linear):
        moves: list[str]

        def to(self, device: str) -> Counted:  # type: ignore[override]
            self.moves.append(device)
            return self

    modules = [Counted(100, 100) for _ in range(2)]
    for module in modules:
        module.moves = []
    size = 4 * (100 * 100 + 100)
    memory.configure(int(size * 1.25))
    placed = [Placed(f"m{index}", module, "cuda") for index, module in enumerate(modules)]
    try:
        for index in (0, 0, 1, 0):
            with placed[index].resident():
                pass
        assert [module.moves for module in modules] == [["cuda", "cpu", "cuda"], ["cuda", "cpu"]]
    finally:
        for one in placed:
            one.forget()
        memory.configure(None)
