//! Deciding by search, where values come twice: Wing and Gong's, with Lowe's memory.
//!
//! The operations that are left are a list of their invocations and completions in time. Those whose invocations come
//! before the first completion in the list are not preceded by any: each of them may be taken next. To take one is to
//! unlink it; to come back, to link it again.

use std::time::Instant;

use rustc_hash::{FxBuildHasher, FxHashSet};

use super::{Decision, Does, Step};
use crate::time::Moment;

/// Decides whether the steps on one register are linearizable, unless that takes longer than until `deadline` or
/// more than so many configurations.
pub(super) fn decide(steps: &[Step], configurations: usize, deadline: Option<Instant>) -> Decision {
    let mut steps: Vec<Step> = steps.to_vec();
    steps.sort_by_key(|step| step.invoked);
    Search::new(&steps).run(configurations, deadline)
}

/// What happens at one place of the list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Invoked(usize),
    Completed(usize),
}

const HEAD: usize = 0;

struct Search<'a> {
    steps: &'a [Step],
    /// Of each place in the list; the first is the list's head, and nothing happens there.
    events: Vec<Event>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Where each step is completed; the head, for one that never is.
    completion: Vec<usize>,
    /// Completed steps that are left.
    left: usize,
    taken: Taken,
    value: u32,
    /// The places that were taken, with the value before.
    way: Vec<(usize, u32)>,
    been: FxHashSet<Configuration>,
}

impl<'a> Search<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let mut times: Vec<(Moment, bool, usize)> = Vec::with_capacity(2 * steps.len());
        for (number, step) in steps.iter().enumerate() {
            times.push((step.invoked, false, number));
            if step.completed < Moment::NEVER {
                times.push((step.completed, true, number));
            }
        }
        // At the same moment invocations come first: what touches does not precede.
        times.sort_unstable();
        let mut completion = vec![HEAD; steps.len()];
        let mut events = vec![Event::Completed(usize::MAX)];
        for (place, (_, is_completion, number)) in (1..).zip(times) {
            if is_completion {
                completion[number] = place;
            }
            events.push(if is_completion { Event::Completed(number) } else { Event::Invoked(number) });
        }
        let places = events.len();
        Self {
            steps,
            events,
            // The end leads to the head again.
            next: (1..places).chain([HEAD]).collect(),
            previous: [places - 1].into_iter().chain(0..places - 1).collect(),
            left: completion.iter().filter(|place| **place != HEAD).count(),
            completion,
            taken: Taken::new(steps.len()),
            value: 0,
            way: Vec::new(),
            // One way through, at least.
            been: FxHashSet::with_capacity_and_hasher(steps.len(), FxBuildHasher),
        }
    }

    fn run(mut self, configurations: usize, deadline: Option<Instant>) -> Decision {
        let mut place = self.next[HEAD];
        let mut furthest = (self.left, self.steps.first().map_or(0, |step| step.place));
        for turn in 1_u32.. {
            if self.left == 0 {
                break;
            }
            // Asking for the time takes longer than a turn.
            let late =
                turn.is_multiple_of(4096) && deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if late || self.been.len() >= configurations {
                return Decision::GivenUp;
            }
            let event = self.events[place];
            match event {
                Event::Invoked(number) if self.take(place, number) => place = self.next[HEAD],
                Event::Invoked(_) => place = self.next[place],
                // It is preceded by none but those that did not do: one of them has to.
                Event::Completed(number) => {
                    if self.left < furthest.0 {
                        furthest = (self.left, self.steps[number].place);
                    }
                    match self.come_back() {
                        Some(last) => place = self.next[last],
                        None => return Decision::NotLinearizable { place: furthest.1 },
                    }
                }
            }
        }
        Decision::Linearizable
    }

    /// Takes a step next, if the register's value explains it and this has not been tried.
    fn take(&mut self, place: usize, number: usize) -> bool {
        let after = match self.steps[number].does {
            Does::Write(value) => value,
            Does::Read(value) if value == self.value => value,
            Does::Read(_) => return false,
        };
        self.taken.add(number);
        if !self.been.insert(self.taken.configuration(after)) {
            self.taken.remove(number);
            return false;
        }
        self.way.push((place, self.value));
        self.value = after;
        self.unlink(place);
        if self.completion[number] != HEAD {
            self.unlink(self.completion[number]);
            self.left -= 1;
        }
        true
    }

    /// Puts back what was taken last; where that was.
    fn come_back(&mut self) -> Option<usize> {
        let (place, before) = self.way.pop()?;
        let Event::Invoked(number) = self.events[place] else { unreachable!("only invocations are taken") };
        self.value = before;
        self.taken.remove(number);
        if self.completion[number] != HEAD {
            self.link(self.completion[number]);
            self.left += 1;
        }
        self.link(place);
        Some(place)
    }

    fn unlink(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    /// Undoes the last `unlink` that is not undone.
    fn link(&mut self, place: usize) {
        let (previous, next) = (self.previous[place], self.next[place]);
        self.next[previous] = place;
        self.previous[next] = place;
    }
}

/// Which steps were taken, and the value that they left: where the search has been.
///
/// Steps are in the order of their invocations, so those that were taken are all of the first, and a few of the
/// next. Only those few are kept: a configuration is as large as there are operations at a time, not as the history.
#[derive(PartialEq, Eq, Hash)]
struct Configuration {
    value: u32,
    /// So many words are full.
    full: u32,
    /// The next one.
    word: u64,
    /// Those after it, as far as anything is in them.
    others: Box<[u64]>,
}

/// The steps that were taken, one bit each.
struct Taken {
    words: Vec<u64>,
    /// All words before this one are full.
    full: usize,
    /// No word from here on has anything in it.
    end: usize,
}

impl Taken {
    fn new(steps: usize) -> Self {
        Self { words: vec![0; steps.div_ceil(64) + 1], full: 0, end: 0 }
    }

    fn add(&mut self, number: usize) {
        self.words[number / 64] |= 1 << (number % 64);
        while self.words[self.full] == u64::MAX {
            self.full += 1;
        }
        self.end = self.end.max(number / 64 + 1);
    }

    fn remove(&mut self, number: usize) {
        self.words[number / 64] &= !(1 << (number % 64));
        self.full = self.full.min(number / 64);
        while self.end > 0 && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
    }

    fn configuration(&self, value: u32) -> Configuration {
        let others = self.words[..self.end].get(self.full + 1..).unwrap_or_default();
        Configuration { value, full: self.full as u32, word: self.words[self.full], others: others.into() }
    }
}
