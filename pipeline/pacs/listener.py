"""Where studies are received: C-STORE and C-ECHO, of the configured peers alone."""

import errno
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from pipeline.pacs.dimse_peer import TRANSFER_SYNTAXES
from pipeline.pacs.instances import StoreInstance
from pipeline.pacs.receiving import Receiver
from pipeline.pacs.settings import DimsePeer, Listen, Settings
from pipeline.pacs.tls import server_context

Say = Callable[[str], None]

HANDSHAKE_SECONDS = 10.0
IDLE_SECONDS = 60
"""How long an association may say nothing."""
REJECTED, BY_USER, UNKNOWN_CALLER = 1, 1, 3
"""Result, source and reason of the answer to an unknown application entity."""
MAX_REMARKS = 100
"""Number of unknown ones that are named, so that they cannot fill the log."""


class Admission:
    """Which application entities are accepted, each from its own address only.

    Args:
        peers: of pacs.yaml; those that speak DICOMweb send nothing here.
        say: is given a line about each unknown one, once.
    """

    def __init__(self, peers: Mapping[str, object], say: Say) -> None:
        self.peers = [peer for peer in peers.values() if isinstance(peer, DimsePeer)]
        self.say, self._said = say, set[str]()

    def accepts_address(self, address: str) -> bool:
        """Return whether a configured peer has the address."""
        if any(address in _addresses(peer.host) for peer in self.peers):
            return True
        self._remark(f"{address}: refused, no peer of pacs.yaml has this address")
        return False

    def accepts(self, title: str, address: str) -> bool:
        """Return whether a configured peer has both."""
        hosts = [peer.host for peer in self.peers if peer.aet.strip() == title.strip()]
        if any(address in _addresses(host) for host in hosts):
            return True
        self._remark(f"{title} at {address}: refused, no peer of pacs.yaml has both")
        return False

    def _remark(self, line: str) -> None:
        if line not in self._said and len(self._said) < MAX_REMARKS:
            self._said.add(line)
            self.say(line)


class PeerServer(ThreadedAssociationServer):
    """Takes connections of the configured addresses; others are closed before a byte is read."""

    accepts_address: Callable[[str], bool]

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return the next connection.

        Raises:
            OSError: it is of another address, or its certificate is refused; the server goes on.
        """
        connection, address = cast(socket.socket, self.socket).accept()
        try:
            if not self.accepts_address(address[0]):
                raise OSError(f"{address[0]}: not configured")
            if self.ssl_context:
                connection.settimeout(HANDSHAKE_SECONDS)
                connection = self.ssl_context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            raise
        return connection, address


@contextmanager
def listening(settings: Settings, store: StoreInstance, say: Say) -> Iterator[None]:
    """Receive studies in a block; nothing where pacs.yaml has no ``listen``.

    Args:
        settings: of pacs.yaml.
        store: what is done with an instance, by any thread, before its sender is answered.
        say: is given a line about each refusal.

    Raises:
        OSError: the port cannot be had.
    """
    if settings.listen is None:
        yield
        return
    entity, server = _server(settings, settings.listen, store, say)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        for association in entity.active_associations:
            association.abort()
        socketserver.BaseServer.shutdown(server)
        server.server_close()
        thread.join()


def _server(
    settings: Settings, listen: Listen, store: StoreInstance, say: Say
) -> tuple[AE, PeerServer]:
    admission = Admission(settings.peers, say)
    entity = AE(settings.aet)
    entity.require_called_aet = True
    entity.maximum_associations = listen.associations
    entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = IDLE_SECONDS
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), TRANSFER_SYNTAXES)
    entity.add_supported_context(Verification)
    receiver = Receiver(
        store, settings.limits.instance_bytes, lambda error: say(f"refused: {_line(error)}")
    )
    handlers = [(evt.EVT_REQUESTED, _admit, [admission]), *receiver.handlers]
    try:
        server = entity.make_server(
            (listen.host, listen.port),
            ssl_context=server_context(listen.tls) if listen.tls else None,
            evt_handlers=handlers,
            server_class=PeerServer,
        )
    except OSError as error:
        raise OSError(
            f"{listen.host}:{listen.port}: cannot be listened at ({_words(error)}); give listen "
            "another port or host, or end what listens there"
        ) from None
    server.accepts_address = admission.accepts_address
    return entity, server


def _admit(event: evt.Event, admission: Admission) -> None:
    """Reject an association of an entity that is not configured, or comes from elsewhere."""
    requestor = event.assoc.requestor
    title = str(requestor.primitive.calling_ae_title)
    if not admission.accepts(title, requestor.address):
        event.assoc.acse.send_reject(REJECTED, BY_USER, UNKNOWN_CALLER)
        event.assoc.kill()  # it waits until the answer is sent


def _addresses(host: str) -> set[str]:
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:  # a name that is unknown now has no address
        return set()


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _words(error: OSError) -> str:
    return "in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
