//! A node's life: what can be done to its server and its container, and how it comes back.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use bollard::query_parameters::{RenameContainerOptionsBuilder, StartContainerOptions};

use tokio::time::timeout;

use super::{
    Host, KEPT, Node, NodeError, Server,
    equip::equip,
    host::{Tenure, addresses},
};
use crate::{
    docker::{
        Addressing, DockerError, Network,
        container::{self, Made},
    },
    info::Info,
    record::Recorder,
    wait::{self, Seen},
};

/// From starting a server to its first `PONG`: tens of milliseconds, on a busy machine seconds.
const START: Duration = Duration::from_secs(20);
/// A server answers some 20 ms after it was told to start; on a busy machine it is told more than once.
const START_AGAIN: Duration = Duration::from_millis(250);
/// With cgroups of the first version, freezing is "still a game of chances" (runc, pull request 2791): after a thousand
/// tries in vain runc thaws what it had frozen and says this. Nothing has happened then.
const NOT_FROZEN: &str = "unable to freeze";
/// A thousand tries are over in some hundred milliseconds.
const FREEZE: Duration = Duration::from_secs(5);
const FREEZE_AGAIN: Duration = Duration::from_millis(20);

impl Node {
    /// Makes its host ready, and starts its server, unless that is held: then it waits for [`Node::serve`].
    pub(super) async fn start(
        &self,
        server: &Server,
        made: Made,
        network: &Network,
    ) -> Result<(), NodeError> {
        let host = self.host()?;
        if made == Made::New {
            self.start_container(host, network).await?;
        }
        let starter = equip(host, server).await?;
        let _ = self.started.set(Instant::now());
        *self.starter.lock().await = Some(starter);
        self.find_address().await?;
        if server.held { Ok(()) } else { self.serve().await }
    }

    /// Waits until its server answers.
    async fn answers(&self) -> Result<(), NodeError> {
        let answer =
            wait::until("its server to answer", START, Duration::from_millis(5), async || {
                match self.ask_within::<String>(&["PING"], Duration::from_millis(500)).await {
                    Ok(_) => Seen::Ready(()),
                    Err(error) => Seen::NotYet(error.to_string()),
                }
            });
        self.in_time(answer.await).await
    }

    /// Kills the server process, as a crash would. In a container of the lab's the address then answers with resets,
    /// and this returns when it does; of another the server is the first process, and the container ends with it.
    pub(in crate::docker) async fn kill_server(&self) -> Result<(), NodeError> {
        let host = self.in_our_hands().await?;
        match host.tenure {
            Tenure::Own(_) => {
                host.signal("SIGUSR1").await?;
                self.is_gone().await
            }
            Tenure::Lent(_) => Ok(host.signal("SIGKILL").await?),
        }
    }

    /// Waits until nobody answers. An error of the server's is an answer, and silence may be a busy server's.
    async fn is_gone(&self) -> Result<(), NodeError> {
        let gone = wait::until("its server to be gone", START, Duration::from_millis(2), async || match self
            .ask_within::<String>(&["PING"], Duration::from_secs(1))
            .await
        {
            Err(NodeError::Command { source, .. }) if source.code().is_none() && !source.is_timeout() => {
                Seen::Ready(())
            }
            Ok(_) => Seen::NotYet("it answers".to_owned()),
            Err(error) => Seen::NotYet(error.to_string()),
        });
        self.in_time(gone.await).await
    }

    /// Cuts the power: the address goes silent, and so does every connection. Off the network first,
    /// because the kernel of a dying process says goodbye to its connections, and a dead host does not.
    pub(in crate::docker) async fn power_off(&self) -> Result<(), NodeError> {
        self.unplug().await?;
        Ok(self.in_our_hands().await?.signal("SIGKILL").await?)
    }

    /// Freezes every process: sockets stay open and say nothing.
    pub(in crate::docker) async fn pause(&self) -> Result<(), NodeError> {
        let host = self.in_our_hands().await?;
        let frozen = wait::until("every process to be frozen", FREEZE, FREEZE_AGAIN, async || {
            match host.docker.api().pause_container(&host.container).await {
                Err(error) if error.to_string().contains(NOT_FROZEN) => Seen::NotYet(error.to_string()),
                paused => Seen::Ready(paused),
            }
        });
        let doing = format!("pausing `{}`", host.container);
        Ok(self.in_time(frozen.await).await?.map_err(DockerError::api(doing))?)
    }

    /// Lets a paused node go on where it was. One that is not paused goes on anyway.
    pub(in crate::docker) async fn unpause(&self) -> Result<(), NodeError> {
        let host = self.in_our_hands().await?;
        match host.docker.api().unpause_container(&host.container).await {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 409 | 500, .. }) => Ok(()),
            other => Ok(other.map_err(DockerError::api(format!("unpausing `{}`", host.container)))?),
        }
    }

    /// Takes the node off the network.
    pub(in crate::docker) async fn unplug(&self) -> Result<(), NodeError> {
        let host = self.in_our_hands().await?;
        match &host.tenure {
            Tenure::Own(network) => network.detach(&host.docker, &host.container).await?,
            Tenure::Lent(lent) => lent.unplug(host.docker.api()).await?,
        }
        Ok(())
    }

    /// Puts the node back at its address.
    pub(in crate::docker) async fn plug(&self) -> Result<(), NodeError> {
        let host = self.in_our_hands().await?;
        match &host.tenure {
            Tenure::Own(network) => network.attach(&host.docker, &host.container, self.address).await?,
            Tenure::Lent(lent) => lent.restore(host.docker.api()).await?,
        }
        self.find_address().await
    }

    /// Starts the server of a node that has not begun yet, and waits until it answers.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer: then the error holds its log.
    pub async fn serve(&self) -> Result<(), NodeError> {
        let host = self.host()?;
        if let Some(mut starter) = self.starter.lock().await.take() {
            starter.say().await;
            if let Ok(answered) = timeout(START_AGAIN, self.answers()).await {
                return answered;
            }
        }
        // The signal is lost on a supervisor that has only just begun, and one too many starts nothing.
        let started = wait::until("its server to start", START, START_AGAIN, async || {
            if let Err(error) = host.signal("SIGWINCH").await {
                return Seen::NotYet(error.to_string());
            }
            match timeout(START_AGAIN, self.answers()).await {
                Ok(answered) => Seen::Ready(answered),
                Err(_) => Seen::NotYet("it does not answer".to_owned()),
            }
        });
        self.in_time(started.await).await?
    }

    /// Restarts the node, and ends every fault of it. Those of its links go on.
    ///
    /// # Errors
    /// As for [`Node::restart`].
    pub async fn bring_back(&self, recorder: &Recorder) -> Result<(), NodeError> {
        let _coming_back = self.coming_back.lock().await;
        self.restart().await?;
        recorder.came_back(&self.id);
        Ok(())
    }

    /// Brings up a server, whatever became of the last one: crashed, stopped, frozen or alive. It takes no writes
    /// before it is told its role.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer.
    pub async fn restart(&self) -> Result<(), NodeError> {
        self.connection.lock().await.take();
        let host = self.in_our_hands().await?;
        let last = match &host.tenure {
            Tenure::Own(network) => self.start_again(host, network).await?,
            Tenure::Lent(lent) => {
                lent.restore(host.docker.api()).await?;
                None
            }
        };
        self.find_address().await?;
        if let Some(last) = last {
            self.is_replaced(&last).await?;
        }
        self.answers().await
    }

    /// Returns the run id of a server that is about to be killed by its container's first process, in that one's time.
    async fn start_again(&self, host: &Host, network: &Network) -> Result<Option<String>, NodeError> {
        let found = host.inspect().await?;
        let state = found.state.unwrap_or_default();
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        if state.paused == Some(true) {
            let _turn = network.turn().await;
            host.signal("SIGKILL").await?;
        }
        if !networks.contains_key(network.name()) {
            network.attach(&host.docker, &host.container, self.address).await?;
        }
        if state.running == Some(true) && state.paused != Some(true) {
            let last = self.run_id().await.ok();
            host.signal("SIGUSR2").await?;
            return Ok(last);
        }
        self.start_container(host, network).await.map(|()| None)
    }

    /// Waits until another server than `last` answers, be it that it is loading.
    async fn is_replaced(&self, last: &str) -> Result<(), NodeError> {
        let replaced = wait::until("another server", START, Duration::from_millis(5), async || {
            match self.run_id().await {
                Ok(id) if id != last => Seen::Ready(()),
                Ok(_) => Seen::NotYet("the last one still answers".to_owned()),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        self.in_time(replaced.await).await
    }

    /// What a server calls itself for as long as it runs.
    async fn run_id(&self) -> Result<String, NodeError> {
        let said: String = self.ask_within(&["INFO", "server"], Duration::from_millis(500)).await?;
        Ok(Info::parse(&said).get("run_id").unwrap_or_default().to_owned())
    }

    pub(super) async fn start_container(&self, host: &Host, network: &Network) -> Result<(), NodeError> {
        let _turn = network.turn().await;
        // A container that was killed a moment ago may still count as running, and then is not started.
        let what = "its container to run again";
        let running = wait::until(what, START, Duration::from_millis(20), async || {
            let api = host.docker.api();
            if let Err(error) = api.start_container(&host.container, None::<StartContainerOptions>).await {
                return Seen::NotYet(error.to_string());
            }
            match api.inspect_container(&host.container, None).await {
                Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => {
                    Seen::Ready(())
                }
                Ok(found) => Seen::NotYet(format!("{:?}", found.state.and_then(|state| state.status))),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        self.in_time(running.await).await
    }

    /// Whether its container runs, and is on the lab's network at its own address, and nowhere else.
    pub(in crate::docker) async fn is_as_made(&self, network: &Network) -> Result<bool, NodeError> {
        let found = self.host()?.inspect().await?;
        let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let on: Vec<&str> = networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let state = found.state.as_ref();
        let runs = state.is_some_and(|state| state.running == Some(true) && state.paused != Some(true));
        Ok(runs && on == [network.name()] && addresses(&found) == [self.address])
    }

    /// The network that its container is on; none where that is out of reach, or on several.
    pub fn network(&self) -> Option<Network> {
        match &self.host.as_ref()?.tenure {
            Tenure::Own(network) => Some(network.clone()),
            Tenure::Lent(lent) => lent.network(),
        }
    }

    /// The container, about to be acted on. If it is somebody else's, it is written down how to undo that.
    async fn in_our_hands(&self) -> Result<&Host, NodeError> {
        let host = self.host()?;
        if let Tenure::Lent(lent) = &host.tenure {
            lent.note(&host.docker).await?;
        }
        Ok(host)
    }

    /// Whether it is at the same address whenever it comes back.
    pub fn keeps_its_address(&self) -> bool {
        match self.host.as_ref().map(|host| &host.tenure) {
            Some(Tenure::Lent(lent)) => lent.standing().keeps_its_address(),
            Some(Tenure::Own(_)) | None => true,
        }
    }

    /// Published ports change with every start and every network; addresses that somebody fixed never do.
    pub(super) async fn find_address(&self) -> Result<(), NodeError> {
        let host = self.host()?;
        let reach = match host.docker.addressing() {
            Addressing::Direct if self.keeps_its_address() => return Ok(()),
            Addressing::Direct => {
                let now = addresses(&host.inspect().await?);
                let same = now.contains(&self.address).then_some(self.address);
                let address = same.or(now.first().copied()).unwrap_or(self.address);
                (address, self.port).into()
            }
            Addressing::Mapped => {
                let what = "its published port";
                let port = wait::until(what, START, Duration::from_millis(20), async || {
                    container::published(&host.docker, &host.container, self.port).await
                });
                let port: u16 = self.in_time(port.await).await?;
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
            }
        };
        *self.reach.lock().expect("no panic while held") = reach;
        Ok(())
    }

    /// Removes the container, if it is the lab's.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn remove(&self) -> Result<(), NodeError> {
        let Some(Host { docker, container, tenure: Tenure::Own(network) }) = &self.host else {
            return Ok(());
        };
        // Whoever is restarting it would start again what is being removed.
        let _coming_back = self.coming_back.lock().await;
        let _turn = network.turn().await;
        Ok(container::remove(docker, container).await?)
    }

    /// Leaves the container to outlive its lab, and any sweep but an explicit one.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn keep(&self) -> Result<String, NodeError> {
        let host = self.host()?;
        let Tenure::Own(_) = host.tenure else { return Ok(host.container.clone()) };
        let kept = format!("{}{KEPT}", host.container);
        let options = RenameContainerOptionsBuilder::new().name(&kept).build();
        let doing = format!("renaming `{}`", host.container);
        host.docker
            .api()
            .rename_container(&host.container, options)
            .await
            .map_err(DockerError::api(doing))?;
        Ok(kept)
    }
}
