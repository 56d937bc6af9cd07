//! One address has so many connections open and no more.

use tokio::io::AsyncWriteExt;

use super::site::*;

const MAX: usize = 4;

#[tokio::test]
async fn one_address_has_so_many_connections_and_gets_them_back() {
    let site = Site::with(|config| config.max_connections_per_address = MAX).await;
    let (address, mut connections) = server().await;
    site.route(ANN, Some(address));
    // Upgraded: no request is under way there any more, and the connection is.
    let mut upgraded = site.connect(80).await;
    let ask = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", host(ANN));
    upgraded.write_all(ask.as_bytes()).await.unwrap();
    let mut upstream = next("a connection", &mut connections).await;
    read_until(&mut upstream, "\r\n\r\n").await;
    let go = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    upstream.write_all(go).await.unwrap();
    read_until(&mut upgraded, "\r\n\r\n").await;
    // On other ports, shaken hands with or silent: all count.
    let tls = site.handshake(443, &host(ANN), &["h2"]).await.unwrap();
    let mut silent = vec![site.connect(8000).await, site.connect(80).await];

    for port in [80, 443, 8000] {
        assert_eq!(site.get(port, &host(ANN), "").await, "", "one more, at {port}");
    }
    assert!(site.handshake(443, &host(ANN), &[]).await.is_err());
    upgraded.write_all(b"still here\n").await.unwrap();
    read_until(&mut upstream, "still here\n").await;

    // Whoever leaves makes room for one.
    drop(silent.pop());
    let unknown = async || site.get(80, "bcdfghjm.compute.example.com", "").await.starts_with("HTTP/1.1 404 ");
    soon("room for one more", async { while !unknown().await {} }).await;
    drop((upgraded, upstream, tls, silent));
    soon("room for all", async {
        loop {
            let all = [site.connect(80).await, site.connect(443).await, site.connect(8000).await];
            if unknown().await {
                return drop(all);
            }
        }
    })
    .await;
}
