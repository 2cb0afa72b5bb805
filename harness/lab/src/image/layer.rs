//! What is laid on a bare Debian to make an image.

use super::{IMAGE_LABEL, RECIPE_LABEL, SUITE_LABEL};
use crate::engine::Engine;

const ENGINE_DOCKERFILE: &str = include_str!("../../../../docker/debian/Dockerfile");
const TOOLS_DOCKERFILE: &str = include_str!("../../../../docker/tools/Dockerfile");

/// The tools' image. It is made here whether a registry answers or not: nobody publishes it.
const TOOLS: &str = "failover-lab/tools:bookworm";
/// What the tools' image is made on.
const TOOLS_SUITE: &str = "bookworm";

/// An image of ours, but for the Debian that it is made on.
pub(super) struct Layer {
    /// What it holds: `redis:7.0`.
    pub(super) subject: String,
    /// The image's name.
    pub(super) name: String,
    /// The Debian release whose packages it has.
    pub(super) suite: String,
    /// How it is made.
    pub(super) dockerfile: &'static str,
    /// What the Dockerfile is told, besides its base.
    pub(super) arguments: Vec<(&'static str, String)>,
    /// Names what it is made from. A change of it makes another image.
    pub(super) recipe: String,
}

impl Layer {
    /// An engine's server and command line client.
    pub(super) fn of_engine(engine: &Engine) -> Self {
        let packages = engine.debian().packages.join(" ");
        let suite = engine.debian().suite.clone();
        let recipe = digest(&[ENGINE_DOCKERFILE, &engine.to_string(), engine.server(), &suite, &packages]);
        Self {
            subject: engine.to_string(),
            name: engine.local_image(),
            suite,
            dockerfile: ENGINE_DOCKERFILE,
            arguments: vec![
                ("PACKAGES", packages),
                ("SERVER", engine.server().to_owned()),
                ("VERSION", engine.version().to_string()),
            ],
            recipe,
        }
    }

    /// What partitions and relays run.
    pub(super) fn of_tools() -> Self {
        Self {
            subject: "tools".to_owned(),
            name: TOOLS.to_owned(),
            suite: TOOLS_SUITE.to_owned(),
            dockerfile: TOOLS_DOCKERFILE,
            arguments: vec![("SUITE", TOOLS_SUITE.to_owned())],
            recipe: digest(&[TOOLS_DOCKERFILE, TOOLS_SUITE]),
        }
    }

    /// What the image is labelled with.
    pub(super) fn labels(&self) -> [(&'static str, &str); 3] {
        [(IMAGE_LABEL, &self.subject), (SUITE_LABEL, &self.suite), (RECIPE_LABEL, &self.recipe)]
    }
}

/// FNV-1a: the same in every build of this program, which the standard hasher does not promise.
pub(super) fn digest(parts: &[&str]) -> String {
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
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_recipe_is_of_one_image() {
        let engines = Engine::all().unwrap();
        let layers: Vec<Layer> = engines.iter().map(Layer::of_engine).chain([Layer::of_tools()]).collect();
        let recipes: BTreeSet<&String> = layers.iter().map(|layer| &layer.recipe).collect();
        assert_eq!(recipes.len(), layers.len());
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(digest(&[]), "cbf29ce484222325", "FNV-1a of nothing");
    }
}
