"""The two ends, where a campaign seldom leads them: what is refused, what has lapsed, what is no business of theirs."""

from __future__ import annotations

from typing import Any

from roomstate import Message, MessageAdded, RoomStateManager
from roomstate.errors import InvalidValue, StoreBusy
from roomstate.store import MemoryStore
from roomstate.sync.envelope import Envelope
from roomstate.sync.frames import Ack, ErrorFrame, Interest, Request, Send, decode_frame
from roomstate.testing.client import Client
from roomstate.testing.network import CALM, Agenda, Dice, Frames, Network, Weather
from roomstate.testing.server import Server
from roomstate.testing.simulator import Simulator
from roomstate.testing.world import World
from roomstate.updates import PresenceChanged


class Bench:
    """An `Outside` that writes down what is sent."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.sent: list[Any] = []
        self.slow = False
        self.stuck = False  # the disk does nothing

    def now(self) -> float:
        return self.time

    def send(self, peer: str, frames: Frames) -> None:
        self.sent += map(decode_frame, frames)

    def takes(self, peer: str) -> bool:
        return not self.slow

    def later(self, work: Any) -> None:
        if not self.stuck:
            work()

    def heard(self, event: Any) -> None:
        """Nobody is asked."""

    def disk_fails(self) -> bool:
        return False

    def drain(self) -> list[Any]:
        sent, self.sent = self.sent, []
        return sent


def raw(frame: Any) -> Frames:
    return (frame.to_json().encode(),)


def server(**options: Any) -> tuple[Server, Bench]:
    bench = Bench()
    end = Server(RoomStateManager(new_epoch=lambda: "e1", clock=bench.now, **options), bench, queue=2)
    end.opened("r1")
    end.received("r1", raw(Interest("rust", "ACTIVE")))
    return end, bench


def send(name: str) -> Send:
    return Send("rust", name, MessageAdded(Message(name, "ada", "hi")))


def test_a_message_that_is_refused_is_answered_with_an_error() -> None:
    end, bench = server(max_live_rooms=1)
    end.received("r1", raw(Send("go", "c1", MessageAdded(Message("c1", "ada", "hi")))))
    (told,) = [frame for frame in bench.drain() if isinstance(frame, ErrorFrame)]
    assert (told.code, told.client_id, told.retryable) == ("TooManyRooms", "c1", True)


def test_a_message_is_acknowledged_each_time_that_it_is_sent() -> None:
    end, bench = server()
    for _ in range(2):
        end.received("r1", raw(send("c1")))
    assert [frame.sequence_number for frame in bench.drain() if isinstance(frame, Ack)] == [1, 1]


def test_an_interest_that_has_lapsed_may_be_given_up_and_frames_of_no_concern_are_let_pass() -> None:
    end, bench = server()
    end.manager.disconnect("r1")
    end.received("r1", raw(Interest("rust", None)))
    end.received("r1", raw(Interest("rust", None)))
    end.received("r1", raw(Ack("rust", "c1", "c1", "e1", 1)))
    assert bench.drain() == []


def test_who_asks_is_interested() -> None:
    end, bench = server()
    end.received("r2", raw(Request("go", 5)))
    (told,) = bench.drain()
    assert isinstance(told, Envelope)
    assert (told.room_id, told.answers) == ("go", 5)


def test_nobody_is_told_of_presence_in_a_room_of_which_nothing_is_known_yet() -> None:
    bench = Bench()
    bench.stuck = True
    end = Server(RoomStateManager(durability="logged", clock=bench.now), bench, MemoryStore())
    end.opened("r1")
    end.received("r1", raw(Interest("rust", "ACTIVE")))
    end.call("publish", "rust", PresenceChanged("ada", "online"))
    assert bench.drain() == []


def test_a_slow_peer_is_told_where_the_room_ends_instead_of_what_it_has_missed() -> None:
    end, bench = server()
    bench.slow = True
    for name in ("c1", "c2", "c3"):
        end.call("publish", "rust", MessageAdded(Message(name, "ada", "hi")))
    bench.slow = False
    end.call("tick")
    assert [frame.message_type for frame in bench.drain()] == ["HEARTBEAT"]


def client() -> tuple[Client, Bench]:
    bench = Bench()
    manager = RoomStateManager(role="replica", clock=bench.now, jitter=lambda: 0.5)
    end = Client(manager, bench)
    end.opened("authority")
    end.call("enter", "v", "rust", user="ada")
    end.call("send", "rust", "hi", client_id="c1")
    return end, bench


def test_a_refusal_is_for_good_or_it_is_not() -> None:
    for error, retryable in ((InvalidValue("content", "is rude"), False), (StoreBusy("store", "is locked"), True)):
        end, _ = client()
        refusal = ErrorFrame(type(error).__name__, error.where, error.reason, retryable, "rust", "c1")
        for _ in range(2):  # the second is of something that is no longer waited for
            end.received("authority", raw(refusal))
        (echo,) = end.manager.view("rust").pending
        assert (echo.failed != "", echo.retryable) == (True, retryable)


def test_frames_that_a_client_has_no_use_for_are_let_pass() -> None:
    end, bench = client()
    bench.drain()
    end.received("authority", raw(Interest("rust", None)))
    assert bench.drain() == []


# -- the network -----------------------------------------------------------------------------------------------------


def arrivals(weather: Weather, *, leaky: bool = False, cut: bool = False, hang_up: bool = False) -> list[float]:
    """When 100 packets arrive that are sent at 0."""
    agenda, dice = Agenda(), Dice(1)
    arrived: list[float] = []
    network = Network(1, agenda, dice, lambda replica, to_replica, frames: arrived.append(now), leaky)
    network.send(0.0, 1, True, (b"nobody is there",))
    network.dial(1)
    network.links[1].weather = weather
    for _ in range(100):
        network.send(0.0, 1, True, (b"x",))
    network.links[1].cut = cut
    if hang_up:
        network.hang_up(1)
        network.dial(1)
    while agenda.next() < float("inf"):
        now, work = agenda.pop()
        work()
    return arrived


def test_the_weather_decides_what_arrives() -> None:
    assert len(arrivals(CALM)) == 100
    assert max(arrivals(CALM)) < 0.03
    assert 50 < len(arrivals(Weather(lose=0.3))) < 90
    assert 110 < len(arrivals(Weather(repeat=0.3))) < 150
    assert max(arrivals(Weather(delay_s=5.0))) > 1.0
    assert arrivals(CALM, cut=True) == []


def test_a_connection_ends_with_what_was_under_way_unless_the_network_is_leaky() -> None:
    assert arrivals(CALM, hang_up=True) == []
    assert len(arrivals(CALM, hang_up=True, leaky=True)) == 100


def test_dice_fall_as_their_seed_says() -> None:
    dice, other = Dice(7), Dice(8)
    rolls = [dice.roll() for _ in range(1000)]
    assert 0.0 <= min(rolls) < max(rolls) < 1.0
    assert 0.45 < sum(rolls) / 1000 < 0.55
    dice.seed(7)
    assert [dice.roll() for _ in range(1000)] == rolls
    assert other.roll() not in rolls


# -- ends of a host's own --------------------------------------------------------------------------------------------


class Raising(Client):
    """An end that fails in its own way."""

    def beat(self) -> None:
        raise LookupError("no such thing")


def test_whatever_an_end_raises_is_a_fault() -> None:
    assert Simulator(1, events=200, client=Raising).fault() == "LookupError"


def test_a_world_knows_its_ends() -> None:
    world = World(Simulator(1).options)
    assert isinstance(world.ends[0], Server)
    assert all(isinstance(end, Client) for end in world.ends[1:])
