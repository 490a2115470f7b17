"""Recordings of raw frames: whole up to the last flush, refused where they are corrupt."""

import gzip
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.common.values.time import NS_PER_HOUR, NS_PER_SECOND
from goalkick.ingest.foreign_recordings import ForeignRecording
from goalkick.ingest.recorder import MAX_TEXT, Recorder, RecorderSettings, recordings_in
from goalkick.ingest.recording import Frame, Kind, Recording, pack

HOUR_0 = 1_700_000_000 * NS_PER_SECOND // NS_PER_HOUR * NS_PER_HOUR


def frame(number: int, text: str = '{"e":"trade"}', kind: Kind = Kind.RECEIVED) -> Frame:
    return Frame(HOUR_0 + number, "ws", kind, text)


def write(path: Path, *members: list[Frame]) -> list[bytes]:
    packed = [pack(member) for member in members]
    path.write_bytes(b"".join(packed))
    return packed


FRAMES = st.lists(
    st.builds(
        Frame,
        st.integers(0, 2**62),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.sampled_from(Kind),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    ),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frames") / "x.frames.gz"


class TestFile:
    @given(st.lists(FRAMES, max_size=4))
    def test_what_was_recorded_is_read(self, file: Path, members: list[list[Frame]]) -> None:
        write(file, *members)
        recording = Recording(file)
        assert list(recording.frames()) == [one for member in members for one in member]
        assert not recording.cut

    def test_any_tool_reads_it(self, file: Path) -> None:
        write(file, [frame(1)], [frame(2, "line\nbreak")])
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        assert lines == [
            f'[{HOUR_0 + 1},"ws","received","{{\\"e\\":\\"trade\\"}}"]',
            f'[{HOUR_0 + 2},"ws","received","line\\nbreak"]',
        ]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
    def test_wherever_it_is_cut_all_members_before_are_read(
        self, file: Path, members: list[list[Frame]], data: st.DataObject
    ) -> None:
        packed = write(file, *members)
        whole = file.read_bytes()
        length = data.draw(st.integers(0, len(whole)))
        file.write_bytes(whole[:length])
        ends = [sum(map(len, packed[: n + 1])) for n in range(len(packed))]
        kept = [m for end, m in zip(ends, members, strict=True) if end <= length]
        recording = Recording(file)
        assert list(recording.frames()) == [one for member in kept for one in member]
        assert recording.cut == (length not in [0, *ends])

    @pytest.mark.parametrize("place", ["body", "checksum", "magic", "field"])
    def test_a_corrupt_middle_is_refused_with_its_place_after_what_was_before(
        self, file: Path, place: str
    ) -> None:
        packed = write(file, [frame(1)], [frame(2)], [frame(3)])
        begin, end = len(packed[0]), len(packed[0]) + len(packed[1])
        broken = bytearray(file.read_bytes())
        at = {"body": end - 12, "checksum": end - 8, "magic": begin, "field": begin + 12}[place]
        broken[at] ^= 0xFF
        file.write_bytes(broken)
        found: list[Frame] = []
        with pytest.raises(InvalidDataError, match=rf"x\.frames\.gz: corrupt at byte {begin}: "):
            found += Recording(file).frames()
        assert found == [frame(1)]

    def test_its_spans_are_known_without_unpacking_and_early_ones_are_skipped(
        self, file: Path
    ) -> None:
        packed = write(file, [frame(5), frame(7)], [frame(9)])
        spans = list(Recording(file).spans())
        assert [(s.offset, s.length, s.frames) for s in spans] == [
            (0, len(packed[0]), 2), (len(packed[0]), len(packed[1]), 1),
        ]  # fmt: skip
        assert [(s.from_ns - HOUR_0, s.to_ns - HOUR_0) for s in spans] == [(5, 7), (9, 9)]
        assert list(Recording(file).frames(HOUR_0 + 8)) == [frame(9)]


class TestRecorder:
    def test_what_was_handed_over_is_in_the_file_when_it_ends(self, tmp_path: Path) -> None:
        with Recorder(tmp_path, "binance") as recorder:
            assert all(recorder.record(HOUR_0 + n, "ws", Kind.RECEIVED, "{}") for n in range(1000))
        (path,) = recordings_in(tmp_path, "binance")
        assert path.name == "binance-20231114T22-0000.frames.gz"
        assert len(list(Recording(path).frames())) == recorder.recorded == 1000

    def test_a_file_an_hour_and_never_one_that_is_there(self, tmp_path: Path) -> None:
        for _ in range(2):
            with Recorder(tmp_path, "binance") as recorder:
                recorder.record(HOUR_0, "ws", Kind.RECEIVED, "{}")
                recorder.record(HOUR_0 + NS_PER_HOUR, "ws", Kind.RECEIVED, "{}")
        assert [path.name[8:-10] for path in recordings_in(tmp_path, "binance")] == [
            "20231114T22-0000", "20231114T22-0001", "20231114T23-0000", "20231114T23-0001",
        ]  # fmt: skip

    def test_a_full_file_is_followed_by_another_and_old_ones_are_removed(
        self, tmp_path: Path
    ) -> None:
        settings = RecorderSettings(flush_bytes=1, max_file_bytes=1, max_bytes=400)
        with Recorder(tmp_path, "okx", settings) as recorder:
            for n in range(20):
                recorder.record(HOUR_0 + n, "ws", Kind.RECEIVED, "{}")
        kept = recordings_in(tmp_path, "okx")
        assert 1 < len(kept) < 20
        assert sum(path.stat().st_size for path in kept) <= 400 + 200
        assert next(iter(Recording(kept[-1]).frames())).received_ns == HOUR_0 + 19

    def test_what_does_not_fit_is_dropped_counted_and_told(self, tmp_path: Path) -> None:
        recorder = Recorder(tmp_path, "okx", RecorderSettings(queued=3))
        taken = [recorder.record(HOUR_0 + n, "ws", Kind.RECEIVED, "{}") for n in range(5)]
        assert taken == [True] * 3 + [False] * 2
        with recorder:
            pass
        (path,) = recordings_in(tmp_path, "okx")
        last = list(Recording(path).frames())[-1]
        assert (last.kind, last.text, recorder.dropped) == (Kind.DROPPED, "2", 2)

    def test_a_frame_that_is_too_long_is_dropped(self, tmp_path: Path) -> None:
        recorder = Recorder(tmp_path, "okx")
        assert not recorder.record(HOUR_0, "ws", Kind.RECEIVED, "x" * (MAX_TEXT + 1))

    def test_a_disk_that_fails_stops_recording_and_nothing_else(self, tmp_path: Path) -> None:
        folder = tmp_path / "gone"
        with Recorder(folder, "okx", RecorderSettings(flush_bytes=1)) as recorder:
            folder.rmdir()
            for n in range(5):
                recorder.record(HOUR_0 + n, "ws", Kind.RECEIVED, "{}")
        assert (recorder.recorded, recorder.dropped) == (0, 5)

    @pytest.mark.parametrize("venue", ["", "../x", "a-b", "a/b"])
    def test_refuses_a_venue_that_is_no_part_of_a_name(self, tmp_path: Path, venue: str) -> None:
        with pytest.raises(SettingsError, match="expected letters and digits"):
            Recorder(tmp_path, venue)

    def test_a_killed_process_leaves_what_was_flushed(self, tmp_path: Path) -> None:
        code = f"""
import sys, time
from pathlib import Path
from goalkick.ingest.recorder import Recorder, RecorderSettings
from goalkick.ingest.recording import Kind
with Recorder(Path({str(tmp_path)!r}), "okx", RecorderSettings(flush_bytes=20)) as recorder:
    n = 0
    while True:
        recorder.record({HOUR_0} + n, "ws", Kind.RECEIVED, '{{"n":' + str(n) + '}}')
        n += 1
        if n == 200:
            while recorder.recorded < 100:
                time.sleep(0.001)
            print("there", flush=True)
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"there\n"
            process.send_signal(signal.SIGKILL)
        (path,) = recordings_in(tmp_path, "okx")
        numbers = [one.received_ns - HOUR_0 for one in Recording(path).frames()]
        assert len(numbers) >= 100
        assert numbers == list(range(len(numbers)))


class TestForeign:
    def test_the_lines_of_two_collectors_are_understood(self, tmp_path: Path) -> None:
        path = tmp_path / "session"
        path.write_text(
            "configuration: {}\n"
            "wss://v/ws <-> 1652459224.5300605\n"
            'wss://v/ws <- 1652459225.2: {"op":"subscribe"}\n'
            '1652459226.5: {"a":1}\n'
            'https://v/depth?symbol=X -> 1652459227.25: {"b":[]}\n'
            '1723161253937085768 {"stream":"x"}\n'
        )
        assert list(ForeignRecording(path).frames()) == [
            Frame(1652459224530060500, "wss://v/ws", Kind.OPENED, ""),
            Frame(1652459225200000000, "wss://v/ws", Kind.SENT, '{"op":"subscribe"}'),
            Frame(1652459226500000000, "wss://v/ws", Kind.RECEIVED, '{"a":1}'),
            Frame(1652459227250000000, "https://v/depth?symbol=X", Kind.ANSWERED, '{"b":[]}'),
            Frame(1723161253937085768, "wss://v/ws", Kind.RECEIVED, '{"stream":"x"}'),
        ]

    def test_a_cut_end_is_read_as_far_as_it_is_whole(self, tmp_path: Path) -> None:
        line = b'1723161253937085768 {"stream":"x"}\n'
        path = tmp_path / "session"
        path.write_bytes(line + line[:-5])
        plain = ForeignRecording(path)
        assert len(list(plain.frames())) == 1
        assert plain.cut
        path.write_bytes(gzip.compress(line * 1000)[:-4])
        packed = ForeignRecording(path)
        assert 0 < len(list(packed.frames())) <= 1000
        assert packed.cut

    def test_a_line_of_no_form_is_refused_with_its_number(self, tmp_path: Path) -> None:
        path = tmp_path / "session"
        path.write_text('1723161253937085768 {"stream":"x"}\nnonsense\n')
        with pytest.raises(InvalidDataError, match="session: line 2: expected a recorded message"):
            list(ForeignRecording(path).frames())

    def test_a_corrupt_middle_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "session.gz"
        line = b'1723161253937085768 {"stream":"x"}\n'
        data = bytearray(gzip.compress(line * 100) + gzip.compress(line))
        data[-6] ^= 0xFF
        path.write_bytes(data)
        with pytest.raises(InvalidDataError, match="corrupt after line"):
            list(ForeignRecording(path).frames())
