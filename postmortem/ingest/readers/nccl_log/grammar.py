"""The wording of NCCL's records, version by version: where a record stands and of what kind it is.

A kind has a *beginning* (the message starts like one) and a *strict pattern* (it is complete).
A message that begins like a kind and does not fulfil its pattern was cut or torn: it is of kind
``other`` and marked, and nothing is read from it. A warning is free text; of those only that a socket
failed is told by its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KINDS = (
    "version", "network", "init_start", "init_complete", "destroy_abort", "comm_topo",
    "init_timings", "bootstrap_timings", "env_set", "coll", "tuning_named", "tuning_numeric",
    "channel_conn", "channel_order", "channels_total", "connected", "tree_graph", "ring_graph",
    "proxy_thread", "ras_info", "error_unwind", "socket_retry", "socket_fail", "ib_completion",
    "ib_async", "warn_other", "torch_watchdog", "torch_pg_status", "other",
)  # fmt: skip

# Where a record begins. A clock time followed by a bracket (``10:45:19 [0] ``) is no process.
PREFIX = re.compile(
    r"(?<![\w.-])(?!(?:\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d )"
    r"([\w.-]++):(\d{1,18}+):(\d{1,18}+) (?:\[(-?\d{1,9})\] |(?=NCCL CALL ))",
    re.ASCII,
)
# The rest of a record: optional place in NCCL's source (TRACE: milliseconds before it), level, text.
BODY = re.compile(r"(?:[\d.]+ )?(?:(\S+:\d+)(?: \((\w+)\))? )?NCCL (INFO|WARN|TRACE|CALL|ABORT|VERSION) (.+)", re.S)
# The same without the process, at the start of a line: copied logs, and older versions' prints.
BARE = re.compile(r"(?:\[(-?\d{1,9})\] )?(?:(\S+:\d+) )?NCCL (INFO|WARN|TRACE|CALL) (.+)", re.S)
BARE_VERSION = re.compile(r"NCCL version \d+\.\d+(?:\.\d+)?\S*\+(?:cuda|hip)\d+[\d.]*$")

# Digits are bounded so that every number fits its column (9: int32, 18: int64, 19 and 16 hex: uint64). A reduction
# that a process made itself has any number up to 2^31: NCCL mixes the communicator's address into it.
_PTR = r"(?:0x[0-9a-f]{1,16}|\(nil\))"
_FLOAT = r"\d{1,15}(?:\.\d+)?"
_COMM = (
    r"(?:\[Rank \d+\] )?(?:(?P<function>nccl\w+) )?comm (?P<comm>0x[0-9a-f]{1,16}) rank (?P<rank>\d{1,9})"
    r" n[rR]anks (?P<nranks>\d{1,9})"
)
_DEVICE = (
    r"(?: cudaDev (?P<cuda_dev>\d{1,9}))?(?: nvmlDev (?P<nvml_dev>-?\d{1,9}))?(?: busId (?P<bus_id>[0-9a-f]+))?"
    r"(?: parent (?P<parent>0x[0-9a-f]{1,16}))?(?: (?:splitCount|childCount) (?P<split_count>\d{1,18}))?"
    r"(?: color (?P<color>-?\d{1,18}))?(?: key (?P<key>-?\d{1,18}))?(?: commId (?P<comm_id>0x[0-9a-f]+))?"
)
_SIZED = r"(?P<func>\w+): (?P<bytes>\d{1,19}) Bytes -> "
_VARIANT = r"(?P<func>\w+) \[(?P<variant>[^\]]+)\]: (?P<bytes>\d{1,19}) Bytes -> "
_CLUSTER = r"(?: cgaClusterSize \d+)?"
_RANGE = r"(?: channel\{Lo\.\.Hi\}=\{(?P<channel_lo>\d{1,9})\.\.(?P<channel_hi>\d{1,9})\})?" + _CLUSTER
_LAUNCH = r"(?: nchannels (?P<channels>\d{1,9}))?(?: nthreads (?P<threads>\d{1,9}))?(?: nWorks \d+)?" + _CLUSTER
_CHANNEL = r"(?P<channel>\d{1,9})(?:/(?P<index>\d{1,9}))? : "
_ENDS = (
    r"(?P<from_rank>\d{1,9})(?:\[(?P<from_dev>[0-9a-f]+)\])? -> (?P<to_rank>\d{1,9})(?:\[(?P<to_dev>[0-9a-f]+)\])?"
    r"(?: \[(?P<direction>send|receive)\])?"
)
_SECONDS = r"(?:\w+ [\d.]+(?:, )?)+"

# Beginnings, in one alternation: the group that matches names the family.
BEGINS = re.compile(
    r"(?P<coll>\w+: opCount)"
    r"|(?P<tuning>(?:\w+(?: \[[^\]]*\])?: )?\d+ Bytes -> )"
    r"|(?P<comm>(?:\[Rank \d+\] )?(?:nccl\w+ )?comm 0x)"
    r"|(?P<arrow>(?:Channel|Ring) \d+)"
    r"|(?P<tree>Trees? [\[\d]|NVLS Trees :)"
    r"|(?P<unwind>\S+\.\w+:\d+ -> )"
    r"|(?P<connected>Connected (?:all|NVLS))"
    r"|(?P<channels>\d+ coll channels)"
    r"|(?P<proxy>\[Proxy (?:Service|Progress))"
    r"|(?P<init_timings>Init timings)"
    r"|(?P<bootstrap>Bootstrap timings)"
    r"|(?P<env>NCCL_\w+ set )"
    r"|(?P<version>NCCL version )"
    r"|(?P<network>Using network |NET/IB ?: (?:Using |No device found))"
    r"|(?P<ras>RAS )"
    r"|(?P<retry>Call to connect returned |\w+: connect (?:to \S+ )?returned )"
    r"|(?P<ib_completion>NET/IB(?:/GIN)? ?: Got completion)"
    r"|(?P<ib_async>NET/IB ?: (?:\S+ )?(?:Got (?:non-fatal )?async event|async fatal event|unknown event type))"
    r"|(?P<socket>(?:\w+: )?(?:Connect to |Connection closed by remote peer|exceeded timeouts|exceeded retries))",
    re.ASCII,
)

_STRICT: dict[str, tuple[tuple[str, str], ...]] = {
    "coll": (
        (
            "coll",
            r"(?P<func>\w+): opCount (?P<op_count>[0-9a-f]{1,16}) sendbuff "
            + _PTR
            + r" recvbuff "
            + _PTR
            + r" count (?P<count>\d{1,19}) datatype (?P<datatype>\d{1,9}) op (?P<op>\d{1,10}) root (?P<root>-?\d{1,9})"
            r" comm (?P<comm>" + _PTR + r") \[nranks=(?P<nranks>\d{1,9})\] stream (?P<stream>" + _PTR + r")(?: .*)?",
        ),
    ),
    "tuning": (
        (
            "tuning_numeric",
            r"(?:(?P<func>\w+): )?(?P<bytes>\d{1,19}) Bytes -> Algo (?P<algo>-?\d{1,9}) proto (?P<proto>-?\d{1,9})"
            r" time (?P<predicted_us>-?" + _FLOAT + r")",
        ),
        (
            "tuning_named",
            _SIZED + r"Algo (?P<algo>[A-Z_0-9]+) proto (?P<proto>[A-Z_0-9]+)" + _RANGE,
        ),
        (
            "tuning_named",
            _VARIANT + r"(?:Kernel )?(?P<kernel>\S.*?)" + _LAUNCH,
        ),
    ),
    "comm": (
        ("init_start", _COMM + _DEVICE + r" ?- Init START"),
        ("init_complete", _COMM + _DEVICE + r"(?: localSize \d+ used \d+ bytes)? ?- Init COMPLETE"),
        ("init_complete", _COMM + r" - COMPLETE"),  # before 2.4
        (
            "destroy_abort",
            _COMM + _DEVICE + r" ?- (?P<end>(?:Destroy|Abort|Revoke|Finalize) (?:START|COMPLETE))",
        ),
        (
            "comm_topo",
            _COMM + r" nNodes (?P<n_nodes>\d{1,9}) localRanks (?P<local_ranks>\d{1,9})"
            r" localRank (?P<local_rank>\d{1,9}) MNNVL \d+",
        ),
    ),
    "arrow": (
        (
            "channel_conn",
            r"(?:Channel|Ring) " + _CHANNEL + _ENDS + r" via (?P<via>\S.*)",
        ),
        ("ring_graph", r"Ring \d+ : -?\d+ -> -?\d+ -> -?\d+"),
        ("channel_order", r"Channel \d+/\d+ :(?:\s+\d+)+"),
        # To 2.4, each rank in four columns: one blank before it is a connection that was cut.
        ("channel_order", r"(?:Channel|Ring) \d+ :\s(?:\s+\d+)+"),
    ),
    "tree": (
        ("tree_graph", r"Trees(?: \[\d+\] ?[-\d/>|]+)+(?: .*)?"),
        ("tree_graph", r"Tree \d+ : -?\d+ -> -?\d+ -> [-\d/]+"),
        ("tree_graph", r"NVLS Trees : .+"),
    ),
    "unwind": (("error_unwind", r"(?P<place>\S+\.\w+:\d+) -> (?P<result>\d{1,9})(?: .*)?"),),
    "connected": (("connected", r"Connected (?:all rings|all trees|NVLS tree)(?:, use ring .*)?"),),
    "channels": (("channels_total", r"\d+ coll channels, .*p2p channels per peer"),),
    "proxy": (("proxy_thread", r"\[Proxy (?:Service|Service UDS|Progress)\] (?:Device \d+ CPU core -?\d+|exit: .*)"),),
    "init_timings": (
        (
            "init_timings",
            r"Init timings(?: - (?P<function>\w+))?: rank (?P<rank>\d{1,9}) nranks (?P<nranks>\d{1,9})"
            r" total (?P<total>" + _FLOAT + r") \(" + _SECONDS + r"\)",
        ),
    ),
    "bootstrap": (("bootstrap_timings", r"Bootstrap timings total (?P<total>" + _FLOAT + r") \(" + _SECONDS + r"\)"),),
    "env": (("env_set", r"(?P<name>NCCL_\w+) set (?P<how>by environment )?to (?P<value>.*)"),),
    "version": (("version", r"NCCL version (?P<version>\d+\.\d+\S*)"),),
    "network": (("network", r"Using network \S.*|NET/IB ?: Using .*|NET/IB ?: No device found\.?"),),
    "ras": (("ras_info", r"RAS \S.*"),),
    "retry": (
        ("socket_retry", r".* retrying.*"),
        ("socket_fail", r".* exceeded error retry count.*"),
    ),
    # The peer and the status are read apart (errors.py): these lines are wrapped and cut often.
    "ib_completion": (("ib_completion", r".*"),),
    "ib_async": (("ib_async", r".*"),),
    "socket": (
        ("socket_fail", r"(?:\w+: )?Connect to \S+ failed.*"),
        ("socket_fail", r"(?:\w+: )?Connect to \S+ returned \d+\(.*\) errno \d+\(.*\)"),
        ("socket_fail", r"(?:\w+: )?(?:Connection closed by remote peer|exceeded (?:timeouts|retries)).*"),
    ),
}
STRICT = {
    family: tuple((kind, re.compile(pattern, re.ASCII | re.S)) for kind, pattern in patterns)
    for family, patterns in _STRICT.items()
}

WARN_KINDS = frozenset({"ib_completion", "ib_async", "socket_fail", "socket_retry", "warn_other"})
TOLD_BY_END = {"retry", "socket"}  # the families of warnings that are


@dataclass(frozen=True, slots=True)
class Kind:
    """What a message is: its kind, the parts of its strict pattern, whether it is cut."""

    kind: str
    parts: dict[str, str | None]
    torn: bool


_NOTHING: dict[str, str | None] = {}


def classify(level: str, message: str) -> Kind:
    """The kind of a message; ``torn`` where it begins like a kind and does not end like it."""
    begins = BEGINS.match(message)
    rest = "warn_other" if level == "WARN" else "other"
    if begins is None:
        return Kind(rest, _NOTHING, False)
    for kind, pattern in STRICT[begins.lastgroup or ""]:
        whole = pattern.fullmatch(message)
        if whole is not None:
            if level == "WARN" and kind not in WARN_KINDS:
                return Kind("warn_other", _NOTHING, False)
            return Kind(kind, whole.groupdict(), False)
    return Kind(rest, _NOTHING, level != "WARN" or begins.lastgroup in TOLD_BY_END)


# Ends of records whose beginning stands elsewhere: what a torn pipe leaves on a line of its own.
TAIL = re.compile(
    r"(?:commId 0x[0-9a-f]+|key -?\d+) ?- Init (?:START|COMPLETE)$"
    r"|, rest [\d.]+\)$|p2p channels per peer$|\[nranks=\d+\] stream |\bopCount [0-9a-f]+ sendbuff",
    re.ASCII,
)
# A prefix without its end: the last bytes of a file that was cut.
CUT_PREFIX = re.compile(r"[\w.-]+:\d+:\d*(?: (?:\[-?\d*\]?)?)?|(?:\[-?\d+\] )?NCCL(?: [A-Z]*)?", re.ASCII)

# ncclDataType_t and ncclRedOp_t by number.
DATATYPES = (
    "int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
    "bfloat16", "float8_e4m3", "float8_e5m2",
)  # fmt: skip
DATATYPE_BYTES = (1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1)
OPS = ("sum", "prod", "max", "min", "avg")
# Numbers of the TUNING lines of 2.20 to 2.23, the only versions that print numbers.
ALGORITHMS = ("TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT")
PROTOCOLS = ("LL", "LL128", "SIMPLE")


def named(names: tuple[str, ...], number: str, other: str) -> str:
    """The name of a number, or ``other`` with the number where NCCL has none."""
    index = int(number)
    return names[index] if 0 <= index < len(names) else f"{other}{index}"
