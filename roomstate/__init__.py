"""The state of many chat rooms, held in tiers and kept in step, inside your own program.

Start with `RoomStateManager`. Everything here, and everything in `roomstate.updates`, `roomstate.effects` and
`roomstate.errors`, is public; what is not named there may change without notice.
"""

from roomstate.errors import RoomStateError
from roomstate.holding.notify import Everything, Keywords, Mentions, Replies
from roomstate.holding.view import RoomView
from roomstate.image import RoomImage
from roomstate.manager import RoomStateManager
from roomstate.metrics import Stats
from roomstate.model import (
    Count,
    Echo,
    Message,
    MessageLike,
    Notification,
    RoomConfig,
    RoomInfo,
    Status,
    Tier,
    Unread,
    User,
)
from roomstate.position import Gap, Position, Token
from roomstate.residency.cache import RoomCache
from roomstate.room.states import Limits
from roomstate.sync.conflict import ClientWins, ConflictPolicy, Merge, ServerWins, UserChoice
from roomstate.updates import MessageAdded, MessageEdited, MessageRemoved

__all__ = [
    "ClientWins",
    "ConflictPolicy",
    "Count",
    "Echo",
    "Everything",
    "Gap",
    "Keywords",
    "Limits",
    "Mentions",
    "Merge",
    "Message",
    "MessageAdded",
    "MessageEdited",
    "MessageLike",
    "MessageRemoved",
    "Notification",
    "Position",
    "Replies",
    "RoomCache",
    "RoomConfig",
    "RoomImage",
    "RoomInfo",
    "RoomStateError",
    "RoomStateManager",
    "RoomView",
    "ServerWins",
    "Stats",
    "Status",
    "Tier",
    "Token",
    "Unread",
    "User",
    "UserChoice",
]
