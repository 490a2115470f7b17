"""Who asks: signatures over the bytes that were sent, and the time window."""

import hashlib
import hmac
from collections.abc import Mapping

from goalkick.venue.accounts import Accounts, ApiKey
from goalkick.venue.bybit import errors

KEY, STAMP, WINDOW, SIGN = (
    "X-BAPI-API-KEY",
    "X-BAPI-TIMESTAMP",
    "X-BAPI-RECV-WINDOW",
    "X-BAPI-SIGN",
)
AHEAD_MS = 1_000
"""How far ahead of the venue a client's clock may be."""


def sign(secret: str, payload: str) -> str:
    """The signature of a text: HMAC-SHA256 in hex."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def check_request(
    accounts: Accounts,
    headers: Mapping[str, str],
    payload: str,
    *,
    now_ms: int,
    default_window_ms: int,
) -> ApiKey:
    """Finds out who sent a request.

    Args:
        accounts: valid keys.
        headers: of the request.
        payload: the query string, or the body, exactly as sent.
        now_ms: the venue's time.
        default_window_ms: window where the request does not say one.

    Raises:
        ApiError: it is not signed, or not rightly.
    """
    key, stamp, signature = (headers.get(name, "") for name in (KEY, STAMP, SIGN))
    if not (key and stamp and signature):
        raise errors.missing_credentials(key, stamp, signature)
    found = accounts.find(key)
    if found is None:
        raise errors.bad_key()
    window = headers.get(WINDOW, "")
    check_time(stamp, window or default_window_ms, now_ms)
    origin = f"{stamp}{key}{window}{payload}"
    if not hmac.compare_digest(sign(found.secret, origin), signature.lower()):
        raise errors.bad_signature(origin)
    return found


def check_time(stamp: object, window: object, now_ms: int) -> None:
    """Checks that a request is neither too old nor from the future.

    Raises:
        ApiError: it is.
    """
    try:
        sent_ms, window_ms = int(str(stamp)), int(str(window))
    except ValueError:
        raise errors.bad_time(stamp, now_ms, window) from None
    if not now_ms - window_ms <= sent_ms < now_ms + AHEAD_MS:
        raise errors.bad_time(stamp, now_ms, window)


def check_login(accounts: Accounts, args: object, now_ms: int) -> ApiKey:
    """Finds out who logs in over a WebSocket.

    Args:
        accounts: valid keys.
        args: `[key, expires, signature]`; `expires` in milliseconds.
        now_ms: the venue's time.

    Raises:
        ApiError: the login is not right.
    """
    if not isinstance(args, list) or len(args) < 3:
        raise errors.ApiError(10001, "Params Error")
    key, expires, signature = (str(arg) for arg in args[:3])
    found = accounts.find(key)
    if found is None:
        raise errors.bad_key()
    if not expires.isdigit() or int(expires) <= now_ms:
        raise errors.ApiError(10004, "Your request has expired, please check your expires param")
    if not hmac.compare_digest(sign(found.secret, f"GET/realtime{expires}"), signature.lower()):
        raise errors.ApiError(10004, "Your signature is invalid")
    return found
