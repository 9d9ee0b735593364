"""Who is signed in at the panel: sessions in this process's memory, which end by themselves."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from edge.clock import SECOND, Clock
from edge.panel.users import Role, User

MOST = 200  # at once; the one that nobody has used for longest gives way
_MOST_OF_ONE = 20


@dataclass(slots=True)
class Session:
    """Somebody signed in; `csrf` is what their own page sends along with every change."""

    user: User
    csrf: str
    began_ns: int
    used_ns: int


class Sessions:
    """Sessions by the token that only the browser has; here they are known by its hash. Any thread may ask.

    A session ends after `longest_s`, and after `idle_s` without an act where its user may act. It ends at once when
    `find` says that the user is gone or is not the one who signed in (other role, other password).
    """

    def __init__(self, clock: Clock, find: Callable[[str], User | None], idle_s: float, longest_s: float) -> None:
        self._clock = clock
        self._find = find
        self._idle_ns = round(idle_s * SECOND)
        self._longest_ns = round(longest_s * SECOND)
        self._lock = threading.Lock()
        self._open: dict[bytes, Session] = {}

    def begin(self, user: User) -> str:
        """A new session; its token, which is never one that a browser brought along."""
        token, now_ns = secrets.token_urlsafe(32), self._clock.now_ns()
        with self._lock:
            self._drop_ended(now_ns)
            own = [key for key, session in self._open.items() if session.user.name == user.name]
            self._make_room(own, _MOST_OF_ONE)
            self._make_room(list(self._open), MOST)
            self._open[_key(token)] = Session(user, secrets.token_urlsafe(32), now_ns, now_ns)
        return token

    def find(self, token: str, acts: bool) -> Session | None:
        """The session of this token while it lasts. `acts`: a person did something, which is no idle time. Raises
        ConfigError where the users cannot be read."""
        now_ns = self._clock.now_ns()
        with self._lock:
            session = self._open.get(_key(token))
            if session is None:
                return None
            if self._has_ended(session, now_ns) or self._find(session.user.name) != session.user:
                del self._open[_key(token)]
                return None
            if acts:
                session.used_ns = now_ns
            return session

    def end(self, token: str) -> None:
        """Sign out."""
        with self._lock:
            self._open.pop(_key(token), None)

    def _has_ended(self, session: Session, now_ns: int) -> bool:
        is_idle = session.user.role > Role.VIEWER and now_ns - session.used_ns >= self._idle_ns
        return is_idle or now_ns - session.began_ns >= self._longest_ns

    def _drop_ended(self, now_ns: int) -> None:
        for key in [key for key, session in self._open.items() if self._has_ended(session, now_ns)]:
            del self._open[key]

    def _make_room(self, among: list[bytes], most: int) -> None:
        among.sort(key=lambda key: self._open[key].used_ns)
        for key in among[: max(0, len(among) + 1 - most)]:
            del self._open[key]


def _key(token: str) -> bytes:
    return sha256(token.encode(errors="replace")).digest()
