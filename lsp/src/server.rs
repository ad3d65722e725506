//! The protocol: what editors send, and what they are told.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tower_lsp::jsonrpc::Result;
use tower_lsp::ls_types::{self as lsp, Uri, notification::Notification};
use tower_lsp::{Client, LanguageServer, LspService, Server as Transport};

use crate::decorators::{self, SourceFile};
use crate::document::{Document, Encoding};
use crate::metrics::KnownMetrics;
use crate::rules::{self, Finding};
use crate::workspace::Workspace;

const SOURCE: &str = "difftest";

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
    state: Mutex<State>,
    shutdown: Arc<AtomicBool>,
}

/// Whether the client can tell of files that change outside of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Watching {
    Supported,
    #[default]
    Unsupported,
}

#[derive(Default)]
struct State {
    encoding: Encoding,
    watching: Watching,
    workspace: Workspace,
    open: HashMap<Uri, OpenDocument>,
}

struct OpenDocument {
    document: Document,
    version: i32,
    /// What `document` says.
    file: SourceFile,
    /// None for a document that is not on disk yet.
    path: Option<PathBuf>,
}

/// The diagnostics of one document, ready to be sent.
struct Report {
    uri: Uri,
    version: Option<i32>,
    diagnostics: Vec<lsp::Diagnostic>,
}

impl State {
    fn open(&mut self, item: lsp::TextDocumentItem) -> Vec<Report> {
        if item.language_id != "python" && !item.uri.as_str().ends_with(".py") {
            return Vec::new();
        }
        let before = self.known();
        let path = path_of(&item.uri);
        if let Some(path) = &path {
            self.workspace.add_file(path);
        }
        let document = Document::new(item.text, self.encoding);
        let file = decorators::read(document.text());
        let opened = OpenDocument { document, version: item.version, file, path };
        self.open.insert(item.uri.clone(), opened);
        self.reports_after(&before, Some(&item.uri))
    }

    fn change(&mut self, params: lsp::DidChangeTextDocumentParams) -> Vec<Report> {
        let before = self.known();
        let lsp::VersionedTextDocumentIdentifier { uri, version } = params.text_document;
        let Some(opened) = self.open.get_mut(&uri) else { return Vec::new() };
        opened.document.apply(params.content_changes);
        opened.version = version;
        opened.file = decorators::read(opened.document.text());
        self.reports_after(&before, Some(&uri))
    }

    fn close(&mut self, uri: Uri) -> Vec<Report> {
        let before = self.known();
        let Some(closed) = self.open.remove(&uri) else { return Vec::new() };
        // What was typed and not saved is gone; the disk speaks for the file again.
        if let Some(path) = closed.path {
            self.workspace.read_file(&path);
        }
        let mut reports = self.reports_after(&before, None);
        reports.push(Report { uri, version: None, diagnostics: Vec::new() });
        reports
    }

    fn changed_on_disk(&mut self, changes: &[lsp::FileEvent]) -> Vec<Report> {
        let before = self.known();
        for path in changes.iter().filter_map(|change| path_of(&change.uri)) {
            self.workspace.read_file(&path);
        }
        self.reports_after(&before, None)
    }

    fn change_folders(&mut self, event: lsp::WorkspaceFoldersChangeEvent) -> Vec<Report> {
        let before = self.known();
        for root in event.removed.iter().filter_map(|folder| path_of(&folder.uri)) {
            self.workspace.remove_root(&root);
        }
        for root in event.added.iter().filter_map(|folder| path_of(&folder.uri)) {
            self.workspace.add_root(&root);
        }
        self.reports_after(&before, None)
    }

    /// The built-in metrics, the ones on disk, and in place of a file on disk what an editor holds
    /// of it.
    fn known(&self) -> KnownMetrics {
        let is_open = |path| self.open.values().any(|open| open.path.as_deref() == Some(path));
        let on_disk = self.workspace.declared().filter(|(path, _)| !is_open(*path));
        let open = self.open.values().map(|open| &open.file.declared);
        KnownMetrics::of(on_disk.map(|(_, declared)| declared).chain(open))
    }

    /// The document that changed, and every other one where the metrics there are have changed.
    fn reports_after(&self, before: &KnownMetrics, changed: Option<&Uri>) -> Vec<Report> {
        let known = self.known();
        self.open
            .iter()
            .filter(|(uri, _)| Some(*uri) == changed || known != *before)
            .map(|(uri, open)| Report {
                uri: uri.clone(),
                version: Some(open.version),
                diagnostics: rules::check(&open.file, &known)
                    .into_iter()
                    .map(|finding| diagnostic(&open.document, finding))
                    .collect(),
            })
            .collect()
    }

    fn quick_fixes(&self, uri: &Uri, asked: lsp::Range) -> Vec<lsp::CodeAction> {
        let Some(open) = self.open.get(uri) else { return Vec::new() };
        let asked = open.document.offset(asked.start)..open.document.offset(asked.end);
        rules::check(&open.file, &self.known())
            .into_iter()
            .filter(|finding| finding.range.start <= asked.end && asked.start <= finding.range.end)
            .filter_map(|finding| {
                let fix = finding.fix.clone()?;
                let edit = lsp::TextEdit {
                    range: open.document.range(fix.range),
                    new_text: fix.replacement,
                };
                Some(lsp::CodeAction {
                    title: fix.title,
                    kind: Some(lsp::CodeActionKind::QUICKFIX),
                    diagnostics: Some(vec![diagnostic(&open.document, finding)]),
                    edit: Some(lsp::WorkspaceEdit {
                        changes: Some(HashMap::from([(uri.clone(), vec![edit])])),
                        ..Default::default()
                    }),
                    is_preferred: Some(true),
                    ..Default::default()
                })
            })
            .collect()
    }
}

fn path_of(uri: &Uri) -> Option<PathBuf> {
    let is_file = uri.scheme().as_str().eq_ignore_ascii_case("file");
    is_file.then(|| uri.to_file_path()).flatten().map(|path| path.into_owned())
}

fn diagnostic(document: &Document, finding: Finding) -> lsp::Diagnostic {
    lsp::Diagnostic {
        range: document.range(finding.range),
        // A run refuses every one of them.
        severity: Some(lsp::DiagnosticSeverity::ERROR),
        code: Some(lsp::NumberOrString::String(finding.code.as_str().to_owned())),
        source: Some(SOURCE.to_owned()),
        message: finding.message,
        ..Default::default()
    }
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
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
            register_options: Some(
                serde_json::json!({ "watchers": [{ "globPattern": "**/*.py" }] }),
            ),
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

    async fn code_action(
        &self,
        params: lsp::CodeActionParams,
    ) -> Result<Option<lsp::CodeActionResponse>> {
        let fixes = self.state().quick_fixes(&params.text_document.uri, params.range);
        Ok(Some(fixes.into_iter().map(lsp::CodeActionOrCommand::CodeAction).collect()))
    }
}
