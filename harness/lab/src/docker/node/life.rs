//! A node's life: what can be done to its server and its container, and how it comes back.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bollard::query_parameters::{
    KillContainerOptionsBuilder, RenameContainerOptionsBuilder, StartContainerOptions,
};

use super::{KEPT, Node, NodeError, START};
use crate::{
    docker::{Addressing, DockerError, container},
    record::Recorder,
    wait::{self, Seen},
};

impl Node {
    /// Kills the server process, as a crash would: the address answers with resets.
    pub(in crate::docker) async fn kill_server(&self) -> Result<(), DockerError> {
        self.signal("SIGUSR1").await
    }

    /// Cuts the power: the address goes silent, and so does every connection. Off the network first,
    /// because the kernel of a dying process says goodbye to its connections, and a dead host does not.
    pub(in crate::docker) async fn power_off(&self) -> Result<(), DockerError> {
        self.unplug().await?;
        self.signal("SIGKILL").await
    }

    /// Freezes every process: sockets stay open and say nothing.
    pub(in crate::docker) async fn pause(&self) -> Result<(), DockerError> {
        let doing = format!("pausing `{}`", self.container);
        self.docker.api().pause_container(&self.container).await.map_err(DockerError::api(doing))
    }

    /// Lets a paused node go on where it was. One that is not paused goes on anyway.
    pub(in crate::docker) async fn unpause(&self) -> Result<(), DockerError> {
        match self.docker.api().unpause_container(&self.container).await {
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 409 | 500, .. }) => Ok(()),
            other => other.map_err(DockerError::api(format!("unpausing `{}`", self.container))),
        }
    }

    /// Takes the node off the network.
    pub(in crate::docker) async fn unplug(&self) -> Result<(), DockerError> {
        self.network.detach(&self.docker, &self.container).await
    }

    /// Puts the node back at its address.
    pub(in crate::docker) async fn plug(&self) -> Result<(), NodeError> {
        self.network.attach(&self.docker, &self.container, self.address).await?;
        self.find_address().await
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

    /// Brings up an empty server, whatever became of the last one: crashed, stopped or frozen. It takes
    /// no writes before it is told its role.
    ///
    /// # Errors
    /// The container engine refused, or the server does not answer.
    pub async fn restart(&self) -> Result<(), NodeError> {
        self.connection.lock().await.take();
        let doing = || format!("looking at `{}`", self.container);
        let found = self
            .docker
            .api()
            .inspect_container(&self.container, None)
            .await
            .map_err(DockerError::api(doing()))?;
        let state = found.state.unwrap_or_default();
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        if state.paused == Some(true) {
            let _turn = self.network.turn().await;
            self.signal("SIGKILL").await?;
        }
        if !networks.contains_key(self.network.name()) {
            self.network.attach(&self.docker, &self.container, self.address).await?;
        }
        if state.running == Some(true) && state.paused != Some(true) {
            self.kill_server().await?;
            self.signal("SIGUSR2").await?;
        } else {
            self.start_container().await?;
        }
        self.find_address().await?;
        self.answers().await
    }

    pub(super) async fn start_container(&self) -> Result<(), NodeError> {
        let _turn = self.network.turn().await;
        // A container that was killed a moment ago may still count as running, and then is not started.
        let what = "its container to run again";
        let running = wait::until(what, START, Duration::from_millis(20), async || {
            let api = self.docker.api();
            if let Err(error) = api.start_container(&self.container, None::<StartContainerOptions>).await {
                return Seen::NotYet(error.to_string());
            }
            match api.inspect_container(&self.container, None).await {
                Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => {
                    Seen::Ready(())
                }
                Ok(found) => Seen::NotYet(format!("{:?}", found.state.and_then(|state| state.status))),
                Err(error) => Seen::NotYet(error.to_string()),
            }
        });
        self.in_time(running.await).await
    }

    async fn signal(&self, signal: &str) -> Result<(), DockerError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        let doing = format!("sending {signal} to `{}`", self.container);
        self.docker
            .api()
            .kill_container(&self.container, Some(options))
            .await
            .map_err(DockerError::api(doing))
    }

    /// Published ports change with every start and every network; bridge addresses here never do.
    pub(super) async fn find_address(&self) -> Result<(), NodeError> {
        if self.docker.addressing() == Addressing::Direct {
            return Ok(());
        }
        let what = "its published port";
        let port = wait::until(what, START, Duration::from_millis(20), async || {
            container::published(&self.docker, &self.container, self.port).await
        });
        let port: u16 = self.in_time(port.await).await?;
        *self.reach.lock().expect("no panic while held") =
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Ok(())
    }

    /// Removes the container.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn remove(&self) -> Result<(), NodeError> {
        // Whoever is restarting it would start again what is being removed.
        let _coming_back = self.coming_back.lock().await;
        let _turn = self.network.turn().await;
        Ok(container::remove(&self.docker, &self.container).await?)
    }

    /// Leaves the container to outlive its lab, and any sweep but an explicit one.
    ///
    /// # Errors
    /// The container engine refused.
    pub async fn keep(&self) -> Result<String, NodeError> {
        let kept = format!("{}{KEPT}", self.container);
        let options = RenameContainerOptionsBuilder::new().name(&kept).build();
        let doing = format!("renaming `{}`", self.container);
        self.docker
            .api()
            .rename_container(&self.container, options)
            .await
            .map_err(DockerError::api(doing))?;
        Ok(kept)
    }
}
