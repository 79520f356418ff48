//! What an application may choose.

use std::time::Duration;

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::JsValue;

use crate::{
    direct::Version,
    limits::{ACCEPTED_FRAME, PREFERRED_FRAME, STREAM_BUFFER},
};

/// Choices for the transport, with defaults that suit a page.
#[derive(Debug, Clone)]
pub struct Config {
    /// STUN and TURN servers. Without any, only peers of the same network connect.
    pub ice_servers: Vec<IceServer>,
    /// Connect through TURN servers only, so that peers do not see each other's addresses.
    pub relay_only: bool,
    /// How long a negotiation may take, from the signalling stream to the connection.
    pub negotiation_timeout: Duration,
    /// The only version of `/webrtc-direct` to dial servers by. By default the second one, and the first one where that led nowhere.
    pub direct_version: Option<Version>,
    /// How many peer connections there may be at once, those being negotiated included. Browsers start to fail at 500.
    pub max_connections: usize,
    /// How many streams this side may have open on one connection; further ones wait. Firefox has 1,023 channels for both sides.
    pub max_outbound_streams: usize,
    /// How many streams the peer may have open on one connection; further ones are closed.
    /// Together with `max_outbound_streams` it must stay below 1,000: Firefox opens no channel any more where 1,023 ever were at once.
    pub max_inbound_streams: usize,
    /// The largest stream frame to accept, in bytes with its length prefix; peers of this implementation are told.
    pub accepted_frame: usize,
    /// The largest stream frame to send to a peer that accepts it, in bytes with its length prefix. Others get 16 KiB.
    pub sent_frame: usize,
    /// What one stream may hold for a late reader, in bytes; more resets the stream.
    pub stream_buffer: usize,
    /// What all streams of one connection may hold for late readers, in bytes; more resets the stream that gets it.
    pub connection_buffer: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            relay_only: false,
            negotiation_timeout: Duration::from_secs(15),
            direct_version: None,
            max_connections: 64,
            max_outbound_streams: 200,
            max_inbound_streams: 512,
            accepted_frame: ACCEPTED_FRAME,
            sent_frame: PREFERRED_FRAME,
            stream_buffer: STREAM_BUFFER,
            connection_buffer: 4 * STREAM_BUFFER,
        }
    }
}

/// A STUN or TURN server, as in the browser's `RTCIceServer`.
#[derive(Debug, Clone, Default)]
pub struct IceServer {
    /// Its URLs: `stun:host:port`, `turn:host:port`.
    pub urls: Vec<String>,
    /// The name to log in with, if it is a TURN server.
    pub username: Option<String>,
    /// The password to log in with, if it is a TURN server.
    pub credential: Option<String>,
}

impl Config {
    /// The browser's `RTCConfiguration`, with these servers besides its own.
    pub(super) fn to_rtc_configuration(&self, more: &[IceServer]) -> Object {
        let servers = Array::new();
        for server in self.ice_servers.iter().chain(more) {
            let urls: Array = server.urls.iter().map(JsValue::from).collect();
            let entry = Object::new();
            set(&entry, "urls", &urls);
            if let Some(username) = &server.username {
                set(&entry, "username", &username.into());
            }
            if let Some(credential) = &server.credential {
                set(&entry, "credential", &credential.into());
            }
            servers.push(&entry);
        }
        let configuration = Object::new();
        set(&configuration, "iceServers", &servers);
        if self.relay_only {
            set(&configuration, "iceTransportPolicy", &"relay".into());
        }
        configuration
    }
}

/// Sets a property of a plain object, which cannot fail.
pub(super) fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}
