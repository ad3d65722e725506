"""A database of each kind, empty, for one test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def database(kind: str) -> Iterator[str | None]:
    """The URL of a fresh database; None for the App's own SQLite file."""
    if kind == "sqlite":
        yield None
        return
    server = os.environ.get("DIFFTEST_TEST_POSTGRES_URL")
    if not server or not shutil.which("psql"):
        pytest.skip("no PostgreSQL: set DIFFTEST_TEST_POSTGRES_URL (tests/with-postgres.sh does)")
    name = f"difftest_{uuid.uuid4().hex}"
    psql = ["psql", "--quiet", "--no-psqlrc", server, "--command"]
    subprocess.run([*psql, f"CREATE DATABASE {name}"], check=True)
    try:
        yield f"{server.rsplit('/', 1)[0]}/{name}"
    finally:
        subprocess.run([*psql, f"DROP DATABASE {name} WITH (FORCE)"], check=True)
