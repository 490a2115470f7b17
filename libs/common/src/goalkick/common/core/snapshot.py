"""How a core's state becomes bytes and back: one form for all cores."""

from typing import TypeVar

import msgspec

from goalkick.common.core.errors import InvalidDataError

State = TypeVar("State")


class _Envelope(msgspec.Struct, frozen=True):
    """What stands around every state.

    Attributes:
        core: name and version of the core, for example `risk/1`.
        fingerprint: of the settings that the state depends on.
        state: msgpack of the core's own state struct.
    """

    core: str
    fingerprint: str
    state: msgspec.Raw


def encode_snapshot(core: str, fingerprint: str, state: object) -> bytes:
    """Bytes of a core's state; equal states give equal bytes if their dicts have one order.

    Args:
        core: name and version of the core (`risk/1`); raise the version when the layout changes.
        fingerprint: of the settings that the state depends on, or "".
        state: a msgspec struct (or built-in values) holding all of it.
    """
    raw = msgspec.Raw(msgspec.msgpack.encode(state))
    return msgspec.msgpack.encode(_Envelope(core, fingerprint, raw))


def decode_snapshot(data: bytes, core: str, fingerprint: str, state_type: type[State]) -> State:
    """The state that `encode_snapshot` was given.

    Raises:
        InvalidDataError: another core, version or settings made it, or the bytes are broken.
    """
    try:
        envelope = msgspec.msgpack.decode(data, type=_Envelope)
        if (envelope.core, envelope.fingerprint) != (core, fingerprint):
            raise InvalidDataError(
                f"snapshot: expected {core} with settings {fingerprint or 'of any kind'}, found "
                f"{envelope.core} with {envelope.fingerprint or 'none'}; remove the old state or "
                "go back to the version and settings that wrote it"
            )
        return msgspec.msgpack.decode(envelope.state, type=state_type)
    except msgspec.MsgspecError as error:
        raise InvalidDataError(f"snapshot of {core}: expected its state, found {error}") from error
