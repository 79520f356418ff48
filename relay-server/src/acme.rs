//! A certificate for a domain from an authority that speaks ACME (RFC 8555), such as Let's Encrypt: the relay shows at its TLS port that the domain is its own
//! (TLS-ALPN-01, RFC 8737), and keeps account, certificate and key in its data directory.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use instant_acme::{Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::ring, pki_types::PrivateKeyDer, sign::CertifiedKey};

use crate::{causes::Causes, settings::Config};

/// How long an authority may take: Let's Encrypt answers within seconds, and looks from several places.
const PATIENCE: Duration = Duration::from_secs(60);

/// No certificate was to be had.
#[derive(Debug, thiserror::Error)]
#[error("setting {setting} = {value}: {problem}")]
pub(crate) struct AcmeError {
    setting: &'static str,
    value: String,
    problem: String,
}

/// Where the certificate comes from, and where it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Acme {
    pub(crate) domain: String,
    directory: String,
    roots: PathBuf,
    folder: PathBuf,
}

impl Acme {
    /// If `config` asks for it.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        (!config.acme_domain.is_empty()).then(|| Self {
            domain: config.acme_domain.to_ascii_lowercase(),
            directory: config.acme_directory.clone(),
            roots: config.acme_roots.clone(),
            folder: config.data_dir.join("acme"),
        })
    }

    /// The file of the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }

    /// The file of its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }

    /// Gets a certificate and writes it to its files. `answer` is given what the TLS port has to show to whoever asks for `acme-tls/1`.
    ///
    /// # Errors
    /// Where the authority is not there, or does not believe that the domain is ours.
    pub(crate) async fn obtain(&self, answer: impl Fn(Arc<CertifiedKey>)) -> Result<(), AcmeError> {
        let account = self.account().await.map_err(|error| self.of_authority(&error))?;
        let identifiers = [Identifier::Dns(self.domain.clone())];
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(|error| self.of_domain(&error))?;
        self.answer(&mut order, answer).await.map_err(|error| self.of_domain(&error))?;
        let retries = RetryPolicy::new().timeout(PATIENCE);
        let status = order.poll_ready(&retries).await.map_err(|error| self.of_domain(&error))?;
        if status != OrderStatus::Ready {
            let why = why_not(&mut order).await.unwrap_or_else(|| format!("the order is {status:?}"));
            return Err(self.of_domain(&io::Error::other(why)));
        }
        let key = order.finalize().await.map_err(|error| self.of_domain(&error))?;
        let chain = order.poll_certificate(&retries).await.map_err(|error| self.of_domain(&error))?;
        self.keep(&self.key(), key.as_bytes())?;
        self.keep(&self.certificate(), chain.as_bytes())
    }

    /// That of earlier, or a new one.
    async fn account(&self) -> Result<Account, Error> {
        // Its client asks rustls for the process's own provider, and of the two that are compiled in (libp2p's is another) none is that by itself. Fails
        // where there is one.
        let _ = ring::default_provider().install_default();
        let builder = || if self.roots.as_os_str().is_empty() { Account::builder() } else { Account::builder_with_root(&self.roots) };
        let path = self.folder.join("account.json");
        if let Some(credentials) = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            match builder()?.from_credentials(credentials).await {
                Ok(account) => return Ok(account),
                Err(error) => tracing::warn!(%error, "the account of earlier is of no use any more"),
            }
        }
        let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder()?.create(&new, self.directory.clone(), None).await?;
        let bytes = serde_json::to_vec(&credentials)?;
        self.keep(&path, &bytes).map_err(|error| Error::Other(Box::new(error)))?;
        Ok(account)
    }

    /// Shows what is asked for, and says so.
    async fn answer(&self, order: &mut Order, answer: impl Fn(Arc<CertifiedKey>)) -> Result<(), Error> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let mut challenge =
                authorization.challenge(ChallengeType::TlsAlpn01).ok_or(Error::Unsupported("proof by TLS (tls-alpn-01)"))?;
            let proof = proof(&self.domain, challenge.key_authorization().digest().as_ref()).map_err(Error::Other)?;
            answer(Arc::new(proof));
            challenge.set_ready().await?;
        }
        Ok(())
    }

    /// Whole or not at all, and for its owner only.
    fn keep(&self, path: &Path, bytes: &[u8]) -> Result<(), AcmeError> {
        let unfinished = path.with_extension("new");
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        write().map_err(|error| AcmeError {
            setting: "data_dir",
            value: path.display().to_string(),
            problem: format!("{error}: name a directory that this user may write"),
        })
    }

    fn of_authority(&self, error: &Error) -> AcmeError {
        let problem = format!("{}: name the directory of an ACME authority that this machine reaches", Causes(error));
        AcmeError { setting: "acme_directory", value: self.directory.clone(), problem }
    }

    fn of_domain(&self, error: &(dyn std::error::Error + 'static)) -> AcmeError {
        let remedy = "its DNS must lead to this machine, and port 443 there to the one of tls";
        AcmeError { setting: "acme_domain", value: self.domain.clone(), problem: format!("{}: {remedy}", Causes(error)) }
    }
}

/// What the authority says was wrong with the proof.
async fn why_not(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(problem.detail.clone().unwrap_or_else(|| problem.to_string()));
        }
    }
    None
}

/// The certificate that shows it (RFC 8737 3).
fn proof(domain: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    // Without the look whether they belong together, which stumbles over the extension: it must be marked as critical.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], ring::sign::any_supported_type(&key)?))
}
