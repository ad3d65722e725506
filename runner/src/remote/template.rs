//! The request of a back end that nobody here knows: JSON with placeholders.
//!
//! A text that is one placeholder becomes what it stands for, with its type: `"{seed}"` is a
//! number. Inside a longer text it is written out: `"a photo, {prompt}"`. `{{` is a brace. A
//! placeholder that the recipe leaves unset takes its key with it.

use std::collections::BTreeSet;

use difftest_core::metric::nearest;
use difftest_core::recipe::Recipe;
use serde_json::{Map, Value, json};

use super::fields;

/// What may stand in braces.
pub const PLACEHOLDERS: [&str; 12] = [
    "prompt",
    "negative_prompt",
    "seed",
    "width",
    "height",
    "steps",
    "guidance",
    "scheduler",
    "loras",
    "clip_skip",
    "denoise",
    "model",
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{text}` uses {{{name}}}, which no recipe has; {hint}")]
    Unknown { text: String, name: String, hint: String },
    #[error("`{0}` has a brace that is not closed; `{{{{` stands for a brace")]
    Open(String),
    #[error("`{0}` has a brace that was not opened; `}}}}` stands for a brace")]
    Closed(String),
    #[error("the request has no {{prompt}}: every image would be the same")]
    NoPrompt,
    #[error("`{text}` uses {{{name}}}, which this recipe leaves unset; set it in [recipe]")]
    Unset { text: String, name: String },
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// One placeholder and nothing else.
    Placeholder(String),
    Text {
        source: String,
        pieces: Vec<Piece>,
    },
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    Plain(Value),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Placeholder(String),
}

/// A request that was read once.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    root: Node,
    uses: BTreeSet<String>,
}

impl Template {
    pub fn read(json: &Value) -> Result<Self, TemplateError> {
        let mut uses = BTreeSet::new();
        let root = node(json, &mut uses)?;
        if !uses.contains("prompt") {
            return Err(TemplateError::NoPrompt);
        }
        Ok(Self { root, uses })
    }

    pub fn uses(&self, placeholder: &str) -> bool {
        self.uses.contains(placeholder)
    }

    /// The body for one recipe. A setting of the recipe that no placeholder takes is an error.
    pub fn fill(&self, recipe: &Recipe, model: Option<&str>) -> Result<Value, String> {
        let mut values = fields::set_fields(recipe);
        if let Some((name, _)) = values.iter().find(|(name, _)| {
            // Whether seeds arrive is a property of the back end, and described as such.
            *name != "seed" && !self.uses.contains(*name)
        }) {
            return Err(format!(
                "the recipe sets `{name}`, but the request has no {{{name}}}; add it to [options.request]"
            ));
        }
        if let Some(model) = model {
            values.push(("model", json!(model)));
        }
        let values: Map<String, Value> =
            values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match filled(&self.root, &values).map_err(|e| e.to_string())? {
            Some(body) => Ok(body),
            None => Err("the request is empty".into()),
        }
    }
}

fn node(json: &Value, uses: &mut BTreeSet<String>) -> Result<Node, TemplateError> {
    Ok(match json {
        Value::String(text) => text_node(text, uses)?,
        Value::Array(items) => {
            Node::Array(items.iter().map(|item| node(item, uses)).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => Node::Object(
            object
                .iter()
                .map(|(key, value)| Ok((key.clone(), node(value, uses)?)))
                .collect::<Result<_, TemplateError>>()?,
        ),
        plain => Node::Plain(plain.clone()),
    })
}

fn text_node(text: &str, uses: &mut BTreeSet<String>) -> Result<Node, TemplateError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix(brace) {
            literal.push_str(brace);
            rest = tail;
            continue;
        }
        if brace == "}" {
            return Err(TemplateError::Closed(text.into()));
        }
        let (name, tail) = after.split_once('}').ok_or_else(|| TemplateError::Open(text.into()))?;
        let name = name.trim();
        if !PLACEHOLDERS.contains(&name) {
            let hint = match nearest(name, PLACEHOLDERS) {
                Some(meant) => format!("did you mean {{{meant}}}?"),
                None => format!("there are {}", PLACEHOLDERS.join(", ")),
            };
            return Err(TemplateError::Unknown { text: text.into(), name: name.into(), hint });
        }
        uses.insert(name.into());
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Placeholder(name.into()));
        rest = tail;
    }
    literal.push_str(rest);
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(match pieces.as_slice() {
        [Piece::Placeholder(name)] => Node::Placeholder(name.clone()),
        [Piece::Literal(literal)] => Node::Plain(Value::String(literal.clone())),
        _ => Node::Text { source: text.into(), pieces },
    })
}

fn filled(node: &Node, values: &Map<String, Value>) -> Result<Option<Value>, TemplateError> {
    Ok(match node {
        Node::Plain(value) => Some(value.clone()),
        Node::Placeholder(name) => values.get(name).cloned(),
        Node::Text { source, pieces } => {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Literal(literal) => text.push_str(literal),
                    Piece::Placeholder(name) => match values.get(name) {
                        Some(Value::String(value)) => text.push_str(value),
                        Some(other) => text.push_str(&other.to_string()),
                        // Not to want anything is to write nothing.
                        None if name == "negative_prompt" => {}
                        None => {
                            return Err(TemplateError::Unset {
                                text: source.clone(),
                                name: name.clone(),
                            });
                        }
                    },
                }
            }
            Some(Value::String(text))
        }
        Node::Array(items) => {
            let mut all = Vec::new();
            for item in items {
                all.extend(filled(item, values)?);
            }
            Some(Value::Array(all))
        }
        Node::Object(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                if let Some(value) = filled(value, values)? {
                    object.insert(key.clone(), value);
                }
            }
            Some(Value::Object(object))
        }
    })
}

#[cfg(test)]
mod tests {
    use difftest_core::recipe::{Lora, RecipeSettings};

    use super::*;

    fn recipe(settings: RecipeSettings) -> Recipe {
        Recipe { prompt: "a \"red\" {cat}".into(), negative_prompt: None, seed: 7, settings }
    }

    #[test]
    fn placeholders_keep_their_types() {
        let template = Template::read(&json!({
            "input": {"text": "{prompt}", "seed": "{seed}", "size": ["{width}", "{height}"]},
            "label": "{{seed {seed}}}: {prompt}", "n": 1, "steps": "{steps}", "fixed": true,
        }))
        .unwrap();
        let settings = RecipeSettings { width: Some(64), height: Some(32), ..Default::default() };
        let body = template.fill(&recipe(settings), None).unwrap();
        assert_eq!(
            body,
            json!({
                "input": {"text": "a \"red\" {cat}", "seed": 7, "size": [64, 32]},
                "label": "{seed 7}: a \"red\" {cat}", "n": 1, "fixed": true,
            })
        );
    }

    #[test]
    fn a_list_of_loras_stays_a_list() {
        let template = Template::read(&json!({"p": "{prompt}", "loras": "{loras}"})).unwrap();
        let loras = vec![Lora { name: "style".into(), weight: 0.5 }];
        let body =
            template.fill(&recipe(RecipeSettings { loras, ..Default::default() }), None).unwrap();
        assert_eq!(body["loras"], json!([{"name": "style", "weight": 0.5}]));
    }

    #[test]
    fn a_setting_that_would_be_lost_is_an_error() {
        let template = Template::read(&json!({"p": "{prompt}"})).unwrap();
        let settings = RecipeSettings { guidance: Some(2.0), ..Default::default() };
        let error = template.fill(&recipe(settings), None).unwrap_err();
        assert!(error.contains("`guidance`") && error.contains("{guidance}"), "{error}");
    }

    #[test]
    fn a_mistake_in_the_template_is_named() {
        let message = |json: Value| Template::read(&json).unwrap_err().to_string();
        assert!(message(json!({"p": "{promt}"})).ends_with("did you mean {prompt}?"));
        assert!(message(json!({"p": "{prompt"})).contains("not closed"));
        assert!(message(json!({"p": "prompt}"})).contains("not opened"));
        assert!(message(json!({"p": "a cat"})).contains("no {prompt}"));
        let unset = Template::read(&json!({"p": "{prompt} in {steps} steps"})).unwrap();
        let error = unset.fill(&recipe(RecipeSettings::default()), None).unwrap_err();
        assert!(error.contains("leaves unset"), "{error}");
        let negative = json!({"p": "{prompt} --no {negative_prompt}"});
        let filled =
            Template::read(&negative).unwrap().fill(&recipe(RecipeSettings::default()), None);
        assert_eq!(filled.unwrap()["p"], "a \"red\" {cat} --no ");
    }
}
