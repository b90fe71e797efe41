"""Columns that most kinds have."""

from __future__ import annotations

from emulator.kube.ages import age
from emulator.kube.objects import name_of
from emulator.kube.resource import Column

NAME = Column("Name", lambda obj, _now: name_of(obj), format="name")
AGE = Column("Age", age)
