"""What the native module offers beside the command line."""

from __future__ import annotations

import pytest

import difftest
from difftest import _native


def test_the_versions_agree() -> None:
    assert _native.__version__ == difftest.__version__


def test_templates_expand_as_in_a_run() -> None:
    colours = {"c": ["red", "blue"], "s": ["cat"]}
    assert _native.expand("a {c} {s} {{x}}", colours) == ["a red cat {x}", "a blue cat {x}"]
    with pytest.raises(ValueError, match=r"did you mean \{c\}"):
        _native.expand("a {d}", {"c": ["red"]})
