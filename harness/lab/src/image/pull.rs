//! From a registry.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    models::{CreateImageInfo, ProgressDetail},
    query_parameters::CreateImageOptionsBuilder,
};

use super::{
    error::{ImageError, is_disk_full},
    narrate::{Narrator, Silence},
};

/// A registry that says nothing for this long is none.
const FIRST_ANSWER: Duration = Duration::from_secs(20);
/// A pull without news for this long has stalled. A slow one has news.
const STALLED: Duration = Duration::from_secs(60);

/// How the pull went, when that is not an error.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The image is there.
    Pulled,
    /// Nobody gave an answer that settles it; with the reason.
    NoRegistry(String),
}

pub(super) async fn pull(
    docker: &Docker,
    reference: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Outcome, ImageError> {
    progress(&format!("pulling {reference}"));
    // The narrator's patience decides.
    let docker = docker.clone().with_timeout(Duration::from_secs(3600));
    let options = CreateImageOptionsBuilder::new().from_image(reference).build();
    let mut news = docker.create_image(Some(options), None, None);
    let mut narrator = Narrator::new(&format!("pulling {reference}"), progress);
    let mut layers = Layers::default();
    let mut patience = FIRST_ANSWER;
    loop {
        match narrator.next(&mut news, patience).await {
            Ok(Some(Ok(info))) => narrator.heard(&layers.update(info)),
            Ok(Some(Err(error))) => return settle(reference, error),
            Ok(None) => return Ok(Outcome::Pulled),
            Err(Silence(silence)) => {
                return Ok(Outcome::NoRegistry(format!("no answer for {} s", silence.as_secs())));
            }
        }
        patience = STALLED;
    }
}

/// Whether a registry has answered, and has no such image.
pub(super) fn is_definite(status: u16, message: &str) -> bool {
    let signs = ["manifest unknown", "no matching manifest", "repository does not exist", "name unknown"];
    status == 404 || signs.iter().any(|sign| message.contains(sign))
}

/// Tells a definite answer from none.
fn settle(reference: &str, error: Error) -> Result<Outcome, ImageError> {
    let (message, status) = match error {
        Error::DockerResponseServerError { status_code, message } => (message, status_code),
        Error::DockerStreamError { error } => (error, 0),
        source => return Err(ImageError::container_engine("pull an image", source)),
    };
    if is_disk_full(&message) {
        Err(ImageError::DiskFull { doing: format!("pulling {reference}"), message })
    } else if is_definite(status, &message) {
        Err(ImageError::NoSuchImage { reference: reference.to_owned(), message })
    } else {
        Ok(Outcome::NoRegistry(message))
    }
}

/// How far each layer is.
#[derive(Default)]
struct Layers(HashMap<String, (i64, i64)>);

impl Layers {
    fn update(&mut self, info: CreateImageInfo) -> String {
        let status = info.status.unwrap_or_default();
        if let (Some(id), Some(ProgressDetail { current: Some(current), total: Some(total) })) =
            (info.id, info.progress_detail)
            && status == "Downloading"
        {
            self.0.insert(id, (current, total));
            let sum = |part: fn(&(i64, i64)) -> i64| self.0.values().map(part).sum::<i64>() as f64 / 1e6;
            return format!("{:.1} of {:.1} MB", sum(|layer| layer.0), sum(|layer| layer.1));
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::no_name(500, "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup: no such host")]
    #[case::no_route(500, "dial tcp 1.2.3.4:443: connect: network is unreachable")]
    #[case::rate_limit(500, "toomanyrequests: You have reached your pull rate limit")]
    fn no_answer_leaves_it_open(#[case] status_code: u16, #[case] message: &str) {
        let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
        assert_eq!(settle("redis:7.0", error).unwrap(), Outcome::NoRegistry(message.to_owned()));
    }

    #[rstest]
    #[case::no_tag(404, "manifest for redis:6.9 not found: manifest unknown: manifest unknown")]
    #[case::no_repository(404, "pull access denied for redix, repository does not exist")]
    #[case::podman(500, "initializing source docker://redis:6.9: manifest unknown")]
    #[case::architecture(500, "no matching manifest for linux/riscv64 in the manifest list entries")]
    fn a_refusal_is_definite(#[case] status_code: u16, #[case] message: &str) {
        let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
        let error = settle("redis:6.9", error).unwrap_err();
        assert!(matches!(&error, ImageError::NoSuchImage { .. }), "{error:?}");
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let error =
            Error::DockerStreamError { error: "write /var/lib/docker: no space left on device".to_owned() };
        assert!(matches!(settle("redis:7.0", error), Err(ImageError::DiskFull { .. })));
    }

    #[test]
    fn layers_add_up() {
        let mut layers = Layers::default();
        let mut download = |id: &str, current, total| {
            layers.update(CreateImageInfo {
                id: Some(id.to_owned()),
                status: Some("Downloading".to_owned()),
                progress_detail: Some(ProgressDetail { current: Some(current), total: Some(total) }),
                ..Default::default()
            })
        };
        download("a", 1_000_000, 2_000_000);
        assert_eq!(download("b", 500_000, 3_000_000), "1.5 of 5.0 MB");
    }
}
