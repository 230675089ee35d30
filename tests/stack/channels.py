"""What receives notifications by HTTP or SMTP, as far as Alertmanager sees it."""

from __future__ import annotations

import email.policy
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.http_server import Asked, Connection, StubServer, answer, free_port

USER, PASSWORD = "alerts", "very-secret-word"


@dataclass
class Webhook(StubServer):
    """Stores the messages that it receives, and answers as Slack does.

    Attributes:
        messages: The messages, in order.
        refusing: Whether it answers as a revoked webhook.
        latency: Seconds from a message to the answer.
    """

    messages: list[Mapping[str, Any]] = field(default_factory=list)
    refusing: bool = False
    latency: float = 0.0

    @property
    def url(self) -> str:
        """The address, with its secret path."""
        return f"{super().url}/services/very-secret-path"

    @property
    def titles(self) -> list[str]:
        """The titles of all messages of Slack, in order."""
        return [message["attachments"][0]["title"] for message in self.messages]

    def titled(self, *words: str) -> list[Mapping[str, Any]]:
        """Return the attachments of Slack's messages with all of these words in the title."""
        attachments = [message["attachments"][0] for message in self.messages]
        return [found for found in attachments if all(word in found["title"] for word in words)]

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Store a message, and answer it."""
        if not self.refusing:
            self.messages.append(asked.content)
        time.sleep(self.latency)
        status, body = (404, b"no_service") if self.refusing else (200, b"ok")
        connection.send(answer(status, body, content_type="text/html", connection="close"))
        return False


@dataclass(frozen=True)
class Mail:
    """One e-mail that was accepted."""

    recipients: tuple[str, ...]
    message: EmailMessage

    def part(self, kind: str) -> str:
        """Return the decoded text of a part, `plain` or `html`."""
        body = self.message.get_body((kind,))
        assert body is not None
        text: str = body.get_content()
        return text


class MailServer:
    """Takes mail over STARTTLS from its one user, with a certificate of an authority of its own."""

    def __init__(self, folder: Path) -> None:
        """Write the authority's certificate into a folder."""
        self.mails: list[Mail] = []
        self.authority = folder / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            # Its questions are not those that Alertmanager knows.
            auth_exclude_mechanism=["LOGIN"],
            authenticator=_authenticated,
        )

    def __enter__(self) -> Self:
        """Start."""
        self._controller.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self._controller.stop()

    @property
    def smarthost(self) -> str:
        """The address to put into SMTP_SMARTHOST."""
        return f"127.0.0.1:{self._controller.port}"

    @property
    def subjects(self) -> list[str]:
        """The subjects of all mails, in order."""
        return [str(mail.message["Subject"]) for mail in self.mails]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail."""
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(Mail(tuple(envelope.rcpt_tos), message))
        return "250 OK"


def _authenticated(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    right = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=data == right, handled=data == right)
