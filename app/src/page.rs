//! A report as a page: the Markdown that GitHub gets, as HTML that is safe to serve.
//!
//! comrak reads GitHub's Markdown, raw HTML included, since the reports use `code`, `img` and
//! `details`; ammonia then lets only the elements through that a report is made of.

use std::collections::{HashMap, HashSet};

use comrak::Options;

/// Light and dark, readable on a phone, nothing loaded from outside but the report's own images.
const STYLE: &str = include_str!("page.css");

/// The body's HTML of a report's Markdown: only elements, attributes and URL schemes that a report
/// needs survive, whatever the Markdown holds.
pub fn fragment(markdown: &str) -> String {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.render.r#unsafe = true; // ammonia decides what stays
    let html = comrak::markdown_to_html(markdown, &options);
    ammonia::Builder::default()
        .tags(HashSet::from([
            "a",
            "blockquote",
            "br",
            "code",
            "del",
            "details",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "hr",
            "img",
            "li",
            "ol",
            "p",
            "pre",
            "strong",
            "sub",
            "summary",
            "table",
            "tbody",
            "td",
            "th",
            "thead",
            "tr",
            "ul",
        ]))
        .tag_attributes(HashMap::from([
            ("a", HashSet::from(["href"])),
            ("details", HashSet::from(["open"])),
            ("img", HashSet::from(["src", "alt", "width"])),
            ("td", HashSet::from(["align"])),
            ("th", HashSet::from(["align"])),
        ]))
        .generic_attributes(HashSet::new())
        .url_schemes(HashSet::from(["http", "https"]))
        .url_relative(ammonia::UrlRelative::PassThrough)
        .link_rel(Some("noopener noreferrer nofollow"))
        .clean(&html)
        .to_string()
}

/// A whole page around [`fragment`]. `title` is plain text.
pub fn page(title: &str, markdown: &str) -> String {
    let title = ammonia::clean_text(title);
    let body = fragment(markdown);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; img-src 'self' http: https: file:; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_its_shape() {
        let html = fragment(
            "## difftest <code>shapes</code>: ❌ regressed\n\n| a | b |\n|---|--:|\n| <code>x&#124;y</code> | \
             <img src=\"https://ci.example/i.png\" width=\"160\" alt=\"a\"> |\n\n<details open><summary>Metrics</summary>\n\nx\n\n</details>",
        );
        for part in [
            "<h2>",
            "<code>x|y</code>",
            "<td align=\"right\"><img",
            "<details open",
            "<summary>Metrics",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn nothing_else_survives() {
        let html = page(
            "<script>t</script>",
            "<script>alert(1)</script><img src=x onerror=alert(1)><a href=\"javascript:alert(1)\">a</a>\
             <iframe src=\"https://e\"></iframe><style>*{}</style><svg onload=alert(1)><form action=x><input></form>\n\n[b](javascript:alert(1))",
        );
        let body = html.split("<main>").nth(1).unwrap_or_default();
        for part in
            ["<script", "onerror", "javascript:", "<iframe", "<style", "<svg", "<form", "<input"]
        {
            assert!(!body.contains(part), "{part} in {body}");
        }
        assert!(html.contains("<title>&lt;script&gt;"));
    }
}
