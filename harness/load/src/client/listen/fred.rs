//! `fred`'s `SubscriberClient`.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::SubscriberClient,
    error::Error,
    interfaces::{ClientLike, EventInterface, PubsubInterface},
    types::{
        Message, RespVersion,
        config::{Config, Server},
    },
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{MissedTickBehavior, interval},
};

use super::{Channels, Diary, Ear, Ears, Kind};
use crate::{
    client::fred::{besides, builder, server},
    profile::Profile,
    target::{Place, Target},
};

/// Listens over RESP3: else it could not send a `PING` on a connection that is subscribed.
pub(super) async fn listen(
    target: &Target,
    profile: &Profile,
    channels: &Channels,
    ear: &Ear,
    diary: &Diary,
) -> Result<Ears, Error> {
    let config = Config {
        server: server(target, profile).await?,
        username: target.login.user.clone(),
        password: target.login.password.clone(),
        version: RespVersion::RESP3,
        ..Config::default()
    };
    let client = builder(config, profile).build_subscriber_client()?;
    if let Place::Endpoint(endpoint) = &target.place {
        client.set_resolver(Arc::new(endpoint.resolver.clone())).await;
    }
    client.init().await?;
    let mut tasks = besides(&client.to_client(), target, profile, diary);
    tasks.spawn(hear(client.message_rx(), ear.clone()));
    let (troubles, reconnected) = (client.error_rx(), client.reconnect_rx());
    subscribe(&client, channels).await?;
    ear.subscribed_to_all();
    let disconnected: fn(&Ear) = if client.is_clustered() { Ear::shaken } else { Ear::cut_off };
    tasks.spawn(lose(troubles, ear.clone(), disconnected));
    tasks.spawn(subscribe_again(client.clone(), reconnected, ear.clone()));
    if let Some(every) = profile.response_timeout {
        tasks.spawn(ping(client.clone(), every));
    }
    Ok((Box::new(Quitting(client)), tasks))
}

/// It says that this is done when it has written it: the server's confirmation it throws away, but for `SSUBSCRIBE`.
async fn subscribe(client: &SubscriberClient, channels: &Channels) -> Result<(), Error> {
    let names = channels.all.iter().map(|(name, _)| name.clone());
    match channels.kind {
        Kind::Ordinary => client.subscribe(names.collect::<Vec<_>>()).await,
        Kind::Sharded => {
            for name in names {
                client.ssubscribe(name).await?;
            }
            Ok(())
        }
    }
}

/// What comes in; those that come faster than they are read fred loses itself.
async fn hear(mut messages: Receiver<Message>, ear: Ear) {
    loop {
        match messages.recv().await {
            Ok(Message { channel, value, .. }) => ear.heard(&channel, value.as_bytes().unwrap_or_default()),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn lose(mut troubles: Receiver<(Error, Option<Server>)>, ear: Ear, disconnected: fn(&Ear)) {
    while !matches!(troubles.recv().await, Err(RecvError::Closed)) {
        disconnected(&ear);
    }
}

/// `SubscriberClient::manage_subscriptions`, line by line, but that somebody hears what came of it.
async fn subscribe_again(client: SubscriberClient, mut reconnected: Receiver<Server>, ear: Ear) {
    while reconnected.recv().await.is_ok() {
        match client.resubscribe_all().await {
            Ok(()) => ear.subscribed_to_all(),
            Err(_) => ear.tried(),
        }
    }
}

/// A connection on which nothing is under way is never found silent.
async fn ping(client: SubscriberClient, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = client.to_client();
    loop {
        ticks.tick().await;
        // Whatever comes of it, fred knows what to do.
        if client.is_clustered() {
            let servers = client.active_connections().into_iter();
            let pings = servers.map(|server| {
                let node = client.with_cluster_node(server);
                async move { node.ping::<()>(None).await }
            });
            futures_util::future::join_all(pings).await;
        } else {
            let _: Result<(), Error> = client.ping(None).await;
        }
    }
}

/// It would go on connecting for ever.
struct Quitting(SubscriberClient);

impl Drop for Quitting {
    fn drop(&mut self) {
        let client = self.0.clone();
        tokio::spawn(async move { client.quit().await });
    }
}
