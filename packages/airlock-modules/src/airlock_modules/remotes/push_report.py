"""The answer to a push that was not sent, in git-receive-pack's own words."""

from collections.abc import Sequence

from airlock_modules.remotes.pkt_line import FLUSH, frame
from airlock_modules.remotes.push_list import PushList
from airlock_modules.remotes.push_policy import Refusal

# Bytes of a report in one packet of a band.
_BAND = 65_500
_REPORTS = ("report-status", "report-status-v2")
# Bytes of one line, of which most is the name of a ref.
_LONGEST = 4000
_DATA = b"\1"


def compose_report(push: PushList, refusals: Sequence[Refusal]) -> bytes:
    """What a server would say had it refused: plain git prints it as the server's own words.

    Empty where the client has not agreed on a report, and cannot be told this way.
    """
    if not set(_REPORTS) & set(push.capabilities):
        return b""
    # Twenty thousand refs may be refused: to look for each among all would hold up everybody.
    reasons = {refusal.ref: refusal.problem for refusal in reversed(refusals)}
    others = reasons.get(None, "not sent, since another ref of this push is refused")
    report = frame(b"unpack ok\n") + b"".join(
        frame(f"ng {update.ref} airlock: {reasons.get(update.ref, others)}\n".encode()[:_LONGEST])
        for update in push.updates
    )
    report += FLUSH
    if "side-band-64k" not in push.capabilities:
        return report
    pieces = [report[at : at + _BAND] for at in range(0, len(report), _BAND)]
    return b"".join(frame(_DATA + piece) for piece in pieces) + FLUSH
