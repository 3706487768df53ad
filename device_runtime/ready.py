"""Says in a line of JSON why a training may not run on this device now: `{"unmet": ""}` when it may."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from device_runtime.conditions import Conditions
from device_runtime.formats.errors import FormatError
from device_runtime.formats.options import OptionsError, parse
from device_runtime.power import Device


def main() -> int:
    """Asks the device once; returns the exit code."""
    try:
        options = parse(sys.argv[1:], Path())
        conditions = Conditions(options.while_charging, options.between, options.min_battery, options.max_battery_temp)
        device = Device()
        conditions.check(device)
        print(json.dumps({"unmet": conditions.unmet(device, device.power(), paused=False)}))
    except (OptionsError, FormatError) as error:
        print(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
