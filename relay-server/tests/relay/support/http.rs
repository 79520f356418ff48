//! As little HTTP as shows exactly what is on the wire.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use super::PATIENCE;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// `GET path`, sent as it is, with `headers` (a `Host` of one's own among them if wanted).
pub(crate) fn get(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    try_get(server, path, headers).unwrap()
}

/// The same of a server that may have no time: it closes the connection, or resets it if the request was still on its way.
pub(crate) fn try_get(server: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let own_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if own_host { String::new() } else { format!("Host: {server}\r\n") };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let border = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let head = String::from_utf8(bytes[..border].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, head, body: bytes[border + 4..].to_vec() })
}
