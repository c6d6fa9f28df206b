"""Files with several documents: a header and tasks, of which one is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.errors import shown

if TYPE_CHECKING:
    from trebuchet.files.problems import Problems
    from trebuchet.files.tree import Entry

_HEADER = frozenset({"name", "execution"})


def one_task(found: list[Entry], task: str | None, problems: Problems) -> Entry:
    """The document that is to be run, a mapping.

    Raises:
        JobFileError: There is none, or there are several and `task` names none of them.
    """
    if not found:
        problems.add("The file is empty.", "a job file is YAML with a `run:` script in it")
        raise problems.error()
    for document in found:
        _need_mapping(document, problems)
    problems_before = len(problems.found)
    tasks, header = _without_header(found)
    chosen = _named(tasks, task, problems) if task is not None else _only(tasks, problems)
    if len(problems.found) > problems_before:
        raise problems.error()
    if header is not None and len(tasks) == 1:
        # With one that was asked for, how they follow one another is of no concern.
        taken = _HEADER - {"execution"} if task is not None else _HEADER
        for name in taken & header.mapping.keys():
            chosen.mapping.setdefault(name, header.mapping[name])
    return chosen


def _need_mapping(document: Entry, problems: Problems) -> None:
    if document.is_mapping:
        return
    what = "a list" if document.is_list else "a single value"
    problems.at(
        document, f"A job file is a mapping of fields, and this is {what}.", "write `run: …` and the like"
    )
    raise problems.error()


def _without_header(found: list[Entry]) -> tuple[list[Entry], Entry | None]:
    if len(found) > 1 and set(found[0].mapping) <= _HEADER:
        return found[1:], found[0]
    return found, None


def _names(tasks: list[Entry]) -> list[str]:
    """What each task is called; its number from 1 where it has no name."""
    names: list[str] = []
    for number, task in enumerate(tasks, 1):
        name = task.mapping.get("name")
        names.append(name.value if name is not None and isinstance(name.value, str) else str(number))
    return names


def _only(tasks: list[Entry], problems: Problems) -> Entry:
    if len(tasks) > 1:
        listed = ", ".join(_names(tasks))
        problems.at(tasks[1], f"The file holds {len(tasks)} tasks: {listed}.", "run one of them: --task NAME")
    return tasks[0]


def _named(tasks: list[Entry], task: str, problems: Problems) -> Entry:
    names = _names(tasks)
    if names.count(task) > 1:
        second = tasks[names.index(task, names.index(task) + 1)]
        message = f"The file holds {names.count(task)} tasks that are called {shown(task)}."
        problems.at(second, message, "give each a name of its own")
    if task in names:
        return tasks[names.index(task)]
    problems.add(f"The file holds no task {shown(task)}.", f"it holds {', '.join(names)}")
    return tasks[0]
