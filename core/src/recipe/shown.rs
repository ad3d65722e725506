//! What an image says of its making, for people.

use super::Reading;
use super::check::SETTINGS;
use crate::scheduler;

/// Column of the values.
const WIDTH: usize = 17;

impl Reading {
    /// A heading and one line for each thing that the image says, then what it does not say and
    /// what could not be understood. Control characters are written out: an image's text must not
    /// speak to the terminal.
    pub fn shown(&self, image: &str) -> String {
        let mut page = format!("{}: made by {}\n", plain(image), plain(&self.tool_name));
        let mut row = |label: &str, value: &str| {
            let mut label = label;
            for line in value.split('\n') {
                page.push_str(format!("  {label:WIDTH$}{}", plain(line)).trim_end());
                page.push('\n');
                label = "";
            }
        };
        let mut unsaid = Vec::new();
        let texts = [("prompt", &self.prompt), ("negative_prompt", &self.negative_prompt)];
        for (label, text) in texts {
            match text {
                Some(text) => row(label, text),
                None => unsaid.push(label),
            }
        }
        match self.seed {
            Some(seed) => row("seed", &seed.to_string()),
            None => unsaid.push("seed"),
        }
        let said = self.settings.shown();
        for field in SETTINGS {
            match said.iter().find(|(key, _)| *key == field) {
                Some((key, id)) if field == "scheduler" => {
                    let name = scheduler::get(id).map(|s| format!("{id} ({})", s.name));
                    row(key, name.as_deref().unwrap_or(id));
                }
                Some((key, value)) => row(key, value),
                None => unsaid.push(field),
            }
        }
        match &self.model {
            Some(model) => row("model", model),
            None => unsaid.push("model"),
        }
        if !unsaid.is_empty() {
            row("not said", &unsaid.join(", "));
        }
        for (key, value) in &self.others {
            row("beside it", &format!("{key}: {value}"));
        }
        for note in &self.notes {
            row("unclear", note);
        }
        page
    }
}

fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if c == '\t' {
            out.push(' ');
        } else if c.is_control() || is_bidirectional_control(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// They turn around what stands after them (Unicode technical report 36, 2.10).
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The registry, a line for each scheduler: its id, its name, and where it is.
pub fn schedulers() -> String {
    let heading = ["id", "name", "diffusers", "A1111/Forge", "ComfyUI"].map(str::to_owned);
    let absent = || "-".to_owned();
    let row = |scheduler: &scheduler::Scheduler| {
        let star = |forge_only| if forge_only { " *" } else { "" };
        [
            scheduler.id.clone(),
            scheduler.name.clone(),
            scheduler.diffusers().map_or_else(absent, |n| n.class.to_owned()),
            scheduler.a1111().map_or_else(absent, |n| {
                format!("{}, {}{}", n.sampler, n.schedule_type, star(n.forge_only))
            }),
            scheduler
                .comfyui()
                .map_or_else(absent, |n| format!("{}, {}", n.sampler_name, n.scheduler)),
        ]
    };
    let rows: Vec<[String; 5]> =
        std::iter::once(heading).chain(scheduler::all().iter().map(row)).collect();
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut page = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        page.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        page.push('\n');
    }
    page.push_str(
        "* in Forge alone. --json also lists configurations, parameters and the models that each \
         suits.\n",
    );
    page
}
