"""The tree is decided from the set of turns alone: any order gives the same, and no two alternatives share a number."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from regraft.domain.ids import NodeId, SessionId, TurnId, digest, digest_json
from regraft.domain.lineage.difference import Components
from regraft.domain.lineage.graph import PlacedTurn, branches, canonical_order, depths, nodes, trees

START = datetime(2025, 1, 1, tzinfo=UTC)
PARENT = NodeId(UUID(int=1))


def turn(
    number,
    *,
    node=None,
    second=0,
    replay=False,
    context=b"c",
    anchor=None,
    model="m",
    temperature=None,
    tools=None,
    system=b"",
    user=b"",
    plan="",
):
    tools = {} if tools is None else {"tools": tools}
    own = digest(b"context", context)
    return PlacedTurn(
        turn_id=TurnId(UUID(int=number)),
        node_id=NodeId(UUID(int=1000 + (number if node is None else node))),
        parent_node_id=PARENT,
        started_at=START + timedelta(seconds=second),
        is_replay=replay,
        context_projection=own,
        anchor_projection=own if anchor is None else digest(b"context", anchor),
        components=Components(
            model=model,
            sampling={} if temperature is None else {"temperature": temperature},
            tools=tools,
            tools_id=digest_json(tools),
            system=digest(system),
            user=digest(user),
            plan=plan,
        ),
    )


SETTINGS = {
    "node": st.integers(0, 4),
    "second": st.integers(0, 3),
    "replay": st.booleans(),
    "context": st.sampled_from([b"a", b"b", b"c"]),
    "anchor": st.sampled_from([None, b"a", b"b"]),
    "model": st.sampled_from(["m", "n"]),
    "temperature": st.sampled_from([None, 0, 1]),
    "tools": st.sampled_from([None, [{"type": "x"}]]),
    "system": st.sampled_from([b"s", b"t"]),
    "user": st.sampled_from([b"u", b"v"]),
    "plan": st.sampled_from(["", "p"]),
}
FAMILIES = st.lists(st.fixed_dictionaries(SETTINGS), max_size=8).map(
    lambda family: [turn(number, **each) for number, each in enumerate(family, 1)]
)


@given(FAMILIES, st.randoms(use_true_random=False))
def test_any_permutation_of_a_family_gives_the_same_branches(family, random):
    shuffled = random.sample(family, len(family))
    assert branches(shuffled) == branches(family)

    def by_id(found):
        return sorted(found, key=lambda node: node.first.turn.node_id)

    assert by_id(nodes(branches(shuffled))) == by_id(nodes(branches(family)))
    assert by_id(nodes(reversed(branches(family)))) == by_id(nodes(branches(family)))


@given(FAMILIES)
def test_the_branches_of_every_anchor_are_numbered_without_a_gap(family):
    numbers = defaultdict(list)
    for branch in branches(family):
        numbers[branch.anchor_turn_id].append(branch.branch_index)
    assert sum(map(len, numbers.values())) == len(family)
    assert all(found == list(range(len(found))) for found in numbers.values())


@given(FAMILIES)
def test_the_anchor_is_number_zero_of_its_own_group(family):
    for branch in branches(family):
        assert (branch.anchor_turn_id == branch.turn.turn_id) == (branch.branch_index == 0)


@given(FAMILIES)
def test_no_two_turns_tie(family):
    assert len({canonical_order(each) for each in family}) == len(family)


@given(FAMILIES)
def test_every_place_is_one_node_that_counts_its_runs(family):
    found = nodes(branches(family))
    assert len({node.first.turn.node_id for node in found}) == len(found)
    assert sum(node.runs for node in found) == len(family)
    for node in found:
        runs = [each for each in family if each.node_id == node.first.turn.node_id]
        assert node.runs == len(runs)
        assert node.first.turn == min(runs, key=canonical_order)


def test_an_only_child_goes_on_from_its_parent():
    (branch,) = branches([turn(1)])
    assert (branch.branch_kind, branch.branch_index, branch.variant_config) == ("continuation", 0, {})
    assert (branch.same_context, branch.same_tools) == (True, True)


def test_the_same_question_again_is_a_retry_under_the_first():
    first, second = branches([turn(1), turn(2, second=1)])
    assert (second.branch_kind, second.branch_index, second.anchor_turn_id) == ("retry", 1, first.turn.turn_id)


def test_originals_come_before_replays_however_the_clocks_ran():
    first, second = branches([turn(1, replay=True, second=0), turn(2, second=9)])
    assert (first.turn.turn_id.int, second.turn.turn_id.int) == (2, 1)
    assert second.anchor_turn_id == first.turn.turn_id


def test_earlier_comes_before_later_and_ids_decide_between_equals():
    found = branches([turn(3, second=1), turn(2, second=1), turn(9, second=0)])
    assert [branch.turn.turn_id.int for branch in found] == [9, 2, 3]


def test_another_question_under_the_same_parent_has_an_anchor_of_its_own():
    first, other = branches([turn(1, user=b"a", context=b"a"), turn(2, second=1, user=b"b", context=b"b")])
    assert (other.branch_index, other.anchor_turn_id) == (0, other.turn.turn_id)
    assert (other.branch_kind, other.variant_config) == ("prompt_variant", {"prompt": {"user": True}})
    assert first.branch_kind == "continuation"


def test_another_question_is_compared_with_its_nearest_sibling():
    far = turn(1, context=b"a", model="far", temperature=1, system=b"x")
    near = turn(2, second=1, context=b"b", temperature=0)
    new = turn(3, second=2, context=b"c", temperature=1)
    found = {branch.turn.turn_id.int: branch for branch in branches([far, near, new])}
    assert found[3].variant_config == {"sampling": {"temperature": {"from": 0, "to": 1}}}


def test_a_replay_with_an_edited_history_stays_under_the_anchor_that_it_grows_again():
    original = turn(1, context=b"a", system=b"s")
    replay = turn(2, second=1, replay=True, context=b"edited", anchor=b"a", system=b"t")
    _, second = branches([original, replay])
    assert (second.anchor_turn_id, second.branch_index) == (original.turn_id, 1)
    assert (second.branch_kind, second.same_context) == ("prompt_variant", False)


def test_a_branch_says_whether_its_tools_are_those_of_its_anchor():
    same, other = turn(2, second=1), turn(3, second=2, tools=[{"type": "x"}])
    found = branches([turn(1), same, other])
    assert [branch.same_tools for branch in found] == [True, True, False]


def test_depth_counts_from_what_is_known():
    a, b, c, d = (NodeId(UUID(int=number)) for number in range(4))
    assert depths({c: b, b: a, d: a}, {a: 0}) == {b: 1, c: 2, d: 1}
    assert depths({c: b}, {b: 7}) == {c: 8}
    assert depths({}, {a: 0}) == {}


def test_what_hangs_under_nothing_known_has_no_depth():
    a, b, c = (NodeId(UUID(int=number)) for number in range(3))
    assert depths({b: a, c: b}, {}) == {}


def test_nodes_on_a_circle_and_below_it_have_no_depth():
    a, b, c, d, root = (NodeId(UUID(int=number)) for number in range(5))
    assert depths({a: b, b: a, c: a, d: root}, {root: 0}) == {d: 1}
    assert depths({a: a}, {}) == {}


@given(st.dictionaries(st.integers(0, 8), st.integers(0, 9), max_size=9), st.permutations(range(9)))
def test_a_depth_is_one_more_than_the_parents_and_circles_have_none(links, order):
    parents = {NodeId(UUID(int=at)): NodeId(UUID(int=links[at])) for at in order if at in links}
    known = {NodeId(UUID(int=9)): 0}
    found = depths(parents, known)
    for node, parent in parents.items():
        above = {**known, **found}.get(parent)
        assert found.get(node) == (None if above is None else above + 1)


def test_a_very_long_conversation_has_a_depth():
    chain = [NodeId(UUID(int=number)) for number in range(5001)]
    assert depths(dict(zip(chain[1:], chain, strict=False)), {chain[0]: 0})[chain[-1]] == 5000


def test_a_turn_that_only_came_later_does_not_change_the_numbers_of_earlier_ones():
    family = [turn(number, second=number) for number in range(1, 6)]
    before = branches(family[:4])
    assert branches(family)[:4] == before
    assert branches([*family, replace(turn(9), started_at=START)])[0].turn.turn_id.int == 9


def test_a_node_hangs_in_the_tree_of_the_root_that_its_parents_lead_to():
    root, other, a, b, c = (NodeId(UUID(int=number)) for number in range(5))
    one, two = (SessionId(UUID(int=number)) for number in (10, 20))
    parents = {c: b, b: a, a: root}
    known = {root: one, other: two}
    assert trees(parents, depths(parents, {root: 0, other: 0}), known) == {a: one, b: one, c: one}
    moved = {**parents, a: other}
    assert trees(moved, depths(moved, {root: 0, other: 0}), known) == {a: two, b: two, c: two}
    assert trees({}, {}, known) == {}


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.randoms())
def test_the_tree_of_a_node_does_not_depend_on_the_order_in_which_nodes_are_known(links, rnd):
    roots = [NodeId(UUID(int=number)) for number in (1, 2, 3)]
    placed = list(roots)
    parents, expected = {}, {root: SessionId(UUID(int=100 + root.int)) for root in roots}
    for number, link in enumerate(links):
        node, parent = NodeId(UUID(int=1000 + number)), placed[link % len(placed)]
        parents[node], expected[node] = parent, expected[parent]
        placed.append(node)
    mixed = dict(rnd.sample(list(parents.items()), len(parents)))
    known = {root: expected[root] for root in roots}
    assert trees(mixed, depths(mixed, dict.fromkeys(roots, 0)), known) == {node: expected[node] for node in parents}
