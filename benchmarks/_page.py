"""The page: what a run has found, in plain English and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from benchmarks import _caches, _loaders, batches, cache_misses, errors, joiner_parts, joiners
from benchmarks._caches import KINDS, NOT_AMONG_RIVALS
from benchmarks._document import Document
from benchmarks._loaders import LOADERS
from benchmarks._markdown import paragraph, table
from benchmarks._measure import NEARLY_ONE, SELDOM
from benchmarks._questions import QUESTIONS
from benchmarks._rivals import CALLERS, OURS, RIVALS, Rival
from benchmarks._tables import NAMES, figure, tables_of
from benchmarks._targets import JOINER_LIMIT, Target, targets_of

PICTURE = "pictures/scale.png"


def page_of(document: Document) -> str:
    """Return the page, in Markdown."""
    parts = (_head, _targets, _rivals, _costlier, _questions, _method)
    return "\n".join(line for part in parts for line in part(document)).rstrip() + "\n"


def _head(document: Document) -> Iterator[str]:
    facts = document.environment
    versions = ", ".join(f"{name} {facts.packages[name]}" for name in ("anyio", "uvloop", "trio"))
    yield "# Performance"
    yield ""
    if document.quick:
        yield from paragraph("**This is from a smoke run: its figures mean nothing.**")
    yield from paragraph(
        f"Written by `{document.command}` on {facts.date}, in {document.seconds / 60:.0f} minutes.",
        f"Machine: {facts.cores} cores ({facts.processor}), {facts.memory_gb} GB, load "
        f"{facts.load:.1f} before and {document.load_after:.1f} after (1 is the run's own).",
        f"Versions: {facts.system}, {facts.python}, {versions}, "
        f"anyflight {facts.packages['anyflight']}.",
        "Ratios hold within a run; absolute figures change from machine to machine. All figures",
        "are in [performance.json](performance.json).",
    )


def _targets(document: Document) -> Iterator[str]:
    yield "## Targets"
    yield ""
    rows = [_target_row(document, target) for target in targets_of(document)]
    yield from table(["", *(NAMES[each] for each in document.backends)], rows)
    parts = joiner_parts.TITLE.lower().replace(" ", "-")
    yield from paragraph(
        "Each figure is the median of a ratio: to what its row names, or to the cost of the",
        "cheapest cancel-safe rival. A cell is empty where there is none. What keeps a joiner",
        f"above {JOINER_LIMIT} is told [by parts](#{parts}). The last row goes by sizes of which",
        "the largest are measured once, and by memory that no cache holds: a key in flight takes",
        "about half as many bytes again as its floor.",
    )


def _target_row(document: Document, target: Target) -> list[str]:
    cells = [target.name]
    for backend in document.backends:
        score = target.scores.get(backend)
        if score is None:
            cells.append("")
        else:
            verdict = "met" if score.met else "**not met**"
            cells.append(f"{verdict}: {score.figure:.2f} {score.word}".rstrip())
    return cells


def _rivals(document: Document) -> Iterator[str]:
    yield "## Rivals"
    yield ""
    yield from paragraph(
        f"A rival is cancel-safe if, when the first of {CALLERS} callers is cancelled, the other",
        f"{CALLERS - 1} get the result of one execution, and if work that every caller has left is",
        "stopped. Each run finds that out anew.",
    )
    rows = [
        [
            rival.name,
            document.environment.packages.get(rival.package, ""),
            ", ".join(NAMES[each] for each in document.backends if each in rival.backends),
            _finding(document, rival),
        ]
        for rival in (
            *RIVALS,
            *map(_loaders.as_rival, LOADERS),
            *map(_caches.as_rival, NOT_AMONG_RIVALS),
        )
    ]
    yield from table(["", "version", "runs on", "cancel-safe"], rows, left=4)


def _finding(document: Document, rival: Rival) -> str:
    verdicts = [found[rival.name] for found in document.verdicts.values() if rival.name in found]
    words = ["yes" if each.safe else f"no: {each.finding}" for each in verdicts]
    return "; ".join(dict.fromkeys(words))


MIXTURE = "a mixture of both"
#: What a call does in each question with rivals, and where the reason stands why one is cheaper.
ROLES: dict[str, tuple[tuple[str, ...], Callable[[Rival], str]]] = {
    "an uncontended call": (("miss",), lambda rival: rival.start),
    "a joiner": (("joiners", "cancelled"), lambda rival: rival.join),
    MIXTURE: (("many_keys",), lambda _: ""),  # the reasons of the two above
    "an error": (("errors",), lambda _: errors.WHY),
}


def _costlier(document: Document) -> Iterator[str]:
    yield "## Where anyflight costs more than a rival, and why"
    yield ""
    yield from paragraph(
        "How many times the rival's cost anyflight's is, where that is more than once; the most,",
        "where more than one table has it.",
    )
    rows: list[list[str]] = []
    reasons: dict[str, dict[str, list[str]]] = {}
    for rival in RIVALS[1:]:
        cells = {
            role: _factors(document, rival, OURS, questions)
            for role, (questions, _) in ROLES.items()
        }
        if not any(cells.values()):
            continue
        rows.append([rival.name, _mark(document, rival), *cells.values()])
        for role, (_, reason) in ROLES.items():
            if cells[role] and role != MIXTURE:
                reasons.setdefault(role, {}).setdefault(reason(rival), []).append(rival.name)
    yield from table(["", "cancel-safe", *ROLES], rows, left=6)
    for role, whys in reasons.items():
        told = (f"{', '.join(names)}: {why}." for why, names in whys.items())
        yield from paragraph(f"What makes {role} cheaper there.", *told)
    roles: Roles = {
        role: ("batches", role) for role in (batches.TASKS, batches.ONE_CALL, batches.ONE_BY_ONE)
    }
    yield from _costlier_others(document, "batch loader", map(_loaders.as_rival, LOADERS), roles)
    yield from paragraph(f"What makes a key cheaper there: {batches.WHY}.")
    roles = {"a hit": ("cache_hits", ""), "a miss": ("cache_misses", "")}
    yield from _costlier_others(document, "read-through cache", map(_caches.as_rival, KINDS), roles)
    yield from paragraph(f"What makes a miss cheaper there: {cache_misses.WHY}.")


def _mark(document: Document, rival: Rival) -> str:
    return _finding(document, rival).partition(":")[0]


Roles = dict[str, tuple[str, str]]
"""For each head of a column the question that it is taken from, and how the labels end."""


def _costlier_others(
    document: Document, name: str, compared: Iterable[Rival], roles: Roles
) -> Iterator[str]:
    """Yield the same for something else: where the first costs more than the others do."""
    ours, *rivals = compared
    rows: list[list[str]] = []
    for rival in rivals:
        cells = [
            _factors(document, rival, ours, (question,), label)
            for question, label in roles.values()
        ]
        if any(cells):
            rows.append([rival.name, _mark(document, rival), *cells])
    yield f"The same for the {name}:"
    yield ""
    yield from table(["", "cancel-safe", *roles], rows, left=2 + len(roles))


def _factors(
    document: Document, rival: Rival, ours: Rival, questions: tuple[str, ...], role: str = ""
) -> str:
    """Say how many times as much anyflight costs, on each back end where it costs more."""
    most: dict[str, float] = {}
    for result in document.results:
        compared = result.question in questions and result.unit == "µs"
        if compared and rival.name in result.samples and result.label.endswith(role):
            ratio = result.ratio(ours.name, rival.name).median
            most[result.backend] = max(ratio, most.get(result.backend, 0))
    costlier = [
        f"{NAMES[name]} {figure(ratio)}" for name, ratio in most.items() if ratio > NEARLY_ONE
    ]
    return ", ".join(costlier)


def _questions(document: Document) -> Iterator[str]:
    for question in QUESTIONS.values():
        if not any(document.of(question.name)):
            continue
        yield f"## {question.title}"
        yield ""
        yield from paragraph(question.text, f"Alone: `nox -s bench -- {question.name}`.")
        if question.name == "scale":
            yield f"![Cost and memory of a call by the number of calls in flight]({PICTURE})"
            yield ""
        yield from tables_of(document, question.name)


def _method(_: Document) -> Iterator[str]:
    yield "## Method"
    yield ""
    yield from paragraph(
        "All cases of a table are measured in one process, in alternation, in seven rounds or more",
        "(in a smoke run two); the order rotates, and a full garbage collection comes before each",
        "measurement. A ratio is taken within a round, to the case in the first row; what stands",
        "here is the median over the rounds, with the quartiles in brackets. Microseconds are",
        f"medians. At {joiners.LONG:,} joiners rivals that are not cancel-safe take part in one",
        f"round of {SELDOM}, and the sizes from 100,000 on of the last question are taken once:",
        "they take the most time.",
    )
    yield from paragraph(
        "A rival that fails to share, or to serve every caller, has that noted beside its name:",
        "its figure is for something else. Caches get a new cache in each measurement, and keys",
        "that they have not seen.",
    )
