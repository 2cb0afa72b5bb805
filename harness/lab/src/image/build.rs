//! From Debian's packages: one base per suite, one small layer per engine.

use std::{collections::HashMap, time::Duration};

use bollard::{
    Docker,
    errors::Error,
    query_parameters::{BuildImageOptionsBuilder, PruneImagesOptionsBuilder, RemoveImageOptionsBuilder},
};

use super::{
    IMAGE_LABEL, RECIPE_LABEL, SUITE_LABEL, bootstrap,
    error::ImageError,
    inspect, label,
    narrate::{Narrator, Silence},
};
use crate::{archive, engine::Engine};

/// Where Debian's packages come from, unless `LAB_DEBIAN_MIRROR` says otherwise.
const MIRROR: &str = "http://deb.debian.org/debian";
const DOCKERFILE: &str = include_str!("../../../../docker/debian/Dockerfile");
/// apt gives up on a mirror by itself before this.
const STALLED: Duration = Duration::from_secs(180);

/// Builds the engine's local image. `registry` is why it was not pulled.
pub(super) async fn build(
    docker: &Docker,
    engine: &Engine,
    registry: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), ImageError> {
    // What a killed run left half done.
    sweep(docker).await;
    let built = async {
        let base = base(docker, engine, registry, progress).await?;
        layer(docker, engine, &base, progress).await
    }
    .await;
    sweep(docker).await;
    built
}

/// Names what the engine's image is made from. A change of it makes another image.
pub(super) fn recipe(engine: &Engine) -> String {
    let packages = engine.debian().packages.join(" ");
    digest(&[DOCKERFILE, &engine.to_string(), engine.server(), &engine.debian().suite, &packages])
}

/// The suite's base image, made if it is not there.
async fn base(
    docker: &Docker,
    engine: &Engine,
    registry: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<String, ImageError> {
    let suite = &engine.debian().suite;
    let mirror = std::env::var("LAB_DEBIAN_MIRROR").ok().filter(|mirror| !mirror.is_empty());
    let mirror = mirror.as_deref().unwrap_or(MIRROR);
    let name = format!("failover-lab/debian:{suite}");
    let recipe = digest(&[suite, mirror]);

    let old = inspect(docker, &name).await?;
    if old.as_ref().is_some_and(|old| label(old, RECIPE_LABEL) == Some(&recipe)) {
        return Ok(name);
    }
    bootstrap::install(progress).await.map_err(|why| ImageError::NoWay {
        engine: engine.to_string(),
        registry: registry.to_owned(),
        why,
    })?;
    let labels = [(SUITE_LABEL, suite.as_str()), (RECIPE_LABEL, &recipe)];
    bootstrap::import(docker, &name, suite, mirror, &labels, progress).await?;
    if let Some(old) = old.and_then(|old| old.id) {
        remove_unnamed(docker, &old).await;
    }
    Ok(name)
}

/// The engine's packages on top of the base.
async fn layer(
    docker: &Docker,
    engine: &Engine,
    base: &str,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), ImageError> {
    let name = engine.local_image();
    let debian = engine.debian();
    progress(&format!("building {name} from Debian {}", debian.suite));
    let arguments = [
        ("BASE", base.to_owned()),
        ("PACKAGES", debian.packages.join(" ")),
        ("SERVER", engine.server().to_owned()),
        ("VERSION", engine.version().to_string()),
    ];
    let labels = [
        (IMAGE_LABEL, engine.to_string()),
        (SUITE_LABEL, debian.suite.clone()),
        (RECIPE_LABEL, recipe(engine)),
    ];
    let options = BuildImageOptionsBuilder::new()
        .t(&name)
        .buildargs(&HashMap::from(arguments))
        .labels(&HashMap::from(labels))
        .nocache(true)
        .rm(true)
        .forcerm(true)
        .build();
    let context = archive::of([("Dockerfile", DOCKERFILE)]);
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
                return Err(ImageError::build(&name, why, narrator.tail()));
            }
            Err(Silence(silence)) => {
                let why = format!("silent for {} s", silence.as_secs());
                return Err(ImageError::build(&name, why, narrator.tail()));
            }
        }
    }
}

/// Removes what builds left without a name. They all come from our bases, and carry their label.
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

/// FNV-1a: the same in every build of this program, which the standard hasher does not promise.
fn digest(parts: &[&str]) -> String {
    let hash = parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_of_one_engine() {
        let recipes: std::collections::BTreeSet<_> = Engine::all().unwrap().iter().map(recipe).collect();
        assert_eq!(recipes.len(), Engine::all().unwrap().len());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&[]), "cbf29ce484222325", "FNV-1a of nothing");
    }
}
