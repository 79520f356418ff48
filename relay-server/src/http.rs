//! HTTP: answers `/bootstrap` and `/healthz`, sends files, and turns WebSocket upgrades of `/` into arrivals for the libp2p transport.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Extension, Json, Router,
    extract::{FromRequestParts as _, Request, State, WebSocketUpgrade},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use libp2p::PeerId;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tower_service::Service as _;

use crate::{
    addresses::Addresses,
    admission::{Door, Gate, Knock},
    arrivals::{Arrival, Socket},
    bootstrap, files,
    health::Health,
    limits,
    nearby::Vantage,
    way::Way,
};

/// What the handlers know.
#[derive(Clone)]
pub(crate) struct Site {
    /// The relay's PeerId.
    pub(crate) peer: PeerId,
    /// Where the relay can be dialled.
    pub(crate) addresses: Addresses,
    /// The counters of the process.
    pub(crate) health: Arc<Health>,
    /// Whether the headers of a proxy in front are believed.
    pub(crate) trust_proxy: bool,
    /// TCP connections, of any purpose.
    pub(crate) connections: Gate,
    /// TCP connections of which nothing has come yet that says what they are for.
    pub(crate) silent: Door,
    /// Upgraded sockets that are not authenticated yet.
    pub(crate) handshakes: Door,
    /// Whether where connections come from can be seen here.
    pub(crate) vantage: Vantage,
    /// To the transport.
    pub(crate) arrivals: mpsc::Sender<Arrival>,
}

/// Answers the requests of one connection, until it ends or turns into a WebSocket.
pub(crate) async fn serve<S>(stream: S, from: From, knock: Knock, router: Router)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let told_to_leave = knock.told_to_leave();
    let knock = Mutex::new(Some(knock));
    let service = service_fn(move |mut request| {
        // The first request is here: it no longer stands in the door.
        if let Some(knock) = knock.lock().unwrap_or_else(PoisonError::into_inner).take() {
            knock.come_in();
        }
        request.extensions_mut().insert(from);
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER)
        .max_buf_size(limits::HTTP_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        outcome = connection => if let Err(error) = outcome {
            tracing::debug!(%error, "HTTP connection failed");
        },
        () = told_to_leave.notified() => tracing::debug!("no request came, and others wait"),
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(crate) struct From {
    /// Its other end.
    pub(crate) remote: SocketAddr,
    /// By which of the ways that begin with a request.
    pub(crate) way: Way,
}

/// What is answered to whom.
pub(crate) fn router(site: Site, web_root: &Path) -> Router {
    let files = if web_root.as_os_str().is_empty() { Router::new().fallback(no_files) } else { files::files(web_root) };
    let pages = files.clone();
    let root = move |State(site): State<Site>, request: Request| async move {
        if request.headers().contains_key(header::UPGRADE) {
            return upgrade(site, request).await;
        }
        let mut pages = pages.clone();
        match pages.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    Router::new()
        .route("/", get(root))
        .route("/bootstrap", get(bootstrap))
        .route("/healthz", get(healthz))
        .fallback_service(files)
        .with_state(site)
}

async fn no_files() -> Response {
    (StatusCode::NOT_FOUND, "A Shoal relay. It serves no web app: its operator has not set web_root.\n").into_response()
}

async fn bootstrap(State(site): State<Site>, Extension(from): Extension<From>, headers: HeaderMap) -> Response {
    let requester = client(&headers, from.remote, site.trust_proxy).ip();
    let request = bootstrap::address_of_request(&headers, site.trust_proxy, from.way);
    public(Json(bootstrap::bootstrap(site.peer, request, site.addresses.lasting(), requester)).into_response())
}

async fn healthz(State(site): State<Site>) -> Response {
    public(Json(site.health.report()).into_response())
}

/// An answer that pages of any origin may read (sites embed the node), and nobody keeps.
fn public(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `Upgrade: websocket` on `/`.
async fn upgrade(site: Site, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Some(From { remote, way }) = parts.extensions.get().copied() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    site.vantage.look(remote.ip(), &parts.headers, site.trust_proxy);
    let remote = client(&parts.headers, remote, site.trust_proxy);
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(knock) = site.handshakes.knock(Some(remote.ip().into())) else {
        site.health.refused.add(1);
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "too many handshakes at once\n").into_response();
    };
    upgrade
        .max_frame_size(limits::WEBSOCKET_MESSAGE)
        .max_message_size(limits::WEBSOCKET_MESSAGE)
        .read_buffer_size(limits::WEBSOCKET_READ)
        .write_buffer_size(limits::WEBSOCKET_WRITE)
        .max_write_buffer_size(limits::WEBSOCKET_WRITE_QUEUE)
        .on_upgrade(move |socket| async move {
            if site.arrivals.send(Arrival { socket: Socket::WebSocket(Box::new(socket)), way, remote, knock }).await.is_err() {
                tracing::debug!("socket upgraded while shutting down");
            }
        })
}

/// Who asks. Behind a trusted proxy: the last entry of X-Forwarded-For, which the proxy itself has added.
fn client(headers: &HeaderMap, remote: SocketAddr, trust_proxy: bool) -> SocketAddr {
    if !trust_proxy {
        return remote;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    match last.and_then(|address| address.trim().parse::<IpAddr>().ok()) {
        Some(ip) => SocketAddr::new(ip, remote.port()),
        None => remote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_whom_the_trusted_proxy_saw() {
        let remote: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "203.0.113.9, 192.0.2.4".parse().unwrap());
        assert_eq!(client(&headers, remote, false), remote);
        assert_eq!(client(&headers, remote, true), "192.0.2.4:5000".parse().unwrap(), "what clients write themselves stands before it");
        headers.insert("x-forwarded-for", "unknown".parse().unwrap());
        assert_eq!(client(&headers, remote, true), remote);
    }
}
