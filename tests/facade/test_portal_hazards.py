"""What could hang or crash a process: each hazard meets a process of its own."""

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


def test_the_faster_loop_serves_where_it_is_installed(child: Child) -> None:
    """It is looked for with the first call, and the plain one takes its place."""
    script = """
        async def kind():
            return type(asyncio.get_running_loop()).__module__.partition(".")[0]

        say(_portal.run(kind()) == LOOP)
    """
    assert child(script) == ["True"]


def test_threads_by_the_dozen_get_their_own_answers(child: Child) -> None:
    """Forty threads call at the same time, again and again, and none waits for another's call."""
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


def test_a_call_on_the_loops_own_thread_raises(child: Child) -> None:
    """A call that could never end is refused, and its coroutine is put away."""
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
    """SystemExit reaches the caller whose coroutine raised it, and nobody else."""
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


def test_a_second_ctrl_c_lets_go_of_a_clean_up_that_does_not_end(child: Child) -> None:
    """Two interrupts are enough, whatever the coroutine does; and the process can end."""
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
            say("let go")
        say(_portal.run(echo("works")))
    """
    assert child(script) == ["let go", "works"]


def test_ctrl_c_in_a_loop_closes_the_iterator_first(child: Child) -> None:
    """An interrupted iterator has run its own clean-up when the caller goes on."""
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
    """The manager hears of the interrupt and leaves before the caller goes on."""
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
def test_a_forked_child_gets_a_loop_of_its_own(child: Child) -> None:
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
def test_a_fork_may_happen_while_another_thread_holds_the_lock(child: Child) -> None:
    """The child does not wait for a lock whose holder is no more."""
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
def test_a_forked_child_cannot_go_on_with_an_iterator_of_its_parent(child: Child) -> None:
    """What was begun before the fork says so, and what to do."""
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


def test_calls_under_way_clean_up_when_the_process_ends(child: Child) -> None:
    """The end of the interpreter cancels what still runs, and does not hang."""
    script = """
        begun = threading.Event()

        async def work():
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                say("cleaned up")

        threading.Thread(target=lambda: _portal.run(work()), daemon=True).start()
        begun.wait()
        threading.excepthook = lambda _: None
    """
    assert child(script) == ["cleaned up"]


def test_a_with_block_is_left_when_the_process_ends(child: Child) -> None:
    """A block in a daemon thread never reaches its end; its manager is left all the same."""
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


def test_an_item_does_not_wait_for_the_next_one(child: Child) -> None:
    """What is there is handed over although the source stands still after it."""
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
    """A call under way hears of it, and so does the next one."""
    script = """
        portal, begun = _portal.Portal(), threading.Event()

        async def work():
            begun.set()
            await asyncio.Event().wait()

        def wait():
            call = Call(work())
            try:
                portal.request(call, call.start, call)
            except ClosedError as error:
                say("freed")

        waiting = threading.Thread(target=wait)
        waiting.start()
        begun.wait()
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


def test_a_stop_that_comes_too_late_does_not_break_the_last_clean_up(child: Child) -> None:
    """A loop that ended before it was told to goes through its end once, and in order."""
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


def test_a_running_loop_is_warned_of_once_for_each_line(child: Child) -> None:
    """A blocking call in async code works, and each line of it is told once."""
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


def test_a_notebook_is_not_warned(child: Child) -> None:
    """IPython runs every cell inside a loop: a warning there would say nothing."""
    script = """
        from types import SimpleNamespace

        async def main():
            say(_portal.run(echo(1)))

        sys.modules["IPython"] = SimpleNamespace(get_ipython=object)
        warnings.simplefilter("error")
        asyncio.run(main())
    """
    assert child(script) == ["1"]


def test_a_warning_that_is_an_error_leaves_nothing_behind(child: Child) -> None:
    """With warnings as errors the call is refused, and its coroutine is put away."""
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


def test_an_iterator_may_be_collected_on_the_loops_own_thread(child: Child) -> None:
    """The finalizer does not wait for the very thread that runs it."""
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
