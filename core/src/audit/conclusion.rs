//! What a source's findings mean, in a sentence or two a person understands.

use std::collections::BTreeMap;

use super::measure::{Measured, MetricShift, Reach};
use super::{Finding, Outcome, Source};
use crate::report::columns::digits;
use crate::report::figures::{count, limit, score};

/// The conclusion over all settings that were tried of one source.
pub fn conclusion(source: Source, findings: &[&Finding]) -> String {
    let measured: Vec<&Measured> = findings
        .iter()
        .filter_map(|finding| match &finding.outcome {
            Outcome::Measured(measured) => Some(measured),
            _ => None,
        })
        .collect();
    let mut sentences = Vec::new();
    if !measured.is_empty() {
        sentences.push(moved(source, &measured));
        sentences.extend(missed(&measured));
    }
    for finding in findings {
        let what = if finding.setting.is_empty() {
            source.subject().to_owned()
        } else {
            capital(&finding.setting)
        };
        match &finding.outcome {
            Outcome::Measured(measured) if measured.missing > 0 => sentences.push(format!(
                "{what}: {} could not be compared, for the run has no such image.",
                count(measured.missing, "image")
            )),
            Outcome::Measured(_) => {}
            Outcome::NotOffered { reason } => {
                sentences.push(format!("{what}: not offered by this generator ({reason})."));
            }
            Outcome::NotHere { reason } => {
                sentences.push(format!("{what}: not at hand ({reason})."));
            }
            Outcome::Failed { reason } => {
                sentences.push(format!("{what}: the run failed: {reason}"));
            }
        }
    }
    sentences.join(" ")
}

fn moved(source: Source, measured: &[&Measured]) -> String {
    let (subject, runs) = (source.subject(), source.runs());
    let most = |of: fn(&Measured) -> usize| measured.iter().map(|m| of(m)).max().unwrap_or(0);
    let (images, changed) = (most(|m| m.images), most(|m| m.changed));
    if images == 0 {
        return format!("{subject}: no image to compare.");
    }
    let shifts = || measured.iter().flat_map(|m| &m.metrics);
    let reach = shifts().map(|s| s.reach).max().unwrap_or(Reach::None);
    let pixels = if changed == 0 {
        format!("{subject} moves none of {}", count(images, "image"))
    } else {
        let largest = measured.iter().map(|m| m.largest).max().unwrap_or(0);
        let resized = if most(|m| m.resized) > 0 { ", some to another size" } else { "" };
        format!(
            "{subject} moves {changed} of {} by at most {largest} of 255{resized}",
            count(images, "image")
        )
    };
    let tied = |of: fn(&MetricShift) -> f64| {
        // The one that is furthest in its own margin's terms.
        shifts().max_by(|a, b| ratio(of(a), a.margin).total_cmp(&ratio(of(b), b.margin)))
    };
    let advice = |freely: &str, never: &str| match source {
        Source::Again => never.to_owned(),
        _ => freely.to_owned(),
    };
    match (reach, changed) {
        (Reach::None, 0) => format!("{pixels}: {runs} can be compared byte by byte."),
        (Reach::None, _) => format!(
            "{pixels}, and no metric at all: {}",
            advice(
                &format!("compare {runs} freely, but not byte by byte."),
                "this suite does not repeat itself byte by byte, and no verdict can rest on equal bytes.",
            )
        ),
        (Reach::Within, changed) => {
            let by = tied(|s| s.largest_abs).map_or_else(String::new, |s| {
                format!(
                    " by more than {} ({}, margin {})",
                    digits(s.largest_abs),
                    s.name,
                    limit(s.margin)
                )
            });
            if changed == 0 {
                return format!(
                    "{pixels}, and yet scores move, though none{by}: images can be compared byte by byte, scores within their margins."
                );
            }
            format!(
                "{pixels}, and no metric{by}: {}",
                advice(
                    &format!("compare {runs} freely, but not byte by byte."),
                    "verdicts hold, but none can rest on equal bytes.",
                )
            )
        }
        (Reach::SingleImages, _) => {
            let shift = tied(|s| s.largest_abs);
            let by = shift.map_or_else(String::new, |s| {
                format!(
                    "{} of single images by up to {} (margin {}), of a test's mean by {}",
                    s.name,
                    digits(s.largest_abs),
                    limit(s.margin),
                    digits(s.largest_mean)
                )
            });
            format!(
                "{pixels}, and {by}: compare {runs} by their means over prompts only; a threshold on single images may flip."
            )
        }
        (Reach::Mean, _) => {
            let shift = tied(|s| s.largest_mean);
            let by = shift.map_or_else(String::new, |s| {
                format!(
                    "the mean of {} by {}, more than its margin of {}",
                    s.name,
                    digits(s.largest_mean),
                    limit(s.margin)
                )
            });
            format!(
                "{pixels}, and {by}: {}",
                advice(
                    &format!("do not compare {runs}."),
                    "this suite cannot tell a change from chance with these margins; see `difftest calibrate`.",
                )
            )
        }
    }
}

/// Thresholds on the likeness to a reference that this difference alone misses.
fn missed(measured: &[&Measured]) -> Option<String> {
    let missed = measured.iter().flat_map(|m| &m.references).filter(|score| score.missed);
    let names: BTreeMap<&str, f64> = missed.map(|s| (s.name.as_str(), s.worst)).collect();
    let falls: Vec<String> = names
        .iter()
        .map(|(name, worst)| format!("{name} (worst image {})", score(*worst)))
        .collect();
    (!falls.is_empty()).then(|| {
        format!(
            "Against the reference run's own images it misses the threshold of a test by {}: baselines have to be stored and compared under equal conditions.",
            falls.join(", ")
        )
    })
}

fn ratio(of: f64, margin: f64) -> f64 {
    if of == 0.0 { 0.0 } else { of / margin.max(f64::MIN_POSITIVE) }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
