//! What the reader sees while an image is made: a line every few seconds, whatever happens.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Not more often than this, so that a hundred packages are not a hundred lines.
const OFTEN: Duration = Duration::from_secs(1);
/// Not less often than this, so that nobody thinks it hangs.
const RARELY: Duration = Duration::from_secs(3);
/// As many lines of output as an error shows.
const TAIL: usize = 15;

/// Turns the output of long work into lines for the reader, and keeps the last ones for an error.
pub(super) struct Narrator<'a> {
    subject: String,
    progress: &'a (dyn Fn(&str) + Send + Sync),
    started: Instant,
    spoke: Instant,
    tail: VecDeque<String>,
}

impl<'a> Narrator<'a> {
    /// Nothing is said yet.
    pub(super) fn new(subject: &str, progress: &'a (dyn Fn(&str) + Send + Sync)) -> Self {
        let now = Instant::now();
        Self { subject: subject.to_owned(), progress, started: now, spoke: now, tail: VecDeque::new() }
    }

    /// Lines of output: kept, and said unless something was said just now.
    pub(super) fn heard(&mut self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(line.to_owned());
            if self.spoke.elapsed() >= OFTEN {
                self.say(line);
            }
        }
    }

    /// Time passes: says `what` if nothing was said for a while.
    pub(super) fn tick(&mut self, what: &str) {
        if self.spoke.elapsed() >= RARELY {
            self.say(what);
        }
    }

    fn say(&mut self, what: &str) {
        self.spoke = Instant::now();
        let short: String = what.chars().take(100).collect();
        (self.progress)(&format!("{}: {short} ({} s)", self.subject, self.started.elapsed().as_secs()));
    }

    /// The last lines of output.
    pub(super) fn tail(self) -> Vec<String> {
        self.tail.into()
    }

    /// The next item, or `Err` if there is none for so long that there will be none.
    pub(super) async fn next<S: Stream + Unpin>(
        &mut self,
        stream: &mut S,
        patience: Duration,
    ) -> Result<Option<S::Item>, Silence> {
        let since = Instant::now();
        loop {
            match tokio::time::timeout(OFTEN, stream.next()).await {
                Ok(item) => return Ok(item),
                Err(_) if since.elapsed() >= patience => return Err(Silence(patience)),
                Err(_) => {
                    let last = self.tail.back().cloned();
                    self.tick(last.as_deref().unwrap_or("no answer yet"));
                }
            }
        }
    }
}

/// Nothing was heard for this long.
#[derive(Debug)]
pub(super) struct Silence(pub(super) Duration);

/// The lines of a process's output. What is not UTF-8 is replaced, not refused.
pub(super) fn lines(output: impl AsyncRead + Unpin) -> impl Stream<Item = io::Result<String>> + Unpin {
    Box::pin(stream::try_unfold(BufReader::new(output), |mut output| async move {
        let mut line = Vec::new();
        let length = output.read_until(b'\n', &mut line).await?;
        Ok((length > 0).then(|| (String::from_utf8_lossy(&line).into_owned(), output)))
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut narrator = Narrator::new("it", &|_| {});
        for line in 0..TAIL + 2 {
            narrator.heard(&format!("line {line}\n\n"));
        }
        let tail = narrator.tail();
        assert_eq!(tail.len(), TAIL);
        assert_eq!(tail[0], "line 2");
    }

    #[tokio::test]
    async fn silence_is_broken_by_the_narrator_and_ended_by_patience() {
        let said = Mutex::new(Vec::new());
        let progress = |line: &str| said.lock().unwrap().push(line.to_owned());
        let mut narrator = Narrator::new("it", &progress);
        narrator.heard("getting there");
        narrator.spoke -= RARELY;
        let silence = narrator.next(&mut stream::pending::<()>(), OFTEN * 3 / 2).await;
        assert!(silence.is_err());
        assert_eq!(*said.lock().unwrap(), ["it: getting there (1 s)"]);
    }

    #[tokio::test]
    async fn output_comes_as_lines() {
        let mut lines = lines(&b"one\ntwo \xff\nthree"[..]);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await {
            seen.push(line.unwrap());
        }
        assert_eq!(seen, ["one\n", "two \u{fffd}\n", "three"]);
    }
}
