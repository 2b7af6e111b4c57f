"""The typed client: workflow and event objects in, typed results and errors out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest

from flowgraph_runtime import ApiError, AsyncClient, Client, RunCancelled, RunFailed, Settings, create_app
from tests.runtime import handle_flows
from tests.runtime.handle_flows import Answered, Asked, Board, Guest, Offer, fails, offer, sleeps, stay
from tests.runtime.live import serving
from tests.runtime.server import free_port

ASKED = Asked(stayId="s-1", guest=Guest(givenName="Ada"))
ARRIVAL = date(2030, 6, 1)
OFFER = Offer(Decimal("8.40"), ARRIVAL, Board.FULL, timedelta(days=2), (Guest(givenName="Ada"),))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    folder = tmp_path_factory.mktemp("handles")
    settings = Settings(db=f"sqlite:///{folder}/live.db", port=port, poll_interval=0.05, grace=0.5, durability="normal")
    with serving(create_app(handle_flows, settings), port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.mark.feature(12)
def test_arguments_and_result_keep_their_types(client: Client) -> None:
    handle = client.start(offer, Decimal("4.20"), ARRIVAL, board=Board.FULL)
    assert handle.result() == OFFER
    assert handle.status() == "completed"
    assert handle.run().input == {"price": "4.20", "arrival": "2030-06-01", "board": "FULL"}


def test_an_event_workflow_starts_with_its_event_and_ends_by_an_event_object(client: Client) -> None:
    handle = client.start(stay, ASKED)
    assert client.send(Answered(stay_id="s-1"), id="answer-1").name == "stay.answered"
    assert handle.result("30s") == Guest(givenName="Ada")


def test_an_event_object_starts_runs_whose_handle_is_asked_for_by_id(client: Client) -> None:
    (run_id,) = client.send(ASKED.model_copy(update={"stay_id": "s-2"})).runs
    client.send("stay.answered", {"stay_id": "s-2"})
    assert client.handle(stay, run_id).result("30s").given_name == "Ada"


def test_a_failure_says_which_step_and_why(client: Client) -> None:
    with pytest.raises(RunFailed, match="failed in step 'refuse', attempt 1: NonRetriable: no room") as caught:
        client.start(fails, "no room").result("30s")
    failed = caught.value
    assert (failed.type, failed.message, failed.step, failed.attempt) == ("NonRetriable", "no room", "refuse", 1)


def test_a_cancelled_run_has_no_result(client: Client) -> None:
    handle = client.start(sleeps)
    handle.cancel("changed my mind")
    with pytest.raises(RunCancelled, match="changed my mind"):
        handle.result("30s")


def test_a_result_is_waited_for_as_long_as_asked_and_may_be_asked_for_again(client: Client) -> None:
    handle = client.start(sleeps)
    with pytest.raises(TimeoutError, match=r"of 'sleeps' has not ended after 20ms: it is (running|sleeping)"):
        handle.result(timedelta(milliseconds=20))
    with pytest.raises(TimeoutError, match="after 0s"):
        handle.result("0s")


def test_a_key_makes_a_repeated_start_harmless(client: Client) -> None:
    first = client.start_once("offer-1", offer, Decimal(1), ARRIVAL)
    assert client.start_once("offer-1", offer, Decimal(1), ARRIVAL).id == first.id
    with pytest.raises(ApiError, match="409"):
        client.start_once("offer-1", offer, Decimal(2), ARRIVAL)


def test_what_does_not_fit_is_refused_before_or_by_the_server(client: Client) -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'arrival'"):
        client.start(offer, Decimal(1))  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(ApiError, match="/price"):
        client.start(offer, "much", ARRIVAL)  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(TypeError, match="is started by its trigger, not by 's-1'"):
        client.start(stay, "s-1")  # type: ignore[call-overload]  # pyright: ignore
    with pytest.raises(TypeError, match="an event object has its data"):
        client.send(ASKED, {})  # type: ignore[call-overload]  # pyright: ignore


def test_by_name_everything_is_as_before(client: Client) -> None:
    run = client.start("offer", {"price": "4.20", "arrival": "2030-06-01", "board": "full"}, wait="30s")
    assert run.status == "completed"
    assert run.result == {
        "price": "8.40",
        "arrival": "2030-06-01",
        "board": "full",
        "notice": "P2D",
        "guests": [{"givenName": "Ada"}],
    }


def test_the_same_for_asyncio(url: str) -> None:
    async def scenario() -> None:
        async with AsyncClient(url) as client:
            offers = [await client.start(offer, Decimal("4.20"), ARRIVAL, board=Board.FULL) for _ in range(3)]
            assert await asyncio.gather(*(each.result("30s") for each in offers)) == [OFFER] * 3
            handle = await client.start(stay, ASKED.model_copy(update={"stay_id": "s-3"}))
            await client.send(Answered(stay_id="s-3"))
            assert (await handle.result()).given_name == "Ada"
            sleeping = await client.start_once("nap", sleeps)
            with pytest.raises(TimeoutError, match="has not ended"):
                await sleeping.result("10ms")
            await sleeping.cancel()
            with pytest.raises(RunCancelled):
                await client.handle(sleeps, sleeping.id).result("30s")
            with pytest.raises(RunFailed, match="no room"):
                await (await client.start(fails, "no room")).result("30s")

    asyncio.run(scenario())
