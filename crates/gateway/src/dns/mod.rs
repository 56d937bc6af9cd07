//! The zone `compute.<domain>`, where an operator delegates it to the gateway: authoritative, over UDP and TCP, never
//! recursive.

mod zone;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::{DNSClass, Name, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use serde::Deserialize;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;

use crate::acme::Acme;
use crate::{Error, Shared};
use zone::{Answer, Zone};

/// A connection that asks nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(5);
/// Answers of one connection that may wait to be read.
const WAITING: usize = 32;
/// Fits into a packet everywhere (the DNS flag day of 2020); larger answers go over TCP.
const MAX_PAYLOAD: u16 = 1232;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Where the public reaches the gateway: what every name of the zone leads to.
    pub addresses: Vec<IpAddr>,
    /// The zone's servers as the parent zone names them, the primary first; empty: the apex itself.
    #[serde(default)]
    pub nameservers: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Listeners {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    zone: Option<Zone>,
}

impl Listeners {
    pub(crate) async fn bind(shared: &Shared) -> Result<Self, Error> {
        let Some(settings) = &shared.config.dns else { return Ok(Self::default()) };
        let zone = Zone::new(settings, shared.table.apex(), shared.keys.host.public_key().clone());
        let mut bound = Self { zone: Some(zone.map_err(Error::Nameservers)?), ..Self::default() };
        for address in settings.listen.iter().copied() {
            let failed = |error| Error::Listen { address, error };
            bound.udp.push(UdpSocket::bind(address).await.map_err(failed)?);
            bound.tcp.push(TcpListener::bind(address).await.map_err(failed)?);
        }
        Ok(bound)
    }

    pub(crate) async fn serve(self, shared: Arc<Shared>, stop: CancellationToken) {
        let Some(zone) = self.zone else { return stop.cancelled().await };
        let mut server = Server::new(Handler { shared: shared.clone(), zone });
        self.udp.into_iter().for_each(|socket| server.register_socket(socket));
        self.tcp.into_iter().for_each(|listener| server.register_listener(listener, IDLE, WAITING));
        stop.cancelled().await;
        if let Err(error) = server.shutdown_gracefully().await {
            tracing::debug!(%error, "the DNS server ended");
        }
    }
}

#[derive(Debug)]
struct Handler {
    shared: Arc<Shared>,
    zone: Zone,
}

impl Handler {
    fn answer(&self, request: &Request) -> Answer {
        match request.request_info() {
            Ok(info) if info.query.query_class() == DNSClass::IN => {
                let name = Name::from(info.query.name());
                let challenges = self.shared.acme.as_ref().map(Acme::challenges);
                self.zone.answer(&self.shared.table, challenges.as_deref(), &name, info.query.query_type())
            }
            // Not exactly one question, or another class.
            Ok(_) | Err(_) => Answer::Refused,
        }
    }
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut reply: R) -> ResponseInfo {
        let question = request.metadata.message_type == MessageType::Query && request.metadata.op_code == OpCode::Query;
        let (code, answers) = match (question, self.answer(request)) {
            (false, _) => (ResponseCode::NotImp, Vec::new()),
            (true, Answer::Records(records)) => (ResponseCode::NoError, records),
            (true, Answer::NoData) => (ResponseCode::NoError, Vec::new()),
            (true, Answer::NoName) => (ResponseCode::NXDomain, Vec::new()),
            (true, Answer::Refused) => (ResponseCode::Refused, Vec::new()),
        };
        let ours = matches!(code, ResponseCode::NoError | ResponseCode::NXDomain);
        let soa: Option<Record> = (ours && answers.is_empty()).then(|| self.zone.soa_record());
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = code;
        metadata.authoritative = ours;
        metadata.recursion_available = false;
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_PAYLOAD).set_version(0);
        let mut response = MessageResponseBuilder::from_message_request(request);
        if request.edns.is_some() {
            response.edns(&edns);
        }
        metrics::counter!("berth_gateway_dns_queries_total", "answer" => code.to_str()).increment(1);
        let sent = reply.send_response(response.build(metadata, &answers, [], &soa, [])).await;
        sent.unwrap_or_else(|error| {
            tracing::debug!(%error, "a DNS answer was not sent");
            Header { metadata, counts: HeaderCounts::default() }.into()
        })
    }
}
