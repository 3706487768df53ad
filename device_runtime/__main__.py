"""`python -m device_runtime`: trains and evaluates the model of a package on this machine."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType

from device_runtime.formats.errors import FormatError

WRONG_OPTIONS = 2
INTERRUPTED = 130
TERMINATED = 143


def main() -> int:
    """Runs and returns the exit code: 0, 1 on bad input, 2 on bad options, 130 if interrupted, 143 if terminated."""
    package = Path(__file__).resolve().parent.parent
    # While extension modules load they turn the exception of a signal's handler into an ImportError of their own.
    interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from device_runtime.formats.options import OptionsError, parse
    from device_runtime.runner import run

    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, interrupt)
    try:
        options = parse(sys.argv[1:], package)
        run(options, package)
    except OptionsError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_OPTIONS
    except FormatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Who read our output has gone; what is left in the buffer would fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # A failed write does not say to which file; what a run writes is in the output folder.
        where = error.filename or options.output
        print(f"error: {where}: {error.strerror}; is the disk full or read-only?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what was saved until now is in the output folder", file=sys.stderr)
        return INTERRUPTED
    return 0


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
