//! Deciding by search, where values come twice: Wing and Gong's, with Lowe's memory.
//!
//! The operations that are left are a list of their invocations and completions in time. Those whose invocations come
//! before the first completion in the list are not preceded by any: each of them may be taken next. To take one is to
//! unlink it; to come back, to link it again.

use std::time::Instant;

use rustc_hash::FxHashSet;

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
    /// Of each step, whether no other one is concurrent.
    alone: Vec<bool>,
    taken: Taken,
    value: u32,
    /// The places that were taken, with the value before.
    way: Vec<(usize, u32)>,
    been: FxHashSet<Configuration>,
}

impl<'a> Search<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let mut completions: Vec<(Moment, usize)> =
            steps.iter().enumerate().map(|(number, step)| (step.completed, number)).collect();
        completions.sort_unstable();
        let mut completions = completions.into_iter().filter(|(at, _)| *at < Moment::NEVER).peekable();
        let mut completion = vec![HEAD; steps.len()];
        let mut events = Vec::with_capacity(2 * steps.len() + 1);
        events.push(Event::Completed(usize::MAX));
        let mut complete = |events: &mut Vec<Event>, before: Moment| {
            while let Some((_, number)) = completions.next_if(|(at, _)| *at < before) {
                completion[number] = events.len();
                events.push(Event::Completed(number));
            }
        };
        for (number, step) in steps.iter().enumerate() {
            // At the same moment invocations come first: what touches does not precede.
            complete(&mut events, step.invoked);
            events.push(Event::Invoked(number));
        }
        complete(&mut events, Moment::NEVER);
        let places = events.len();
        Self {
            steps,
            events,
            // The end leads to the head again.
            next: (1..places).chain([HEAD]).collect(),
            previous: [places - 1].into_iter().chain(0..places - 1).collect(),
            left: completion.iter().filter(|place| **place != HEAD).count(),
            completion,
            alone: alone(steps),
            taken: Taken::new(steps.len()),
            value: 0,
            way: Vec::new(),
            been: FxHashSet::default(),
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
        // There is one way to and from what is alone: who came there is remembered for the step before.
        if !self.alone[number] && !self.been.insert(self.taken.configuration(after)) {
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

/// Of steps in the order of their invocations, those that begin when all before are over, and are over when the next
/// one begins.
fn alone(steps: &[Step]) -> Vec<bool> {
    let mut over = None;
    let mut alone = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let next = steps.get(number + 1).map_or(Moment::NEVER, |next| next.invoked);
        alone.push(over < Some(step.invoked) && step.completed < next);
        over = over.max(Some(step.completed));
    }
    alone
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
