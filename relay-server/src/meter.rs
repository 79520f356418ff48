//! Which bytes are relayed ones. libp2p's relay copies between two streams without saying how much; of the two, the one that the asking
//! peer opened (`hop`) is counted, and it is known by the protocol's name in its first bytes.

/// What is known of a stream.
pub(crate) enum Meter {
    /// The negotiation is under way: what the peer has sent of it.
    Listening(Vec<u8>),
    /// Its bytes are relayed ones.
    On,
    /// They are not.
    Off,
}

impl Meter {
    /// Bytes within which a peer has named its protocol: multistream's own line and this one, with room for a first
    /// proposal that was declined.
    const NEGOTIATION: usize = 256;

    /// Of a stream that the peer has opened.
    pub(crate) const fn of_peer() -> Self {
        Self::Listening(Vec::new())
    }

    /// The peer has sent `bytes`. How many of them are relayed.
    pub(crate) fn received(&mut self, bytes: &[u8]) -> usize {
        self.heard(bytes);
        self.relayed(bytes.len())
    }

    /// Of so many bytes to the peer, how many are relayed.
    pub(crate) const fn relayed(&self, length: usize) -> usize {
        match self {
            Self::On => length,
            Self::Listening(_) | Self::Off => 0,
        }
    }

    fn heard(&mut self, bytes: &[u8]) {
        let Self::Listening(heard) = self else { return };
        heard.extend_from_slice(&bytes[..bytes.len().min(Self::NEGOTIATION - heard.len())]);
        let hop = libp2p::relay::HOP_PROTOCOL_NAME;
        let name = hop.as_ref().as_bytes();
        if heard.windows(name.len()).any(|window| window == name) {
            *self = Self::On;
        } else if heard.len() == Self::NEGOTIATION {
            *self = Self::Off;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;

    #[test]
    fn only_the_hop_protocol_is_metered_however_it_is_cut() {
        let hop = b"\x13/multistream/1.0.0\n\x20/libp2p/circuit/relay/0.2.0/hop\n";
        for piece in 1..hop.len() {
            let mut meter = Meter::of_peer();
            hop.chunks(piece).for_each(|bytes| meter.heard(bytes));
            assert!(matches!(meter, Meter::On), "pieces of {piece}");
        }
        let mut meter = Meter::of_peer();
        meter.heard(b"\x13/multistream/1.0.0\n\x11/ipfs/ping/1.0.0\n");
        assert!(matches!(meter, Meter::Listening(_)));
        meter.heard(&[0; 10_000]);
        assert!(matches!(meter, Meter::Off), "it stops listening");
    }
}
