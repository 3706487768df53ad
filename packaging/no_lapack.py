"""In the place of numpy's bindings to LAPACK, which the device's runtime does not have: who calls one is told so."""


def __getattr__(name: str) -> object:
    raise AttributeError(
        f"numpy.linalg needs {name} of LAPACK, which this runtime leaves out: see packaging/runtime.toml"
    )
