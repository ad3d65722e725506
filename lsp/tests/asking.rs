//! What an editor is offered and told at a place of a file. `|` is where the cursor stands.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use difftest_lsp::completion::{Completion, complete};
use difftest_lsp::decorators;
use difftest_lsp::hover::hover;
use difftest_lsp::metrics::{DeclaredMetrics, KnownMetrics};

fn source(arguments: &str) -> (String, usize) {
    let text = format!("import difftest\n@difftest.test({arguments}");
    let at = text.find('|').unwrap();
    (text.replacen('|', "", 1), at)
}

fn offered(arguments: &str) -> Vec<Completion> {
    let (source, at) = source(arguments);
    let file = decorators::read(&source);
    let elsewhere =
        DeclaredMetrics { names: ["redness".to_owned()].into(), ..DeclaredMetrics::default() };
    complete(&source, &file, &KnownMetrics::of([&elsewhere, &file.declared]), at)
}

fn labels(arguments: &str) -> Vec<String> {
    offered(arguments).into_iter().map(|offered| offered.label).collect()
}

/// The arguments after the offer `label` is taken.
fn taken(arguments: &str, label: &str) -> String {
    let chosen = offered(arguments).into_iter().find(|offered| offered.label == label).unwrap();
    let (mut source, _) = source(arguments);
    source.replace_range(chosen.replaces, &chosen.label);
    source.rsplit_once("test(").unwrap().1.to_owned()
}

fn told(arguments: &str) -> Option<String> {
    let (source, at) = source(arguments);
    hover(&source, &decorators::read(&source), at).map(|(_, told)| told)
}

const END: &str = ")\ndef test_it(): ...\n";

#[test]
fn every_metric_is_offered_with_what_it_is() {
    for typed in ["metrics=['|'])", "metrics=[\"cl|", "metrics=['ssim', 'l|'],)"] {
        let offered = offered(&format!("{typed}{}", &END[1..]));
        let find = |name: &str| offered.iter().find(|o| o.label == name);
        let lpips = find("lpips").unwrap_or_else(|| panic!("nothing at {typed}"));
        assert!(lpips.detail.starts_with("lower is better"), "{}", lpips.detail);
        assert!(lpips.documentation.as_ref().unwrap().starts_with("**lpips** · lower is better"));
        assert_eq!(find("redness").unwrap().detail, "declared in this workspace");
        assert_eq!(find("ssim").is_some(), !typed.contains("ssim"), "one metric twice is refused");
    }
}

#[test]
fn taking_an_offer_replaces_the_word_and_nothing_else() {
    assert_eq!(
        taken(&format!("metrics=['cli|p', 'ssim']{END}"), "clip_score"),
        format!("metrics=['clip_score', 'ssim']{END}")
    );
    assert_eq!(
        taken(&format!("['a {{co|}} x'], variables={{'color': ['red']}}{END}"), "color"),
        format!("['a {{color}} x'], variables={{'color': ['red']}}{END}")
    );
    assert_eq!(taken("suite='po|", "portraits"), "suite='portraits");
}

#[test]
fn a_threshold_is_for_a_metric_of_the_test() {
    let arguments = "metrics=['ssim', 'psnr'], threshold={'ssim': 0.9, '|': 1}";
    assert_eq!(labels(&format!("{arguments}{END}")), ["psnr"]);
}

#[test]
fn suites_and_the_ways_to_combine_are_offered() {
    let suites = offered(&format!("suite='|'{END}"));
    let hands = suites.iter().find(|offered| offered.label == "hands").unwrap();
    assert!(hands.detail.ends_with(" prompts"), "{}", hands.detail);
    assert!(hands.documentation.as_ref().unwrap().contains("finger"));
    assert_eq!(labels(&format!("combine=\"|\"{END}")), ["product", "zip"]);
}

#[test]
fn variables_are_offered_behind_an_open_brace_alone() {
    let with = |prompt: &str| {
        labels(&format!("['{prompt}'], variables={{'color': ['red'], 'size': SIZES}}{END}"))
    };
    assert_eq!(with("a {|"), ["color", "size"]);
    assert_eq!(with("a {color} {s|}"), ["color", "size"]);
    for elsewhere in ["a |", "a {color} |", "a {{|", "a {color=re|", "é {x}}} |"] {
        assert_eq!(with(elsewhere), Vec::<String>::new(), "{elsewhere}");
    }
}

#[test]
fn nothing_is_offered_outside_of_a_decorators_texts() {
    for elsewhere in ["prompts=[|]", "|metrics=['ssim']", "negative_prompt='|'", "seeds=[|1]"] {
        assert_eq!(labels(&format!("{elsewhere}{END}")), Vec::<String>::new(), "{elsewhere}");
    }
}

#[test]
fn a_name_says_what_it_means() {
    let fid = told(&format!("metrics=['fi|d']{END}")).unwrap();
    for part in ["lower is better", "all images together", "margin", "images", "arXiv"] {
        assert!(fid.contains(part), "{part} is not in: {fid}");
    }
    assert_eq!(
        told(&format!("threshold={{'s|sim': 0.9}}{END}")).unwrap(),
        "**ssim** · higher is better · -1 to 1 · each image and its reference\n\n\
         Structural similarity to the reference; 1 for equal images.\n\nmargin 0.02\n\n\
         Wang et al. 2004, doi:10.1109/TIP.2003.819861; scikit-image's gaussian SSIM."
    );
    assert!(told(&format!("suite='|hands'{END}")).unwrap().starts_with("**hands** · "));
    assert_eq!(told(&format!("metrics=['mi|ne']{END}")), None);
    assert_eq!(told(&format!("['s|sim']{END}")), None, "a prompt is no metric");
}
