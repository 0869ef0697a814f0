"""The providers of the first day: a folder and the screen."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from channels import mime
from channels.console import Console, ConsoleSettings
from channels.file import File, FileSettings
from engine.model import Channel
from engine.provider import Accepted, Ambiguous, Http, NotSent, Outgoing, TextContent
from tests.channels.messages import EMAIL, POST, SMS, letter, soon

SAMPLES = {Channel.EMAIL: EMAIL, Channel.SMS: SMS, Channel.SOCIAL: POST}


def folder(path: Path, channel: Channel = Channel.EMAIL) -> File:
    return File(FileSettings.model_validate({"folder": str(path), "channel": channel}), http=Http())


def shown(outgoing: Outgoing, stream: Any = None) -> str:
    stream = stream or io.StringIO()
    console = Console(ConsoleSettings.model_validate({"channel": outgoing.channel}), http=Http(), stream=stream)
    assert isinstance(console.send(outgoing, deadline=soon()), Accepted)
    return str(stream.getvalue())


def test_each_channel_has_its_file(tmp_path: Path) -> None:
    """An email is a whole .eml, an SMS a .txt, a post a .json; all named by the message's key."""
    for channel, outgoing in SAMPLES.items():
        assert isinstance(folder(tmp_path / "out", channel).send(outgoing, deadline=soon()), Accepted)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{EMAIL.key}.eml", f"{EMAIL.key}.json", f"{EMAIL.key}.txt"]
    assert (tmp_path / "out" / f"{EMAIL.key}.eml").read_bytes() == mime.build(EMAIL)
    assert json.loads((tmp_path / "out" / f"{EMAIL.key}.json").read_bytes())["text"] == "New records!"


def test_the_same_key_is_the_same_file(tmp_path: Path) -> None:
    """Eight threads that write the same message at once leave one whole file, and no drafts."""
    provider = folder(tmp_path)
    threads = [threading.Thread(target=provider.send, args=(EMAIL,), kwargs={"deadline": soon()}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == mime.build(EMAIL)


@pytest.mark.parametrize("key", ["../evil", "/etc/evil", "..", ".hidden", "a/b", "x" * 300, "a\nb", ""])
def test_no_key_leads_out_of_the_folder(tmp_path: Path, key: str) -> None:
    """A key that is no plain name becomes one: nothing is written elsewhere, nothing hidden."""
    out = tmp_path / "out"
    outcome = folder(out, Channel.SMS).send(replace(SMS, key=key), deadline=soon())
    assert isinstance(outcome, Accepted)
    (path,) = out.iterdir()
    assert path.parent == out and not path.name.startswith(".") and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_not_sent(tmp_path: Path) -> None:
    """A file stands where the folder should be: nothing was written, and it can be put right."""
    (tmp_path / "out").write_text("a file")
    outcome = folder(tmp_path / "out").send(EMAIL, deadline=soon())
    assert isinstance(outcome, NotSent) and str(tmp_path) not in outcome.detail
    assert (tmp_path / "out").read_text() == "a file"


def test_a_relative_folder_lies_in_the_workspace(tmp_path: Path) -> None:
    """The workspace, given as validation context, is where a relative folder begins; an absolute one stays."""
    settings = FileSettings.model_validate({"folder": "outbox"}, context={"folder": tmp_path})
    assert settings.folder == tmp_path / "outbox"
    assert FileSettings.model_validate({"folder": "/srv/out"}, context={"folder": tmp_path}).folder == Path("/srv/out")
    assert FileSettings.model_validate({}).folder == Path("outbox")


def test_the_screen_shows_who_and_what() -> None:
    """Each message stands in a frame with its key, its campaign, sender, recipient and text."""
    for outgoing in SAMPLES.values():
        text = shown(outgoing)
        assert text.startswith("┌─") and text.rstrip().splitlines()[-1].startswith("└")
        for word in (
            outgoing.key,
            "win-back",
            outgoing.sender,
            outgoing.to or "everybody",
            outgoing.content.text.strip(),
        ):
            assert word in text


def test_no_message_commands_the_terminal() -> None:
    """Escape sequences and false frames in data are shown as text; each line stays in the frame."""
    trick = "\x1b[2J\x1b]0;owned\x07 \x9b31m\r└───\nsecond"
    text = shown(letter(subject=trick, text=trick, html=trick))
    assert not {c for c in text if (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) <= 0x9F}
    assert all(line[:1] in "┌│└" for line in text.splitlines())
    assert [line[0] for line in text.splitlines()].count("└") == 1


def test_a_screen_without_utf8_still_shows() -> None:
    """A terminal that knows only ASCII gets question marks instead of an error."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    console = Console(ConsoleSettings.model_validate({"channel": "sms"}), http=Http(), stream=stream)
    assert isinstance(console.send(replace(SMS, content=TextContent(text="Grüße")), deadline=soon()), Accepted)
    assert b"Gr??e" in raw.getvalue() or b"Gr?" in raw.getvalue()


def test_a_closed_screen_is_doubt() -> None:
    """Part of the message may have been seen before the stream closed."""
    stream = io.StringIO()
    stream.close()
    console = Console(ConsoleSettings(), http=Http(), stream=stream)
    assert isinstance(console.send(EMAIL, deadline=soon()), Ambiguous)


def test_standard_output_is_taken_when_it_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stream of its own it writes to standard output as it is at that moment."""
    Console(ConsoleSettings(), http=Http()).send(EMAIL, deadline=soon())
    assert EMAIL.key in capsys.readouterr().out
