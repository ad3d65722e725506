//! What a back end says of itself, for the run's environment and for the cache.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::address::shown;

/// Collected while a back end is opened.
#[derive(Debug, Clone)]
pub struct Facts {
    back_end: &'static str,
    url: String,
    /// What decides the images beside the recipe; never a key, never a price.
    decisive: BTreeMap<String, Value>,
    versions: BTreeMap<String, String>,
    /// Whether the seed reaches the model.
    pub is_seeded: bool,
    notes: Vec<String>,
}

impl Facts {
    pub fn new(back_end: &'static str, url: &Url) -> Self {
        Self {
            back_end,
            url: shown(url),
            decisive: BTreeMap::new(),
            versions: BTreeMap::new(),
            is_seeded: true,
            notes: Vec::new(),
        }
    }

    pub fn decides(&mut self, name: &str, value: Value) {
        self.decisive.insert(name.to_owned(), value);
    }

    pub fn version(&mut self, name: &str, version: impl Into<String>) {
        self.versions.insert(name.to_owned(), version.into());
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Hexadecimal. Equal where back end, address, model, workflow and options are.
    pub fn fingerprint(&self) -> String {
        // Maps are sorted: equal facts are equal text.
        let facts = json!([self.back_end, self.url, self.decisive]);
        hex::encode(Sha256::digest(facts.to_string()))
    }

    /// For `describe()`. No server promises equal bytes for equal seeds: its other users, its card
    /// and its libraries are not ours to pin.
    pub fn described(&self, batch_size: usize) -> Map<String, Value> {
        let described = json!({
            "generator": self.back_end,
            "url": self.url,
            "device": "remote",
            "threads": 1,
            "batch_size": batch_size,
            "versions": self.versions,
            "deterministic": false,
            "seeds": if self.is_seeded { "seeded" } else { "unseeded" },
            "notes": self.notes,
        });
        described.as_object().cloned().unwrap_or_default()
    }
}
