//! The one clock of a step, and what is written down on it.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
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
}

impl Default for Recorder {
    fn default() -> Self {
        Self { zero: Instant::now(), timeline: Arc::default() }
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

    pub(crate) fn fault(&self, fault: FaultWindow) {
        let mut timeline = self.write();
        let text = format!("{} {}", fault.kind, fault.node);
        timeline.events.push(Event { at: fault.from, source: Source::Fault, text });
        timeline.faults.push(fault);
    }

    /// Every fault of the node ends now.
    pub(crate) fn healed(&self, node: &NodeId) {
        let at = self.now();
        let mut timeline = self.write();
        let open = timeline.faults.iter_mut().filter(|fault| &fault.node == node && fault.until.is_none());
        open.for_each(|fault| fault.until = Some(at));
    }

    pub(crate) fn is_faulty(&self, node: &NodeId) -> bool {
        self.write().faults.iter().any(|fault| &fault.node == node && fault.until.is_none())
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
    pub(crate) fn advertised(&self, sentinel: &NodeId, primary: &NodeId) {
        let at = self.now();
        let (sentinel, primary) = (sentinel.clone(), primary.clone());
        self.write().advertised.push(Advertised { at, sentinel, primary });
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
