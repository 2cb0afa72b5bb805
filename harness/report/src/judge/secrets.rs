//! Passwords, held against what others than their owners can read.

use super::Judgement;

/// Somewhere that others can read, and what is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it is, in words.
    pub name: String,
    /// What is written there.
    pub text: String,
}

/// None of `secrets`, each after whose it is, is on any of the pages. The judgement names the owner of one
/// that is, and not the password.
pub fn kept(secrets: &[(&str, &str)], pages: &[Page]) -> Judgement {
    let expected = "no password";
    let mut leaks = Vec::new();
    for (owner, secret) in secrets {
        let leaking = pages.iter().filter(|page| page.text.contains(secret));
        leaks.extend(leaking.map(|page| format!("that of {owner} in {}", page.name)));
    }
    let blank = pages.iter().find(|page| page.text.trim().is_empty());
    let judgement = match blank {
        _ if !leaks.is_empty() => Judgement::of(false, expected, leaks.join("; ")),
        _ if secrets.is_empty() => Judgement::unknown(expected, "there are none"),
        _ if pages.is_empty() => Judgement::unknown(expected, "nothing was read"),
        Some(page) => Judgement::unknown(expected, format!("{} is empty", page.name)),
        None => Judgement::equal(expected, expected),
    };
    let judgement = judgement.evidence(format!("{} passwords", secrets.len()));
    pages.iter().fold(judgement, |judgement, page| {
        judgement.evidence(format!("{}: {} characters", page.name, page.text.chars().count()))
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::verdict::Verdict;

    fn page(text: &str) -> Page {
        Page { name: "the log".to_owned(), text: text.to_owned() }
    }

    #[rstest]
    #[case::kept(&["x7", "y8"], &["nothing of the kind"], Verdict::Pass)]
    #[case::on_one_page_of_two(&["x7", "y8"], &["fine", "with y8 in it"], Verdict::Fail)]
    #[case::found_though_a_page_is_empty(&["x7"], &["x7", ""], Verdict::Fail)]
    #[case::a_page_that_was_not_read(&["x7"], &["fine", " \n"], Verdict::Unknown)]
    #[case::no_pages(&["x7"], &[], Verdict::Unknown)]
    #[case::no_secrets(&[], &["fine"], Verdict::Unknown)]
    fn a_secret_is_on_no_page(#[case] secrets: &[&str], #[case] pages: &[&str], #[case] verdict: Verdict) {
        let secrets: Vec<_> = secrets.iter().map(|secret| ("app", *secret)).collect();
        let pages: Vec<_> = pages.iter().map(|text| page(text)).collect();
        assert_eq!(kept(&secrets, &pages).verdict, verdict);
    }

    #[test]
    fn the_judgement_does_not_say_what_it_found() {
        let judgement = kept(&[("app", "x7")], &[page("a line with x7")]);
        assert_eq!(judgement.observed, "that of app in the log");
        assert!(!format!("{judgement:?}").contains("x7"));
    }
}
