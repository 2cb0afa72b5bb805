//! From Debian's packages: one base per suite, one small layer per image.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{BuildImageOptionsBuilder, PruneImagesOptionsBuilder, RemoveImageOptionsBuilder},
};

use super::{
    RECIPE_LABEL, SUITE_LABEL, bootstrap,
    error::ImageError,
    inspect, label,
    layer::{Layer, digest},
    narrate::{Narrator, Silence},
};
use crate::archive;

/// Where Debian's packages come from, unless `LAB_DEBIAN_MIRROR` says otherwise.
const MIRROR: &str = "http://deb.debian.org/debian";
/// apt gives up on a mirror by itself before this.
const STALLED: Duration = Duration::from_secs(180);

/// What a layer is laid on.
pub(super) enum Base {
    /// This image, which is there.
    Image(String),
    /// A Debian that is made here. This is why no registry gave anything better.
    MadeHere {
        /// What became of asking one.
        registry: String,
    },
}

/// Builds the layer's image.
pub(super) async fn build(
    docker: &Docker,
    layer: &Layer,
    base: Base,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), ImageError> {
    // What a killed run left half done.
    sweep(docker).await;
    let built = async {
        let base = match base {
            Base::Image(name) => name,
            Base::MadeHere { registry } => make_base(docker, layer, &registry, progress).await?,
        };
        lay(docker, layer, &base, progress).await
    }
    .await;
    sweep(docker).await;
    built
}

/// A suite's base image, and what it is made from.
struct Bare {
    name: String,
    mirror: String,
    recipe: String,
}

impl Bare {
    fn of(suite: &str) -> Self {
        let mirror = crate::setting::text("LAB_DEBIAN_MIRROR").unwrap_or_else(|| MIRROR.to_owned());
        let recipe = digest(&[suite, &mirror]);
        Self { name: format!("failover-lab/debian:{suite}"), mirror, recipe }
    }
}

/// Whether the suite's base image was made here before.
pub(super) async fn has_base(docker: &Docker, suite: &str) -> Result<bool, ImageError> {
    let bare = Bare::of(suite);
    let found = inspect(docker, &bare.name).await?;
    Ok(found.is_some_and(|found| label(&found, RECIPE_LABEL) == Some(&bare.recipe)))
}

/// The suite's base image, made if it is not there.
async fn make_base(
    docker: &Docker,
    layer: &Layer,
    registry: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<String, ImageError> {
    let suite = &layer.suite;
    let Bare { name, mirror, recipe } = Bare::of(suite);
    let old = inspect(docker, &name).await?;
    if old.as_ref().is_some_and(|old| label(old, RECIPE_LABEL) == Some(&recipe)) {
        return Ok(name);
    }
    bootstrap::install(progress).await.map_err(|why| ImageError::NoWay {
        subject: layer.subject.clone(),
        registry: registry.to_owned(),
        why,
    })?;
    let labels = [(SUITE_LABEL, suite.as_str()), (RECIPE_LABEL, &recipe)];
    bootstrap::import(docker, &name, suite, &mirror, &labels, progress).await?;
    if let Some(old) = old.and_then(|old| old.id) {
        remove_unnamed(docker, &old).await;
    }
    Ok(name)
}

/// The layer's packages on top of the base.
async fn lay(
    docker: &Docker,
    layer: &Layer,
    base: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), ImageError> {
    let name = &layer.name;
    progress(&format!("building {name} from Debian {}", layer.suite));
    let mut arguments = HashMap::from([("BASE", base)]);
    arguments.extend(layer.arguments.iter().map(|(name, value)| (*name, value.as_str())));
    let options = BuildImageOptionsBuilder::new()
        .t(name)
        .buildargs(&arguments)
        .labels(&HashMap::from(layer.labels()))
        .nocache(true)
        .rm(true)
        .forcerm(true)
        .build();
    let context = archive::of([("Dockerfile", layer.dockerfile)]);
    // The narrator's patience decides.
    let docker = docker.clone().with_timeout(Duration::from_secs(3600));
    let mut news = docker.build_image(options, None, Some(bollard::body_full(context.into())));
    let mut narrator = Narrator::new(&format!("building {name}"), progress);
    loop {
        match narrator.next(&mut news, STALLED).await {
            Ok(Some(Ok(info))) => {
                let line = info.stream.unwrap_or_default();
                // The builder's own bookkeeping tells the reader nothing.
                if !["Removing intermediate", " --->"].iter().any(|noise| line.starts_with(noise)) {
                    narrator.heard(&line);
                }
            }
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => {
                let why = match error {
                    Error::DockerStreamError { error } => error,
                    Error::DockerResponseServerError { message, .. } => message,
                    source => return Err(ImageError::container_engine("build an image", source)),
                };
                return Err(ImageError::build(name, why, narrator.tail()));
            }
            Err(Silence(silence)) => {
                let why = format!("silent for {} s", silence.as_secs());
                return Err(ImageError::build(name, why, narrator.tail()));
            }
        }
    }
}

/// Removes what builds left without a name. It carries the label of a suite, from its base or its first layer.
///
/// Failing to is no reason to fail: the next build tries again.
async fn sweep(docker: &Docker) {
    let filters =
        HashMap::from([("dangling", vec!["true".to_owned()]), ("label", vec![SUITE_LABEL.to_owned()])]);
    let _ = docker.prune_images(Some(PruneImagesOptionsBuilder::new().filters(&filters).build())).await;
}

/// Removes an image that lost its name to a newer one, unless it has other names or users.
async fn remove_unnamed(docker: &Docker, id: &str) {
    if let Ok(Some(image)) = inspect(docker, id).await
        && image.repo_tags.is_none_or(|tags| tags.is_empty())
    {
        let _ = docker.remove_image(id, Some(RemoveImageOptionsBuilder::new().build()), None).await;
    }
}
