"""Words that others can cause at will are not told each time: a flood of them must not fill the journal; pure."""

from __future__ import annotations

from collections import Counter

from edge.clock import SECOND


class Seldom:
    """Tells the same of the same peer once in `quiet_ns`, with the number of times in between."""

    def __init__(self, quiet_ns: int = 10 * SECOND, max_kinds: int = 64) -> None:
        self._quiet_ns = quiet_ns
        self._max_kinds = max_kinds
        self._told_ns: dict[tuple[str, str], int] = {}
        self._untold: Counter[tuple[str, str]] = Counter()
        self.count = 0

    def words(self, who: str, did: str, now_ns: int, detail: str = "") -> str:
        """What to tell of this, empty when it is only counted. `detail` may differ each time."""
        self.count += 1
        kind = self._kind(who, did, now_ns)
        told_ns = self._told_ns.get(kind)
        if told_ns is not None and now_ns - told_ns < self._quiet_ns:
            self._untold[kind] += 1
            return ""
        self._told_ns[kind] = now_ns
        before = self._untold.pop(kind, 0)
        more = f" ({before} more like this since the last word about it)" if before else ""
        return f"{who} {did}{detail}{more}"

    def _kind(self, who: str, did: str, now_ns: int) -> tuple[str, str]:
        """Under what this is counted: with too many at a time they share one count."""
        if (who, did) in self._told_ns:
            return who, did
        if len(self._told_ns) >= self._max_kinds:
            old = [kind for kind, told_ns in self._told_ns.items() if now_ns - told_ns >= self._quiet_ns]
            for kind in old:
                del self._told_ns[kind]
        return (who, did) if len(self._told_ns) < self._max_kinds else ("", "")
