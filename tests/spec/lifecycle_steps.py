"""The sentences of `lifecycle.txt`, and what each does to a real store and a real link.

Rules:
- The first sentence of `STEPS` that fits a line whole is taken.
- What the program refuses is kept, and the next line must say that it was refused.
- A sentence that begins to be true or false of the partnership is a plain assertion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any
from unittest.mock import patch

from schemas.dates import Instant
from schemas.decisions import Standing, Verdict
from schemas.errors import CommonthreadError, NeedsDecision
from schemas.identifiers import LocalId, PersonId, SourceId
from service.corrections import merge as join_persons
from service.corrections import split as part_person
from service.corrections import wrong as wrong_person
from service.decisions import decide, revoke
from service.held import approve_run
from service.looking import explain_pair, show_history
from service.runs import Fate, RunState
from service.shielded import seen_by
from service.undo import release_run, undo_run
from tests.spec.lifecycle_text import Line
from tests.spec.lifecycle_world import World, described
from tests.store_samples import merge, renew, unmerge, withdraw

NONE_AT_ALL = {
    "join": {"max_joined": 0, "max_joined_fraction": 0.0},
    "split": {"max_split": 0, "max_split_fraction": 0.0},
}


# --- the sentences -----------------------------------------------------------------------------

Step = Callable[..., None]
STEPS: list[tuple[re.Pattern[str], Step, bool]] = []
"""Sentence, what it does, whether the program may refuse it."""


def step(sentence: str, *, may_be_refused: bool = False) -> Callable[[Step], Step]:
    """Enters a function as a sentence. `<name>` stands for a record, `<words>` for anything."""
    pattern = sentence.replace("<name>", r"(\w+/[\w-]+)").replace("<words>", "(.+)")

    def enter(function: Step) -> Step:
        STEPS.append((re.compile(pattern), function, may_be_refused))
        return function

    return enter


def run(lines: Sequence[Line], world: World) -> None:
    """Runs a scenario's lines, in order."""
    for line in lines:
        _run(line.sentence, world)
    assert world.refused is None, f"refused, and no line says so: {world.refused}"


def _run(sentence: str, world: World) -> None:
    for pattern, function, may_be_refused in STEPS:
        if found := pattern.fullmatch(sentence):
            expects = function in (_it_is_refused, _run_is_held)
            assert expects or world.refused is None, f"refused, unsaid: {world.refused}"
            try:
                function(world, *found.groups())
            except CommonthreadError as error:
                if not may_be_refused:
                    raise
                world.refused = error
            return
    raise ValueError(f"no step says: {sentence}")


# what sources say


@step(r"<name> is as <name>(?:, but <words>)?")
def _is_as(world: World, name: str, base: str, clauses: str | None) -> None:
    record = described(name.split("/")[1], (clauses or "").split(", ") if clauses else [],
                       world.said[base])  # fmt: skip
    world.say(name, record)


@step(r"<name> is <words>")
def _is(world: World, name: str, clauses: str) -> None:
    world.say(name, described(name.split("/")[1], clauses.split(", "), None))


@step(r"<name> now says: <words>")
def _now_says(world: World, name: str, clauses: str) -> None:
    world.say(name, described(name.split("/")[1], clauses.split(", "), world.said[name]))


@step(r"(\w+) has (\d+) other clients, all <words>")
def _others(world: World, source: str, number: str, clauses: str) -> None:
    """Strangers to one another who share what is said of all."""
    units = []
    for n in range(int(number)):
        given = ("Alma", "Boris", "Carla", "Dmitri", "Esme", "Farid", "Greta", "Hari")[n % 8]
        family = ("Teal", "Umber", "Violet", "Wheat", "Xanthic", "Yarrow", "Zinnia")[n % 7]
        born = f"19{20 + n}-{1 + n % 12:02d}-{1 + n * 7 % 28:02d}"
        units.append(
            described(f"x{n}", [f"{given} {family}", f"born {born}", *clauses.split(", ")], None)
        )
    world.tell_parts(source, *units)
    for record in units:
        world.said[f"{source}/{record.local_id}"] = record
        world.learn(f"{source}/{record.local_id}")


@step(r"(\w+) sends the same file again")
def _same_again(world: World, source: str) -> None:
    _, name, at, record = [told for told in world.spoken if told[0] == source][-1]
    world.say(name, record, at)


@step(r"(\w+) sends all its records under new ids")
def _renumbered(world: World, source: str) -> None:
    old = [name for name in world.said if name.split("/")[0] == source]
    for name in old:
        _is_as(world, f"{name}-new", name, None)
    world.tell_parts(source, *(withdraw(name.split("/")[1]) for name in old))


@step(r"a file from before that comes late: <name> is as <name>(?:, but <words>)?")
def _late(world: World, name: str, base: str, clauses: str | None) -> None:
    changes = clauses.split(", ") if clauses else []
    record = described(name.split("/")[1], changes, world.said[base])
    world.say(name, record, Instant("2025-12-01T00:00:00Z"))


@step(r"(\w+) withdraws <name>")
def _withdraws(world: World, source: str, name: str) -> None:
    world.tell_parts(source, withdraw(name.split("/")[1]))


@step(r"<name> returns as it was")
def _returns(world: World, name: str) -> None:
    world.say(name, world.said[name])


@step(r"(\w+) merges <name> into <name>")
def _merges(world: World, source: str, retired: str, survivor: str) -> None:
    world.tell_parts(source, merge(retired.split("/")[1], survivor.split("/")[1]))


@step(r"(\w+) takes back the merge of <name> and <name>")
def _unmerges(world: World, source: str, one_id: str, other: str) -> None:
    world.tell_parts(source, unmerge(one_id.split("/")[1], other.split("/")[1]))


@step(r"(\w+) gives <name> a protected new identity(?: as <name>)?")
def _renews(world: World, source: str, old: str, new: str | None) -> None:
    world.tell_parts(source, renew(old.split("/")[1], (new or old).split("/")[1]))


@step(r"(\w+) takes back the new identity of <name>(?: as <name>)?")
def _renews_not(world: World, source: str, old: str, new: str | None) -> None:
    change = renew(old.split("/")[1], (new or old).split("/")[1], undone=True)
    world.tell_parts(source, change)


# what the nightly run and its keepers do


@step("all is linked", may_be_refused=True)
def _linked(world: World) -> None:
    world.link_now()


@step("all is linked anew from nothing")
def _linked_anew(world: World) -> None:
    world.link_now(full=True)
    assert world.report
    assert world.report.full


class _Died(Exception):
    """The process ends here."""


@step("the process dies after computing, before publishing")
def _dies(world: World) -> None:
    def die(*_: Any) -> int:
        raise _Died

    with patch.object(world.store, "publish", die):
        try:
            world.link_now()
        except _Died:
            return
    raise AssertionError("it was not publishing")


@step("no run may (join|split) any person without approval")
def _limits(world: World, what: str) -> None:
    world.link_settings |= NONE_AT_ALL[what]


@step("the model is trained anew")
def _trained(world: World) -> None:
    world.train()


@step(r"run (\d+) is approved", may_be_refused=True)
def _approved(world: World, run: str) -> None:
    world.report = approve_run(world.store, int(run), world.now)


@step(r"run (\d+) is undone", may_be_refused=True)
def _undone(world: World, run: str) -> None:
    undo_run(world.store, int(run), world.now())
    world.link_now()


@step(r"run (\d+) is released", may_be_refused=True)
def _released(world: World, run: str) -> None:
    release_run(world.store, int(run), world.now())
    world.link_now()


@step(r"the clock goes back (\d+) hours")
def _clock_back(world: World, hours: str) -> None:
    world.back(int(hours))


# what people decide


@step(r"(\w+) decides that <name> and <name> are (the same|different)", may_be_refused=True)
def _decides(world: World, who: str, one: str, two: str, what: str) -> None:
    verdict = Verdict.SAME if what == "the same" else Verdict.DIFFERENT
    made = decide(world.desk(who), world.pair(one, two), verdict, "seen together")
    world.awaits = made.awaits if made.standing is Standing.PENDING else ""


@step(r"(\w+) takes back what was decided about <name> and <name>", may_be_refused=True)
def _revokes(world: World, who: str, one: str, two: str) -> None:
    pair = world.pair(one, two)
    found = [
        d for d in world.store.decisions() if d.pair == pair and d.standing is not Standing.REVOKED
    ]
    revoke(world.desk(who), found[-1].decision_id, "it was wrong")


@step(r"(\w+) parts <name> from its person", may_be_refused=True)
def _parts(world: World, who: str, name: str) -> None:
    source, local_id = name.split("/")
    person = world.persons()[name]
    part_person(world.desk(who), person, [(source, local_id)], "two people")


@step(r"(\w+) joins the persons of <name> and <name>", may_be_refused=True)
def _joins(world: World, who: str, one: str, two: str) -> None:
    persons = world.persons()
    made = join_persons(world.desk(who), persons[one], persons[two], "one person")
    world.awaits = made.awaits


@step(r"(\w+) reports that (\w+) is the wrong person in the person of <name>", may_be_refused=True)
def _wrong(world: World, who: str, source: str, name: str) -> None:
    wrong_person(world.desk(who), world.persons()[name], source, "another person's record")


# what must be so


@step("the persons are <words>")
def _persons_are(world: World, words: str) -> None:
    assert world.together() == _partition(words)


def _partition(words: str) -> list[list[str]]:
    return sorted(sorted(group.split(" + ")) for group in words.split(", "))


@step(r"no two of (\w+)'s clients are one person")
def _all_apart(world: World, source: str) -> None:
    found = [person for name, person in world.persons().items() if name.startswith(f"{source}/")]
    assert len(found) > 1
    assert len(set(found)) == len(found)


@step(r"<words> are one person")
def _one_person(world: World, words: str) -> None:
    persons = world.persons()
    assert len({persons[name] for name in _names(words)}) == 1, world.together()


@step(r"<words> are (?:two|different) people")
def _different(world: World, words: str) -> None:
    persons = world.persons()
    for one_name, two in combinations(_names(words), 2):
        assert persons[one_name] != persons[two], world.together()


def _names(words: str) -> list[str]:
    found = re.split(r", | and ", words)
    assert all(re.fullmatch(r"\w+/[\w-]+", name) for name in found), words
    return found


@step(r"no person shows <name>")
def _in_none(world: World, name: str) -> None:
    assert name not in world.persons()


@step(r"there was nothing to do")
def _nothing_to_do(world: World) -> None:
    assert world.report
    assert world.report.run_id is None


@step(r"a review asks about <name> and <name>: <words>")
def _asks(world: World, one: str, two: str, why: str) -> None:
    asked = world.asked()
    found = {k for a, b, k in asked if (one in a and two in b) or (two in a and one in b)}
    assert why in found, (found, asked)


@step(r"no review asks about <name> and <name>")
def _asks_not(world: World, one: str, two: str) -> None:
    found = [k for a, b, k in world.asked() if (one in a and two in b) or (two in a and one in b)]
    assert not found


@step("nothing waits for review")
def _no_reviews(world: World) -> None:
    assert world.asked() == []


@step(r"nobody is told how <name> and <name> compare")
def _unexplained(world: World, one: str, two: str) -> None:
    ends = [tuple(name.split("/")) for name in (one, two)]
    try:
        explain_pair(
            world.store, world.settings, world.model, world.actor("cat"), ends[0], ends[1],  # type: ignore[arg-type]
            world.now,
        )  # fmt: skip
    except CommonthreadError:
        return
    raise AssertionError("the two records were compared and explained")


@step(r"cat knows nothing of ([A-Z]), nor of <words>")
def _unknown(world: World, letter: str, words: str) -> None:
    """Nobody who is not of the named staff can tell that there were such a person or records."""
    person, names = world.noted[letter], set(_names(words))
    assert person not in world.told("cat"), "the old person's id is told"
    for name in names:
        source, local_id = name.split("/")
        seen = seen_by(world.actor("cat"), world.store)
        assert seen.record(SourceId(source), LocalId(local_id)) is None
    at = [None, *(run.run_id for run in world.store.runs())]
    assert not names & set[str]().union(*(world.exported("cat", run) for run in at))


@step(r"cat sees <name>(?:, and no trace of ([A-Z]))?")
def _known(world: World, name: str, letter: str | None) -> None:
    told = world.told("cat")
    assert name in world.exported("cat")
    assert world.persons()[name] in told
    assert letter is None or world.noted[letter] not in told


@step(r"ann still sees <words>")
def _named_sees(world: World, words: str) -> None:
    assert set(_names(words)) <= world.exported("ann")


@step(r"before run (\d+) cat was shown nothing of <name>")
def _never_shown(world: World, run: str, name: str) -> None:
    for earlier in range(1, int(run)):
        assert name not in world.exported("cat", earlier)


@step(r"it waits for a second person, because <words>")
def _waits(world: World, why: str) -> None:
    assert world.awaits == why


@step(r"that is refused: <words>")
def _it_is_refused(world: World, words: str) -> None:
    assert world.refused, "it was not refused"
    assert words in str(world.refused)
    world.refused = None


@step(r"run (\d+) is held: <words>")
def _run_is_held(world: World, run: str, words: str) -> None:
    assert isinstance(world.refused, NeedsDecision), "it was not held"
    assert f"run {run} is held" in str(world.refused)
    assert words in str(world.refused)
    assert world.waits
    world.refused = None


@step(r"the last run was number (\d+)")
def _last_run(world: World, run: str) -> None:
    assert world.last == int(run)


@step(r"the last run linked (from nothing|only what changed)")
def _how_linked(world: World, how: str) -> None:
    assert world.report
    assert world.report.run_id is not None
    assert world.report.full == (how == "from nothing")


# ids and history


@step(r"the id of <name> is noted as ([A-Z])")
def _noted(world: World, name: str, letter: str) -> None:
    world.noted[letter] = PersonId(world.persons()[name])


@step(r"([A-Z]) (is still the id of|leads to the person of) <name>")
def _leads(world: World, letter: str, how: str, name: str) -> None:
    found = world.store.resolve(world.noted[letter])
    assert found.person == world.persons()[name]
    assert found.fate is (Fate.PRESENT if how == "is still the id of" else Fate.MERGED)


@step(r"([A-Z]) leads nowhere: it was (split|emptied|undone)")
def _gone(world: World, letter: str, fate: str) -> None:
    found = world.store.resolve(world.noted[letter])
    assert (found.person, found.fate) == (None, Fate(fate))


@step(r"<name> has a new id, noted as ([A-Z])")
def _new_id(world: World, name: str, letter: str) -> None:
    person = PersonId(world.persons()[name])
    assert person not in world.noted.values()
    world.noted[letter] = person


@step(r"the history of ([A-Z]) says: <words>")
def _history(world: World, letter: str, words: str) -> None:
    shown = show_history(world.store, world.actor("ann"), world.noted[letter], world.now)
    texts = [str(said["text"]) for said in shown["history"]]
    for other, person in world.noted.items():
        texts = [text.replace(person, other) for text in texts]
    assert words in texts, texts


@step(r"the history of ([A-Z]) does not name ([A-Z])")
def _history_not(world: World, letter: str, other: str) -> None:
    shown = show_history(world.store, world.actor("ann"), world.noted[letter], world.now)
    assert not any(world.noted[other] in str(said["text"]) for said in shown["history"])


@step(r"after run (\d+) the persons were <words>")
def _as_at(world: World, run: str, words: str) -> None:
    at = next(r.started_at for r in world.store.runs() if r.run_id == int(run))
    found = world.store.run_as_at(at)
    assert found == int(run)
    assert world.together(found) == _partition(words)


@step(r"nobody was shown before the first run")
def _before_all(world: World) -> None:
    assert world.store.run_as_at(Instant("2025-01-01T00:00:00Z")) == 0


@step(r"run (\d+) is no earlier than run (\d+)")
def _no_earlier(world: World, later: str, earlier: str) -> None:
    at = {run.run_id: run.started_at for run in world.store.runs()}
    assert at[int(later)] >= at[int(earlier)]


@step(r"run (\d+) (is|is no longer) shown in full")
def _in_full(world: World, run: str, how: str) -> None:
    state = next(r.state for r in world.store.runs() if r.run_id == int(run))
    assert (state is RunState.PUBLISHED) == (how == "is")
