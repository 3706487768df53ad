"""The files that host and device exchange. The host imports these modules and nothing else of `device_runtime`."""
