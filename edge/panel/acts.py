"""What people do to the station through the panel: here their role is asked for, whatever the page has shown."""

from __future__ import annotations

from edge.control import Control, Done
from edge.errors import RefusedError
from edge.panel.language import say
from edge.panel.users import Role, User


class NotAllowedError(RefusedError):
    """The user's role does not include this."""


def require(user: User, role: Role, what: str) -> None:
    """Raises NotAllowedError for a user with a lesser role; `what` is a name in the table [may] of the words."""
    if user.role < role:
        of_role = say(f"role.{role.name.lower()}")
        raise NotAllowedError(say("may.not", name=user.name, what=say(f"may.{what}"), role=of_role))


class Acts:
    """Each act is in the journal, with the user's name, before it is done. All raise ControlError and ConfigError."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def acknowledge(self, user: User, why: str) -> Done:
        """End a stop, or the fault of an output that stands at rest again."""
        require(user, Role.OPERATOR, "acknowledge")
        return self._control.acknowledge(why, user.name)

    def bypass(self, user: User, for_s: float, why: str) -> Done:
        """Let parts pass uninspected for so many seconds."""
        require(user, Role.ENGINEER, "bypass")
        return self._control.bypass(for_s, why, user.name)

    def end_bypass(self, user: User, why: str) -> Done:
        """Inspect again."""
        require(user, Role.OPERATOR, "end_bypass")
        return self._control.end_bypass(why, user.name)

    def set_lot(self, user: User, lot: str) -> Done:
        """Name the lot of the parts, or of the pictures that edge collect records, from now on."""
        require(user, Role.OPERATOR, "lot")
        return self._control.set_lot(lot, user.name)

    def change_bundle(self, user: User, product: str, version: int, why: str) -> Done:
        """Begin to make another installed version active; the eye takes it up when it starts again."""
        require(user, Role.ENGINEER, "bundle")
        return self._control.change_bundle(product, version, why, user.name)

    def move_threshold(self, user: User, product: str, value: float | None, why: str) -> Done:
        """Begin to move a threshold, None: to the bundle's own; the eye takes it up when it starts again."""
        require(user, Role.ENGINEER, "threshold")
        return self._control.move_threshold(product, value, why, user.name)

    def start_again(self, user: User, why: str) -> Done:
        """Let the eye end in order and start again; parts are rejected meanwhile."""
        require(user, Role.ENGINEER, "start_again")
        return self._control.start_again(why, user.name)
