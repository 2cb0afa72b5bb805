//! Where a lab's words get to: the places that others than its servers can read.

use std::fs;

use futures_util::future::{join_all, try_join_all};
use lab_report::judge::Page;

use super::Lab;
use crate::{
    docker::NodeError,
    topology::{Deployment, Topology},
};

impl<T: Topology> Lab<T> {
    /// What must get to none of them: every password, after whose it is.
    pub fn passwords(&self) -> Vec<(&str, &str)> {
        let passwords = self.deployment.passwords();
        passwords.into_iter().map(|(owner, secret)| (owner, secret.reveal())).collect()
    }

    /// What runs on every node's host, as everybody there can read it.
    ///
    /// # Errors
    /// A node's container does not run.
    pub async fn process_lists(&self) -> Result<Vec<Page>, NodeError> {
        let nodes = self.deployment.nodes();
        let pages = nodes.iter().map(async |node| {
            let name = format!("the process list of {}", node.id());
            node.processes().await.map(|text| Page { name, text })
        });
        try_join_all(pages).await
    }

    /// What is written down: every node's log, what goes on record, and what whoever waits is told. A
    /// report and a snapshot are made of the record, and of nothing else.
    pub async fn written(&self) -> Vec<Page> {
        let nodes = self.deployment.nodes();
        let logs = nodes.iter().map(async |node| {
            let name = format!("the log of {}", node.id());
            Page { name, text: node.log().await }
        });
        let mut pages = join_all(logs).await;
        let record = (&self.judge.checks, &self.judge.measurements, self.recorder.timeline());
        let record = serde_json::to_string(&record).expect("a record is plain data");
        let progress = fs::read_to_string(self.judge.session.progress_file()).unwrap_or_default();
        pages.push(Page { name: "the record".to_owned(), text: record });
        pages.push(Page { name: "the progress of the run".to_owned(), text: progress });
        pages
    }
}
