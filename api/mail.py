"""How mails leave: through an SMTP server, or into a file where a demo and tests read them."""

import json
import os
import smtplib
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote, urlsplit

SendMail = Callable[[str, str, str], None]
"""Sends a mail: to whom, subject, text."""
_OWNER_ONLY = 0o600
_PATIENCE_SECONDS = 20


def nowhere(to: str, subject: str, text: str) -> None:
    """No mail leaves: where no way is set up."""


def to_file(path: Path) -> SendMail:
    """Mails as lines of JSON at the end of a file that its owner alone may read."""

    def send(to: str, subject: str, text: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = json.dumps({"to": to, "subject": subject, "text": text}) + "\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(line)

    return send


def by_smtp(url: str, sender: str) -> SendMail:
    """Mails through a server: smtps://user:password@host:465, or smtp://… with STARTTLS.

    Args:
        url: Of the server.
        sender: The address that they come from.
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "smtps"

    def send(to: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = sender, to, subject
        message.set_content(text)
        kind = smtplib.SMTP_SSL if secure else smtplib.SMTP
        with kind(host, parts.port or (465 if secure else 587), timeout=_PATIENCE_SECONDS) as server:
            if not secure:
                server.starttls()
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message)

    return send
