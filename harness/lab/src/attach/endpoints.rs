//! The servers of a deployment of which some addresses are known: the sentinels know the others, and a data
//! node hears the sentinels.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, SocketAddrV4},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all};
use lab_report::evidence::Role;
use tokio::time::timeout;

use super::{
    AttachError, Member,
    ask::{Answer, Refusal, ask},
    listing, watched,
};
use crate::{
    environment::{Endpoint, Terms},
    sentinel::Instance,
    wait::scaled,
};

/// A sentinel says hello at every data node every two seconds.
const HELLO: &str = "__sentinel__:hello";
const THREE_HELLOS: Duration = Duration::from_secs(7);

/// The servers at `given`, and all that they know of.
pub(super) async fn members(given: &[Endpoint], terms: &Terms) -> Result<Vec<Member>, AttachError> {
    let ways_in = terms.ways_in();
    let mut known: BTreeMap<SocketAddrV4, Answer> = BTreeMap::new();
    for endpoint in given {
        let address = resolve(endpoint).await?;
        match ask(address.into(), &ways_in).await {
            Ok(answer) => known.insert(address, answer),
            Err(refusal) => return Err(refused(&endpoint.to_string(), refusal)),
        };
    }
    let mut told = BTreeSet::new();
    if !known.values().any(|answer| answer.role == Role::Sentinel) {
        for answer in known.values() {
            told.extend(hellos(answer).await);
        }
    }
    loop {
        for answer in known.values_mut().filter(|answer| answer.role == Role::Sentinel) {
            told.extend(acquaintances(answer).await);
        }
        let new: Vec<SocketAddrV4> =
            told.iter().filter(|address| !known.contains_key(*address)).copied().collect();
        let answers = join_all(new.iter().map(|address| ask((*address).into(), &ways_in))).await;
        let before = known.len();
        for (address, answer) in new.into_iter().zip(answers) {
            match answer {
                Ok(answer) => {
                    known.insert(address, answer);
                }
                Err(Refusal::Locked(says)) => {
                    return Err(AttachError::Locked { who: address.to_string(), says });
                }
                // It is down: what the others say of it is graded.
                Err(Refusal::Silent(_) | Refusal::Stranger) => {}
            }
        }
        if known.len() == before {
            return Ok(named(known));
        }
    }
}

async fn resolve(endpoint: &Endpoint) -> Result<SocketAddrV4, AttachError> {
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    let unreachable = |says| AttachError::Unreachable { who: endpoint.to_string(), says };
    let mut found = found.map_err(|error| unreachable(error.to_string()))?;
    let v4 = found.find_map(|address| match address {
        SocketAddr::V4(address) => Some(address),
        SocketAddr::V6(_) => None,
    });
    v4.ok_or_else(|| unreachable("it has no IPv4 address".to_owned()))
}

fn refused(who: &str, refusal: Refusal) -> AttachError {
    let who = who.to_owned();
    match refusal {
        Refusal::Locked(says) => AttachError::Locked { who, says },
        Refusal::Silent(says) => AttachError::Unreachable { who, says },
        Refusal::Stranger => {
            AttachError::Unreachable { who, says: "whoever listens there does not speak Redis".to_owned() }
        }
    }
}

/// The sentinels that a data node hears: `ip,port,runid,epoch,name,…` on a channel of its own.
async fn hellos(answer: &Answer) -> BTreeSet<SocketAddrV4> {
    let mut heard = BTreeSet::new();
    let listen = async {
        let client = redis::Client::open(answer.access.to(answer.reach)?)?;
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(HELLO).await?;
        let mut messages = subscription.into_on_message();
        while let Some(message) = messages.next().await {
            let text: String = message.get_payload()?;
            heard.extend(greeter(&text));
        }
        redis::RedisResult::Ok(())
    };
    // It never ends by itself; one that may not listen hears nothing.
    let _ = timeout(scaled(THREE_HELLOS), listen).await;
    heard
}

fn greeter(hello: &str) -> Option<SocketAddrV4> {
    let mut fields = hello.split(',');
    Some(SocketAddrV4::new(fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The addresses that a sentinel knows: of the primaries, their replicas, and the other sentinels.
async fn acquaintances(sentinel: &mut Answer) -> Vec<SocketAddrV4> {
    let connection = &mut sentinel.connection;
    let mut known = listing(connection, "MASTERS", None).await;
    for name in watched(connection).await {
        known.extend(listing(connection, "REPLICAS", Some(&name)).await);
        known.extend(listing(connection, "SENTINELS", Some(&name)).await);
    }
    known.iter().filter_map(Instance::socket).collect()
}

/// By role and address: nobody has given them names.
fn named(known: BTreeMap<SocketAddrV4, Answer>) -> Vec<Member> {
    let (mut data, mut sentinels) = (0, 0);
    let member = |(address, answer): (SocketAddrV4, Answer)| {
        let (kind, count) = match answer.role {
            Role::Sentinel => ("sentinel", &mut sentinels),
            _ => ("redis", &mut data),
        };
        *count += 1;
        Member {
            name: format!("{kind}-{count}"),
            addresses: vec![address],
            answer,
            image: Default::default(),
            standing: None,
        }
    };
    known.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_says_who_greets() {
        let hello = "10.0.0.21,26379,af3e,4,lab,10.0.0.11,6379,4";
        assert_eq!(greeter(hello), Some("10.0.0.21:26379".parse().unwrap()));
        assert_eq!(greeter("something else"), None);
    }
}
