"""Nothing trades without risk: an `OrderApproved` is made in one place."""

import ast
from collections.abc import Iterator

from tests.architecture.sources import ROOT, modules, python_files, tree_of

APPROVED = "OrderApproved"
MAKER = "goalkick.risk.approval"


def makes(tree: ast.Module) -> Iterator[int]:
    """Lines that call the class, under whatever name it was imported, or inherit from it."""
    names = {APPROVED}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {a.asname for a in node.names if a.name == APPROVED and a.asname}
        elif isinstance(node, ast.Assign) and _last(node.value) in names:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and (_last(node.func) in names or (_copies(node) and _last(node.args[0]) == "approved"))
        ) or (isinstance(node, ast.ClassDef) and any(_last(base) in names for base in node.bases)):
            yield node.lineno


def _last(node: ast.expr) -> str:
    """`OrderApproved` of `order.OrderApproved`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _copies(node: ast.Call) -> bool:
    """Whether it makes a changed copy of a struct."""
    return ast.unparse(node.func) in ("msgspec.structs.replace", "structs.replace", "replace")


def test_the_rule_sees_every_way_of_making_one() -> None:
    guilty = ast.parse(
        "from goalkick.common.events.order import OrderApproved as Ticket\n"
        "from goalkick.common.events import order\n"
        "Ticket(time_ns=1)\n"
        "order.OrderApproved(time_ns=1)\n"
        "Alias = order.OrderApproved\n"
        "Alias(time_ns=1)\n"
        "msgspec.structs.replace(approved, quantity=2)\n"
        "class Forged(Ticket): pass\n"
    )
    assert sorted(makes(guilty)) == [3, 4, 6, 7, 8]


def test_only_risk_makes_an_approved_order() -> None:
    """The codec makes one from bytes by its table, without naming it: those bytes were risk's."""
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in python_files("libs", "services")
        for line in makes(tree_of(path))
        if path != modules()[MAKER]
    }
    assert found == set()


def test_the_maker_makes_it_once() -> None:
    assert len(list(makes(tree_of(modules()[MAKER])))) == 1
