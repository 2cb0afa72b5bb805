//! The `redis` crate's `ConnectionManager` and `cluster_async` as subscribers: over RESP3 they push what comes in, and
//! subscribe again by themselves.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use redis::{Msg, ProtocolVersion, PushInfo, PushKind, RedisError, Value, aio::ConnectionManager};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{Channels, Ear, Ears, Kind};
use crate::{
    client::{
        manager, routed,
        settle::{info, parts},
    },
    profile::Profile,
    target::{Endpoint, Login},
};

/// Listens by `ConnectionManager`, which connects by way of the name's front.
pub(super) async fn by_manager(
    endpoint: &Endpoint,
    login: &Login,
    profile: &Profile,
    channels: &Channels,
    ear: &Ear,
) -> Result<Ears, RedisError> {
    let info = info(parts(endpoint.front), login, profile)?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = redis::Client::open(info.set_redis_settings(settings))?;
    let config = manager::config(profile)
        .set_push_sender(pushed(ear.clone(), Ear::cut_off))
        .set_automatic_resubscription();
    let mut manager = ConnectionManager::new_with_config(client, config).await?;
    let names: Vec<&str> = channels.all.iter().map(|(name, _)| name.as_str()).collect();
    manager.subscribe(names).await?;
    let mut besides = JoinSet::new();
    if let Some(every) = profile.response_timeout {
        besides.spawn(ping(manager.clone(), every));
    }
    Ok((Box::new(manager), besides))
}

/// Listens by `cluster_async`.
pub(super) async fn by_cluster(
    nodes: &[SocketAddr],
    login: &Login,
    profile: &Profile,
    channels: &Channels,
    ear: &Ear,
) -> Result<Ears, RedisError> {
    let builder = routed::builder(nodes, login, profile)?
        .use_protocol(ProtocolVersion::RESP3)
        .push_sender(pushed(ear.clone(), Ear::shaken));
    let mut connection = builder.build()?.get_async_connection().await?;
    // One by one: each goes to the node that has its slot, sharded or not.
    for (name, _) in &channels.all {
        match channels.kind {
            Kind::Ordinary => connection.subscribe(name).await?,
            Kind::Sharded => connection.ssubscribe(name).await?,
        }
    }
    Ok((Box::new(connection), JoinSet::new()))
}

/// Hears what servers say by themselves, and that a connection is gone.
fn pushed(ear: Ear, disconnected: fn(&Ear)) -> impl Fn(PushInfo) -> Result<(), Infallible> {
    move |info| {
        match info.kind {
            PushKind::Message | PushKind::SMessage => {
                if let Some(message) = Msg::from_push_info(info) {
                    ear.heard(message.get_channel_name(), message.get_payload_bytes());
                }
            }
            PushKind::Subscribe | PushKind::SSubscribe => ear.subscribed(channel(&info)),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => ear.dropped(channel(&info)),
            PushKind::Disconnection => disconnected(&ear),
            _ => {}
        }
        Ok(())
    }
}

/// Which channel a push is about.
fn channel(info: &PushInfo) -> &str {
    match info.data.first() {
        Some(Value::BulkString(name)) => std::str::from_utf8(name).unwrap_or_default(),
        _ => "",
    }
}

/// Asks again and again whether the server is there. Of a manager that has given up connecting this makes one that
/// tries again; a time-out makes nothing.
async fn ping(mut manager: ConnectionManager, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Whatever comes of it, the manager knows what to do.
        let _ = manager.send_packed_command(&redis::cmd("PING")).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_says_which_channel_it_is_about() {
        let data = vec![Value::BulkString(b"news:1".to_vec()), Value::Int(1)];
        assert_eq!(channel(&PushInfo { kind: PushKind::SSubscribe, data }), "news:1");
        // `UNSUBSCRIBE` of nothing.
        let data = vec![Value::Nil, Value::Int(0)];
        assert_eq!(channel(&PushInfo { kind: PushKind::Unsubscribe, data }), "");
    }
}
