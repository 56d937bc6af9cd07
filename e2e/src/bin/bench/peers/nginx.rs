//! nginx: the peer as a reverse proxy, and the server behind both.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};

use berth_core::id::ContainerId;

use super::{LOAD, Peer, SERVER, free_port};
use crate::certificate::Certificate;
use crate::routes::hostname;

const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What `server` blocks stand in. One worker, as a process that is given one core has.
fn config(servers: &str) -> String {
    format!(
        "daemon off;\npid nginx.pid;\nerror_log stderr error;\nworker_processes 1;\nworker_rlimit_nofile 65536;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000000;\nkeepalive_timeout 1h;\n\
         server_names_hash_max_size 65536;\nserver_names_hash_bucket_size 128;\n\
         client_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\n\
         scgi_temp_path scgi;\n{servers}}}\n"
    )
}

async fn start(core: &str, servers: &str, address: (Ipv4Addr, u16)) -> anyhow::Result<Peer> {
    let folder = tempfile::Builder::new().prefix("nginx").tempdir()?;
    // Its worker, which is nobody, has files of its own there.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    std::fs::write(folder.path().join("nginx.conf"), config(servers))?;
    let prefix = format!("{}/", folder.path().display());
    let command = ["nginx", "-p", &prefix, "-c", "nginx.conf", "-e", "stderr"];
    Peer::start(core, folder, &command)?.listens(address).await
}

/// Answers a few bytes to everything.
pub(crate) async fn upstream(address: SocketAddrV4) -> anyhow::Result<Peer> {
    let servers = format!("server {{ listen {address} backlog=4096; location / {{ return 200 \"hello\\n\"; }} }}\n");
    start(LOAD, &servers, (*address.ip(), address.port())).await
}

/// A proxy of these containers' names, with the headers that the gateway sets; everything else is not found.
pub(crate) async fn proxy(ids: &[ContainerId], upstream: SocketAddrV4) -> anyhow::Result<(Peer, SocketAddrV4)> {
    let port = free_port()?;
    let mut servers = format!(
        "upstream pods {{ server {upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
         map $http_upgrade $upgrade {{ default upgrade; '' ''; }}\n\
         proxy_http_version 1.1;\nproxy_set_header Connection $upgrade;\nproxy_set_header Upgrade $http_upgrade;\n\
         proxy_read_timeout 1h;\nproxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $remote_addr;\nproxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Forwarded-Host $host;\nproxy_set_header X-Forwarded-Port $server_port;\n\
         proxy_set_header Forwarded \"for=$remote_addr;host=$host;proto=$scheme\";\n\
         server {{ listen {ADDRESS}:{port} default_server backlog=4096; return 404; }}\n"
    );
    for id in ids {
        writeln!(
            servers,
            "server {{ listen {ADDRESS}:{port}; server_name {}; location / {{ proxy_pass http://pods; }} }}",
            hostname(*id)
        )?;
    }
    let peer = start(SERVER, &servers, (ADDRESS, port)).await?;
    Ok((peer, SocketAddrV4::new(ADDRESS, port)))
}

/// HTTPS with this certificate, of the versions that the gateway speaks.
pub(crate) async fn https(certificate: &Certificate) -> anyhow::Result<(Peer, SocketAddrV4)> {
    let port = free_port()?;
    let servers = format!(
        "server {{ listen {ADDRESS}:{port} ssl backlog=4096; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {}; \
         ssl_certificate_key {}; return 404; }}\n",
        certificate.chain.display(),
        certificate.key.display()
    );
    let peer = start(SERVER, &servers, (ADDRESS, port)).await?;
    Ok((peer, SocketAddrV4::new(ADDRESS, port)))
}
