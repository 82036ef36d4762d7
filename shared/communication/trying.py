"""A test message to every channel, so that a dead one is found before the night on which it is needed."""

import secrets
from collections.abc import Mapping
from datetime import datetime

from shared.channel import Channel
from shared.communication.channels import send
from shared.communication.occurrences import Occurrence
from shared.errors import Finding, MxferryError


def try_channels(channels: Mapping[str, Channel], now: datetime) -> list[Finding]:
    """Send a test message to each; returns a finding for each, an error where it was not taken."""
    return [_try_channel(name, channel, now) for name, channel in sorted(channels.items())]


def _try_channel(name: str, channel: Channel, now: datetime) -> Finding:
    test = Occurrence(
        id=f"test-{secrets.token_hex(8)}", kind="test", at=now, run="none", target="none", purpose="cutover",
        words="This is a test of the set-up check: nothing has happened, and nothing is to be done.",
    )  # fmt: skip
    try:
        send(test, channel, now)
    except MxferryError as error:
        return error.finding().model_copy(
            update={
                "object": name,
                "remedy": f"Check the settings NOTIFY__{name.upper()}__…, and whether the app reaches the address.",
            }
        )
    return Finding.info("CHANNEL_READY", name, "the channel took a test message.")
