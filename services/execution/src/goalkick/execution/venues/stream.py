"""The account's private stream: held up, begun anew whatever happens to it.

It is a convenience that makes news fast. What it may have missed is asked for whenever it begins
again, and on a period besides.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from goalkick.common.adapters.secrets.venue_keys import KeyPair
from goalkick.common.core.errors import TransientError
from goalkick.execution.venues.client import VenueClient, said
from goalkick.execution.venues.dialect import Confirmed, Dialect, Lost, News

log = structlog.get_logger()


class PrivateStream:
    """One account's private stream.

    Attributes:
        connected: whether it stands, as far as is known.
        rebuilt: how often it had to begin again.
    """

    def __init__(
        self,
        client: VenueClient,
        dialect: Dialect,
        name: str,
        hear: Callable[[News], None],
        missed: Callable[[], None],
    ) -> None:
        """Nothing is connected before `run`.

        Args:
            client: makes clients of ccxt.
            dialect: the venue's own language.
            name: venue and account, for the log.
            hear: is given every piece of news.
            missed: is called when news may have been missed.
        """
        self.connected = False
        self.rebuilt = 0
        self._client = client
        self._dialect = dialect
        self._name = name
        self._on_news = hear
        self._on_missed = missed
        self._up = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Holds it until it is cancelled."""
        self.connected = False
        self._up.clear()
        failures = 0
        while True:
            async with self._client.using() as pair:
                turned, failures = await self._held(pair, failures)
            if not turned:
                self.rebuilt += 1
                await self._client.pause(failures)

    async def _held(self, pair: KeyPair | None, failures: int) -> tuple[bool, int]:
        """Holds one stream as long as it lasts.

        Args:
            pair: what it logs in with; None: the keys of the settings.
            failures: how many failed before it without one that stood.

        Returns:
            Whether it ended because the key has turned, and how many have failed now.
        """
        tapped = self._client.make(self._tapped, pair)
        turned = False
        try:
            async with asyncio.timeout(self._client.limit_s):
                await tapped.load_time_difference()
            turned = await self._hold(tapped, pair)
        except asyncio.CancelledError as error:
            # A close of ccxt's own cancels what waits for it, which is no shutdown of ours.
            if _is_wanted():
                raise
            log.warning("private stream lost", venue=self._name, reason=said(error))
        except Exception as error:
            log.warning("private stream lost", venue=self._name, reason=said(error))
            self._client.refuses(error, pair)
        finally:
            failures = 1 if self.connected else failures + 1
            self.connected = False
            self._hang_up(tapped)
        return turned, failures

    async def close(self) -> None:
        """Waits until everything that was given up is closed; `run` has ended."""
        if self._closing:
            await asyncio.wait(self._closing)

    async def up(self) -> None:
        """Waits until it stands for the first time.

        Raises:
            TransientError: it does not within the time for an answer.
        """
        limit_s = self._client.limit_s
        try:
            async with asyncio.timeout(limit_s):
                await self._up.wait()
        except TimeoutError:
            raise TransientError(
                f"{self._name}: expected the private stream within {limit_s:g} s, found none"
            ) from None

    async def _hold(self, tapped: Any, pair: KeyPair | None) -> bool:
        """Listens until the stream is lost, or its key has turned; says whether it has."""
        guarded = self._client.settings.dead_man is not None
        listening = asyncio.ensure_future(self._dialect.listen(tapped, guarded=guarded))
        confirmed = asyncio.ensure_future(tapped.confirmed.wait())
        lost = asyncio.ensure_future(tapped.lost.wait())
        turned = asyncio.ensure_future(self._client.turned(pair))
        waiting: tuple[asyncio.Future[Any], ...] = (listening, confirmed, lost, turned)
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait(
                (listening, confirmed, lost), timeout=self._client.limit_s, return_when=first
            )
            if not confirmed.done():
                if listening.done():
                    listening.result()
                raise TransientError("expected a confirmation of the private stream, found none")
            self.connected = True
            self._up.set()
            self._on_missed()
            await asyncio.wait((listening, lost, turned), return_when=first)
            if listening.done():
                listening.result()
            return turned.done() and not lost.done()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)

    def _hang_up(self, tapped: Any) -> None:
        """Closes a client in the background: nothing waits for its last words."""
        task = asyncio.create_task(_shut(tapped))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _hear(self, tapped: Any, message: Any) -> bool:
        """Takes what is about orders; whether ccxt need not see the message."""
        try:
            news: Sequence[News] = self._dialect.hear(message)
            for piece in news:
                self._take(tapped, piece)
        except Exception as error:
            # Whatever it was about may be in it.
            log.warning("private message is not understood", venue=self._name, reason=said(error))
            self._on_missed()
            return True
        return bool(news) and not isinstance(news[0], Confirmed)

    def _take(self, tapped: Any, piece: News) -> None:
        match piece:
            case Confirmed():
                tapped.confirmed.set()
            case Lost(reason):
                log.warning("private stream ends", venue=self._name, reason=reason)
                tapped.lost.set()
            case _:
                self._on_news(piece)

    def _tapped(self, kind: Any) -> Any:
        """The exchange's class with one method changed: messages are shown to us first.

        An error in one of ccxt's own handlers would leave the connection open and deaf.
        """
        hear = self._hear

        class Tapped(kind):  # type: ignore[misc]
            def __init__(self, config: Mapping[str, Any]) -> None:
                super().__init__(config)
                self.lost, self.confirmed = asyncio.Event(), asyncio.Event()

            def handle_message(self, client: Any, message: Any) -> None:
                if hear(self, message):
                    return
                try:
                    super().handle_message(client, message)
                except Exception as error:
                    log.warning("message that ccxt does not understand", reason=said(error))

        return Tapped


async def _shut(tapped: Any) -> None:
    with contextlib.suppress(Exception):
        if tapped.session is not None:
            # Else a socket that is half open would be asked to say good-bye, and waited for.
            await tapped.session.close()
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await tapped.close()


def _is_wanted() -> bool:
    """Whether the present task is asked to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
