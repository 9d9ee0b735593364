"""Plants that between them have everything: both rests, permit or none, heartbeats, encoder and each sensor."""

from __future__ import annotations

from tests.conveyor.plant import Plant

PLANTS = {
    "closed gate": Plant(permits=False, limits=3),
    "closed gate with permit and heartbeats": Plant(heartbeat=40.0, falls=False, confirms=True, tight=1.0),
    "closed gate, crowded, lengths, second eye": Plant(
        pulse=48.0, pitch=55.0, to_gate=260.0, lengths=True, second_eye=True, behind=70.0, tight=1.0
    ),
    "closed gate, camera, confirm sensor, air": Plant(camera=True, chute=30.0, air=True, bypass_max=600.0),
    "open gate, crowded": Plant(
        rest_rejects=False, pulse=48.0, pitch=55.0, tolerance=3.0, to_gate=260.0, limits=5, tight=1.0
    ),
    "open gate with heartbeats and a slow valve": Plant(
        rest_rejects=False, heartbeat=100.0, falls=False, lead=22.0, before=40.0, tight=1.0, coast=200.0
    ),
    "open gate, second eye, lengths, motor, confirm sensor": Plant(
        rest_rejects=False,
        to_gate=260.0,
        second_eye=True,
        behind=70.0,
        lengths=True,
        motor=True,
        confirms=True,
        chute=40.0,
    ),
    "open gate, camera": Plant(rest_rejects=False, camera=True, bypass_max=600.0, air=True, heartbeat=250.0),
    "closed gate with encoder": Plant(
        encoder=True, permits=False, motor=True, tolerance=6.0, per_mm=8.0, tight=1.0
    ),
    "open gate with encoder and second eye": Plant(
        rest_rejects=False,
        encoder=True,
        tolerance=6.0,
        per_mm=8.0,
        bits=16,
        pitch=100.0,
        to_gate=400.0,
        second_eye=True,
        behind=100.0,
        motor=True,
        lead=15.0,
        tight=1.0,
        heartbeat=100.0,
    ),
}
