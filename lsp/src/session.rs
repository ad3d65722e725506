//! The open documents, and what an editor is told of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tower_lsp::ls_types::{self as lsp, Uri};

use crate::completion::{self, Kind};
use crate::configuration;
use crate::decorators::{self, SourceFile};
use crate::document::{Document, Encoding};
use crate::hover;
use crate::metrics::KnownMetrics;
use crate::rules::{self, Finding};
use crate::suites;
use crate::workspace::Workspace;

const SOURCE: &str = "difftest";

/// Whether the client can tell of files that change outside of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Watching {
    Supported,
    #[default]
    Unsupported,
}

#[derive(Default)]
pub(crate) struct Session {
    pub(crate) encoding: Encoding,
    pub(crate) watching: Watching,
    pub(crate) workspace: Workspace,
    open: HashMap<Uri, OpenDocument>,
}

struct OpenDocument {
    document: Document,
    version: i32,
    content: Content,
    /// None for a document that is not on disk yet.
    path: Option<PathBuf>,
}

/// What a document is, and says.
enum Content {
    Source(SourceFile),
    /// A configuration, by its file's name.
    Configuration(String),
}

impl Content {
    fn read(&self, document: &Document) -> Self {
        match self {
            Self::Source(_) => Self::Source(decorators::read(document.text())),
            Self::Configuration(name) => Self::Configuration(name.clone()),
        }
    }
}

impl OpenDocument {
    fn source(&self) -> Option<&SourceFile> {
        match &self.content {
            Content::Source(file) => Some(file),
            Content::Configuration(_) => None,
        }
    }
}

/// The diagnostics of one document, ready to be sent.
pub(crate) struct Report {
    pub(crate) uri: Uri,
    pub(crate) version: Option<i32>,
    pub(crate) diagnostics: Vec<lsp::Diagnostic>,
}

impl Session {
    pub(crate) fn open(&mut self, item: lsp::TextDocumentItem) -> Vec<Report> {
        let before = self.known();
        let path = path_of(&item.uri);
        let name = item.uri.as_str().rsplit('/').next().unwrap_or_default();
        let content = if configuration::is_configuration(name) {
            Content::Configuration(name.to_owned())
        } else if item.language_id == "python" || name.ends_with(".py") {
            Content::Source(decorators::read(&item.text))
        } else {
            return Vec::new();
        };
        if let Some(path) = &path {
            self.workspace.add_file(path);
        }
        let document = Document::new(item.text, self.encoding);
        let opened = OpenDocument { document, version: item.version, content, path };
        self.open.insert(item.uri.clone(), opened);
        self.reports_after(&before, Some(&item.uri))
    }

    pub(crate) fn change(&mut self, params: lsp::DidChangeTextDocumentParams) -> Vec<Report> {
        let before = self.known();
        let lsp::VersionedTextDocumentIdentifier { uri, version } = params.text_document;
        let Some(opened) = self.open.get_mut(&uri) else { return Vec::new() };
        opened.document.apply(params.content_changes);
        opened.version = version;
        opened.content = opened.content.read(&opened.document);
        self.reports_after(&before, Some(&uri))
    }

    pub(crate) fn close(&mut self, uri: Uri) -> Vec<Report> {
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

    pub(crate) fn changed_on_disk(&mut self, changes: &[lsp::FileEvent]) -> Vec<Report> {
        let before = self.known();
        let mut suites_changed = false;
        for path in changes.iter().filter_map(|change| path_of(&change.uri)) {
            if path.extension().is_some_and(|ending| ending == "py") {
                self.workspace.read_file(&path);
            }
            suites_changed |= path.to_str().is_some_and(suites::has_ending);
        }
        if suites_changed { self.reports(|_| true) } else { self.reports_after(&before, None) }
    }

    pub(crate) fn change_folders(
        &mut self,
        event: lsp::WorkspaceFoldersChangeEvent,
    ) -> Vec<Report> {
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
        let open = self.open.values().filter_map(|open| Some(&open.source()?.declared));
        KnownMetrics::of(on_disk.map(|(_, declared)| declared).chain(open))
    }

    /// The document that changed, and every other one where the metrics there are have changed.
    fn reports_after(&self, before: &KnownMetrics, changed: Option<&Uri>) -> Vec<Report> {
        let others = self.known() != *before;
        self.reports(|uri| Some(uri) == changed || others)
    }

    fn reports(&self, which: impl Fn(&Uri) -> bool) -> Vec<Report> {
        let known = self.known();
        self.open
            .iter()
            .filter(|(uri, _)| which(uri))
            .map(|(uri, open)| Report {
                uri: uri.clone(),
                version: Some(open.version),
                diagnostics: self
                    .findings(open, &known)
                    .into_iter()
                    .map(|finding| diagnostic(&open.document, finding))
                    .collect(),
            })
            .collect()
    }

    fn findings(&self, open: &OpenDocument, known: &KnownMetrics) -> Vec<Finding> {
        match &open.content {
            Content::Source(file) => {
                rules::check(file, known, &|name| self.has_file(open.path.as_deref(), name))
            }
            Content::Configuration(name) => configuration::check(name, open.document.text()),
        }
    }

    /// Of a test that is not on disk yet nobody knows what will be beside it.
    fn has_file(&self, test: Option<&Path>, name: &str) -> bool {
        test.is_none_or(|test| {
            let roots = self.workspace.roots_of(test);
            suites::places(name, test, &roots).iter().any(|file| file.is_file())
        })
    }

    pub(crate) fn completions(
        &self,
        uri: &Uri,
        position: lsp::Position,
    ) -> Vec<lsp::CompletionItem> {
        let Some((open, file)) = self.asked(uri) else { return Vec::new() };
        let at = open.document.offset(position);
        completion::complete(open.document.text(), file, &self.known(), at)
            .into_iter()
            .map(|offered| lsp::CompletionItem {
                kind: Some(match offered.kind {
                    Kind::Metric => lsp::CompletionItemKind::FUNCTION,
                    Kind::Suite => lsp::CompletionItemKind::MODULE,
                    Kind::Variable => lsp::CompletionItemKind::VARIABLE,
                    Kind::Word => lsp::CompletionItemKind::ENUM_MEMBER,
                }),
                detail: Some(offered.detail),
                documentation: offered
                    .documentation
                    .map(markdown)
                    .map(lsp::Documentation::MarkupContent),
                text_edit: Some(lsp::CompletionTextEdit::Edit(lsp::TextEdit {
                    range: open.document.range(offered.replaces),
                    new_text: offered.label.clone(),
                })),
                label: offered.label,
                ..Default::default()
            })
            .collect()
    }

    pub(crate) fn hover(&self, uri: &Uri, position: lsp::Position) -> Option<lsp::Hover> {
        let (open, file) = self.asked(uri)?;
        let at = open.document.offset(position);
        let (range, told) = hover::hover(open.document.text(), file, at)?;
        Some(lsp::Hover {
            contents: lsp::HoverContents::Markup(markdown(told)),
            range: Some(open.document.range(range)),
        })
    }

    fn asked(&self, uri: &Uri) -> Option<(&OpenDocument, &SourceFile)> {
        let open = self.open.get(uri)?;
        Some((open, open.source()?))
    }

    pub(crate) fn quick_fixes(&self, uri: &Uri, asked: lsp::Range) -> Vec<lsp::CodeAction> {
        let Some(open) = self.open.get(uri) else { return Vec::new() };
        let asked = open.document.offset(asked.start)..open.document.offset(asked.end);
        self.findings(open, &self.known())
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

pub(crate) fn path_of(uri: &Uri) -> Option<PathBuf> {
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

fn markdown(value: String) -> lsp::MarkupContent {
    lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value }
}
