"""Commands in boxes, and without one, that answer a question as a person would."""

from collections.abc import Iterator

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.attack import python
from e2e.canary.boxes.run import why_not

# Whoever may list the questions may answer them.
_ASK = """
folder = '<config>/state/control'
for name in os.listdir(folder):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.settimeout(5)
        made.connect(f'{folder}/{name}')
        made.sendall(b'{"type":"ListQuestions"}\\n')
        said = made.recv(65536)
        print(said)
        if b'"questions"' in said:
            got('the questions')
"""


def _attacks() -> Iterator[Attack]:
    yield python("the control socket, without sockets", "approvals", _ASK)
    yield python(
        "the control socket, with sockets",
        "approvals",
        _ASK,
        command="unix",
        works_without=True,
        only="bubblewrap",
    )
    yield python("the control socket, of the class home", "approvals", _ASK, command="home")
    yield python(
        "the control socket, without a box", "approvals", _ASK, command="none", works_without=True
    )


FAMILY = Family("box-approvals", tuple(_attacks()), why_not)
