from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

from loragrid.config.root import Config
from loragrid.sections import LATER, ONLY_SPEED, OneOf, Section, Server, decisive, entry_of, with_speed


class Motor(Section):
    gear: int = 1
    horses: Annotated[int, ONLY_SPEED] = Field(9, ge=1)


class Car(Section):
    wheels: Annotated[int | None, ONLY_SPEED] = Field(None, ge=1)
    motor: Motor = Motor()
    spare: list[Motor] = Field(default=[])
    named: dict[str, Motor] = Field(default={})
    colour: str = "red"


RAW = {"wheels": 3, "motor": {"gear": 5, "horses": 7}, "spare": [{"horses": 2}], "named": {"x": {}}}


def test_what_decides_is_everything_in_its_order_but_the_marked_fields():
    told = {"motor": {"gear": 5}, "spare": [{"gear": 1}], "named": {"x": {"gear": 1}}, "colour": "red"}
    assert repr(decisive(Car.model_validate(RAW))) == repr(told)


def test_field_that_came_later_decides_only_where_it_is_not_as_before():
    class Bell(Section):
        rings: Annotated[int, LATER] = 1

    class Sleigh(Section):
        bells: list[Bell]
        colour: str = "red"

    assert decisive(Sleigh(bells=[Bell(), Bell(rings=2)])) == {"bells": [{}, {"rings": 2}], "colour": "red"}


def test_marked_fields_come_back_from_the_configuration_and_others_do_not():
    told = Car.model_validate(decisive(Car.model_validate(RAW)))
    assert (told.wheels, told.motor.horses) == (None, 9)
    complete = with_speed(told, RAW | {"colour": "blue"})
    assert (complete.wheels, complete.motor.horses, complete.motor.gear, complete.colour) == (3, 7, 5, "red")
    assert with_speed(told, None) == told


def test_limits_of_a_marked_field_hold_and_the_mark_is_not_in_the_schema():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Motor(horses=0)
    assert Motor.model_json_schema()["properties"]["horses"] == {"default": 9, "minimum": 1, "title": "Horses", "type": "integer"}


def test_of_a_server_only_its_further_settings_decide():
    assert decisive(Server(concurrency=2, settings={"top_k": 1})) == {"settings": {"top_k": 1}}


def test_entry_is_found_though_its_name_is_written_as_a_number():
    assert entry_of({"models": {135: {"dtype": "auto"}, "x": {}}}, "models", "135") == {"dtype": "auto"}


class Animal(Section):
    pass


class Cat(Animal):
    told_by: ClassVar[str] = "whiskers"

    whiskers: int


class Dog(Animal):
    barks: bool = True


class Shape(Section):
    form: str


class Round(Shape):
    form: Literal["round"] = "round"
    radius: int = 1


class Square(Shape):
    form: Literal["square"]


class Flat(Square):
    """Square is no member, as something is derived from it."""

    form: Literal["flat"]


class Zoo(Section):
    animals: list[Annotated[Animal, OneOf()]]
    shape: Annotated[Shape, OneOf("form")] = Round()


def test_members_are_told_by_a_key_or_by_a_field():
    zoo = Zoo.model_validate({"animals": [{"whiskers": 3}, {}], "shape": {"form": "flat"}})
    assert [type(one) for one in (*zoo.animals, zoo.shape)] == [Cat, Dog, Flat]
    assert type(Zoo.model_validate({"animals": [], "shape": {}}).shape) is Round
    assert Zoo.model_validate(zoo.model_dump()) == zoo
    assert Zoo(animals=zoo.animals).animals == zoo.animals


def test_unknown_member_is_told_with_those_that_there_are():
    with pytest.raises(ValidationError, match="form must be one of round, flat") as caught:
        Zoo.model_validate({"animals": [{"purrs": 1}], "shape": {"form": "square"}})
    places = {error["loc"]: error["type"] for error in caught.value.errors()}
    assert places == {("animals", 0, "Dog", "purrs"): "extra_forbidden", ("shape",): "unknown_form"}


def sections(section: type[Section]):
    yield section
    for one in section.__subclasses__():
        yield from sections(one)


def test_every_marked_field_has_a_default_as_no_rule_is_told_it():
    known = set(sections(Section))
    assert Config in known
    fields = [(one.__name__, name, field) for one in known for name, field in one.model_fields.items()]
    assert [(section, name) for section, name, field in fields if ONLY_SPEED in field.metadata and field.is_required()] == []
