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

/// One `@difftest.test(…)` or `@difftest.visual_regression(…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoratorUse {
    pub prompts: Listing,
    pub metrics: Listing,
    /// The keys of `threshold`.
    pub thresholds: Listing,
    /// The keys of `variables`.
    pub variables: Listing,
}

/// What a file tells difftest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceFile {
    pub uses: Vec<DecoratorUse>,
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
            let mut found = DecoratorUse {
                prompts: self.listing(arguments.get("prompts")),
                metrics: self.listing(arguments.get("metrics")),
                thresholds: self.keys(arguments.get("threshold")),
                variables: self.keys(arguments.get("variables")),
            };
            if torn {
                found.metrics.rest = Rest::Unreadable;
                found.variables.rest = Rest::Unreadable;
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
    fn listing(&self, argument: Argument<'_>) -> Listing {
        match argument {
            Argument::Absent | Argument::Given(Expr::NoneLiteral(_)) => Listing::default(),
            Argument::Unreadable => Listing::unreadable(),
            Argument::Given(Expr::List(list)) => self.strings(list.elts.iter()),
            Argument::Given(Expr::Tuple(tuple)) => self.strings(tuple.elts.iter()),
            Argument::Given(Expr::Set(set)) => self.strings(set.elts.iter()),
            Argument::Given(other) => self.strings(std::iter::once(other)),
        }
    }

    /// The keys of a dictionary.
    fn keys(&self, argument: Argument<'_>) -> Listing {
        match argument {
            Argument::Absent | Argument::Given(Expr::NoneLiteral(_)) => Listing::default(),
            Argument::Given(Expr::Dict(dict)) => {
                let mut keys = self.strings(dict.items.iter().filter_map(|item| item.key.as_ref()));
                if dict.items.iter().any(|item| item.key.is_none()) {
                    keys.rest = Rest::Unreadable; // `**others`
                }
                keys
            }
            Argument::Unreadable | Argument::Given(_) => Listing::unreadable(),
        }
    }

    fn strings<'e>(&self, expressions: impl Iterator<Item = &'e Expr>) -> Listing {
        let mut listing = Listing::default();
        for expression in expressions {
            let literal = match expression {
                Expr::StringLiteral(literal) => TextLiteral::read(self.source, literal),
                _ => None,
            };
            match literal {
                Some(literal) => listing.literals.push(literal),
                None => listing.rest = Rest::Unreadable,
            }
        }
        listing
    }
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
