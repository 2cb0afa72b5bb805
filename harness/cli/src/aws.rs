//! `cargo lab aws`: ElastiCache's API on localhost, over real nodes.

use std::{io, process::ExitCode};

use clap::Args;
use failover_lab::{
    docker::{Kept, sweep_dead},
    interrupt::interrupted,
};
use lab_aws::{ControlPlane, Server};

use crate::{
    failure::Failure,
    up::{on_docker, say_stopped},
};

/// Serve ElastiCache's API on localhost, over real nodes, until Ctrl-C.
#[derive(Args)]
pub(crate) struct Aws {
    /// The server engine, as in `cargo lab list`; without it, what LAB_ENGINE says.
    #[arg(long)]
    engine: Option<String>,
    /// The API's port on localhost; any free one if not given.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The region to be taken for.
    #[arg(long, default_value = "us-east-1")]
    region: String,
}

impl Aws {
    pub(crate) async fn run(self) -> Result<ExitCode, Failure> {
        on_docker(self.engine.as_deref(), async |docker, spinner| {
            // What cannot be removed now is in nobody's way; `cargo lab reap` says what it is.
            let _ = sweep_dead(docker.api(), Kept::Stay).await?;
            let plane = ControlPlane::new(docker.clone(), &self.region);
            let server = Server::listen(&plane, self.port).await.map_err(|error| self.deaf(&error))?;
            spinner.finish(&format!("{} behind ElastiCache's API", docker.engine()));
            self.explain(&server.url());
            say_stopped(&interrupted().await);
            let settled = async {
                server.stop().await;
                plane.retire().await;
            };
            // Whoever asks a second time does not want to wait for what is under way.
            tokio::select! {
                () = settled => {}
                why = interrupted() => say_stopped(&why),
            }
            Ok(())
        })
        .await
    }

    fn deaf(&self, error: &io::Error) -> Failure {
        match self.port {
            0 => Failure::missing(
                format!("cannot listen on localhost: {error}"),
                "`ip address show lo` says whether it is up",
            ),
            port => Failure::usage(
                format!("cannot listen on port {port}: {error}"),
                "leave the port away: any free one is taken",
            ),
        }
    }

    fn explain(&self, url: &str) {
        println!(
            "\nexport AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab AWS_DEFAULT_REGION={}",
            self.region
        );
        println!("aws elasticache describe-replication-groups --endpoint-url {url}");
        println!("\nCtrl-C, or `cargo lab down` elsewhere, removes everything\n");
    }
}
