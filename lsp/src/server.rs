//! The protocol: what editors send, and what they are told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_lsp::jsonrpc::Result;
use tower_lsp::ls_types::{self as lsp, Uri, notification::Notification};
use tower_lsp::{Client, LanguageServer, LspService, Server as Transport};

use crate::document::Encoding;
use crate::session::{Report, Session, Watching, path_of};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The client asked the server to shut down first, as the protocol wants it.
    Orderly,
    /// The client went away.
    Abrupt,
}

impl Exit {
    /// The process's exit code, as the protocol's `exit` notification defines it.
    pub fn code(self) -> u8 {
        match self {
            Self::Orderly => 0,
            Self::Abrupt => 1,
        }
    }
}

/// Serves one client on standard input and output until it leaves, on a runtime of its own.
///
/// # Errors
/// The runtime did not start.
pub fn run() -> std::io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exit = runtime.block_on(serve());
    // A thread still waits in `read` on standard input, and no client owes it another byte.
    runtime.shutdown_background();
    Ok(exit)
}

/// Serves one client on standard input and output until it leaves. A runtime that is dropped after
/// this waits for standard input to close; prefer [`run`], or `shutdown_background`.
pub async fn serve() -> Exit {
    let shutdown = Arc::new(AtomicBool::new(false));
    let (service, socket) = LspService::new(|client| Server {
        client,
        state: Mutex::default(),
        shutdown: Arc::clone(&shutdown),
    });
    // One message at a time: edits must be applied in the order in which they were made, and
    // diagnostics must not overtake each other. Each takes well under a millisecond.
    Transport::new(tokio::io::stdin(), tokio::io::stdout(), socket)
        .concurrency_level(1)
        .serve(service)
        .await;
    if shutdown.load(Ordering::Relaxed) { Exit::Orderly } else { Exit::Abrupt }
}

struct Server {
    client: Client,
    state: Mutex<Session>,
    shutdown: Arc<AtomicBool>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, Session> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn publish(&self, reports: Vec<Report>) {
        for report in reports {
            let Report { uri, version, diagnostics } = report;
            self.client.publish_diagnostics(uri, diagnostics, version).await;
        }
    }
}

impl LanguageServer for Server {
    async fn initialize(&self, params: lsp::InitializeParams) -> Result<lsp::InitializeResult> {
        let mut state = self.state();
        let general = params.capabilities.general.as_ref();
        let offered = general.and_then(|general| general.position_encodings.as_deref());
        state.encoding = Encoding::negotiate(offered);
        let workspace = params.capabilities.workspace.as_ref();
        let watched = workspace.and_then(|workspace| workspace.did_change_watched_files);
        if watched.is_some_and(|watched| watched.dynamic_registration == Some(true)) {
            state.watching = Watching::Supported;
        }
        let folders = params.workspace_folders.unwrap_or_default();
        let mut roots: Vec<Uri> = folders.into_iter().map(|folder| folder.uri).collect();
        if roots.is_empty() {
            #[expect(deprecated, reason = "editors from before workspace folders send this alone")]
            roots.extend(params.root_uri);
        }
        for root in roots.iter().filter_map(path_of) {
            state.workspace.add_root(&root);
        }
        Ok(lsp::InitializeResult {
            capabilities: lsp::ServerCapabilities {
                position_encoding: Some(state.encoding.kind()),
                text_document_sync: Some(lsp::TextDocumentSyncCapability::Kind(
                    lsp::TextDocumentSyncKind::INCREMENTAL,
                )),
                completion_provider: Some(lsp::CompletionOptions {
                    trigger_characters: Some(["\"", "'", "{"].map(str::to_owned).into()),
                    ..Default::default()
                }),
                hover_provider: Some(lsp::HoverProviderCapability::Simple(true)),
                code_action_provider: Some(lsp::CodeActionProviderCapability::Options(
                    lsp::CodeActionOptions {
                        code_action_kinds: Some(vec![lsp::CodeActionKind::QUICKFIX]),
                        ..Default::default()
                    },
                )),
                workspace: Some(lsp::WorkspaceServerCapabilities {
                    workspace_folders: Some(lsp::WorkspaceFoldersServerCapabilities {
                        supported: Some(true),
                        change_notifications: Some(lsp::OneOf::Left(true)),
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            },
            server_info: Some(lsp::ServerInfo {
                name: "difftest-lsp".to_owned(),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            }),
            offset_encoding: None,
        })
    }

    async fn initialized(&self, _: lsp::InitializedParams) {
        if self.state().watching == Watching::Unsupported {
            return;
        }
        let method = lsp::notification::DidChangeWatchedFiles::METHOD.to_owned();
        let registration = lsp::Registration {
            id: method.clone(),
            method,
            register_options: Some(serde_json::json!({ "watchers": [
                    { "globPattern": "**/*.py" },
                    // Files of prompts.
                    { "globPattern": "**/*.{json,yaml,yml,txt}" },
                ] })),
        };
        // A client that refuses still sends what it edits itself; nothing is lost but changes made
        // on disk by others.
        if let Err(error) = self.client.register_capability(vec![registration]).await {
            tracing::warn!(%error, "the client does not watch files");
        }
    }

    async fn shutdown(&self) -> Result<()> {
        self.shutdown.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn did_open(&self, params: lsp::DidOpenTextDocumentParams) {
        let reports = self.state().open(params.text_document);
        self.publish(reports).await;
    }

    async fn did_change(&self, params: lsp::DidChangeTextDocumentParams) {
        let reports = self.state().change(params);
        self.publish(reports).await;
    }

    async fn did_close(&self, params: lsp::DidCloseTextDocumentParams) {
        let reports = self.state().close(params.text_document.uri);
        self.publish(reports).await;
    }

    async fn did_change_watched_files(&self, params: lsp::DidChangeWatchedFilesParams) {
        let reports = self.state().changed_on_disk(&params.changes);
        self.publish(reports).await;
    }

    async fn did_change_workspace_folders(&self, params: lsp::DidChangeWorkspaceFoldersParams) {
        let reports = self.state().change_folders(params.event);
        self.publish(reports).await;
    }

    async fn completion(
        &self,
        params: lsp::CompletionParams,
    ) -> Result<Option<lsp::CompletionResponse>> {
        let lsp::TextDocumentPositionParams { text_document, position } =
            params.text_document_position;
        let offered = self.state().completions(&text_document.uri, position);
        Ok(Some(lsp::CompletionResponse::Array(offered)))
    }

    async fn hover(&self, params: lsp::HoverParams) -> Result<Option<lsp::Hover>> {
        let lsp::TextDocumentPositionParams { text_document, position } =
            params.text_document_position_params;
        Ok(self.state().hover(&text_document.uri, position))
    }

    async fn code_action(
        &self,
        params: lsp::CodeActionParams,
    ) -> Result<Option<lsp::CodeActionResponse>> {
        let fixes = self.state().quick_fixes(&params.text_document.uri, params.range);
        Ok(Some(fixes.into_iter().map(lsp::CodeActionOrCommand::CodeAction).collect()))
    }
}
