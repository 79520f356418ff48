//! Answers what peers ask: one task a request, blocks read from the store while the one before is on the wire.

use futures::future::join;
use libp2p::PeerId;
use shoal_protocol::exchange::{Refusal, Request, RequestError, RequestReader, Upload};

use super::offer::offered;
use crate::{
    event::{Event, Serving},
    peers::Path,
    platform,
    session::{Ended, PeerSession, SessionStream},
    shared::Shared,
    throttle::Throttle,
};

/// Requests of one peer that are answered at once; more wait in the session (their streams are open, nothing is lost).
const AT_ONCE: usize = 64;

/// Serves everything a peer asks over this session, until it ends.
pub fn serve(shared: Shared, peer: PeerId, session: PeerSession) {
    let places = crate::gate::Gate::new(AT_ONCE);
    platform::spawn(async move {
        loop {
            let place = places.enter().await;
            let Some(stream) = session.accept().await else { return };
            let (shared, session) = (shared.clone(), session.clone());
            platform::spawn(async move {
                if let Err(reason) = answer(&shared, peer, &session, &stream).await {
                    tracing::debug!(%peer, reason, "request not answered");
                }
                drop(place);
            });
        }
    });
}

async fn answer(shared: &Shared, peer: PeerId, session: &PeerSession, stream: &SessionStream) -> Result<(), String> {
    let request = match read_request(stream).await.map_err(|ended| ended.to_string())? {
        Ok(request) => request,
        Err(error @ RequestError::Malformed) => {
            shared.drop_peer(peer, &format!("it sent a request that cannot be read: {error}"));
            return Err(error.to_string());
        }
        #[cfg(feature = "measure")]
        Err(RequestError::Unknown(crate::measure::KIND)) => {
            crate::measure::pour(stream).await;
            return Ok(());
        }
        // What a later version may ask is refused, not punished.
        Err(error) => {
            for bytes in Upload::refused(error.refusal()).records() {
                stream.write(bytes).await.map_err(|ended| ended.to_string())?;
            }
            stream.finish();
            return Err(error.to_string());
        }
    };
    let root = match &request {
        Request::Dag { root, .. } | Request::Has { root } | Request::Offer { root, .. } => root.to_string(),
    };
    let is_offer = matches!(request, Request::Offer { .. });
    let mut upload = match request {
        Request::Offer { size, name, .. } => offered(shared, peer.to_string(), root.clone(), size, name),
        request => Upload::new(request),
    };
    let mut sent = 0u64;
    let report = |state, bytes| {
        if is_offer {
            return;
        }
        // While there is no path, the next one is most likely of the poorer kind.
        let path = session.sent_by().unwrap_or(Path::Relayed);
        shared.emit(Event::Serving(Serving { peer: peer.to_string(), cid: root.clone(), bytes, path, state }));
    };
    // Only what takes a while is told as it goes: of a thousand small blocks a second, the end alone.
    let mut throttle = Throttle::started();
    loop {
        if session.may_not_send() {
            upload.refuse(Refusal::Relayed);
        }
        let records = upload.records();
        let write = async {
            for bytes in records {
                let length = bytes.len() as u64;
                stream.write(bytes).await.map_err(|ended| ended.to_string())?;
                sent += length;
            }
            Ok::<_, String>(())
        };
        let wanted = upload.wants();
        let load = async {
            match &wanted {
                Some(cid) => shared.store.get(cid).await.map_err(|error| error.to_string()),
                None => Ok(None),
            }
        };
        let (written, loaded) = join(write, load).await;
        if let Err(reason) = written {
            report("ended", sent);
            return Err(reason);
        }
        if wanted.is_none() {
            break;
        }
        match loaded {
            Ok(data) => upload.supply(data),
            Err(reason) => {
                tracing::error!(reason, "cannot serve");
                upload.refuse(Refusal::Busy);
            }
        }
        if throttle.due() {
            report("active", sent);
        }
    }
    stream.finish();
    report("done", sent);
    Ok(())
}

/// Reads the request, or says what is wrong with it.
async fn read_request(stream: &SessionStream) -> Result<Result<Request, RequestError>, Ended> {
    let mut reader = RequestReader::default();
    while let Some(part) = stream.read().await? {
        stream.consumed(part.len() as u64);
        if let Err(error) = reader.receive(&part) {
            return Ok(Err(error));
        }
    }
    Ok(reader.finish())
}
