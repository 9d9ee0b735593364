"""The address space of the OPC UA link: the station's words as variables, and the vision system in OPC 40100-1's words.

Objects/
    VisionSystem/                 raises ResultReadyEventType
        VisionStateMachine/       CurrentState, its Number
            AutomaticMode/        CurrentState, its Number (0 while it is not in automatic mode)
    Station/Status, Result, Orders: one variable for each word of `edge.plc.table`
"""

from __future__ import annotations

from dataclasses import astuple, fields
from datetime import datetime, timezone
from typing import Any

from asyncua import Node, Server, ua
from asyncua.server.event_generator import EventGenerator

from edge.clock import SECOND
from edge.plc.table import Orders, Result, Status, words
from edge.plc.vision import ReadyResult, browse_name, ready_result, states

NAMESPACE = "urn:kenpin:station"

_WIDTHS = {1: ua.VariantType.UInt16, 2: ua.VariantType.UInt32}
_EVENT_FIELDS = [
    ("ResultId", ua.VariantType.String),
    ("JobId", ua.VariantType.String),
    ("PartId", ua.VariantType.String),
    ("IsPartial", ua.VariantType.Boolean),
    ("IsSimulated", ua.VariantType.Boolean),
    ("ResultState", ua.VariantType.Int32),
    ("InternalRecipeId", ua.VariantType.String),
    ("CreationTime", ua.VariantType.DateTime),
    ("Verdict", ua.VariantType.String),
    ("Outcome", ua.VariantType.String),
    ("Reason", ua.VariantType.String),
    ("Score", ua.VariantType.Double),
]


class Space:
    """All coroutines belong to the server's loop. Only what changed is written."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._nodes: dict[tuple[str, str], tuple[Node, ua.VariantType]] = {}
        self._values: dict[tuple[str, str], Any] = {}
        self._events: EventGenerator | None = None

    async def build(self, writable: bool) -> None:
        """Create the nodes; `writable`: clients may write the PLC's words."""
        index = await self._server.register_namespace(NAMESPACE)
        station = await self._server.nodes.objects.add_object(index, "Station")
        for kind in (Status, Result, Orders):
            folder = await station.add_object(index, kind.__name__)
            for word, value in zip(words(kind), astuple(kind()), strict=True):
                await self._variable(folder, index, kind.__name__, word.name, value, _WIDTHS[word.registers])
                if kind is Orders and writable:
                    await self._nodes[kind.__name__, word.name][0].set_writable()
        await self._vision(index)

    async def _vision(self, index: int) -> None:
        system = await self._server.nodes.objects.add_object(index, "VisionSystem")
        machine = await system.add_object(index, "VisionStateMachine")
        automatic = await machine.add_object(index, "AutomaticMode")
        for folder, name in ((machine, "VisionStateMachine"), (automatic, "AutomaticMode")):
            state = await self._variable(folder, index, name, "CurrentState", ua.LocalizedText(""), None)
            await self._variable(state, index, name, "Number", 0, ua.VariantType.UInt32)
        event = await self._server.create_custom_event_type(
            index, "ResultReadyEventType", ua.ObjectIds.BaseEventType, _EVENT_FIELDS
        )
        self._events = await self._server.get_event_generator(event, system.nodeid)

    async def _variable(
        self, parent: Node, index: int, group: str, name: str, value: Any, width: ua.VariantType | None
    ) -> Node:
        kind = width or ua.VariantType.LocalizedText
        node = await parent.add_variable(f"ns={index};s={group}.{name}", f"{index}:{name}", value, kind)
        self._nodes[group, name] = (node, kind)
        self._values[group, name] = value
        return node

    async def show(self, block: Status | Result) -> None:
        """Write the block's words, and the states that follow from a status."""
        for item, value in zip(fields(block), astuple(block), strict=True):
            await self._write(type(block).__name__, item.name, int(value))
        if isinstance(block, Status):
            vision, automatic = states(block.state)
            await self._write_state("VisionStateMachine", browse_name(vision), vision)
            await self._write_state("AutomaticMode", browse_name(automatic) if automatic else "", automatic or 0)

    async def _write_state(self, machine: str, name: str, number: int) -> None:
        await self._write(machine, "CurrentState", ua.LocalizedText(name))
        await self._write(machine, "Number", int(number))

    async def _write(self, group: str, name: str, value: Any) -> None:
        if self._values[group, name] == value:
            return
        node, kind = self._nodes[group, name]
        await node.write_value(ua.Variant(value, kind))
        self._values[group, name] = value

    async def announce(self, result: Result, wall_ns: int) -> None:
        """Raise the ResultReady event for this result."""
        assert self._events is not None, "build first"
        ready = ready_result(result)
        event = self._events.event
        for name, value in _event_values(ready, wall_ns).items():
            setattr(event, name, value)
        await self._events.trigger(message=f"part {ready.part_id}: {ready.verdict}, {ready.outcome}")

    async def orders(self) -> Orders:
        """What the clients wrote."""
        values = [await self._nodes["Orders", word.name][0].read_value() for word in words(Orders)]
        return Orders(*(value if isinstance(value, int) and 0 <= value <= 0xFFFF else 0 for value in values))

    async def forget_orders(self) -> None:
        """What an earlier client wrote no longer counts."""
        for word in words(Orders):
            node, kind = self._nodes["Orders", word.name]
            await node.write_value(ua.Variant(0, kind))


def _event_values(ready: ReadyResult, wall_ns: int) -> dict[str, Any]:
    values = {
        "".join(part.capitalize() for part in item.name.split("_")): getattr(ready, item.name)
        for item in fields(ready)
    }
    values["ResultState"] = int(ready.result_state)
    values["CreationTime"] = datetime.fromtimestamp(wall_ns / SECOND, timezone.utc)
    return values
