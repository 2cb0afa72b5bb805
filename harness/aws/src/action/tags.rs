//! Tags: added, shown and removed.

use crate::{
    answer::{self, Listed},
    fault::Fault,
    plane::{ControlPlane, Tags},
    request::Form,
};

pub(super) fn add(plane: &ControlPlane, mut form: Form) -> Result<answer::Tags, Fault> {
    let resource = form.required("ResourceName")?;
    let tags = form.pairs("Tags");
    form.end()?;
    if tags.is_empty() {
        return Err(Fault::MissingParameter("Tags"));
    }
    Ok(described(&plane.tagged(&resource)?.change(|there| there.put(tags))?))
}

pub(super) fn list(plane: &ControlPlane, mut form: Form) -> Result<answer::Tags, Fault> {
    let resource = form.required("ResourceName")?;
    form.end()?;
    Ok(described(&plane.tagged(&resource)?.tags()))
}

pub(super) fn remove(plane: &ControlPlane, mut form: Form) -> Result<answer::Tags, Fault> {
    let resource = form.required("ResourceName")?;
    let keys = form.list("TagKeys");
    form.end()?;
    if keys.is_empty() {
        return Err(Fault::MissingParameter("TagKeys"));
    }
    Ok(described(&plane.tagged(&resource)?.change(|there| there.remove(&keys))?))
}

fn described(tags: &Tags) -> answer::Tags {
    let tag = |(key, value): (&str, &str)| answer::Tag { key: key.to_owned(), value: value.to_owned() };
    answer::Tags { tag_list: Listed(tags.pairs().map(tag).collect()) }
}
