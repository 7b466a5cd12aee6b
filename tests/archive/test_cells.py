"""The map is a fold over events."""

from tilewright.archive.cells import CellState, Event, EventKind, fold


def event(kind: EventKind, candidate: str = "a", fitness: float = 1.0, cell: str = "c", parent: str | None = None):
    return Event(kind=kind, step_id=1, candidate_id=candidate, cell=cell, fitness=fitness, parent_cell=parent)


def test_new_and_improved_seat_the_candidate_and_others_do_not():
    events = (
        event(EventKind.NEW, "a", 1.0),
        event(EventKind.KEPT_OLD, "b", 0.5),
        event(EventKind.IMPROVED, "c", 2.0),
        event(EventKind.REJECTED, "d", 9.0),
    )
    assert fold(events) == (CellState(cell="c", step_id=1, candidate_id="c", fitness=2.0),)


def test_a_cleared_map_starts_anew():
    events = (event(EventKind.NEW, "a", cell="x"), Event(kind=EventKind.CLEARED), event(EventKind.NEW, "b", cell="y"))
    assert [one.cell for one in fold(events)] == ["y"]


def test_children_count_for_their_parents_cell_even_when_its_elite_changes():
    events = (
        event(EventKind.NEW, "a"),
        event(EventKind.IMPROVED, "b", parent="c"),
        event(EventKind.REJECTED, "x", parent="c"),
        event(EventKind.NEW, "n", cell="d", parent="c"),
    )
    first, _ = fold(events)
    assert (first.candidate_id, first.picks, first.successes) == ("b", 3, 2)
