//! The executable specification of the lab. Read it like a table of contents.
//!
//! Every step boots a topology of real servers, acts, observes, and puts judged claims on
//! record. `cargo lab grade` runs these same tests and turns their records into marks.

/// How a step is declared, run on a sound set-up, and held against its snapshot.
mod step;

/// What the steps of users and passwords try.
mod admission;
/// What the steps of encryption try at every server's door.
mod encryption;

/// The replication lab: one primary, two replicas, endpoint names, and a manager that fails over.
mod replication {
    /// What is written at the primary is read at the replicas.
    pub(crate) mod data_replication;
    /// The primary is lost and a replica takes over: four ways to lose it.
    pub(crate) mod failover;
    /// The outage is visible in the node metrics.
    pub(crate) mod monitoring;
    /// The reader endpoint names the replicas, by turns.
    pub(crate) mod reader_endpoint;
    /// A primary and two replicas come up as one group.
    pub(crate) mod replication_group;
    /// `INFO replication` tells how replication stands.
    pub(crate) mod replication_status;
    /// The application's network gets in, a stranger does not.
    pub(crate) mod security_group;
    /// The nodes live in more than one zone.
    pub(crate) mod subnet_group;
    /// Replicas refuse writes, the primary takes them.
    pub(crate) mod write_rejection;

    // Troubleshooting.

    /// A connection left on the demoted node is told so.
    pub(crate) mod demoted_connection;
    /// A replica that lost everything gets the whole dataset.
    pub(crate) mod full_resync;
    /// A frozen replica falls behind and catches up.
    pub(crate) mod held_replica;
    /// Without automatic failover nobody is promoted until somebody promotes.
    pub(crate) mod manual_promotion;
    /// A replica that was cut off catches up from the backlog.
    pub(crate) mod partial_resync;
    /// The replica with most of the data is promoted.
    pub(crate) mod replica_choice;
    /// A client that caches the address stays lost, one that resolves again recovers.
    pub(crate) mod stale_address;

    /// Deleting the group leaves nothing, or exactly the primary.
    pub(crate) mod clean_up;
}

/// The Sentinel lab: a primary, its replicas, and the sentinels that fail over among themselves.
mod sentinel {
    /// Each alert fires when its condition is true, and only then.
    pub(crate) mod alerts;
    /// The running servers have every setting of the table, and fail over by its clocks.
    pub(crate) mod as_configured;
    /// Every sentinel knows the whole deployment.
    pub(crate) mod discovery;
    /// The commands of a health check say what they are trusted to say.
    pub(crate) mod health;
    /// The old primary comes back, gives up what it alone had, and follows the new one.
    pub(crate) mod restore;
    /// The primary is lost and the sentinels promote a replica.
    pub(crate) mod sentinel_failover;

    /// A quorum of one is enough to agree, and not enough to act.
    pub(crate) mod authority;
    /// `FAILOVER TO` waits for the replica, and loses nothing.
    pub(crate) mod handover;
    /// Of two replicas with one priority the one with more of the data is promoted.
    pub(crate) mod larger_offset;
    /// `SENTINEL FAILOVER` replaces a healthy primary under load.
    pub(crate) mod manual_failover;
    /// With `min-replicas-to-write` a primary that is cut off stops acknowledging.
    pub(crate) mod min_replicas;
    /// A replica with priority 0 is never promoted.
    pub(crate) mod priority_zero;
    /// Without a quorum nobody is promoted.
    pub(crate) mod quorum;
    /// Of two equal replicas the one with the lower priority number is promoted.
    pub(crate) mod replica_priority;
    /// A primary that is cut off with a client goes on acknowledging what will be lost.
    pub(crate) mod split_brain;
    /// A replica that was cut off for too long is not promoted.
    pub(crate) mod stale_replica;

    /// What the steps look for.
    mod seen;
    // What the append-only file is for.

    /// A memory-only primary reboots before it is missed, and takes everybody's data with it.
    pub(crate) mod fast_reboot;
    /// A primary that keeps a file reboots before it is missed, and nothing is lost.
    pub(crate) mod fast_reboot_persistent;
    /// Every data node is killed, and brings its data back.
    pub(crate) mod persistence;
    /// The same with a sync for every write.
    pub(crate) mod persistence_always;

    // After a failover.

    /// A sentinel that was down during a failover catches up.
    pub(crate) mod late_sentinel;
    /// Of many replicas one at a time is turned to the new primary.
    pub(crate) mod parallel_syncs;
    /// A replica dies in the middle of a failover: the failover comes to an end all the same.
    pub(crate) mod replica_dies_mid_failover;
    /// Two failovers in a row: the second is as quick as the first.
    pub(crate) mod second_failover;

    // The client's side.

    /// Pools of 5, 20 and 100 connections: all of them serve, and all of them follow a failover.
    pub(crate) mod connection_pools;
    /// Pipelining saves round trips, and nothing else.
    pub(crate) mod pipelining;
    /// Writes go to the primary and reads to the preferred replica, or to who is left.
    pub(crate) mod read_write_splitting;

    // Names, and who is let in.

    /// Nodes go by their names, and a failover works by them.
    pub(crate) mod announced_hostnames;
    /// Nobody does more than they may, also after a failover, and no password gets out.
    pub(crate) mod security;
    /// Every link runs under TLS, and a failover works under it.
    pub(crate) mod tls;

    use failover_lab::{Sentinels, observer, wait};
    use lab_report::judge::SentinelClocks;

    /// The clocks that the bounds of a sound deployment follow from: those of the step's own topology,
    /// unless a broken set-up changed them.
    fn clocks(sound: &Sentinels) -> SentinelClocks {
        SentinelClocks {
            down_after: sound.down_after,
            failover_timeout: sound.failover_timeout,
            ping: sound.timers.ping,
            ask: sound.timers.ask,
            observe_every: observer::ROLE_EVERY,
            scheduling: wait::scheduling(),
        }
    }
}

/// The Cluster lab: shards that fail over among themselves, and clients that are sent from one to another.
mod cluster {
    /// Of two replicas the one with more of the data takes over.
    pub(crate) mod best_offset;
    /// Nobody does more in a cluster than they may, also after a failover, and no password gets out.
    pub(crate) mod cluster_acl;
    /// Whoever watches the nodes is told of what is wrong, and of nothing else.
    pub(crate) mod cluster_alerts;
    /// Nodes that stand alone become a cluster.
    pub(crate) mod cluster_creation;
    /// A replica is told to take over from a healthy primary: gracefully, by force, and without asking anybody.
    pub(crate) mod cluster_manual_failover;
    /// A primary that was replaced comes back, and follows its successor.
    pub(crate) mod cluster_recovery;
    /// Every primary has a replica in another zone, with its data.
    pub(crate) mod cluster_replication;
    /// A cluster is made under TLS, every link of it, and a client that is sent around in it arrives.
    pub(crate) mod cluster_tls;
    /// One command, one slot.
    pub(crate) mod cross_slot;
    /// A primary and its replica are lost: exactly their slots are unavailable.
    pub(crate) mod double_fault;
    /// Where a cluster has to be whole, one shard that is lost stops all others.
    pub(crate) mod full_coverage;
    /// Slots whose move was broken off are found and finished.
    pub(crate) mod half_moved_slot;
    /// Customers whose keys belong together, and what is left of them after a failover.
    pub(crate) mod insurance_data;
    /// Most of the primaries are lost: everything stops, until somebody takes over by hand.
    pub(crate) mod majority_lost;
    /// A primary that is cut off with a client stops, and the majority goes on.
    pub(crate) mod minority;
    /// With a node timeout that nobody shortened, a shard is served again in the time that was promised.
    pub(crate) mod own_clocks;
    /// A primary is lost with the subscribers that it had.
    pub(crate) mod pubsub_failover;
    /// A slot moves with its sharded channel.
    pub(crate) mod pubsub_slot_move;
    /// What a cluster that is down may still be asked, where that is allowed.
    pub(crate) mod reads_when_down;
    /// A node that is asked for what another has says who has it.
    pub(crate) mod redirections;
    /// A primary that has lost its replicas gets one from a shard with two.
    pub(crate) mod replica_migration;
    /// A primary that was replaced returns while its successor is out of sight, and does not take its slots back.
    pub(crate) mod returns_during_outage;
    /// One shard of four gives its slots to the others under load, and leaves.
    pub(crate) mod scale_in;
    /// A fourth shard joins, and gets its share of the slots under load.
    pub(crate) mod scale_out;
    /// A primary is replaced, comes back, and replaces its successor.
    pub(crate) mod serial_failures;
    /// Keys are divided over the shards by their slots.
    pub(crate) mod sharding;
    /// One primary of three is lost, and its replica takes its slots.
    pub(crate) mod slot_failover;
    /// Three shards carry a multiple of what one server does.
    pub(crate) mod throughput;
    /// Twenty random crashes in a row, each looked into before the next.
    pub(crate) mod twenty_crashes;
    /// A replica that was cut off for too long does not stand for election.
    pub(crate) mod validity_factor;

    /// Who publishes, who listens, and what arrives.
    mod messages;
    /// A load on slots that move.
    mod moving;
    /// What the steps look for.
    mod seen;
}

/// The client lab: applications under load, as they see a failover, and what they lose by it.
mod client {
    /// A naive client dies with the address that it holds, and a hardened one is back.
    pub(crate) mod client_profiles;

    // What waiting for replicas is worth.

    /// Where `WAIT 1` does not exclude a loss, `min-replicas-to-write` bounds it.
    pub(crate) mod bounded_loss;
    /// A failover that waits for the replica loses nothing.
    pub(crate) mod graceful;
    /// `WAIT 1` alone does not exclude that what it confirmed is lost.
    pub(crate) mod wait_one;

    // Other sorts of load.

    /// Messages that are published while a subscriber is away are lost to it.
    pub(crate) mod messages_lost;
    /// A stream's consumers lose no entry that survived, and take over what a dead one had.
    pub(crate) mod stream_consumers;

    /// Random faults, one after the other.
    pub(crate) mod client_chaos;

    /// A client that is cut off together with a primary and one of its replicas.
    mod cut_off;
    /// What the clients ask for, and until when.
    mod load;
}

/// The grader is graded: every broken set-up fails its check, and no other.
mod broken;

/// ElastiCache's API over real nodes, as AWS' own clients use it.
mod elasticache {
    mod aws;
    mod boto3;
    mod command_line;
    #[cfg(feature = "elasticache")]
    mod sdk;
}

/// The parts that the steps stand on: faults, addresses, the manager's limits, cleaning up.
mod ground;

/// The README says what there is.
mod readme;
