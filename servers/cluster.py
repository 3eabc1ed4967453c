"""A real cluster of several nodes: `with temporary_cluster() as nodes`."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from servers.folder import guarded_folder
from servers.programs import Program, default_program
from servers.valkey import ValkeyServer

SLOTS = 16_384


@contextmanager
def temporary_cluster(
    program: Program | None = None, *, count: int = 3
) -> Iterator[tuple[ValkeyServer, ...]]:
    """Run a fresh cluster of so many nodes, all primaries, for the length of the block.

    It takes some seconds until its nodes know each other. All is gone afterwards, as for
    `temporary_valkey`; raises what that raises.
    """
    with guarded_folder() as folder, ExitStack() as stack:
        nodes: list[ValkeyServer] = []
        for number in range(count):
            node = ValkeyServer(
                folder / f"node-{number}", program or default_program(), mode="cluster"
            )
            stack.callback(node.kill)
            node.start()
            nodes.append(node)
        _form_cluster(nodes)
        yield tuple(nodes)


def _form_cluster(nodes: Sequence[ValkeyServer]) -> None:
    first = nodes[0]
    bounds = [SLOTS * number // len(nodes) for number in range(len(nodes) + 1)]
    for number, node in enumerate(nodes):
        node.command("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
        # Of its own: nodes of one epoch would have to settle first which of them gives way.
        node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
    for node in nodes[1:]:
        node.command("CLUSTER", "MEET", first.host, first.port, first.cluster_port)
    for node in nodes:
        node.wait_for_cluster(nodes=len(nodes))
