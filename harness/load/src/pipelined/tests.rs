//! The sender before servers that are a few lines long.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use lab_history::{Header, History, Length, Outcome, Refusal};

use super::*;
use crate::workload::Distribution;

/// What a server does with the command that has this number, counted on its connection.
type Habit = fn(u64) -> Does;

enum Does {
    /// What a server does.
    Serve,
    /// The same after this long; what comes behind it waits.
    Wait(Duration),
    Refuse,
    /// Nothing, ever.
    Ignore,
    HangUp,
}

fn serve(habit: Habit) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let kept = Arc::new(Mutex::new(HashMap::new()));
        for stream in listener.incoming() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || answer(stream.unwrap(), habit, &kept));
        }
    });
    address
}

#[expect(clippy::disallowed_methods, reason = "a server that stalls")]
fn answer(mut stream: TcpStream, habit: Habit, kept: &Mutex<HashMap<String, String>>) {
    let mut commands = BufReader::new(stream.try_clone().unwrap());
    for number in 0.. {
        let Some(words) = command(&mut commands) else { return };
        match habit(number) {
            Does::Serve => {}
            Does::Wait(length) => thread::sleep(length),
            Does::Refuse => {
                let _ = stream.write_all(b"-READONLY You can't write against a read only replica.\r\n");
                continue;
            }
            Does::Ignore => continue,
            Does::HangUp => return,
        }
        let mut kept = kept.lock().unwrap();
        let answer = match &words[..] {
            [set, key, value] if set == "SET" => {
                kept.insert(key.clone(), value.clone());
                "+OK\r\n".to_owned()
            }
            [_, key] => match kept.get(key) {
                Some(value) => format!("${}\r\n{value}\r\n", value.len()),
                None => "$-1\r\n".to_owned(),
            },
            other => panic!("{other:?}"),
        };
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn command(from: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |from: &mut dyn BufRead| {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        line.get(1..)?.trim_end().parse::<usize>().ok()
    };
    let count = number(from)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(from)? + 2];
        from.read_exact(&mut word).ok()?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
    }
    Some(words)
}

/// What came of a load, and its history.
async fn sent(habit: Habit, connections: usize, pace: Pace) -> (Result<Sent, PipelinedError>, History) {
    let path =
        std::env::temp_dir().join(format!("pipelined-{}-{:x}", std::process::id(), rand::random::<u64>()));
    let tape = Tape::begin(&path, &Header::new("pipelined", 1)).unwrap();
    let sender = Pipelined {
        address: serve(habit),
        login: Login::default(),
        connections,
        traffic: Traffic {
            keys: 10,
            distribution: Distribution::Uniform,
            reads: 0.5,
            value_size: 40,
            seed: 1,
        },
        deadline: Duration::from_millis(300),
    };
    let sent = sender.send(pace, tape.client("pipelined"), 7, &tape).await;
    tape.finish().unwrap();
    let history = History::open(BufReader::new(File::open(&path).unwrap())).unwrap();
    std::fs::remove_file(&path).unwrap();
    (sent, history)
}

fn open(rate: u32, millis: u64) -> Pace {
    Pace::Open(Schedule { rate, duration: Duration::from_millis(millis) })
}

fn outcomes(history: &History) -> BTreeSet<String> {
    history.operations.iter().map(|operation| format!("{:?}", operation.action.outcome())).collect()
}

#[tokio::test]
async fn at_saturation_every_operation_is_recorded_and_no_more_are_under_way_than_asked_for() {
    let pace = Pace::Saturating { depth: 16, duration: Duration::from_millis(200) };
    let (sent, history) = sent(|_| Does::Serve, 3, pace).await;
    let sent = sent.unwrap();
    assert!(sent.answered > 48 && sent.given_up == 0, "{sent:?}");
    assert_eq!(history.operations.len() as u64, sent.answered);
    assert_eq!(outcomes(&history), BTreeSet::from(["Ok(())".to_owned()]));

    let processes: BTreeSet<_> = history.operations.iter().map(|operation| operation.process).collect();
    assert!(processes.len() <= 48, "{}", processes.len());
    let mut last = HashMap::new();
    for operation in &history.operations {
        let before = last.insert(operation.process, operation.timing.completed());
        assert!(before.is_none_or(|before| before <= operation.timing.invoked()), "one at a time");
    }
    let judged = lab_history::judge::registers::registers(&history).figures;
    assert!(judged.acknowledged > 0 && judged.reads > 0);
    assert_eq!((judged.stale, judged.phantom, judged.duplicates), (0, 0, 0));
}

/// 2000 a second: a tenth of a second is 200, whoever is there to answer them.
#[tokio::test]
async fn a_silent_server_does_not_slow_the_schedule() {
    let (sent, history) = sent(|_| Does::Ignore, 2, open(2000, 100)).await;
    let sent = sent.unwrap();
    assert_eq!((sent.answered, sent.given_up, history.operations.len()), (0, 200, 200));
    assert_eq!(outcomes(&history), BTreeSet::from(["Indeterminate(Deadline)".to_owned()]));
    let intended: Vec<u64> =
        history.operations.iter().map(|operation| operation.timing.intended().micros()).collect();
    let (first, last) = (intended.iter().min().unwrap(), intended.iter().max().unwrap());
    assert_eq!(last - first, 99_500);
    let least = history.operations.iter().map(|operation| operation.timing.latency()).min().unwrap();
    assert!(least >= Length::from_millis(300), "{least}");
}

/// A server that stops for a tenth of a second at 2000 a second makes 200 operations wait.
#[tokio::test]
async fn who_was_meant_to_be_served_in_a_stall_is_seen_to_wait() {
    let habit: Habit = |number| match number {
        100 => Does::Wait(Duration::from_millis(100)),
        _ => Does::Serve,
    };
    let (sent, history) = sent(habit, 1, open(2000, 300)).await;
    assert_eq!(sent.unwrap().given_up, 0);
    let slow =
        history.operations.iter().filter(|operation| operation.timing.latency() >= Length::from_millis(50));
    let slow = slow.count();
    // Half of the stall's remainder: 100, and as many as a busy machine makes it late.
    assert!((100..400).contains(&slow), "{slow}");
}

#[tokio::test]
async fn a_refused_operation_has_failed_and_the_next_is_sent() {
    let (sent, history) = sent(|_| Does::Refuse, 2, open(1000, 50)).await;
    assert_eq!(sent.unwrap().answered, 50);
    let failed = Outcome::<()>::Failed(Refusal::ReadOnly);
    assert_eq!(outcomes(&history), BTreeSet::from([format!("{failed:?}")]));
}

#[tokio::test]
async fn what_was_under_way_when_a_connection_ended_is_in_doubt() {
    let habit: Habit = |number| match number {
        0..20 => Does::Serve,
        20..25 => Does::Ignore,
        _ => Does::HangUp,
    };
    let (sent, history) = sent(habit, 1, open(1000, 200)).await;
    assert!(matches!(sent, Err(PipelinedError::Closed | PipelinedError::Broke(_))), "{sent:?}");
    let done = history.operations.iter().filter(|operation| operation.action.outcome() == Outcome::Ok(()));
    assert_eq!(done.count(), 20);
    assert!(history.operations.len() >= 26, "{}", history.operations.len());
    assert!(
        outcomes(&history).iter().all(|outcome| outcome == "Ok(())" || outcome.starts_with("Indeterminate"))
    );
}

#[tokio::test]
async fn what_comes_too_late_is_not_taken_for_the_answer_to_something_else() {
    let habit: Habit = |number| match number {
        0 => Does::Wait(Duration::from_millis(400)),
        _ => Does::Serve,
    };
    let (sent, history) = sent(habit, 1, open(1000, 500)).await;
    let sent = sent.unwrap();
    assert!(sent.given_up >= 90 && sent.answered >= 100, "{sent:?}");
    assert_eq!(history.operations.len(), 500);
    let judged = lab_history::judge::registers::registers(&history).figures;
    assert_eq!((judged.stale, judged.phantom), (0, 0), "an answer one off would be somebody else's value");
}
