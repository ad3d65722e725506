"""What a misspelt word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, if any is like enough."""
    import difflib

    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[found[0]] if found else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """How an error ends: the nearest word, else all there are."""
    names = sorted(known)
    found = nearest(word, names)
    if found is not None:
        return f"did you mean `{found}`?"
    return f"there is: {', '.join(names)}" if names else "there is none"
