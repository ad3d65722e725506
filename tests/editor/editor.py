"""An editor for tests: pygls' language client, and what it was last told about each file."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).resolve().parents[2]
#: A debug build on a busy machine answers within a second; a server that hangs is caught here.
PATIENCE_S = 20

CODE_UNITS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
UNIT_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}


def server_command() -> list[str]:
    """DIFFTEST_LSP_CMD, else the debug build."""
    given = os.environ.get("DIFFTEST_LSP_CMD")
    if given:
        return shlex.split(given)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = target / "debug" / "difftest-lsp"
    if not binary.exists():
        pytest.fail(f"{binary} is not there: build it with `cargo build -p difftest-lsp`")
    return [str(binary)]


def underlined(text: str, place: lsp.Range, encoding: str = "utf-16") -> str:
    """The text of a range as an editor of this position encoding would underline it."""
    lines = text.split("\n")

    def after(position: lsp.Position) -> int:
        line = lines[position.line].encode(CODE_UNITS[encoding])
        within = line[: position.character * UNIT_BYTES[encoding]].decode(CODE_UNITS[encoding])
        return sum(len(line) + 1 for line in lines[: position.line]) + len(within)

    return text[after(place.start) : after(place.end)]


@dataclass
class Editor:
    """One editor with one server."""

    client: LanguageClient
    initialized: lsp.InitializeResult
    #: Everything that was published, in order.
    published: list[lsp.PublishDiagnosticsParams]
    registered: list[lsp.Registration]
    news: asyncio.Condition
    _versions: dict[str, int] = field(default_factory=dict)

    async def open(
        self, file: Path, text: str, language: str = "python"
    ) -> lsp.PublishDiagnosticsParams:
        uri = file.as_uri()
        self._versions[uri] = 1
        document = lsp.TextDocumentItem(uri=uri, language_id=language, version=1, text=text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(text_document=document))
        return await self.told(file, version=1)

    def type(self, file: Path, change: lsp.TextDocumentContentChangeEvent) -> int:
        """Sends an edit and answers the version it made."""
        uri = file.as_uri()
        self._versions[uri] += 1
        version = self._versions[uri]
        document = lsp.VersionedTextDocumentIdentifier(uri=uri, version=version)
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(text_document=document, content_changes=[change])
        )
        return version

    def close(self, file: Path) -> None:
        document = lsp.TextDocumentIdentifier(uri=file.as_uri())
        self.client.text_document_did_close(lsp.DidCloseTextDocumentParams(text_document=document))

    async def quick_fixes(self, file: Path, place: lsp.Range) -> Sequence[lsp.CodeAction]:
        answer = await self.client.text_document_code_action_async(
            lsp.CodeActionParams(
                text_document=lsp.TextDocumentIdentifier(uri=file.as_uri()),
                range=place,
                context=lsp.CodeActionContext(diagnostics=[]),
            )
        )
        return [action for action in answer or [] if isinstance(action, lsp.CodeAction)]

    async def completions(self, file: Path, line: int, character: int) -> list[lsp.CompletionItem]:
        answer = await self.client.text_document_completion_async(
            lsp.CompletionParams(
                text_document=lsp.TextDocumentIdentifier(uri=file.as_uri()),
                position=lsp.Position(line, character),
            )
        )
        return list(answer.items if isinstance(answer, lsp.CompletionList) else answer or [])

    async def hover(self, file: Path, line: int, character: int) -> lsp.Hover | None:
        return await self.client.text_document_hover_async(
            lsp.HoverParams(
                text_document=lsp.TextDocumentIdentifier(uri=file.as_uri()),
                position=lsp.Position(line, character),
            )
        )

    async def told(
        self, file: Path, *, version: int | None = None, since: int = 0
    ) -> lsp.PublishDiagnosticsParams:
        """The diagnostics of a file, of this version where one is given, once they are there."""

        def found() -> lsp.PublishDiagnosticsParams | None:
            for params in self.published[since:]:
                if params.uri == file.as_uri() and version in (None, params.version):
                    return params
            return None

        async with self.news:
            await asyncio.wait_for(self.news.wait_for(found), PATIENCE_S)
        told = found()
        assert told is not None
        return told

    async def leave(self) -> int:
        """Shuts the server down as the protocol says; its exit code."""
        await self.client.shutdown_async(None)
        self.client.exit(None)
        return await self.ended()

    async def ended(self) -> int:
        server = self.client._server
        assert server is not None
        return await asyncio.wait_for(server.wait(), PATIENCE_S)


@asynccontextmanager
async def editor(
    root: Path | None, *, encodings: Sequence[str] | None = None, watches: bool = False
) -> AsyncIterator[Editor]:
    """An editor that has opened a folder, and tells of changed files where it `watches`."""
    client = LanguageClient("difftest's tests", "1")
    published: list[lsp.PublishDiagnosticsParams] = []
    registered: list[lsp.Registration] = []
    news = asyncio.Condition()

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    async def _(params: lsp.PublishDiagnosticsParams) -> None:
        async with news:
            published.append(params)
            news.notify_all()

    @client.feature(lsp.CLIENT_REGISTER_CAPABILITY)
    async def _(params: lsp.RegistrationParams) -> None:
        async with news:
            registered.extend(params.registrations)
            news.notify_all()

    await client.start_io(*server_command())
    try:
        watching = lsp.DidChangeWatchedFilesClientCapabilities(dynamic_registration=watches)
        folder = root and lsp.WorkspaceFolder(uri=root.as_uri(), name=root.name)
        initialized = await asyncio.wait_for(
            client.initialize_async(
                lsp.InitializeParams(
                    capabilities=lsp.ClientCapabilities(
                        general=lsp.GeneralClientCapabilities(
                            position_encodings=[lsp.PositionEncodingKind(e) for e in encodings]
                            if encodings
                            else None
                        ),
                        workspace=lsp.WorkspaceClientCapabilities(
                            did_change_watched_files=watching
                        ),
                    ),
                    workspace_folders=[folder] if folder else None,
                )
            ),
            PATIENCE_S,
        )
        client.initialized(lsp.InitializedParams())
        session = Editor(client, initialized, published, registered, news)
        yield session
        # Whatever a test did, the server must have survived it.
        if client._server is not None and client._server.returncode is None:
            assert await session.leave() == 0
    finally:
        server = client._server
        if server is not None and server.returncode is None:
            server.kill()
            await server.wait()
        # A server that is killed may be in the middle of a message.
        with suppress(asyncio.IncompleteReadError):
            await client.stop()
