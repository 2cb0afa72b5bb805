//! A partition: rules in the networks of nodes and clients that cut the links between chosen ones, or
//! make them lossy or slow.
//!
//! What is to be wrong is a plain value, a [`Split`]. What that means at each participant is text, worked
//! out before anything is touched. A sidecar beside each participant loads it into the participant's
//! network namespace, all of them at the same time: no privilege in a node's own container, and nothing
//! that needs the host, so that it works where the container engine is in a virtual machine.
//!
//! A participant that is stopped and started again has a new network, without rules. A split with sides
//! survives that, because both ends of a link drop what comes over it; something wrong one way only does
//! not where the participant that had the rules came back.
//!
//! The rules of somebody else's container would outlive the lab: the sidecar takes them back before it is removed,
//! whoever removes it.

mod orders;
mod side;
mod split;

use futures_util::future::{join_all, try_join_all};
use lab_report::evidence::{At, FaultWindow};

pub use side::{Participant, Place, Side};
pub use split::{Percent, Rate, Split};

use self::orders::{Orders, compile};
use super::{
    Docker, DockerError,
    sidecar::{Printed, Privilege, Sidecar},
};
use crate::{
    environment::{Capability, MissingCapability},
    record::{FaultId, Recorder},
};

/// Why there is no partition, or why it is not healed.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The container engine refused, or a sidecar was lost.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The kernel cannot do it. Nothing was changed.
    #[error(transparent)]
    Missing(#[from] MissingCapability),
    /// Rules were not taken, though the kernel has what they need.
    #[error("the rules at {name} were refused: {says}")]
    Refused {
        /// The participant.
        name: String,
        /// Who said no, and why.
        says: String,
    },
}

/// A sidecar with its orders.
struct Hand {
    orders: Orders,
    sidecar: Sidecar,
}

/// Everything for a partition is in place; nothing is cut yet.
#[must_use = "what is prepared is to be cut, or abandoned"]
pub struct Prepared {
    split: Split,
    hands: Vec<Hand>,
}

/// A partition that has taken effect.
#[must_use = "a partition lasts until it is healed"]
pub struct Partition {
    hands: Vec<Hand>,
    recorder: Recorder,
    faults: Vec<FaultId>,
    before: At,
    after: At,
}

impl Partition {
    /// Prepares and cuts.
    ///
    /// # Errors
    /// As for [`Partition::prepare`] and [`Prepared::cut`].
    pub async fn cut(docker: &Docker, split: &Split, recorder: &Recorder) -> Result<Self, PartitionError> {
        Self::prepare(docker, split).await?.cut(recorder).await
    }

    /// Does everything that takes time: a container beside each participant, and whether the kernel can
    /// do what is asked for.
    ///
    /// # Errors
    /// A participant does not run, the kernel lacks something, or the container engine refused. Nothing
    /// was changed.
    pub async fn prepare(docker: &Docker, split: &Split) -> Result<Prepared, PartitionError> {
        // Of its own, so that partitions side by side do not heal each other.
        let table = format!("failover_lab_{:08x}", fastrand::u32(..));
        let hands = join_all(compile(split, &table).into_iter().map(|orders| Hand::beside(docker, orders)));
        let (mut there, mut failed) = (Vec::new(), None);
        for hand in hands.await {
            match hand {
                Ok(hand) => there.push(hand),
                Err(error) => failed = Some(error.into()),
            }
        }
        if failed.is_none() {
            failed = try_join_all(there.iter().map(Hand::check)).await.err();
        }
        let prepared = Prepared { split: split.clone(), hands: there };
        match failed {
            None => Ok(prepared),
            Some(error) => {
                // The lab's teardown is there for what this leaves.
                let _ = prepared.abandon().await;
                Err(error)
            }
        }
    }

    /// Took effect after this.
    pub fn not_before(&self) -> At {
        self.before
    }

    /// Had taken effect by this.
    pub fn in_effect(&self) -> At {
        self.after
    }

    /// Takes exactly its own rules away, whatever became of the participants meanwhile: where one was
    /// started again they are gone already.
    ///
    /// # Errors
    /// A sidecar was lost, and its rules stay where they are; or it could not be removed. All others have
    /// done their part.
    pub async fn heal(self) -> Result<(), PartitionError> {
        withdraw(&self.hands).await?;
        self.recorder.healed(&self.faults);
        Ok(())
    }
}

impl Prepared {
    /// Cuts: every participant at the same time, within milliseconds.
    ///
    /// # Errors
    /// Rules were refused or a sidecar was lost; then all of it was undone.
    pub async fn cut(self, recorder: &Recorder) -> Result<Partition, PartitionError> {
        let Self { split, hands } = self;
        let before = recorder.now();
        let done = join_all(hands.iter().map(Hand::act)).await;
        let after = recorder.now();
        if let Err(error) = done.into_iter().collect::<Result<(), _>>() {
            // The lab's teardown is there for what this leaves.
            let _ = withdraw(&hands).await;
            return Err(error);
        }
        let window = |(node, kind): (_, &str)| FaultWindow {
            kind: kind.to_owned(),
            node,
            from: before,
            in_effect: after,
            until: None,
        };
        let windows = split.hit().into_iter().map(window).collect();
        let faults = recorder.fault_of_links(before, split.to_string(), windows);
        Ok(Partition { hands, recorder: recorder.clone(), faults, before, after })
    }

    /// Nothing is to be cut after all.
    ///
    /// # Errors
    /// A container could not be removed.
    pub async fn abandon(self) -> Result<(), PartitionError> {
        let left = join_all(self.hands.iter().map(|hand| hand.sidecar.leave())).await;
        Ok(left.into_iter().collect::<Result<(), _>>()?)
    }
}

/// Has each take its rules away, and removes it. One that could not stays where it has to: somebody else's links have
/// their last chance at teardown.
async fn withdraw(hands: &[Hand]) -> Result<(), PartitionError> {
    let withdrawn = hands.iter().map(async |hand| {
        let undone = hand.undo().await;
        if undone.is_err() && hand.orders.place.lent {
            return undone;
        }
        let left = hand.sidecar.leave().await;
        undone.and(left.map_err(PartitionError::from))
    });
    join_all(withdrawn).await.into_iter().collect()
}

impl Hand {
    async fn beside(docker: &Docker, orders: Orders) -> Result<Self, DockerError> {
        let name = format!("partition-{:08x}", fastrand::u32(..));
        let undo = script(undoing(&orders));
        let privilege = Privilege::Rules { undo: &undo };
        let sidecar = Sidecar::join(docker, &orders.place, &name, privilege).await?;
        Ok(Self { orders, sidecar })
    }

    /// Asks the kernel for everything, and changes nothing.
    async fn check(&self) -> Result<(), PartitionError> {
        if let Some(rules) = self.orders.ruleset() {
            self.has(Capability::Nftables, &load("nft --check --file -", &rules)).await?;
        }
        // On a device that nothing slow is asked of. Somebody else may be trying at the same time.
        let try_out = |queue: &str| {
            format!("tc qdisc replace dev lo root {queue} && {{ tc qdisc del dev lo root || :; }}")
        };
        if !self.orders.shaping().is_empty() {
            self.has(Capability::Htb, &try_out("htb")).await?;
        }
        if self.orders.delays() {
            self.has(Capability::Netem, &try_out("netem delay 0ms")).await?;
        }
        Ok(())
    }

    async fn has(&self, capability: Capability, script: &str) -> Result<(), PartitionError> {
        match self.sidecar.run(script).await? {
            Printed { ok: true, .. } => Ok(()),
            Printed { text: says, .. } => {
                let whose = "the kernel that runs the containers has";
                Err(MissingCapability { capability, whose, says }.into())
            }
        }
    }

    async fn act(&self) -> Result<(), PartitionError> {
        let rules = self.orders.ruleset().map(|rules| load("nft --file -", &rules));
        let shaping = self.orders.shaping();
        let device = (!shaping.is_empty()).then(|| device(&self.orders.place));
        let shaping = shaping.iter().map(|command| format!("tc {command}"));
        self.does(rules.into_iter().chain(device).chain(shaping)).await
    }

    async fn undo(&self) -> Result<(), PartitionError> {
        self.does(undoing(&self.orders)).await
    }

    async fn does(&self, commands: impl Iterator<Item = String>) -> Result<(), PartitionError> {
        match self.sidecar.run(&script(commands)).await? {
            Printed { ok: true, .. } => Ok(()),
            Printed { text: says, .. } => {
                Err(PartitionError::Refused { name: self.orders.place.name.clone(), says })
            }
        }
    }
}

/// What takes orders back, whether they were carried out or not.
fn undoing(orders: &Orders) -> impl Iterator<Item = String> {
    let rules = orders.ruleset().map(|_| load("nft --file -", &orders.removal()));
    // A device that went and came back with its participant has no shaping any more.
    let shaping = (!orders.shaping().is_empty()).then(|| {
        let ours = "tc qdisc show dev \"$dev\" root 2>&1 | grep -q 'htb 1:'";
        format!("{}\nif {ours}; then tc qdisc del dev \"$dev\" root; fi", device(&orders.place))
    });
    rules.into_iter().chain(shaping)
}

/// Sets `$dev` to the device that has the participant's address; to nothing if none has.
fn device(place: &Place) -> String {
    format!("dev=$(ip -o -4 address show to {} | cut -d ' ' -f 2)", place.address)
}

/// A script that ends at the first of the commands that fails.
fn script(commands: impl Iterator<Item = String>) -> String {
    ["set -e".to_owned()].into_iter().chain(commands).collect::<Vec<_>>().join("\n")
}

/// A command that reads `text` from its standard input.
fn load(command: &str, text: &str) -> String {
    format!("{command} <<'END'\n{text}END")
}
