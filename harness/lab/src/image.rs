//! Images: used if they are there, else pulled, else built from Debian's packages.
//!
//! There are the engine's, which nodes run, and the tools', which everything runs that acts on a lab's
//! network from beside the nodes.

mod bootstrap;
mod build;
mod error;
mod layer;
mod lock;
mod narrate;
mod pull;

use std::time::Duration;

use bollard::{Docker, errors::Error, models::ImageInspect};
use lab_report::report::Image;

use crate::engine::Engine;

use build::Base;
use layer::Layer;

pub use error::ImageError;

/// On a built image: the engine it holds, or `tools`.
pub const IMAGE_LABEL: &str = "failover-lab.image";
/// On a built image and its base: the Debian suite.
pub const SUITE_LABEL: &str = "failover-lab.suite";
/// On a built image and its base: what it was made from, so that a change makes it anew.
pub const RECIPE_LABEL: &str = "failover-lab.recipe";

/// A registry's Debian, for the tools' image: spares making one.
const DEBIAN: &str = "docker.io/library/debian:bookworm-slim";

/// Makes sure that the engine's image is there, and says which one it is.
///
/// The registry's image or the one built here is used without network when it is already there.
/// Otherwise one process of this user at a time pulls it, or builds it where no registry answers; the
/// others wait for that. `progress` gets a line every few seconds while that takes.
///
/// Dropping the future stops the work: the container engine discards what is half done, and images get
/// their name only when they are whole.
pub async fn ensure(
    docker: &Docker,
    engine: &Engine,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Image, ImageError> {
    if let Some(image) = present(docker, engine).await? {
        return Ok(image);
    }
    let _lock = lock::acquire(&format!("the image of {engine}"), progress).await?;
    // Whoever held the lock may have made it.
    if let Some(image) = present(docker, engine).await? {
        return Ok(image);
    }
    if let pull::Outcome::NoRegistry(why) = pull::pull(docker, engine.registry_image(), progress).await? {
        progress(&format!("no registry for {engine}: {why}"));
        let base = Base::MadeHere { registry: why };
        build::build(docker, &Layer::of_engine(engine), base, progress).await?;
    }
    present(docker, engine).await?.ok_or_else(|| ImageError::Gone { subject: engine.to_string() })
}

/// Makes sure that the tools' image is there, and returns its name. The same is true of it as of the
/// engine's image, except that only what it is built on can be pulled.
///
/// # Errors
/// It cannot be built.
pub async fn tools(docker: &Docker, progress: &(dyn Fn(&str) + Send + Sync)) -> Result<String, ImageError> {
    let layer = Layer::of_tools();
    if built(docker, &layer).await?.is_some() {
        return Ok(layer.name);
    }
    let _lock = lock::acquire("the image of the tools", progress).await?;
    // Whoever held the lock may have made it.
    if built(docker, &layer).await?.is_none() {
        let base = base_of_tools(docker, &layer, progress).await?;
        build::build(docker, &layer, base, progress).await?;
    }
    match built(docker, &layer).await? {
        Some(_) => Ok(layer.name),
        None => Err(ImageError::Gone { subject: layer.subject }),
    }
}

/// Whatever Debian is there already; else a registry's, which is pulled sooner than one is made.
async fn base_of_tools(
    docker: &Docker,
    layer: &Layer,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Base, ImageError> {
    if inspect(docker, DEBIAN).await?.is_some() {
        return Ok(Base::Image(DEBIAN.to_owned()));
    }
    if build::has_base(docker, &layer.suite).await? {
        return Ok(Base::MadeHere { registry: "not asked".to_owned() });
    }
    let registry = match pull::pull(docker, DEBIAN, progress).await {
        Ok(pull::Outcome::Pulled) => return Ok(Base::Image(DEBIAN.to_owned())),
        // A registry that has engines and no Debian is no reason to give up.
        Ok(pull::Outcome::NoRegistry(why)) | Err(ImageError::NoSuchImage { message: why, .. }) => why,
        Err(error) => return Err(error),
    };
    progress(&format!("no registry for {DEBIAN}: {registry}"));
    Ok(Base::MadeHere { registry })
}

/// The name of the tools' image, if it is already there.
pub(crate) async fn tools_present(docker: &Docker) -> Result<Option<String>, ImageError> {
    let layer = Layer::of_tools();
    Ok(built(docker, &layer).await?.map(|_| layer.name))
}

/// The engine's image, if it is already there.
pub async fn present(docker: &Docker, engine: &Engine) -> Result<Option<Image>, ImageError> {
    if let Some(found) = inspect(docker, engine.registry_image()).await? {
        return Ok(Some(describe(engine.registry_image(), &found, engine)));
    }
    let layer = Layer::of_engine(engine);
    Ok(built(docker, &layer).await?.map(|found| describe(&layer.name, &found, engine)))
}

/// The layer's image, if it is there.
async fn built(docker: &Docker, layer: &Layer) -> Result<Option<ImageInspect>, ImageError> {
    Ok(inspect(docker, &layer.name).await?.filter(|found| {
        // One that somebody else made under this name is used as it is; an outdated one of ours is not.
        label(found, IMAGE_LABEL).is_none() || label(found, RECIPE_LABEL) == Some(&layer.recipe)
    }))
}

/// What a registry says when it is asked for an image without pulling it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It has the image.
    Has,
    /// It has no such image; with its words. Asking again will not help.
    HasNot(String),
    /// Nobody gave an answer that settles it; with the reason.
    NoAnswer(String),
}

/// Asks the engine's registry whether it has the image.
pub(crate) async fn offer(docker: &Docker, engine: &Engine, patience: Duration) -> Offer {
    let question = docker.inspect_registry_image(engine.registry_image(), None);
    match tokio::time::timeout(patience, question).await {
        Ok(Ok(_)) => Offer::Has,
        Ok(Err(Error::DockerResponseServerError { status_code, message })) => {
            if pull::is_definite(status_code, &message) {
                Offer::HasNot(message)
            } else {
                Offer::NoAnswer(message)
            }
        }
        Ok(Err(error)) => Offer::NoAnswer(error.to_string()),
        Err(_) => Offer::NoAnswer(format!("no answer within {} s", patience.as_secs())),
    }
}

/// Whether this machine can build an image from Debian's packages, or install what it takes.
pub(crate) async fn buildable() -> bool {
    bootstrap::possible().await
}

fn describe(reference: &str, found: &ImageInspect, engine: &Engine) -> Image {
    let of_registry = found
        .repo_digests
        .iter()
        .flatten()
        .find_map(|digest| digest.split_once('@'))
        .map(|(_, digest)| digest);
    let built = reference == engine.local_image() && label(found, IMAGE_LABEL) == Some(&engine.to_string());
    let origin = match (of_registry, built, label(found, SUITE_LABEL)) {
        (_, true, Some(suite)) => format!("built from Debian {suite}"),
        (Some(_), ..) => "pulled".to_owned(),
        _ => "loaded by hand".to_owned(),
    };
    let digest = if built { None } else { of_registry };
    Image {
        reference: reference.to_owned(),
        digest: digest.or(found.id.as_deref()).unwrap_or_default().to_owned(),
        origin,
    }
}

/// The image of that name, if there is one.
async fn inspect(docker: &Docker, name: &str) -> Result<Option<ImageInspect>, ImageError> {
    match docker.inspect_image(name).await {
        Ok(found) => Ok(Some(found)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(source) => Err(ImageError::container_engine("inspect an image", source)),
    }
}

fn label<'a>(image: &'a ImageInspect, name: &str) -> Option<&'a str> {
    image.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use bollard::models::ImageConfig;

    use super::*;

    fn found(labels: &[(&str, &str)], digests: &[&str]) -> ImageInspect {
        ImageInspect {
            id: Some("sha256:1d".to_owned()),
            repo_digests: Some(digests.iter().map(|&digest| digest.to_owned()).collect()),
            config: Some(ImageConfig {
                labels: Some(labels.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn an_image_tells_where_it_is_from() {
        let engine = Engine::select(Some("redis:7.0")).unwrap();
        let (there, here) = (engine.registry_image(), &engine.local_image());
        let of = |reference: &str, labels: &[_], digests: &[_]| {
            let image = describe(reference, &found(labels, digests), &engine);
            (image.origin, image.digest)
        };
        assert_eq!(of(there, &[], &["redis@sha256:d1"]), ("pulled".to_owned(), "sha256:d1".to_owned()));
        assert_eq!(of(there, &[], &[]), ("loaded by hand".to_owned(), "sha256:1d".to_owned()));
        let labels = [(IMAGE_LABEL, "redis:7.0"), (SUITE_LABEL, "bookworm")];
        let built = ("built from Debian bookworm".to_owned(), "sha256:1d".to_owned());
        assert_eq!(of(here, &labels, &[]), built);
        // The containerd image store gives every image a digest, also those built here.
        assert_eq!(of(here, &labels, &["failover-lab/redis@sha256:d1"]), built);
        // One of ours that came by way of a registry is the registry's.
        assert_eq!(of(there, &labels, &["redis@sha256:d1"]).0, "pulled");
    }
}
