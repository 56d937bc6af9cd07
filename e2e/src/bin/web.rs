//! A server of tenants' kind, for containers of the tests, on a port or a socket: HTTP/1.1, h2 without TLS, WebSockets, streams, gRPC's health check.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let at = std::env::args().nth(1).unwrap_or_else(|| "3000".to_owned());
    let app = Router::new()
        .route("/", get(async || "hello\n"))
        .route("/echo", any(echo))
        .route("/upload", post(upload))
        .route("/big", get(big))
        .route("/ticks", get(ticks))
        .route("/ws", any(socket))
        .route("/grpc.health.v1.Health/Check", post(health));
    if at.starts_with('/') {
        return axum::serve(UnixListener::bind(at)?, app).await;
    }
    let listener = TcpListener::bind(format!("0.0.0.0:{at}")).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await
}

/// What of the request arrived.
async fn echo(request: Request) -> Response {
    let headers = request.headers().iter();
    let headers: HashMap<_, _> =
        headers.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
    let version = format!("{:?}", request.version());
    let told = json!({ "method": request.method().as_str(), "path": request.uri().path(), "version": version, "headers": headers });
    told.to_string().into_response()
}

async fn upload(body: Body) -> String {
    let length = |sum, chunk: Result<Bytes, _>| std::future::ready(chunk.map_or(sum, |chunk| sum + chunk.len() as u64));
    body.into_data_stream().fold(0, length).await.to_string()
}

async fn big(Query(query): Query<HashMap<String, usize>>) -> Body {
    let chunk = Bytes::from_static(&[b'x'; 65536]);
    let count = query.get("mib").copied().unwrap_or(1) * 16;
    Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, Infallible>(chunk.clone()))))
}

async fn ticks() -> Body {
    let every = tokio::time::interval(Duration::from_millis(100));
    Body::from_stream(stream::unfold(every, async |mut every| {
        every.tick().await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b"tick\n")), every))
    }))
}

async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// `SERVING`, as a message in a frame, and the status in trailers.
async fn health(body: Body) -> Response {
    let asked = body
        .into_data_stream()
        .fold(0, |sum, chunk: Result<Bytes, _>| std::future::ready(sum + chunk.map_or(0, |chunk| chunk.len())));
    let asked = asked.await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if asked >= 5 { "0" } else { "3" }));
    let message = stream::iter([Ok::<_, Infallible>(Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]))]);
    let frames = http_body_util::StreamBody::new(
        message
            .map(|data| data.map(http_body::Frame::data))
            .chain(stream::iter([Ok(http_body::Frame::trailers(trailers))])),
    );
    ([(header::CONTENT_TYPE, "application/grpc")], Body::new(frames)).into_response()
}
