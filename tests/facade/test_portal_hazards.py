"""Hazards of the portal that could hang or crash a process, each in a child process."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Child = Callable[[str], list[str]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to one thread")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def test_importing_starts_nothing(child: Child) -> None:
    """The import of the package loads no asyncio and starts no thread."""
    script = """
        import subprocess
        code = "import agentbay, sys; from threading import active_count;"
        code += "print('asyncio' in sys.modules, active_count())"
        say(subprocess.check_output([sys.executable, "-c", code], text=True).strip())
    """
    assert child(script) == ["False 1"]


def test_uvloop_is_used_if_it_is_installed(child: Child) -> None:
    """Otherwise asyncio's own loop is."""
    script = """
        async def kind():
            return type(asyncio.get_running_loop()).__module__.partition(".")[0]

        say(_portal.run(kind()) == LOOP)
    """
    assert child(script) == ["True"]


def test_forty_threads_get_their_own_results(child: Child) -> None:
    """They call at the same time, and none waits for the call of another."""
    script = """
        together = threading.Barrier(40)

        async def meet(number, everybody):
            everybody.append(number)
            while len(everybody) < 40:
                await asyncio.sleep(0)
            return number

        def work(number):
            for everybody in rounds:
                together.wait()
                if _portal.run(meet(number, everybody)) != number:
                    say("wrong")

        rounds = [[] for _ in range(10)]
        threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        say(sum(map(len, rounds)))
    """
    assert child(script) == ["400"]


def test_call_on_the_loops_own_thread_raises(child: Child) -> None:
    """Such a call could never end. Its coroutine is closed."""
    script = """
        async def inside():
            _portal.run(echo(1))

        try:
            _portal.run(inside())
        except BlockingCallError:
            say("refused")
    """
    assert child(script) == ["refused"]


def test_other_calls_go_on_when_one_raises_system_exit(child: Child) -> None:
    """SystemExit reaches only the caller whose coroutine raised it."""
    script = """
        async def leave():
            raise SystemExit(3)

        try:
            _portal.run(leave())
        except SystemExit as error:
            say(error.code)
        say(_portal.run(echo("works")))
    """
    assert child(script) == ["3", "works"]


def test_ctrl_c_waits_for_the_clean_up_of_the_call(child: Child) -> None:
    """The coroutine is cancelled and cleans up before the caller goes on; calls work afterwards."""
    script = """
        async def work():
            try:
                interrupt()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                say("cleaned up")

        try:
            _portal.run(work())
        except KeyboardInterrupt:
            say("interrupted")
        say(_portal.run(echo("works")))
    """
    assert child(script) == ["cleaned up", "interrupted", "works"]


def test_second_ctrl_c_stops_waiting_for_the_clean_up(child: Child) -> None:
    """The portal still works, and the process can end."""
    script = """
        async def work():
            try:
                interrupt()
                await asyncio.Event().wait()
            finally:
                interrupt()
                await asyncio.Event().wait()

        try:
            _portal.run(work())
        except KeyboardInterrupt:
            say("stopped")
        say(_portal.run(echo("works")))
    """
    assert child(script) == ["stopped", "works"]


def test_ctrl_c_in_a_loop_closes_the_iterator_first(child: Child) -> None:
    """The clean-up of the source is over when the caller continues."""
    script = """
        async def items():
            try:
                yield 1
                interrupt()
                await asyncio.Event().wait()
            finally:
                say("closed")

        try:
            for item in BlockingIterator(items(), str):
                say(item)
        except KeyboardInterrupt:
            say("interrupted")
    """
    assert child(script) == ["1", "closed", "interrupted"]


def test_ctrl_c_in_a_with_block_leaves_it_in_order(child: Child) -> None:
    """The manager exits before the caller continues."""
    script = """
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def manager():
            try:
                yield "inside"
            finally:
                await asyncio.sleep(0)
                say("left")

        async def work():
            interrupt()
            await asyncio.Event().wait()

        try:
            with BlockingContext(manager(), str) as inside:
                say(inside)
                _portal.run(work())
        except KeyboardInterrupt:
            say("interrupted")
    """
    assert child(script) == ["inside", "left", "interrupted"]


@forks
def test_forked_child_gets_a_loop_of_its_own(child: Child) -> None:
    """Calls work on both sides of a fork."""
    script = """
        _portal.run(echo(None))
        pid = os.fork()
        if not pid:
            say(_portal.run(echo("child works")))
            os._exit(0)
        os.waitpid(pid, 0)
        say(_portal.run(echo("parent works")))
    """
    assert child(script) == ["child works", "parent works"]


@forks
def test_fork_while_another_thread_holds_the_lock(child: Child) -> None:
    """The child does not wait for a lock whose holder does not exist in it."""
    script = """
        _portal.run(echo(None))
        held, release = threading.Event(), threading.Event()

        def hold():
            with _portal.current().lock:
                held.set()
                release.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        pid = os.fork()
        if not pid:
            say(_portal.run(echo("child works")))
            os._exit(0)
        os.waitpid(pid, 0)
        release.set()
        holder.join()
    """
    assert child(script) == ["child works"]


@forks
def test_forked_child_cannot_continue_an_iterator_of_its_parent(child: Child) -> None:
    """The error says so and names the remedy."""
    script = """
        async def items():
            yield 1
            yield 2

        reading = BlockingIterator(items(), str)
        say(next(reading))
        pid = os.fork()
        if not pid:
            try:
                next(reading)
            except ClosedError as error:
                say(error)
            os._exit(0)
        os.waitpid(pid, 0)
        say(next(reading))
    """
    expected = "this was begun before the process forked; begin it again in the child"
    assert child(script) == ["1", expected, "2"]


def test_running_calls_clean_up_when_the_process_ends(child: Child) -> None:
    """The exit of the interpreter cancels them, and does not hang."""
    script = """
        started = threading.Event()

        async def work():
            try:
                started.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                say("cleaned up")

        threading.Thread(target=lambda: _portal.run(work()), daemon=True).start()
        started.wait()
        threading.excepthook = lambda _: None
    """
    assert child(script) == ["cleaned up"]


def test_with_block_is_left_when_the_process_ends(child: Child) -> None:
    """The manager exits although a block in a daemon thread never reaches its end."""
    script = """
        inside = threading.Event()

        class Manager:
            async def __aenter__(self):
                return 1

            async def __aexit__(self, kind, error, traceback):
                await asyncio.sleep(0)
                say("left:", kind.__name__)

        def work():
            with BlockingContext(Manager(), str):
                inside.set()
                threading.Event().wait()

        threading.Thread(target=work, daemon=True).start()
        inside.wait()
    """
    assert child(script) == ["left: CancelledError"]


def test_item_does_not_wait_for_the_next_one(child: Child) -> None:
    """Items are delivered although the source waits after them."""
    script = """
        async def items():
            for number in range(5):
                yield number
            await asyncio.Event().wait()

        with BlockingIterator(items(), str) as reading:
            say(*(next(reading) for _ in range(5)))
    """
    assert child(script) == ["0 1 2 3 4"]


def test_closing_the_portal_frees_the_callers(child: Child) -> None:
    """The running call and the next one raise `ClosedError`."""
    script = """
        portal, started = _portal.Portal(), threading.Event()

        async def work():
            started.set()
            await asyncio.Event().wait()

        def wait():
            call = Call(work())
            try:
                portal.request(call, call.start, call)
            except ClosedError as error:
                say("freed")

        waiting = threading.Thread(target=wait)
        waiting.start()
        started.wait()
        portal.close()
        waiting.join()
        late = Call(echo(1))
        try:
            portal.request(late, late.start, late)
        except ClosedError as error:
            say(error)
    """
    expected = "the event loop of the blocking client was closed"
    assert child(script) == ["freed", expected]


def test_late_stop_does_not_break_the_last_clean_up(child: Child) -> None:
    """A loop that SystemExit has ended cleans up once."""
    script = """
        portal, gate = _portal.Portal(), threading.Event()

        def leave(_loop):
            raise SystemExit

        async def work():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                say("cleaned up")

        portal.submit(lambda _loop: gate.wait())
        portal.submit(Call(work()).start)
        portal.submit(leave)
        portal.close(grace=0)
        gate.set()
        portal.close()
    """
    assert child(script) == ["cleaned up"]


def test_call_in_a_running_loop_warns_once_for_each_line(child: Child) -> None:
    """The call itself works."""
    script = """
        async def main():
            for _ in range(3):
                say(_portal.run(echo(1)))
            say(_portal.run(echo(2)))

        warnings.simplefilter("default")
        warnings.showwarning = lambda message, kind, file, line, *_: say(kind.__name__, file)
        asyncio.run(main())
    """
    warning = "BlockingCallInAsyncContext <string>"
    assert child(script) == [warning, "1", "1", "1", warning, "2"]


def test_notebook_gets_no_warning(child: Child) -> None:
    """IPython runs every cell inside a loop, and its user cannot change that."""
    script = """
        from types import SimpleNamespace

        async def main():
            say(_portal.run(echo(1)))

        sys.modules["IPython"] = SimpleNamespace(get_ipython=object)
        warnings.simplefilter("error")
        asyncio.run(main())
    """
    assert child(script) == ["1"]


def test_warning_as_an_error_closes_the_coroutine(child: Child) -> None:
    """With warnings as errors, the call raises."""
    script = """
        async def main():
            try:
                _portal.run(echo(1))
            except BlockingCallInAsyncContext:
                say("refused")

        warnings.simplefilter("error")
        asyncio.run(main())
    """
    assert child(script) == ["refused"]


def test_iterator_is_collected_on_the_loops_own_thread(child: Child) -> None:
    """The finalizer does not wait for the thread that runs it."""
    script = """
        closed = threading.Event()

        async def items():
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                closed.set()

        class Cycle:
            pass

        gc.disable()
        cycle = Cycle()
        cycle.itself, cycle.reading = cycle, BlockingIterator(items(), str)
        next(cycle.reading)
        del cycle

        async def collect():
            gc.collect()

        _portal.run(collect())
        say(closed.wait(10))
    """
    assert child(script) == ["True"]
