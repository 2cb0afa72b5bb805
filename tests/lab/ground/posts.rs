//! What passes between whom: raw probes of three nodes, pair by ordered pair.
//!
//! A datagram from one place to another needs one direction of a link; a `PING` from one server's host to
//! another server needs both.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use failover_lab::{
    Replicated,
    docker::{Attempt, Node, Post},
    replicated,
    wait::{self, Seen},
};
use futures_util::future::{join_all, try_join_all};

use super::bare::Bare;

/// What comes at all comes within this, however busy the machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);
pub(crate) const PACE: Duration = Duration::from_millis(20);

/// One primary and two replicas, with nobody who would do anything about a fault.
pub(crate) fn three() -> Replicated {
    replicated(2).without_automatic_failover().without_recovery()
}

/// The three nodes of a group.
pub(crate) fn nodes(lab: &Bare) -> [Arc<Node>; 3] {
    lab.group.nodes().try_into().ok().expect("the group has three nodes")
}

/// A post at each node, and what they heard of each other.
pub(crate) struct Posts(pub(crate) Vec<Post>);

/// How often each post heard each other one: `1→2`, by the nodes' places in the group.
pub(crate) type Heard = BTreeMap<String, usize>;

impl Posts {
    pub(crate) async fn take(lab: &Bare) -> Self {
        let nodes = lab.group.nodes();
        let posts = try_join_all(nodes.iter().map(|node| Post::take(&lab.docker, node)));
        Self(posts.await.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Every ordered pair, but those in `cut`, hears `word` at last. Those in `cut` never do: theirs is
    /// sent first each time, and is not heard when all others' are.
    pub(crate) async fn hear_all_but(&self, word: &str, cut: &[&str]) {
        let (blocked, open): (Vec<_>, Vec<_>) =
            self.pairs().into_iter().partition(|(name, ..)| cut.contains(&name.as_str()));
        assert_eq!(blocked.len(), cut.len(), "a pair in {cut:?} is none");
        let heard = wait::until("what is not cut to be heard", SOON, PACE, async || {
            for (_, from, to) in blocked.iter().chain(&open) {
                from.send(word, to, 1).await.unwrap();
            }
            let heard = self.heard(word).await;
            match open.iter().all(|(name, ..)| heard[name] > 0) {
                true => Seen::Ready(()),
                false => Seen::NotYet(format!("{heard:?}")),
            }
        });
        heard.await.unwrap_or_else(|late| panic!("{late}"));
        let heard = self.heard(word).await;
        assert!(blocked.iter().all(|(name, ..)| heard[name] == 0), "{cut:?} are cut, and {heard:?}");
    }

    pub(crate) async fn heard(&self, word: &str) -> Heard {
        let heard = self.pairs().into_iter().map(async |(name, from, to)| {
            let heard = to.heard(word, from).await.unwrap_or_else(|error| panic!("{error}"));
            (name, heard)
        });
        join_all(heard).await.into_iter().collect()
    }

    fn pairs(&self) -> Vec<(String, &Post, &Post)> {
        let all = || self.0.iter().zip(1..);
        let pairs = all().flat_map(|from| all().map(move |to| (from, to)));
        let pairs = pairs.filter(|((_, from), (_, to))| from != to);
        pairs.map(|((from, number), (to, other))| (format!("{number}→{other}"), from, to)).collect()
    }
}

/// The servers of both nodes answer each other's hosts.
pub(crate) async fn answer_each_other(one: &Node, other: &Node) {
    for (from, to) in [(one, other), (other, one)] {
        let answers = wait::until("a server to answer another's host", SOON, PACE, async || {
            match from.ping(to).await.unwrap() {
                Attempt::Answered(_) => Seen::Ready(()),
                attempt => Seen::NotYet(format!("{} → {}: {attempt:?}", from.id(), to.id())),
            }
        });
        answers.await.unwrap_or_else(|late| panic!("{late}"));
    }
}

/// No server of the two answers the other's host.
pub(crate) async fn are_silent_to_each_other(one: &Node, other: &Node) {
    let (there, back) = tokio::join!(one.ping(other), other.ping(one));
    assert_eq!((there.unwrap(), back.unwrap()), (Attempt::Silence, Attempt::Silence));
}

/// The fault windows so far: kind, node, and whether each has ended.
pub(crate) fn windows(lab: &Bare) -> Vec<(String, String, bool)> {
    let faults = lab.recorder.timeline().faults;
    faults.into_iter().map(|fault| (fault.kind, fault.node.to_string(), fault.until.is_some())).collect()
}

pub(crate) fn window(kind: &str, node: &Node, ended: bool) -> (String, String, bool) {
    (kind.to_owned(), node.id().to_string(), ended)
}
