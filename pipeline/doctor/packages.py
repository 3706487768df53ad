"""Packages of Python: which are required, which are installed, which can be imported.

Nothing here needs any of them: `packaging`, which compares versions, may be missing as any other.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.doctor.finding import Finding, lacking, ok
from pipeline.doctor.importing import failed_imports
from pipeline.doctor.project import Project, pip

if TYPE_CHECKING:
    from packaging.requirements import Requirement

# Distributions that bring a module of the same name, so that one lies over the other.
ONE_MODULE = "onnxruntime"

_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Need:
    """A distribution that has to be there.

    Attributes:
      requirement: as PEP 508 writes it, without marker.
      by: the distribution that needs it; empty for the project itself.
    """

    requirement: str
    by: str

    @property
    def name(self) -> str:
        """The distribution's name, as it is compared."""
        return canonical(self.requirement)


def canonical(text: str) -> str:
    """The name that a requirement begins with, as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", _named(text)).lower()


def _named(text: str) -> str:
    found = _NAME.match(text.strip())
    return found[0] if found else ""


def installed_version(name: str) -> str | None:
    """The version of a distribution; None where it is not installed, empty where its metadata are damaged."""
    try:
        return str(importlib.metadata.distribution(name).metadata["Version"] or "")
    except importlib.metadata.PackageNotFoundError:
        return None
    except KeyError:
        return ""


def needs(requirements: Sequence[str]) -> list[Need]:
    """The project's requirements and, of those that are installed, what they require themselves, each once."""
    found: dict[str, Need] = {}
    pending = [Need(text, "") for text in requirements]
    while pending:
        asked = pending.pop(0)
        need, extras = _applying(asked)
        if need is None or need.requirement in found:
            continue
        found[need.requirement] = need
        if installed_version(need.name):
            pending += [Need(text, need.name) for text in _required_by(need.name, extras)]
    return list(found.values())


def _applying(need: Need) -> tuple[Need | None, tuple[str, ...]]:
    """The need without its marker, and its extras; None where the marker says that it is another machine's."""
    requirement = _parsed(need.requirement)
    if requirement is None:
        # Only `packaging` reads markers; what stands behind one may be another machine's, and others' text anything.
        return (None if ";" in need.requirement or not need.name else need), ()
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return None, ()
    return Need(f"{requirement.name}{requirement.specifier}", need.by), tuple(sorted(requirement.extras))


def _required_by(name: str, extras: Sequence[str]) -> Iterator[str]:
    """What a distribution requires, of its optional parts what `extras` name."""
    for text in importlib.metadata.requires(name) or ():
        requirement = _parsed(text)
        if requirement is None or requirement.marker is None or "extra" not in str(requirement.marker):
            yield text
        elif any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield f"{requirement.name}{requirement.specifier}"


def _parsed(text: str) -> Requirement | None:
    try:
        from packaging.requirements import Requirement

        return Requirement(text)
    except Exception:  # `packaging` may be damaged in any way, and others' metadata may say anything
        return None


def fits(requirement: str, version: str) -> bool:
    """Whether a version is one of those that a requirement takes; without `packaging` nobody knows, and it is."""
    parsed = _parsed(requirement)
    try:
        return parsed is None or parsed.specifier.contains(version, prereleases=True)
    except ValueError:
        # No version at all.
        return False


def examine(project: Project) -> list[Finding]:
    """A finding for each package of the project, and for each other that is not as they require it."""
    required = needs(project.requirements)
    wrong = {need: trouble for need in required if (trouble := _trouble(need))}
    modules = _modules_by_distribution()
    present = [need for need in required if need not in wrong]
    broken = failed_imports({need.name: modules.get(need.name, ()) for need in present if not need.by})
    findings = list[Finding]()
    told = set[str]()
    for need in required:
        if need.by and need.name in told:
            continue
        if need in wrong:
            told.add(need.name)
            findings.append(lacking(wrong[need], pip("install", need.requirement, constraints=project.constraints)))
        elif need.name in broken and not need.by:
            # What stands behind + names a build, which not every index has.
            version = (installed_version(need.name) or "").partition("+")[0]
            again = pip("install", "--force-reinstall", "--no-deps", f"{need.name}=={version}")
            findings.append(lacking(f"{need.name} {version} cannot be imported: {broken[need.name]}", again))
        elif not need.by:
            build = _build_of_torch() if need.name == "torch" else ""
            findings.append(ok(f"{need.name} {installed_version(need.name)}{build}{_tested(need.name, project)}"))
    return [*findings, *_clashes(required, modules, project)]


def _trouble(need: Need) -> str:
    """What is wrong with a package by its metadata; empty where nothing is."""
    version = installed_version(need.name)
    wanted = need.requirement.removeprefix(_named(need.requirement)).strip()
    by = f" by {need.by}" if need.by else ""
    if version is None:
        return f"{need.name} is not installed, and needed{by}"
    if not version:
        return f"{need.name} is damaged: its metadata name no version"
    if not fits(need.requirement, version):
        return f"{need.name} {version}: {wanted} is needed{by}"
    return ""


def _tested(name: str, project: Project) -> str:
    """What is said of a version that fits and is another than the tests ran with."""
    lines = project.constraints.read_text().splitlines() if project.constraints else []
    pinned = next((line.partition("==")[2] for line in lines if canonical(line) == name), "")
    version = installed_version(name) or ""
    # What stands behind + names a build of the same version.
    return f" (tested with {pinned})" if pinned and version.partition("+")[0] != pinned else ""


def _build_of_torch() -> str:
    """What torch was built for, from its own file: its version names that of some builds alone."""
    found = importlib.util.find_spec("torch")
    source = Path(found.origin).with_name("version.py") if found and found.origin else Path()
    cuda = re.search(r"^cuda\b.*= '(.+)'", source.read_text(), re.MULTILINE) if source.is_file() else None
    return f", for CUDA {cuda[1]}, which is not used" if cuda else ", for the CPU"


def _modules_by_distribution() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for module, distributions in importlib.metadata.packages_distributions().items():
        if module.isidentifier() and module[0] != "_":
            for name in {canonical(name) for name in distributions}:
                found.setdefault(name, []).append(module)
    return {name: tuple(modules) for name, modules in found.items()}


def _clashes(required: Sequence[Need], modules: Mapping[str, Sequence[str]], project: Project) -> list[Finding]:
    """Distributions whose module lies over that of a required one: of onnxruntime there is a dozen."""
    owners = sorted(name for name, owned in modules.items() if ONE_MODULE in owned)
    own = next((need for need in required if need.name in owners and not need.by), None)
    others = [name for name in owners if own and name != own.name]
    if own is None or not others:
        return []
    said = f"{', '.join(others)} lies over {own.name}: both are the module {ONE_MODULE}, and one hides the other"
    remove = pip("uninstall", "-y", *others, own.name)
    return [lacking(said, f"{remove} && {pip('install', own.requirement, constraints=project.constraints)}")]
