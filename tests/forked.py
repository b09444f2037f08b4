"""Test processes that share what was imported and collected: `pytest --processes 4` collects once, then forks.

A file's tests run in one process, in their order; a process that is done with a file gets the next one that nobody has.
Each has a folder, databases and captured output of its own, and its number in TESTS_PROCESS. What it says of a test is
heard as if the test had run here. One that dies has failed the test it was at; another takes what is left of its file.
Without the option nothing of this is used.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections import deque
from itertools import count
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from _pytest.unraisableexception import collect_unraisable

_LENGTH = struct.Struct("!I")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--processes", type=int, default=0, help="run the files' tests in so many forked processes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    wanted = session.config.getoption("processes")
    if not wanted or session.testsfailed or session.config.option.collectonly:
        return None
    _Forks(session).run(wanted)
    return True


class _Forks:
    """The processes, seen from the one that collected. Raises what pytest's own loop raises to end early."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._files = _files(session.items)
        self._numbers = count()
        self._at: dict[int, list[int]] = {}  # by a process's socket: the tests it was given and hasn't ended
        self._pids: dict[int, int] = {}
        self._selector = DefaultSelector()
        session.config._tmp_path_factory.getbasetemp()

    def run(self, wanted: int) -> None:
        try:
            for _ in range(min(wanted, len(self._files))):
                self._start()
            while self._selector.get_map():
                for key, _ in self._selector.select():
                    self._hear(key.fileobj)
                    self._end_early()
        finally:
            for pid in self._pids.values():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _end_early(self) -> None:
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)
        if self._session.shouldstop:
            raise self._session.Interrupted(self._session.shouldstop)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        number = next(self._numbers)
        pid = os.fork()
        if pid == 0:
            ours.close()
            for key in self._selector.get_map().values():
                key.fileobj.close()  # type: ignore[union-attr]
            _Process(self._session, theirs, number).run_and_exit()
        theirs.close()
        self._pids[ours.fileno()] = pid
        self._selector.register(ours, EVENT_READ)
        self._give(ours)

    def _give(self, process: Any) -> None:
        self._at[process.fileno()] = given = self._files.popleft() if self._files else []
        _send(process, list(given))

    def _hear(self, process: Any) -> None:
        said = _receive(process)
        if said is None:
            self._ended(process)
        elif said == "next":
            self._give(process)
        elif isinstance(said, int):
            self._at[process.fileno()].remove(said)
        else:
            config = self._session.config
            report = config.hook.pytest_report_from_serializable(config=config, data=said)
            config.hook.pytest_runtest_logreport(report=report)

    def _ended(self, process: Any) -> None:
        left = self._at.pop(process.fileno())
        _, status = os.waitpid(self._pids.pop(process.fileno()), 0)
        self._selector.unregister(process)
        process.close()
        if status == 0 and not left:
            return
        how = f"the process ended with {os.waitstatus_to_exitcode(status)}"
        if left:
            item = self._session.items[left.pop(0)]
            self._session.config.hook.pytest_runtest_logreport(
                report=pytest.TestReport(item.nodeid, item.location, {}, "failed", how, "call")
            )
            if left:
                self._files.appendleft(left)
            if self._files:
                self._start()
        else:
            raise pytest.UsageError(f"{how} after its tests, by what is printed above")


class _Process:
    """A forked process: it asks for files, runs their tests, and says what pytest says of them."""

    def __init__(self, session: pytest.Session, parent: socket.socket, number: int) -> None:
        self._session, self._parent = session, parent
        config = session.config
        os.environ["TESTS_PROCESS"] = str(number)
        folders = config._tmp_path_factory  # type: ignore[attr-defined]
        folders._given_basetemp, folders._basetemp = folders.getbasetemp() / f"process-{number}", None
        self._captured = config.pluginmanager.getplugin("capturemanager")
        self._captured.stop_global_capturing()  # its files are those of the parent, with one position for all
        self._captured.start_global_capturing()
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(self, "forked-process")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        config = self._session.config
        _send(self._parent, config.hook.pytest_report_to_serializable(config=config, report=report))

    def run_and_exit(self) -> NoReturn:
        """What holds memory now ends with the process; nobody need take it apart."""
        code = 1
        try:
            self._run()
            gc.collect()
            collect_unraisable(self._session.config)  # of what was garbage only now
            code = 0
        except BaseException:
            self._captured.stop_global_capturing()
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _run(self) -> None:
        items = self._session.items
        later = SimpleNamespace(listchain=lambda: [self._session])  # the session's fixtures stay for the next file
        while given := _receive(self._parent):
            for number, following in zip(given, [*given[1:], None], strict=True):
                nextitem = later if following is None else items[following]
                items[number].config.hook.pytest_runtest_protocol(item=items[number], nextitem=nextitem)
                _send(self._parent, number)
            _send(self._parent, "next")
        self._session._setupstate.teardown_exact(None)


def _files(items: list[pytest.Item]) -> deque[list[int]]:
    """The numbers of each file's tests, in the order in which files come first."""
    files: dict[Path, list[int]] = {}
    for number, item in enumerate(items):
        files.setdefault(item.path, []).append(number)
    return deque(files.values())


def _send(to: socket.socket, said: Any) -> None:
    body = pickle.dumps(said)
    to.sendall(_LENGTH.pack(len(body)) + body)


def _receive(of: socket.socket) -> Any:
    """None when the other end is gone."""
    head = of.recv(_LENGTH.size, socket.MSG_WAITALL)
    if len(head) < _LENGTH.size:
        return None
    length = _LENGTH.unpack(head)[0]
    return pickle.loads(of.recv(length, socket.MSG_WAITALL))
