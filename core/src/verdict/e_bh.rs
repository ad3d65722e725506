//! Many claims at once: the e-Benjamini–Hochberg procedure (Wang and Ramdas, "False discovery rate
//! control with e-values", arXiv 2009.02824).

/// Which claims stand: the k largest e-values, for the largest k with e₍ₖ₎ ≥ K/(αk). The expected
/// share of false claims among them is at most α, however the e-values depend on each other; where
/// every null is true that is the chance of any claim at all.
///
/// `ln_e` are the logarithms of the *stopped* e-values: a running maximum is no e-value.
pub fn stand(ln_e: &[f64], alpha: f64) -> Vec<bool> {
    let total = ln_e.len() as f64;
    let mut order: Vec<usize> = (0..ln_e.len()).filter(|i| !ln_e[*i].is_nan()).collect();
    order.sort_by(|a, b| ln_e[*b].total_cmp(&ln_e[*a]));
    let enough = |k: usize, at: usize| ln_e[at] >= (total / (alpha * k as f64)).ln();
    let standing = (1..=order.len()).rev().find(|k| enough(*k, order[k - 1])).unwrap_or(0);
    let mut out = vec![false; ln_e.len()];
    for at in &order[..standing] {
        out[*at] = true;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_claim_needs_one_over_alpha_and_companions_help() {
        let ln = |e: f64| e.ln();
        assert_eq!(stand(&[ln(20.0)], 0.05), [true]);
        assert_eq!(stand(&[ln(20.0), ln(1.0)], 0.05), [false, false]);
        assert_eq!(stand(&[ln(40.0), ln(1.0)], 0.05), [true, false]);
        assert_eq!(stand(&[ln(20.0), ln(20.0)], 0.05), [true, true]);
        assert_eq!(stand(&[], 0.05), Vec::<bool>::new());
        assert_eq!(stand(&[f64::NAN, ln(40.0)], 0.05), [false, true]);
    }

    proptest! {
        #[test]
        fn more_evidence_never_takes_a_claim_away(
            ln_e in prop::collection::vec(-5.0..10.0f64, 1..20), at in 0usize..20, more in 0.0..5.0f64,
        ) {
            let before = stand(&ln_e, 0.05);
            let mut raised = ln_e.clone();
            let at = at % ln_e.len();
            raised[at] += more;
            let after = stand(&raised, 0.05);
            for (was, is) in before.iter().zip(&after) {
                prop_assert!(!was || *is);
            }
        }

        #[test]
        fn a_test_without_evidence_gives_no_other_a_claim(
            ln_e in prop::collection::vec(-5.0..10.0f64, 1..20), added in -5.0..0.0f64,
            rotate in 0usize..20,
        ) {
            let before = stand(&ln_e, 0.05);
            let mut more = ln_e.clone();
            more.push(added);
            let after = stand(&more, 0.05);
            prop_assert!(!after[ln_e.len()]);
            for (was, is) in before.iter().zip(&after) {
                prop_assert!(*was || !is);
            }
            let rotate = rotate % ln_e.len();
            let (mut rotated, mut expected) = (ln_e.clone(), before);
            rotated.rotate_left(rotate);
            expected.rotate_left(rotate);
            prop_assert_eq!(stand(&rotated, 0.05), expected);
        }
    }
}
