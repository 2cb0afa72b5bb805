//! The tape: a history that is written while it happens.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::{Duration, Instant},
};

use lab_history::{
    Client, Event, Header, Length, Moment, Note, Object, Operation, Value, format::Writer, operation::List,
};
use tokio::time::MissedTickBehavior;

/// What is recorded is in the file by then: so much is lost if the process is killed.
const FLUSH: Duration = Duration::from_millis(100);
const RUNS: &str = "the tape is not finished before the load is";

/// Records a run's operations and notes, on one clock. Clones record on the same tape.
#[derive(Clone)]
pub struct Tape {
    zero: Instant,
    writing: Arc<Mutex<Option<Writing>>>,
}

struct Writing {
    writer: Writer<File>,
    /// The first write that failed: what was recorded after it is not in the file.
    failed: Option<io::Error>,
}

impl Tape {
    /// Begins a history in a new file. Its clock starts now.
    ///
    /// # Errors
    /// The file cannot be written.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn begin(path: &Path, header: &Header) -> io::Result<Self> {
        let writer = Writer::create(File::create(path)?, header)?;
        let writing = Arc::new(Mutex::new(Some(Writing { writer, failed: None })));
        tokio::spawn(flush(Arc::downgrade(&writing)));
        Ok(Self { zero: Instant::now(), writing })
    }

    /// Now, on the tape's clock.
    pub fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    /// An instant on the tape's clock.
    pub fn moment(&self, instant: Instant) -> Moment {
        let since = instant.saturating_duration_since(self.zero);
        Moment::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// The beginning of its clock.
    pub fn zero(&self) -> Instant {
        self.zero
    }

    /// The object of this name.
    ///
    /// # Panics
    /// The tape is finished.
    pub fn object(&self, name: &str) -> Object {
        self.writing(|writing| writing.writer.object(name)).expect(RUNS)
    }

    /// The client of this name.
    ///
    /// # Panics
    /// The tape is finished, or has 256 clients already.
    pub fn client(&self, name: &str) -> Client {
        self.writing(|writing| writing.writer.client(name)).expect(RUNS).expect("a run has few clients")
    }

    /// What a read of a whole set or stream found.
    ///
    /// # Errors
    /// It cannot be written; [`Tape::finish`] says so, too.
    ///
    /// # Panics
    /// The tape is finished.
    pub fn list(&self, values: &[Value]) -> io::Result<List> {
        self.writing(|writing| writing.writer.list(values)).expect(RUNS)
    }

    /// Records an operation.
    pub fn record(&self, operation: &Operation) {
        self.writing(|writing| {
            let written = writing.writer.record(operation);
            writing.keep(written);
        });
    }

    /// Records operations that ended together: at a million a second, asking for the tape each time would count.
    pub fn record_all(&self, operations: &[Operation]) {
        self.writing(|writing| {
            for operation in operations {
                let written = writing.writer.record(operation);
                writing.keep(written);
            }
        });
    }

    /// Notes what happened beside the operations, now.
    pub fn note(&self, event: Event) {
        self.note_at(self.now(), event);
    }

    /// Notes what happened beside the operations.
    pub fn note_at(&self, at: Moment, event: Event) {
        self.writing(|writing| writing.writer.note(Note { at, event }));
    }

    /// Writes the end. Whoever records on a clone after this records nothing.
    ///
    /// # Errors
    /// Not everything could be written.
    pub fn finish(self) -> io::Result<()> {
        let Some(Writing { writer, failed }) = self.lock().take() else { return Ok(()) };
        match failed {
            Some(error) => Err(error),
            None => writer.finish(),
        }
    }

    /// Nothing, once it is finished.
    fn writing<T>(&self, write: impl FnOnce(&mut Writing) -> T) -> Option<T> {
        self.lock().as_mut().map(write)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writing>> {
        self.writing.lock().expect("no panic while held")
    }
}

impl Writing {
    fn keep(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.get_or_insert(error);
        }
    }
}

async fn flush(writing: Weak<Mutex<Option<Writing>>>) {
    let mut ticks = tokio::time::interval(FLUSH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(writing) = writing.upgrade() else { return };
        let mut writing = writing.lock().expect("no panic while held");
        let Some(writing) = writing.as_mut() else { return };
        let written = writing.writer.flush();
        writing.keep(written);
    }
}

/// A length of time, as a history has it.
pub fn length(duration: Duration) -> Length {
    Length::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::BufReader;

    use lab_history::History;

    use super::*;

    /// What `record` records.
    pub(crate) async fn history_of(record: impl AsyncFnOnce(&Tape)) -> History {
        let path =
            std::env::temp_dir().join(format!("tape-{}-{:x}", std::process::id(), rand::random::<u64>()));
        let tape = Tape::begin(&path, &Header::new("tape", 1)).unwrap();
        record(&tape).await;
        tape.finish().unwrap();
        let history = History::open(BufReader::new(File::open(&path).unwrap())).unwrap();
        std::fs::remove_file(&path).unwrap();
        history
    }
}
