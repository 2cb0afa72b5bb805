//! One operation, in 36 bytes.

use super::Illegal;
use crate::{
    action::{Action, Kind},
    names::{Counts, Node, Object, Process},
    operation::{EntryId, List, Operation, Timing, Value},
    outcome::{Doubt, Outcome, Refusal},
    time::Moment,
};

/// The length of a record in bytes.
pub const RECORD: usize = 36;

/// The node of an operation of which nobody knows where it went.
const NO_NODE: u16 = u16::MAX;

/// It was done.
const OK: u8 = 0x00;
/// It was done, and brought nothing back: a register that holds nothing.
const NOTHING: u8 = 0x01;
/// It failed; the reason's number is added.
const FAILED: u8 = 0x40;
/// Nobody knows; the reason's number is added.
const INDETERMINATE: u8 = 0x80;

/// How much of what a record refers to is known where it is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    pub(crate) names: Counts,
    pub(crate) lists: usize,
}

pub(crate) fn encode(operation: &Operation) -> [u8; RECORD] {
    let Operation { process, node, timing, action } = operation;
    let (kind, object, outcome, slot) = pack(action);
    let mut record = [0; RECORD];
    record[0..8].copy_from_slice(&timing.intended.micros().to_le_bytes());
    record[8..12].copy_from_slice(&timing.late.to_le_bytes());
    record[12..16].copy_from_slice(&timing.took.to_le_bytes());
    record[16..20].copy_from_slice(&process.0.to_le_bytes());
    record[20..24].copy_from_slice(&object.0.to_le_bytes());
    record[24..26].copy_from_slice(&node.map_or(NO_NODE, |node| node.0).to_le_bytes());
    record[26] = kind.number();
    record[27] = outcome;
    record[28..36].copy_from_slice(&slot.to_le_bytes());
    record
}

pub(crate) fn decode(record: &[u8; RECORD], known: Known) -> Result<Operation, Illegal> {
    let process = Process(u32_at(record, 16));
    if usize::from(process.client().0) >= known.names.clients {
        return Err(Illegal::Client(process.client().0));
    }
    let object = u32_at(record, 20);
    if object as usize >= known.names.objects {
        return Err(Illegal::Object(object));
    }
    let node = match u16::from_le_bytes([record[24], record[25]]) {
        NO_NODE => None,
        node if usize::from(node) < known.names.nodes => Some(Node(node)),
        node => return Err(Illegal::Node(node)),
    };
    let timing = Timing {
        intended: Moment::from_micros(u64_at(record, 0)),
        late: u32_at(record, 8),
        took: u32_at(record, 12),
    };
    let kind = Kind::of_number(record[26]).ok_or(Illegal::Kind(record[26]))?;
    let slot = Slot { outcome: record[27], bits: u64_at(record, 28), lists: known.lists };
    Ok(Operation { process, node, timing, action: slot.unpack(kind, Object(object))? })
}

/// Kind, object, outcome, and what was written or came back.
fn pack(action: &Action) -> (Kind, Object, u8, u64) {
    let (outcome, slot) = match *action {
        Action::Write { value, outcome, .. }
        | Action::Add { value, outcome, .. }
        | Action::Publish { value, outcome, .. }
        | Action::Append { value, outcome, .. }
        | Action::Acknowledge { value, outcome, .. } => (pack_outcome(outcome, |()| 0).0, bits(value)),
        Action::Subscribe { outcome, .. } => pack_outcome(outcome, |()| 0),
        Action::Receive { value, .. } => (OK, bits(value)),
        Action::Unsubscribe { .. } => (OK, 0),
        Action::Read { outcome: Outcome::Ok(None), .. } => (NOTHING, 0),
        Action::Read { outcome, .. } => pack_outcome(outcome, |found| found.map_or(0, bits)),
        Action::Members { outcome, .. } | Action::Entries { outcome, .. } => {
            pack_outcome(outcome, |list| list.0.into())
        }
        Action::Increment { outcome, .. }
        | Action::Count { outcome, .. }
        | Action::Pending { outcome, .. } => pack_outcome(outcome, |count| count),
        Action::Deliver { outcome, .. } | Action::Claim { outcome, .. } => pack_outcome(outcome, bits),
        Action::LastDelivered { outcome, .. } => pack_outcome(outcome, |id| id.0),
    };
    (action.kind(), action.object(), outcome, slot)
}

fn pack_outcome<T>(outcome: Outcome<T>, slot: impl FnOnce(T) -> u64) -> (u8, u64) {
    match outcome {
        Outcome::Ok(result) => (OK, slot(result)),
        Outcome::Failed(why) => (FAILED + why.number(), 0),
        Outcome::Indeterminate(why) => (INDETERMINATE + why.number(), 0),
    }
}

/// The sequence number first, as the bytes of a little-endian number go.
fn bits(value: Value) -> u64 {
    u64::from(value.writer) << 32 | u64::from(value.sequence)
}

fn value(bits: u64) -> Value {
    Value { writer: (bits >> 32) as u32, sequence: bits as u32 }
}

/// The last nine bytes of a record.
struct Slot {
    outcome: u8,
    bits: u64,
    lists: usize,
}

impl Slot {
    fn unpack(&self, kind: Kind, object: Object) -> Result<Action, Illegal> {
        Ok(match kind {
            Kind::Write => Action::Write { object, value: value(self.bits), outcome: self.plain()? },
            Kind::Read => Action::Read { object, outcome: self.found()? },
            Kind::Add => Action::Add { object, value: value(self.bits), outcome: self.plain()? },
            Kind::Members => Action::Members { object, outcome: self.list()? },
            Kind::Increment => Action::Increment { object, outcome: self.result(|bits| bits)? },
            Kind::Count => Action::Count { object, outcome: self.result(|bits| bits)? },
            Kind::Publish => Action::Publish { object, value: value(self.bits), outcome: self.plain()? },
            Kind::Subscribe => Action::Subscribe { object, outcome: self.empty()?.plain()? },
            Kind::Receive => Action::Receive { object, value: self.happened().map(|()| value(self.bits))? },
            Kind::Unsubscribe => Action::Unsubscribe { object: self.empty()?.happened().map(|()| object)? },
            Kind::Append => Action::Append { object, value: value(self.bits), outcome: self.plain()? },
            Kind::Deliver => Action::Deliver { object, outcome: self.result(value)? },
            Kind::Claim => Action::Claim { object, outcome: self.result(value)? },
            Kind::Acknowledge => {
                Action::Acknowledge { object, value: value(self.bits), outcome: self.plain()? }
            }
            Kind::Pending => Action::Pending { object, outcome: self.result(|bits| bits)? },
            Kind::LastDelivered => Action::LastDelivered { object, outcome: self.result(EntryId)? },
            Kind::Entries => Action::Entries { object, outcome: self.list()? },
        })
    }

    /// The outcome of what brings nothing back.
    fn plain(&self) -> Result<Outcome, Illegal> {
        match self.outcome {
            OK => Some(Outcome::Ok(())),
            number @ FAILED..INDETERMINATE => Refusal::of_number(number - FAILED).map(Outcome::Failed),
            number @ INDETERMINATE.. => Doubt::of_number(number - INDETERMINATE).map(Outcome::Indeterminate),
            _ => None,
        }
        .ok_or(Illegal::Outcome(self.outcome))
    }

    /// The outcome of what brings something back: nothing else does.
    fn result<T>(&self, read: impl FnOnce(u64) -> T) -> Result<Outcome<T>, Illegal> {
        Ok(match self.plain()? {
            Outcome::Ok(()) => Outcome::Ok(read(self.bits)),
            Outcome::Failed(why) => self.empty().map(|_| Outcome::Failed(why))?,
            Outcome::Indeterminate(why) => self.empty().map(|_| Outcome::Indeterminate(why))?,
        })
    }

    /// A register may hold nothing.
    fn found(&self) -> Result<Outcome<Option<Value>>, Illegal> {
        match self.outcome {
            NOTHING => self.empty().map(|_| Outcome::Ok(None)),
            _ => self.result(|bits| Some(value(bits))),
        }
    }

    fn list(&self) -> Result<Outcome<List>, Illegal> {
        let outcome = self.result(|bits| bits)?;
        Ok(match outcome {
            Outcome::Ok(bits) if bits < self.lists as u64 => Outcome::Ok(List(bits as u32)),
            Outcome::Ok(bits) => return Err(Illegal::List(bits)),
            Outcome::Failed(why) => Outcome::Failed(why),
            Outcome::Indeterminate(why) => Outcome::Indeterminate(why),
        })
    }

    /// What happens by itself has no other outcome.
    fn happened(&self) -> Result<(), Illegal> {
        if self.outcome == OK { Ok(()) } else { Err(Illegal::Outcome(self.outcome)) }
    }

    fn empty(&self) -> Result<&Self, Illegal> {
        if self.bits == 0 { Ok(self) } else { Err(Illegal::Idle(self.bits)) }
    }
}

fn u32_at(record: &[u8; RECORD], at: usize) -> u32 {
    u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(record: &[u8; RECORD], at: usize) -> u64 {
    u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"))
}
