//! How bytes reach other peers from a page: WebSocket, WebTransport and WebRTC-direct to relays, circuits through them, WebRTC between pages.
pub mod address;
pub mod guard;
#[cfg(target_arch = "wasm32")]
pub mod noise;
#[cfg(target_arch = "wasm32")]
pub mod race;
#[cfg(target_arch = "wasm32")]
pub mod webrtc_direct;
#[cfg(target_arch = "wasm32")]
pub mod websocket;
#[cfg(target_arch = "wasm32")]
pub mod webtransport;
