"""What the tests of the embedded model share."""

from __future__ import annotations

import pytest

from difftest.shapes.clip import ShapesClip
from difftest.shapes.pipeline import ShapesPipeline


@pytest.fixture(scope="session")
def pipeline() -> ShapesPipeline:
    return ShapesPipeline()


@pytest.fixture(scope="session")
def clip() -> ShapesClip:
    return ShapesClip()
