"""What the rules of a scenario share: strict models, durations in seconds, patterns of names and of nodes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, le=10 * 365 * 86400)]


class Model(BaseModel):
    """Data that a user writes: a member that is not known is a mistake, and is said to be one."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


def like(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern (``*`` and ``?``), in any case."""
    return pattern == "*" or fnmatchcase(name.casefold(), pattern.casefold())


Turns = Literal["all", "first", "later"]


def is_turn(turns: Turns, number: int) -> bool:
    """Whether a rule for some turns is about the one of that number; 0 is the first."""
    return turns == "all" or (turns == "first") is (number == 0)


class OfNodes(Model):
    """A rule for some boots of some nodes of some pools."""

    pool: str = "*"
    """Pattern of pool names (``*`` and ``?``), case-insensitive."""
    node: str | Annotated[int, Field(ge=0)] = "*"
    """The node's place in the order of allocation (0 is the first), or a pattern of node ids."""
    boots: Turns = "all"
    """``first``: only the first boot of a node, so that a reboot helps. ``later``: only after that."""

    def matches(self, pool: str, index: int, node_id: str, boot: int) -> bool:
        """Whether this rule is about that boot of that node.

        :param pool: the pool's name.
        :param index: the node's place in the order of allocation; 0 is the first.
        :param node_id: the node.
        :param boot: the number of the boot; 0 is the first.
        """
        node = str(self.node)
        is_node = index == int(node) if node.isdecimal() else like(node_id, node)
        return is_node and is_turn(self.boots, boot) and like(pool, self.pool)


def in_one_line(problem: ValidationError) -> str:
    """Write what is wrong with a user's data so that it fits a line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'the file'}: {error['msg']}"
        for error in problem.errors()
    )
