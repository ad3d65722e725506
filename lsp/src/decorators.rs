//! What a file's difftest decorators say, with the place of every word of it.
//!
//! Only literals are read. What a name, a call, an f-string or a spread would be is known when
//! Python runs it, so it counts as [`Rest::Unreadable`] and no rule concludes anything from it.

use std::ops::Range;

use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::{self as ast, Expr, PySourceType, Stmt};
use ruff_python_parser::parse_unchecked_source;
use ruff_text_size::Ranged;

use crate::imports::{Decorator, Imports};
use crate::literal::TextLiteral;
use crate::metrics::{DeclaredMetrics, Rest};

/// Sources above this size are not read: nobody wrote them, and a syntax tree costs stack.
pub const LARGEST_SOURCE: usize = 1 << 20;

/// Stack for each byte of source. A syntax tree is at most half as deep as its source is long
/// (`- - - - x`), and it is dropped recursively.
const STACK_PER_BYTE: usize = 512;
const LEAST_STACK: usize = 2 << 20;

/// The string literals of an argument.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub literals: Vec<TextLiteral>,
    pub rest: Rest,
}

impl Listing {
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.literals.iter().map(|literal| literal.value.as_str())
    }

    fn unreadable() -> Self {
        Self { literals: Vec::new(), rest: Rest::Unreadable }
    }
}

/// A key of `variables`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: TextLiteral,
    /// How many values it has; None where that is only known when Python runs it.
    pub count: Option<usize>,
}

/// One `@difftest.test(…)` or `@difftest.visual_regression(…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoratorUse {
    pub prompts: Listing,
    pub metrics: Listing,
    /// The keys of `threshold`.
    pub thresholds: Listing,
    pub variables: Vec<Variable>,
    pub variables_rest: Rest,
    /// At most one literal.
    pub suite: Listing,
    /// At most one literal.
    pub combine: Listing,
}

impl DecoratorUse {
    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.name.value.as_str())
    }
}

/// What a string literal of a decorator is: what an editor may offer in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    Prompt,
    Metric,
    /// A key of `threshold`.
    Threshold,
    Suite,
    Combine,
}

/// The place of a string literal, also of one that is not closed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub kind: SlotKind,
    /// Between the quotes, in bytes.
    pub contents: Range<usize>,
    /// The decorator it stands in: an index into [`SourceFile::uses`].
    pub decorator: usize,
}

/// What a file tells difftest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFile {
    pub uses: Vec<DecoratorUse>,
    pub slots: Vec<Slot>,
    pub declared: DeclaredMetrics,
}

/// The parameters that can be given by position, in the package's order.
const TEST: &[&str] = &[
    "prompts",
    "metrics",
    "threshold",
    "seeds",
    "reference_dir",
    "suite",
    "variables",
    "negative_prompt",
];
const VISUAL_REGRESSION: &[&str] = &[
    "prompts",
    "seeds",
    "baseline_dir",
    "ssim_threshold",
    "suite",
    "variables",
    "negative_prompt",
];
const METRIC: &[&str] = &["name"];

/// Reads a file, whatever state it is in: half-typed code gives what can be told from it.
pub fn read(source: &str) -> SourceFile {
    // Most files of a workspace never name the package; they need no syntax tree.
    if source.len() > LARGEST_SOURCE || !source.contains("difftest") {
        return SourceFile::default();
    }
    let stack = source.len().saturating_mul(STACK_PER_BYTE).max(LEAST_STACK);
    stacker::grow(stack, || {
        let parsed = parse_unchecked_source(source, PySourceType::Python);
        let mut reader = Reader {
            source,
            errors: parsed.errors().iter().map(bytes).collect(),
            imports: Imports::default(),
            depth: 0,
            file: SourceFile::default(),
        };
        reader.visit_body(parsed.suite());
        reader.file
    })
}

fn bytes(node: &impl Ranged) -> Range<usize> {
    node.start().to_usize()..node.end().to_usize()
}

struct Reader<'a> {
    source: &'a str,
    errors: Vec<Range<usize>>,
    imports: Imports,
    /// Functions and classes around the statement at hand.
    depth: usize,
    file: SourceFile,
}

impl<'a> StatementVisitor<'a> for Reader<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => self.imports.import(import),
            Stmt::ImportFrom(import) => self.imports.import_from(import),
            Stmt::FunctionDef(function) => {
                let until = function.name.end().to_usize();
                self.decorators(&function.decorator_list, until);
                self.nested(statement, function.name.as_str());
            }
            Stmt::ClassDef(class) => {
                let until = class.name.end().to_usize();
                self.decorators(&class.decorator_list, until);
                self.nested(statement, class.name.as_str());
            }
            Stmt::Assign(assignment) => {
                self.called(&assignment.value);
                if self.depth == 0 {
                    for target in &assignment.targets {
                        if let Expr::Name(name) = target {
                            self.imports.rebind(name.id.as_str());
                        }
                    }
                }
            }
            Stmt::Expr(expression) => self.called(&expression.value),
            _ => walk_stmt(self, statement),
        }
    }
}

impl<'a> Reader<'a> {
    fn nested(&mut self, statement: &'a Stmt, name: &str) {
        self.depth += 1;
        walk_stmt(self, statement);
        self.depth -= 1;
        // A method or an inner function is in another scope and hides nothing out here.
        if self.depth == 0 {
            self.imports.rebind(name);
        }
    }

    fn decorators(&mut self, decorators: &[ast::Decorator], until: usize) {
        for decorator in decorators {
            let Expr::Call(call) = &decorator.expression else { continue };
            let parameters = match self.imports.decorator(&call.func) {
                Some(Decorator::Test) => TEST,
                Some(Decorator::VisualRegression) => VISUAL_REGRESSION,
                Some(Decorator::Metric) => {
                    self.declaration(call);
                    continue;
                }
                None => continue,
            };
            // Near a syntax error an argument may be missing only because it is not typed yet.
            let from = decorator.start().to_usize();
            let torn = self.errors.iter().any(|e| e.start <= until && e.end >= from);
            let arguments = Arguments { call, parameters };
            let (variables, variables_rest) = self.variables(arguments.get("variables"));
            let mut found = DecoratorUse {
                prompts: self.listing(SlotKind::Prompt, arguments.get("prompts")),
                metrics: self.listing(SlotKind::Metric, arguments.get("metrics")),
                thresholds: self.keys(SlotKind::Threshold, arguments.get("threshold")),
                variables,
                variables_rest,
                suite: self.listing(SlotKind::Suite, arguments.get("suite")),
                combine: self.listing(SlotKind::Combine, arguments.get("combine")),
            };
            if torn {
                found.metrics.rest = Rest::Unreadable;
                found.variables_rest = Rest::Unreadable;
            }
            self.file.uses.push(found);
        }
    }

    /// `difftest.metric("name")(function)`, the decorator called by hand.
    fn called(&mut self, expression: &Expr) {
        let Expr::Call(outer) = expression else { return };
        let Expr::Call(inner) = &*outer.func else { return };
        if self.imports.decorator(&inner.func) == Some(Decorator::Metric) {
            self.declaration(inner);
        }
    }

    fn declaration(&mut self, call: &ast::ExprCall) {
        match (Arguments { call, parameters: METRIC }).get("name") {
            Argument::Given(Expr::StringLiteral(name)) => {
                self.file.declared.names.insert(name.value.to_str().to_owned());
            }
            _ => self.file.declared.rest = Rest::Unreadable,
        }
    }

    /// The strings of a list, a tuple, a set, or one string alone.
    fn listing(&mut self, kind: SlotKind, argument: Argument<'_>) -> Listing {
        match argument {
            Argument::Absent | Argument::Given(Expr::NoneLiteral(_)) => Listing::default(),
            Argument::Unreadable => Listing::unreadable(),
            Argument::Given(Expr::List(list)) => self.strings(kind, list.elts.iter()),
            Argument::Given(Expr::Tuple(tuple)) => self.strings(kind, tuple.elts.iter()),
            Argument::Given(Expr::Set(set)) => self.strings(kind, set.elts.iter()),
            Argument::Given(other) => self.strings(kind, std::iter::once(other)),
        }
    }

    /// The keys of a dictionary.
    fn keys(&mut self, kind: SlotKind, argument: Argument<'_>) -> Listing {
        match argument {
            Argument::Absent | Argument::Given(Expr::NoneLiteral(_)) => Listing::default(),
            Argument::Given(Expr::Dict(dict)) => {
                let keys = dict.items.iter().filter_map(|item| item.key.as_ref());
                let mut keys = self.strings(kind, keys);
                if dict.items.iter().any(|item| item.key.is_none()) {
                    keys.rest = Rest::Unreadable; // `**others`
                }
                keys
            }
            Argument::Unreadable | Argument::Given(_) => Listing::unreadable(),
        }
    }

    fn variables(&self, argument: Argument<'_>) -> (Vec<Variable>, Rest) {
        let dict = match argument {
            Argument::Absent | Argument::Given(Expr::NoneLiteral(_)) => {
                return (Vec::new(), Rest::Nothing);
            }
            Argument::Given(Expr::Dict(dict)) => dict,
            Argument::Unreadable | Argument::Given(_) => return (Vec::new(), Rest::Unreadable),
        };
        let mut variables = Vec::new();
        let mut rest = Rest::Nothing;
        for item in &dict.items {
            let name = match &item.key {
                Some(Expr::StringLiteral(name)) => TextLiteral::read(self.source, name),
                _ => None,
            };
            match name {
                Some(name) => variables.push(Variable { name, count: count(&item.value) }),
                None => rest = Rest::Unreadable,
            }
        }
        (variables, rest)
    }

    fn strings<'e>(
        &mut self,
        kind: SlotKind,
        expressions: impl Iterator<Item = &'e Expr>,
    ) -> Listing {
        let mut listing = Listing::default();
        for expression in expressions {
            let Expr::StringLiteral(literal) = expression else {
                listing.rest = Rest::Unreadable;
                continue;
            };
            // In the parts of a concatenation nothing is offered: what would be there is cut.
            if let [part] = literal.value.as_slice() {
                let contents = bytes(&part.content_range());
                self.file.slots.push(Slot { kind, contents, decorator: self.file.uses.len() });
            }
            match TextLiteral::read(self.source, literal) {
                Some(literal) => listing.literals.push(literal),
                None => listing.rest = Rest::Unreadable,
            }
        }
        listing
    }
}

/// How many elements a list or a tuple has.
fn count(values: &Expr) -> Option<usize> {
    let elements = match values {
        Expr::List(list) => &list.elts,
        Expr::Tuple(tuple) => &tuple.elts,
        _ => return None,
    };
    (!elements.iter().any(Expr::is_starred_expr)).then_some(elements.len())
}

enum Argument<'a> {
    Given(&'a Expr),
    Absent,
    /// `*arguments` or `**arguments` may hold it.
    Unreadable,
}

struct Arguments<'a> {
    call: &'a ast::ExprCall,
    parameters: &'static [&'static str],
}

impl<'a> Arguments<'a> {
    fn get(&self, parameter: &str) -> Argument<'a> {
        let arguments = &self.call.arguments;
        let named = arguments
            .keywords
            .iter()
            .find(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == parameter));
        if let Some(keyword) = named {
            return Argument::Given(&keyword.value);
        }
        let starred = arguments.args.iter().position(Expr::is_starred_expr);
        let position = self.parameters.iter().position(|known| *known == parameter);
        match position.and_then(|position| Some((position, arguments.args.get(position)?))) {
            Some((position, argument)) if starred.is_none_or(|star| position < star) => {
                Argument::Given(argument)
            }
            _ if starred.is_some() => Argument::Unreadable,
            _ if arguments.keywords.iter().any(|keyword| keyword.arg.is_none()) => {
                Argument::Unreadable
            }
            _ => Argument::Absent,
        }
    }
}
