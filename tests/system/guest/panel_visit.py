"""What a browser on the machine gets of the panel: signs in, looks, and tries an act without the page's token; as JSON.

python3 panel_visit.py ADDRESS NAME PASSWORD [--ca FILE]      # the standard library alone
"""

from __future__ import annotations

import argparse
import json
import ssl
import urllib.error
import urllib.request


class Visit:
    """One browser; it keeps its cookie."""

    def __init__(self, address: str, ca: str | None) -> None:
        self._address = address
        self._trust = ssl.create_default_context(cafile=ca) if ca else None
        self.cookie = ""

    def ask(self, path: str, body: object = None) -> tuple[int, str]:
        """Status and text; a cookie that is set is kept."""
        asked = urllib.request.Request(self._address + path)
        asked.add_header("Cookie", self.cookie.partition(";")[0])
        if body is not None:
            asked.data = json.dumps(body).encode()
            asked.add_header("Content-Type", "application/json")
            asked.add_header("Origin", self._address)
        try:
            with urllib.request.urlopen(asked, timeout=20, context=self._trust) as answer:
                self.cookie = answer.headers.get("set-cookie") or self.cookie
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("address", "name", "password"):
        parser.add_argument(name)
    parser.add_argument("--ca")
    options = parser.parse_args()
    visit = Visit(options.address, options.ca)
    status, said = visit.ask("/api/login", {"name": options.name, "password": options.password})
    assert status == 200, said
    live = json.loads(visit.ask("/api/live")[1])
    without_token, _ = visit.ask("/api/acknowledge", {"why": "no page asks for this"})
    told = {"state": live["state"]["level"], "cause": live["state"]["cause"], "cookie": visit.cookie}
    print(json.dumps(told | {"without_token": without_token}))


if __name__ == "__main__":
    main()
