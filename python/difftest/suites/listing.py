"""What ``difftest suites`` prints."""

from __future__ import annotations

from difftest.suites import get_suite, list_suites


def listing(name: str | None) -> str:
    """All suites that come with difftest, or the prompts of one of them or of a file."""
    return _all() if name is None else _one(name)


def _all() -> str:
    suites = [get_suite(name) for name in list_suites()]
    width = max(len(suite.name) for suite in suites)
    lines = [
        f"{suite.name:<{width}}  {len(suite.prompts):>3} prompts  {suite.description}"
        for suite in suites
    ]
    return "\n".join([*lines, "", "difftest suites NAME shows the prompts of one."])


def _one(name: str) -> str:
    suite = get_suite(name)
    lines = [f"{suite.name}: {len(suite.prompts)} prompts"]
    if suite.description:
        lines.append(suite.description)
    if suite.model is not None:
        lines.append(f"written for the model {suite.model}")
    for prompt in suite.prompts:
        tags = f"  [{', '.join(prompt.tags)}]" if prompt.tags else ""
        lines += ["", f"{prompt.id}{tags}", f"  {prompt.text}"]
        if prompt.notes:
            lines.append(f"  {prompt.notes}")
    return "\n".join(lines)
