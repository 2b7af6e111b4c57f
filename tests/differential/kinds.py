"""The types of values that generated programs have beyond `int`, `str`, `bool` and `list[int]`, as tables of templates.

In a template `<int>` stands for an expression of the kind, `<int0>` for a constant or variable, `<@set>` for a variable of the
kind: where there is none, the template does not apply; `<new>` for a new name. A kind is on when the feature of its name is.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """How values of one type are written, changed and turned into the basic types."""

    annotation: str
    leaves: tuple[str, ...]
    values: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    uses: dict[str, tuple[str, ...]] = field(default_factory=dict)  # kind of the result: templates
    shown: str = "<>!r"  # between the braces of an f-string
    annotated: bool = False  # a variable of the kind needs its annotation


PARIS = 'datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Paris"))'
FOLDED = 'datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Paris"))'

KINDS: dict[str, Kind] = {
    "item": Kind(
        "Item",
        ('Item(n=1, tags=["t"])', 'Item(n=8, tags=["t", "u"])'),
        ("Item(n=<int>, tags=[<str>])", "Item(n=<int>)"),
        ("make(<int>)", "retag(<item>, <str>)"),
        ("<@item>.n = <int>", "<@item>.tags.append(<str>)", "<@item>.n += <int>"),
        {"int": ("<item0>.n", "len(<item>.tags)"), "str": ("str(<item0>.tags)",), "bool": ("(<item> == <item>)",)},
        "<>.n} {<>.tags",
    ),
    "pair": Kind(
        "Pair",
        ("Pair(3, [1])", "Pair(0)"),
        ("Pair(<int>, <list>)", "Pair(left=<int>)"),
        ("pair(<int>)",),
        ("<@pair>.left += <int>", "<@pair>.right.append(<int>)", "<@pair>.right = <list>"),
        {"int": ("<pair0>.left",), "list": ("<pair>.right",), "bool": ("(<pair> == <pair>)",)},
    ),
    "dict": Kind(
        "dict[str, int]",
        ('{"a": 1}', '{"a": 4, "b": 0}', '{"c": 9, "a": 2, "b": 5}'),
        ('{"a": <int>, <str>: <int>}', "{**<dict>, 'z': <int>}", "(<dict> | <dict>)"),
        (),
        ("<@dict>[<str0>] = <int>", '<@dict>.pop("a", 0)', "<@dict>.setdefault(<str0>, <int>)", "<@dict>.update(<dict>)"),
        {
            "int": ("<dict>.get(<str>, <int>)", "len(<dict>)", '<dict>["a"]', "sum(<dict>.values())", "(await tally(<dict>))"),
            "bool": ("(<str> in <dict>)", "(<dict> == <dict>)"),
            "list": ("list(<dict>.values())", "[v for k, v in <dict>.items()]"),
            "str": ('",".join(<dict>)', '",".join(sorted(<dict>.keys()))'),
        },
        annotated=True,
    ),
    "set": Kind(
        "set[int]",
        ("{1, 2}", "{7}", "({3} - {3})"),
        (
            "(<set> | <set>)",
            "(<set> & <set>)",
            "(<set> - <set>)",
            "(<set> ^ <set>)",
            "set(<list>)",
            "{<int>, <int>}",
            "<set>.union(<list>)",
        ),
        ("dedupe(<list>)",),
        ("<@set>.add(<int>)", "<@set>.discard(<int>)", "<@set> |= {<int>}", "<@set>.update(<list>)"),
        {
            "int": ("len(<set>)", "max(<set> | {<int>})"),
            "bool": ("(<int> in <set>)", "(<set> <= <set>)", "<set>.isdisjoint(<set>)"),
            "list": ("sorted(<set>)",),
        },
        "sorted(<>)",
        annotated=True,
    ),
    "words": Kind(
        "frozenset[str]",
        ('frozenset({"a"})', 'frozenset({"a", "bob"})', "TOPICS"),
        ("frozenset([<str>, <str>])", "(<words> | frozenset({<str>}))", "(<words> - <words>)"),
        ("topics(<str>)",),
        (),
        {"int": ("len(<words>)",), "bool": ("(<str> in <words>)",), "str": ('",".join(sorted(<words>))',)},
        "sorted(<>)",
        annotated=True,
    ),
    "couple": Kind(
        "tuple[int, str]",
        ('(1, "a")', '(0, "")'),
        ("(<int>, <str>)",),
        ("turn(<couple>)",),
        (),
        {
            "int": ("<couple>[0]",),
            "str": ("<couple>[1]", "<couple>[-1]"),
            "bool": ("(<couple> < <couple>)", "(<couple> == <couple>)"),
        },
    ),
    "money": Kind(
        "Decimal",
        ('Decimal("1.10")', 'Decimal("-0")', 'Decimal("1E+3")', "PRICE"),
        ("(<money> + <money>)", "(<money> * <int>)", "(<money> - <int>)", '<money>.quantize(Decimal("0.1"))', "Decimal(<int>)"),
        ("price(<int>)",),
        (),
        {"int": ("int(<money> % 97)",), "str": ("str(<money>)",), "bool": ("(<money> < <money>)", "(<money> >= <int>)")},
    ),
    "moment": Kind(
        "datetime",
        (PARIS, FOLDED, "datetime(2026, 1, 1, tzinfo=UTC)"),
        ("(<moment> + <span>)", "(<moment> - <span>)", "<moment>.replace(minute=<int> % 60)", "<moment>.astimezone(UTC)"),
        ("later(<moment>)",),
        (),
        {
            "int": ("<moment>.hour", "<moment>.day", "<moment0>.fold"),
            "str": ("<moment>.isoformat()",),
            "bool": ("(<moment> < <moment>)",),
            "day": ("<moment>.date()",),
            "span": ("(<moment> - <moment>)",),
        },
        "<>.isoformat()} {<>.fold",
    ),
    "span": Kind(
        "timedelta",
        ("timedelta(hours=1)", "timedelta(days=-1, microseconds=1)", "PAUSE"),
        ("(<span> + <span>)", "timedelta(minutes=<int> % 90)", "(<span> * 2)", "abs(<span>)"),
        ("pause(<int>)",),
        (),
        {"int": ("int(<span>.total_seconds()) % 1000",), "bool": ("(<span> < <span>)",), "str": ("str(<span>)",)},
    ),
    "day": Kind(
        "date",
        ("date(2026, 2, 28)", "date(2024, 2, 29)"),
        ("(<day> + timedelta(days=<int> % 40))",),
        ("holiday(<day>)",),
        (),
        {"int": ("<day>.day", "<day>.weekday()"), "str": ("<day>.isoformat()",), "bool": ("(<day> <= <day>)",)},
    ),
    "color": Kind(
        "Color",
        ("Color.RED", "Color.BLUE", "FAVOURITE"),
        ('Color("blue")', "Color(<color>.value)"),
        ("paint(<int>)",),
        (),
        {
            "str": ("<color>.value", "<color>.name"),
            "bool": ("(<color> == <color>)", "(<color> is Color.RED)", "(<color> in {Color.RED})"),
        },
    ),
    "point": Kind(
        "Point",
        ("Point(1, 0.5)", "Point(x=-2, y=1e22)", "ORIGIN"),
        ("Point(<int>, <real>)",),
        ("move(<point>)",),
        (),
        {"int": ("<point>.x", "<point>[0]"), "real": ("<point>.y",), "bool": ("(<point> == <point>)",)},
    ),
    "real": Kind(
        "float",
        ("0.5", "1e22", "-0.0", "5e-324", "math.pi"),
        ("(<int> / 4)", "(<real> + <real>)", "(<real> * <int>)", "float(<int>)", "round(<real>, 2)", "math.sqrt(abs(<real>))"),
        ("half(<int>)",),
        (),
        {
            "int": ("int(min(abs(<real>), 1e6))", "math.floor(min(<real>, 99.5))"),
            "bool": ("(<real> < <real>)", "(<real> == <int>)"),
            "str": ("repr(<real>)", 'f"{<real0>:.2f}"'),
        },
    ),
    "row": Kind(
        "Row",
        ('Row(n=1, tag="r")',),
        ("Row(n=<int>, tag=<str>)",),
        ("file(<row>)",),
        ('<@row>["n"] = <int>', '<@row>["n"] += <int>', '<@row>["tag"] = <str>'),
        {"int": ('int(<row>["n"])',), "str": ('str(<row>["tag"])',), "bool": ("(<row> == <row>)",)},
        annotated=True,
    ),
    "raw": Kind(
        "bytes",
        (r'b"\x00\xffab"', 'b""', 'b"a"'),
        ("(<raw> + <raw>)", "<str>.encode()", "bytes([abs(<int>) % 256])"),
        ("digest(<raw>)",),
        (),
        {"int": ("len(<raw>)", "sum(<raw>)"), "str": ("<raw>.hex()",), "bool": ('<raw>.startswith(b"a")',)},
    ),
    "uid": Kind(
        "UUID",
        ("UUID(int=5)", 'UUID("12345678-1234-5678-1234-567812345678")'),
        ("UUID(int=abs(<int>))",),
        ("identify(<int>)",),
        (),
        {"str": ("str(<uid>)",), "bool": ("(<uid> == <uid>)", "(<uid> < <uid>)")},
    ),
    "table": Kind(
        "dict[tuple[int, str], int]",
        ('{(1, "a"): 2}', '{(0, ""): 1, (1, "b"): 5}'),
        ("{<couple>: <int>}", "{**<table>, <couple>: <int>}"),
        ("regroup(<table>)",),
        ("<@table>[<couple>] = <int>", "<@table>[<int>, <str>] = <int>", "<@table>.pop(<couple>, None)"),
        {
            "int": ("<table>.get(<couple>, <int>)", "<table>[<couple>]", "len(<table>)"),
            "bool": ("(<couple> in <table>)",),
            "list": ("[c[0] for c in <table>]",),
        },
        annotated=True,
    ),
    "matrix": Kind(
        "list[list[int]]",
        ("[[1], [2, 3]]", "[[5]]"),
        ("[<list>, <list>]", "[*<matrix>, <list>]"),
        ("transpose(<matrix>)",),
        (
            "<@matrix>.append(<list>)",
            "<@matrix>[0].append(<int>)",
            "<@matrix>[-1] = <list>",
            "<@matrix>[0][0] += <int>",
            "<@matrix>.reverse()",
        ),
        {
            "int": ("len(<matrix>)", "<matrix>[0][-1]", "sum(len(c) for c in <matrix>)"),
            "list": ("<matrix>[0]", "[v for c in <matrix> for v in c]"),
            "bool": ("(<list> in <matrix>)",),
        },
        annotated=True,
    ),
    "order": Kind(
        "Order",
        ("Order(item=Item(n=2))",),
        ("Order(item=<item>, count=<int>)", "Order(item=<item>, price=<money>, color=<color>)"),
        ("place(<order>)",),
        (
            "<@order>.count += <int>",
            "<@order>.item.tags.append(<str>)",
            "<@order>.item = <item>",
            "<@order>.price = <money>",
            "<@order>.item.n = <int>",
        ),
        {
            "int": ("<order>.count", "<order>.item.n"),
            "item": ("<order>.item",),
            "color": ("<order>.color",),
            "bool": ("(<order0>.price is None)",),
        },
        "<>.model_dump_json()",
    ),
    "seal": Kind(
        "Seal",
        ('Seal("s", (1, 2))', "SEAL"),
        ("Seal(<str>, (<int>, <int>))", "Seal(code=<str>)"),
        ("reseal(<seal>)",),
        (),
        {"str": ("<seal>.code",), "int": ("len(<seal>.ids)", "sum(<seal>.ids)"), "bool": ("(<seal> == <seal>)",)},
    ),
    "error": Kind(
        "Exception",
        ("Odd(1)", 'ValueError("v")', "VeryOdd(2, 3)"),
        ("Odd(<int>)", "KeyError(<str>)"),
        (),
        ("<@error>.add_note(<str>)",),
        {"str": ("str(<error>)", "repr(<error>)", "(await describe(<error>))"), "bool": ("isinstance(<error>, Odd)",)},
        annotated=True,
    ),
}

BASIC: dict[str, tuple[tuple[str, str], ...]] = {
    "int": (
        ("operators", "(<int> % 7 | <int> % 5)"), ("operators", "(<int> ^ <int>)"), ("operators", "(<int> << 2)"),
        ("operators", "(<int> >> 1)"), ("operators", "(~<int>)"), ("operators", "int((<int> % 5) ** 2)"),
        ("operators", "divmod(<int>, 4)[1]"),
        ("operators", "(+<int>)"), ("operators", "round(<int> / 4)"), ("operators", "(<int> & 12)"),
        ("methods", "<list>.count(<int>)"), ("methods", "(<int> % 100).bit_length()"), ("methods", "<str>.find(<str>)"),
        ("methods", "[*<list>, <int>].index(<int>)"),
        ("generators", "sum(c for c in <list> if c > 2)"), ("generators", "max((c for c in <list>), default=<int>)"),
        ("generators", "len({c % 3 for c in <list>})"), ("generators", "sum(1 for c in <str> for d in <list> if d)"),
        ("lambdas", "max([<int>, *<list>], key=lambda c: -c)"), ("lambdas", "int(sum(map(lambda c: c + 1, <list>)))"),
        ("lambdas", "len(list(filter(lambda c: c > 1, <list>)))"),
        ("star_calls", "max(*<list>, <int>, <int>)"), ("constants", "LIMITS[0]"), ("constants", "sum(LIMITS)"),
        ("run_info", "run_info().attempt_of_run"), ("cursors", "sum(c * d for c, d in zip(<list>, <list>))"),
        ("cursors", "sum(c + d for c, d in enumerate(reversed(<list>)))"),
    ),
    "str": (
        ("methods", "<str>.replace('a', <str>)"), ("methods", "<str>.strip('a').title()"),
        ("methods", "' '.join(<str>.split('b'))"),
        ("methods", "<str>.zfill(3)[:4]"), ("methods", "'{} {}'.format(<int>, <str>)"), ("operators", "(<str> * (<int> % 3))"),
        ("operators", "('%s-%d' % (<str>, <int>))"), ("slices", "<str>[::-1]"), ("slices", "<str>[<int>:]"),
        ("constants", "NAMES[1]"),
        ("fstring", 'f"{<int0>:>{<int0> % 5}}"'), ("fstring", 'f"{<str0>!s:<4}|{<list0>}"'), ("run_info", "run_info().workflow"),
        ("generators", "''.join(c for c in <str> if c != 'b')"), ("json", "json.dumps({<str>: <list>})"),
        ("operators", "chr(97 + <int> % 26)"), ("methods", "'b'.join(sorted(<str>))"),
    ),
    "bool": (
        ("operators", "bool(<int>)"), ("operators", "(<bool> == <bool>)"), ("methods", "<str>.startswith(<str>)"),
        ("generators", "any(c == <int0> for c in <list>)"), ("generators", "all(c < <int0> for c in <list> if c)"),
        ("chain", "(<int> <= <int> != <int> < <int>)"), ("operators", "(<str> not in <str>)"),
        ("operators", "(<list> == <list>)"),
        ("operators", "(<str> < <str>)"), ("constants", "(<int> in LIMITS)"), ("walrus", "((<new> := <int>) > 3)"),
    ),
    "list": (
        ("operators", "(<list> * 2)[:5]"), ("methods", "<list>.copy()"), ("methods", "[ord(c) for c in <str>]"),
        ("generators", "[c + d for c in <list> for d in <list> if c != d][:6]"), ("generators", "list(range(<int> % 4))"),
        ("generators", "[[c, c + 1] for c in <list>][0]"), ("lambdas", "sorted(<list>, key=lambda c: c % 3)"),
        ("star_calls", "[*<list>, *<list>][:5]"), ("starred", "[*<list>, *range(2)]"), ("cursors", "list(reversed(<list>))"),
        ("slices", "<list>[<int> % 3:]"), ("slices", "<list>[-2::2]"), ("generators", "list({c: 1 for c in <list>})"),
    ),
}  # fmt: skip
"""Further expressions of the basic types, each with the feature that switches it."""

FEATURES = (
    *(kind for kind in KINDS if kind not in ("item", "pair", "dict")),
    *("operators", "methods", "generators", "lambdas", "star_calls", "constants", "run_info", "cursors", "json"),
)
