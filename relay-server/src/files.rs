//! The web app's files: what browsers may keep, what its pages may do, and how they are sent.

use std::path::Path;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use tower_http::services::{ServeDir, ServeFile};

/// The folder into which Astro writes files whose names carry a hash of their content.
const HASHED: &str = "/_astro/";

/// What a page of the app may do. Scripts only from files of this site (wasm is compiled, nothing else is evaluated); it
/// may connect anywhere, because relays and peers are anywhere; nobody may frame it, so that no other site can click in it.
/// Astro writes small styles into the page, hence `unsafe-inline` for styles alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; \
     script-src 'self' 'wasm-unsafe-eval'; \
     style-src 'self' 'unsafe-inline'; \
     worker-src 'self' blob:; \
     connect-src * ws: wss: data: blob:; \
     img-src 'self' blob: data:; \
     media-src 'self' blob: data:; \
     frame-src blob:; \
     object-src 'none'; \
     base-uri 'none'; \
     form-action 'self'; \
     frame-ancestors 'self'";

/// Serves the files under `root`, compressed where a `.br` or `.gz` lies beside them; what is not there is `404.html` if that exists.
pub(crate) fn files(root: &Path) -> Router {
    let directory = ServeDir::new(root).precompressed_br().precompressed_gzip().not_found_service(ServeFile::new(root.join("404.html")));
    let serve = move |request: Request| {
        let mut directory = directory.clone();
        async move {
            let path = request.uri().path().to_owned();
            let response = match directory.try_call(request).await {
                Ok(response) => response.map(Body::new),
                Err(error) => {
                    tracing::error!(%error, "file unreadable");
                    axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            };
            with_headers(response, &path)
        }
    };
    Router::new().fallback(serve)
}

fn with_headers(mut response: Response, path: &str) -> Response {
    let keep = response.status().is_success() && path.starts_with(HASHED);
    let headers = response.headers_mut();
    let cache_control = if keep { "public, max-age=31536000, immutable" } else { "no-cache" };
    for (name, value) in [
        (header::CACHE_CONTROL, cache_control),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
