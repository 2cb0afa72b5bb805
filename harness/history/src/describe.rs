//! An operation in a line, for people.

use std::fmt::Write;

use crate::{action::Action, history::History, operation::Operation, outcome::Outcome};

impl History {
    /// When, who, what, and what became of it: `1.001000 s  app/1 read register:0: 0.1 (400 µs, redis-2)`.
    pub fn describe(&self, operation: &Operation) -> String {
        let Operation { process, node, timing, action } = operation;
        let client = self.names.of_client(process.client());
        let object = self.names.of_object(action.object());
        let kind = action.kind().word().replace('_', " ");
        let mut line = format!("{}  {client}/{} {kind} {object}: ", timing.intended(), process.worker());
        line.push_str(&self.became(action));
        let took = timing.latency();
        let where_to = node.map(|node| format!(", {}", self.names.of_node(node))).unwrap_or_default();
        // Of a message that came in, there is nothing to be said here.
        if action.kind().is_asked_for() {
            write!(line, " ({took}{where_to})").expect("a string takes everything");
        }
        line
    }

    /// What was written, or what came back, or why not.
    fn became(&self, action: &Action) -> String {
        let why = match action.outcome() {
            Outcome::Ok(()) => String::new(),
            Outcome::Failed(why) => format!("failed, {}", why.word()),
            Outcome::Indeterminate(why) => format!("indeterminate, {}", why.word()),
        };
        let what = match *action {
            Action::Write { value, .. }
            | Action::Add { value, .. }
            | Action::Publish { value, .. }
            | Action::Receive { value, .. }
            | Action::Append { value, .. }
            | Action::Acknowledge { value, .. } => Some(value.to_string()),
            Action::Subscribe { .. } | Action::Unsubscribe { .. } => None,
            Action::Read { outcome, .. } => outcome
                .ok()
                .map(|found| found.map_or_else(|| "nothing".to_owned(), |value| value.to_string())),
            Action::Members { outcome, .. } | Action::Entries { outcome, .. } => {
                outcome.ok().map(|list| format!("{} values", self.list(list).len()))
            }
            Action::Increment { outcome, .. }
            | Action::Count { outcome, .. }
            | Action::Pending { outcome, .. } => outcome.ok().map(|count| count.to_string()),
            Action::Deliver { outcome, .. } | Action::Claim { outcome, .. } => {
                outcome.ok().map(|value| value.to_string())
            }
            Action::LastDelivered { outcome, .. } => outcome.ok().map(|id| id.to_string()),
        };
        match (what, why.is_empty()) {
            (Some(what), true) => what,
            (Some(what), false) => format!("{what} {why}"),
            (None, true) => "ok".to_owned(),
            (None, false) => why,
        }
    }
}
