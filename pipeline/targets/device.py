"""A device over adb as the target, of whichever ABI: push, detached jobs, verified pulls."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

from device_runtime.formats.manifest import PULLED
from device_runtime.formats.options import LOWERED
from device_runtime.formats.paths import check_name
from pipeline.errors import TargetError, UsageError, in_line
from pipeline.machine.facts import MachineFacts
from pipeline.packing.abi import ABIS, Abi
from pipeline.packing.runtime_device import build_device
from pipeline.progress import OnProgress, note
from pipeline.targets import Kind, OnLine
from pipeline.targets.adb.adb import RECONNECT_S, Adb, ConnectionLost, Result, quote
from pipeline.targets.adb.choosing import choose
from pipeline.targets.adb.facts import QUESTION, parse_facts
from pipeline.targets.adb.lines import Lines
from pipeline.targets.adb.parse import abi_of, free_bytes
from pipeline.targets.adb.places import PRIVATE, check_links, receive, send
from pipeline.targets.adb.pull import pull
from pipeline.targets.adb.push import push
from pipeline.targets.adb.state import BASE, FOLDER, UNPULLED

BUSY = 75
DIED = 70
AGAIN = 74
# While a job is followed: a device that restarts, or whose cable somebody needs for a while, comes back.
AWAY_S = 900.0
# After a push that broke has waited for the device already.
PUSH_AGAIN_S = 5.0
_MOST_READ = 2**26
# Less is no room for a line of a log.
FULL_BYTES = 2**16
# `job.sh follow` ends before that and is asked again, so this much silence is a lost connection.
SILENCE_S = 30.0

# The preferred ABI and those of 64 bits: there are arm64 devices that prefer 32, and kernels of 64 bits without any
# program of theirs. What is no Android has its kernel's alone.
ASK_ABIS = (
    "abis=$(getprop ro.product.cpu.abi 2>/dev/null),$(getprop ro.product.cpu.abilist64 2>/dev/null); "
    '[ "$abis" != , ] || abis=$(uname -m); echo "$abis"'
)


class InterruptedHere(TargetError):
    """The user stopped watching; the job goes on."""

    exit_code = 130


class AdbTarget:
    """One device, by its serial, with the package for its ABI."""

    def __init__(self, device: Adb, abi: Abi, folder: str = "") -> None:
        self.name = abi.name
        self.abi = abi
        self._adb = device
        root = package_on_device(abi)
        self._root = root.with_name(folder or root.name)
        self._output = self._root / "output"
        # So long a device that went away in the middle of a job is waited for.
        self.away_s = AWAY_S
        # As a user names it.
        self._options = abi.options(device.serial)

    def push(self, package: Path, on_bytes: OnProgress) -> int:
        """See `Target`."""
        self.check()
        if self.running():
            raise TargetError(f"{self._adb.serial} runs a job: `invoke attach` shows it, `invoke stop` ends it")
        try:
            return push(self._adb, package, self._root, on_bytes)
        except ConnectionLost as lost:
            try:
                self._adb.reconnect(PUSH_AGAIN_S)
            except ConnectionLost:
                raise lost from None
        return push(self._adb, package, self._root, on_bytes)

    def check(self) -> None:
        """Checks that nothing leads out of our folder, and that programs can be started from /data/local/tmp.

        Raises:
          TargetError: one of them is not so.
        """
        check_links(self._adb, self._root.parent)
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
            raise TargetError(f"{self._adb.serial} has run no job: start one with `invoke train {self._options}`")
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
                f"`invoke run {self._options} --resume` goes on"
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
                    f"sh {self._root}/job.sh follow {lines.taken}", on_stdout=lines.take, timeout_s=SILENCE_S, live=True
                )
                # A script may end with that very code itself.
                if result.code != AGAIN or not runs:
                    return result.code
                runs = self.running()
            except ConnectionLost:
                serial = self._adb.serial
                note(f"lost {serial}: waiting for it; what runs there goes on (Ctrl-C leaves it running)")
                self._wait()

    def _wait(self) -> None:
        try:
            self._adb.reconnect(self.away_s)
        except ConnectionLost as lost:
            raise ConnectionLost(f"{lost}, `invoke run {self._options} --resume` goes on to the results") from lost

    def status(self) -> str:
        """`running SCRIPT`, `ended CODE`, `died` or `none`."""
        asked = f"[ -f {self._root}/job.sh ] && sh {self._root}/job.sh status || echo none"
        return in_line(self._adb.repeated(lambda: self._adb.execute(asked)).text.strip())

    def stop(self) -> None:
        """See `Target`."""
        if self.status() == "none":
            raise TargetError(f"{self._adb.serial}: no job runs")
        stopped = self._job("stop")
        if stopped.code != 0:
            raise TargetError(f"{self._adb.serial}: {stopped.complaint or 'the job does not end'}")

    def output_file(self, name: str) -> str:
        """See `Target`."""
        return str(self._output / name)

    def clear_output(self) -> None:
        """See `Target`."""
        self._adb.repeated(lambda: self._adb.check(f"rm -rf {self._output}"))

    def unpulled(self) -> bool:
        """See `Target`."""
        asked = f"cd {self._root} 2>/dev/null && {UNPULLED}"
        return self._adb.repeated(lambda: self._adb.execute(asked)).code == 0

    def mark_pulled(self, size_bytes: int) -> None:
        """See `Target`."""
        marked = f"{PRIVATE}; cd {self._output} && echo {size_bytes} >{PULLED}.new && mv {PULLED}.new {PULLED}"
        self._adb.repeated(lambda: self._adb.check(marked))

    def put(self, files: Sequence[Path]) -> None:
        """See `Target`."""
        self._adb.repeated(lambda: self._put(files))

    def _put(self, files: Sequence[Path]) -> None:
        self._adb.check(f"{PRIVATE}; mkdir -p {self._output}")
        for file in files:
            send(self._adb, file, self._output / file.name)

    def pull(self, into: Path, only: str = "*") -> list[Path]:
        """See `Target`; what arrives is compared with the device's own digests."""
        return pull(self._adb, self._output, into, only)

    def read_file(self, path: PurePosixPath) -> bytes:
        """The content of a file of the device, up to 64 MiB.

        Raises:
          TargetError: it cannot be read.
        """
        content = io.BytesIO()
        receive(self._adb, path, _MOST_READ, content, SILENCE_S)
        return content.getvalue()

    def facts(self) -> MachineFacts:
        """See `Target`."""
        return parse_facts(self._adb.serial, self._adb.repeated(lambda: self._adb.execute(QUESTION)).text)

    def _job(self, words: str) -> Result:
        return self._adb.execute(f"sh {self._root}/job.sh {words}")


def connect(serial: str | None, abi: Abi | None = None, folder: str = "") -> AdbTarget:
    """The device with that serial, or the only one.

    Args:
      serial: of the device.
      abi: that it has to have; None: any, of whose package the job is.
      folder: the package's name there; nothing: that of trainings.

    Raises:
      TargetError: there is no such device, it is not ready, or has another ABI.
    """
    device = choose(serial)
    said = device.repeated(lambda: device.execute(ASK_ABIS))
    return AdbTarget(device, abi_of(device.serial, said.text, abi), folder)


def package_on_device(abi: Abi) -> PurePosixPath:
    """Where the package is on a device of that ABI."""
    return BASE / FOLDER / f"package-{abi.name}"


def _checkpoint(abi: Abi, text: str) -> str:
    """The path on the device of a file in its output folder."""
    output = package_on_device(abi) / "output"
    try:
        check_name(text)
    except ValueError as error:
        raise UsageError(f"--checkpoint {text}: give the name of a file in the device's {output}") from error
    return f"{output}/{text}"


def kind(target: str) -> Kind:
    """Devices of the ABI that `--target` means."""
    abi = next(abi for abi in ABIS if abi.target == target)
    return Kind(
        abi.name,
        lambda package, serial: connect(serial, abi, package.name),
        partial(build_device, abi),
        partial(_checkpoint, abi),
        is_here=False,
        engines=(LOWERED,),
    )
