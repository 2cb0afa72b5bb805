//! What the kernel can do, as far as that shows without privilege. Every lab boots without these; steps that cut links
//! or hold nodes need them.

use std::{path::Path, process::Stdio};

use super::Finding;

const NETEM: &str = "kernel: netem";
const NFTABLES: &str = "kernel: nftables";
const HTB: &str = "kernel: htb";
const FREEZER: &str = "kernel: freezer";

/// A split asks the kernel for what it needs before it cuts anything.
const SKIPPED: &str = "are reported as skipped";
/// Nobody asks before a node is held: the step ends there.
const UNKNOWN: &str = "end early, and what they claim is unknown";

/// The findings of [`examine`], in its order.
pub(super) const NAMES: [&str; 4] = [NFTABLES, HTB, NETEM, FREEZER];

/// `release` is the kernel that runs the containers, as the container engine says.
pub(super) async fn examine(release: Option<&str>) -> Vec<Finding> {
    let config = match release {
        Some(release) if Some(release) == sysinfo::System::kernel_version().as_deref() => {
            config(release).await
        }
        _ => None,
    };
    let config = config.as_deref();
    vec![
        finding(NFTABLES, has(config, "CONFIG_NF_TABLES"), "partitions and lossy links", SKIPPED),
        finding(HTB, has(config, "CONFIG_NET_SCH_HTB"), "slow links", SKIPPED),
        finding(NETEM, has(config, "CONFIG_NET_SCH_NETEM"), "late links", SKIPPED),
        finding(FREEZER, freezer(config), "held nodes", UNKNOWN),
    ]
}

/// The configuration that the kernel was built with: from itself, or from beside it on disk.
async fn config(release: &str) -> Option<String> {
    for path in [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")] {
        if let Ok(config) = tokio::fs::read_to_string(path).await {
            return Some(config);
        }
    }
    let output = tokio::process::Command::new("zcat")
        .arg("/proc/config.gz")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .await
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Built in or as a module; `None` if there is no telling.
fn has(config: Option<&str>, option: &str) -> Option<bool> {
    let set = |line: &str| {
        line.strip_prefix(option).is_some_and(|value| value.starts_with("=y") || value.starts_with("=m"))
    };
    Some(config?.lines().any(set))
}

/// The second version of control groups always has it.
fn freezer(config: Option<&str>) -> Option<bool> {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() && config.is_some() {
        return Some(true);
    }
    has(config, "CONFIG_CGROUP_FREEZER")
}

fn finding(name: &'static str, has: Option<bool>, used_for: &str, their_steps: &str) -> Finding {
    let without = format!("steps with {used_for} {their_steps}; the others do not mind");
    match has {
        Some(true) => Finding::ok(name, format!("there, for {used_for}")),
        Some(false) => Finding::warn(name, "this kernel is built without it", without),
        None => Finding::warn(
            name,
            "unknown: the kernel's configuration cannot be read from here",
            format!("if it is missing, {without}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_the_configuration() {
        let config = Some("CONFIG_NF_TABLES=m\n# CONFIG_NET_SCH_NETEM is not set\nCONFIG_NF_TABLES_INET=y\n");
        assert_eq!(has(config, "CONFIG_NF_TABLES"), Some(true));
        assert_eq!(has(config, "CONFIG_NET_SCH_NETEM"), Some(false));
        assert_eq!(has(config, "CONFIG_NF"), Some(false), "a prefix is another option");
        assert_eq!(has(None, "CONFIG_NF_TABLES"), None);
    }

    #[tokio::test]
    async fn another_machines_kernel_is_unknown() {
        let findings = examine(Some("0.0.0-nobodys")).await;
        assert_eq!(findings.iter().map(|finding| finding.name).collect::<Vec<_>>(), NAMES);
        assert!(findings.iter().all(|finding| finding.detail.starts_with("unknown")));
    }
}
