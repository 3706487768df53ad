"""What is made of a line before invoke parses it."""

from __future__ import annotations

import shlex

import pytest
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from pipeline.cli.line import TaskLine, read_line
from pipeline.errors import UsageError

RESUME = Argument("resume", optional=True)
INFER = ParserContext(
    "infer", args=[Argument("paths", kind=list), Argument("run", help="a finished run"), Argument("json")]
)
TRAIN = ParserContext("train", args=[Argument("cycles"), Argument("learning-rate"), Argument("verbose"), RESUME])
OWN = ParserContext(
    "fuzz", args=[Argument(names=("cases", "c"), kind=int), Argument("quick", kind=bool, default=False)]
)
TASKS = {
    "infer": TaskLine(INFER, frozenset({"--json"}), "--paths"),
    "train": TaskLine(TRAIN, frozenset({"--verbose"})),
    "fuzz": TaskLine(OWN),
}
CORE = ParserContext(
    args=[
        Argument(names=("help", "h"), optional=True),
        Argument(names=("hide",)),
        Argument(names=("echo", "e"), kind=bool),
    ]
)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("infer a.png folder/", "infer --paths a.png --paths folder/"),
        ("infer --run runs/X a.png --json b.png", "infer --run runs/X --paths a.png --json true --paths b.png"),
        ("infer --run=runs/X a.png", "infer --run runs/X --paths a.png"),
        ("infer train", "infer --paths train"),
        ("infer --paths a.png b.png", "infer --paths a.png --paths b.png"),
        ("train infer a.png", "train infer --paths a.png"),
        ("train --verbose --cycles 3", "train --verbose true --cycles 3"),
        ("train --verbose=false", "train --verbose false"),
        ("train --cycles 1 train --cycles 2", "train --cycles 1 train --cycles 2"),
        ("train --learning-rate -1", "train --learning-rate -1"),
        ("train --learning-rate=-1", "train --learning-rate -1"),
        ("train --cycles train", "train --cycles train"),
        ("train --resume", "train --resume"),
        ("train --resume --cycles 3", "train --resume --cycles 3"),
        ("train --resume runs/X", "train --resume runs/X"),
        ("train --help", "train --help"),
        ("train -h --verbose", "train -h --verbose true"),
        ("train --hide both --verbose", "train --hide both --verbose true"),
        ("fuzz -c3 --quick", "fuzz -c3 --quick"),
        ("fuzz -c 3 --cases=4", "fuzz -c 3 --cases 4"),
    ],
)
def test_a_line_is_read_as_it_was_meant(line: str, read: str) -> None:
    assert read_line(line.split(), TASKS, CORE) == read.split()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian", "'trian' is no task: did you mean train?"),
        ("''", "'' is no task: `invoke --list` lists them"),
        ("train lenet", "'lenet' behind train is neither an option nor a task"),
        ("train fuz", "'fuz' behind train is neither an option nor a task: did you mean fuzz?"),
        ("train --cycels 3", "train takes no option --cycels: did you mean --cycles?"),
        ("train --cycels=3", "train takes no option --cycels: did you mean --cycles?"),
        ("train --learning_rate 1", "train takes no option --learning_rate: did you mean --learning-rate?"),
        ("infer --cycles 3", "infer takes no option --cycles: train takes it"),
        ("train --zzz", "train takes no option --zzz: `invoke --help train` lists those it takes"),
        ("train -x", "train takes no option -x: `invoke --help train` lists those it takes"),
        ("--cycles 3 train", "--cycles is no option: it stands behind its task, as in `invoke train --cycles`"),
        ("--hlep", "--hlep is no option: did you mean --help?"),
        ("infer --run", "--run is given without its value: a finished run"),
        ("infer --run --json", "--run is given without its value: a finished run"),
        ("infer --run -h", "--run is given without its value: a finished run"),
        ("infer --run=", "--run is given without its value: a finished run"),
        ("infer --run ''", "--run is given without its value: a finished run"),
        ("train --resume=", "--resume is given without its value"),
        ("train --cycles --nonsense", "--cycles is given without its value"),
        ("train --verbose=yes", "--verbose=yes: give --verbose, or --verbose=false where a file or the environment"),
        ("train --verbose=", "--verbose=: give --verbose, or"),
        ("train --verbose yes", "'yes' behind train is neither an option nor a task"),
        ("train --cycles 1 --cycles=2", "--cycles is given twice"),
        ("train --verbose --verbose", "--verbose is given twice"),
        ("fuzz --cases many", "--cases many: give a whole number"),
        ("fuzz --quick=yes", "--quick=yes: --quick takes no value"),
    ],
)
def test_what_cannot_be_read_is_told(line: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_line(shlex.split(line), TASKS, CORE)
    assert str(error.value).startswith(message)
