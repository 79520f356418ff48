//! How bytes reach other peers from a page: WebSocket to relays, circuits through them, WebRTC between pages.
pub mod address;
pub mod guard;
#[cfg(target_arch = "wasm32")]
pub mod websocket;
