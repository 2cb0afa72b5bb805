//! The same as JSON lines.

use std::error::Error;

use lab_history::{Ending, History, lines::LinesError};
use proptest::prelude::*;
use rstest::rstest;

use crate::{
    format::{in_order, written},
    world::World,
    worlds,
};

fn exported(history: &History) -> String {
    let mut lines = Vec::new();
    history.export(&mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

proptest! {
    #[test]
    fn what_is_exported_is_what_is_imported(world in worlds(100), kind in 0..5_u8, is_cut in any::<bool>()) {
        let mut history = match kind {
            0 => world.registers(),
            1 => world.counters(),
            2 => world.channels(),
            3 => world.sets(),
            _ => world.streams(),
        };
        if is_cut {
            history.ending = Ending::Cut { at: 1234, spare: 7 };
        }
        let lines = exported(&history);
        let back = History::open(lines.as_bytes()).unwrap();
        prop_assert_eq!(exported(&back), lines.clone());
        // Lists are numbered as they are read, so those of sets and streams may have other numbers.
        if kind < 3 {
            prop_assert_eq!(&back, &history);
        }
    }

    /// Binary to lines and back.
    #[test]
    fn both_forms_say_the_same(world in worlds(100), flush_every in 1..50_usize) {
        let binary = written(&in_order(&world.streams()), flush_every);
        let lines = exported(&History::open(&binary[..]).unwrap());
        prop_assert_eq!(written(&History::open(lines.as_bytes()).unwrap(), flush_every), binary);
    }

    /// A line that was cut off is left out, and the history says that it was.
    #[test]
    fn wherever_it_is_cut_off_the_beginning_is_read(seed in any::<u64>(), cut in any::<prop::sample::Index>()) {
        let history = World::new(seed, 20).registers();
        let lines = exported(&history);
        let cut = cut.index(lines.len());
        match History::import(&lines.as_bytes()[..cut]) {
            Ok(read) => {
                prop_assert!(history.operations.starts_with(&read.operations));
                let whole = lines[..cut].rfind('\n').map_or(cut, |feed| feed + 1);
                if let Ending::Cut { at, spare } = read.ending {
                    prop_assert_eq!((at, spare), (whole as u64, (cut - whole) as u64));
                } else {
                    panic!("it was cut off");
                }
            }
            Err(LinesError::NoHeader(_)) => prop_assert!(!lines[..cut].contains('\n')),
            Err(error) => panic!("{error:?}"),
        }
    }
}

const HEADER: &str = r#"{"schema":1,"run":"x","seed":1}"#;

/// An operation whose end is to be filled in.
fn operation(rest: &str) -> String {
    format!(
        r#"{{"object":"a","client":"c","worker":0,"intended_us":1,"invoked_us":2,"completed_us":3,{rest}}}"#
    )
}

#[rstest]
#[case::no_such_action(r#""op":"wirte","value":[0,1],"outcome":"ok""#, "unknown variant `wirte`")]
#[case::nothing_written(r#""op":"write","outcome":"ok""#, "a `write` with this outcome has a `value`")]
#[case::something_read(
    r#""op":"read","value":[0,1],"outcome":"ok""#,
    "a `read` with this outcome has no `value`"
)]
#[case::no_reason(r#""op":"read","outcome":"failed""#, "has a `reason`")]
#[case::a_reason_of_the_other_kind(
    r#""op":"read","outcome":"failed","reason":"deadline""#,
    "a `reason` of its kind"
)]
#[case::a_reason_for_success(r#""op":"read","outcome":"ok","reason":"deadline""#, "no `reason`")]
#[case::a_result_of_failure(r#""op":"count","outcome":"failed","reason":"moved","result":1"#, "no `result`")]
#[case::no_count(r#""op":"count","outcome":"ok""#, "a count as its `result`")]
#[case::no_entry(r#""op":"last_delivered","outcome":"ok","result":"17""#, "`17` is no entry's id")]
#[case::refused_receipt(
    r#""op":"receive","value":[0,1],"outcome":"failed","reason":"moved""#,
    "no outcome but `ok`"
)]
#[case::a_word_too_many(r#""op":"read","outcome":"ok","speed":1"#, "unknown field `speed`")]
fn a_line_that_means_nothing_is_named(#[case] rest: &str, #[case] named: &str) {
    let text = format!("{HEADER}\n{}\n", operation(rest));
    let error = History::import(text.as_bytes()).unwrap_err();
    assert!(matches!(error, LinesError::Line { line: 2, .. }), "{error:?}");
    let why = error.source().unwrap();
    let whole = format!("{why}: {}", why.source().map(ToString::to_string).unwrap_or_default());
    assert!(whole.contains(named), "{whole}");
}

#[rstest]
#[case::out_of_order(r#""intended_us":5,"invoked_us":4,"completed_us":6"#, "not in this order")]
#[case::endless(r#""intended_us":0,"invoked_us":0,"completed_us":5000000000"#, "71 minutes")]
fn moments_that_cannot_be_are_named(#[case] moments: &str, #[case] named: &str) {
    let line =
        format!(r#"{{"op":"subscribe","object":"a","client":"c","worker":0,{moments},"outcome":"ok"}}"#);
    let error = History::import(format!("{HEADER}\n{line}\n").as_bytes()).unwrap_err();
    assert!(error.source().unwrap().source().unwrap().to_string().contains(named), "{error:?}");
}

#[rstest]
#[case::newer(r#"{"schema":2,"run":"x","seed":1}"#, "version 2")]
#[case::something_else(r#"{"name":"package.json"}"#, "no header")]
fn a_first_line_that_is_none_is_named(#[case] first: &str, #[case] named: &str) {
    let error = History::open(format!("{first}\n").as_bytes()).unwrap_err();
    assert!(error.to_string().contains(named), "{error}");
}

/// Somebody else's recorder need not number anything, nor say what it does not know.
#[test]
fn names_may_be_left_out() {
    let read = operation(r#""op":"read","outcome":"ok""#);
    let history = History::import(format!("{HEADER}\n{read}\n{{\"end\":\"whole\"}}\n").as_bytes()).unwrap();
    assert_eq!(history.names.of_object(history.operations[0].action.object()), "a");
    assert_eq!(history.ending, Ending::Whole);
}
