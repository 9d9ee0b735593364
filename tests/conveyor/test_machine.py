"""Whatever happens on the floor in whatever order: no unproven part passes, none is hit for another, each ends once."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.conveyor.plant import Plant
from tests.conveyor.plants import PLANTS
from tests.conveyor.script import FAULTS, TRICKS, Fault, Put, can_happen
from tests.conveyor.world import World

SHARES = st.sampled_from([0.02, 0.3, 0.6, 0.9, 0.99, 1.02, 1.6])
SAYS = st.sampled_from(["truth"] * 8 + ["nothing", "unknown"])


def machine(plant: Plant) -> type[RuleBasedStateMachine]:
    """What can happen on this plant, as rules."""
    limits = {what: (least, most) for what, least, most, _ in FAULTS if can_happen(Fault(what), plant)}

    class Floor(RuleBasedStateMachine):
        @initialize(seed=st.integers(0, 7))
        def begin(self, seed: int) -> None:
            self.world = World(plant, seed)

        @rule(
            spacing=st.sampled_from([0.4, 0.7, 0.9, 1.0, 1.0, 1.2, 3.0]),
            longer=st.sampled_from([-1.0, 0.0, 1.0]),
            defect=st.booleans(),
            says=SAYS,
            after=SHARES,
            trick=st.sampled_from(["", "", "", *TRICKS]),
            bounces=st.sampled_from([False] * 9 + [True]),
        )
        def part(
            self, spacing: float, longer: float, defect: bool, says: str, after: float, trick: str, bounces: bool
        ) -> None:
            gap = max(0.5, spacing * plant.pitch - plant.pulse)
            self.world.play(Put(gap, longer, defect, says, after, trick, bounces))

        @rule(count=st.integers(2, 5))
        def good_parts(self, count: int) -> None:
            for _ in range(count):
                self.world.play(Put(1.1 * plant.pitch - plant.pulse))

        @rule(
            what=st.sampled_from(sorted(limits)),
            after=st.integers(0, round(2.5 * plant.pitch)),
            share=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
        )
        def fault(self, what: str, after: int, share: float) -> None:
            least, most = limits[what]
            self.world.play(Fault(what, float(after), least + share * (most - least)))

        def teardown(self) -> None:
            if hasattr(self, "world"):
                self.world.settle()

    return Floor


@pytest.mark.parametrize("name", PLANTS)
def test_no_unproven_part_passes_none_is_hit_for_another_and_each_ends_once(name: str) -> None:
    run_state_machine_as_test(
        machine(PLANTS[name]),
        # the same parts every time: what is tried at random, and at length, is the soak
        settings=settings(max_examples=12, stateful_step_count=40, deadline=None, derandomize=True),
    )


@pytest.mark.parametrize("name", PLANTS)
def test_good_parts_pass_and_defects_do_not_when_nothing_goes_wrong(name: str) -> None:
    """All of the claims would hold for a line that releases nothing."""
    plant = PLANTS[name]
    world = World(plant)
    for number in range(30):
        world.play(Put(1.05 * plant.pitch - plant.pulse, defect=number % 3 == 0))
    world.settle()
    counts = +world.oracle.counts
    purged = counts["FIRED PURGE"]
    assert counts["physically in the good lane"] == counts["RELEASED NONE"] >= 20 - purged > 10
    assert counts["FIRED DEFECT"] >= 10 - purged
    assert counts.keys() <= {
        "physically in the good lane",
        "physically in the reject bin",
        "RELEASED NONE",
        "FIRED DEFECT",
        "FIRED PURGE",
    }
    assert not world.oracle.excused


@pytest.mark.parametrize("after", [30.0, 40.0, 50.0])
def test_a_belt_that_stopped_while_the_line_stood_still_is_heard_of_before_its_parts_end(after: float) -> None:
    """The gate stood open all the time: by it alone, parts that had not come to it were released."""
    world = World(Plant(permits=False, motor=True, coast=30.0))
    for _ in range(14):
        world.play(Put(25.0))
    world.play(Fault("line stalls", after, 150.0))
    world.play(Fault("belt stops", after + 40.0, 1_000.0))
    world.settle()
    assert world.oracle.counts["LATE LATE_WRITE"] >= 2, "nobody can say of these what the gate did"
