//! Asking a server who it is.

use std::{net::SocketAddr, time::Duration};

use lab_report::evidence::Role;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, aio::MultiplexedConnection};

use crate::{docker::Access, info::Info, wait::scaled};

/// A server on the next bridge answers in a millisecond, one on the other side of the world in a third of a
/// second.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server that answered, and how it was got at.
pub(super) struct Answer {
    pub(super) reach: SocketAddr,
    pub(super) access: Access,
    pub(super) role: Role,
    pub(super) info: Info,
    pub(super) connection: MultiplexedConnection,
}

/// Why a server did not say who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody listens, or whoever does says nothing.
    Silent(String),
    /// None of the ways in is one.
    Locked(String),
    /// Whoever listens speaks something else.
    Stranger,
}

/// Tries one way in after the other.
pub(super) async fn ask(reach: SocketAddr, ways_in: &[Access]) -> Result<Answer, Refusal> {
    let mut refusal = Refusal::Stranger;
    for access in ways_in {
        match enter(reach, access).await {
            Ok((info, connection)) => {
                let role = info.role();
                let answer = Answer { reach, access: access.clone(), role, info, connection };
                return if role == Role::Unreachable { Err(Refusal::Stranger) } else { Ok(answer) };
            }
            Err(error) => refusal = classify(&error),
        }
        // Another password will not make it speak.
        if !matches!(refusal, Refusal::Locked(_)) {
            break;
        }
    }
    Err(refusal)
}

async fn enter(reach: SocketAddr, access: &Access) -> Result<(Info, MultiplexedConnection), RedisError> {
    let patience = scaled(PATIENCE);
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        .set_response_timeout(Some(patience));
    let client = redis::Client::open(access.to(reach)?)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let text: String = redis::cmd("INFO").query_async(&mut connection).await?;
    Ok((Info::parse(&text), connection))
}

fn classify(error: &RedisError) -> Refusal {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) => Refusal::Locked(error.to_string()),
        (_, Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => Refusal::Locked(error.to_string()),
        // It is a server, and loading, say.
        (_, Some(_)) => Refusal::Silent(error.to_string()),
        _ if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() => {
            Refusal::Silent(error.to_string())
        }
        _ => Refusal::Stranger,
    }
}
