//! Any template and any variables: properties that hold for all of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::collections::{BTreeMap, HashSet};

use difftest_core::cell::{self, ExpandError, MOST_CELLS};
use difftest_core::suite::{Combine, Place, TestId, TestKind, TestSpec};
use difftest_core::template::{MOST_PROMPTS, TemplateError, expand, placeholders};
use proptest::prelude::*;

fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// Words, braces and halves of placeholders in any order.
fn any_template() -> impl Strategy<Value = String> {
    let pieces: Vec<&str> = vec![
        "{", "}", "{{", "}}", "{a}", "{b=x y}", "{a=}", "{é}", "=", " ", "a cat", "🎨", "{1}",
        "{a b}", "\n",
    ];
    prop::collection::vec(
        prop_oneof![4 => prop::sample::select(pieces).prop_map(str::to_owned), 1 => any::<String>()],
        0..8,
    )
    .prop_map(|pieces| pieces.concat())
}

/// A template as a list of texts and variables, so that a test knows what it must become.
#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Variable(&'static str, Option<String>),
}

const NAMES: [&str; 4] = ["a", "b", "long_name", "é"];

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let variable = (prop::sample::select(NAMES.to_vec()), any::<bool>())
        // One default for each name: two different ones are an error.
        .prop_map(|(name, with)| Part::Variable(name, with.then(|| format!("no {name} = given"))));
    let text = any::<String>().prop_map(Part::Text);
    prop::collection::vec(prop_oneof![text, variable], 1..8)
        .prop_map(|parts| [vec![Part::Text("A ".into())], parts].concat())
}

fn template(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => escaped(text),
            Part::Variable(name, None) => format!("{{{name}}}"),
            Part::Variable(name, Some(default)) => format!("{{{name}={default}}}"),
        })
        .collect()
}

fn values(most: usize) -> impl Strategy<Value = BTreeMap<String, Vec<String>>> {
    let list = prop::collection::vec("[a-z{}]{0,3}", 0..=most);
    prop::collection::vec(list, NAMES.len())
        .prop_map(|lists| NAMES.iter().map(|name| (*name).to_owned()).zip(lists).collect())
}

/// What the parts become when each variable has this value.
fn filled(parts: &[Part], value: impl Fn(&str) -> String) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name, _) => value(name),
        })
        .collect()
}

/// By variable of the template, in order: its values, else its default, else none.
fn taken(
    parts: &[Part],
    variables: &BTreeMap<String, Vec<String>>,
) -> Vec<(String, Vec<String>, bool)> {
    let mut out: Vec<(String, Vec<String>, bool)> = Vec::new();
    for part in parts {
        let Part::Variable(name, _) = part else { continue };
        if out.iter().any(|(known, ..)| known == name) {
            continue;
        }
        let given = variables[*name].clone();
        let default = parts.iter().find_map(|part| match part {
            Part::Variable(other, Some(default)) if other == name => Some(default.clone()),
            _ => None,
        });
        let is_given = !given.is_empty();
        let values = if is_given { given } else { default.into_iter().collect() };
        out.push(((*name).to_owned(), values, is_given));
    }
    out
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_an_error_within_it(text in any_template()) {
        match placeholders(&text) {
            Ok(found) => {
                let mut end = 0;
                for placeholder in found {
                    prop_assert!(end <= placeholder.range.start, "they overlap");
                    end = placeholder.range.end;
                    prop_assert_eq!(&text[placeholder.name_range()], &placeholder.name);
                    let whole = &text[placeholder.range];
                    prop_assert_eq!((whole.chars().next(), whole.chars().last()), (Some('{'), Some('}')));
                }
            }
            Err(
                TemplateError::Unclosed { at, .. }
                | TemplateError::Unopened { at, .. }
                | TemplateError::NotAName { at, .. }
                | TemplateError::BraceInDefault { at, .. }
                | TemplateError::TwoDefaults { at, .. },
            ) => {
                let at_a_brace = text[at..].starts_with(['{', '}']);
                prop_assert!(at_a_brace, "{at} in {text:?} is no brace");
            }
            Err(other) => prop_assert!(false, "{other} is not about the text"),
        }
    }

    #[test]
    fn an_escaped_text_is_itself(text in "\\PC*[^ ]") {
        prop_assume!(!text.trim().is_empty());
        prop_assert_eq!(expand(&escaped(&text), &BTreeMap::new(), Combine::Product), Ok(vec![text]));
    }

    #[test]
    fn a_product_has_every_combination_once_and_in_order(parts in parts(), variables in values(3)) {
        let taken = taken(&parts, &variables);
        let answer = expand(&template(&parts), &variables, Combine::Product);
        if taken.iter().any(|(_, values, _)| values.is_empty()) {
            prop_assert!(matches!(answer, Err(TemplateError::NoValues { .. })), "{answer:?}");
            return Ok(());
        }
        let mut expected = vec![BTreeMap::new()];
        for (name, values, _) in &taken {
            expected = expected
                .iter()
                .flat_map(|chosen: &BTreeMap<String, String>| {
                    values.iter().map(|value| {
                        let mut chosen = chosen.clone();
                        chosen.insert(name.clone(), value.clone());
                        chosen
                    })
                })
                .collect();
        }
        let expected: Vec<String> =
            expected.iter().map(|chosen| filled(&parts, |name| chosen[name].clone())).collect();
        prop_assert_eq!(answer, Ok(expected));
    }

    #[test]
    fn a_zip_has_as_many_prompts_as_each_variable_has_values(parts in parts(), variables in values(2)) {
        let taken = taken(&parts, &variables);
        let answer = expand(&template(&parts), &variables, Combine::Zip);
        if taken.iter().any(|(_, values, _)| values.is_empty()) {
            prop_assert!(matches!(answer, Err(TemplateError::NoValues { .. })), "{answer:?}");
            return Ok(());
        }
        let lengths: HashSet<usize> =
            taken.iter().filter(|(.., given)| *given).map(|(_, values, _)| values.len()).collect();
        if lengths.len() > 1 {
            prop_assert!(matches!(answer, Err(TemplateError::UnequalLengths { .. })), "{answer:?}");
            return Ok(());
        }
        let count = lengths.into_iter().next().unwrap_or(1);
        let expected: Vec<String> = (0..count)
            .map(|index| {
                filled(&parts, |name| {
                    let (_, values, given) = taken.iter().find(|(known, ..)| known == name).unwrap();
                    values[if *given { index } else { 0 }].clone()
                })
            })
            .collect();
        prop_assert_eq!(answer, Ok(expected));
    }
}

fn spec(prompts: Vec<String>, variables: BTreeMap<String, Vec<String>>, seeds: usize) -> TestSpec {
    TestSpec {
        id: TestId("tests/test_many.py::test_many".into()),
        place: Place { file: "tests/test_many.py".into(), line: 3 },
        kind: TestKind::VisualRegression { baseline_dir: "b".into(), ssim_threshold: 0.9 },
        prompts,
        variables,
        combine: Combine::Product,
        negative_prompt: None,
        seeds: (0..seeds as i64).collect(),
        suite: None,
    }
}

#[test]
fn the_largest_test_expands_in_no_time_and_a_larger_one_is_refused() {
    let numbers: Vec<String> = (0..MOST_PROMPTS).map(|n| n.to_string()).collect();
    let variables = BTreeMap::from([("n".to_owned(), numbers)]);
    // Comparing each prompt with all before it would be 5·10⁹ comparisons.
    let cells = cell::expand(&spec(vec!["cat {n}".into(), "cat 7".into()], variables.clone(), 1));
    assert_eq!(cells.unwrap().len(), MOST_PROMPTS);
    let more = cell::expand(&spec(vec!["cat {n}".into(), "dog {n}".into()], variables.clone(), 1));
    assert_eq!(more, Err(ExpandError::TooManyPrompts));
    let seeds = MOST_CELLS / MOST_PROMPTS + 1;
    let many = cell::expand(&spec(vec!["cat {n}".into()], variables, seeds)).unwrap_err();
    assert!(
        many.to_string().contains("100000 prompts with 11 seeds each are 1100000 images"),
        "{many}"
    );
}

#[test]
fn a_test_combines_its_variables_as_it_says() {
    let pair = |one: &str, two: &str| vec![one.to_owned(), two.to_owned()];
    let variables =
        BTreeMap::from([("a".to_owned(), pair("1", "2")), ("b".to_owned(), pair("x", "y"))]);
    let mut test = spec(vec!["{a}{b}".into()], variables, 1);
    let prompts = |test: &TestSpec| -> Vec<String> {
        cell::expand(test).unwrap().into_iter().map(|cell| cell.prompt).collect()
    };
    assert_eq!(prompts(&test), ["1x", "1y", "2x", "2y"]);
    test.combine = Combine::Zip;
    assert_eq!(prompts(&test), ["1x", "2y"]);
}

#[test]
fn a_misspelt_variable_does_not_leave_its_place_to_the_default() {
    let variables = |name: &str| BTreeMap::from([(name.to_owned(), vec!["blue".to_owned()])]);
    let prompts = vec!["a {color=red} cat".to_owned(), "a {size=small} dog".to_owned()];
    let wrong = cell::expand(&spec(prompts.clone(), variables("colour"), 1)).unwrap_err();
    assert!(wrong.to_string().ends_with("did you mean `color`?"), "{wrong}");
    // One dictionary of variables for many tests is no mistake.
    assert_eq!(cell::expand(&spec(prompts.clone(), variables("weather"), 1)).unwrap().len(), 2);
    assert_eq!(cell::expand(&spec(prompts, variables("color"), 1)).unwrap().len(), 2);
}
