//! The way to the container engine.

use std::{
    error::Error as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::{Docker, errors::Error};

/// A container engine that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects to the container engine and agrees on a protocol version.
///
/// `DOCKER_HOST` says where it is. Without it: Docker's usual socket, else those that Docker Desktop,
/// rootless Docker and Podman use.
pub async fn connect() -> Result<Docker, ConnectError> {
    let host = crate::setting::text("DOCKER_HOST");
    let host = match host {
        Some(host) => host,
        None => format!("unix://{}", socket(&candidates()).display()),
    };
    connect_to(host, PATIENCE).await
}

async fn connect_to(host: String, patience: Duration) -> Result<Docker, ConnectError> {
    // A socket in a folder that may not be searched looks missing to the client.
    if let Some(path) = host.strip_prefix("unix://")
        && let Err(error) = std::fs::symlink_metadata(path)
    {
        return Err(by_kind(error.kind(), host).unwrap_or_else(|host| ConnectError::Missing { host }));
    }
    let docker = match Docker::connect_with_host(&host) {
        Ok(docker) => docker,
        Err(source) => return Err(classify(source, host)),
    };
    match tokio::time::timeout(patience, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(source)) => Err(classify(source, host)),
        Err(_) => Err(ConnectError::Timeout { host }),
    }
}

/// The first socket that is there; the usual one if none is, so that the error names it.
fn socket(candidates: &[PathBuf]) -> &Path {
    candidates.iter().find(|path| path.symlink_metadata().is_ok()).unwrap_or(&candidates[0])
}

fn candidates() -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    if let Some(home) = std::env::home_dir() {
        sockets.push(home.join(".docker/run/docker.sock"));
        sockets.push(home.join(".docker/desktop/docker.sock"));
    }
    if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR") {
        sockets.push(Path::new(&runtime).join("docker.sock"));
        sockets.push(Path::new(&runtime).join("podman/podman.sock"));
    }
    sockets
}

fn classify(source: Error, host: String) -> ConnectError {
    match source {
        Error::SocketNotFoundError(_) => return ConnectError::Missing { host },
        Error::RequestTimeoutError => return ConnectError::Timeout { host },
        Error::UnsupportedURISchemeError { .. } => return ConnectError::Unsupported { host },
        _ => {}
    }
    // The system's word is somewhere down the chain.
    let mut cause = source.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && let Ok(known) = by_kind(error.kind(), host.clone())
        {
            return known;
        }
        cause = error.source();
    }
    ConnectError::Other { host, source: Box::new(source) }
}

fn by_kind(kind: io::ErrorKind, host: String) -> Result<ConnectError, String> {
    match kind {
        io::ErrorKind::NotFound => Ok(ConnectError::Missing { host }),
        io::ErrorKind::PermissionDenied => Ok(ConnectError::Denied { host }),
        io::ErrorKind::ConnectionRefused => Ok(ConnectError::Refused { host }),
        io::ErrorKind::TimedOut => Ok(ConnectError::Timeout { host }),
        _ => Err(host),
    }
}

/// Why there is no container engine.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket.
    #[error("no container engine at {host}: there is no such socket")]
    Missing {
        /// Where it was looked for.
        host: String,
    },
    /// The socket is somebody else's.
    #[error("the container engine at {host} may not be used by this user")]
    Denied {
        /// Where it is.
        host: String,
    },
    /// The socket is there, and nobody listens.
    #[error("nothing listens at {host}")]
    Refused {
        /// Where it was looked for.
        host: String,
    },
    /// Somebody listens, and does not answer.
    #[error("the container engine at {host} does not answer")]
    Timeout {
        /// Where it was looked for.
        host: String,
    },
    /// No way to go there.
    #[error("no way to reach a container engine at `{host}`")]
    Unsupported {
        /// Where it was looked for.
        host: String,
    },
    /// It answered with something else.
    #[error("the container engine at {host} cannot be used")]
    Other {
        /// Where it is.
        host: String,
        /// What it said.
        source: Box<Error>,
    },
}

impl ConnectError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { .. } | Self::Refused { .. } => {
                "start it (`sudo systemctl start docker`, or open \
                Docker Desktop), or set DOCKER_HOST to where it is; `docker context ls` shows that"
                    .to_owned()
            }
            Self::Denied { .. } => "join the group that may: `sudo usermod -aG docker $USER`, then log in \
                again; rootless Docker needs DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock"
                .to_owned(),
            Self::Timeout { .. } => "see whether `docker version` answers; if not, restart the container \
                engine, or correct DOCKER_HOST"
                .to_owned(),
            Self::Unsupported { .. } => {
                "DOCKER_HOST takes unix:///path/to/docker.sock or tcp://host:port".to_owned()
            }
            Self::Other { .. } => "see whether `docker version` works with the same DOCKER_HOST; \
                the lab needs API 1.41 (Docker 20.10) or newer"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything here answers at once or never.
    async fn error(host: &str) -> ConnectError {
        connect_to(host.to_owned(), Duration::from_millis(300)).await.expect_err("nobody is there")
    }

    #[tokio::test]
    async fn a_missing_socket_is_missing() {
        assert!(matches!(error("unix:///nonexistent").await, ConnectError::Missing { .. }));
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_refuses() {
        // Bound and dropped, so that nobody else has it.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = error(&format!("tcp://127.0.0.1:{port}")).await;
        assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = error(&format!("tcp://{}", listener.local_addr().unwrap())).await;
        assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_strange_address_is_unsupported() {
        let error = error("gopher://docker").await;
        assert!(matches!(error, ConnectError::Unsupported { .. }), "{error:?}");
        assert!(error.hint().contains("DOCKER_HOST"));
    }

    #[test]
    fn the_first_socket_that_is_there_is_used() {
        let here = std::env::current_exe().unwrap();
        assert_eq!(socket(&["/nonexistent".into(), here.clone()]), here);
        assert_eq!(socket(&["/nonexistent".into(), "/nor/this".into()]), Path::new("/nonexistent"));
    }
}
