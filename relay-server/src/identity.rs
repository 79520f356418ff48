//! The relay's key: an Ed25519 key pair in a file of its own, made once. Links and bootstrap lists carry the PeerId that
//! follows from it, so a damaged file is a reason to stop, never to make a new one quietly.
//!
//! The format is libp2p's protobuf of a private key (specs `peer-ids/peer-ids.md`), as other libp2p tools read it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use libp2p::identity::{KeyType, Keypair};

/// Name of the key file in the data directory.
const FILE: &str = "identity.key";

/// The key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The file is there, but it is not an Ed25519 key.
    #[error("{path}: not an Ed25519 key: restore the file from a backup, or delete it to become a new relay with a new PeerId")]
    Corrupt {
        /// The key file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("setting data_dir: {path}: {error}: name a directory that this user may write")]
    Storage {
        /// The file or directory in question.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

/// Reads the key of `data_dir`, making directory and key where there is none.
pub(crate) fn load_or_create(data_dir: &Path) -> Result<Keypair, IdentityError> {
    let path = data_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => {
            let Some(keypair) = decode(&bytes) else { return Err(IdentityError::Corrupt { path }) };
            warn_if_readable_by_others(&path);
            Ok(keypair)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let keypair = Keypair::generate_ed25519();
            let storage = |error| IdentityError::Storage { path: path.clone(), error };
            let bytes = keypair.to_protobuf_encoding().map_err(|error| storage(io::Error::other(error)))?;
            create(data_dir, &path, &bytes).map_err(storage)?;
            Ok(keypair)
        }
        Err(error) => Err(IdentityError::Storage { path, error }),
    }
}

fn decode(bytes: &[u8]) -> Option<Keypair> {
    let keypair = Keypair::from_protobuf_encoding(bytes).ok()?;
    (keypair.key_type() == KeyType::Ed25519).then_some(keypair)
}

/// Writes the whole file beside its place, then links it there: a crash leaves no half a key, and of two relays started
/// at once on one directory the second fails instead of replacing the first one's key.
fn create(data_dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    let draft = data_dir.join(format!("{FILE}.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&draft, path)
    })();
    fs::remove_file(&draft)?;
    written?;
    File::open(data_dir)?.sync_all()
}

fn warn_if_readable_by_others(path: &Path) {
    let readable = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if readable {
        tracing::warn!(path = %path.display(), remedy = "chmod 600", "identity readable by others");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("nested/data");
        let first = load_or_create(&data_dir).unwrap();
        let second = load_or_create(&data_dir).unwrap();
        assert_eq!(first.public(), second.public());
        let mode = fs::metadata(data_dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let names: Vec<_> = fs::read_dir(&data_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [FILE], "no draft is left behind");
    }

    #[test]
    fn a_damaged_key_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        load_or_create(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        for damaged in [&b""[..], b"nonsense", &whole[..whole.len() - 1]] {
            fs::write(&path, damaged).unwrap();
            let error = load_or_create(directory.path()).unwrap_err().to_string();
            assert!(error.contains("identity.key") && error.contains("backup"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn a_key_written_in_the_meantime_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        fs::write(&path, b"the other's").unwrap();
        assert!(create(directory.path(), &path, b"ours").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"the other's");
    }
}
