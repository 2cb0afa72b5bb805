//! Operations by object: one object's at a time fit into the processor's cache.

use crate::{history::History, names::Object, operation::Operation};

/// What some of a history's operations say, by object, in the history's order.
///
/// A counting sort: objects are numbered without gaps.
pub(super) struct Grouped<T> {
    /// Where each object's begin; one more, for the end.
    starts: Vec<usize>,
    items: Vec<T>,
}

impl<T: Copy + Default> Grouped<T> {
    /// Of those operations of which `pick` makes something; it gets their places as well.
    pub(super) fn of(history: &History, pick: impl Fn(u32, &Operation) -> Option<T>) -> Self {
        let place = |at: usize| u32::try_from(at).expect("a history has less than 2^32 operations");
        let mut starts = vec![0; history.names.counts().objects + 1];
        for (at, operation) in history.operations.iter().enumerate() {
            if pick(place(at), operation).is_some() {
                starts[operation.action.object().0 as usize + 1] += 1;
            }
        }
        for object in 1..starts.len() {
            starts[object] += starts[object - 1];
        }
        let mut next = starts.clone();
        let mut items = vec![T::default(); starts.last().copied().unwrap_or(0)];
        for (at, operation) in history.operations.iter().enumerate() {
            if let Some(item) = pick(place(at), operation) {
                let next = &mut next[operation.action.object().0 as usize];
                items[*next] = item;
                *next += 1;
            }
        }
        Self { starts, items }
    }

    /// The objects of which there is anything, with all there is of each.
    pub(super) fn objects(&mut self) -> impl Iterator<Item = (Object, &mut [T])> {
        let mut rest = &mut self.items[..];
        let lengths = self.starts.windows(2).map(|ends| ends[1] - ends[0]);
        (0..).zip(lengths).filter_map(move |(number, length)| {
            let (items, after) = std::mem::take(&mut rest).split_at_mut(length);
            rest = after;
            (length > 0).then_some((Object(number), items))
        })
    }
}
