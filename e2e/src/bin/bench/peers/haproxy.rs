//! HAProxy: the peer that relays raw TCP, by splicing as well.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{Peer, SERVER, free_port};

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) async fn relay(upstream: SocketAddrV4) -> anyhow::Result<(Peer, SocketAddrV4)> {
    let (folder, port) = (tempfile::Builder::new().prefix("haproxy").tempdir()?, free_port()?);
    let config = format!(
        "global\n  nbthread 1\n  maxconn 4096\ndefaults\n  mode tcp\n  option splice-auto\n  timeout connect 5s\n\
         \x20 timeout client 1h\n  timeout server 1h\nlisten pods\n  bind {ADDRESS}:{port}\n  server pod {upstream}\n"
    );
    std::fs::write(folder.path().join("haproxy.cfg"), config)?;
    let peer = Peer::start(SERVER, folder, &["haproxy", "-db", "-f", "haproxy.cfg"])?.listens((ADDRESS, port)).await?;
    Ok((peer, SocketAddrV4::new(ADDRESS, port)))
}
