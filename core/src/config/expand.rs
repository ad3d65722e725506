//! `${NAME}` and `${NAME:-default}` in the configuration's strings.

/// Where `${NAME}` is looked up.
#[derive(Clone, Copy)]
pub enum Variables<'a> {
    /// In an environment. A variable that it does not have and that has no default is an error.
    From(&'a dyn Fn(&str) -> Option<String>),
    /// Nowhere: a server reads a repository's file and must not tell it the server's environment.
    /// Defaults are used; a variable without one stays as it is written.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error(
        "the environment variable `{0}` is not set; set it, or write a default: ${{{0}:-value}}"
    )]
    NotSet(String),
    #[error("`${{` is never closed; write ${{NAME}}, or $${{ for the two characters themselves")]
    Unclosed,
    #[error("`${{{0}}}` does not name a variable; write ${{NAME}} or ${{NAME:-default}}")]
    NotAName(String),
}

/// The text with every variable's value in its place. `$${` is `${`. A variable that is set to
/// nothing counts as not set where it has a default, as in a shell.
pub fn expand(text: &str, variables: Variables<'_>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at - 1]);
            out.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        out.push_str(&rest[..at]);
        let end = rest[at..].find('}').ok_or(ExpandError::Unclosed)? + at;
        let inner = &rest[at + 2..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err(ExpandError::NotAName(inner.to_owned()));
        }
        let value = match variables {
            Variables::From(lookup) => lookup(name),
            Variables::Unknown => None,
        };
        match (value, default, variables) {
            (Some(value), None, _) => out.push_str(&value),
            (Some(value), Some(_), _) if !value.is_empty() => out.push_str(&value),
            (_, Some(default), _) => out.push_str(default),
            (None, None, Variables::Unknown) => out.push_str(&rest[at..=end]),
            (None, None, Variables::From(_)) => return Err(ExpandError::NotSet(name.to_owned())),
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Option<String> {
        match name {
            "HOME" => Some("/home/ada".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn a_variable_is_its_value_or_its_default() {
        let of = |text: &str| expand(text, Variables::From(&home)).unwrap();
        assert_eq!(of("${HOME}/models"), "/home/ada/models");
        assert_eq!(of("${CACHE:-/tmp}/${HOME}"), "/tmp//home/ada");
        assert_eq!(of("${EMPTY:-x}${EMPTY}"), "x");
        assert_eq!(of("costs $5 and $${HOME}"), "costs $5 and ${HOME}");
        assert_eq!(of("${X:-}"), "");
    }

    #[test]
    fn what_cannot_be_expanded_is_said() {
        let of = |text: &str| expand(text, Variables::From(&home)).unwrap_err().to_string();
        assert!(of("${NOPE}").contains("`NOPE` is not set"), "{}", of("${NOPE}"));
        assert!(of("${NOPE}").contains("${NOPE:-value}"), "{}", of("${NOPE}"));
        assert!(of("a ${HOME").contains("never closed"));
        assert!(of("${a b}").contains("does not name a variable"));
    }

    #[test]
    fn a_server_tells_nothing_of_its_environment() {
        let of = |text: &str| expand(text, Variables::Unknown).unwrap();
        assert_eq!(of("${HOME}"), "${HOME}");
        assert_eq!(of("${HOME:-20m}"), "20m");
    }
}
