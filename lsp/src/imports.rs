//! The names a file gives to difftest's decorators.

use std::collections::HashMap;

use ruff_python_ast::{Expr, StmtImport, StmtImportFrom};

/// A decorator of the package's public surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decorator {
    Test,
    VisualRegression,
    Metric,
}

impl Decorator {
    fn named(name: &str) -> Option<Self> {
        match name {
            "test" => Some(Self::Test),
            "visual_regression" => Some(Self::VisualRegression),
            "metric" => Some(Self::Metric),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Binding {
    Package,
    Decorator(Decorator),
}

/// What the names of a file stand for at one point of it, as far as difftest is concerned.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    bindings: HashMap<String, Binding>,
}

impl Imports {
    pub(crate) fn import(&mut self, statement: &StmtImport) {
        for alias in &statement.names {
            match (alias.name.as_str(), &alias.asname) {
                ("difftest", Some(name)) => self.bind(name.as_str(), Binding::Package),
                (_, Some(name)) => self.rebind(name.as_str()),
                (dotted, None) => match dotted.split('.').next() {
                    // `import difftest.shapes` binds `difftest`, too.
                    Some("difftest") => self.bind("difftest", Binding::Package),
                    Some(first) => self.rebind(first),
                    None => {}
                },
            }
        }
    }

    pub(crate) fn import_from(&mut self, statement: &StmtImportFrom) {
        let module = statement.module.as_ref().map_or("", |module| module.as_str());
        let ours = statement.level == 0 && matches!(module, "difftest" | "difftest.decorators");
        for alias in &statement.names {
            let name = alias.asname.as_ref().unwrap_or(&alias.name).as_str();
            match Decorator::named(alias.name.as_str()) {
                Some(decorator) if ours => self.bind(name, Binding::Decorator(decorator)),
                _ if ours && alias.name.as_str() == "*" => {
                    for name in ["test", "visual_regression", "metric"] {
                        if let Some(decorator) = Decorator::named(name) {
                            self.bind(name, Binding::Decorator(decorator));
                        }
                    }
                }
                _ => self.rebind(name),
            }
        }
    }

    /// The name now stands for something of the file's own.
    pub(crate) fn rebind(&mut self, name: &str) {
        self.bindings.remove(name);
    }

    /// The decorator an expression such as `difftest.test` stands for.
    pub(crate) fn decorator(&self, expression: &Expr) -> Option<Decorator> {
        match expression {
            Expr::Name(name) => match self.bindings.get(name.id.as_str())? {
                Binding::Decorator(decorator) => Some(*decorator),
                Binding::Package => None,
            },
            Expr::Attribute(attribute) => {
                let Expr::Name(name) = &*attribute.value else { return None };
                match self.bindings.get(name.id.as_str())? {
                    Binding::Package => Decorator::named(attribute.attr.as_str()),
                    Binding::Decorator(_) => None,
                }
            }
            _ => None,
        }
    }

    fn bind(&mut self, name: &str, binding: Binding) {
        self.bindings.insert(name.to_owned(), binding);
    }
}
