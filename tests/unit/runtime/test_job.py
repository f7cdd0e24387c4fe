import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm

from loragrid.analysis.grid_state import failure
from loragrid.errors import UserError
from loragrid.runtime.job import begin_account, circumstances, log, logged, peak_memory_mb, process_seconds
from loragrid.runtime.screen import SHOWN_BY_MAIN


def test_user_error_ends_the_job_with_its_sentence_on_the_screen_and_in_the_log(tmp_path, capsys):
    path = tmp_path / "job.log"
    with pytest.raises(SystemExit) as caught, logged(str(path)):
        print("printed")
        log.info("logged")
        raise UserError("data.jsonl, line 3: not valid JSON.")
    assert caught.value.code == 1
    text = path.read_text()
    assert "printed" in text
    assert "logged" in text
    assert "Traceback" not in text
    assert capsys.readouterr().err == f"data.jsonl, line 3: not valid JSON.\n(log: {path})\n"
    assert failure(str(path)) == "data.jsonl, line 3: not valid JSON."


def test_jobs_in_one_process_have_logs_of_their_own(tmp_path):
    paths = [tmp_path / "first.log", tmp_path / "second.log"]
    for path in paths:
        with logged(str(path)):
            log.info("in %s", path.stem)
    assert "in first" in paths[0].read_text()
    assert "second" not in paths[0].read_text()
    assert "Logging error" not in paths[1].read_text()
    assert paths[1].read_text().count("in second") == 1


def test_unexpected_error_leaves_its_traceback_in_the_log_only(tmp_path, capsys):
    path = tmp_path / "job.log"
    with pytest.raises(SystemExit), logged(str(path)):
        raise ZeroDivisionError("boom")
    assert "Traceback" in path.read_text()
    assert "Traceback" not in capsys.readouterr().err
    assert failure(str(path)) == "ZeroDivisionError: boom"


def test_missing_log_means_that_a_job_never_started(tmp_path):
    assert "not started" in failure(str(tmp_path / "no.log"))
    (tmp_path / "cut.log").write_text("working\n")
    assert "not finished" in failure(str(tmp_path / "cut.log"))


def test_progress_bar_is_in_the_log_as_soon_as_it_is_shown(tmp_path):
    with logged(str(tmp_path / "job.log")), tqdm(total=2, desc="training"):
        assert "training:   0%" in (tmp_path / "job.log").read_text()


def test_what_a_terminal_would_obey_is_spelled_on_the_screen_and_in_the_log(tmp_path, capsys):
    path = tmp_path / "job.log"
    with pytest.raises(SystemExit), logged(str(path)):
        print("half\rwhole\ta\u00a0b")
        subprocess.run(["printf", r"\033]0;title\007\n"], stdout=sys.stdout, check=True)
        raise UserError("no '\x1b[2J\u202eb'.")
    text = path.read_bytes().decode()
    assert "half\rwhole\ta\u00a0b\n" in text
    assert "\\x1b]0;title\\x07\n" in text
    assert text.endswith("error: no '\\x1b[2J\\u202eb'.\n")
    assert capsys.readouterr().err.startswith("no '\\x1b[2J\\u202eb'.\n")


def test_what_a_subprocess_wrote_stands_before_what_the_job_writes_after_it(tmp_path, monkeypatch):
    # On a busy machine the thread that copies comes late.
    monkeypatch.setattr("loragrid.runtime.job_streams._Redacting._copy", lambda self, reading: None)
    with logged(str(tmp_path / "job.log")):
        subprocess.run(["printf", r"first\n"], stdout=sys.stdout, check=True)
        print("second")
    assert (tmp_path / "job.log").read_text().startswith("first\nsecond\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device without room")
def test_log_without_room_costs_no_work_and_hides_no_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(SHOWN_BY_MAIN, "1")
    path = tmp_path / "job.log"
    path.symlink_to("/dev/full")
    with logged(str(path)):
        print("a line")
        (tmp_path / "result").write_text("done")
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit), logged(str(path)):
        raise UserError("data.jsonl, line 3: not valid JSON.")
    assert capsys.readouterr().err == f"data.jsonl, line 3: not valid JSON.\n(log: {path})\n"


def test_manifests_tell_the_peak_memory_of_a_gpu_that_was_used(monkeypatch):
    assert "peak_gpu_memory_mb" not in circumstances(0.0, "cpu", "float32", 1)
    peaks = [300 * 2**20, 700 * 2**20]
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(peaks))
    monkeypatch.setattr("torch.cuda.max_memory_allocated", peaks.__getitem__)
    told = circumstances(0.0, "NVIDIA H200", "bfloat16", 1)
    assert told["peak_gpu_memory_mb"] == 700
    # What planning asks of a machine's memory is still that of the process.
    assert told["peak_memory_mb"] == pytest.approx(peak_memory_mb(), abs=20)


def can_reset_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not can_reset_peak(), reason="the system does not let a process reset its peak")
def test_each_piece_of_work_of_a_process_has_a_peak_memory_of_its_own():
    begin_account()
    before = peak_memory_mb()
    large = bytearray(400 * 2**20)
    del large
    assert peak_memory_mb() >= before + 350
    begin_account()
    assert peak_memory_mb() <= before + 50
    small = bytearray(100 * 2**20)
    assert before + 50 <= peak_memory_mb() <= before + 200
    assert circumstances(0.0, "cpu", "float32", 1)["peak_memory_mb"] == pytest.approx(peak_memory_mb(), abs=20)
    del small


@pytest.mark.skipif(not can_reset_peak(), reason="the system does not let a process reset its peak")
def test_memory_that_the_c_library_keeps_for_later_is_no_share_of_the_next_piece_of_work():
    code = (
        "import sys; from loragrid.models.device import keep_freed_memory\n"
        "from loragrid.runtime.job import begin_account, peak_memory_mb\n"
        "keep_freed_memory(); large = [bytearray(2**20) for _ in range(400)]; kept = bytearray(2**20); del large\n"
        "with_large = peak_memory_mb(); begin_account(); print(with_large - peak_memory_mb())\n"
    )
    environment = {"PYTHONPATH": "workflow/scripts"}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) > 300


def test_where_the_peak_cannot_be_reset_it_stays_that_of_the_process(monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    large = bytearray(200 * 2**20)
    before = peak_memory_mb()
    del large
    monkeypatch.setattr(Path, "write_text", refuse)
    begin_account()
    # The system counts pages by and by.
    assert peak_memory_mb() >= before - 20


def test_an_account_begins_anew_on_each_gpu_that_was_used(monkeypatch):
    begun = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", begun.append)
    begin_account()
    assert begun == []
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    begin_account()
    assert begun == [0, 1]


def test_a_process_knows_for_how_long_it_runs():
    code = "import time; time.sleep(0.3); from loragrid.runtime.job import process_seconds; print(process_seconds())"
    found = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "workflow/scripts"}, capture_output=True, check=True)
    assert 0.3 <= float(found.stdout) < 30
    assert process_seconds() > float(found.stdout)
