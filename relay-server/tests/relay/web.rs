//! What browsers ask of the relay: the web app's files, and a proper end of a WebSocket.

use std::fs;

use futures::StreamExt as _;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::support::{http, program::Relay, soon};

struct Site {
    folder: tempfile::TempDir,
    relay: Relay,
}

/// A folder with a web app, and beside it what must stay inside.
fn site() -> Site {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("_astro")).unwrap();
    fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    fs::write(root.join("index.html"), "<!doctype html><title>Shoal</title>".repeat(100)).unwrap();
    fs::write(root.join("_astro/app.d34db33f.js"), "export {}").unwrap();
    fs::write(root.join("_astro/node.d34db33f.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(root.join("_astro/node.d34db33f.wasm.br"), b"as if brotli").unwrap();
    let relay = Relay::start(&["--web-root", root.to_str().unwrap()]);
    Site { folder, relay }
}

#[test]
fn the_page_may_run_its_own_code_and_no_other() {
    let site = site();
    let page = http::get(site.relay.listen, "/", &[]);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    let policy = page.header("content-security-policy").unwrap();
    for directive in ["script-src 'self' 'wasm-unsafe-eval'", "connect-src * ws: wss:", "object-src 'none'", "frame-ancestors 'self'"] {
        assert!(policy.contains(directive), "{directive} in {policy}");
    }
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
}

#[test]
fn browsers_keep_what_cannot_change_and_ask_again_for_the_rest() {
    let site = site();
    let script = http::get(site.relay.listen, "/_astro/app.d34db33f.js", &[]);
    assert_eq!(script.header("content-type"), Some("text/javascript"));
    assert_eq!(script.header("cache-control"), Some("public, max-age=31536000, immutable"));
    let missing = http::get(site.relay.listen, "/_astro/missing.js", &[]);
    assert_eq!((missing.status, missing.header("cache-control")), (404, Some("no-cache")));
    let page = http::get(site.relay.listen, "/", &[]);
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let tag = page.header("etag").unwrap();
    let again = http::get(site.relay.listen, "/", &[("If-None-Match", tag)]);
    assert_eq!((again.status, again.body.len()), (304, 0));
    fs::write(site.folder.path().join("root/index.html"), "a new build").unwrap();
    let changed = http::get(site.relay.listen, "/", &[("If-None-Match", tag)]);
    assert_eq!((changed.status, &changed.body[..]), (200, &b"a new build"[..]));
}

#[test]
fn wasm_comes_compressed_to_those_who_can_read_it() {
    let site = site();
    let get = |headers: &[_]| http::get(site.relay.listen, "/_astro/node.d34db33f.wasm", headers);
    let compressed = get(&[("Accept-Encoding", "gzip, br")]);
    assert_eq!((compressed.header("content-encoding"), &compressed.body[..]), (Some("br"), &b"as if brotli"[..]));
    assert_eq!(compressed.header("content-type"), Some("application/wasm"), "or the browser refuses to stream it");
    assert_eq!(compressed.header("vary"), Some("accept-encoding"), "or a cache gives it to others as well");
    let plain = get(&[]);
    assert_eq!((plain.header("content-encoding"), &plain.body[..4]), (None, &b"\0asm"[..]));
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let site = site();
    let root = site.folder.path().join("root");
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/_astro/../../secret.txt",
        "/..%5csecret.txt",
        "//../secret.txt",
        "/%00",
    ] {
        let answer = http::get(site.relay.listen, path, &[]);
        assert!(answer.status >= 400 && !answer.body.ends_with(b"secret"), "{path}: {}", answer.status);
    }
    let absolute = format!("/{}", root.join("../secret.txt").display());
    assert!(http::get(site.relay.listen, &absolute, &[]).status >= 400);
}

#[test]
fn a_relay_without_an_app_says_so() {
    let relay = Relay::start(&[]);
    let answer = http::get(relay.listen, "/", &[]);
    assert_eq!(answer.status, 404);
    assert!(String::from_utf8(answer.body).unwrap().contains("web_root"));
}

/// Firefox makes a page wait 200 to 400 ms for its next WebSocket to a server that broke the last one off, so every reload would be felt.
#[tokio::test]
async fn a_page_that_says_goodbye_is_answered() {
    let relay = Relay::start(&[]);
    let (mut socket, _) = connect_async(format!("ws://{}/", relay.listen)).await.unwrap();
    socket.close(None).await.unwrap();
    let answer = soon("the relay's goodbye", socket.next()).await;
    assert!(matches!(answer, Some(Ok(Message::Close(_)))), "{answer:?}");
}
