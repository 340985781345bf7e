"""Types of fields that are lists, which texts may stand for as on the command line."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from bench.spec.list_texts import read_names, read_shots

Names = Annotated[list[str], BeforeValidator(read_names, json_schema_input_type=list[str] | str)]
_ShotsItems = list[Annotated[int, Field(ge=1)] | Literal["full"]]
ShotsList = Annotated[_ShotsItems, BeforeValidator(read_shots, json_schema_input_type=_ShotsItems | int | str)]
