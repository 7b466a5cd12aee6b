"""The file format: whole or refused in one line, shared parts stored once."""

import itertools
import lzma
import resource
from pathlib import Path

import msgspec
import pytest
from archive_samples import make_candidate
from bundle_samples import HEADER, TASK, bundle_of, make_dossier, ticket

from tilewright.evaluator.bundle import Bundle, Ticketed, write_bundle
from tilewright.evaluator.dossier_parts import pack_binaries, unpack_binaries
from tilewright.evaluator.framed_file import FORMAT_VERSION, BundleError, FramedReader, first_line, whole_file
from tilewright.evaluator.growing_file import growing_file


def read_all(path: Path) -> None:
    with Bundle(path) as bundle:
        for place in bundle.places:
            bundle.dossier(place)


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_all(path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


def test_a_bundle_gives_back_what_was_put_in(tmp_path: Path) -> None:
    dossiers = [make_dossier(make_candidate(TASK, number)) for number in range(3)]
    entries = [Ticketed(ticket=ticket(n), dossier=one) for n, one in enumerate(dossiers)]
    write_bundle(tmp_path / "x.bundle", HEADER, entries)
    with Bundle(tmp_path / "x.bundle") as bundle:
        assert bundle.header == HEADER
        assert [place.ticket for place in bundle.places] == [one.ticket for one in entries]
        assert [bundle.dossier(place) for place in bundle.places] == dossiers
        assert bundle.dossier(bundle.places[0]) == dossiers[0]


def test_what_candidates_share_is_stored_once(tmp_path: Path) -> None:
    one, many = bundle_of(tmp_path / "1.bundle", 1), bundle_of(tmp_path / "9.bundle", 9)
    assert (one.binaries, many.binaries) == (2, 10)
    of_its_own = (many.bytes - one.bytes) / 8
    assert of_its_own < 0.6 * one.bytes


def test_the_same_candidates_give_the_same_bytes(tmp_path: Path) -> None:
    bundle_of(tmp_path / "a.bundle", 3)
    bundle_of(tmp_path / "b.bundle", 3)
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes()


def test_a_bundle_that_is_cut_short_anywhere_is_refused_in_one_line(tmp_path: Path) -> None:
    bundle_of(tmp_path / "whole.bundle", 2)
    data = (tmp_path / "whole.bundle").read_bytes()
    path = tmp_path / "cut.bundle"
    for length in [*range(0, 80, 7), *range(80, len(data), 211), len(data) - 1]:
        path.write_bytes(data[:length])
        refusal(path)
    assert "cut short" in refusal(path)


def test_a_bundle_with_a_changed_byte_is_refused_in_one_line(tmp_path: Path) -> None:
    bundle_of(tmp_path / "whole.bundle", 2)
    data = (tmp_path / "whole.bundle").read_bytes()
    path = tmp_path / "changed.bundle"
    for position in [*range(0, 100, 9), *range(100, len(data), 307), len(data) - 1]:
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x20]) + data[position + 1 :])
        refusal(path)
    assert "altered" in refusal(path)


def test_frames_that_were_swapped_are_found(tmp_path: Path) -> None:
    path = tmp_path / "x.bundle"
    bundle_of(path, 2)
    with FramedReader(path, "bundle") as reader:
        frames, end = reader.scan.frames, reader.scan.end
    data = path.read_bytes()
    starts = [frame.offset - 36 for frame in frames] + [end]
    pieces = [data[a:b] for a, b in itertools.pairwise(starts)]
    pieces[1], pieces[2] = pieces[2], pieces[1]
    path.write_bytes(data[: starts[0]] + b"".join(pieces))
    assert "altered" in refusal(path)


def test_a_bundle_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.bundle"
    bundle_of(path, 1)
    old = f"tilewright bundle {FORMAT_VERSION}".encode()
    path.write_bytes(path.read_bytes().replace(old, b"tilewright bundle 99", 1))
    assert "has 99: upgrade Tilewright" in refusal(path)


def test_values_of_another_version_are_named_with_that_version(tmp_path: Path) -> None:
    class Newer(msgspec.Struct, tag="entry"):
        tomorrow: int = 1

    path = tmp_path / "x.bundle"
    with whole_file(path, "bundle") as writer:
        writer.add(msgspec.structs.replace(HEADER, code_version="9.9"))
        writer.add(Newer())
    assert "written by Tilewright 9.9: use one version" in refusal(path)


@pytest.mark.parametrize("data", [b"", b"\n", b"hello\n", b"\x00" * 500, b"tilewright results 1\n"])
def test_another_file_is_no_bundle(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.bundle").write_bytes(data)
    assert "expected a bundle file" in refusal(tmp_path / "x.bundle")


def test_a_missing_bundle_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.bundle")
    assert "directory" in refusal(tmp_path)


def test_a_bundle_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.bundle"
    bundle_of(path, 1)
    before = path.read_bytes()

    def failing():
        yield Ticketed(ticket=ticket(0), dossier=make_dossier(make_candidate(TASK, 5)))
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        write_bundle(path, HEADER, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="choose another place"):
        bundle_of(tmp_path / "no" / "x.bundle", 1)


def test_an_empty_bundle_is_a_bundle(tmp_path: Path) -> None:
    bundle_of(tmp_path / "x.bundle", 0)
    with Bundle(tmp_path / "x.bundle") as bundle:
        assert bundle.places == ()


def test_a_file_of_another_kind_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tilewright.db"
    path.write_bytes(b"SQLite format 3\x00")
    with pytest.raises(BundleError, match="choose another -o"):
        bundle_of(path, 1)
    assert path.read_bytes() == b"SQLite format 3\x00"


def grow(path: Path) -> int:
    """Append a message; return how many were there."""
    with growing_file(path, "results") as (writer, scan):
        writer.add(HEADER)
        return len(scan.frames)


def test_what_follows_a_damaged_length_is_kept_beside_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.results"
    assert [grow(path) for _ in range(3)] == [0, 1, 2]
    data = path.read_bytes()
    second = len(first_line("results")) + (len(data) - len(first_line("results"))) // 3
    path.write_bytes(data[:second] + bytes([data[second] ^ 0x80]) + data[second + 1 :])
    damaged = path.read_bytes()
    assert grow(path) == 1
    assert path.with_name("x.results.cut").read_bytes() == damaged[second:]


def test_a_place_that_is_full_is_named(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(BundleError, match="File too large: choose another place"):
            grow(tmp_path / "x.results")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_pack_of_binaries_that_is_not_whole_is_refused() -> None:
    pack = pack_binaries((b"one",))
    assert list(unpack_binaries(pack).values()) == [b"one"]
    with pytest.raises(lzma.LZMAError, match="not whole, or too large"):
        unpack_binaries(pack[:-8])
