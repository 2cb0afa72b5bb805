//! A listening post: single datagrams, sent and heard in a participant's place, and nobody's protocol in
//! between.
//!
//! An answer over TCP needs both directions of a link. A datagram needs one, so that posts tell what
//! passes, and in which direction.

use std::time::Duration;

use super::{
    Docker, DockerError, Participant, Place,
    sidecar::{Printed, Privilege, Sidecar},
};
use crate::wait::{self, Seen};

/// Where posts listen. Nobody else in a lab uses UDP.
const PORT: u16 = 7777;
/// A process is started: milliseconds, on a busy machine seconds.
const START: Duration = Duration::from_secs(20);
const PACE: Duration = Duration::from_millis(10);

/// Hears and sends datagrams where a participant lives. A participant that is stopped and started again
/// lives on a new network, and its post stays on the old one.
pub struct Post {
    place: Place,
    sidecar: Sidecar,
}

impl Post {
    /// What a post hears even if it is busy: datagrams wait in a buffer of the kernel's, and each small
    /// one takes 768 bytes, with some kernels 1280, of the 212,992 that Linux gives a socket.
    pub const AT_ONCE: u16 = 150;

    /// Takes up the post of a participant that runs.
    ///
    /// # Errors
    /// The container engine refused, or the post does not hear itself.
    pub async fn take(docker: &Docker, participant: &impl Participant) -> Result<Self, DockerError> {
        let place = participant.place();
        let sidecar = Sidecar::join(docker, &place, "post", Privilege::None).await?;
        let post = Self { place, sidecar };
        post.run(&format!("socat -u UDP4-RECV:{PORT} CREATE:/tmp/heard >/dev/null 2>&1 &")).await?;
        let listens =
            wait::until("a post to hear itself", START, PACE, async || match post.try_itself().await {
                Ok(true) => Seen::Ready(()),
                Ok(false) => Seen::NotYet("silence".to_owned()),
                Err(error) => Seen::NotYet(error.to_string()),
            });
        match listens.await {
            Ok(()) => Ok(post),
            Err(late) => {
                let doing = format!("taking up the post of {}", post.place.name);
                // The lab's teardown is there for what this leaves.
                let _ = post.leave().await;
                Err(DockerError::Api { doing, source: Box::new(late) })
            }
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sends `word` that many times to another post. Whether it gets there is for that post to say.
    ///
    /// # Errors
    /// The post was lost.
    pub async fn send(&self, word: &str, to: &Self, times: u16) -> Result<(), DockerError> {
        let (line, address) = (self.line(word), to.place.address);
        // A sender may be told that nobody listens; that is what `heard` is for.
        let send = format!("echo '{line}' >/dev/udp/{address}/{PORT} || :");
        self.run(&format!("for ((sent = 0; sent < {times}; sent++)); do {send}; done")).await
    }

    /// How many times `word` was heard so far from another post.
    ///
    /// # Errors
    /// The post was lost.
    pub async fn heard(&self, word: &str, from: &Self) -> Result<usize, DockerError> {
        let printed = self.sidecar.run(&format!("grep -cFx '{}' /tmp/heard", from.line(word))).await?;
        // Without a match `grep` prints 0, and fails; without a file it fails.
        Ok(printed.text.parse().unwrap_or(0))
    }

    /// Removes the container.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn leave(self) -> Result<(), DockerError> {
        self.sidecar.leave().await
    }

    async fn try_itself(&self) -> Result<bool, DockerError> {
        self.send("itself", self, 1).await?;
        Ok(self.heard("itself", self).await? > 0)
    }

    fn line(&self, word: &str) -> String {
        format!("{} {word}", self.place.name)
    }

    async fn run(&self, script: &str) -> Result<(), DockerError> {
        match self.sidecar.run(script).await? {
            Printed { ok: true, .. } => Ok(()),
            Printed { text, .. } => Err(DockerError::Api {
                doing: format!("sending from the post of {}", self.place.name),
                source: text.into(),
            }),
        }
    }
}
