//! JUnit XML, what `difftest run --junit` writes, for the test pages of Jenkins, GitLab and others.
//!
//! There is no one schema. This writes what both of the widely used ones take: the xUnit plugin's
//! `junit-10.xsd` (no properties in a `testcase`, `time` with at most three digits a group) and the
//! older Ant form of it (`properties` first, then test cases, then output). A file of tests is a
//! `testsuite`, a test a `testcase`.

use std::collections::BTreeMap;
use std::io::Write;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event as Xml};

use super::advice;
use super::figures;
use super::terminal::visible;
use crate::event::{RunStatus, TestOutcome};
use crate::result::{Run, TestReport, TestRun};
use crate::suite::CollectionError;

/// The whole document. `folder` is the run's directory as the reader of the report finds it; the
/// images' paths are given under it.
pub fn xml(run: &Run, folder: &str) -> String {
    let mut bytes = Vec::new();
    // A vector takes whatever it is given.
    let _ = document(&mut bytes, run, folder);
    String::from_utf8(bytes).unwrap_or_default()
}

/// Tests and unreadable places of one file.
#[derive(Default)]
struct File<'a> {
    tests: Vec<Test<'a>>,
    unread: Vec<&'a CollectionError>,
}

type Test<'a> = (&'a TestRun, &'a TestReport);

#[derive(Default, Clone, Copy)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
    ms: f64,
}

fn document(out: &mut impl Write, run: &Run, folder: &str) -> std::io::Result<()> {
    let mut files: BTreeMap<&str, File<'_>> = BTreeMap::new();
    let report = run.report();
    for test in run.tests.iter().zip(&report.results) {
        files.entry(&test.0.spec.place.file).or_default().tests.push(test);
    }
    for error in &run.collection_errors {
        files.entry(&error.place.file).or_default().unread.push(error);
    }
    let mut whole = Counts { ms: run.duration_ms, ..Counts::default() };
    for counts in files.values().map(counts) {
        whole.tests += counts.tests;
        whole.failures += counts.failures;
        whole.errors += counts.errors;
    }
    // What ended the run early belongs to no test. Skipped tests alone would read as a success.
    let died = run.status != Some(RunStatus::Passed) && whole.failures + whole.errors == 0;
    if died {
        whole.tests += 1;
        whole.errors += 1;
    }
    let mut writer = Writer::new_with_indent(out, b' ', 2);
    writer.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    writer
        .create_element("testsuites")
        .with_attribute(("name", "difftest"))
        .with_attribute(("tests", &*whole.tests.to_string()))
        .with_attribute(("failures", &*whole.failures.to_string()))
        .with_attribute(("errors", &*whole.errors.to_string()))
        .with_attribute(("time", &*seconds(whole.ms)))
        .write_inner_content(|writer| {
            for (name, file) in &files {
                suite(
                    writer,
                    run,
                    name,
                    counts(file),
                    |writer| {
                        for error in &file.unread {
                            unread(writer, name, error)?;
                        }
                        for (test, _) in &file.tests {
                            case(writer, run, test, folder)?;
                        }
                        Ok(())
                    },
                    &file.tests,
                )?;
            }
            if died {
                let counts = Counts { tests: 1, errors: 1, ..Counts::default() };
                let reason = run.reason.as_deref().unwrap_or("the run did not finish");
                suite(
                    writer,
                    run,
                    "difftest",
                    counts,
                    |writer| {
                        element(
                            writer,
                            "testcase",
                            &[("name", "run"), ("classname", "difftest")],
                            |w| problem(w, "error", "run", reason, ""),
                        )
                    },
                    &[],
                )?;
            }
            Ok(())
        })?;
    writer.get_mut().write_all(b"\n")
}

fn counts(file: &File<'_>) -> Counts {
    let mut counts =
        Counts { tests: file.unread.len(), errors: file.unread.len(), ..Counts::default() };
    for (test, _) in &file.tests {
        counts.tests += 1;
        counts.ms += test.duration_ms;
        match test.outcome {
            Some(TestOutcome::Passed) => {}
            Some(TestOutcome::Failed) => counts.failures += 1,
            Some(TestOutcome::Error) => counts.errors += 1,
            Some(TestOutcome::NotRun) | None => counts.skipped += 1,
        }
    }
    counts
}

fn suite<W: Write>(
    writer: &mut Writer<W>,
    run: &Run,
    name: &str,
    counts: Counts,
    cases: impl FnOnce(&mut Writer<W>) -> std::io::Result<()>,
    tests: &[Test<'_>],
) -> std::io::Result<()> {
    let timestamp = figures::began(&run.id).map(figures::iso_second);
    let (number, failures, errors, skipped) = (
        counts.tests.to_string(),
        counts.failures.to_string(),
        counts.errors.to_string(),
        counts.skipped.to_string(),
    );
    let time = seconds(counts.ms);
    let mut attributes = vec![
        ("name", name),
        ("tests", &number),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", &skipped),
        ("time", &time),
    ];
    attributes.extend(timestamp.as_deref().map(|t| ("timestamp", t)));
    element(writer, "testsuite", &attributes, |writer| {
        element(writer, "properties", &[], |writer| {
            for (name, value) in properties(run, tests) {
                empty(writer, "property", &[("name", &name), ("value", &value)])?;
            }
            Ok(())
        })?;
        cases(writer)
    })
}

/// What the run was made with, and every metric of every test.
fn properties(run: &Run, tests: &[Test<'_>]) -> Vec<(String, String)> {
    let mut out = vec![
        ("difftest.run".to_owned(), run.id.clone()),
        ("difftest.model".to_owned(), run.model.clone()),
        ("difftest.generator".to_owned(), run.generator.clone()),
        ("difftest.fingerprint".to_owned(), run.fingerprint.clone()),
        ("difftest.device".to_owned(), run.environment.device.clone()),
    ];
    for (test, report) in tests {
        let name = test.spec.id.name();
        for (metric, report) in &report.metrics {
            let summary = &report.summary;
            let mut figure = |what: &str, value: Option<f64>| {
                out.extend(value.map(|v| (format!("{name}.{metric}.{what}"), format!("{v}"))));
            };
            figure("mean", Some(summary.mean));
            figure("min", Some(summary.min));
            figure("max", Some(summary.max));
            figure("ci_lower", summary.ci_lower);
            figure("ci_upper", summary.ci_upper);
            figure("threshold", report.threshold);
            figure("sample_count", Some(summary.sample_count as f64));
        }
        out.extend(test.cost_usd().map(|usd| (format!("{name}.cost_usd"), format!("{usd}"))));
        let peak = [("rss", test.peak.rss_bytes), ("vram", test.peak.vram_bytes)];
        out.extend(peak.into_iter().filter_map(|(kind, bytes)| {
            Some((format!("{name}.peak_{kind}_bytes"), bytes?.to_string()))
        }));
    }
    out
}

fn unread<W: Write>(
    writer: &mut Writer<W>,
    file: &str,
    error: &CollectionError,
) -> std::io::Result<()> {
    let name = format!("collection, line {}", error.place.line);
    let attributes = [("name", &*name), ("classname", &*classname(file)), ("time", "0.000")];
    element(writer, "testcase", &attributes, |writer| {
        let at = format!("{file}:{}", error.place.line);
        problem(writer, "error", "collection", &error.message, &at)
    })
}

fn case<W: Write>(
    writer: &mut Writer<W>,
    run: &Run,
    test: &TestRun,
    folder: &str,
) -> std::io::Result<()> {
    let classname = classname(&test.spec.place.file);
    let time = seconds(test.duration_ms);
    let attributes = [("name", test.spec.id.name()), ("classname", &classname), ("time", &time)];
    element(writer, "testcase", &attributes, |writer| {
        let first =
            |else_: &str| test.reasons.first().map_or_else(|| else_.to_owned(), Clone::clone);
        match test.outcome {
            Some(TestOutcome::Passed) => {}
            Some(TestOutcome::Failed) => {
                problem(writer, "failure", "threshold", &first("failed"), &details(run, test))?;
            }
            Some(TestOutcome::Error) => {
                problem(writer, "error", "error", &first("broke"), &details(run, test))?;
            }
            Some(TestOutcome::NotRun) | None => {
                empty(writer, "skipped", &[("message", &first("not run"))])?;
            }
        }
        let images = images(test, folder);
        if images.is_empty() {
            return Ok(());
        }
        text(writer, "system-out", &[], &images)
    })
}

/// Everything that a reader of the failure needs: the place, every reason, every broken cell with
/// its trace, and what to do.
fn details(run: &Run, test: &TestRun) -> String {
    let mut out = format!("{}:{}\n", test.spec.place.file, test.spec.place.line);
    for reason in &test.reasons {
        out.push_str(&format!("{reason}\n"));
    }
    for (key, cell) in &test.cells {
        let Some(reason) = &cell.failure else { continue };
        out.push_str(&format!("\n\"{}\", seed {}: {reason}\n", key.prompt, key.seed));
        if let Some(trace) = &cell.trace {
            out.push_str(&format!("{}\n", trace.trim_end()));
        }
    }
    if let Some(step) = advice::next_step(run, test) {
        out.push_str(&format!("\n{step}\n"));
    }
    out
}

/// One line an image. `[[ATTACHMENT|path]]` alone on its line is how Jenkins' attachments plugin
/// and GitLab find files: <https://plugins.jenkins.io/junit-attachments/>.
fn images(test: &TestRun, folder: &str) -> String {
    let mut out = String::new();
    for (key, cell) in &test.cells {
        let Some(image) = &cell.image else { continue };
        let scores: Vec<String> =
            cell.scores.iter().map(|(m, v)| format!(", {m} {}", figures::score(*v))).collect();
        let path = match folder.trim_end_matches('/') {
            "" => image.path.clone(),
            folder => format!("{folder}/{}", image.path),
        };
        out.push_str(&format!(
            "\"{}\", seed {}{}\n[[ATTACHMENT|{path}]]\n",
            // A prompt attaches no file of its own choice.
            key.prompt.replace('\n', " ").replace("[[", "[ ["),
            key.seed,
            scores.concat()
        ));
    }
    out
}

fn problem<W: Write>(
    writer: &mut Writer<W>,
    tag: &str,
    kind: &str,
    message: &str,
    details: &str,
) -> std::io::Result<()> {
    text(writer, tag, &[("message", message), ("type", kind)], details)
}

fn element<W: Write>(
    writer: &mut Writer<W>,
    tag: &str,
    attributes: &[(&str, &str)],
    inside: impl FnOnce(&mut Writer<W>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let attributes = safe(attributes);
    let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
    writer.create_element(tag).with_attributes(attributes).write_inner_content(inside).map(|_| ())
}

fn empty<W: Write>(
    writer: &mut Writer<W>,
    tag: &str,
    attributes: &[(&str, &str)],
) -> std::io::Result<()> {
    let attributes = safe(attributes);
    let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
    writer.create_element(tag).with_attributes(attributes).write_empty().map(|_| ())
}

/// Line feeds as the spaces that a parser would make of them anyway (XML 1.0 §3.3.3).
fn safe<'a>(attributes: &[(&'a str, &str)]) -> Vec<(&'a str, String)> {
    let safe = |value: &str| xml_text(value).replace(['\n', '\t'], " ");
    attributes.iter().map(|(name, value)| (*name, safe(value))).collect()
}

fn text<W: Write>(
    writer: &mut Writer<W>,
    tag: &str,
    attributes: &[(&str, &str)],
    content: &str,
) -> std::io::Result<()> {
    element(writer, tag, attributes, |writer| {
        writer.write_event(Xml::Text(BytesText::new(&xml_text(content))))
    })
}

/// What XML 1.0 can hold (§2.2): control characters, which it cannot, are shown as `\u{1b}`.
fn xml_text(text: &str) -> String {
    visible(text)
        .chars()
        .flat_map(|c| match c {
            '\u{fffe}' | '\u{ffff}' => c.escape_default().collect(),
            c => vec![c],
        })
        .collect()
}

/// `tests/shapes/test_a.py` as `tests.shapes.test_a`, the form that readers group by.
fn classname(file: &str) -> String {
    file.strip_suffix(".py").unwrap_or(file).replace('/', ".")
}

fn seconds(ms: f64) -> String {
    // The schema's pattern takes digits and one point only.
    format!("{:.3}", (ms / 1000.0).max(0.0))
}
