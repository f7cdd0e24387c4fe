"""For any command line: hints are stable, and the check of it ends in a sentence or in nothing."""

import shlex

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loragrid.errors import UserError
from loragrid.runtime.commands import check_command, repeated_options
from loragrid.runtime.screen import last_words

FEW = settings(max_examples=60, deadline=None, derandomize=True)
VALUES = st.text("ab1.=/ é'\"", min_size=1, max_size=6).filter(lambda text: text.strip() and not text.startswith("-"))
OPTIONS = st.one_of(
    st.tuples(st.sampled_from(["--configfile", "--configfiles"]), VALUES, VALUES),
    st.tuples(st.sampled_from(["--config", "-C"]), VALUES.map(lambda value: f"key={value}")),
    st.tuples(st.sampled_from(["--cores", "-c", "--profile", "--directory", "-d", "-s", "--jobs"]), VALUES),
    st.tuples(st.sampled_from(["-n", "--quiet", "--forceall", "--touch", "-F"])),
    st.tuples(st.sampled_from(["--set-threads", "--resources", "--until"]), VALUES),
)
COMMANDS = st.lists(OPTIONS, max_size=5).map(lambda options: [word for option in options for word in option])


@FEW
@given(COMMANDS)
def test_hint_repeats_of_a_hint_what_the_hint_says(arguments):
    hint = repeated_options(arguments)
    assert sorted(repeated_options(shlex.split(shlex.join(hint)))) == sorted(hint)
    assert set(hint) - {"--cores", "1"} <= {*arguments, "--configfile", "--config", "--directory", "--snakefile", "--jobs"}


def refusal(arguments):
    try:
        check_command(arguments)
    except UserError as error:
        return str(error)
    return None


@FEW
@given(COMMANDS, st.lists(VALUES, max_size=2))
def test_command_passes_or_is_refused_with_one_sentence(arguments, targets):
    sentence = refusal([*targets, *arguments])
    if {"--configfile", "--configfiles"} & set(arguments):
        assert sentence.startswith("--configfile ")
        assert "\n" not in sentence
    else:
        assert sentence is None


@FEW
@given(st.binary(max_size=100), st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_last_words_of_any_log_are_what_a_job_wrote_last(tmp_path_factory, noise, sentence):
    assume("error: " not in sentence)
    log = tmp_path_factory.getbasetemp() / "log.txt"
    log.write_bytes(noise + f"\nerror: {sentence}\n".encode())
    assert last_words(log) == sentence.rstrip("\n")
