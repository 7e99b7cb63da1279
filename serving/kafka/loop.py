"""The event loop of kafka-python, for a client of which a little is wanted very often.

kafka-python 3.0.12 runs a consumer's I/O on a thread, which a poll calls three times (coordinator, fetch, wait): each time a
write to a socket, two changes of threads and of Python's lock. Beside that each read and each write registers its socket with the
selector anew, and a write waits for a turn of the loop. Of a poll with one record that was most of the CPU (docs/benchmarks.md).
So here

- the thread that calls runs the loop itself while it waits (`CallersLoop`); one of the loop's own sees to heartbeats and replies
  while nobody calls for more than a moment;
- a socket stays registered for reading, is written at once where it takes bytes, and a turn goes on until nothing is ready
  (`Loop`).

This is the inside of a library: `FITS` says for which versions it was read. With any other the clients have kafka-python's own.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Generator
from select import POLLOUT, poll
from typing import Any

import structlog
from kafka.future import Future
from kafka.net.selector import MAX_TIMEOUT, KernelEvent, NetworkSelector, Task, TaskState
from kafka.version import __version__

FITS = __version__ in {"3.0.12"}
"""Whether kafka-python is as this file takes it to be."""
AWAY_SECONDS = 0.1
"""So long a caller's loop may stand still before its own thread runs it."""
STEPS = 1000
"""Of tasks, before sockets are looked at again."""
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

log = structlog.get_logger()


class _Socket:
    """A socket that is registered: for what, and which tasks wait for it."""

    __slots__ = ("events", "tasks", "writable")

    def __init__(self, fileobj: Any) -> None:
        self.events = 0
        self.tasks: dict[int, Any] = {}
        self.writable = poll()
        self.writable.register(fileobj, POLLOUT)


class Loop(NetworkSelector):  # type: ignore[misc]
    """`NetworkSelector` with fewer turns and calls of the system for each request."""

    def __init__(self, **configs: Any) -> None:
        self._sockets: dict[Any, _Socket] = {}
        self._asleep = self._nudged = False
        self.was_woken = False
        """Whether another thread called `wakeup` since this was last set to False."""
        super().__init__(**configs)

    def wakeup(self) -> None:
        """End the wait of the thread that runs the loop, or its next one; a call of the system only where it waits."""
        self._nudged = True
        if self._asleep:
            super().wakeup()

    def register_event(self, fileobj: Any, event: int, task: Any) -> None:
        """Have ``task`` go on when the socket is ready."""
        known = self._sockets.get(fileobj)
        if known is None:
            known = self._sockets[fileobj] = _Socket(fileobj)
        if event in known.tasks:
            raise RuntimeError(f"a socket has one reader and one writer; {fileobj} is waited for by {known.tasks[event]}")
        known.tasks[event] = task if isinstance(task, Task) else Task(task)
        if not known.events & event:
            self._watch(fileobj, known, known.events | event)

    def unregister_event(self, fileobj: Any, event: int) -> None:
        """The task does not wait any more. A socket that was read stays registered: it will be read again."""
        known = self._sockets.get(fileobj)
        if known is None:
            return
        for one in (READ, WRITE):
            if event & one:
                known.tasks.pop(one, None)
        if event == READ | WRITE:  # it is about to be closed
            self._watch(fileobj, known, 0)
        elif event == WRITE:
            self._watch(fileobj, known, known.events & ~WRITE)

    def _watch(self, fileobj: Any, known: _Socket, events: int) -> None:
        if events == known.events:
            return
        try:
            if not known.events:
                self._selector.register(fileobj, events, known)
            elif events:
                self._selector.modify(fileobj, events, known)
            else:
                self._selector.unregister(fileobj)
        except KeyError:
            if not events:
                return
            self._forget_closed(fileobj.fileno())
            self._selector.register(fileobj, events, known)
        except ValueError:  # it is closed
            self._sockets.pop(fileobj, None)
            return
        known.events = events
        if not events:
            del self._sockets[fileobj]

    def _forget_closed(self, number: int) -> None:
        """A socket that was closed while it was registered; its descriptor is another's now."""
        stale = self._selector.get_key(number).fileobj
        self._selector.unregister(number)
        self._sockets.pop(stale, None)

    def _wait_write(self, fileobj: Any, timeout_at: float | None = None) -> None:
        known = self._sockets.get(fileobj)
        if known is not None and known.writable.poll(0) == [(fileobj.fileno(), POLLOUT)]:
            self._add_ready_task(self._current)
            return
        super()._wait_write(fileobj, timeout_at)

    def _poll_once(self, timeout: float | None = None) -> None:
        """Wait for sockets, times and wake-ups, and go on with every task until none is ready."""
        if not self._poll_lock.acquire(blocking=False):
            raise RuntimeError("a loop is run by one thread at a time")
        try:
            self._asleep = True  # before the look at what is ready: who adds to it from now on wakes this thread
            if self._ready or self._nudged:
                timeout = 0
            elif self._scheduled:
                due = max(self._scheduled[0][0] - time.monotonic(), 0)
                timeout = due if timeout is None else min(timeout, due)
            found = self._selector.select(timeout if timeout is None else min(timeout, MAX_TIMEOUT))
            self._asleep = False
            if self._nudged:
                self._nudged, self.was_woken = False, True
            self._process_events(found)
            self._schedule_tasks()
            for _ in range(STEPS):
                if not self._ready:
                    break
                self._step(self._ready.popleft())
        finally:
            self._asleep = False
            self._current = None
            self._poll_lock.release()

    def _process_events(self, event_list: Any) -> None:
        for key, events in event_list:
            if key.fileobj is self._wakeup_r:
                super()._process_events([(key, events)])
                continue
            known: _Socket = key.data
            for one in (WRITE, READ):
                if events & one:
                    task = known.tasks.pop(one, None)
                    if task is not None:
                        self._add_ready_task(task)
                    else:  # nobody reads it now
                        self._watch(key.fileobj, known, known.events & ~one)

    def _step(self, task: Any) -> None:
        """Let a task go on until it waits for something."""
        if task.state in (TaskState.DONE, TaskState.CANCELLED):
            return
        self._current, task.state = task, TaskState.RUNNING
        try:
            event = task()
        except StopIteration:
            self._task_done(task)
            return
        except BaseException as error:
            log.exception("a task of kafka-python failed", error=repr(error))
            self._task_done(task)
            return
        if task.state is TaskState.CANCELLED:
            self._pending_tasks.discard(task)
            task.close()
        elif isinstance(event, KernelEvent):
            try:
                getattr(self, event.method)(*event.args)
            except BaseException as error:
                task.inject_exc(error)
                self._add_ready_task(task)
        else:
            task.state = TaskState.WAIT_FUTURE
            event.add_both(lambda _: self.call_soon(task))
        if task.state is TaskState.RUNNING:
            task.state = TaskState.UNSCHEDULED


class CallersLoop(Loop):
    """A loop that is run by whoever waits for it, and by its own thread where nobody does."""

    def __init__(self, **configs: Any) -> None:
        super().__init__(**configs)
        self._baton = threading.Lock()
        self._runner: int | None = None
        self._wanted = 0
        self._turned = time.monotonic()

    def run(self, coro: Any, *args: Any) -> Any:
        """What ``coro(*args)`` gives, or raises: run here and now, and the loop with it as long as it waits."""
        if self._io_thread is None:
            return super().run(coro, *args)
        if self._closed:
            raise RuntimeError("the loop is closed")
        if self._exception:
            raise self._exception from None
        if self._runner == threading.get_ident():
            raise RuntimeError("what the loop calls, a rebalance listener for one, cannot wait for the loop")
        self._take()
        try:
            return self._finish(coro(*args) if callable(coro) else coro)
        finally:
            try:
                if self._ready:  # a request that is to be on its way while the caller does something else
                    self._turn(0)
            finally:
                self._runner = None
                self._baton.release()

    def run_forever(self) -> None:
        """The loop's own thread: replies and heartbeats while nobody waits for anything."""
        try:
            while not self._stop:
                time.sleep(AWAY_SECONDS)
                if self._baton.locked() or time.monotonic() - self._turned < AWAY_SECONDS:
                    continue
                with self._baton:
                    self._runner = threading.get_ident()
                    while not (self._wanted or self._stop):
                        self._turn()
                    self._runner = None
        except BaseException as error:
            self._exception = error
            raise

    def _take(self) -> None:
        if not self._baton.acquire(blocking=False):
            self._wanted += 1
            self.wakeup()
            self._baton.acquire()
            self._wanted -= 1
        self._runner = threading.get_ident()

    def _finish(self, waiting: Any) -> Any:
        """Run what can be awaited to its end. What it waits for are futures, nearly always: for these it needs no task."""
        while isinstance(waiting, Future):
            self._until_done(waiting)
            if waiting.exception is not None:
                raise waiting.exception
            waiting = waiting.value
        if not hasattr(waiting, "send"):
            return waiting
        try:
            event = waiting.send(None)
            while isinstance(event, Future):
                self._until_done(event)
                event = waiting.send(None)
        except StopIteration as end:
            return self._finish(end.value) if isinstance(end.value, Future) else end.value
        done = Future()
        self.call_soon(_rest(waiting, event, done))
        return self._finish(done)

    def _until_done(self, future: Any) -> None:
        while not future.is_done:
            self._turn()

    def _turn(self, timeout: float | None = None) -> None:
        self._poll_once(timeout)
        self._turned = time.monotonic()


def _rest(coroutine: Any, event: Any, done: Any) -> Generator[Any, Any, None]:
    """A task that goes on with a coroutine from what it waits for now."""
    try:
        while True:
            try:
                sent = yield event
            except BaseException as error:
                event = coroutine.throw(error)
            else:
                event = coroutine.send(sent)
    except StopIteration as end:
        done.success(end.value)
    except BaseException as error:
        done.failure(error)
