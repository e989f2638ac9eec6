"""Incremental fetches (KIP-227): a fetch names the partitions of which something changed, and is answered with those
that have something new.

aiokafka names every partition in every fetch, and a broker answers each of them: with forty partitions that is most of
the cost of a fetch, in the worker, in the broker and in the time until the answer. A session goes on while nothing goes
wrong; after anything else the next fetch names all partitions and begins another. Brokers that keep no sessions
answer with session 0 and are asked for everything, as before. Through private parts of aiokafka 0.14.0.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka.protocol.fetch import FetchRequest

Place = tuple[str, int]  # topic, partition
Asked = tuple[int, int]  # offset, max_bytes

_SINCE = 7  # the version of the API that has sessions
_LOST = (70, 71)  # FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH: the broker has forgotten it
_LAST_EPOCH = 2**31 - 1


@dataclass(slots=True)
class _Session:
    """What a broker knows of us; id 0 and epoch 0 ask it for a new session."""

    id: int = 0
    epoch: int = 0
    known: Mapping[Place, Asked] = field(default_factory=dict)


class _Increment(FetchRequest):  # type: ignore[misc]  # aiokafka has no types
    """A fetch of all partitions of `whole`, told as the difference to what the session knows."""

    def __init__(self, whole: FetchRequest, *, session: _Session, wanted: Mapping[Place, Asked]) -> None:
        self.__dict__.update(whole.__dict__)
        self._topics: list[tuple[str, list[tuple[int, int, int]]]]
        self._session = session
        self._wanted = wanted

    def build(self, request_struct_class: Any) -> Any:
        """See FetchRequest; of a version without sessions, the whole."""
        if request_struct_class.API_VERSION < _SINCE:
            return super().build(request_struct_class)
        known, whole = self._session.known, self._topics
        changed: dict[str, list[tuple[int, int, int]]] = {}
        for (topic, partition), asked in self._wanted.items():
            if known.get((topic, partition)) != asked:
                changed.setdefault(topic, []).append((partition, *asked))
        gone: dict[str, list[int]] = {}
        for topic, partition in known.keys() - self._wanted.keys():
            gone.setdefault(topic, []).append(partition)
        self._topics = list(changed.items())
        try:
            built = super().build(request_struct_class)
        finally:
            self._topics = whole
        built.session_id, built.session_epoch = self._session.id, self._session.epoch
        built.forgotten_topics_data = list(gone.items())
        return built


class FetchSessions:
    """An aiokafka client's `send` with one fetch session for each node. aiokafka has one fetch under way to a node.

    `polled` is told of every fetch that was answered: aiokafka notes that of the partitions in the answer only.
    """

    def __init__(
        self,
        send: Callable[..., Awaitable[Any]],
        *,
        polled: Callable[[FetchRequest], None] = lambda _request: None,
    ) -> None:
        self._send = send
        self._polled = polled
        self._sessions: dict[int, _Session] = {}

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """As the client's."""
        if not isinstance(request, FetchRequest):
            return await self._send(node_id, request, **options)
        wanted = {
            (topic, partition): (offset, max_bytes)
            for topic, partitions in request.topics
            for partition, offset, max_bytes in partitions
        }
        session = self._sessions.pop(node_id, None) or _Session()  # whatever goes wrong ends it
        answer = await self._send(node_id, _Increment(request, session=session, wanted=wanted), **options)
        if answer.API_VERSION >= _SINCE and answer.error_code in _LOST:
            session = _Session()
            answer = await self._send(node_id, _Increment(request, session=session, wanted=wanted), **options)
        if answer.API_VERSION >= _SINCE and answer.error_code == 0 and answer.session_id:
            epoch = session.epoch + 1 if session.epoch < _LAST_EPOCH else 1
            self._sessions[node_id] = _Session(answer.session_id, epoch, wanted)
        self._polled(request)
        return answer
