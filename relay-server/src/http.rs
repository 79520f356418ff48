//! The one port: accepts connections, answers `/bootstrap` and `/healthz`, sends files, and turns WebSocket upgrades of `/`
//! into arrivals for the libp2p transport.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
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
use shoal_protocol::connections::Network;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower_service::Service as _;

use crate::{
    addresses::Addresses,
    admission::{Door, Gate, Knock, Ticket},
    bootstrap, files,
    health::Health,
    limits,
    nearby::Vantage,
    websocket::Arrival,
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
    /// TCP connections of which no request has come yet.
    pub(crate) silent: Door,
    /// Upgraded sockets that are not authenticated yet.
    pub(crate) handshakes: Door,
    /// Whether where connections come from can be seen here.
    pub(crate) vantage: Vantage,
    /// To the transport.
    pub(crate) arrivals: mpsc::Sender<Arrival>,
}

/// Serves `site` and the files under `web_root` (none if it is empty) to whoever connects to `listener`, until dropped.
pub(crate) async fn serve(listener: TcpListener, site: Site, web_root: PathBuf) {
    let router = router(site.clone(), &web_root);
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: connections that end will free some.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let network = Network::from(remote.ip());
        // All connections of a proxy come from one address, so that nothing can be said of its clients' networks yet.
        let places = (site.connections.enter(network), site.silent.knock((!site.trust_proxy).then_some(network)));
        let (Some(ticket), Some(knock)) = places else {
            site.health.refused.add(1);
            continue;
        };
        tokio::spawn(serve_connection(stream, remote, ticket, knock, router.clone()));
    }
}

async fn serve_connection(stream: TcpStream, remote: SocketAddr, ticket: Ticket, knock: Knock, router: Router) {
    // Small frames answer small frames here: waiting to gather them (Nagle) costs up to 200 ms each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
    let told_to_leave = knock.told_to_leave();
    let knock = Mutex::new(Some(knock));
    let service = service_fn(move |mut request| {
        // The first request is here: it no longer stands in the door.
        if let Some(knock) = knock.lock().unwrap_or_else(PoisonError::into_inner).take() {
            knock.come_in();
        }
        request.extensions_mut().insert(Remote(remote));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER)
        .max_buf_size(limits::HTTP_BUFFER)
        .serve_connection(TokioIo::new(Guarded { stream, _ticket: ticket }), service)
        .with_upgrades();
    tokio::select! {
        outcome = connection => if let Err(error) = outcome {
            tracing::debug!(%error, "HTTP connection failed");
        },
        () = told_to_leave.notified() => tracing::debug!("no request came, and others wait"),
    }
}

#[derive(Clone, Copy)]
struct Remote(SocketAddr);

fn router(site: Site, web_root: &Path) -> Router {
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

async fn bootstrap(State(site): State<Site>, Extension(Remote(remote)): Extension<Remote>, headers: HeaderMap) -> Response {
    let requester = client(&headers, remote, site.trust_proxy).ip();
    let request = bootstrap::address_of_request(&headers, site.trust_proxy);
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
    let Some(Remote(remote)) = parts.extensions.get().copied() else {
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
            if site.arrivals.send(Arrival { socket, remote, knock }).await.is_err() {
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

/// A TCP stream that gives its place back when it is closed, also after an upgrade took it over.
struct Guarded {
    stream: TcpStream,
    _ticket: Ticket,
}

mod guarded {
    //! Everything is the stream's own.

    use std::{
        io,
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::Guarded;

    impl AsyncRead for Guarded {
        fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Guarded {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(context, buffer)
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffers: &[io::IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
        }

        fn is_write_vectored(&self) -> bool {
            self.stream.is_write_vectored()
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(context)
        }
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
