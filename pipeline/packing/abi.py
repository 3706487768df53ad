"""The ABIs of devices: all that differs between a device of one and a device of another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Abi:
    """One ABI, by the names that each tool has for it.

    Attributes:
      target: `--target`.
      name: ends the names of its folders: runtime, package, results.
      android: `ro.product.cpu.abi`.
      machine: the kernel's (`uname -m`), compilers' and wheels'.
      debian: Debian's.
      loader: file name of glibc's loader.
      needs_serial: whether `--target` alone means this machine, and a serial a device.
    """

    target: str
    name: str
    android: str
    machine: str
    debian: str
    loader: str
    needs_serial: bool

    def options(self, serial: str) -> str:
        """What a user types for the device of that serial."""
        return f"--target {self.target}" + (f" --serial {serial}" if self.needs_serial else "")


ARM64 = Abi("arm64", "arm64", "arm64-v8a", "aarch64", "arm64", "ld-linux-aarch64.so.1", needs_serial=False)
X86_64 = Abi("x86", "x86-device", "x86_64", "x86_64", "amd64", "ld-linux-x86-64.so.2", needs_serial=True)
ABIS = (ARM64, X86_64)
