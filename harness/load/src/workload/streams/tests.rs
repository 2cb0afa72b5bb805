//! Consumers before a model of a server: what is recorded is judged.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lab_history::{
    Doubt, Event, History, Refusal,
    judge::{
        Verdict,
        streams::{Streams, streams},
    },
    operation::EntryId,
};
use tokio::task::JoinSet;

use super::{Consumer, GROUP, catch_up, found, read_back};
use crate::{
    client::{Client, Fate, Unanswered},
    command::{Reply, Request},
    drive::drive,
    profile::Profile,
    schedule::{Schedule, pass},
    tape::tests::history_of,
    workload::{Consuming, Distribution, Durability, Homes, Keyed, Part, Plan, Sort},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Sound,
    /// Every third delivery is lost on its way, and so is every fifth acknowledgement on its way there.
    LosesAnswers,
    /// In the middle the group is gone.
    ForgetsTheGroup,
}

/// One stream, with one group if there is one.
struct Model {
    habit: Habit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<(EntryId, String)>,
    group: Option<Group>,
    asked: u64,
    forgot: bool,
}

#[derive(Default)]
struct Group {
    /// How many entries have been delivered.
    place: usize,
    pending: BTreeMap<EntryId, Instant>,
}

fn text(text: impl ToString) -> Reply {
    Reply::Text(text.to_string().into_bytes())
}

fn shown(entries: &[(EntryId, String)]) -> Reply {
    let entry = |(id, value): &(EntryId, String)| {
        Reply::List(vec![text(id), Reply::List(vec![text("value"), text(value)])])
    };
    Reply::List(entries.iter().map(entry).collect())
}

const NO_GROUP: Unanswered = Unanswered::Failed(Refusal::Rejected);

impl State {
    fn group(&mut self) -> Result<&mut Group, Unanswered> {
        self.group.as_mut().ok_or(NO_GROUP)
    }

    fn last(&self) -> EntryId {
        self.entries.last().map(|(id, _)| *id).unwrap_or_default()
    }

    fn answer(&mut self, words: &[&str], habit: Habit) -> Result<Reply, Unanswered> {
        self.asked += 1;
        match words {
            ["XGROUP", "CREATE", ..] if self.group.is_some() => Err(NO_GROUP),
            ["XGROUP", "CREATE", _, GROUP, "0", "MKSTREAM"] => {
                self.group = Some(Group::default());
                Ok(text("OK"))
            }
            ["XADD", _, "*", _, value] => {
                let id = EntryId::new(self.last().millis() + 1, 0).unwrap();
                self.entries.push((id, (*value).to_owned()));
                if habit == Habit::ForgetsTheGroup && self.entries.len() > 20 && !self.forgot {
                    (self.group, self.forgot) = (None, true);
                }
                Ok(text(id))
            }
            ["XREADGROUP", "GROUP", GROUP, _, "COUNT", count, .., ">"] => {
                let (all, lost) =
                    (self.entries.len(), habit == Habit::LosesAnswers && self.asked.is_multiple_of(3));
                let group = self.group()?;
                let from = group.place;
                let until = all.min(from + count.parse::<usize>().unwrap());
                group.place = until;
                let found = self.entries[from..until].to_vec();
                let now = Instant::now();
                self.group()?.pending.extend(found.iter().map(|(id, _)| (*id, now)));
                match found.is_empty() {
                    true => Ok(Reply::Nothing),
                    false if lost => Err(Unanswered::Indeterminate(Doubt::Closed)),
                    false => Ok(Reply::List(vec![Reply::List(vec![text("stream"), shown(&found)])])),
                }
            }
            ["XACK", _, GROUP, _] if habit == Habit::LosesAnswers && self.asked.is_multiple_of(5) => {
                Err(Unanswered::Indeterminate(Doubt::Reset))
            }
            ["XACK", _, GROUP, id] => {
                let done = self.group()?.pending.remove(&id.parse().unwrap());
                Ok(Reply::Number(done.is_some().into()))
            }
            ["XAUTOCLAIM", _, GROUP, _, idle, _, ..] => {
                let (now, idle) = (Instant::now(), Duration::from_millis(idle.parse().unwrap()));
                let pending = &mut self.group()?.pending;
                let left: Vec<EntryId> =
                    pending.iter().filter(|(_, since)| now - **since >= idle).map(|(id, _)| *id).collect();
                pending.extend(left.iter().map(|id| (*id, now)));
                let found: Vec<_> =
                    self.entries.iter().filter(|(id, _)| left.contains(id)).cloned().collect();
                Ok(Reply::List(vec![text("0-0"), shown(&found)]))
            }
            ["XPENDING", _, GROUP] => {
                let count = self.group()?.pending.len();
                Ok(Reply::List(vec![
                    Reply::Number(count as i64),
                    Reply::Nothing,
                    Reply::Nothing,
                    Reply::Nothing,
                ]))
            }
            ["XINFO", "GROUPS", _] => {
                let Some(group) = &self.group else { return Ok(Reply::List(Vec::new())) };
                let last = group.place.checked_sub(1).map(|last| self.entries[last].0).unwrap_or_default();
                let about = vec![text("name"), text(GROUP), text("last-delivered-id"), text(last)];
                Ok(Reply::List(vec![Reply::List(about)]))
            }
            ["XRANGE", _, from, "+", "COUNT", count] => {
                let from: EntryId = from.trim_start_matches('(').parse().unwrap();
                let behind = self.entries.iter().filter(|(id, _)| *id > from);
                Ok(shown(&behind.take(count.parse().unwrap()).cloned().collect::<Vec<_>>()))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[async_trait]
impl Client for Model {
    async fn call(&self, request: &Request, fate: &Fate) -> Result<Vec<Reply>, Unanswered> {
        fate.sent();
        let words: Vec<&str> = request.commands[0].iter().map(String::as_str).collect();
        let answer = self.state.lock().unwrap().answer(&words, self.habit);
        if answer == Ok(Reply::Nothing) {
            // As long as it would block.
            pass(Duration::from_millis(2)).await;
        }
        answer.map(|answer| vec![answer])
    }
}

fn plan() -> Plan {
    Plan {
        sort: Sort::Streams,
        part: Part::Both,
        keys: 1,
        distribution: Distribution::Uniform,
        reads: 0.0,
        value_size: 32,
        durability: Durability::None,
        deadline: PATIENCE,
        consuming: Consuming {
            channels: 1,
            consumers: 2,
            block: Duration::from_millis(2),
            claim_every: Duration::from_millis(20),
            look_every: Duration::from_millis(10),
        },
        homes: Homes::default(),
        seed: 1,
    }
}

/// A hundred entries in a tenth of a second, two consumers, and the final reads.
async fn consumed(habit: Habit) -> History {
    history_of(async |tape| {
        let client: Arc<dyn Client> = Arc::new(Model { habit, state: Mutex::default() });
        let plan = plan();
        let work = Keyed::new(&plan, 0, tape);
        let (stream, object) = work.keys()[0].clone();
        found(&*client, &stream, PATIENCE).await.unwrap();
        let mut consumers = JoinSet::new();
        for number in 0..plan.consuming.consumers {
            let consumer = Consumer {
                name: number.to_string(),
                stream: stream.clone(),
                object,
                client: Arc::clone(&client),
                process: tape.client(&format!("consumer {number}")).worker(0).unwrap(),
                profile: Profile::default(),
                consuming: plan.consuming.clone(),
                deadline: PATIENCE,
                looks: number == 0,
                tape: tape.clone(),
            };
            consumers.spawn(consumer.consume());
        }
        let schedule = Schedule { rate: 1000, duration: Duration::from_millis(100) };
        let never = std::future::pending();
        drive(schedule, PATIENCE, work.clone(), Arc::clone(&client), ("producer", tape), never).await;
        catch_up(work.keys(), &*client, PATIENCE, PATIENCE).await;
        drop(consumers);
        tape.note(Event::Settled);
        let process = tape.client("reader").worker(0).unwrap();
        read_back(work.keys(), &*client, PATIENCE, process, tape).await;
    })
    .await
}

#[tokio::test]
async fn what_is_worked_off_in_order_is_judged_so() {
    let judgement = streams(&consumed(Habit::Sound).await);
    let Streams { acknowledged, delivered, done, pending_last, .. } = judgement.figures;
    assert_eq!((acknowledged, delivered, done, pending_last), (100, 100, 100, 0));
    assert_eq!(judgement.verdict(), Verdict::Pass);
}

/// Nobody saw what was delivered, nobody knows what was acknowledged: it is claimed, and done with then.
#[tokio::test]
async fn what_was_lost_on_its_way_is_taken_over() {
    let judgement = streams(&consumed(Habit::LosesAnswers).await);
    let Streams { acknowledged, delivered, done, claimed, pending_last, .. } = judgement.figures;
    assert_eq!((acknowledged, delivered, done, pending_last), (100, 100, 100, 0));
    assert!(claimed > 0);
    assert_eq!(judgement.verdict(), Verdict::Pass);
}

#[tokio::test]
async fn a_group_that_is_gone_is_made_again_and_begins_again() {
    let judgement = streams(&consumed(Habit::ForgetsTheGroup).await);
    let Streams { lost, phantom, skipped, redelivered, delivered, .. } = judgement.figures;
    assert_eq!((lost, phantom, skipped, delivered), (0, 0, 0, 100));
    assert!(redelivered > 0);
    assert_eq!(judgement.verdict(), Verdict::Fail);
}
