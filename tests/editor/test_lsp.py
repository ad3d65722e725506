"""The language server as an editor sees it: over standard input and output, with pygls as client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from tests.editor.editor import editor, underlined

WRONG = '''\
import difftest


@difftest.test(
    prompts=["🎨 a {color} cross", "a {colr} square", """one
    🎨 {place}"""],
    metrics=["clip_scor"],
    threshold={"clip_scor": 0.25, "lpips": 0.1},
    variables={"color": ["red", "blue"]},
)
def test_shapes(): ...
'''

DECLARES = """\
import difftest


@difftest.metric("NAME")
def measure(image):
    return 1.0
"""

USES = """\
import difftest


@difftest.test(prompts=["a red cross"], metrics=["redness"])
def test_redness(): ...
"""


def on_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """pytest calls plain functions; this one runs an asynchronous test to its end."""

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def insertion(line: int, character: int, text: str) -> lsp.TextDocumentContentChangePartial:
    at = lsp.Position(line, character)
    return lsp.TextDocumentContentChangePartial(range=lsp.Range(at, at), text=text)


@on_a_loop
async def test_a_file_shows_what_is_wrong_with_it_and_where(tmp_path: Path) -> None:
    async with editor(tmp_path) as session:
        told = await session.open(tmp_path / "test_shapes.py", WRONG)
    assert [(d.code, underlined(WRONG, d.range)) for d in told.diagnostics] == [
        ("placeholder-without-variable", "{colr}"),
        ("placeholder-without-variable", "{place}"),
        ("unknown-metric", "clip_scor"),
        ("threshold-without-metric", "lpips"),
    ]
    assert {(d.source, d.severity) for d in told.diagnostics} == {
        ("difftest", lsp.DiagnosticSeverity.Error)
    }
    assert told.diagnostics[0].message == "no variable for `{colr}`; did you mean `{color}`?"
    assert told.version == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
@on_a_loop
async def test_ranges_are_in_the_units_the_editor_counts_in(tmp_path: Path, encoding: str) -> None:
    async with editor(tmp_path, encodings=[encoding]) as session:
        assert session.initialized.capabilities.position_encoding == encoding
        told = await session.open(tmp_path / "test_shapes.py", WRONG)
    places = [underlined(WRONG, d.range, encoding) for d in told.diagnostics]
    assert places == ["{colr}", "{place}", "clip_scor", "lpips"]


@on_a_loop
async def test_an_editor_that_names_no_encoding_gets_utf_16(tmp_path: Path) -> None:
    async with editor(tmp_path) as session:
        assert session.initialized.capabilities.position_encoding == "utf-16"


@on_a_loop
async def test_what_is_mended_while_typing_goes_away(tmp_path: Path) -> None:
    file = tmp_path / "test_shapes.py"
    async with editor(tmp_path) as session:
        await session.open(file, WRONG)
        line = WRONG.split("\n")[4]
        # In UTF-16 the palette before it is two units long: a wrong count would miss the place.
        version = session.type(file, insertion(4, line.index("r} square") + 1, "o"))
        told = await session.told(file, version=version)
    assert [underlined(WRONG, d.range) for d in told.diagnostics] == [
        "{place}",
        "clip_scor",
        "lpips",
    ]


@on_a_loop
async def test_a_quick_fix_replaces_a_name_with_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "test_shapes.py"
    async with editor(tmp_path) as session:
        told = await session.open(file, WRONG)
        placeholder = told.diagnostics[0]
        (fix,) = await session.quick_fixes(file, placeholder.range)
        assert fix.title == "Replace with `color`"
        assert fix.kind == lsp.CodeActionKind.QuickFix
        assert fix.edit is not None
        assert fix.edit.changes is not None
        ((uri, (edit,)),) = fix.edit.changes.items()
        assert uri == file.as_uri()
        assert underlined(WRONG, edit.range) == "colr"
        version = session.type(
            file, lsp.TextDocumentContentChangePartial(range=edit.range, text=edit.new_text)
        )
        mended = await session.told(file, version=version)
        assert placeholder.message not in [d.message for d in mended.diagnostics]


@on_a_loop
async def test_a_metric_is_completed_and_explained(tmp_path: Path) -> None:
    file = tmp_path / "test_shapes.py"
    (tmp_path / "metrics.py").write_text(DECLARES.replace("NAME", "redness"))
    async with editor(tmp_path) as session:
        line = WRONG.split("\n")[6]
        assert line == '    metrics=["clip_scor"],'
        await session.open(file, WRONG)
        offered = {i.label: i for i in await session.completions(file, 6, line.index("scor"))}
        assert {"clip_score", "lpips", "fid", "redness"} <= set(offered)
        assert (offered["lpips"].detail or "").startswith("lower is better")
        edit = offered["clip_score"].text_edit
        assert isinstance(edit, lsp.TextEdit)
        assert (underlined(WRONG, edit.range), edit.new_text) == ("clip_scor", "clip_score")
        version = session.type(
            file, lsp.TextDocumentContentChangePartial(range=edit.range, text=edit.new_text)
        )
        await session.told(file, version=version)
        told = await session.hover(file, 6, line.index("scor"))
        assert told is not None
        assert isinstance(told.contents, lsp.MarkupContent)
        assert told.contents.value.startswith("**clip_score** · higher is better · 0 to 1")
        assert await session.hover(file, 4, 20) is None


@on_a_loop
async def test_a_suite_of_the_repository_is_known_once_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "difftest.toml").write_text("")
    (tmp_path / "tests").mkdir()
    test, suite = tmp_path / "tests" / "test_a.py", tmp_path / "prompts.yaml"
    uses = (
        "import difftest\n\n@difftest.test(metrics=['ssim'], suite='prompts.yaml')\ndef t(): ...\n"
    )
    async with editor(tmp_path, watches=True) as session:
        (missing,) = (await session.open(test, uses)).diagnostics
        assert (missing.code, underlined(uses, missing.range)) == ("unknown-suite", "prompts.yaml")
        suite.write_text("- a red cross\n")
        before = len(session.published)
        change = lsp.FileEvent(uri=suite.as_uri(), type=lsp.FileChangeType.Created)
        session.client.workspace_did_change_watched_files(
            lsp.DidChangeWatchedFilesParams(changes=[change])
        )
        assert not (await session.told(test, since=before)).diagnostics


@on_a_loop
async def test_the_configuration_is_checked_while_it_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "difftest.toml"
    text = 'model = "shapes"\nincremntal = true\n'
    async with editor(tmp_path) as session:
        (wrong,) = (await session.open(file, text, "toml")).diagnostics
        assert (wrong.code, underlined(text, wrong.range)) == (
            "configuration",
            "incremntal = true",
        )
        assert "did you mean `incremental`?" in wrong.message
        version = session.type(file, insertion(1, 6, "e"))
        assert not (await session.told(file, version=version)).diagnostics


@on_a_loop
async def test_a_hundred_edits_end_with_the_diagnostics_of_the_last(tmp_path: Path) -> None:
    """They arrive faster than they are answered, and each builds on the one before it."""
    file = tmp_path / "test_shapes.py"
    async with editor(tmp_path) as session:
        await session.open(file, USES)
        name = "redness"
        for index in range(100):
            version = session.type(file, insertion(3, 57, str(index % 10)))
            name += str(index % 10)
        told = await session.told(file, version=version)
        versions = [p.version for p in session.published if p.uri == file.as_uri()]
    assert versions == sorted(versions)
    # Each digit went in at the same place, so they stand in the reverse order of their typing.
    (only,) = told.diagnostics
    assert name[-1] + name[-2] in only.message
    assert only.range.end.character - only.range.start.character == len(name)


@on_a_loop
async def test_a_metric_of_another_file_is_known(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text(DECLARES.replace("NAME", "redness"))
    async with editor(tmp_path) as session:
        told = await session.open(tmp_path / "tests" / "test_redness.py", USES)
        assert not told.diagnostics


@on_a_loop
async def test_a_metric_typed_in_one_file_is_known_in_the_other(tmp_path: Path) -> None:
    test, metrics = tmp_path / "test_redness.py", tmp_path / "metrics.py"
    async with editor(tmp_path) as session:
        told = await session.open(test, USES)
        assert [d.code for d in told.diagnostics] == ["unknown-metric"]
        before = len(session.published)
        await session.open(metrics, DECLARES.replace("NAME", "redness"))
        assert not (await session.told(test, since=before)).diagnostics
        # Closed without having been saved, it has declared nothing.
        before = len(session.published)
        session.close(metrics)
        told = await session.told(test, since=before)
        assert [d.code for d in told.diagnostics] == ["unknown-metric"]


@on_a_loop
async def test_a_metric_written_outside_the_editor_is_known(tmp_path: Path) -> None:
    test, metrics = tmp_path / "test_redness.py", tmp_path / "metrics.py"
    async with editor(tmp_path, watches=True) as session:
        await session.open(test, USES)
        assert [r.method for r in session.registered] == ["workspace/didChangeWatchedFiles"]
        metrics.write_text(DECLARES.replace("NAME", "redness"))
        before = len(session.published)
        change = lsp.FileEvent(uri=metrics.as_uri(), type=lsp.FileChangeType.Created)
        session.client.workspace_did_change_watched_files(
            lsp.DidChangeWatchedFilesParams(changes=[change])
        )
        assert not (await session.told(test, since=before)).diagnostics


@on_a_loop
async def test_a_file_opened_without_a_folder_knows_its_project(tmp_path: Path) -> None:
    (tmp_path / "difftest.toml").write_text("")
    (tmp_path / "metrics.py").write_text(DECLARES.replace("NAME", "redness"))
    (tmp_path / "tests").mkdir()
    async with editor(None) as session:
        told = await session.open(tmp_path / "tests" / "test_redness.py", USES)
        assert not told.diagnostics


@on_a_loop
async def test_a_closed_file_shows_nothing(tmp_path: Path) -> None:
    file = tmp_path / "test_shapes.py"
    async with editor(tmp_path) as session:
        await session.open(file, WRONG)
        before = len(session.published)
        session.close(file)
        assert not (await session.told(file, since=before)).diagnostics


@on_a_loop
async def test_a_syntax_error_is_left_to_the_servers_for_python(tmp_path: Path) -> None:
    async with editor(tmp_path) as session:
        told = await session.open(tmp_path / "test_shapes.py", "import difftest\ndef broken(:\n")
        assert not told.diagnostics


@on_a_loop
async def test_the_server_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async with editor(tmp_path) as session:
        await session.open(tmp_path / "test_shapes.py", WRONG)
        assert await session.leave() == 0


@on_a_loop
async def test_the_server_ends_when_its_editor_is_gone(tmp_path: Path) -> None:
    async with editor(tmp_path) as session:
        await session.open(tmp_path / "test_shapes.py", WRONG)
        server = session.client._server
        assert server is not None
        assert server.stdin is not None
        server.stdin.close()
        assert await session.ended() == 1
