//! One request: where it leads, what is sent there, and what comes back.

use std::sync::Arc;

use berth_core::connection::Spoken;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::Refusal;
use super::body::{Body, Flow};
use super::connection::Visit;
use super::pool::Failure;
use super::routing::{self, Ground};
use super::{headers, strict, tunnel};

/// Counts a request until its answer's end.
pub(crate) struct Active(Arc<Visit>);

impl Active {
    fn new(visit: &Arc<Visit>) -> Self {
        visit.active.send_modify(|active| *active += 1);
        Self(visit.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.send_modify(|active| *active -= 1);
    }
}

/// Told when the last of a request was sent, or nobody wants more of it.
struct Sent(Arc<Notify>);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

pub(crate) async fn answer(visit: &Arc<Visit>, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let accept = request.headers().get_all(ACCEPT).iter().map(|value| (ACCEPT, value.clone()));
    let asked: HeaderMap = accept.collect();
    let upgrade = request.version() == Version::HTTP_11 && request.headers().contains_key(UPGRADE);
    // Never the query: it may hold secrets.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let host = host(&request);
    let response = match &host {
        Ok(host) => pass(visit, request, host).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let response = response.unwrap_or_else(|refusal| refusal.response(&asked));
    let status = response.status();
    if upgrade && let Some(control) = &visit.control {
        control.answered(status == StatusCode::SWITCHING_PROTOCOLS);
    }
    visit.context.requests.count(visit.door.tls, status);
    tracing::debug!(
        peer = %visit.door.peer, port = visit.door.port, %method, host = host.as_deref().unwrap_or_default(), path,
        status = status.as_u16(), ms = started.elapsed().as_millis(), "a request"
    );
    response
}

async fn pass(visit: &Arc<Visit>, mut request: Request<Incoming>, host: &str) -> Result<Response<Body>, Refusal> {
    if request.method().as_str() == strict::REFUSED {
        return Err(visit.control.as_ref().map_or(Refusal::Misdirected, |control| control.refusal()));
    }
    if request.method() == Method::CONNECT {
        return Err(Refusal::Malformed("CONNECT is for proxies of another kind"));
    }
    let active = Active::new(visit);
    let find = || routing::find(&visit.context.shared, &visit.door, host);
    let ground = find().map_err(|refusal| located(refusal, visit, request.uri()))?;
    stand_on(visit, &ground);

    let asked = (request.version() == Version::HTTP_11).then(|| headers::upgrade(request.headers())).flatten();
    let client = asked.is_some().then(|| hyper::upgrade::on(&mut request));
    let sent = Arc::new(Notify::new());
    let (request, h2) = outgoing(request, visit, &ground, host, asked, Sent(sent.clone()));
    let pool = &visit.context.pool;
    let answered = async { if h2 { pool.send_h2(&ground, request).await } else { pool.send(&ground, request).await } };
    let silent = async {
        sent.notified().await;
        tokio::time::sleep(visit.stall_timeout()).await;
    };
    let response = tokio::select! {
        answered = answered => answered,
        () = silent => return Err(Refusal::Silent),
    };
    match response {
        Ok(response) => incoming(visit, ground, response, client, active),
        // What was opened on ground that is gone meanwhile, broke for that.
        Err(failure) => Err(find().err().unwrap_or_else(|| refusal(failure, visit, &ground))),
    }
}

/// One name, wherever the request says it.
fn host(request: &Request<Incoming>) -> Result<String, Refusal> {
    let mut lines = request.headers().get_all(HOST).iter();
    let (line, more) = (lines.next(), lines.next());
    let line = line.map(|line| line.to_str()).transpose().map_err(|_| Refusal::Malformed("its Host is not text"))?;
    let target = request.uri().authority().map(|authority| authority.as_str());
    let differ = matches!((line, target), (Some(line), Some(target)) if !line.eq_ignore_ascii_case(target));
    if more.is_some() || differ {
        return Err(Refusal::Malformed("it names two hosts"));
    }
    target.or(line).map(str::to_owned).ok_or(Refusal::Malformed("it has no Host"))
}

/// From now on the connection ends when this ground does, and its bytes are those of this container.
fn stand_on(visit: &Visit, ground: &Ground) {
    visit.ground.send_if_modified(|now| {
        let new = now.as_ref().is_none_or(|now| now.key() != ground.key());
        if new {
            *now = Some(ground.clone());
        }
        new
    });
    if let Some(target) = ground.target() {
        let spoken = if visit.door.tls { Spoken::Https } else { Spoken::Http };
        let open = || visit.context.shared.log.open(spoken, &target, None, visit.door.peer.ip());
        visit.tally.stand_on(target.id, open);
    }
}

/// Whether it is to be sent by h2, too: only gRPC asks for that, because no h1 server could answer it.
fn outgoing(
    request: Request<Incoming>,
    visit: &Visit,
    ground: &Ground,
    host: &str,
    upgrade: Option<HeaderValue>,
    sent: Sent,
) -> (Request<Body>, bool) {
    let (mut parts, body) = request.into_parts();
    let is_grpc = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    let grpc = parts.headers.get(CONTENT_TYPE).is_some_and(is_grpc);
    let h2 = parts.version == Version::HTTP_2 && grpc && !ground.is_api();
    headers::outgoing(&mut parts.headers, &visit.door, host, ground.is_api());
    if let Some(protocol) = upgrade {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, protocol);
    }
    let path = parts.uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    parts.uri = if h2 {
        parts.headers.remove(HOST);
        let whole = Uri::builder().scheme("http").authority(host).path_and_query(path.clone()).build();
        whole.unwrap_or_else(|_| path.into())
    } else {
        path.into()
    };
    parts.version = if h2 { Version::HTTP_2 } else { Version::HTTP_11 };
    parts.extensions.clear();
    (Request::from_parts(parts, Flow::new(body, visit.stall_timeout(), sent).boxed_unsync()), h2)
}

fn incoming(
    visit: &Arc<Visit>,
    ground: Ground,
    mut response: Response<Incoming>,
    client: Option<hyper::upgrade::OnUpgrade>,
    active: Active,
) -> Result<Response<Body>, Refusal> {
    let limit = visit.stall_timeout();
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.headers().get(UPGRADE).cloned();
    let server = upgraded.then(|| hyper::upgrade::on(&mut response));
    let (mut parts, body) = response.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let Some(server) = server else {
        return Ok(Response::from_parts(parts, Flow::new(body, limit, active).boxed_unsync()));
    };
    // Nobody asked: it answers another question.
    let (Some(client), Some(protocol)) = (client, protocol) else { return Err(Refusal::Broken) };
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, protocol);
    tunnel::open(visit.clone(), ground, client, server, active);
    Ok(Response::from_parts(parts, Flow::new(body, limit, ()).boxed_unsync()))
}

fn refusal(failure: Failure, visit: &Visit, ground: &Ground) -> Refusal {
    match failure {
        Failure::Body => {
            let refused = visit.control.as_ref().and_then(|control| control.refused());
            refused.unwrap_or(Refusal::Malformed("its body broke off"))
        }
        Failure::Refused | Failure::Unreached | Failure::Broken if ground.is_api() => Refusal::NoApi,
        Failure::Refused => Refusal::Refused(ground.address.port()),
        Failure::Unreached => Refusal::Unreached,
        Failure::Broken => Refusal::Broken,
    }
}

/// Where a redirect leads in full.
fn located(refusal: Refusal, visit: &Visit, uri: &Uri) -> Refusal {
    let Refusal::ToHttps(name) = refusal else { return refusal };
    let port = match visit.context.shared.config.https_port {
        443 => String::new(),
        other => format!(":{other}"),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Refusal::ToHttps(format!("https://{name}{port}{path}"))
}
