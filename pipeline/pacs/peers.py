"""The peers of ``pacs.yaml`` by their names."""

from pipeline.pacs.peer import Peer
from pipeline.pacs.settings import Settings, WebPeer


def open_peer(settings: Settings, name: str) -> Peer:
    """Return what speaks to a peer; nothing is sent yet.

    Args:
        settings: of pacs.yaml.
        name: of the peer.

    Raises:
        ValueError: no such peer, or a variable of the environment is not set.
    """
    peer = settings.peers.get(name)
    if peer is None:
        raise ValueError(f"{name}: no such peer; peers of pacs.yaml: {', '.join(settings.peers)}")
    if isinstance(peer, WebPeer):
        from pipeline.pacs.web_peer import DicomWeb

        return DicomWeb(name, peer, settings.limits)
    from pipeline.pacs.dimse_peer import Dimse

    return Dimse(name, peer, settings.limits, settings.aet)
