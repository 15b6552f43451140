"""How closely a look is explained by what ties its actor to the person, from not at all on."""

from __future__ import annotations

NONE, STANDING, EPISODE, OWN = range(4)
LEVELS = ("none", "standing", "episode", "own")
