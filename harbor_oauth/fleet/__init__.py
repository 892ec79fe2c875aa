"""The fleet: docked servers, what they are given, and how they are started."""
