//! TLS for browsers: the operator's certificate, read again when its files change, so that whoever renews it needs to tell nobody; or one by ACME, renewed in time.

use std::{
    fmt::Display,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    signal::unix::Signal,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

use crate::{
    acme::{Acme, AcmeError},
    addresses::with_ip,
    limits,
    settings::Config,
    tcp::Guarded,
};

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("setting {setting} = {path}: {problem}")]
pub(crate) struct TlsError {
    /// Which setting names it.
    setting: &'static str,
    /// The file.
    path: PathBuf,
    /// What is wrong with it, and what to do.
    problem: String,
}

/// The two files, and what they were when they were read.
#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// What is in use.
#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    names: Vec<Name>,
    /// When another one should be there.
    renewal: SystemTime,
    /// When the files were written.
    written: [Option<SystemTime>; 2],
}

/// Whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Dns(String),
    Ip(IpAddr),
}

/// The certificate in use, if there is one yet, and what shows an ACME authority that the domain is ours.
#[derive(Debug, Default)]
struct InUse {
    current: RwLock<Option<Current>>,
    proof: RwLock<Option<Arc<CertifiedKey>>>,
}

/// What an ACME authority speaks (RFC 8737 6.2).
const ACME: &[u8] = b"acme-tls/1";

impl ResolvesServerCert for InUse {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|mut names| names.any(|name| name == ACME)) {
            return self.proof.read().unwrap_or_else(PoisonError::into_inner).clone();
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|current| Arc::clone(&current.key))
    }
}

/// A certificate and all that is done with it.
pub(crate) struct Tls {
    files: Files,
    acme: Option<Acme>,
    in_use: Arc<InUse>,
    acceptor: TlsAcceptor,
    patience: Duration,
}

impl Tls {
    /// Reads the files that `config` names. By ACME, the first certificate may still have to be [obtained](Self::obtain).
    ///
    /// # Errors
    /// Where they cannot be used.
    pub(crate) fn load(config: &Config) -> Result<Self, TlsError> {
        let acme = Acme::of(config);
        let (certificate, key) = match &acme {
            Some(acme) => (acme.certificate(), acme.key()),
            None => (config.tls_certificate.clone(), config.tls_key.clone()),
        };
        let files = Files { certificate, key };
        let current = match (files.read(), &acme) {
            (Ok(current), Some(acme)) => Some(current).filter(|current| current.names.contains(&Name::Dns(acme.domain.clone()))),
            (Ok(current), None) => Some(current),
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error),
        };
        let in_use = Arc::new(InUse { current: RwLock::new(current), ..InUse::default() });
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| files.problem(OfFile::Certificate, error))?;
        let mut server = builder.with_no_client_auth().with_cert_resolver(Arc::clone(&in_use) as _);
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        if acme.is_some() {
            server.alpn_protocols.push(ACME.to_vec());
        }
        let patience = Duration::from_secs(config.handshake_seconds);
        Ok(Self { files, acme, in_use, acceptor: TlsAcceptor::from(Arc::new(server)), patience })
    }

    /// Gets a certificate by ACME if there is none to begin with. The port must be open.
    ///
    /// # Errors
    /// Where there is none to be had.
    pub(crate) async fn obtain(&self) -> Result<(), AcmeError> {
        let Some(acme) = self.acme.as_ref().filter(|_| self.renewal().is_none()) else { return Ok(()) };
        tracing::info!(domain = %acme.domain, "asking for a certificate");
        self.renew(acme).await?;
        self.read();
        Ok(())
    }

    async fn renew(&self, acme: &Acme) -> Result<(), AcmeError> {
        let set = |proof| *self.in_use.proof.write().unwrap_or_else(PoisonError::into_inner) = proof;
        let outcome = acme.obtain(|proof| set(Some(proof))).await;
        set(None);
        outcome
    }

    fn renewal(&self) -> Option<SystemTime> {
        self.in_use.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|current| current.renewal)
    }

    /// Takes what the files say now, if that can be used.
    fn read(&self) {
        match self.files.read() {
            Ok(current) => {
                tracing::info!(names = ?current.names, "certificate read");
                *self.in_use.current.write().unwrap_or_else(PoisonError::into_inner) = Some(current);
            }
            // One of two may be written and the other not yet: it is tried again at the next look.
            Err(error) => tracing::warn!(%error, "the certificate before stays in use"),
        }
    }

    fn all<T>(&self, say: impl Fn(&Name) -> T) -> Vec<T> {
        let current = self.in_use.current.read().unwrap_or_else(PoisonError::into_inner);
        current.iter().flat_map(|current| &current.names).map(say).collect()
    }

    /// The server's half of a handshake.
    ///
    /// # Errors
    /// Where it fails, or takes too long.
    pub(crate) async fn accept(&self, socket: Guarded) -> io::Result<TlsStream<Guarded>> {
        timeout(self.patience, self.acceptor.accept(socket)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The hosts that the certificate is for, but for wildcards, as beginnings of addresses.
    pub(crate) fn hosts(&self) -> Vec<Multiaddr> {
        let host = |name: &Name| match name {
            Name::Dns(name) => Multiaddr::from(Protocol::Dns(name.into())),
            Name::Ip(ip) => with_ip(*ip),
        };
        self.all(host)
    }

    /// The same as they stand in a URL.
    pub(crate) fn names(&self) -> Vec<String> {
        let text = |name: &Name| match name {
            Name::Dns(name) => name.clone(),
            Name::Ip(IpAddr::V4(ip)) => ip.to_string(),
            Name::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
        };
        self.all(text)
    }

    /// Reads the files again whenever they change, and when told to by `hangup`; renews what comes by ACME.
    pub(crate) async fn keep_current(self: Arc<Self>, mut hangup: Signal) {
        let mut look = interval(limits::INTERFACE_CHECK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut tried: Option<Instant> = None;
        loop {
            let told = tokio::select! {
                _ = hangup.recv() => true,
                _ = look.tick() => false,
            };
            if let Some(acme) = &self.acme
                && self.renewal().is_none_or(|renewal| renewal <= SystemTime::now())
                && tried.is_none_or(|tried| tried.elapsed() >= limits::ACME_AGAIN)
            {
                tried = Some(Instant::now());
                if let Err(error) = self.renew(acme).await {
                    tracing::warn!(%error, "the certificate could not be renewed");
                }
            }
            let known = self.in_use.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|current| current.written);
            if told || known != Some(self.files.written()) {
                self.read();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum OfFile {
    Certificate,
    Key,
}

impl Files {
    fn problem(&self, file: OfFile, problem: impl Display) -> TlsError {
        let (setting, path) = match file {
            OfFile::Certificate => ("tls_certificate", &self.certificate),
            OfFile::Key => ("tls_key", &self.key),
        };
        TlsError { setting, path: path.clone(), problem: problem.to_string().replace('\n', " ") }
    }

    fn written(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
    }

    fn read(&self) -> Result<Current, TlsError> {
        // Before they are read: what changes while they are is seen at the next look.
        let written = self.written();
        let text = |file, path: &Path| {
            std::fs::read(path).map_err(|error| self.problem(file, format!("{error}: name a PEM file that this user may read")))
        };
        let chain = CertificateDer::pem_slice_iter(&text(OfFile::Certificate, &self.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.problem(OfFile::Certificate, format!("{error}: give a PEM file")))?;
        let Some(own) = chain.first() else {
            return Err(self.problem(OfFile::Certificate, "no certificate is in it: give a PEM file, the server's certificate first"));
        };
        let (names, renewal) = names(own).map_err(|problem| self.problem(OfFile::Certificate, problem))?;
        let key = PrivateKeyDer::from_pem_slice(&text(OfFile::Key, &self.key)?)
            .map_err(|error| self.problem(OfFile::Key, format!("{error}: give the certificate's private key as a PEM file")))?;
        let key = CertifiedKey::from_der(chain.clone(), key, &ring::default_provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                self.problem(OfFile::Key, "it is not the key of tls_certificate: give the one that belongs to it")
            }
            error => self.problem(OfFile::Key, format!("{error}: give an RSA, ECDSA or Ed25519 key")),
        })?;
        Ok(Current { key: Arc::new(key), names, renewal, written })
    }
}

/// Whom a certificate is for, if that is anybody, and now; and when two thirds of its time are over.
fn names(certificate: &CertificateDer<'_>) -> Result<(Vec<Name>, SystemTime), String> {
    let (_, certificate) =
        x509_parser::certificate::X509Certificate::from_der(certificate).map_err(|error| format!("{error}: it is no certificate"))?;
    if !certificate.validity().is_valid() {
        let validity = certificate.validity();
        return Err(format!(
            "it is valid from {} to {}, which is not now: renew it, or set this machine's clock",
            validity.not_before, validity.not_after
        ));
    }
    let alternatives = certificate.subject_alternative_name().map_err(|error| format!("{error}: its names cannot be read"))?;
    let all = alternatives.map(|alternatives| alternatives.value.general_names.as_slice()).unwrap_or_default();
    if all.is_empty() {
        return Err("it names no host (subjectAltName), so that no browser accepts it: get one for the domain of this relay".to_owned());
    }
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) if !name.contains('*') => Some(Name::Dns(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => match *bytes {
            [a, b, c, d] => Some(Name::Ip([*a, *b, *c, *d].into())),
            bytes => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Name::Ip(bytes.into())),
        },
        _ => None,
    };
    let (from, to) = (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    let renewal = u64::try_from(from + (to - from) / 3 * 2).unwrap_or_default();
    Ok((all.iter().filter_map(name).collect(), SystemTime::UNIX_EPOCH + Duration::from_secs(renewal)))
}
