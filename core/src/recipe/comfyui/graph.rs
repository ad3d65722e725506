//! A workflow in ComfyUI's API format, `{"3": {"class_type": …, "inputs": {…}}, …}`, as a graph.
//! An input is a value or a link `[node, output]`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::recipe::RecipeError;

/// Large workflows have hundreds. The walks take time that grows with the square.
const MAX_NODES: usize = 4_000;

/// A node's output, as a link names it.
pub(super) type Output<'a> = (&'a str, u64);

#[derive(Clone, Copy)]
pub(super) struct Graph<'a> {
    nodes: &'a Map<String, Value>,
}

impl<'a> Graph<'a> {
    /// # Errors
    /// [`RecipeError::NotAWorkflow`], which says how to export one.
    pub(super) fn of(workflow: &'a Value) -> Result<Self, RecipeError> {
        let not = |why: &str| RecipeError::NotAWorkflow(why.to_owned());
        let nodes = workflow.as_object().ok_or_else(|| not("it is no JSON object"))?;
        if nodes.get("nodes").is_some_and(Value::is_array) {
            return Err(not(
                "it is the editor's own format; in ComfyUI choose Workflow → Export (API)",
            ));
        }
        if nodes.is_empty() || nodes.len() > MAX_NODES {
            return Err(not(&format!("it has {} nodes, not 1 to {MAX_NODES}", nodes.len())));
        }
        for (id, node) in nodes {
            if !node.get("class_type").is_some_and(Value::is_string)
                || !node.get("inputs").is_some_and(Value::is_object)
            {
                return Err(not(&format!("its node `{id}` has no `class_type` and `inputs`")));
            }
        }
        Ok(Self { nodes })
    }

    /// In the order of their numbers, as ComfyUI counted them.
    pub(super) fn ids(self) -> Vec<&'a str> {
        let mut ids: Vec<&str> = self.nodes.keys().map(String::as_str).collect();
        ids.sort_by_key(|id| (id.parse::<u64>().unwrap_or(u64::MAX), *id));
        ids
    }

    pub(super) fn class(self, id: &str) -> &'a str {
        self.nodes.get(id).and_then(|node| node["class_type"].as_str()).unwrap_or_default()
    }

    /// What the node is called in the editor.
    pub(super) fn title(self, id: &str) -> Option<&'a str> {
        self.nodes.get(id)?.pointer("/_meta/title")?.as_str()
    }

    pub(super) fn inputs(self, id: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let inputs = self.nodes.get(id).and_then(|node| node["inputs"].as_object());
        inputs.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    pub(super) fn input(self, id: &str, key: &str) -> Option<&'a Value> {
        self.nodes.get(id)?.get("inputs")?.get(key)
    }

    /// A value that is written at the node itself.
    pub(super) fn literal(self, id: &str, key: &str) -> Option<&'a Value> {
        self.input(id, key).filter(|value| !value.is_array() && !value.is_object())
    }

    /// The output that an input is linked to, where there is such a node.
    pub(super) fn link(self, id: &str, key: &str) -> Option<Output<'a>> {
        self.output(self.input(id, key)?)
    }

    fn output(self, value: &'a Value) -> Option<Output<'a>> {
        let [node, slot] = value.as_array()?.as_slice() else { return None };
        let (id, _) = self.nodes.get_key_value(node.as_str()?)?;
        Some((id.as_str(), slot.as_u64()?))
    }

    /// These nodes and all that they are made from.
    pub(super) fn upstream(self, from: &[&'a str]) -> BTreeSet<&'a str> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open = from.to_vec();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.inputs(id).filter_map(|(_, v)| Some(self.output(v)?.0)));
            }
        }
        seen
    }

    /// The first node that `is` likes, on a way that goes on by the inputs that `on` names for
    /// each node. Ends at a node that was there before, so that a ring of links ends too.
    pub(super) fn follow<'k>(
        self,
        from: Output<'a>,
        is: impl Fn(&'a str) -> bool,
        on: impl Fn(Output<'a>) -> &'k [&'k str],
    ) -> Vec<&'a str> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(output) = open.pop() {
            if !seen.insert(output) {
                continue;
            }
            if is(output.0) {
                if !found.contains(&output.0) {
                    found.push(output.0);
                }
                continue;
            }
            open.extend(on(output).iter().rev().filter_map(|key| self.link(output.0, key)));
        }
        found
    }
}
