//! The line of one operation.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::Meaningless;
use crate::{
    action::{Action, Kind},
    history::History,
    operation::{EntryId, List, Operation, Timing, Value},
    outcome::{Doubt, Outcome, Refusal},
    time::Moment,
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationLine<'a> {
    op: Kind,
    object: Cow<'a, str>,
    client: Cow<'a, str>,
    worker: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<Cow<'a, str>>,
    intended_us: Moment,
    invoked_us: Moment,
    completed_us: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    outcome: Word,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Brought>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Ok,
    Failed,
    Indeterminate,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Reason {
    Refusal(Refusal),
    Doubt(Doubt),
}

/// What came back.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Brought {
    Value(Value),
    Count(u64),
    List(Vec<Value>),
    Id(String),
}

impl<'a> OperationLine<'a> {
    /// The line of an operation of `history`.
    pub(super) fn of(operation: &Operation, history: &'a History) -> Self {
        let Operation { process, node, timing, action } = operation;
        let (outcome, reason) = match action.outcome() {
            Outcome::Ok(()) => (Word::Ok, None),
            Outcome::Failed(why) => (Word::Failed, Some(Reason::Refusal(why))),
            Outcome::Indeterminate(why) => (Word::Indeterminate, Some(Reason::Doubt(why))),
        };
        let (value, result) = written_and_brought(history, action);
        Self {
            op: action.kind(),
            object: history.names.of_object(action.object()).into(),
            client: history.names.of_client(process.client()).into(),
            worker: process.worker(),
            node: node.map(|node| history.names.of_node(node).into()),
            intended_us: timing.intended(),
            invoked_us: timing.invoked(),
            completed_us: timing.completed(),
            value,
            outcome,
            reason,
            result,
        }
    }

    /// The operation of a line, as one of `history`.
    pub(super) fn operation(self, history: &mut History) -> Result<Operation, Meaningless> {
        let names = &mut history.names;
        let too_many = |name: &str| Meaningless::TooMany(name.to_owned());
        let client = names.client(&self.client).ok_or_else(|| too_many(&self.client))?;
        let process = client.worker(self.worker).ok_or(Meaningless::Worker(self.worker))?;
        let node = match &self.node {
            Some(node) => Some(names.node(node).ok_or_else(|| too_many(node))?),
            None => None,
        };
        let timing = Timing::new(self.intended_us, self.invoked_us, self.completed_us)?;
        let action = self.action(history)?;
        Ok(Operation { process, node, timing, action })
    }

    fn action(self, history: &mut History) -> Result<Action, Meaningless> {
        let object = history.names.object(&self.object);
        let written = self.value;
        if !self.op.writes_a_value() && written.is_some() {
            return Err(self.shape("no `value`"));
        }
        let value = match self.op.writes_a_value() {
            true => written.ok_or_else(|| self.shape("a `value`"))?,
            false => Value::default(),
        };
        Ok(match self.op {
            Kind::Write => Action::Write { object, value, outcome: self.plain()? },
            Kind::Read => Action::Read { object, outcome: self.found()? },
            Kind::Add => Action::Add { object, value, outcome: self.plain()? },
            Kind::Members => Action::Members { object, outcome: self.list(history)? },
            Kind::Increment => Action::Increment { object, outcome: self.count()? },
            Kind::Count => Action::Count { object, outcome: self.count()? },
            Kind::Publish => Action::Publish { object, value, outcome: self.plain()? },
            Kind::Subscribe => Action::Subscribe { object, outcome: self.plain()? },
            Kind::Receive => self.happened().map(|()| Action::Receive { object, value })?,
            Kind::Unsubscribe => self.happened().map(|()| Action::Unsubscribe { object })?,
            Kind::Append => Action::Append { object, value, outcome: self.plain()? },
            Kind::Deliver => Action::Deliver { object, outcome: self.delivered()? },
            Kind::Claim => Action::Claim { object, outcome: self.delivered()? },
            Kind::Acknowledge => Action::Acknowledge { object, value, outcome: self.plain()? },
            Kind::Pending => Action::Pending { object, outcome: self.count()? },
            Kind::LastDelivered => Action::LastDelivered { object, outcome: self.id()? },
            Kind::Entries => Action::Entries { object, outcome: self.list(history)? },
        })
    }

    /// Its outcome, with what was done for `ok`.
    fn outcome<T>(
        &self,
        ok: impl FnOnce(Option<&Brought>) -> Result<T, Meaningless>,
    ) -> Result<Outcome<T>, Meaningless> {
        match (self.outcome, self.reason, &self.result) {
            (Word::Ok, None, result) => ok(result.as_ref()).map(Outcome::Ok),
            (Word::Failed, Some(Reason::Refusal(why)), None) => Ok(Outcome::Failed(why)),
            (Word::Indeterminate, Some(Reason::Doubt(why)), None) => Ok(Outcome::Indeterminate(why)),
            (Word::Ok, ..) => Err(self.shape("no `reason`")),
            _ => Err(self.shape("a `reason` of its kind, and no `result`")),
        }
    }

    fn plain(&self) -> Result<Outcome, Meaningless> {
        self.outcome(|result| if result.is_none() { Ok(()) } else { Err(self.shape("no `result`")) })
    }

    fn found(&self) -> Result<Outcome<Option<Value>>, Meaningless> {
        self.outcome(|result| match result {
            None => Ok(None),
            Some(Brought::Value(value)) => Ok(Some(*value)),
            Some(_) => Err(self.shape("a value as its `result`, or none")),
        })
    }

    fn delivered(&self) -> Result<Outcome<Value>, Meaningless> {
        self.outcome(|result| match result {
            Some(Brought::Value(value)) => Ok(*value),
            _ => Err(self.shape("a value as its `result`")),
        })
    }

    fn count(&self) -> Result<Outcome<u64>, Meaningless> {
        self.outcome(|result| match result {
            Some(Brought::Count(count)) => Ok(*count),
            _ => Err(self.shape("a count as its `result`")),
        })
    }

    fn id(&self) -> Result<Outcome<EntryId>, Meaningless> {
        self.outcome(|result| match result {
            Some(Brought::Id(id)) => Ok(id.parse()?),
            _ => Err(self.shape("an entry's id as its `result`")),
        })
    }

    fn list(&self, history: &mut History) -> Result<Outcome<List>, Meaningless> {
        self.outcome(|result| match result {
            Some(Brought::List(values)) => Ok(history.keep(values.as_slice())),
            _ => Err(self.shape("an array of values as its `result`")),
        })
    }

    fn happened(&self) -> Result<(), Meaningless> {
        match self.plain()? {
            Outcome::Ok(()) => Ok(()),
            Outcome::Failed(_) | Outcome::Indeterminate(_) => Err(self.shape("no outcome but `ok`")),
        }
    }

    fn shape(&self, should: &'static str) -> Meaningless {
        Meaningless::Shape { op: self.op.word(), should }
    }
}

/// What an action says, and what came back.
fn written_and_brought(history: &History, action: &Action) -> (Option<Value>, Option<Brought>) {
    match *action {
        Action::Write { value, .. }
        | Action::Add { value, .. }
        | Action::Publish { value, .. }
        | Action::Receive { value, .. }
        | Action::Append { value, .. }
        | Action::Acknowledge { value, .. } => (Some(value), None),
        Action::Subscribe { .. } | Action::Unsubscribe { .. } => (None, None),
        Action::Read { outcome, .. } => (None, outcome.ok().flatten().map(Brought::Value)),
        Action::Members { outcome, .. } | Action::Entries { outcome, .. } => {
            (None, outcome.ok().map(|list| Brought::List(history.list(list).to_vec())))
        }
        Action::Increment { outcome, .. }
        | Action::Count { outcome, .. }
        | Action::Pending { outcome, .. } => (None, outcome.ok().map(Brought::Count)),
        Action::Deliver { outcome, .. } | Action::Claim { outcome, .. } => {
            (None, outcome.ok().map(Brought::Value))
        }
        Action::LastDelivered { outcome, .. } => (None, outcome.ok().map(|id| Brought::Id(id.to_string()))),
    }
}
