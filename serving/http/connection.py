"""uvicorn's connection, with a way to close it at once."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.http.stream import ABORT


class Connection(HttpToolsProtocol):
    """An application may abort it: uvicorn closes one when its reader has taken all, which a slow one never does."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item]
