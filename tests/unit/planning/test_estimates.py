import pytest

from loragrid.config.load import parse_config
from loragrid.planning.estimates import FEW_SECONDS, FLOPS, GPU_FLOPS, JUDGE_SECONDS, SERVER_RATE, START_UP, estimate_job
from loragrid.planning.history import Recorded
from loragrid.planning.jobs import Job
from loragrid.planning.plan import Machine, make_plan, summed, wall_seconds
from loragrid.planning.settings import PlannedRule
from loragrid.planning.workload import Work

SIZES = {"small": 1e8, "large": 4e8, "hosted": 1e9}


def planned_rule(decider, asked):
    return PlannedRule.model_validate({"pattern": "", "decider": decider, "asked": asked})


def rule(**asked):
    """A rule all of whose jobs ask for the same."""
    return planned_rule("", {"": {"cores": 1, "mem_mb": 6000, "gpu": 0} | asked})


RULES = dict.fromkeys(("train", "predict", "score", "check", "import_model"), rule())
JUDGE = {"type": "judge", "rubric": "both_0_10", "model": "j", "concurrency": 5}


def make_config():
    hosted = {"engine": {"type": "openai", "api": "chat"}}
    return parse_config(
        {
            "models": {
                "small": {"source": {"hub": "o/s", "revision": "1"}, "price": {"hour": 2.0}},
                "large": {"source": {"hub": "o/l", "revision": "1"}},
                "hosted": hosted | {"price": {"million_prompt_tokens": 1.0, "million_new_tokens": 4.0}},
            },
            "sources": {"d": {"package": "d==1", "splits": {"test": {"path": "test.jsonl"}}}},
            "tasks": {
                "t": {
                    "source": "d",
                    "instruction": "Do.",
                    "input": "{{ x }}",
                    "sample_types": {"s": {"output": "{{ y }}"}},
                    "scorers": ["exact_match"],
                }
            },
            "scorers": {
                "exact_match": {"type": "exact_match"},
                "judge": JUDGE | {"price": {"million_prompt_tokens": 2.0, "million_new_tokens": 10.0}},
            },
            "grid": [{"base_models": ["small"], "tasks": ["t"], "sample_types": ["s"]}],
        }
    )


CONFIG = make_config()


def trained(base_model="small", speed_group="lora", seconds=110.0, work_s=100.0, effort=1000.0):
    return Recorded("train", base_model, speed_group, seconds, 500.0, 6000, work_s, effort, hardware="cpu")


def seconds_of(recorded, base_model="small", speed_group="lora", effort=2000.0, rule="train", **work):
    return estimate_job(CONFIG, rule, base_model, speed_group, Work(effort=effort, **work), recorded, SIZES, FLOPS)


def test_seconds_are_start_up_and_tokens_by_the_recorded_rate():
    assert seconds_of([trained()]) == (10 + 2000 / 10, "recorded", 1)


def test_start_up_of_one_process_is_shared_by_the_jobs_that_it_works_for():
    led, others = trained(seconds=112.0), [trained(seconds=100.0) for _ in range(3)]
    assert seconds_of([led, *others]).seconds == 200 + 12 / 4


def test_start_up_is_guessed_once_for_the_jobs_of_a_process():
    def guessed(jobs_per_process, cores=2, to_do=8):
        rules = {"train": rule(jobs_per_process=jobs_per_process)}
        works = [Work(effort=0.0)] * to_do
        [row] = plan_of(jobs_of("train", to_do, to_do), works, [], Machine(cores, 0), rules).rows
        return row.hours * 3600

    assert guessed(1) == pytest.approx(8 * START_UP)
    assert guessed(0) == pytest.approx(2 * START_UP)
    assert guessed(2) == pytest.approx(4 * START_UP)
    assert guessed(0, cores=16) == pytest.approx(8 * START_UP)


def test_one_odd_record_does_not_move_the_estimate():
    odd = trained(seconds=100000.0, work_s=90000.0)
    assert seconds_of([trained(), odd, trained()]).seconds == 210


def test_interrupted_jobs_do_not_make_start_up_negative():
    went_on = trained(seconds=30.0, work_s=100.0)
    assert seconds_of([went_on]).seconds == 200


def test_records_of_the_same_configuration_go_before_those_of_others():
    slow = trained(speed_group="dora", work_s=200.0, seconds=210.0)
    assert seconds_of([slow, trained()]) == (210, "recorded", 1)
    assert seconds_of([slow], speed_group="lora") == (10 + 2000 / 5, "recorded", 1)


def test_another_base_model_is_slower_by_its_parameters():
    assert seconds_of([trained()], base_model="large") == (10 + 4 * 200, "other model", 1)
    assert seconds_of([trained(), trained("large", work_s=50.0, seconds=60.0)], base_model="large") == (110, "recorded", 1)


@pytest.mark.parametrize(("rule", "operations"), [("train", 4), ("train_full", 6), ("predict", 2)])
def test_first_guess_is_operations_by_speed(rule, operations):
    expected = START_UP + 2000 * operations * 1e8 / FLOPS
    assert seconds_of([], rule=rule) == (pytest.approx(expected), "first guess", 0)


def test_records_without_a_result_say_nothing_about_speed():
    assert seconds_of([trained()._replace(work_s=None, effort=0)]).basis == "first guess"


def test_hosted_model_is_not_guessed_by_parameters():
    assert seconds_of([], base_model="hosted", rule="predict").seconds == pytest.approx(START_UP + 2000 / SERVER_RATE)


def test_jobs_without_tokens_take_the_mean_of_their_like_so_that_their_sum_is_right():
    def scored(seconds, speed_group="sbert"):
        return Recorded("score", "small", speed_group, seconds, 0, None)

    # The first did the work of all.
    recorded = [scored(31.0), scored(1.0), scored(1.0), scored(100.0, "other")]
    assert seconds_of(recorded, rule="score", speed_group="sbert", effort=0) == (11, "recorded", 3)
    assert seconds_of(recorded, rule="score", speed_group="exact_match", effort=0) == (FEW_SECONDS, "first guess", 0)
    guess = seconds_of([], rule="score", speed_group="judge", effort=0, requests=50)
    assert guess.seconds == FEW_SECONDS + 50 * JUDGE_SECONDS / 5


def jobs_of(rule, count, to_do, **wildcards):
    named = {"base_model": "small", "run": "t__s__mix__n1__lora__completion__seed1"} | wildcards
    return [Job(rule, named, i < to_do) for i in range(count)]


def plan_of(jobs, works, history=(), machine=None, rules=RULES):
    parameters = {name: (size, "name") for name, size in SIZES.items()}
    return make_plan(CONFIG, jobs, works, list(history), parameters, rules, machine or Machine(2, 0))


def test_only_what_is_to_do_costs_something():
    work = Work(tokens=2000, new=500, effort=2000)
    [row] = plan_of(jobs_of("train", 5, 2), [work] * 5, [trained()]).rows
    assert (row.jobs, row.done, row.to_do) == (5, 3, 2)
    assert (row.tokens, row.new_tokens) == (4000, 1000)
    assert row.hours == row.hours_recorded == pytest.approx(2 * 210 / 3600)
    assert row.cost == pytest.approx(2 * 210 / 3600 * 2.0)
    assert (row.peak_mb, row.mem_mb, row.basis, row.records) == (500, 6000, "recorded", 1)
    [finished] = plan_of(jobs_of("train", 5, 0), [work] * 5, [trained()]).rows
    assert (finished.done, finished.hours, finished.cost, finished.basis) == (5, 0, 0, "")


def test_judge_and_hosted_model_cost_by_their_tokens():
    work = Work(tokens=3e6, new=1e6, effort=3e6, requests=100)
    scored, predicted = jobs_of("score", 1, 1, scorer="judge"), jobs_of("predict", 1, 1, base_model="hosted", task="t")
    costs = {row.rule: row.cost for row in plan_of([*scored, *predicted], [work, work]).rows}
    assert costs == {"score": pytest.approx(2 * 2 + 10), "predict": pytest.approx(2 * 1 + 4)}


def test_first_guess_is_for_a_gpu_where_there_is_one_or_one_is_asked_for():
    work, jobs = Work(effort=1e6), jobs_of("train", 1, 1)
    on_gpu = START_UP + 1e6 * 4 * 1e8 / GPU_FLOPS
    here = plan_of(jobs, [work], machine=Machine(2, 1))
    asked = plan_of(jobs, [work], rules={"train": rule(gpu=1)})
    assert [plan.rows[0].longest_s for plan in (here, asked)] == pytest.approx([on_gpu, on_gpu])
    four = {"train": rule(cores=4)}
    threads = [plan_of(jobs, [work], rules=four, machine=machine) for machine in (Machine(8, 0), Machine(2, 0, cluster=True))]
    on_four = START_UP + 1e6 * 4 * 1e8 / (4 * FLOPS)
    assert [plan.rows[0].longest_s for plan in threads] == pytest.approx([on_four, on_four])
    # No more threads than the machine has cores.
    [two] = plan_of(jobs, [work], rules=four, machine=Machine(2, 0)).rows
    assert (two.threads, two.longest_s) == (2, pytest.approx(START_UP + 1e6 * 4 * 1e8 / (2 * FLOPS)))


def test_memory_that_is_no_one_number_is_as_recorded():
    rules = {"train": rule(mem_mb=None)}
    [row] = plan_of(jobs_of("train", 1, 1), [Work()], [trained()._replace(asked_mb=7777)], rules=rules).rows
    assert row.mem_mb == 7777


def test_memory_is_the_most_that_a_job_of_the_base_model_asks_for():
    asked = {name: {"cores": 1, "mem_mb": mem_mb, "gpu": 0} for name, mem_mb in (("", 1), ("small", 1000), ("large", 9000))}
    rules = {"train": planned_rule("base_model", asked)}
    jobs = [*jobs_of("train", 1, 1), *jobs_of("train", 1, 1, base_model="large")]
    rows = plan_of(jobs, [Work(), Work()], rules=rules).rows
    assert {row.base_model: row.mem_mb for row in rows} == {"small": 1000, "large": 9000}


def rows_of(count, seconds=100.0, rules=RULES):
    history = [Recorded("check", "small", "", seconds, 0, None)]
    return plan_of(jobs_of("check", count, count), [Work()] * count, history, Machine(8, 0), rules).rows


def test_clock_shares_jobs_out_but_runs_no_job_in_pieces():
    assert wall_seconds(rows_of(10), Machine(2, 0)) == pytest.approx(500)
    assert wall_seconds(rows_of(10), Machine(1000, 0)) == pytest.approx(100)
    # Jobs of several threads, and of which each has a GPU to itself.
    wide = rows_of(10, rules={"check": rule(cores=4)})
    assert wall_seconds(wide, Machine(8, 0)) == pytest.approx(500)
    assert wall_seconds(wide, Machine(3, 0)) == pytest.approx(1000)
    assert wall_seconds(wide, Machine(5, 0, cluster=True)) == pytest.approx(200)
    assert wall_seconds(rows_of(10), Machine(8, 2)) == pytest.approx(500)


def test_sum_shows_the_weakest_ground_and_how_much_rests_on_records():
    jobs = [*jobs_of("train", 1, 1), *jobs_of("train", 1, 1, base_model="large")]
    rows = plan_of(jobs, [Work(effort=2000)] * 2, [trained()]).rows
    both = summed(rows, "total")
    assert (both.jobs, both.basis) == (2, "other model")
    assert both.hours_recorded / both.hours == pytest.approx(210 / (210 + 810))
