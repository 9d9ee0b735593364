"""A conveyor in virtual time around the line's real core: what becomes of each part is physics, not our opinion."""
