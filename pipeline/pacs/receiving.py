"""The receiving side of C-STORE: what a peer sends is checked and stored before it is answered."""

from collections.abc import Callable
from typing import Any

from pynetdicom import evt
from pynetdicom.association import Association

from pipeline.pacs.instances import StoreInstance, read_instance

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000
OVERHEAD = 1.1
"""Bytes of a message by those of its instance: headers of the parts it is sent in."""
OVERHEAD_BYTES = 2**20


class Receiver:
    """Stores the instances that come over associations.

    Args:
        store: what is done with each; an answer of success is given when it returns.
        most_bytes: of an instance; who sends more loses the connection.
        refuse: is given each reason for which an instance was not taken.
    """

    def __init__(
        self, store: StoreInstance, most_bytes: int, refuse: Callable[[Exception], None]
    ) -> None:
        self.store, self.refuse = store, refuse
        self.most_bytes = int(most_bytes * OVERHEAD) + OVERHEAD_BYTES
        self._received: dict[Association, int] = {}

    @property
    def handlers(self) -> list[Any]:
        """Return the handlers of an association's events."""
        return [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._start_again),
            (evt.EVT_CONN_CLOSE, self._start_again),
        ]

    def _store(self, event: evt.Event) -> int:
        try:
            self.store(read_instance(event.encoded_dataset()))
        except OSError as error:
            self.refuse(error)
            return OUT_OF_RESOURCES
        except Exception as error:  # an association outlasts one bad instance
            self.refuse(error)
            return CANNOT_UNDERSTAND
        return SUCCESS

    def _count(self, event: evt.Event) -> None:
        """Close the connection of who sends more than an instance may have."""
        received = self._received.get(event.assoc, 0) + len(event.data)
        self._received[event.assoc] = received
        if received > self.most_bytes and event.assoc.dul.socket is not None:
            title = event.assoc.requestor.ae_title
            self.refuse(
                ValueError(f"{title}: sent more than {self.most_bytes} bytes at once; cut off")
            )
            event.assoc.dul.socket.close()

    def _start_again(self, event: evt.Event) -> None:
        self._received.pop(event.assoc, None)
