//! libp2p's Noise, compiled for one type of stream whatever it runs over: circuits, WebSockets, and the first channel of WebRTC-direct. Each further type
//! would be 5 kB of the download.

use libp2p::{
    PeerId,
    core::{
        UpgradeInfo,
        muxing::SubstreamBox,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    noise,
};

use futures::{AsyncRead, AsyncWrite};

/// Secures any stream.
#[derive(Clone)]
pub struct Noise(pub noise::Config);

impl UpgradeInfo for Noise {
    type Info = <noise::Config as UpgradeInfo>::Info;
    type InfoIter = <noise::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> InboundConnectionUpgrade<S> for Noise {
    type Output = (PeerId, noise::Output<SubstreamBox>);
    type Error = noise::Error;
    type Future = <noise::Config as InboundConnectionUpgrade<SubstreamBox>>::Future;

    fn upgrade_inbound(self, stream: S, protocol: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(SubstreamBox::new(stream), protocol)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + 'static> OutboundConnectionUpgrade<S> for Noise {
    type Output = (PeerId, noise::Output<SubstreamBox>);
    type Error = noise::Error;
    type Future = <noise::Config as OutboundConnectionUpgrade<SubstreamBox>>::Future;

    fn upgrade_outbound(self, stream: S, protocol: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(SubstreamBox::new(stream), protocol)
    }
}
