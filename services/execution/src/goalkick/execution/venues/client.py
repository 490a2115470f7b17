"""ccxt's client of a venue: how it is made, waited for, and what its errors mean."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

from goalkick.common.adapters.budget.metered import Metering, metered
from goalkick.common.adapters.secrets.venue_keys import KeyPair
from goalkick.common.core.errors import InvalidDataError, SettingsError, TransientError
from goalkick.common.ports.budget import BudgetTimeoutError
from goalkick.common.values.ids import InstrumentId, name_of
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND
from goalkick.execution.settings import VenueSettings
from goalkick.execution.venues.dialect import Dialect
from goalkick.execution.venues.keys import AccountKeys, signing

_SERVER_ERRORS: Final = 500
"""The first HTTP status of those that say nothing about what was done."""
_PARSED: Final = 5
"""Where ccxt hands its error handler the parsed body, counted after the status."""
_ANSWER: Final = "answer"
"""What an error of a placement keeps the venue's own answer in."""

_PAGES: Final = 30
"""How many times longer an answer in many parts may take than one."""

_AT_ONCE: Final = 3
"""Questions under way at once: so few that none waits long for leave to be sent."""


class VenueClient:
    """One account's access to a venue.

    Attributes:
        settings: which venue, where, with which keys and how patiently.
        rest: ccxt's client for questions; there after `load`, as is the next.
        trading: ccxt's client for orders: what is asked never holds up an order.
        limit_s: how long an answer is waited for.
        answers: whether the last question was answered.
        keys: what signs, where keys turn while we work; None: those of the settings.
    """

    def __init__(
        self,
        settings: VenueSettings,
        dialect: Dialect,
        name: str,
        jitter: Callable[[], float] = random.random,
        may_place: Callable[[], bool] = lambda: True,
        keys: AccountKeys | None = None,
        metering: Metering | None = None,
    ) -> None:
        """Nothing is loaded or connected before `load`.

        Args:
            settings: which venue, where, with which keys and how patiently.
            dialect: the venue's own language.
            name: venue and account, for messages.
            jitter: numbers in [0, 1) that keep retries of several accounts apart.
            may_place: whether orders may be placed, asked when one is about to be signed; may
                raise `InvalidDataError` to say why not.
            keys: what signs, where keys turn while we work; None: those of the settings.
            metering: gives leave for requests; None: they go at ccxt's own pace.
        """
        self._metering = metering
        self._may_place = may_place
        self.keys = keys
        self.settings = settings
        self.rest: Any = None
        self.trading: Any = None
        self.limit_s = seconds(settings.timeout) * 2
        self.answers = True
        self._dialect = dialect
        self._name = name
        self._jitter = jitter
        self._library: Any = None
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._instruments: dict[str, InstrumentId] = {}

    async def load(self) -> None:
        """Loads ccxt, the venue's instruments and the difference of the clocks.

        Raises:
            TransientError: the venue does not answer.
            SettingsError: it refuses the keys.
        """
        if self.keys is not None:
            await self.keys.start()
        # Imported here because it takes 100 MB and a second, which paper trading should not pay.
        self._library = await asyncio.to_thread(_load)
        self.rest = self.make(self._signed)
        await self.ask(self.rest.load_markets())
        await self.ask(self.rest.load_time_difference())
        self.trading = self.make(self._guarded)
        # Opens its connection as well, so that the first order need not wait for that.
        await self.ask(self.trading.load_time_difference())

    async def close(self) -> None:
        """Closes connections; `load` opens them again."""
        clients = [each for each in (self.rest, self.trading) if each is not None]
        self.rest = self.trading = None
        for client in clients:
            await client.close()

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[KeyPair | None]:
        """The key that a private stream is to use while the block runs; None: the settings'."""
        if self.keys is None:
            yield None
        else:
            async with self.keys.using() as pair:
                yield pair

    async def turned(self, pair: KeyPair | None) -> None:
        """Returns when another key than this is to be used; where keys do not turn, never."""
        if self.keys is None or pair is None:
            await asyncio.Event().wait()
        else:
            await self.keys.turned(pair.id)

    def refuses(self, error: Exception, pair: KeyPair | None) -> None:
        """Takes an error of a private stream for what it says about its key."""
        if self.keys and pair and isinstance(error, self._library.AuthenticationError):
            self.keys.refused(pair.id)

    async def attempt(self, pair: KeyPair) -> None:
        """Asks the venue for something harmless with a key that is not in use yet.

        Raises:
            SettingsError: it refuses the key.
            TransientError: it does not say.
        """
        if self.rest is None:
            raise TransientError(f"{self._name}: expected to be connected, found that it is not")
        client = self.make(pair=pair)
        client.options["timeDifference"] = self.rest.options.get("timeDifference", 0)
        try:
            await self.answer_to(self._dialect.holdings(client))
        finally:
            await client.close()

    def make(self, wrap: Callable[[Any], Any] | None = None, pair: KeyPair | None = None) -> Any:
        """A new client of ccxt.

        Args:
            wrap: the exchange's class -> the class to use instead.
            pair: what it signs with; None: with what the settings say, or `wrap` does.
        """
        key, secret = self._credentials(pair)
        settings, kind = (
            self.settings,
            metered(getattr(self._library, self._dialect.name), self._metering),
        )
        client = (wrap(kind) if wrap else kind)(
            {
                "apiKey": key,
                "secret": secret,
                "timeout": settings.timeout // NS_PER_MS,
                # The other way of ccxt to count lets each request wait for the one before it,
                # however long ago that was.
                "enableRateLimit": True,
                "rateLimiterAlgorithm": "rollingWindow",
                "rollingWindowSize": self._dialect.window_ms,
                "newUpdates": True,
                "maxRetriesOnFailure": 0,
                "streaming": {"keepAlive": settings.keep_alive // NS_PER_MS},
                "options": dict(self._dialect.options(settings.recv_window // NS_PER_MS)),
            }
        )
        if settings.endpoint:
            client.urls["api"] = self._dialect.move(client.urls["api"], settings.endpoint)
        if self.rest is not None:
            client.set_markets_from_exchange(self.rest)
        return client

    def _credentials(self, pair: KeyPair | None) -> tuple[str, str]:
        if pair is not None:
            return pair.key, pair.secret
        settings = self.settings
        if self.keys is not None or settings.key is None or settings.secret is None:
            return "", ""
        return settings.key.reveal(), settings.secret.reveal()

    def _signed(self, kind: Any) -> Any:
        """The class that signs each call with the key in use."""
        if self.keys is None:
            return kind
        return signing(kind, self.keys, self._library.AuthenticationError)

    def _guarded(self, kind: Any) -> Any:
        """The class with a last look before an order is signed, and errors that keep the answer.

        What is signed carries the time, so the venue refuses it later than `recv_window` after
        this look, however long the process is paused in between.
        """
        may_place, placement, name = self._may_place, self._dialect.placement, self._name

        class Guarded(self._signed(kind)):  # type: ignore[misc]
            def sign(self, path: str, api: Any, method: str, *rest: Any, **named: Any) -> Any:
                if method == "POST" and path == placement and not may_place():
                    raise InvalidDataError(
                        f"{name}: expected the account to be ours still, found that the lease has "
                        "run out; the order was not sent"
                    )
                return super().sign(path, api, method, *rest, **named)

            def handle_errors(self, status: int, *rest: Any) -> Any:
                try:
                    return super().handle_errors(status, *rest)
                except Exception as error:
                    # ccxt's errors often have the text without the code. What a gateway says (5xx)
                    # is no answer of the venue's.
                    if status < _SERVER_ERRORS:
                        setattr(error, _ANSWER, rest[_PARSED])
                    raise

        return Guarded

    async def ask(self, question: Coroutine[Any, Any, Any], *, pages: bool = False) -> Any:
        """Asks over `rest` when it is our turn, and waits for the answer, not for ever.

        More questions than the venue allows wait here: where ccxt makes them wait the time for an
        answer runs, and a question that was given up still counts.

        Args:
            question: begun by being awaited.
            pages: whether the answer comes in many parts; ccxt bounds the wait for each of them.

        Returns:
            None where the venue says that there is no such order.

        Raises:
            TransientError: there is no answer, or it says nothing.
            SettingsError: the keys are refused.
        """
        try:
            async with self._turn:
                answer = await self.answer_to(question, self.limit_s * (_PAGES if pages else 1))
        except TransientError:
            self.answers = False
            raise
        else:
            self.answers = True
            return answer
        finally:
            question.close()  # it may have been given up before its turn came

    async def answer_to(
        self, request: Coroutine[Any, Any, Any], limit_s: float | None = None
    ) -> Any:
        """Waits for an answer, not for ever.

        Args:
            request: begun by being awaited.
            limit_s: how long it is waited for; None: as usual.

        Returns:
            None where the venue says that there is no such order.

        Raises:
            TransientError: there is no answer, or it says nothing.
            SettingsError: the keys are refused.
        """
        library, limit_s = self._library, limit_s or self.limit_s
        try:
            async with asyncio.timeout(limit_s):
                return await request
        except library.OrderNotFound:
            return None
        except library.InvalidNonce as error:
            await self._set_clocks()
            raise TransientError(
                f"{self._name}: our clock and the venue's differ: {error}"
            ) from error
        except library.AuthenticationError as error:
            raise SettingsError(
                f"execution.venue: expected keys that {self._name} accepts, found: {error}"
            ) from error
        except (
            library.BaseError,
            InvalidDataError,
            TimeoutError,
            OSError,
            LookupError,
            ArithmeticError,
            AttributeError,
            TypeError,
            ValueError,
        ) as error:
            # The latter are what an answer in another form than expected leads to.
            raise TransientError(
                f"{self._name}: expected an answer within {limit_s:g} s, found {said(error)}"
            ) from error

    def is_refusal(self, error: Exception) -> bool:
        """Whether an error of a placement says that the order is not there and will not be."""
        if isinstance(error, InvalidDataError | BudgetTimeoutError):
            return True  # it was not sent
        answer = getattr(error, _ANSWER, None)
        if not isinstance(answer, dict):
            return False
        code = answer.get("code", answer.get("retCode"))
        message = str(answer.get("msg", answer.get("retMsg", "")))
        return isinstance(code, int) and self._dialect.is_refusal(code, message)

    async def learn_from(self, error: Exception) -> None:
        """Sets the clock right after a request that was refused because of its time."""
        if isinstance(error, self._library.InvalidNonce):
            await self._set_clocks()

    async def _set_clocks(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self.limit_s):
                # Over the client for orders: what is asked must not hold this up.
                difference = await self.trading.load_time_difference()
                self.rest.options["timeDifference"] = difference

    async def pause(self, failures: int) -> None:
        """Waits after this many failures in a row (from 1), longer after more."""
        settings = self.settings
        delay_ns = min(settings.retry_delay << min(failures - 1, 20), settings.max_retry_delay)
        await asyncio.sleep(seconds(delay_ns) * (0.5 + self._jitter() / 2))

    def venue_ms(self) -> int:
        """The venue's time, as far as it is known; UTC milliseconds."""
        return int(self.rest.milliseconds() - self.rest.options.get("timeDifference", 0))

    async def symbol(self, instrument: InstrumentId) -> str:
        """The venue's own name of an instrument; looks again for one that was not listed before.

        Raises:
            InvalidDataError: the venue does not list it.
            TransientError: the venue does not answer.
        """
        name = name_of(instrument)
        if name not in self.rest.markets:
            await self.ask(self.rest.load_markets(True))
            self.trading.set_markets_from_exchange(self.rest)
        if name not in self.rest.markets:
            raise InvalidDataError(
                f"{self._name}: expected an instrument that is listed, found {name}"
            )
        return str(self.rest.markets[name]["id"])

    def instrument(self, symbol: str) -> InstrumentId:
        """Our name of an instrument that the venue calls `symbol`."""
        known = self._instruments.get(symbol)
        if known is None:
            if symbol not in self.rest.markets_by_id:
                # Not remembered: it may be listed later, under our own name for it.
                return InstrumentId(f"{self._dialect.name}:{symbol}")
            market = self.rest.safe_market(symbol, None, None, "spot")
            name = f"{self._dialect.name}:{market['symbol']}"
            known = self._instruments[symbol] = InstrumentId(name)
        return known


def seconds(duration_ns: int) -> float:
    """A duration for asyncio."""
    return duration_ns / NS_PER_SECOND


def said(error: BaseException) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {str(error)[:300]}"


def _load() -> Any:
    import ccxt.pro  # noqa: PLC0415

    return ccxt.pro
