//! A block's name (CID): which format its bytes have and what they hash to.
//!
//! ```text
//!   b afk rei… (base32)   01        55          12         20       ┃ 32 bytes
//!                         version   codec raw   sha2-256   length   ┃ digest
//! ```
//!
//! Of all that <https://github.com/multiformats/cid> allows, only what a file consists of is accepted, so that later code
//! has no odd case left: codec `raw` or `dag-pb`; hash sha2-256 in full length, or `identity`, where the "digest" is the
//! content itself, of at most [`IDENTITY_BYTES`]. A CIDv0 (`Qm…`) is read as the CIDv1 that names the same block.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use multibase::Base;
use multihash::Multihash;
use sha2::{Digest as _, Sha256};

use crate::limits::{CID_BYTES, CID_TEXT, IDENTITY_BYTES};

/// The name of a block, in version 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid {
    codec: Codec,
    hash: Hash,
}

/// The format of a block's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Content as it is.
    Raw,
    /// Links and data: see [`dag_pb`](super::dag_pb).
    DagPb,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hash {
    Sha256([u8; 32]),
    Identity(Bytes),
}

/// Reads a CID as people write it: any multibase, or the bare base58 of version 0.
pub fn parse(text: &str) -> Result<Cid, CidError> {
    if text.len() > CID_TEXT {
        return Err(CidError::TooLong { length: text.len() });
    }
    if text.len() == V0_TEXT && text.starts_with("Qm") {
        let bytes = Base::Base58Btc.decode(text).map_err(|_| CidError::Text)?;
        return decode_bytes(&bytes);
    }
    let (_, bytes) = multibase::decode(text).map_err(|_| CidError::Text)?;
    if bytes.first() == Some(&V0_HEADER[0]) {
        return Err(CidError::Version { version: 0 }); // the specification: a CIDv0 has no multibase prefix
    }
    decode_bytes(&bytes)
}

/// The name of a block whose sha2-256 digest is already known.
pub fn from_digest(codec: Codec, digest: [u8; 32]) -> Cid {
    Cid { codec, hash: Hash::Sha256(digest) }
}

/// The name of these bytes, by sha2-256.
pub fn of(codec: Codec, data: &[u8]) -> Cid {
    from_digest(codec, Sha256::digest(data).into())
}

/// Whether these are the bytes that the name stands for.
pub fn verify(cid: &Cid, data: &[u8]) -> bool {
    match &cid.hash {
        Hash::Sha256(digest) => *digest == <[u8; 32]>::from(Sha256::digest(data)),
        Hash::Identity(content) => content == data,
    }
}

/// Reads a binary CID that takes up all of `bytes`.
pub fn decode_bytes(bytes: &[u8]) -> Result<Cid, CidError> {
    if bytes.len() > CID_BYTES {
        return Err(CidError::TooLong { length: bytes.len() });
    }
    if let Some(digest) = bytes.strip_prefix(&V0_HEADER) {
        let digest = digest.try_into().map_err(|_| CidError::Digest { length: digest.len() })?;
        return Ok(from_digest(Codec::DagPb, digest));
    }
    let mut rest = bytes;
    let wire = Wire::read_bytes(&mut rest).map_err(|error| match (error, bytes) {
        (cid::Error::InvalidCidVersion | cid::Error::InvalidExplicitCidV0, [version, ..]) => {
            CidError::Version { version: u64::from(*version) }
        }
        _ => CidError::Truncated,
    })?;
    // The crate's numbers may be spelt in more than one way, beyond 64 bits; a name has one spelling only.
    if rest.is_empty() && wire.to_bytes() != bytes {
        return Err(CidError::Truncated);
    }
    let codec = Codec::from_code(wire.codec()).ok_or(CidError::Codec { code: wire.codec() })?;
    let digest = wire.hash().digest();
    let length = digest.len() + rest.len();
    match wire.hash().code() {
        SHA2_256 | IDENTITY if !rest.is_empty() => Err(CidError::Digest { length }),
        SHA2_256 => digest.try_into().map(|digest| from_digest(codec, digest)).map_err(|_| CidError::Digest { length }),
        IDENTITY => Ok(Cid { codec, hash: Hash::Identity(Bytes::copy_from_slice(digest)) }),
        code => Err(CidError::Hash { code }),
    }
}

impl Cid {
    /// The format of the named bytes.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The sha2-256 digest; `None` for an identity CID, whose content is [`known`](Self::known).
    pub fn digest(&self) -> Option<&[u8; 32]> {
        match &self.hash {
            Hash::Sha256(digest) => Some(digest),
            Hash::Identity(_) => None,
        }
    }

    /// The named bytes, where the name alone tells them: an identity CID, or the empty block. Nobody needs to be asked
    /// for those, and some peers never answer for them.
    pub fn known(&self) -> Option<Bytes> {
        match &self.hash {
            Hash::Identity(content) => Some(content.clone()),
            Hash::Sha256(digest) => (*digest == EMPTY_DIGEST).then(Bytes::new),
        }
    }

    /// The binary form, at most [`CID_BYTES`] long; [`decode_bytes`] reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_wire().map(|wire| wire.to_bytes()).unwrap_or_default()
    }

    /// As the `cid` crate has it. Always there: every digest that this type can hold fits.
    fn to_wire(&self) -> Option<Wire> {
        let (code, digest): (u64, &[u8]) = match &self.hash {
            Hash::Sha256(digest) => (SHA2_256, digest),
            Hash::Identity(content) => (IDENTITY, content),
        };
        Multihash::wrap(code, digest).ok().map(|hash| Wire::new_v1(self.codec.code(), hash))
    }
}

impl Codec {
    /// The number in <https://github.com/multiformats/multicodec/blob/master/table.csv>.
    pub fn code(self) -> u64 {
        match self {
            Codec::Raw => 0x55,
            Codec::DagPb => 0x70,
        }
    }

    fn from_code(code: u64) -> Option<Self> {
        [Codec::Raw, Codec::DagPb].into_iter().find(|codec| codec.code() == code)
    }
}

/// The canonical text: version 1 in lower-case base32, `bafy…` or `bafk…`.
impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_wire().map_or(Ok(()), |wire| fmt::Display::fmt(&wire, f))
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cid {
    type Err = CidError;

    fn from_str(text: &str) -> Result<Self, CidError> {
        parse(text)
    }
}

/// Why something is not a CID that we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidError {
    /// Longer than any CID that is accepted.
    #[error("a CID is at most {CID_TEXT} characters or {CID_BYTES} bytes, this has {length}")]
    TooLong {
        /// Characters of the text or bytes of the binary form.
        length: usize,
    },
    /// Not a multibase text.
    #[error("not a CID: copy it whole, it begins with \"bafy\", \"bafk\" or \"Qm\"")]
    Text,
    /// The binary form ends early or has a malformed number.
    #[error("the CID is incomplete: copy it whole")]
    Truncated,
    /// A version that does not exist or is spelt wrongly.
    #[error("CID version {version} is not supported here: use version 1")]
    Version {
        /// The version found.
        version: u64,
    },
    /// A format of blocks that is not part of UnixFS.
    #[error("the CID names a block of format 0x{code:x}; only raw (0x55) and dag-pb (0x70) are supported")]
    Codec {
        /// The multicodec number.
        code: u64,
    },
    /// A hash function that is not accepted.
    #[error("the CID uses hash function 0x{code:x}; only sha2-256 (0x12) and identity are supported")]
    Hash {
        /// The multihash number.
        code: u64,
    },
    /// The digest is not as long as its function or its own length says.
    #[error("the CID's digest has the wrong length, {length} bytes")]
    Digest {
        /// Bytes found.
        length: usize,
    },
}

/// The `cid` crate's type, which reads and writes every CID there is; [`Cid`] holds those that a file can consist of.
type Wire = cid::CidGeneric<IDENTITY_BYTES>;

/// Multihash number of sha2-256.
const SHA2_256: u64 = 0x12;

/// Multihash number of identity.
const IDENTITY: u64 = 0x00;

/// A version 0 CID is a bare sha2-256 multihash: function, length, digest.
const V0_HEADER: [u8; 2] = [0x12, 0x20];

/// Characters of a version 0 CID in base58.
const V0_TEXT: usize = 46;

/// sha2-256 of nothing.
const EMPTY_DIGEST: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
    0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
