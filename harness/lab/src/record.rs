//! The one clock of a step, and what is written down on it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use lab_report::{
    NodeId,
    evidence::{
        Advertised, Announcement, At, EndpointChange, EndpointName, Event, FaultWindow, Marks, Role,
        RoleChange, Sample, Source, Timeline, Write,
    },
};

/// What a person wants to read of all that sentinels say.
const TOLD: [&str; 7] = [
    "+odown",
    "+elected-leader",
    "+selected-slave",
    "+switch-master",
    "-failover-abort-not-elected",
    "-failover-abort-no-good-slave",
    "+convert-to-slave",
];

/// Writes down what happens, as it happens. Clones write into the same timeline.
#[derive(Debug, Clone)]
pub struct Recorder {
    zero: Instant,
    timeline: Arc<Mutex<Timeline>>,
    on_links: Arc<Mutex<BTreeSet<FaultId>>>,
}

/// A fault that is on record: its place in the timeline. A node can have several at once, and each ends
/// by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FaultId(usize);

impl Default for Recorder {
    fn default() -> Self {
        Self { zero: Instant::now(), timeline: Arc::default(), on_links: Arc::default() }
    }
}

impl Recorder {
    /// The time on the step's clock.
    pub fn now(&self) -> At {
        At(self.zero.elapsed())
    }

    /// Something happened, now.
    pub fn event(&self, source: Source, text: impl Into<String>) -> At {
        let at = self.now();
        self.write().events.push(Event { at, source, text: text.into() });
        at
    }

    pub(crate) fn nodes(&self, nodes: Vec<NodeId>) {
        self.write().nodes = nodes;
    }

    pub(crate) fn role(&self, node: &NodeId, role: Role) {
        let at = self.now();
        self.write().roles.push(RoleChange { at, node: node.clone(), role });
    }

    pub(crate) fn endpoint(&self, endpoint: EndpointName, targets: Vec<NodeId>) {
        let at = self.now();
        self.write().endpoints.push(EndpointChange { at, endpoint, targets });
    }

    /// Something is wrong with a node.
    pub(crate) fn fault(&self, fault: FaultWindow) -> FaultId {
        let mut timeline = self.write();
        let text = format!("{} {}", fault.kind, fault.node);
        timeline.events.push(Event { at: fault.from, source: Source::Fault, text });
        timeline.faults.push(fault);
        FaultId(timeline.faults.len() - 1)
    }

    /// Something is wrong with links, which is `text` in words. Each of `faults` is a node that it hits.
    pub(crate) fn fault_of_links(&self, from: At, text: String, faults: Vec<FaultWindow>) -> Vec<FaultId> {
        let mut timeline = self.write();
        timeline.events.push(Event { at: from, source: Source::Fault, text });
        let first = timeline.faults.len();
        timeline.faults.extend(faults);
        let ids: Vec<FaultId> = (first..timeline.faults.len()).map(FaultId).collect();
        self.on_links.lock().expect("no panic while held").extend(&ids);
        ids
    }

    /// The node is back, from whatever was wrong with it. What is wrong with its links goes on: that is
    /// as much at the other end.
    pub(crate) fn came_back(&self, node: &NodeId) {
        let on_links = self.on_links.lock().expect("no panic while held").clone();
        self.end(|id, fault| &fault.node == node && !on_links.contains(&id));
    }

    /// These faults end now, and no others.
    pub(crate) fn healed(&self, ids: &[FaultId]) {
        self.end(|id, _| ids.contains(&id));
    }

    fn end(&self, which: impl Fn(FaultId, &FaultWindow) -> bool) {
        let at = self.now();
        let mut timeline = self.write();
        for (place, fault) in timeline.faults.iter_mut().enumerate() {
            if fault.until.is_none() && which(FaultId(place), fault) {
                fault.until = Some(at);
            }
        }
    }

    /// It has not been healed, nor has the node come back from it.
    pub(crate) fn lasts(&self, id: FaultId) -> bool {
        self.write().faults[id.0].until.is_none()
    }

    /// Writes down an instant that only the caller knows.
    pub fn mark(&self, set: impl FnOnce(&mut Marks, At)) {
        let at = self.now();
        set(&mut self.write().marks, at);
    }

    /// A sentinel said something. What a failover consists of is an event of the step as well, once.
    pub(crate) fn announced(&self, sentinel: &NodeId, event: &str, about: String) {
        let at = self.now();
        let mut timeline = self.write();
        let told = TOLD.contains(&event)
            && !timeline.announcements.iter().any(|said| said.event == event && said.about == about);
        if told {
            let text = format!("{sentinel}: {event} {about}");
            timeline.events.push(Event { at, source: Source::Sentinel, text });
        }
        let (sentinel, event) = (sentinel.clone(), event.to_owned());
        timeline.announcements.push(Announcement { at, sentinel, event, about });
    }

    /// A sentinel began to name a node as primary.
    pub(crate) fn advertised(&self, sentinel: &NodeId, primary: &NodeId, silent: Duration) {
        let (at, silent) = (self.now(), At(silent));
        let (sentinel, primary) = (sentinel.clone(), primary.clone());
        self.write().advertised.push(Advertised { at, sentinel, primary, silent });
    }

    /// Figures of a node. A replica's lag is against the offset that its primary was last seen at.
    pub(crate) fn sample(&self, mut sample: Sample) {
        let mut timeline = self.write();
        if sample.role == Role::Replica {
            let primary = timeline.samples.iter().rfind(|other| other.role == Role::Primary);
            sample.lag_bytes = primary.map(|primary| primary.offset.saturating_sub(sample.offset));
        }
        timeline.samples.push(sample);
    }

    pub(crate) fn wrote(&self, write: Write) {
        self.write().writes.push(write);
    }

    /// Looks at what has been written down so far, in the order it came in.
    pub fn look<T>(&self, look: impl FnOnce(&Timeline) -> T) -> T {
        look(&self.write())
    }

    /// What has been written down so far, in order of time.
    pub fn timeline(&self) -> Timeline {
        let mut timeline = self.write().clone();
        timeline.events.sort_by_key(|event| event.at);
        timeline.writes.sort_by_key(|write| write.sequence);
        timeline.samples.sort_by_key(|sample| sample.at);
        timeline
    }

    fn write(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().expect("no panic while the timeline is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kind: &str, node: &str) -> FaultWindow {
        let node = NodeId::from(node);
        FaultWindow {
            kind: kind.to_owned(),
            node,
            from: At::default(),
            in_effect: At::default(),
            until: None,
        }
    }

    #[test]
    fn a_node_that_comes_back_is_still_on_its_side_of_a_partition() {
        let recorder = Recorder::default();
        let partition = recorder.fault_of_links(
            At::default(),
            "partition a | b, c".to_owned(),
            vec![window("partition", "a")],
        );
        let crash = recorder.fault(window("crash", "a"));
        let other = recorder.fault(window("hold", "b"));

        recorder.came_back(&NodeId::from("a"));
        assert!(!recorder.lasts(crash));
        assert!(recorder.lasts(partition[0]) && recorder.lasts(other));

        recorder.healed(&partition);
        assert!(!recorder.lasts(partition[0]));
        assert!(recorder.lasts(other));
    }

    #[test]
    fn of_two_faults_of_a_node_each_ends_by_itself() {
        let recorder = Recorder::default();
        let (hold, isolate) = (recorder.fault(window("hold", "a")), recorder.fault(window("isolate", "a")));
        recorder.healed(&[hold]);
        assert!(recorder.lasts(isolate) && !recorder.lasts(hold));
    }
}
