//! Links that are there and not good: lossy, slow, late; one way, and no other link is any worse.

use std::time::{Duration, Instant};

use failover_lab::{
    docker::{Attempt, Node, Partition, PartitionError, Percent, Post, Rate, Split},
    environment::Capability,
    wait::{self, Seen},
};

use super::{
    posts::{PACE, Posts, SOON, nodes, three, window, windows},
    with_group,
};

/// Sends a volley over a link and returns how many of it were heard: when `least` were, and what was sent
/// after it has been.
async fn volley(word: &str, from: &Post, to: &Post, least: usize) -> usize {
    from.send(word, to, Post::AT_ONCE).await.unwrap();
    // It waits behind the volley in the same buffer.
    to.send(word, to, 1).await.unwrap();
    let over = wait::until("the end of a volley to be heard", SOON, PACE, async || {
        let (end, heard) = (to.heard(word, to).await.unwrap(), to.heard(word, from).await.unwrap());
        match end > 0 && heard >= least {
            true => Seen::Ready(heard),
            false => Seen::NotYet(format!("{heard}, the end {end} times")),
        }
    });
    over.await.unwrap_or_else(|late| panic!("{late}"))
}

/// 1. Half of what the first node sends to the second is lost, and nothing of what the second sends back.
/// 2. All of it is lost: not one is heard.
/// 3. Healed, nothing is lost, and every pair hears each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_is_as_large_as_it_was_asked_for_and_one_way() {
    const HALF: Percent = Percent::new(50).unwrap();
    let sent = usize::from(Post::AT_ONCE);
    with_group(three(), None, async |lab| {
        let [one, two, _] = nodes(lab);
        let posts = Posts::take(lab).await;
        let [first, second, _] = &posts.0[..] else { panic!("the group has three nodes") };
        let lose = async |percent| {
            let split = Split::lossy(&one, &two, percent);
            Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap()
        };

        // 1. Half. Of n = 150, a share outside 50 ± 30 % comes by chance less than once in 10^11 runs
        //    (Hoeffding: 2 exp(-2 n 0.3²) = 2 exp(-27) < 4e-12).
        let partition = lose(HALF).await;
        let heard = volley("half", first, second, sent / 5).await;
        assert!(heard <= sent * 4 / 5, "{heard} of {sent} were heard");
        assert_eq!(volley("half", second, first, sent).await, sent, "the other way");
        assert_eq!(windows(lab), [window("loss", &one, false)]);
        partition.heal().await.unwrap();

        // 2. All.
        let partition = lose(Percent::ALL).await;
        assert_eq!(volley("all", first, second, 0).await, 0);
        partition.heal().await.unwrap();

        // 3. Nothing.
        assert_eq!(volley("nothing", first, second, sent).await, sent);
        posts.hear_all_but("after", &[]).await;
    })
    .await;
}

/// 1. What the first node sends to the second goes slowly: a transfer takes what the rate says at least.
/// 2. To the third it goes as ever.
/// 3. Healed, it goes to both as ever, and every pair hears each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_takes_as_long_as_its_rate_says() {
    const RATE: Rate = Rate::kbit(2000).unwrap();
    const BYTES: u32 = 512 << 10;
    /// Of a transfer over the link; one over any other takes milliseconds.
    fn least() -> Duration {
        RATE.least(BYTES)
    }
    /// Reads the value of the first node from another node's host.
    async fn read(from: &Node, to: &Node) -> Duration {
        let began = Instant::now();
        let text = to.console(&["-h", &from.address().to_string(), "GET", "value"]).await.unwrap();
        assert!(text.len() >= BYTES as usize, "{} bytes of {BYTES}", text.len());
        began.elapsed()
    }
    /// One transfer may be held up by a busy machine: that all of them are is no chance.
    async fn read_quickly(from: &Node, to: &Node) {
        let quick = wait::until("a quick transfer", SOON, PACE, async || match read(from, to).await {
            took if took < least() => Seen::Ready(()),
            took => Seen::NotYet(format!("{took:?}, over the slow link it would be {:?}", least())),
        });
        quick.await.unwrap_or_else(|late| panic!("{late}"));
    }
    with_group(three(), None, async |lab| {
        let [one, two, three] = nodes(lab);
        let posts = Posts::take(lab).await;
        // A string of zeros with an end: long to read, short to replicate.
        one.ask::<()>(&["SETRANGE", "value", &(BYTES - 1).to_string(), "x"]).await.unwrap();

        // 1. Slow.
        let split = Split::slow(&one, &two, RATE);
        let partition = Partition::cut(&lab.docker, &split, &lab.recorder).await.unwrap();
        let took = read(&one, &two).await;
        assert!(took >= least(), "{took:?}, at {RATE:?} it is {:?} at least", least());
        assert_eq!(windows(lab), [window("slow", &one, false)]);

        // 2. The others.
        read_quickly(&one, &three).await;

        // 3. Healed.
        partition.heal().await.unwrap();
        read_quickly(&one, &two).await;
        read_quickly(&one, &three).await;
        posts.hear_all_but("after", &[]).await;
    })
    .await;
}

/// A late link is late, or the kernel says that it cannot do that, and nothing is changed.
///
/// 1. What the first node sends to the second is to be late.
/// 2. Where the kernel can do that, an answer takes as long at least; healed, it is as quick as ever, and every pair
///    hears each other.
/// 3. Where it cannot, that is what the error says, and nobody noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_link_is_late_or_a_missing_capability() {
    const DELAY: Duration = Duration::from_millis(300);
    async fn ping(from: &Node, to: &Node) -> Duration {
        let began = Instant::now();
        assert!(matches!(from.ping(to).await.unwrap(), Attempt::Answered(_)));
        began.elapsed()
    }
    with_group(three(), None, async |lab| {
        let [one, two, three] = nodes(lab);
        let posts = Posts::take(lab).await;
        let containers = lab.docker.leftovers().await.unwrap().containers;

        // 1. To be late, and something that every kernel can do.
        let split = Split::late(&one, &two, DELAY).and(Split::oneway(&two, &three));
        match Partition::cut(&lab.docker, &split, &lab.recorder).await {
            // 2. Late.
            Ok(partition) => {
                posts.hear_all_but("late", &["2→3"]).await;
                assert!(ping(&two, &one).await >= DELAY);
                partition.heal().await.unwrap();
                let quick =
                    wait::until("a quick answer", SOON, PACE, async || match ping(&two, &one).await {
                        took if took < DELAY => Seen::Ready(()),
                        took => Seen::NotYet(format!("{took:?}")),
                    });
                quick.await.unwrap_or_else(|late| panic!("{late}"));
                posts.hear_all_but("after", &[]).await;
            }
            // 3. Not here.
            Err(PartitionError::Missing(missing)) => {
                assert_eq!(missing.capability, Capability::Netem, "{missing}");
                posts.hear_all_but("unchanged", &[]).await;
                assert_eq!(windows(lab), []);
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(lab.docker.leftovers().await.unwrap().containers, containers);
    })
    .await;
}
