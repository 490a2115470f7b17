"""`/v5/public/spot`: market data for anybody."""

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.bybit.hub import Hub
from goalkick.venue.bybit.sockets import Message, Session, words_of
from goalkick.venue.bybit.topics import Topic


class PublicSession(Session):
    """A connection that listens to topics."""

    where = "socket:stream"
    hub: Hub

    def joined(self, hub: Hub) -> "PublicSession":
        """This session, listening through a hub."""
        self.hub = hub
        self._names: set[str] = set()
        return self

    async def handle(self, message: Message) -> None:
        """Subscribes or unsubscribes."""
        op = message.get("op")
        try:
            names = words_of(message)
            if op == "subscribe":
                await self._subscribe(message, names)
            elif op == "unsubscribe":
                self._unsubscribe(message, names)
            else:
                self.reply(self._no(message, "error:invalid op"))
        except InvalidDataError as error:
            self.reply(self._no(message, f"error:{error}"))

    def pong(self, message: Message) -> Message:
        """The answer to a ping, which on public connections has another form."""
        return {
            "success": True,
            "ret_msg": "pong",
            "conn_id": self.connection_id,
            "req_id": message.get("req_id", ""),
            "op": "ping",
        }

    def leave(self) -> None:
        """Ends all subscriptions."""
        for name in self._names:
            self.hub.leave(name, self.wire)

    async def _subscribe(self, message: Message, names: list[str]) -> None:
        if len(names) > self.front.settings.topics_per_request:
            limit = self.front.settings.topics_per_request
            self.reply(self._no(message, f"error:args size >{limit}"))
            return
        topics: list[Topic] = []
        for name in names:
            topic = self.hub.find(name)
            if topic is None:
                # One unknown topic and none of them is subscribed.
                self.reply(self._no(message, f"error:handler not found,topic:{name}"))
                return
            if name not in self._names:
                topics.append(topic)

        def join() -> None:
            for topic in topics:
                self._names.add(topic.name)
                self.hub.join(topic, self.wire)

        await self.acknowledge(
            f"stream:{names[0]}" if names else "stream:",
            self._yes(message, "subscribe"),
            lambda text: self._no(message, text),
            join,
        )

    def _unsubscribe(self, message: Message, names: list[str]) -> None:
        for name in names:
            if name in self._names:
                self._names.discard(name)
                self.hub.leave(name, self.wire)
        self.reply(self._yes(message, ""))

    def _yes(self, message: Message, text: str) -> Message:
        return {
            "success": True,
            "ret_msg": text,
            "conn_id": self.connection_id,
            "req_id": message.get("req_id", ""),
            "op": message["op"],
        }

    def _no(self, message: Message, text: str) -> Message:
        return {**self._yes({"op": "", **message}, text), "success": False}
