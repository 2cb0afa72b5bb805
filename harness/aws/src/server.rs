//! The service: one address, one method.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use crate::{action, answer, fault::Fault, plane::ControlPlane, request::Form};

/// The algorithm, at the beginning of a signature.
const SIGNED: &str = "AWS4-HMAC-SHA256 ";
const SERVICE: &str = "elasticache";
/// An answer takes milliseconds; whoever does not send the rest of a request is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers until stopped or dropped.
pub struct Server {
    address: SocketAddr,
    /// Whose end ends the service.
    going_on: oneshot::Sender<()>,
    serving: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Listens on localhost; port 0 is any free one.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn listen(plane: &ControlPlane, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let routes = Router::new().route("/", post(serve)).with_state(plane.clone());
        let (going_on, ended) = oneshot::channel::<()>();
        let service = axum::serve(listener, routes).with_graceful_shutdown(async {
            let _ = ended.await;
        });
        Ok(Self { address, going_on, serving: tokio::spawn(service.into_future()) })
    }

    /// What clients take for the service's endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no more requests, and answers those that it has.
    pub async fn stop(self) {
        let Self { going_on, mut serving, .. } = self;
        drop(going_on);
        if timeout(PATIENCE, &mut serving).await.is_err() {
            serving.abort();
        }
    }
}

async fn serve(State(plane): State<ControlPlane>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let answered =
        signed(plane.region(), signature).and_then(|()| action::perform(&plane, Form::parse(&body)?));
    let (status, text) = match answered {
        Ok(text) => (StatusCode::OK, text),
        Err(fault) => (fault.code().1, answer::refused(&fault)),
    };
    (status, [(header::CONTENT_TYPE, "text/xml")], text).into_response()
}

/// A signature has to be there, for this service in this region; whose it is makes no difference, because there are no
/// accounts here.
///
/// ```text
/// AWS4-HMAC-SHA256 Credential=KEY/20261122/us-east-1/elasticache/aws4_request, SignedHeaders=…, Signature=…
/// ```
fn signed(region: &str, signature: Option<&str>) -> Result<(), Fault> {
    let signature = signature.ok_or(Fault::MissingAuthenticationToken)?;
    let incomplete = |text: &str| Fault::IncompleteSignature(text.to_owned());
    let parts = signature
        .strip_prefix(SIGNED)
        .ok_or_else(|| incomplete("Authorization header requires the algorithm AWS4-HMAC-SHA256."))?;
    let part = |name: &str| {
        let mut values =
            parts.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        let found = values.next().filter(|value| !value.is_empty());
        found.ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
    };
    let (credential, _, _) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let scope: Vec<&str> = credential.split('/').collect();
    let [_, _, of_region, of_service, "aws4_request"] = scope[..] else {
        return Err(incomplete("Credential must have five elements, the last of them aws4_request."));
    };
    if of_region != region {
        return Err(Fault::OtherRegion(of_region.to_owned()));
    }
    if of_service != SERVICE {
        return Err(Fault::OtherService(of_service.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const REST: &str = "SignedHeaders=host;x-amz-date, Signature=0a1b";
    const SCOPE: &str = "Credential=KEY/20261122/us-east-1/elasticache/aws4_request";

    #[rstest]
    #[case::sound(format!("{SIGNED}{SCOPE}, {REST}"), None)]
    #[case::without_blanks(format!("{SIGNED}{SCOPE},{}", REST.replace(' ', "")), None)]
    #[case::elsewhere(
        format!("{SIGNED}{}, {REST}", SCOPE.replace("us-east-1", "eu-west-1")),
        Some("SignatureDoesNotMatch")
    )]
    #[case::another_service(
        format!("{SIGNED}{}, {REST}", SCOPE.replace("elasticache", "rds")),
        Some("SignatureDoesNotMatch")
    )]
    #[case::no_signature(format!("{SIGNED}{SCOPE}, SignedHeaders=host"), Some("IncompleteSignature"))]
    #[case::nothing_signed(format!("{SIGNED}{SCOPE}, SignedHeaders=, Signature=0a"), Some("IncompleteSignature"))]
    #[case::no_scope(format!("{SIGNED}Credential=KEY, {REST}"), Some("IncompleteSignature"))]
    #[case::another_algorithm("Bearer 0a1b".to_owned(), Some("IncompleteSignature"))]
    fn a_signature_is_whole_and_for_this_service(#[case] signature: String, #[case] code: Option<&str>) {
        let refused = signed("us-east-1", Some(&signature)).err().map(|fault| fault.code().0);
        assert_eq!(refused, code);
    }

    #[test]
    fn without_a_signature_there_is_nobody() {
        assert_eq!(signed("us-east-1", None), Err(Fault::MissingAuthenticationToken));
    }
}
