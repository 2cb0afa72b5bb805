//! The servers of a compose project: whatever in its containers speaks Redis.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
};

use bollard::{
    Docker as Api,
    models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::ListContainersOptionsBuilder,
};
use futures_util::future::join_all;

use super::{
    AttachError, Member,
    ask::{Refusal, ask},
};
use crate::{
    docker::{Access, Addressing, DockerError, PORT, Standing, addresses},
    environment::Terms,
    secret::Secret,
};

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const NUMBER: &str = "com.docker.compose.container-number";
/// `REDIS_SENTINEL_PORT`.
const SENTINEL_PORT: u16 = 26379;

/// Every server of the project that runs.
pub(super) async fn members(
    api: &Api,
    addressing: Addressing,
    project: &str,
    terms: &Terms,
) -> Result<Vec<Member>, AttachError> {
    let containers = list(api, &format!("{PROJECT}={project}")).await?;
    if containers.is_empty() {
        let all = list(api, PROJECT).await?;
        let known: BTreeSet<String> = all.iter().filter_map(|container| label(container, PROJECT)).collect();
        let known = known.into_iter().collect();
        return Err(AttachError::NoProject { project: project.to_owned(), known });
    }
    let running: Vec<&ContainerSummary> = containers
        .iter()
        .filter(|container| container.state == Some(ContainerSummaryStateEnum::RUNNING))
        .collect();
    if running.is_empty() {
        return Err(AttachError::NothingRuns { project: project.to_owned(), containers: containers.len() });
    }
    let asked = join_all(running.into_iter().map(|container| servers_of(api, addressing, container, terms)));
    let mut members = Vec::new();
    for servers in asked.await {
        members.extend(servers?);
    }
    Ok(members)
}

async fn list(api: &Api, label: &str) -> Result<Vec<ContainerSummary>, DockerError> {
    let filter = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
    api.list_containers(Some(options)).await.map_err(DockerError::api("listing containers"))
}

fn label(container: &ContainerSummary, name: &str) -> Option<String> {
    container.labels.as_ref()?.get(name).cloned()
}

/// The servers in a container: none, one, or several.
async fn servers_of(
    api: &Api,
    addressing: Addressing,
    container: &ContainerSummary,
    terms: &Terms,
) -> Result<Vec<Member>, AttachError> {
    let id = container.id.clone().unwrap_or_default();
    let found = api.inspect_container(&id, None).await;
    let found = found.map_err(DockerError::api(format!("looking at container {id}")))?;
    let name = name(container);
    let mut ways_in = terms.ways_in();
    let with = |password| Access { password: Some(password), ..Access::default() };
    ways_in.extend(passwords(&found).into_iter().map(with));
    let standing = Standing::of(&found);
    let addresses = addresses(&found);
    let mut members = Vec::new();
    for port in ports(&found) {
        let Some(reach) = reach(&found, addressing, &addresses, port) else { continue };
        match ask(reach, &ways_in).await {
            Ok(answer) => members.push(Member {
                name: name.clone(),
                addresses: addresses.iter().map(|address| SocketAddrV4::new(*address, port)).collect(),
                answer,
                image: image(&found),
                standing: standing.clone(),
            }),
            Err(Refusal::Locked(says)) => return Err(AttachError::Locked { who: name, says }),
            Err(Refusal::Silent(_) | Refusal::Stranger) => {}
        }
    }
    Ok(members)
}

/// Its service; with its number where that has several containers.
fn name(container: &ContainerSummary) -> String {
    let service = label(container, SERVICE).unwrap_or_else(|| "container".to_owned());
    match label(container, NUMBER).as_deref() {
        None | Some("1") => service,
        Some(number) => format!("{service}-{number}"),
    }
}

/// What its image or its owner says that it listens on, and the usual.
fn ports(found: &ContainerInspectResponse) -> BTreeSet<u16> {
    let exposed = found.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    let tcp = exposed.into_iter().flatten().filter_map(|port| port.strip_suffix("/tcp")?.parse().ok());
    tcp.chain([PORT, SENTINEL_PORT]).collect()
}

fn reach(
    found: &ContainerInspectResponse,
    addressing: Addressing,
    addresses: &[Ipv4Addr],
    port: u16,
) -> Option<SocketAddr> {
    match addressing {
        Addressing::Direct => addresses.first().map(|address| (*address, port).into()),
        Addressing::Mapped => {
            let ports = found.network_settings.as_ref()?.ports.as_ref()?;
            let bindings = ports.get(&format!("{port}/tcp"))?.as_ref()?;
            let port = bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok())?;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
        }
    }
}

/// The passwords that its owner gave the container, in its environment or its command.
fn passwords(found: &ContainerInspectResponse) -> Vec<Secret> {
    let Some(config) = &found.config else { return Vec::new() };
    let named = |name: &str| {
        let name = name.to_ascii_uppercase();
        (name.contains("PASS") || name.ends_with("_AUTH")) && !name.ends_with("_FILE")
    };
    let variables = config.env.iter().flatten().filter_map(|variable| variable.split_once('='));
    let variables = variables.filter(|(name, _)| named(name)).map(|(_, value)| value);
    let words: Vec<&str> =
        config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten()).map(String::as_str).collect();
    let words = words.iter().flat_map(|word| word.split_whitespace()).collect::<Vec<_>>();
    let arguments = words.windows(2).filter(|pair| pair[0] == "--requirepass").map(|pair| pair[1]);
    let secret = |text: &str| Secret::from(text.trim_matches(['"', '\'']).to_owned());
    variables.chain(arguments).filter(|text| !text.is_empty()).map(secret).collect()
}

fn image(found: &ContainerInspectResponse) -> (String, String) {
    let name = found.config.as_ref().and_then(|config| config.image.clone());
    (name.unwrap_or_default(), found.image.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use bollard::models::ContainerConfig;

    use super::*;

    fn found(env: &[&str], cmd: &[&str], exposed: &[&str]) -> ContainerInspectResponse {
        let owned = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let config = ContainerConfig {
            env: owned(env),
            cmd: owned(cmd),
            exposed_ports: owned(exposed),
            ..ContainerConfig::default()
        };
        ContainerInspectResponse { config: Some(config), ..ContainerInspectResponse::default() }
    }

    #[test]
    fn a_password_is_found_where_people_put_it() {
        let env = ["PATH=/bin", "REDIS_PASSWORD=one", "REDISCLI_AUTH=two", "REDIS_PASSWORD_FILE=/run/x"];
        let cmd = ["redis-server", "--requirepass", "three"];
        let shell = ["sh", "-c", "redis-server --requirepass 'four'"];
        let texts = |found| passwords(&found).iter().map(|s| s.reveal().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(found(&env, &cmd, &[])), ["one", "two", "three"]);
        assert_eq!(texts(found(&[], &shell, &[])), ["four"]);
    }

    #[test]
    fn exposed_ports_are_tried_and_the_usual_ones_always() {
        let ports: Vec<u16> =
            ports(&found(&[], &[], &["7000/tcp", "53/udp", "6379/tcp"])).into_iter().collect();
        assert_eq!(ports, [6379, 7000, 26379]);
    }
}
