import pytest
from pydantic import TypeAdapter

from loragrid.data.sources import AnyDataSource, BuiltSource, FileSource, HubDataset
from loragrid.models.sources import AnyModelSource, HubSource, PackageSource, PathSource
from loragrid.runtime.packages import PackageFile

FILES = {"train": {"path": "train.csv", "rows": 7}, "test": {"path": "test.csv"}}


def data(**values):
    return TypeAdapter(AnyDataSource).validate_python(values)


def model(**values):
    return TypeAdapter(AnyModelSource).validate_python(values)


def test_source_is_told_by_its_key():
    kinds = [type(data(splits=FILES)), type(data(hub="a/b", revision="v", splits={})), type(data(builder="b.py:f"))]
    assert kinds == [FileSource, HubDataset, BuiltSource]
    kinds = [type(model(path="m")), type(model(hub="a/b", revision="v")), type(model(package="m==1", path="m"))]
    assert kinds == [PathSource, HubSource, PackageSource]
    assert type(data(**data(splits=FILES).model_dump())) is FileSource


def test_source_reads_a_package_or_files_on_this_machine_or_neither():
    assert data(splits=FILES).local_files() == {"splits.train.path": "train.csv", "splits.test.path": "test.csv"}
    assert data(builder="b.py:f", files={"x": "x.txt"}).local_files() == {"builder": "b.py", "files.x": "x.txt"}
    assert model(path="m").local_files() == {"path": "m"}
    packed = [data(package="d==2", splits=FILES), data(package="d==2", splits=FILES, distribution="source")]
    assert [one.package_file() for one in packed] == [PackageFile("d==2", "whl"), PackageFile("d==2", "tar.gz")]
    assert model(package="m==1", path="m").package_file() == PackageFile("m==1", "whl")
    elsewhere = [*packed, data(hub="a/b", revision="v", splits={}), model(hub="a/b", revision="v")]
    assert [one.local_files() for one in elsewhere] == [{}] * 4
    assert [one.package_file() for one in elsewhere[2:]] == [None, None]


@pytest.mark.parametrize(
    ("values", "rows", "given"),
    [
        ({"splits": FILES}, 7, {"train", "test"}),
        ({"splits": {"test": {"path": "x.csv"}}}, 0, {"test"}),
        ({"splits": {"all": {"path": "x.csv"}}}, None, {"all"}),
        ({"hub": "a/b", "revision": "v", "splits": {"test": "t"}}, 0, {"test"}),
        ({"hub": "a/b", "revision": "v", "splits": {"all": "t"}}, None, {"all"}),
        ({"builder": "b.py:f"}, None, None),
    ],
)
def test_source_tells_its_splits_and_training_rows_as_far_as_it_is_known_unread(values, rows, given):
    assert data(**values).training_rows() == rows
    assert data(**values).given_splits() == given
