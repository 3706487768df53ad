"""`invoke bench --target web`: LeNet's step in Chromium, beside the native engine's and TensorFlow.js's.

All train: the engines in the browser on the carried sample of MNIST, from the same weights, with the same batches.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.bench.building import Built, build_network
from pipeline.bench.networks import choose, is_own
from pipeline.bench.steps import LOWERED, THREADS, TIMEOUT_S, median_ratio, worker
from pipeline.bench.web.chromium import PAGE, Page, find_chromium, opened
from pipeline.bench.web.results import NATIVE, OURS, TFJS, Timing, WebResult, lines_of
from pipeline.commands import converse
from pipeline.errors import UsageError
from pipeline.files import new_file
from pipeline.optimizers import written
from pipeline.packing.npm import npm_files
from pipeline.packing.runtime import PACKAGING
from pipeline.prepare import make_package
from pipeline.progress import note
from pipeline.settings import Settings

_NETWORK = "lenet"
_SOURCES = Path(__file__).parent / "page"
_TFJS_PINS = PACKAGING / "tfjs"
# For browsers of today.
_TFJS_FILES = {
    "@tensorflow/tfjs/dist/tf.es2017.min.js": "tf.js",
    "@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js": "tf-backend-wasm.js",
    **{
        f"@tensorflow/tfjs-backend-wasm/dist/{name}": name
        for name in ("tfjs-backend-wasm-simd.wasm", "tfjs-backend-wasm-threaded-simd.wasm")
    },
}

# By engine and threads, its answers of each round.
Answers = Mapping[tuple[str, int], list[dict[str, Any]]]


def bench_web(settings: Settings) -> None:
    """Measures, prints and writes build/bench-web.json.

    Raises:
      PipelineError: an option cannot be meant, there is no Chromium, or an engine does not run.
    """
    _check(settings)
    program = find_chromium()
    here = replace(settings, target=Settings().target, networks=(_NETWORK,), rivals=())
    (measured,) = choose(here)
    note(f"{measured.title} is built and compared with torch")
    built = build_network(measured, here)
    package = _web_package(built, settings)
    with opened(program, package) as page:
        answers = _measured(built, page, settings)
        result = _result(built, page.browser, answers, settings.repeats)
    with new_file(settings.build / "bench-web.json") as temporary:
        temporary.write_text(json.dumps(asdict(result), indent=1) + "\n")
    print(*lines_of(result), sep="\n", flush=True)


def _check(settings: Settings) -> None:
    if settings.networks not in ((), (_NETWORK,)) or is_own(settings):
        raise UsageError(f"bench --target web measures {_NETWORK} alone: leave out --networks and --model")
    if settings.rivals or settings.data or settings.serial:
        raise UsageError(
            "bench --target web measures beside TensorFlow.js, on the carried sample, in this machine's Chromium: "
            "leave out --rivals, --data and --serial"
        )


def _web_package(built: Built, settings: Settings) -> Path:
    """The network's package for a browser, with the bench's page and the rival in it."""
    extra = {f"bench/{path.name}": path.read_bytes() for path in _SOURCES.glob("*.js")}
    extra[PAGE] = (_SOURCES / PAGE).read_bytes()
    extra["bench/preprocessing.json"] = json.dumps(asdict(built.prepared.recipe.preprocessing)).encode()
    with tempfile.TemporaryDirectory() as folder:
        npm_files(_TFJS_PINS, _TFJS_FILES, Path(folder))
        extra |= {f"tfjs/{path.name}": path.read_bytes() for path in Path(folder).iterdir()}
    return make_package(built.prepared, settings, settings.build / "bench" / _NETWORK, extra)


def _measured(built: Built, page: Page, settings: Settings) -> Answers:
    """All engines in turns; of each the answers after the first, with which it was set up and warm."""
    answers: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with ExitStack() as running:
        asks: dict[tuple[str, int], Callable[[], dict[str, Any]]] = {}
        for threads in THREADS:
            command, environment = worker(LOWERED, threads, built, settings.seconds)
            native = running.enter_context(converse(command, timeout_s=TIMEOUT_S, env=environment))
            asks[OURS, threads] = partial(page.measure, "ours", threads, settings.seconds)
            asks[NATIVE, threads] = partial(_answer, native)
            asks[TFJS, threads] = partial(page.measure, "tfjs", threads, settings.seconds)
        for (engine, threads), ask in asks.items():
            ask()
            note(f"{engine} on {threads} thread{'s' * (threads > 1)} is set up, and warm")
        note(f"{len(asks)} engines are measured in {settings.repeats} rounds")
        for _ in range(settings.repeats):
            for name, ask in asks.items():
                answers.setdefault(name, []).append(ask())
    return answers


def _answer(ask: Callable[[], str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ask())
    return answer


def _result(built: Built, browser: str, answers: Answers, repeats: int) -> WebResult:
    recipe = built.prepared.recipe

    def timing(name: tuple[str, int], ours: list[float]) -> Timing:
        found = answers[name]
        ms = [answer["ms"] for answer in found]
        return Timing(median(ms), median_ratio(ours, ms), tuple(found[-1].get("losses", ())))

    threads = {}
    for count in THREADS:
        ours = [answer["ms"] for answer in answers[OURS, count]]
        threads[count] = {engine: timing((engine, count), ours) for engine in (OURS, NATIVE, TFJS)}
    optimizer = written(recipe.optimizer)
    return WebResult(built.measured.title, browser, built.image, recipe.batch_size, optimizer, repeats, threads)
