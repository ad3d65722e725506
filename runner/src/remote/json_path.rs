//! Where something is in a JSON answer: `data[0].url`, `images.0.b64`, `result["a.b"]`.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    /// `[0]`: of an array only.
    Index(usize),
}

/// A path that was read once. A number between dots is a key where there is an object, and an
/// index where there is an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is no path into JSON: {why}; write for instance `data[0].url`")]
pub struct PathError {
    path: String,
    why: String,
}

/// What was there instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer has nothing at `{path}`: {at} {found}")]
pub struct NotThere {
    path: String,
    at: String,
    found: String,
}

impl FromStr for JsonPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let wrong = |why: &str| PathError { path: text.into(), why: why.into() };
        let mut steps = Vec::new();
        let mut rest = text.trim();
        rest = rest.strip_prefix("$.").or_else(|| rest.strip_prefix('$')).unwrap_or(rest);
        if rest.is_empty() {
            return Err(wrong("it is empty"));
        }
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''));
                let (step, after) = match quote {
                    Some(quote) => {
                        let (key, after) =
                            inner[1..].split_once(quote).ok_or_else(|| wrong("a quote is open"))?;
                        (Step::Key(key.into()), after)
                    }
                    None => {
                        let end = inner.find(']').ok_or_else(|| wrong("a bracket is open"))?;
                        let index = inner[..end]
                            .parse()
                            .map_err(|_| wrong("brackets hold a number or a quoted key"))?;
                        (Step::Index(index), &inner[end..])
                    }
                };
                steps.push(step);
                rest = after.strip_prefix(']').ok_or_else(|| wrong("a bracket is open"))?;
            } else {
                let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(wrong("a key is empty"));
                }
                steps.push(Step::Key(rest[..end].into()));
                rest = &rest[end..];
            }
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() || after.starts_with(['.', '[']) {
                    return Err(wrong("a key is empty"));
                }
                rest = after;
            } else if !rest.is_empty() && !rest.starts_with('[') {
                return Err(wrong("a dot or a bracket is missing"));
            }
        }
        Ok(Self { text: text.trim().into(), steps })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonPath {
    pub fn find<'a>(&self, json: &'a Value) -> Result<&'a Value, NotThere> {
        let mut here = json;
        let mut place = String::from("the answer");
        for step in &self.steps {
            let next = match (step, here) {
                (Step::Key(key), Value::Object(object)) => object.get(key),
                (Step::Key(key), Value::Array(items)) => {
                    key.parse::<usize>().ok().and_then(|index| items.get(index))
                }
                (Step::Index(index), Value::Array(items)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else {
                return Err(NotThere { path: self.text.clone(), at: place, found: kind(here) });
            };
            here = next;
            place = match step {
                Step::Key(key) => format!("`{key}`"),
                Step::Index(index) => format!("`[{index}]`"),
            };
        }
        Ok(here)
    }
}

/// A value by what it is: its content may be long, or an image.
pub fn kind(value: &Value) -> String {
    match value {
        Value::Null => "is null".into(),
        Value::Bool(b) => format!("is {b}"),
        Value::Number(n) => format!("is {n}"),
        Value::String(s) => format!("is a text of {} characters", s.chars().count()),
        Value::Array(items) => format!("is an array of {}", items.len()),
        Value::Object(object) if object.is_empty() => "is an empty object".into(),
        Value::Object(object) => {
            let keys: Vec<&str> = object.keys().take(12).map(String::as_str).collect();
            format!("has {}", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn dots_brackets_and_quotes_lead_to_the_value() {
        let answer = json!({"data": [{"url": "u"}], "a.b": {"0": "key"}, "images": ["i"]});
        let found = |path: &str| path.parse::<JsonPath>().unwrap().find(&answer).cloned();
        assert_eq!(found("data[0].url"), Ok(json!("u")));
        assert_eq!(found("data.0.url"), Ok(json!("u")));
        assert_eq!(found("$.images[0]"), Ok(json!("i")));
        assert_eq!(found("[\"a.b\"].0"), Ok(json!("key")));
        assert_eq!(found("['a.b']['0']"), Ok(json!("key")));
    }

    #[test]
    fn what_is_not_there_says_what_is() {
        let answer = json!({"data": [{"b64_json": "…"}], "created": 1});
        let missing =
            |path: &str| path.parse::<JsonPath>().unwrap().find(&answer).unwrap_err().to_string();
        assert_eq!(
            missing("data[0].url"),
            "the answer has nothing at `data[0].url`: `[0]` has b64_json"
        );
        assert!(missing("images[0]").ends_with("the answer has created, data"));
        assert!(missing("data[1]").ends_with("`data` is an array of 1"));
    }

    #[test]
    fn a_path_that_is_none_is_refused() {
        for bad in [
            "", " ", "$", "a..b", ".a", "a[", "a[x]", "a[\"x]", "a.", "a[0]]", "a.[0]", "a[0]b",
            "a]",
        ] {
            assert!(bad.parse::<JsonPath>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,40}") {
            if let Ok(path) = text.parse::<JsonPath>() {
                let _ = path.find(&json!({"a": [1, {"b": 2}]}));
            }
        }
    }
}
