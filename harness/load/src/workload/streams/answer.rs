//! What servers answer about streams, and what it says.

use lab_history::{Action, Doubt, Object, Outcome, Value, operation::EntryId};

use crate::{client::Unanswered, command::Reply, workload::value_in};

/// An entry of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: EntryId,
    pub(super) value: Value,
}

/// What an answer says, where `meaning` knows; where it does not, nobody knows what was done.
pub(super) fn read<T>(
    answer: Result<Reply, Unanswered>,
    meaning: impl FnOnce(&Reply) -> Option<T>,
) -> Result<T, Unanswered> {
    meaning(&answer?).ok_or(Unanswered::Indeterminate(Doubt::Garbled))
}

/// `XRANGE`.
pub(super) fn entries(reply: &Reply) -> Option<Vec<Entry>> {
    match reply {
        Reply::Nothing => Some(Vec::new()),
        Reply::List(entries) => {
            // Redis 6.2 claims also what has been deleted, and has nothing to say of it.
            entries.iter().filter(|entry| **entry != Reply::Nothing).map(entry).collect()
        }
        _ => None,
    }
}

fn entry(reply: &Reply) -> Option<Entry> {
    let [id, fields] = reply.list() else { return None };
    let [_, value] = fields.list() else { return None };
    Some(Entry { id: id.text()?.parse().ok()?, value: value_in(value.text()?)? })
}

/// `XREADGROUP` of one stream: an array of pairs in RESP2, a map in RESP3, and nothing if there was nothing in time.
pub(super) fn delivered(reply: &Reply) -> Option<Vec<Entry>> {
    match (reply, reply.list()) {
        (Reply::Nothing, _) => Some(Vec::new()),
        (_, [Reply::List(pair)]) => entries(pair.get(1)?),
        (_, [_, found]) => entries(found),
        _ => None,
    }
}

/// `XAUTOCLAIM`: where to go on, and what was claimed.
pub(super) fn claimed(reply: &Reply) -> Option<(EntryId, Vec<Entry>)> {
    let [next, found, ..] = reply.list() else { return None };
    Some((next.text()?.parse().ok()?, entries(found)?))
}

/// `XACK`: whether there was anything to acknowledge. Not if somebody did already, be it this client with an answer that
/// was lost; nor if the server does not know that it was delivered.
pub(super) fn acknowledged(reply: &Reply) -> Option<()> {
    (reply.number()? > 0).then_some(())
}

/// `XPENDING` without a range.
pub(super) fn pending(reply: &Reply) -> Option<u64> {
    reply.list().first()?.number()?.try_into().ok()
}

/// `XINFO GROUPS`: how far a group is.
pub(super) fn last_delivered(reply: &Reply, group: &str) -> Option<EntryId> {
    let of = |about: &Reply, what: &str| {
        let mut pairs = about.list().chunks_exact(2);
        let pair = pairs.find(|pair| pair[0].text() == Some(what))?;
        pair[1].text().map(str::to_owned)
    };
    let about = reply.list().iter().find(|about| of(about, "name").as_deref() == Some(group))?;
    of(about, "last-delivered-id")?.parse().ok()
}

/// A delivery for each entry; and one for an attempt of which nobody knows what it delivered.
pub(super) fn deliveries(object: Object, found: &Result<Vec<Entry>, Unanswered>) -> Vec<Action> {
    each(found, |outcome| Action::Deliver { object, outcome })
}

/// A claim for each entry; and one for an attempt of which nobody knows what it claimed.
pub(super) fn claims(object: Object, found: &Result<Vec<Entry>, Unanswered>) -> Vec<Action> {
    each(found, |outcome| Action::Claim { object, outcome })
}

fn each(found: &Result<Vec<Entry>, Unanswered>, action: impl Fn(Outcome<Value>) -> Action) -> Vec<Action> {
    match found {
        Ok(entries) => entries.iter().map(|entry| action(Outcome::Ok(entry.value))).collect(),
        Err(unanswered) => vec![action((*unanswered).into())],
    }
}

/// What became of something that brings something back.
pub(super) fn outcome<T>(answer: Result<T, Unanswered>) -> Outcome<T> {
    match answer {
        Ok(what) => Outcome::Ok(what),
        Err(unanswered) => unanswered.into(),
    }
}

#[cfg(test)]
mod tests {
    use lab_history::Names;
    use proptest::prelude::*;

    use super::*;
    use crate::workload::written;

    fn text(text: impl ToString) -> Reply {
        Reply::Text(text.to_string().into_bytes())
    }

    fn list(parts: impl IntoIterator<Item = Reply>) -> Reply {
        Reply::List(parts.into_iter().collect())
    }

    /// As a server writes it.
    fn shown(entry: &Entry, size: usize) -> Reply {
        list([text(entry.id), list([text("value"), text(written(entry.value, size))])])
    }

    fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
        let entry =
            (0_u64..1 << 42, 0_u64..1 << 22, any::<(u32, u32)>()).prop_map(|(millis, sequence, value)| {
                Entry { id: EntryId::new(millis, sequence).unwrap(), value: value.into() }
            });
        prop::collection::vec(entry, 0..20)
    }

    proptest! {
        /// In whatever form of the protocol they come.
        #[test]
        fn entries_read_as_they_were_appended(found in any_entries(), size in 0_usize..100) {
            let shown = || list(found.iter().map(|entry| shown(entry, size)));
            prop_assert_eq!(entries(&shown()), Some(found.clone()));
            let in_resp2 = list([list([text("stream"), shown()])]);
            let in_resp3 = list([text("stream"), shown()]);
            prop_assert_eq!(delivered(&in_resp2), Some(found.clone()));
            prop_assert_eq!(delivered(&in_resp3), Some(found.clone()));
            let next = EntryId::new(7, 0).unwrap();
            let before_redis_7 = list([text(next), shown()]);
            let since_redis_7 = list([text(next), shown(), list([text("3-0")])]);
            prop_assert_eq!(claimed(&before_redis_7), Some((next, found.clone())));
            prop_assert_eq!(claimed(&since_redis_7), Some((next, found.clone())));
        }
    }

    #[test]
    fn nothing_in_time_is_nothing_delivered() {
        assert_eq!(delivered(&Reply::Nothing), Some(Vec::new()));
        assert_eq!(delivered(&text("OK")), None);
        assert_eq!(
            delivered(&list([list([text("stream"), list([list([text("1-1")])])])])),
            None,
            "half an entry"
        );
    }

    #[test]
    fn a_deleted_entry_is_claimed_without_a_word() {
        let kept = Entry { id: EntryId::new(2, 0).unwrap(), value: Value { writer: 0, sequence: 9 } };
        let answer = list([text("0-0"), list([Reply::Nothing, shown(&kept, 0)])]);
        assert_eq!(claimed(&answer), Some((EntryId::default(), vec![kept])));
    }

    #[test]
    fn what_is_pending_is_counted() {
        let some =
            list([Reply::Number(2), text("1-0"), text("3-0"), list([list([text("consumer"), text("2")])])]);
        let none = list([Reply::Number(0), Reply::Nothing, Reply::Nothing, Reply::Nothing]);
        assert_eq!((pending(&some), pending(&none), pending(&text("OK"))), (Some(2), Some(0), None));
    }

    #[test]
    fn a_group_is_found_among_others() {
        let about = |group, id| {
            let more = [text("consumers"), Reply::Number(2), text("pending"), Reply::Number(0)];
            let id = [text("last-delivered-id"), text(id), text("entries-read"), Reply::Nothing];
            list([text("name"), text(group)].into_iter().chain(more).chain(id))
        };
        let groups = list([about("others", "9-0"), about("lab", "5-3")]);
        assert_eq!(last_delivered(&groups, "lab"), EntryId::new(5, 3));
        assert_eq!(last_delivered(&groups, "nobody"), None);
    }

    #[test]
    fn an_acknowledgement_of_nothing_is_none() {
        assert_eq!([0, 1].map(|count| acknowledged(&Reply::Number(count))), [None, Some(())]);
    }

    #[test]
    fn an_attempt_that_nobody_knows_of_is_recorded_once() {
        let object = Names::default().object("stream");
        let value = |sequence| Value { writer: 0, sequence };
        let entry = |sequence| Entry { id: EntryId::default(), value: value(sequence) };
        let deliver = |outcome| Action::Deliver { object, outcome };
        let two = deliveries(object, &Ok(vec![entry(1), entry(2)]));
        assert_eq!(two, [deliver(Outcome::Ok(value(1))), deliver(Outcome::Ok(value(2)))]);
        let doubt = Doubt::Deadline;
        assert_eq!(
            deliveries(object, &Err(Unanswered::Indeterminate(doubt))),
            [deliver(Outcome::Indeterminate(doubt))]
        );
        assert_eq!(deliveries(object, &Ok(Vec::new())), []);
    }
}
