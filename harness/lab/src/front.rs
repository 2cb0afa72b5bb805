//! A front: gives clients outside this process an endpoint on localhost that behaves as the name does.
//!
//! A new connection goes where the name points now; an open one stays where it is.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use lab_report::evidence::EndpointName;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::{endpoint::Records, wait};

/// A node that has not taken a connection by then is down, and the client had better resolve again.
const CONNECT: Duration = Duration::from_secs(10);
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A listening front; closed, with its connections, when dropped.
pub struct Front {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Front {
    /// Listens on localhost; port 0 is any free one.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn listen(records: &Records, endpoint: EndpointName, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, records.clone(), endpoint));
        Ok(Self { address, _serving: serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, records: Records, endpoint: EndpointName) {
    let mut connections = JoinSet::new();
    loop {
        // A client that vanished between its SYN and now is not a reason to stop listening. Nor is being out
        // of file descriptors, which lasts: asking again at once would keep a processor busy.
        let Ok((client, _)) = listener.accept().await else {
            wait::pass(ACCEPT_AGAIN).await;
            continue;
        };
        let target = records.look_up(endpoint).map(|node| node.reach());
        connections.spawn(async move {
            if let Some(target) = target {
                // However it ends, both sides see their connection close.
                let _ = forward(client, target).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut client: TcpStream, target: SocketAddr) -> io::Result<()> {
    let mut server = timeout(CONNECT, TcpStream::connect(target)).await??;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
