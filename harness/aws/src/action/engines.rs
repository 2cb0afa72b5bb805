//! Engines: the one that the nodes run.

use super::page::Page;
use crate::{
    answer::{self, Listed},
    fault::Fault,
    plane::ControlPlane,
    request::Form,
};

/// The one that the nodes run.
pub(super) fn describe(plane: &ControlPlane, mut form: Form) -> Result<answer::EngineVersions, Fault> {
    let (engine, version) = (form.text("Engine"), form.text("EngineVersion"));
    let family = form.text("CacheParameterGroupFamily");
    // Of one there is only the default.
    let _: Option<bool> = form.value("DefaultOnly")?;
    let page = Page::take(&mut form)?;
    form.end()?;
    let mut served = vec![served(plane)];
    served.retain(|of| {
        engine.as_ref().is_none_or(|engine| *engine == of.engine)
            && version.as_ref().is_none_or(|version| *version == of.engine_version)
            && family.as_ref().is_none_or(|family| *family == of.cache_parameter_group_family)
    });
    let (served, marker) = page.of(served, |of| of.engine_version.clone());
    Ok(answer::EngineVersions { marker, cache_engine_versions: Listed(served) })
}

fn served(plane: &ControlPlane) -> answer::EngineVersion {
    let engine = plane.docker().engine();
    let (family, version) = (engine.family(), engine.version());
    answer::EngineVersion {
        engine: family.to_string(),
        engine_version: version.to_string(),
        // `redis7`, `valkey8`: as AWS names them since version 7.
        cache_parameter_group_family: format!("{family}{}", version.major()),
        cache_engine_description: format!("{family} in containers"),
        cache_engine_version_description: engine.to_string(),
    }
}
