//! `[verdict]`: what a loss is, how sure a verdict must be, and what it may cost.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::quantity::{parse_duration, show_duration};
use super::settings::{SetError, unknown};

/// Every key of `[verdict]`.
pub const VERDICT_KEYS: [&str; 9] =
    ["alpha", "margins", "tail", "units", "method", "max_pairs", "budget", "confirm", "interleave"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictSettings {
    /// The chance that a run without a real regression reports one.
    pub alpha: f64,
    /// δ per metric, in the metric's own unit, where it is not the metric's own.
    pub margins: BTreeMap<String, f64>,
    pub tail: TailSettings,
    pub units: Units,
    pub method: Method,
    /// At most so many pairs of a test, where it declares more.
    pub max_pairs: Option<u32>,
    /// What both sides together may take.
    pub budget: Option<Budget>,
    /// Whether a regression near the margin has to show on fresh seeds too.
    pub confirm: bool,
    /// Whether base and head are generated in turns, so that a run may stop early. Both models
    /// are loaded at once then.
    pub interleave: bool,
}

impl Default for VerdictSettings {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            margins: BTreeMap::new(),
            tail: TailSettings::default(),
            units: Units::Prompts,
            method: Method::Anytime,
            max_pairs: None,
            budget: None,
            confirm: false,
            interleave: true,
        }
    }
}

/// The guard against a few ruined images that a good mean would hide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TailSettings {
    /// p₀: a pass rules out that so large a share of the units loses more than the drop.
    pub share: f64,
    /// τ per metric, in its own unit; [`DROP_MARGINS`] margins where none is given.
    pub drops: BTreeMap<String, f64>,
}

/// τ in margins, of a metric whose drop was not calibrated.
pub const DROP_MARGINS: f64 = 10.0;

impl Default for TailSettings {
    fn default() -> Self {
        Self { share: 0.02, drops: BTreeMap::new() }
    }
}

/// What is independent of each other, and so what is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// Prompts, their seeds averaged: a claim about prompts like these.
    #[default]
    Prompts,
    /// Images: a claim about these prompts, over other seeds.
    Images,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// E-processes: evidence at whatever moment one looks.
    #[default]
    Anytime,
    /// O'Brien–Fleming boundaries for the planned number of units. Sees smaller losses at the
    /// planned maximum, and stops later where the loss is large.
    GroupSequential,
}

/// A limit on what a verdict may cost, both sides together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Budget {
    /// Of generation.
    Seconds(u64),
    Images(u64),
    /// What hosted back ends charge.
    Dollars(f64),
}

/// Not a budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no budget; write \"10m\", \"200images\" or \"$2\"")]
pub struct BadBudget(String);

impl FromStr for Budget {
    type Err = BadBudget;

    fn from_str(text: &str) -> Result<Self, BadBudget> {
        let bad = || BadBudget(text.to_owned());
        let trimmed = text.trim();
        if let Some(dollars) = trimmed.strip_prefix('$') {
            let dollars: f64 = dollars.trim().parse().map_err(|_| bad())?;
            return (dollars > 0.0 && dollars.is_finite())
                .then_some(Self::Dollars(dollars))
                .ok_or_else(bad);
        }
        let images = trimmed.strip_suffix("images").or_else(|| trimmed.strip_suffix("image"));
        if let Some(images) = images {
            let images = images.trim().parse().map_err(|_| bad())?;
            return (images > 0).then_some(Self::Images(images)).ok_or_else(bad);
        }
        parse_duration(trimmed).map(Self::Seconds).ok_or_else(bad)
    }
}

impl TryFrom<String> for Budget {
    type Error = BadBudget;
    fn try_from(text: String) -> Result<Self, BadBudget> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.to_string()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => f.write_str(&show_duration(*seconds)),
            Self::Images(images) => write!(f, "{images}images"),
            Self::Dollars(dollars) => write!(f, "${dollars}"),
        }
    }
}

impl VerdictSettings {
    /// Every key as it would be written, those of tables dotted.
    pub fn shown(&self) -> Vec<(String, String)> {
        let text = |t: &dyn fmt::Display| Value::from(t.to_string()).to_string();
        let word = |value: serde_json::Result<Value>| {
            value.map_or_else(|e| e.to_string(), |v| v.to_string())
        };
        let none = || "none".to_owned();
        let mut rows = vec![
            ("alpha".to_owned(), self.alpha.to_string()),
            ("units".into(), word(serde_json::to_value(self.units))),
            ("method".into(), word(serde_json::to_value(self.method))),
            ("max_pairs".into(), self.max_pairs.map_or_else(none, |n| n.to_string())),
            ("budget".into(), self.budget.map_or_else(none, |b| text(&b))),
            ("confirm".into(), self.confirm.to_string()),
            ("interleave".into(), self.interleave.to_string()),
            ("tail.share".into(), self.tail.share.to_string()),
        ];
        rows.extend(self.margins.iter().map(|(m, v)| (format!("margins.{m}"), v.to_string())));
        rows.extend(
            self.tail.drops.iter().map(|(m, v)| (format!("tail.drops.{m}"), v.to_string())),
        );
        rows
    }

    /// Sets one key; the keys of its tables are dotted: `margins.clip_score`, `tail.share`.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), SetError> {
        let wrong = |wanted: &'static str| SetError::Wrong {
            key: key.to_owned(),
            given: value.to_string(),
            wanted,
        };
        let number = |wanted, fits: fn(f64) -> bool| {
            value.as_f64().filter(|n| n.is_finite() && fits(*n)).ok_or_else(|| wrong(wanted))
        };
        let truth = || value.as_bool().ok_or_else(|| wrong("true or false"));
        match key.split_once('.') {
            Some(("margins", metric)) => {
                let margin = number("a number that is not negative", |n| n >= 0.0)?;
                self.margins.insert(metric.to_owned(), margin);
            }
            Some(("tail", "share")) => {
                self.tail.share =
                    number("a share between 0 and 0.5, as 0.02", |n| n > 0.0 && n < 0.5)?;
            }
            Some(("tail", drop)) => match drop.strip_prefix("drops.") {
                Some(metric) => {
                    let drop = number("a positive number", |n| n > 0.0)?;
                    self.tail.drops.insert(metric.to_owned(), drop);
                }
                None => return Err(unknown(drop, &["share", "drops"])),
            },
            Some(_) => return Err(unknown(key, &VERDICT_KEYS)),
            None => match key {
                "alpha" => {
                    self.alpha = number("a rate between 0 and 0.5", |n| n > 0.0 && n < 0.5)?;
                }
                "units" => {
                    self.units = serde_json::from_value(value.clone())
                        .map_err(|_| wrong("\"prompts\" or \"images\""))?;
                }
                "method" => {
                    self.method = serde_json::from_value(value.clone())
                        .map_err(|_| wrong("\"anytime\" or \"group-sequential\""))?;
                }
                "max_pairs" => {
                    let pairs = value.as_u64().and_then(|n| u32::try_from(n).ok());
                    let pairs = pairs.filter(|n| *n > 0).ok_or_else(|| wrong("an integer from 1"));
                    self.max_pairs = Some(pairs?);
                }
                "budget" => {
                    const WANTED: &str = "\"10m\", \"200images\" or \"$2\"";
                    let text = value.as_str().ok_or_else(|| wrong(WANTED))?;
                    self.budget = Some(text.parse().map_err(|_| wrong(WANTED))?);
                }
                "confirm" => self.confirm = truth()?,
                "interleave" => self.interleave = truth()?,
                _ => return Err(unknown(key, &VERDICT_KEYS)),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_budget_reads_as_it_is_written() {
        for (text, budget) in [
            ("10m", Budget::Seconds(600)),
            ("200images", Budget::Images(200)),
            ("$2.5", Budget::Dollars(2.5)),
        ] {
            assert_eq!(text.parse(), Ok(budget));
            assert_eq!(budget.to_string(), text);
        }
        assert_eq!(" 1 image ".parse(), Ok(Budget::Images(1)));
        for wrong in ["", "0images", "$0", "$-1", "$nan", "ten", "5", "images"] {
            let error = wrong.parse::<Budget>().unwrap_err().to_string();
            assert!(error.contains("200images"), "{wrong}: {error}");
        }
    }

    #[test]
    fn each_key_is_set_or_says_what_it_takes() {
        let mut settings = VerdictSettings::default();
        for (key, value) in [
            ("alpha", json!(0.01)),
            ("margins.lpips", json!(0.1)),
            ("tail.share", json!(0.05)),
            ("tail.drops.lpips", json!(0.4)),
            ("units", json!("images")),
            ("method", json!("group-sequential")),
            ("max_pairs", json!(80)),
            ("budget", json!("$2")),
            ("confirm", json!(true)),
            ("interleave", json!(false)),
        ] {
            let before = settings.clone();
            settings.set(key, &value).unwrap();
            assert_ne!(settings, before, "{key}");
        }
        let read: VerdictSettings =
            serde_json::from_value(serde_json::to_value(&settings).unwrap()).unwrap();
        assert_eq!(read, settings);
        let old: VerdictSettings = serde_json::from_str(r#"{"alpha":0.05,"margins":{}}"#).unwrap();
        assert_eq!(old, VerdictSettings::default(), "what an App has stored before");
        let refused =
            |key: &str, value| VerdictSettings::default().set(key, &value).unwrap_err().to_string();
        assert!(refused("alpha", json!(2.0)).contains("between 0 and 0.5"));
        assert!(refused("margins.x", json!(-1)).contains("not negative"));
        assert!(refused("method", json!("bayes")).contains("group-sequential"));
        assert!(refused("unit", json!("images")).contains("did you mean `units`?"));
        assert!(refused("tail.shares", json!(0.1)).contains("did you mean `share`?"));
    }
}
