"""An arm64 device over adb as the target: push, detached jobs, verified pulls."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

from device_runtime.formats.metrics import FILE_NAME as METRICS
from device_runtime.formats.paths import check_name
from pipeline.errors import TargetError, UsageError, in_line
from pipeline.files import new_file, sha256_of
from pipeline.machine.facts import MachineFacts
from pipeline.packing.runtime_arm64 import build_arm64
from pipeline.progress import OnProgress, note
from pipeline.targets import PULLED, Kind, OnLine
from pipeline.targets.adb import adb
from pipeline.targets.adb.adb import Adb, ConnectionLost, quote
from pipeline.targets.adb.facts import QUESTION, parse_facts
from pipeline.targets.adb.lines import Lines
from pipeline.targets.adb.parse import OutputFile, check_abi, free_bytes, parse_output_files
from pipeline.targets.adb.places import PRIVATE, check_links, receive, send
from pipeline.targets.adb.push import push

BASE = PurePosixPath("/data/local/tmp")
ROOT = BASE / "train-on-device" / "package-arm64"
OUTPUT = ROOT / "output"

BUSY = 75
DIED = 70
AGAIN = 74
RECONNECT_S = 60.0
# While a job is followed: a device that restarts, or whose cable somebody needs for a while, comes back.
AWAY_S = 900.0
# After a push that broke has waited for the device already.
PUSH_AGAIN_S = 5.0
# Less is no room for a line of a log.
FULL_BYTES = 2**16
# `job.sh follow` ends before that and is asked again, so this much silence is a lost connection.
SILENCE_S = 30.0
DIGESTS_TIMEOUT_S = 300.0
# The lines of a hundred thousand checkpoints.
MOST_LISTED = 2**24

# The preferred ABI and those of 64 bits: there are arm64 devices that prefer 32, and kernels of 64 bits without any
# program of theirs. What is no Android has its kernel's alone.
ABIS = (
    "abis=$(getprop ro.product.cpu.abi 2>/dev/null),$(getprop ro.product.cpu.abilist64 2>/dev/null); "
    '[ "$abis" != , ] || abis=$(uname -m); echo "$abis"'
)

# A running job's metrics still grow: their whole lines that are there now are listed, and later pulled. Up to Android 8
# no tool cuts off at a byte.
LIST_FILE = (
    '[ -f "$f" ] || continue; case $f in '
    '*.jsonl) l=$(wc -l <"$f") && n=$(head -n $((l)) "$f" | wc -c) && s=$(head -n $((l)) "$f" | sha256sum) ;; '
    '*) n=$(stat -c %s "$f") && s=$(sha256sum <"$f") ;; '
    'esac && echo "${s%% *} $((n)) $f" || exit 1'
)


_T = TypeVar("_T")


class InterruptedHere(TargetError):
    """The user stopped watching; the job goes on."""

    exit_code = 130


class AdbTarget:
    """One device, by its serial."""

    name = "arm64"

    def __init__(self, device: Adb) -> None:
        self._adb = device

    @classmethod
    def connect(cls, serial: str | None) -> AdbTarget:
        """The device with that serial, or the only one.

        Raises:
          TargetError: there is no such device, or it is not ready.
        """
        return cls(adb.choose(serial))

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """See `Target`."""
        self.check()
        if self.running():
            raise TargetError(f"{self._adb.serial} runs a job: `invoke attach` shows it, `invoke stop` ends it")
        try:
            return push(self._adb, package, ROOT, on_bytes)
        except ConnectionLost as lost:
            try:
                self._adb.reconnect(PUSH_AGAIN_S)
            except ConnectionLost:
                raise lost from None
        return push(self._adb, package, ROOT, on_bytes)

    def check(self) -> None:
        """Checks ABI, that nothing leads out of our folder, and that programs can be started from /data/local/tmp.

        Raises:
          TargetError: one of them is not so.
        """
        check_abi(self._adb.serial, self._adb.execute(ABIS).text)
        check_links(self._adb, ROOT.parent)
        probe = BASE / f".probe-{uuid.uuid4().hex[:8]}"
        written = self._adb.execute(
            f'{PRIVATE}; {{ printf "#!%s\\nexit 0\\n" "$(command -v sh)" >{probe} && chmod 700 {probe}; }} || exit 3; '
            f"{probe}; code=$?; rm -f {probe}; exit $code"
        )
        if written.code == 3:
            self._adb.execute(f"rm -f {probe}")
            raise TargetError(f"{self._adb.serial}: {BASE} cannot be written to, or its disk is full")
        if written.code != 0:
            raise TargetError(
                f"{self._adb.serial}: {BASE} does not execute programs (mounted noexec): "
                "remount it, or use a device that allows it"
            )

    def run(self, script: str, arguments: Sequence[str], on_line: OnLine) -> int:
        """See `Target`: detached, so that a lost connection does not end it."""
        token = uuid.uuid4().hex
        words = " ".join(quote(word) for word in ("start", token, script, *arguments))
        try:
            started = self._job(words)
        except ConnectionLost:
            # It may have started before the connection broke: then the device knows the token, and starts no other.
            self._adb.reconnect(RECONNECT_S)
            started = self._job(words)
        if started.code == BUSY:
            raise TargetError(
                f"{self._adb.serial}: {started.complaint}: `invoke attach` shows the job, `invoke stop` ends it"
            )
        if started.code != 0:
            raise TargetError(f"{self._adb.serial}: {script} did not start: {started.complaint}; push again")
        return self._follow(on_line)

    def running(self) -> bool:
        """See `Target`."""
        return self.status().startswith("running")

    def attach(self, on_line: OnLine) -> int:
        """See `Target`; also of a job that is over. Survives lost connections.

        Raises:
          TargetError: there is no job, it died without an exit code, or the device does not come back.
        """
        if self.status() == "none":
            raise TargetError(f"{self._adb.serial} has run no job: start one with `invoke train --target arm64`")
        return self._follow(on_line)

    def _follow(self, on_line: OnLine) -> int:
        lines = Lines(on_line)
        try:
            code = self._followed(lines)
        except KeyboardInterrupt:
            raise InterruptedHere(
                f"interrupted here; the job on {self._adb.serial} goes on: "
                "`invoke attach` shows it, `invoke stop` ends it"
            ) from None
        lines.flush()
        if code == DIED and self.status() == "died":
            raise TargetError(
                f"{self._adb.serial}: the job was killed; the device may have run out of memory, or restarted: "
                "`invoke run --target arm64 --resume` goes on"
            )
        if code != 0 and self._is_full():
            # Then what a script says of it finds no room in the log either.
            on_line(f"error: No space left on device: delete something in {BASE}, then `invoke run --resume` goes on")
        return code

    def _is_full(self) -> bool:
        with suppress(TargetError):
            return free_bytes(self._adb.check(f"df -k {BASE}")) < FULL_BYTES
        return False

    def _followed(self, lines: Lines) -> int:
        """The exit code of the job, whose output goes to `lines`; a device that is away is waited for."""
        runs = True
        while True:
            try:
                result = self._adb.execute(
                    f"sh {ROOT}/job.sh follow {lines.taken}", on_stdout=lines.take, timeout_s=SILENCE_S, live=True
                )
                # A script may end with that very code itself.
                if result.code != AGAIN or not runs:
                    return result.code
                runs = self.running()
            except ConnectionLost:
                serial = self._adb.serial
                note(f"lost {serial}: waiting for it; what runs there goes on (Ctrl-C leaves it running)")
                self._adb.reconnect(AWAY_S)

    def _repeated(self, call: Callable[[], _T]) -> _T:
        """Makes a call that does no harm when it is made twice: again, where the connection broke in it."""
        try:
            return call()
        except ConnectionLost:
            self._adb.reconnect(RECONNECT_S)
            return call()

    def status(self) -> str:
        """`running SCRIPT`, `ended CODE`, `died` or `none`."""
        asked = f"[ -f {ROOT}/job.sh ] && sh {ROOT}/job.sh status || echo none"
        return in_line(self._repeated(lambda: self._adb.execute(asked)).text.strip())

    def stop(self) -> None:
        """Ends the running job.

        Raises:
          TargetError: none runs.
        """
        if self.status() == "none":
            raise TargetError(f"{self._adb.serial}: no job runs")
        stopped = self._job("stop")
        if stopped.code != 0:
            raise TargetError(f"{self._adb.serial}: {stopped.complaint or 'the job does not end'}")

    def clear_output(self) -> None:
        """See `Target`."""
        self._repeated(lambda: self._adb.check(f"rm -rf {OUTPUT}"))

    def unpulled(self) -> bool:
        """See `Target`."""
        mark = f'"$(cat {PULLED} 2>/dev/null)"'
        asked = f'cd {OUTPUT} 2>/dev/null && [ -s {METRICS} ] && [ {mark} != "$(stat -c %s {METRICS})" ]'
        return self._repeated(lambda: self._adb.execute(asked)).code == 0

    def mark_pulled(self, size_bytes: int) -> None:
        """See `Target`."""
        marked = f"{PRIVATE}; cd {OUTPUT} && echo {size_bytes} >{PULLED}.new && mv {PULLED}.new {PULLED}"
        self._repeated(lambda: self._adb.check(marked))

    def put(self, files: Sequence[Path]) -> None:
        """See `Target`."""
        self._repeated(lambda: self._put(files))

    def _put(self, files: Sequence[Path]) -> None:
        self._adb.check(f"{PRIVATE}; mkdir -p {OUTPUT}")
        for file in files:
            send(self._adb, file, OUTPUT / file.name)

    def pull(self, into: Path, only: str = "*") -> list[Path]:
        """See `Target`; what arrives is compared with the device's own digests."""
        listed = f"cd {OUTPUT} 2>/dev/null || exit 0; for f in {only}; do {LIST_FILE}; done"
        listing = self._repeated(lambda: self._adb.execute(listed, timeout_s=DIGESTS_TIMEOUT_S, most_bytes=MOST_LISTED))
        if listing.code != 0:
            raise TargetError(f"{self._adb.serial}: {OUTPUT} cannot be read: {listing.complaint}")
        files = parse_output_files(listing.text)
        self._check_room(files, into)
        return [self._repeated(partial(self._pull_file, file, into)) for file in files]

    def _check_room(self, files: Sequence[OutputFile], into: Path) -> None:
        """Refuses sizes that this machine's disk cannot take, before anything is written."""
        there = next(folder for folder in (into.absolute(), *into.absolute().parents) if folder.exists())
        size_bytes, free = sum(file.size_bytes for file in files), shutil.disk_usage(there).free
        if size_bytes > free:
            raise TargetError(
                f"{self._adb.serial}: its results are {size_bytes / 2**20:,.0f} MiB as it says, {there} has "
                f"{free / 2**20:,.0f} MiB: nothing was pulled; make room, or remove what it should not have from "
                f"{OUTPUT}"
            )

    def _pull_file(self, file: OutputFile, into: Path) -> Path:
        final = into / file.name
        with new_file(final) as temporary:
            with temporary.open("wb") as content:
                receive(self._adb, OUTPUT / file.name, file.size_bytes, content, SILENCE_S)
            if sha256_of(temporary) != file.sha256:
                raise TargetError(f"{self._adb.serial}: {file.name} arrived damaged: run `invoke pull` again")
        return final

    def facts(self) -> MachineFacts:
        """See `Target`."""
        return parse_facts(self._adb.serial, self._repeated(lambda: self._adb.execute(QUESTION)).text)

    def _job(self, words: str) -> adb.Result:
        return self._adb.execute(f"sh {ROOT}/job.sh {words}")


def _checkpoint(text: str) -> str:
    """The path on the device of a file in its output folder."""
    try:
        check_name(text)
    except ValueError as error:
        raise UsageError(f"--checkpoint {text}: give the name of a file in the device's {OUTPUT}") from error
    return f"{OUTPUT}/{text}"


KIND = Kind(
    lambda package, serial: AdbTarget.connect(serial), build_arm64, _checkpoint, goes_on=True, engines=("lowered",)
)
